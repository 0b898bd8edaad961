"""Which files are an image and its labels, which are left out, and what a person is told when it is not clear."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.pairs import Found, Pair, find_pairs, open_pair
from napari_scutoid.io.save import save_stack
from napari_scutoid.volume import Labels, Volume, VoxelSize

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = np.random.default_rng(6).integers(0, 200, (9, 10, 11)).astype(np.uint8)
LABELS = (np.indices((9, 10, 11)).sum(axis=0) // 8).astype(np.uint16)
SIZE = VoxelSize(0.5, 0.2, 0.3)


def h5(path: Path, **arrays: np.ndarray) -> Path:
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
    return path


def tif(path: Path, array: np.ndarray, **about: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    tifffile.imwrite(path, array, metadata=about)
    return path


def files(found: Found, where: Path) -> list[tuple[str, str, str]]:
    """Names, and the files relative to the folder."""
    return [
        (one.name, *(file.relative_to(where).as_posix() for file in (one.image_file, one.labels_file)))
        for one in found.pairs
    ]


def reasons(found: Found) -> dict[str, str]:
    return {path.name: reason for path, reason in found.left_out}


def assert_opens(pair: Pair) -> None:
    image, labels = open_pair(pair)
    np.testing.assert_array_equal(image.data[...], IMAGE)
    np.testing.assert_array_equal(labels.data, LABELS)


@pytest.mark.parametrize(("image", "labels"), [("a.tif", "a_label.tif"), ("images/a.tif", "labels/a.tif")])
def test_an_image_alone_finds_its_labels_beside_it(tmp_path: Path, image: str, labels: str) -> None:
    one, other = tif(tmp_path / image, IMAGE, axes="ZYX"), tif(tmp_path / labels, LABELS, axes="ZYX")
    tif(tmp_path / image.replace("a.tif", "b.tif"), IMAGE, axes="ZYX")
    assert files(find_pairs(one), tmp_path) == [("a", image, labels)]
    assert find_pairs(one).pairs[0].labels_file == other
    with pytest.raises(ScutoidError, match="nothing to learn from"):
        find_pairs(tmp_path / image.replace("a.tif", "b.tif"))


def test_one_file_that_holds_both(tmp_path: Path) -> None:
    path = h5(tmp_path / "gland.h5", raw=IMAGE, label=LABELS, semantic_target=LABELS > 0)
    found = find_pairs(path)
    assert found == Found((Pair("gland", path, "raw", path, "label"),), ())
    assert_opens(found.pairs[0])


@pytest.mark.parametrize("name", ["gland.mat", "gland.h5", "gland.ome.zarr"])
def test_a_saved_stack_is_a_pair_alone_and_in_a_folder(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    save_stack(path, Volume(IMAGE, SIZE), Labels(LABELS, SIZE))
    found = find_pairs(path)
    assert [one.name for one in found.pairs] == ["gland"]
    assert find_pairs(tmp_path) == found
    assert_opens(found.pairs[0])
    if name.endswith(".mat"):
        names = found.pairs[0].image_dataset, found.pairs[0].labels_dataset
        assert names == ("imageSequenceInterpolated", "labelledImage3D")


def test_label_wins_over_other_labels_and_the_laboratorys_names_over_other_images(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", imageSequenceInterpolated=IMAGE, nuclei=IMAGE, label=LABELS, labels_old=LABELS)
    (pair,) = find_pairs(path).pairs
    assert (pair.image_dataset, pair.labels_dataset) == ("imageSequenceInterpolated", "label")


@pytest.mark.parametrize(
    ("images", "labels"), [("images", "labels"), ("Image", "MASKS"), ("raw", "groundtruth"), ("img", "seg")]
)
def test_folders_of_images_and_of_labels(tmp_path: Path, images: str, labels: str) -> None:
    for stem in "ba":
        tif(tmp_path / images / f"{stem}.tif", IMAGE)
        h5(tmp_path / labels / f"{stem}.h5", cells=LABELS)
    found = find_pairs(tmp_path)
    expected = [(stem, f"{images}/{stem}.tif", f"{labels}/{stem}.h5") for stem in "ab"]
    assert (files(found, tmp_path), found.left_out) == (expected, ())
    assert_opens(found.pairs[0])


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("a.tif", "a_label.tif"),
        ("a.tif", "a_cp_masks.tif"),
        ("a.tif", "a-GT.tif"),
        ("a_raw.tif", "a_mask.tif"),
        ("a_image.tif", "a_image_labels.tif"),
        ("a.ome.tif", "a_seg.ome.tif"),
        ("images/a_raw.tif", "labels/a_label.tif"),
        ("images/a_raw.tif", "labels/a_raw.tif"),
        ("a.tif", "labels/a.tif"),
    ],
)
def test_names_that_belong_together(tmp_path: Path, image: str, labels: str) -> None:
    tif(tmp_path / image, IMAGE, axes="ZYX")
    tif(tmp_path / labels, LABELS, axes="ZYX")
    found = find_pairs(tmp_path)
    assert (files(found, tmp_path), found.left_out) == ([("a", image, labels)], ())
    assert_opens(found.pairs[0])


def test_a_name_that_says_labels_is_believed_whatever_the_voxels_look_like(tmp_path: Path) -> None:
    tif(tmp_path / "a.tif", IMAGE)
    tif(tmp_path / "a_label.tif", np.random.default_rng(1).integers(0, 3000, IMAGE.shape).astype(np.uint16))
    tif(tmp_path / "raw" / "b.tif", LABELS)
    tif(tmp_path / "masks" / "b.tif", (LABELS > 2).astype(np.uint8))
    assert [name for name, *_ in files(find_pairs(tmp_path), tmp_path)] == ["a", "b"]


def test_zarr_folders_count_as_files(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    save_stack(tmp_path / "labels" / "a.zarr", Volume(IMAGE), Labels(LABELS))
    shutil.rmtree(tmp_path / "labels" / "a.zarr" / "0")
    tif(tmp_path / "images" / "a.tif", IMAGE)
    found = find_pairs(tmp_path)
    assert files(found, tmp_path) == [("a", "images/a.tif", "labels/a.zarr")]
    assert_opens(found.pairs[0])


def test_what_is_in_no_pair_is_told_with_the_reason(tmp_path: Path) -> None:
    h5(tmp_path / "pair.h5", raw=IMAGE, label=LABELS)
    tif(tmp_path / "lone.tif", IMAGE)
    tif(tmp_path / "other_label.tif", LABELS)
    h5(tmp_path / "cells.h5", label=LABELS)
    h5(tmp_path / "table.h5", table=np.zeros((4, 3)))
    h5(tmp_path / ".pair.h5.0a1b.part", raw=IMAGE, label=LABELS)
    h5(tmp_path / "half.h5.part", raw=IMAGE, label=LABELS)
    h5(tmp_path / "older" / "a.h5", raw=IMAGE, label=LABELS)
    (tmp_path / "notes.txt").write_text("fixed for 20 min")
    found = find_pairs(tmp_path)
    assert files(found, tmp_path) == [("pair", "pair.h5", "pair.h5")]
    told = reasons(found)
    assert list(told) == sorted(told)
    assert told.pop("table.h5").startswith("neither an image nor labels to be taken (`table` (4, 3): other")
    assert told == {
        ".pair.h5.0a1b.part": "hidden",
        "cells.h5": "labels without an image",
        "half.h5.part": "only a part of a file",
        "lone.tif": "an image without labels",
        "notes.txt": "its content is of no known format",
        "older": "a folder that is not named images or labels",
        "other_label.tif": "labels without an image",
    }


def test_a_folder_without_a_pair_says_what_was_there(tmp_path: Path) -> None:
    with pytest.raises(ScutoidError, match=r"files such as a\.tif and a_label\.tif; it holds nothing at all"):
        find_pairs(tmp_path)
    for number in range(10):
        tif(tmp_path / f"{number}.tif", IMAGE)
    with pytest.raises(ScutoidError, match=r"it holds 0\.tif: an image without labels; .*; and 2 more\. What to try"):
        find_pairs(tmp_path)


def test_a_file_without_labels_says_what_it_holds(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", raw=IMAGE, lumen=LABELS > 2)
    with pytest.raises(ScutoidError, match=r"`lumen` .*: mask; `raw` .*: image.*--image-dataset and --labels-dataset"):
        find_pairs(path)
    with pytest.raises(ScutoidError, match="there is no such file"):
        find_pairs(tmp_path / "b.h5")


def test_several_data_sets_are_listed_and_may_be_named(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", membrane=IMAGE, nuclei=IMAGE, labels_1=LABELS, labels_2=LABELS)
    with pytest.raises(ScutoidError, match=r"2 data sets look like an image \(`membrane`.*`nuclei`.*--image-dataset"):
        find_pairs(tmp_path)
    with pytest.raises(ScutoidError, match=r"2 data sets look like labels \(`labels_1`.*`labels_2`.*--labels-dataset"):
        find_pairs(path, image_dataset="nuclei")
    found = find_pairs(tmp_path, image_dataset="/nuclei", labels_dataset="labels_2")
    assert found.pairs == (Pair("a", path, "nuclei", path, "labels_2"),)
    with pytest.raises(ScutoidError, match=r"a\.h5: labels without an image"):
        find_pairs(tmp_path, image_dataset="actin", labels_dataset="labels_2")


def test_a_data_set_that_is_named_is_not_taken_for_the_other_one(tmp_path: Path) -> None:
    path = h5(tmp_path / "a.h5", stain=IMAGE, cells=IMAGE)
    (pair,) = find_pairs(path, labels_dataset="cells").pairs
    assert (pair.image_dataset, pair.labels_dataset) == ("stain", "cells")


@pytest.mark.parametrize("more", ["a_mask.tif", "a_raw.tif", "labels/a.tif"])
def test_several_files_of_one_name_are_not_chosen_from(tmp_path: Path, more: str) -> None:
    tif(tmp_path / "a.tif", IMAGE)
    tif(tmp_path / "a_label.tif", LABELS)
    tif(tmp_path / more, LABELS if "raw" not in more else IMAGE)
    with pytest.raises(ScutoidError, match=r"`a` could not be taken.*several files hold its image or its labels"):
        find_pairs(tmp_path)


def test_a_file_with_labels_beside_other_labels_is_not_clear(tmp_path: Path) -> None:
    h5(tmp_path / "a.h5", raw=IMAGE, label=LABELS)
    tif(tmp_path / "a_seg.tif", LABELS)
    with pytest.raises(ScutoidError, match=r"several files .*a\.h5, .*a_seg\.tif"):
        find_pairs(tmp_path)


def test_names_are_unique(tmp_path: Path) -> None:
    for name in ("a.h5", "a.hdf5", "b.h5"):
        h5(tmp_path / name, raw=IMAGE, label=LABELS)
    assert [one.name for one in find_pairs(tmp_path).pairs] == ["a.h5", "a.hdf5", "b.h5"]


def test_shapes_that_differ_are_both_named(tmp_path: Path) -> None:
    tif(tmp_path / "a.tif", IMAGE)
    tif(tmp_path / "a_label.tif", LABELS[1:])
    with pytest.raises(ScutoidError, match=r"the image has shape \(9, 10, 11\), the labels \(8, 10, 11\)"):
        find_pairs(tmp_path)


def test_axes_that_the_image_misnames_can_be_named_anew(tmp_path: Path) -> None:
    tif(tmp_path / "a.ome.tif", IMAGE, axes="TYX")
    tif(tmp_path / "a_label.tif", LABELS)
    (pair,) = find_pairs(tmp_path).pairs
    image, labels = open_pair(pair, axes="ZYX")
    assert image.shape == labels.shape == (9, 10, 11)
    with pytest.raises(ScutoidError, match="has 3 axes"):
        open_pair(pair)


def test_labels_turned_against_the_image_are_refused(tmp_path: Path) -> None:
    shapes = r"the image has shape \(9, 10, 11\), the labels \(10, 9, 11\)"
    turned = LABELS.transpose(1, 0, 2)
    with pytest.raises(ScutoidError, match=shapes):
        find_pairs(h5(tmp_path / "a.h5", raw=IMAGE, label=turned))
    # With another number of axes, the headers alone do not tell.
    (pair,) = find_pairs(h5(tmp_path / "b.h5", raw=np.stack([IMAGE, IMAGE]), label=turned)).pairs
    with pytest.raises(ScutoidError, match=shapes):
        open_pair(pair, channel=0)


def test_a_damaged_file_does_not_hide_the_others(tmp_path: Path) -> None:
    whole = h5(tmp_path / "a.h5", raw=IMAGE, label=LABELS)
    (tmp_path / "b.h5").write_bytes(whole.read_bytes()[:600])
    found = find_pairs(tmp_path)
    assert files(found, tmp_path) == [("a", "a.h5", "a.h5")]
    assert "damaged" in reasons(found)["b.h5"]


def test_channel_and_axes_are_those_of_the_image(tmp_path: Path) -> None:
    # (channel, x, y, z) and (x, y, z), as neither file says.
    path = h5(tmp_path / "a.h5", raw=np.stack([IMAGE[::-1], IMAGE]).transpose(0, 3, 2, 1), label=LABELS.T)
    (pair,) = find_pairs(path).pairs
    image, labels = open_pair(pair, channel=1, axes="CXYZ")
    np.testing.assert_array_equal(image.data[...], IMAGE)
    np.testing.assert_array_equal(labels.data, LABELS)
    with pytest.raises(ScutoidError, match="choose the channel"):
        open_pair(pair)


@pytest.mark.parametrize("film", [True, False])
def test_labels_may_have_the_time_points_of_the_image_or_only_the_one(tmp_path: Path, film: bool) -> None:
    images = np.stack([IMAGE + number for number in range(7)])
    path = h5(tmp_path / "a.h5", raw=images, label=np.stack([LABELS + number for number in range(7)]))
    if not film:
        path = h5(tmp_path / "b.h5", raw=images, label=LABELS + 2)
    (pair,) = find_pairs(path).pairs
    image, labels = open_pair(pair, time=2)
    np.testing.assert_array_equal(image.data[...], IMAGE + 2)
    np.testing.assert_array_equal(labels.data, LABELS + 2)


@pytest.mark.parametrize(
    ("of_image", "of_labels", "given_size", "expected"),
    [
        (SIZE, VoxelSize(1, 1, 1), None, SIZE),
        (None, SIZE, None, SIZE),
        (None, None, None, None),
        (SIZE, SIZE, (2, 1, 1), VoxelSize(2, 1, 1)),
    ],
)
def test_voxel_size_of_the_image_else_of_the_labels(
    tmp_path: Path,
    of_image: VoxelSize | None,
    of_labels: VoxelSize | None,
    given_size: tuple[float, ...] | None,
    expected: VoxelSize | None,
) -> None:
    for name, size in (("a_raw.h5", of_image), ("a_label.h5", of_labels)):
        save_stack(tmp_path / name, Volume(IMAGE, size), Labels(LABELS, size))
    pair = Pair("a", tmp_path / "a_raw.h5", None, tmp_path / "a_label.h5", None)
    image, labels = open_pair(pair, voxel_size=given_size)
    assert (image.voxel_size_um, labels.voxel_size_um) == (expected, expected)
    assert ("voxel size of the labels" in image.history) == (of_image is None and of_labels is not None)


@given(names=st.lists(st.sampled_from(["a", "a_raw", "a_label", "b", "b_seg", "labels/c", "c"]), unique=True))
def test_each_file_is_in_one_pair_or_left_out(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    folder = tmp_path_factory.mktemp("found")
    made = {tif(folder / f"{name}.tif", LABELS if "label" in name or "seg" in name else IMAGE) for name in names}
    try:
        found = find_pairs(folder)
    except ScutoidError:
        images = {name.removesuffix("_raw") for name in names if "label" not in name and "seg" not in name}
        clear = [key for key in images if {f"{key}_label", f"{key}_seg", f"labels/{key}"} & set(names)]
        assert not clear or {"a", "a_raw", "a_label"} <= set(names)
        return
    used = [file for pair in found.pairs for file in (pair.image_file, pair.labels_file)]
    left_out = [path for path, _ in found.left_out]
    assert sorted(used + left_out) == sorted(made)


def test_the_shared_stacks(shared_data: Path) -> None:
    glands = find_pairs(shared_data / "glands")
    assert len(glands.pairs) == 5 and not glands.left_out
    assert {(one.image_dataset, one.labels_dataset) for one in glands.pairs} == {("raw", "label")}
    (ovule,) = find_pairs(shared_data / "plants").pairs
    image, labels = open_pair(ovule)
    assert (
        (image.shape, image.voxel_size_um)
        == (labels.shape, labels.voxel_size_um)
        == ((32, 128, 128), (0.235, 0.15, 0.15))
    )

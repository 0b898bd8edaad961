"""Whatever goes into one format comes out of another: numbers, axes, voxel size; and bad choices are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import scipy.io

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import output
from napari_scutoid.io.convert import Choice, Conversion, convert
from napari_scutoid.io.mat_write import write_mat73
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.save import result_suffixes, save_result
from napari_scutoid.progress import drain
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(11)
SHAPE = (9, 10, 11)
IMAGE = RNG.integers(0, 60_000, SHAPE)
CELLS = np.arange(990).reshape(SHAPE) // 100
SIZE = (1.0, 0.25, 0.25)


def h5(path: Path, **arrays: np.ndarray[Any, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
            file[name].attrs["element_size_um"] = SIZE
    return path


def run(source: Path, target: Path, choice: Choice | None = None, **settings: bool) -> Conversion:
    done = drain(convert(source, target, choice, **settings))
    assert {path.name for path in target.parent.iterdir()} >= {target.name}
    assert not list(target.parent.glob("*.part"))
    return done


@pytest.fixture(params=["old.mat", "new.mat", "plain.h5"])
def doubles(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a file as the laboratory keeps them: whole numbers as doubles, image and labels together."""
    path = tmp_path / request.param
    arrays = {
        "imageSequenceInterpolated": IMAGE.astype("f8"),
        "labelledImage3D": CELLS.astype("f8"),
        "lumenImage": CELLS == 4,
    }
    scales = {"pixelScale": 0.25, "zScale": 4.0}
    if path.suffix == ".h5":
        return h5(path, **arrays)
    if path.stem == "new":
        write_mat73(path, arrays, scales)
    else:
        scipy.io.savemat(path, {name: np.moveaxis(array, 0, 2) for name, array in arrays.items()} | scales)
    return path


@pytest.mark.parametrize("suffix", [".h5", ".mat"])
def test_the_laboratorys_doubles_become_small_and_stay_equal(tmp_path: Path, doubles: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    done = run(doubles, target)
    assert [(one.name, one.kind, one.after.name) for one in done.written] == [
        ("imageSequenceInterpolated", "image", "uint16"),
        ("labelledImage3D", "labels", "uint8"),
        ("lumenImage", "mask", "uint8"),
    ]
    assert done.left_out == ()
    for one in done.written[:2]:
        assert one.before == np.float64
        assert one.notes[-1] == f"float64 narrowed to {one.after}, every number the same"
    image, labels = open_volume(target), open_labels(target)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image.data[...], IMAGE)
    np.testing.assert_array_equal(labels.data, CELLS)
    np.testing.assert_array_equal(open_volume(target, "lumenImage").data[...], CELLS == 4)
    assert image.voxel_size_um == labels.voxel_size_um == SIZE


@pytest.mark.parametrize("suffix", result_suffixes())
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_an_image_keeps_its_numbers_type_and_voxel_size(tmp_path: Path, dtype: str, suffix: str) -> None:
    data = (IMAGE / 3).astype(dtype)
    source, target, back = h5(tmp_path / "a.h5", raw=data), tmp_path / f"b{suffix}", tmp_path / "c.h5"
    run(source, target)
    volume = open_volume(target)
    assert volume.dtype == data.dtype
    np.testing.assert_array_equal(volume.data[...], data)
    assert volume.voxel_size_um == pytest.approx(SIZE)
    run(target, back)
    np.testing.assert_array_equal(open_volume(back).data[...], data)
    assert open_volume(back).voxel_size_um == pytest.approx(SIZE)


@pytest.mark.parametrize("suffix", result_suffixes())
@pytest.mark.parametrize("largest", [65_536, 2**32 - 1])
def test_labels_over_65535_stay_intact(tmp_path: Path, suffix: str, largest: int) -> None:
    cells = CELLS.astype(np.uint32)
    cells[0, 0, 0], cells[-1, -1, -1] = largest, largest - 1
    target, back = tmp_path / f"a{suffix}", tmp_path / "back.h5"
    save_result(target, Labels(cells, VoxelSize(1.0, 0.25, 0.3)), {}, {"run": 1})
    read = open_labels(target)
    np.testing.assert_array_equal(read.data, cells)
    assert read.voxel_size_um == pytest.approx((1.0, 0.25, 0.3))
    run(target, back, Choice(kind="labels"))
    np.testing.assert_array_equal(open_labels(back).data, cells)


def test_position_goes_along(tmp_path: Path) -> None:
    save_result(tmp_path / "a.h5", Labels(CELLS, VoxelSize(*SIZE), Origin(1.0, -2.0, 3.0)), {}, {})
    run(tmp_path / "a.h5", tmp_path / "b.mat")
    assert open_labels(tmp_path / "b.mat").origin_um == (1.0, -2.0, 3.0)


def test_the_new_file_tells_where_it_came_from(tmp_path: Path) -> None:
    source = h5(tmp_path / "a.h5", raw=IMAGE.astype("f8"))
    run(source, tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        made = json.loads(file.attrs["provenance"])
        assert made["convert"] == {"source": str(source), "datasets": {"raw": "raw"}}
        assert json.loads(file["raw"].attrs["history"]) == ["float64 narrowed to uint16, every number the same"]


@pytest.mark.parametrize("suffix", result_suffixes())
@pytest.mark.parametrize("first", [".h5", ".mat", ".tif", ".ome.tif", ".zarr"])
def test_how_a_result_was_made_goes_along(tmp_path: Path, first: str, suffix: str) -> None:
    made = {"recipe": {"sigma": 0.5}, "µ": ["µm", None, True]}
    save_result(tmp_path / f"a{first}", Labels(CELLS), {}, made)
    assert inspect(tmp_path / f"a{first}").provenance == made
    run(tmp_path / f"a{first}", tmp_path / f"b{suffix}")
    stated = inspect(tmp_path / f"b{suffix}").provenance
    assert stated["convert"]["source"] == str(tmp_path / f"a{first}")
    assert stated["source_provenance"] == made


@pytest.mark.parametrize("suffix", [*result_suffixes(), ".ome.tif"])
@pytest.mark.parametrize("first", [".h5", ".mat", ".tif", ".zarr"])
def test_probabilities_are_fractions_in_every_format(tmp_path: Path, first: str, suffix: str) -> None:
    before = np.linspace(0, 1, 990, dtype="f4").reshape(SHAPE)
    save_result(tmp_path / f"a{first}", Labels(CELLS, VoxelSize(*SIZE)), {"foreground": Volume(before)}, {})
    source = tmp_path / ("a_foreground.tif" if first == ".tif" else f"a{first}")
    target = tmp_path / f"b{suffix}"
    (done,) = run(source, target, Choice("foreground")).written
    assert (done.name, done.kind, done.before, done.after) == ("foreground", "other", np.uint8, np.uint8)
    assert done.notes == ("0 to 255 stand for 0 to 1",)
    (info,) = inspect(target).datasets
    assert (info.dtype, info.guess, info.full_scale) == ("uint8", "other", 255)
    once, twice = (open_volume(file, "foreground").data for file in (source, target))
    assert once.dtype == twice.dtype == np.float32
    np.testing.assert_allclose(once[...], before, atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(twice[...], once[...])
    np.testing.assert_array_equal(twice[3, ::-2], once[3, ::-2])


@pytest.mark.parametrize(("dtype", "largest"), [("u1", 255), ("u2", 65_535)])
def test_probabilities_of_another_program_keep_every_step(tmp_path: Path, dtype: str, largest: int) -> None:
    whole = np.linspace(0, largest, 990).round().astype(dtype).reshape(SHAPE)
    source = h5(tmp_path / "a.h5", membrane=whole, image=whole)
    with h5py.File(source, "a") as file:
        for name in file:
            file[name].attrs["scale"] = 1 / largest if name == "membrane" else 0.1
    assert {info.path: (info.guess, info.full_scale) for info in inspect(source).datasets} == {
        "membrane": ("other", largest),
        "image": ("image", None),
    }
    run(source, tmp_path / "b.mat", Choice("membrane"))
    run(source, tmp_path / "c.h5")
    with h5py.File(tmp_path / "b.mat") as matlab, h5py.File(tmp_path / "c.h5") as image:
        np.testing.assert_array_equal(np.swapaxes(matlab["membrane"][()], 1, 2), whole)
        np.testing.assert_array_equal(image["image"][()], whole)


def test_fractions_stay_unless_they_may_be_rounded(tmp_path: Path) -> None:
    source = h5(tmp_path / "a.h5", raw=RNG.random(SHAPE))
    assert run(source, tmp_path / "b.h5").written[0].after == np.float64
    done = run(source, tmp_path / "c.h5", single=True).written[0]
    assert (done.after, done.notes) == (np.dtype("f4"), ("float64 rounded to float32",))
    source = h5(tmp_path / "single.h5", raw=RNG.random(SHAPE, "f4").astype("f8"))
    assert run(source, tmp_path / "d.h5").written[0].after == np.float32


@pytest.mark.parametrize("narrow", [True, False])
def test_doubles_that_matlab_has_packed_are_told(tmp_path: Path, narrow: bool) -> None:
    """In MATLAB 5 to 7, an array of class double keeps whole numbers as bytes, and SciPy returns these."""
    source, double = tmp_path / "a.mat", 6
    scipy.io.savemat(source, {"raw": (IMAGE % 200).astype(np.uint8)})
    content = bytearray(source.read_bytes())
    content[144] = double
    source.write_bytes(content)
    assert inspect(source).datasets[0].dtype == "float64"
    (done,) = run(source, tmp_path / "b.h5", narrow=narrow).written
    assert (done.before.name, done.after.name) == ("float64", "uint8" if narrow else "float64")
    assert done.notes == ("float64 packed as uint8 by MATLAB, every number the same",)
    np.testing.assert_array_equal(open_volume(tmp_path / "b.h5").data[...], open_volume(source).data)


def test_a_type_can_be_kept(tmp_path: Path) -> None:
    source = h5(tmp_path / "a.h5", raw=IMAGE.astype("f8"), label=CELLS.astype("f8"))
    done = run(source, tmp_path / "b.h5", narrow=False)
    assert [one.after.name for one in done.written] == ["float64", "uint8"]


@pytest.mark.parametrize("order", ["XYZ", "ZXY", "YXZ"])
def test_axes_can_be_reordered(tmp_path: Path, order: str) -> None:
    """What h5py users wrote in any order lies as the stack does after it is named."""
    places = ["ZYX".index(axis) for axis in order]
    source = h5(tmp_path / "a.h5", raw=IMAGE.transpose(places), label=CELLS.transpose(places))
    run(source, tmp_path / "b.mat", Choice(axes=order.lower(), voxel_size_um=SIZE))
    np.testing.assert_array_equal(open_volume(tmp_path / "b.mat").data[...], IMAGE)
    np.testing.assert_array_equal(open_labels(tmp_path / "b.mat").data, CELLS)
    np.testing.assert_array_equal(open_labels(source, axes=order).data, CELLS)


def test_many_small_blocks_give_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = h5(tmp_path / "a.h5", raw=np.tile(IMAGE, (4, 10, 10)).astype("f8"))
    run(source, tmp_path / "whole.mat", Choice(axes="XYZ"))
    monkeypatch.setattr(output, "BLOCK_BYTES", 300_000)
    steps = list(convert(source, tmp_path / "blocks.mat", Choice(axes="XYZ")))
    assert {one.step for one in steps} == {"Looking at raw", "Writing raw"}
    assert max(one.total for one in steps) > 5
    assert (tmp_path / "blocks.mat").read_bytes() == (tmp_path / "whole.mat").read_bytes()


@pytest.mark.parametrize("suffix", result_suffixes())
def test_cancelling_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    steps = convert(h5(tmp_path / "a.h5", raw=IMAGE), tmp_path / f"b{suffix}")
    while next(steps).step != "Writing raw":
        pass
    steps.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5"]


def test_channels_are_chosen_for_the_image_and_not_for_the_labels(tmp_path: Path) -> None:
    source = h5(tmp_path / "a.h5", raw=np.stack([IMAGE, IMAGE + 1]), label=CELLS)
    run(source, tmp_path / "b.h5", Choice(channel=1))
    np.testing.assert_array_equal(open_volume(tmp_path / "b.h5").data[...], IMAGE + 1)
    np.testing.assert_array_equal(open_labels(tmp_path / "b.h5").data, CELLS)
    with pytest.raises(ScutoidError, match=r"`raw` has 4 axes.*choose the channel with --channel"):
        run(source, tmp_path / "c.h5")


def test_names_that_a_format_cannot_write_become_usual_ones(tmp_path: Path) -> None:
    source = h5(tmp_path / "a.h5", **{"group/my stack": IMAGE, "group/segmentation 1": CELLS})
    done = run(source, tmp_path / "b.mat")
    assert {one.dataset: one.name for one in done.written} == {"group/my stack": "raw", "group/segmentation 1": "label"}


def test_one_data_set_of_many(tmp_path: Path) -> None:
    source = h5(tmp_path / "a.h5", raw=IMAGE, raw2=IMAGE, label=CELLS)
    with pytest.raises(ScutoidError, match=r"2 data sets look like an image \(`raw`.*`raw2`.*--dataset"):
        run(source, tmp_path / "b.h5")
    done = run(source, tmp_path / "b.h5", Choice("raw2"))
    assert [one.dataset for one in done.written] == ["raw2"]
    done = run(source, tmp_path / "b.h5", Choice(kind="labels"))
    assert [one.dataset for one in done.written] == ["label"]
    assert done.left_out == ("raw", "raw2")
    done = run(source, tmp_path / "b.h5", Choice("raw", kind="labels"))
    assert (done.written[0].kind, done.written[0].after) == ("labels", np.dtype("u2"))


@pytest.mark.parametrize(
    ("arrays", "choice", "why"),
    [
        (
            {"foreground": IMAGE},
            Choice(),
            "no data set looks like an image or labels.*name the data set with --dataset",
        ),
        ({}, Choice(), "it holds no arrays"),
        ({"raw": IMAGE}, Choice("nothing"), "there is nothing of this name"),
        ({"raw": IMAGE / 7}, Choice("raw", kind="labels"), "`raw` holds no labels: .*fractions"),
        ({"raw": IMAGE - 99}, Choice("raw", kind="labels"), "`raw` holds no labels: .*must lie in"),
        ({"raw": IMAGE}, Choice(axes="ZX"), "could not be opened: axes must name 3 axes.*--axes ZYX"),
        ({"raw": IMAGE}, Choice(axes="ZZX"), "axes must name 3 axes"),
        ({"raw": IMAGE}, Choice(axes="ZCT"), "axes must name 3 axes"),
        ({"raw": np.where(IMAGE == IMAGE.max(), np.nan, IMAGE)}, Choice(), "NaN or infinite"),
    ],
)
def test_bad_choices_are_told_and_leave_nothing(
    tmp_path: Path, arrays: dict[str, np.ndarray[Any, Any]], choice: Choice, why: str
) -> None:
    source = h5(tmp_path / "a.h5", **arrays)
    with pytest.raises(ScutoidError, match=why):
        run(source, tmp_path / "b.h5", choice)
    assert list(tmp_path.iterdir()) == [source]


def test_renamed_axes_and_voxel_sizes(tmp_path: Path) -> None:
    source = h5(tmp_path / "a.h5", raw=IMAGE)
    with h5py.File(source, "a") as file:
        file["raw"].attrs["element_size_um"] = (1.0, 0.2, 0.3)
        file["raw"].attrs["origin_um"] = (1.0, 2.0, 3.0)
    swapped = open_volume(source, axes="ZXY")
    assert (swapped.voxel_size_um, swapped.origin_um) == ((1.0, 0.3, 0.2), (1.0, 3.0, 2.0))
    assert swapped.history == ("axes ZXY given by hand",)
    same = open_volume(source, axes="ZYX")
    assert (same.voxel_size_um, same.origin_um) == ((1.0, 0.2, 0.3), (1.0, 2.0, 3.0))
    other = open_volume(source, axes="XYZ")
    assert (other.voxel_size_um, other.origin_um) == (None, (0.0, 0.0, 0.0))
    assert other.history == ("axes XYZ given by hand, voxel size of the file dropped",)


def test_info_suspects_z_where_the_last_axis_is_short(tmp_path: Path) -> None:
    thin, thick = np.zeros((1, 40, 40, 9)), np.zeros((40, 40, 40))
    infos = inspect(h5(tmp_path / "a.h5", raw=thin, other=thick)).datasets
    assert {info.path: info.axes_hint for info in infos} == {"raw": "CXYZ", "other": None}
    with h5py.File(tmp_path / "a.h5", "a") as file:
        for dimension, axis in zip(file["raw"].dims, "czyx", strict=True):
            dimension.label = axis
    assert inspect(tmp_path / "a.h5").datasets[1].axes_hint is None


def test_the_real_gland_is_turned_upright(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "mat" / "gland_hdf5_without_matlab_header.mat"
    run(source, tmp_path / "a.mat", Choice(axes="CXYZ"))
    run(shared_data / "glands" / "salivary_WT_2017-12-04_1a.h5", tmp_path / "b.mat", Choice("raw", axes="ZXY"))
    np.testing.assert_array_equal(open_volume(tmp_path / "a.mat").data[...], open_volume(tmp_path / "b.mat").data[...])

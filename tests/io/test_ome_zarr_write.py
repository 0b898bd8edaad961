"""What is written as OME-Zarr is what the standard and other programs want, and nothing is ever half-written."""

from __future__ import annotations

import json
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import ome_zarr_write
from napari_scutoid.io.ome_zarr_write import OmeZarrWriter
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.output import Output
from napari_scutoid.io.save import check_result_path, save_result, save_stack
from napari_scutoid.progress import drain
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

if TYPE_CHECKING:
    from pathlib import Path

SIZE, ORIGIN = VoxelSize(0.5, 0.2, 0.1), Origin(1.0, -2.0, 3.0)
rng = np.random.default_rng(12)


def image(dtype: str = "uint16", **known: Any) -> Volume:
    return Volume(rng.integers(0, 100, (40, 150, 30)).astype(dtype), **{"voxel_size_um": SIZE, **known})


def labels(largest: int = 70_000) -> Labels:
    data = (np.indices((40, 150, 30)).sum(axis=0) // 20).astype(np.uint32)
    data[0, 0, 0] = largest
    return Labels(data, SIZE, ORIGIN, lumen=data == 2)


def probability() -> Volume:
    return Volume(np.linspace(0, 1, 20 * 75 * 15).reshape(20, 75, 15), VoxelSize(1.0, 0.4, 0.2))


def write(path: Path, outputs: dict[str, Output]) -> Path:
    drain(OmeZarrWriter().write(path, outputs, {}))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "float16", "float32", "float64"]
)
def test_images_round_trip(tmp_path: Path, dtype: str) -> None:
    before = image(dtype, origin_um=ORIGIN, history=("channel 1 of 3", "rescaled"))
    write(tmp_path / "a.zarr", {"raw": Output(before.data, before.dtype, before)})
    after = open_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(after.data[...], before.data)
    assert (after.dtype, after.voxel_size_um, after.origin_um) == (before.dtype, SIZE, ORIGIN)
    assert after.data.chunks == (32, 128, 30)
    assert zarr.open_group(tmp_path / "a.zarr", mode="r").attrs["history"] == ["channel 1 of 3", "rescaled"]
    assert list(tmp_path.iterdir()) == [tmp_path / "a.zarr"]


@pytest.mark.parametrize(
    ("largest", "dtype"), [(5, "uint8"), (300, "uint16"), (65_536, "uint32"), (2**32 - 1, "uint32")]
)
def test_labels_keep_every_id_in_the_smallest_type(tmp_path: Path, largest: int, dtype: str) -> None:
    before = labels(largest)
    save_result(tmp_path / "a.zarr", before, {}, {})
    after = open_labels(tmp_path / "a.zarr")
    np.testing.assert_array_equal(after.data, before.data)
    assert (after.voxel_size_um, after.origin_um) == (SIZE, ORIGIN)
    assert [(d.path, d.dtype, d.guess) for d in inspect(tmp_path / "a.zarr").datasets] == [
        ("labels/label", dtype, "labels"),
        ("labels/lumen", "uint8", "mask"),
    ]
    np.testing.assert_array_equal(open_labels(tmp_path / "a.zarr", "label").data, before.data)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr", "lumen").data[...], before.data == 2)


def test_an_unknown_voxel_size_stays_unknown(tmp_path: Path) -> None:
    before = image(voxel_size_um=None, origin_um=ORIGIN)
    write(tmp_path / "a.zarr", {"raw": Output(before.data, before.dtype, before)})
    after = open_volume(tmp_path / "a.zarr")
    assert (after.voxel_size_um, after.origin_um, after.history) == (None, ORIGIN, ())
    (multiscale,) = zarr.open_group(tmp_path / "a.zarr", mode="r").attrs["multiscales"]
    assert not any("unit" in axis for axis in multiscale["axes"])


def test_a_result_holds_probabilities_and_provenance(tmp_path: Path) -> None:
    before = probability()
    provenance = {"recipe": {"a": np.float32(0.5)}, "text": "µ" * 100_000}
    save_result(tmp_path / "a.zarr", labels(), {"foreground": before, "boundary": before}, provenance)
    infos = {d.path: d for d in inspect(tmp_path / "a.zarr").datasets}
    assert list(infos) == ["boundary", "foreground", "labels/label", "labels/lumen"]
    assert (infos["foreground"].guess, infos["foreground"].voxel_size_um) == ("other", (1.0, 0.4, 0.2))
    root = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert root.attrs["provenance"] == {"recipe": {"a": 0.5}, "text": "µ" * 100_000}
    scale = root["foreground"].attrs["scale"]
    np.testing.assert_allclose(root["foreground/0"][:] * scale, before.data, atol=0.5 / 255)


def test_a_stack_has_its_image_at_the_root(tmp_path: Path) -> None:
    # Flat as labels are: what the file says wins over what it looks like.
    before = Volume(np.full((40, 150, 30), 7, np.uint8), SIZE)
    save_stack(tmp_path / "a.ome.zarr", before, labels(), {"seed": 1})
    assert [(d.path, d.guess) for d in inspect(tmp_path / "a.ome.zarr").datasets] == [
        ("0", "image"),
        ("labels/label", "labels"),
        ("labels/lumen", "mask"),
    ]
    np.testing.assert_array_equal(open_volume(tmp_path / "a.ome.zarr").data[...], before.data)


def test_any_name_finds_a_place_of_its_own(tmp_path: Path) -> None:
    data = rng.integers(0, 9, (4, 9, 10)).astype(np.uint8)
    names = ["raw", "0", "labels", "a/b", "a:b", "A_b", "../up", ".zattrs", "cells{1}", "", "Zellen μ"]
    outputs = {name: Output(data + number, data.dtype, Volume(data), "image") for number, name in enumerate(names)} | {
        f"labels/{name}": Output(data + 100 + number, data.dtype, Volume(data), "labels")
        for number, name in enumerate(names)
    }
    path = write(tmp_path / "a.zarr", outputs)
    infos = inspect(path).datasets
    firsts = sorted(int(open_volume(path, info.path).data[0, 0, 0]) - int(data[0, 0, 0]) for info in infos)
    assert firsts == [*range(len(names)), *range(100, 100 + len(names))]
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_written_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_scutoid.io.output.BLOCK_BYTES", 32 * 128 * 30 * 2)
    before = image()
    steps = list(OmeZarrWriter().write(tmp_path / "a.zarr", {"raw": Output(before.data, before.dtype, before)}, {}))
    assert [(step.done, step.total) for step in steps] == [(done, 4) for done in range(1, 5)]
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr").data[...], before.data)


@pytest.mark.parametrize("way", ["error", "closed"])
def test_a_failure_leaves_the_old_store_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    path, before = tmp_path / "a.zarr", image()
    outputs = {name: Output(before.data, before.dtype, before) for name in ("raw", "more")}
    write(path, outputs)
    old = contents(path)
    assert old
    writing = OmeZarrWriter().write(path, outputs, {"run": 2})
    next(writing)
    if way == "closed":
        writing.close()
    else:

        def fail(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(ome_zarr_write, "_write_array", fail)
        with pytest.raises(ScutoidError, match="could not be written: No space left on device"):
            list(writing)
    assert contents(path) == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = tmp_path / "a.zarr", image()
    outputs = {"raw": Output(before.data, before.dtype, before)}
    write(path, outputs)
    old = contents(path)
    replace = os.replace

    def fail_once(source: Path, target: Path) -> None:
        if source.name.endswith(".part"):
            raise OSError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr("os.replace", fail_once)
    with pytest.raises(ScutoidError, match="Permission denied"):
        write(path, outputs)
    assert contents(path) == old
    assert list(tmp_path.iterdir()) == [path]


def test_only_stores_of_this_program_and_empty_folders_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    path.mkdir()
    save_result(path, labels(5), {}, {})
    save_result(path, labels(6), {}, {})
    assert open_labels(path).data[0, 0, 0] == 6
    strangers = {"other.zarr": {"multiscales": []}, "broken.zarr": None, "holiday pictures.zarr": None}
    for name, attributes in strangers.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / ".zattrs").write_text("{" if attributes is None else json.dumps(attributes))
    (tmp_path / "holiday pictures.zarr" / ".zattrs").rename(tmp_path / "holiday pictures.zarr" / "beach.jpg")
    for name in strangers:
        old = contents(tmp_path / name)
        with pytest.raises(ScutoidError, match=r"this program did not make it.*give another name"):
            save_result(tmp_path / name, labels(), {}, {})
        assert contents(tmp_path / name) == old
    (tmp_path / "file.zarr").write_text("a file")
    with pytest.raises(ScutoidError, match="could not be written: it is a file"):
        check_result_path(tmp_path / "file.zarr")
    with pytest.raises(ScutoidError, match="there is no folder"):
        check_result_path(tmp_path / "missing" / "a.zarr")


@pytest.mark.skipif(os.name == "nt", reason="Windows reserves symbolic links")
def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.zarr").symlink_to(tmp_path / "disk" / "a.zarr")
    for largest in (5, 6):
        save_result(tmp_path / "a.zarr", labels(largest), {}, {})
    assert (tmp_path / "a.zarr").is_symlink()
    assert open_labels(tmp_path / "disk" / "a.zarr").data[0, 0, 0] == 6
    assert list((tmp_path / "disk").iterdir()) == [tmp_path / "disk" / "a.zarr"]


@pytest.fixture(params=["stack", "result"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"{request.param}.zarr"
    if request.param == "stack":
        save_stack(path, image(), labels())
    else:
        save_result(path, labels(), {"foreground": probability()}, {"recipe": {}})
    return path


def test_chunks_lie_where_the_standard_wants_them(written: Path) -> None:
    array = written / "labels" / "label" / "0"
    header = json.loads((array / ".zarray").read_text())
    assert (header["zarr_format"], header["dimension_separator"], header["dtype"]) == (2, "/", "<u4")
    assert (header["compressor"]["id"], header["compressor"]["cname"]) == ("blosc", "zstd")
    assert {str(file.relative_to(array).as_posix()) for file in array.rglob("*") if file.is_file()} == {
        ".zarray", ".zattrs", "0/0/0", "0/1/0", "1/0/0", "1/1/0"
    }  # fmt: skip


def test_the_validator_of_the_standard_agrees(written: Path) -> None:
    models = pytest.importorskip("ome_zarr_models.v04", reason="ome-zarr-models, of the extra [dev], is missing")
    root = zarr.open_group(written, mode="r")
    shown = models.Image.from_zarr(root)
    assert [axis.unit for axis in shown.attributes.multiscales[0].axes] == ["micrometer"] * 3
    assert shown.labels is not None
    assert shown.labels.attributes.labels == ["label", "lumen"]
    for name in ("label", "lumen"):
        models.ImageLabel.from_zarr(root["labels"][name])
    if "foreground" in root:
        models.Image.from_zarr(root["foreground"])


def test_napari_ome_zarr_opens_it(written: Path) -> None:
    with warnings.catch_warnings():
        # napari's own, while its modules are loaded.
        warnings.simplefilter("ignore")
        plugin = pytest.importorskip("napari_ome_zarr", reason="napari-ome-zarr, of the extra [dev], is missing")
    shown = plugin.napari_get_reader(str(written))()
    assert [kind for _, _, kind in shown] == ["image", "labels", "labels"]
    for _, metadata, _ in shown:
        np.testing.assert_allclose(metadata["scale"], SIZE)
        assert metadata["units"] == ("micrometer",) * 3
        assert metadata["axis_labels"] == ("z", "y", "x")
    (cells,) = (data for data, metadata, kind in shown if kind == "labels" and metadata["name"].endswith("label"))
    np.testing.assert_array_equal(np.asarray(cells[0]), labels().data)

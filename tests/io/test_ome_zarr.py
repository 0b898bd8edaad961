"""Zarr stores of every version are listed and read right."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from zarr_samples import LABELS, SCALE, STACK, axes, described, image, raw_store, rng, store

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io import ngff
from napari_scutoid.io.open import inspect, open_labels, open_volume

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", [2, 3])
def test_image_and_labels_are_listed_and_read(tmp_path: Path, version: int) -> None:
    path = tmp_path / "a.zarr"
    root = store(path, version)
    image(root, STACK)
    labels = root.create_group("labels")
    described(labels, labels=["cells"])
    image(labels.create_group("cells"), LABELS)
    info = inspect(path)
    assert info.format == "OME-Zarr"
    assert [(d.path, d.shape, d.axes, d.dtype, d.guess) for d in info.datasets] == [
        ("0", (12, 20, 24), "ZYX", "uint16", "image"),
        ("labels/cells", (12, 20, 24), "ZYX", "uint32", "labels"),
    ]
    assert info.datasets[1].reason == "the file says so"
    volume = open_volume(path)
    assert (volume.voxel_size_um, volume.origin_um) == ((0.5, 0.2, 0.1), (3, -1, 0))
    np.testing.assert_array_equal(volume.data[...], STACK)
    np.testing.assert_array_equal(volume.data[3:9:2, 5, ::-1], STACK[3:9:2, 5, ::-1])
    assert volume.data.chunks == (8, 8, 8)
    for name in (None, "labels/cells", "cells", "labels/cells/"):
        np.testing.assert_array_equal(open_labels(path, name).data, LABELS)


@pytest.mark.parametrize("version", [2, 3])
def test_channels_and_times_are_selectable(tmp_path: Path, version: int) -> None:
    data = rng.integers(0, 200, (2, 3, 4, 10, 11)).astype(np.uint8)
    scale = [{"type": "scale", "scale": [1, 1, 0.5, 0.2, 0.1]}]
    image(
        store(tmp_path / "a.zarr", version),
        data,
        {"axes": axes("tczyx"), "datasets": [{"path": "0", "coordinateTransformations": scale}]},
    )
    volume = open_volume(tmp_path / "a.zarr", channel=2, time=1)
    np.testing.assert_array_equal(volume.data[...], data[1, 2])
    assert volume.voxel_size_um == (0.5, 0.2, 0.1)
    with pytest.raises(ScutoidError, match=r"`0` has 5 axes \(2, 3, 4, 10, 11\).*--time, 0 to 1"):
        open_volume(tmp_path / "a.zarr")


@pytest.mark.parametrize("order", ["xyz", "yzx", "zxy"])
def test_axes_in_any_order_become_naparis(tmp_path: Path, order: str) -> None:
    data = STACK.transpose(["zyx".index(axis) for axis in order])
    scale = {"type": "scale", "scale": [{"z": 0.5, "y": 0.2, "x": 0.1}[axis] for axis in order]}
    image(
        store(tmp_path / "a.zarr"),
        data,
        {"axes": axes(order), "datasets": [{"path": "0", "coordinateTransformations": [scale]}]},
    )
    volume = open_volume(tmp_path / "a.zarr")
    np.testing.assert_array_equal(volume.data[...], STACK)
    assert volume.voxel_size_um == (0.5, 0.2, 0.1)


@pytest.mark.parametrize(
    ("metadata", "shape", "expected"),
    [
        ({}, (2, 3, 4, 10, 11), "TCZYX"),  # up to version 0.2
        ({}, (12, 20, 24), "ZYX"),
        ({"axes": ["c", "z", "y", "x"]}, (3, 12, 20, 24), "CZYX"),  # version 0.3
        ({"axes": axes("yx")}, (20, 24), "YX"),
        ({"axes": [{"name": "stain", "type": "channel"}, *axes("yx")]}, (3, 20, 24), "CYX"),
        ({"axes": [*axes("zyx"), {"name": "angle"}]}, (4, 10, 11, 5), "QZYX"),
        ({"axes": [{"name": "dim_0"}, {"name": "dim_1"}, {"name": "dim_2"}]}, (12, 20, 24), "ZYX"),
        ({"axes": axes("yx")}, (12, 20, 24), "ZYX"),
        ({"axes": axes("zzyx")}, (2, 12, 20, 24), "CZYX"),
    ],
)
def test_axes_of_older_and_stranger_files(
    tmp_path: Path, metadata: dict[str, Any], shape: tuple[int, ...], expected: str
) -> None:
    group = store(tmp_path / "a.zarr")
    group.create_array("0", data=rng.integers(0, 200, shape))
    group.attrs["multiscales"] = [{"datasets": [{"path": "0"}], **metadata}]
    (info,) = inspect(tmp_path / "a.zarr").datasets
    assert (info.axes, info.voxel_size_um) == (expected, None)
    if "Q" in expected:
        assert info.guess == "other"
        with pytest.raises(ScutoidError, match="no more than time, channel, z, y and x can be told apart"):
            open_volume(tmp_path / "a.zarr", "0")


def test_a_picture_is_a_stack_of_one_slice(tmp_path: Path) -> None:
    image(store(tmp_path / "a.zarr"), STACK[0], {"axes": axes("yx"), "datasets": [{"path": "0"}]})
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.shape == (1, 20, 24)
    assert volume.history == ("one picture, taken as a stack of one slice",)


@pytest.mark.parametrize(
    ("unit", "factor"), [("nanometer", 1e-3), ("micrometer", 1), ("um", 1), ("µm", 1), ("millimeter", 1e3)]
)
def test_units_become_micrometres(tmp_path: Path, unit: str, factor: float) -> None:
    image(store(tmp_path / "a.zarr"), STACK, {"axes": axes(unit=unit)})
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.voxel_size_um == pytest.approx([0.5 * factor, 0.2 * factor, 0.1 * factor])
    assert volume.origin_um == pytest.approx([3 * factor, -factor, 0])


@pytest.mark.parametrize("unit", [None, "pixel", "second", 3])
def test_without_a_unit_the_voxel_size_is_unknown_and_said_so(tmp_path: Path, unit: Any) -> None:
    image(store(tmp_path / "a.zarr"), STACK, {"axes": axes(unit=unit)})
    note = "voxel size unknown: the file gives 0.5 x 0.2 x 0.1 without a unit of length"
    (info,) = inspect(tmp_path / "a.zarr").datasets
    assert info.voxel_size_um is None
    assert info.reason.endswith(note)
    volume = open_volume(tmp_path / "a.zarr")
    assert volume.history == (note,)
    assert volume.origin_um == pytest.approx([6, -5, 0])  # in voxels


@pytest.mark.parametrize(
    "transforms",
    [
        [{"type": "scale", "scale": [0, 1, 1]}],
        [{"type": "scale", "scale": [math.nan, 1, 1]}],
        [{"type": "scale", "scale": [1, 1]}],
        [{"type": "scale", "scale": "large"}],
        [{"type": "scale", "path": "numbers"}],
        [{"type": "rotation", "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}],
        [SCALE, {"type": "translation", "translation": [1, math.inf, 0]}],
        ["scale"],
        7,
    ],
)
def test_transformations_that_make_no_sense_leave_the_size_unknown(tmp_path: Path, transforms: Any) -> None:
    group = store(tmp_path / "a.zarr")
    group.create_array("0", data=STACK)
    multiscale = {"axes": axes(), "datasets": [{"path": "0", "coordinateTransformations": transforms}]}
    (tmp_path / "a.zarr" / ".zattrs").write_text(json.dumps({"multiscales": [multiscale]}))
    volume = open_volume(tmp_path / "a.zarr")
    assert (volume.voxel_size_um, volume.origin_um) == (None, (0, 0, 0))
    assert volume.history[0].startswith("voxel size unknown: ")
    np.testing.assert_array_equal(volume.data[...], STACK)


numbers = st.floats(0.01, 100)
transforms = st.lists(
    st.one_of(
        st.builds(lambda values: {"type": "scale", "scale": values}, st.lists(numbers, min_size=3, max_size=3)),
        st.builds(
            lambda values: {"type": "translation", "translation": values}, st.lists(numbers, min_size=3, max_size=3)
        ),
        st.just({"type": "identity"}),
    ),
    min_size=1,
    max_size=5,
)


@given(of_array=transforms, of_image=transforms, voxel=st.tuples(*[st.integers(0, 50)] * 3))
def test_transformations_are_applied_one_after_the_other(
    of_array: list[dict[str, Any]], of_image: list[dict[str, Any]], voxel: tuple[int, ...]
) -> None:
    place = np.array(voxel, float)
    for one in of_array + of_image:
        if one["type"] != "identity":
            place = place * one["scale"] if one["type"] == "scale" else place + one["translation"]
    dataset = {"path": "0", "coordinateTransformations": of_array}
    multiscale = {"axes": axes(), "datasets": [dataset], "coordinateTransformations": of_image}
    size, origin, _ = ngff.grid_of(multiscale, "ZYX")
    assert size is not None
    np.testing.assert_allclose(np.array(origin) + np.array(voxel) * size, place, rtol=1e-9)


def test_of_a_pyramid_the_full_resolution_is_listed(tmp_path: Path) -> None:
    root = store(tmp_path / "a.zarr")
    for level in range(3):
        step = 2**level
        root.create_array(f"scale/{level}", data=STACK[:, ::step, ::step])
    root.attrs["multiscales"] = [{"axes": axes(), "datasets": [{"path": f"scale/{level}"} for level in range(3)]}]
    (info,) = inspect(tmp_path / "a.zarr").datasets
    assert (info.path, info.shape) == ("scale/0", STACK.shape)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr").data[...], STACK)


def test_collections_and_plain_arrays_are_listed_by_group(tmp_path: Path) -> None:
    root = store(tmp_path / "a.zarr")
    for name in ("A/1/0", "A/1/1", "B/1/0"):
        image(root.require_group(name), STACK)
    root.create_array("deep/er/raw", data=STACK)
    root.create_array("table", data=np.arange(10))
    infos = {d.path: d for d in inspect(tmp_path / "a.zarr").datasets}
    assert set(infos) == {"A/1/0", "A/1/1", "B/1/0", "deep/er/raw"}
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr", "deep/er/raw").data[...], STACK)
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr", "A/1/1").data[...], STACK)
    for name, why in (("table", r"its shape is \(10,\): no picture"), ("deep", "it is a group, no array")):
        with pytest.raises(ScutoidError, match=f"`{name}` in .* could not be opened: {why}"):
            open_volume(tmp_path / "a.zarr", name)


@pytest.mark.parametrize(
    ("names", "axes"),
    [
        (["t", "y", "x"], "TYX"),
        (["y", "x", "z"], "ZYX"),
        ([None, "y", "x"], "ZYX"),
        (["depth", "y", "x"], "ZYX"),
        (["y", "x"], "ZYX"),
        (7, "ZYX"),
    ],
)
def test_axes_of_plain_arrays_are_believed_where_all_are_known(tmp_path: Path, names: Any, axes: str) -> None:
    xarray = raw_store(tmp_path / "xarray.zarr", STACK)
    (xarray / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": names}))
    stores = [xarray]
    if isinstance(names, list) and len(names) == 3:
        stores.append(tmp_path / "three.zarr")
        zarr.open_group(stores[1], mode="w").create_array("raw", data=STACK, dimension_names=names)
    for path in stores:
        (info,) = inspect(path).datasets
        assert info.axes == axes
        assert info.axes_are_stated == (axes == "TYX" or names == ["y", "x", "z"])


def test_an_array_alone_is_called_as_its_file(tmp_path: Path) -> None:
    path = raw_store(tmp_path / "label.ome.zarr", LABELS)
    (info,) = inspect(path).datasets
    assert (info.path, info.guess) == ("label", "labels")
    np.testing.assert_array_equal(open_labels(path).data, LABELS)


@pytest.mark.parametrize("dtype", ["|b1", "|u1", ">u2", "<u4", "<i8", ">f4", "<f8", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_type_in_either_order(tmp_path: Path, dtype: str, order: str) -> None:
    data = rng.integers(0, 100, (9, 10, 11)).astype(dtype)
    path = raw_store(tmp_path / "raw.zarr", data, order=order)
    (path / "0.0.0").write_bytes(data.tobytes(order=order))
    read = open_volume(path, "raw").data[...]
    np.testing.assert_array_equal(read, data)
    assert read.dtype == data.dtype.newbyteorder("=")


def test_shards_and_other_packings(tmp_path: Path) -> None:
    root = store(tmp_path / "a.zarr", 3)
    root.create_array("sharded", data=STACK, chunks=(4, 4, 4), shards=(8, 12, 12))
    root.create_array("blosc", data=STACK, compressors=zarr.codecs.BloscCodec())
    root.create_array("gzip", data=STACK, chunks=(5, 7, 9), compressors=zarr.codecs.GzipCodec())
    root.create_array("turned", data=STACK, filters=zarr.codecs.TransposeCodec(order=(2, 0, 1)))
    older = store(tmp_path / "b.zarr")
    older.create_array("zlib", data=STACK, compressors={"id": "zlib", "level": 1})
    older.create_array("blosc", data=STACK, compressors={"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 2})
    for path, name in (
        ("a.zarr", "sharded"), ("a.zarr", "blosc"), ("a.zarr", "gzip"), ("a.zarr", "turned"),
        ("b.zarr", "zlib"), ("b.zarr", "blosc"),
    ):  # fmt: skip
        volume = open_volume(tmp_path / path, name)
        np.testing.assert_array_equal(volume.data[2:9, 3:17, ::5], STACK[2:9, 3:17, ::5])
        np.testing.assert_array_equal(volume.data[...], STACK)


@pytest.mark.parametrize("prefix", ["", "my cells.ome.zarr/"])
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_of_a_store_is_read(tmp_path: Path, prefix: str, packing: int) -> None:
    root = store(tmp_path / "a.zarr")
    image(root, STACK)
    root.create_array("labels/cells", data=LABELS)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", packing) as archive:
        for file in sorted((tmp_path / "a.zarr").rglob("*")):
            archive.write(file, prefix + file.relative_to(tmp_path / "a.zarr").as_posix())
    assert inspect(tmp_path / "a.zip").datasets == inspect(tmp_path / "a.zarr").datasets
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zip", "0").data[2:5], STACK[2:5])


def test_a_slice_reads_its_chunks_only(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    image(store(path), STACK, chunks=(1, 20, 24), chunk_key_encoding={"name": "v2", "separator": "/"})
    for z in set(range(12)) - {4}:
        (path / "0" / str(z) / "0" / "0").write_bytes(b"damaged")
    volume = open_volume(path, "0")
    np.testing.assert_array_equal(volume.data[4], STACK[4])
    with pytest.raises(ScutoidError, match=r"`0` could not be read: a part of it is damaged.*copy it again"):
        volume.data[5]


def test_other_formats_do_not_load_zarr() -> None:
    code = "import sys, napari_scutoid.io.open; print('zarr' in sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "False"

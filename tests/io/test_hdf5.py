"""HDF5 of any layout is listed, and no link leads out of the file."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.hdf5 import HDF5, SIGNATURE, has_signature
from napari_scutoid.io.lazy import LazyArray
from napari_scutoid.io.open import inspect, open_labels, open_volume

STACK = np.random.default_rng(2).integers(0, 200, (9, 10, 11)).astype(np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.h5"


def test_nested_arrays_are_listed_and_read_lazily(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["volumes/deep/raw"] = STACK
        file["picture"] = STACK[0]
        file["vector"] = np.arange(5)
        file["number"] = 3
        file["text"] = "hello"
        file["row"] = STACK[:1, :1]
        file["none"] = np.zeros((0, 9, 9))
        file["nothing"] = h5py.Empty("f4")
    info = inspect(path)
    assert [(d.path, d.shape, d.axes) for d in info.datasets] == [
        ("picture", (10, 11), "YX"),
        ("volumes/deep/raw", (9, 10, 11), "ZYX"),
    ]
    data = open_volume(path, "/volumes/deep/raw").data
    assert isinstance(data, LazyArray)
    np.testing.assert_array_equal(data[2:4, ::-1], STACK[2:4, ::-1])
    for name, why in (("vector", "no picture"), ("text", "text"), ("none", "empty"), ("nothing", "empty")):
        with pytest.raises(ScutoidError, match=f"`{name}` in .* could not be opened: it(s shape)? .*{why}"):
            open_volume(path, name)


def test_voxel_size_and_origin_are_read(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for name, size in (("good", (0.5, 0.2, 0.1)), ("zero", (0.0, 1, 1)), ("short", (1.0, 1.0)), ("word", "big")):
            file[name] = STACK
            file[name].attrs["element_size_um"] = size
        file["good"].attrs["origin_um"] = (1.0, 2.0, 3.0)
        file["zero"].attrs["origin_um"] = (np.nan, 2.0, 3.0)
    good = open_volume(path, "good")
    assert good.voxel_size_um == (0.5, 0.2, 0.1)
    assert good.origin_um == (1, 2, 3)
    for name in ("zero", "short", "word"):
        assert open_volume(path, name).voxel_size_um is None
        assert open_volume(path, name).origin_um == (0, 0, 0)


def test_axes_that_the_file_names_are_believed(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = STACK
        for dimension, axis in zip(file["raw"].dims, "xyc", strict=True):
            dimension.label = axis
    assert inspect(path).datasets[0].axes == "CYX"
    volume = open_volume(path, channel=4)
    assert volume.shape == (1, 10, 9)
    np.testing.assert_array_equal(volume.data[0], STACK[:, :, 4].T)
    with pytest.raises(ScutoidError, match="leave out --time"):
        open_volume(path, channel=4, time=1)


ILASTIK = '{"axes": [{"key": "%s", "typeFlags": 2}, {"key": "x"}, {"key": "c"}]}'


@pytest.mark.parametrize(
    ("name", "stated", "axes", "shape"),
    [
        ("axis_order", "TYX", "TYX", (9, 10, 11)),
        ("axis_order", "yxz", "ZYX", (11, 9, 10)),
        ("axis_order", "YX", "ZYX", (9, 10, 11)),
        ("axis_order", 7, "ZYX", (9, 10, 11)),
        ("axistags", ILASTIK % "y", "CYX", (11, 9, 10)),
        ("axistags", ILASTIK % "a", "ZYX", (9, 10, 11)),
        ("axistags", ILASTIK % "y" + "}", "ZYX", (9, 10, 11)),
        ("axistags", '{"axes": 3}', "ZYX", (9, 10, 11)),
        ("axistags", "[" * 5000, "ZYX", (9, 10, 11)),
    ],
)
def test_axes_that_panseg_and_ilastik_name(
    path: Path, name: str, stated: object, axes: str, shape: tuple[int, ...]
) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = STACK
        file["raw"].attrs[name] = stated
    (info,) = inspect(path).datasets
    assert (info.axes, info.shape) == (axes, shape)


@pytest.mark.parametrize("labels", ["zzz", "abc", "zy"])
def test_axis_names_that_mean_nothing_are_ignored(path: Path, labels: str) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = STACK
        for dimension, axis in zip(file["raw"].dims, labels, strict=False):
            dimension.label = axis
    assert inspect(path).datasets[0].axes == "ZYX"


def test_an_external_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["raw"] = STACK
    with h5py.File(path, "w") as file:
        file["raw"] = h5py.ExternalLink("secret.h5", "/raw")
        file["group"] = h5py.ExternalLink("secret.h5", "/")
        file["soft"] = h5py.SoftLink("/group/raw")
        file["other/image"] = STACK
    assert [d.path for d in inspect(path).datasets] == ["other/image"]
    with pytest.raises(ScutoidError, match=r"`raw` in .* link to another file \(secret\.h5\), and such links are not"):
        open_volume(path, "raw")
    for name in ("group/raw", "soft"):
        with pytest.raises(ScutoidError, match="has no data set"):
            open_volume(path, name)


def test_a_file_with_nothing_but_external_links_says_so(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = h5py.ExternalLink("elsewhere.h5", "/raw")
    with pytest.raises(ScutoidError, match="`raw`: it is a link to another file"):
        open_volume(path)


def test_soft_links_are_followed_inside_the_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["data/one/raw"] = STACK
        file["absolute"] = h5py.SoftLink("/data/one/raw")
        file["data/relative"] = h5py.SoftLink("one/raw")
        file["folder"] = h5py.SoftLink("/data/one")
        file["twice"] = h5py.SoftLink("/folder/raw")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["circle"] = h5py.SoftLink("/circle")
    assert [d.path for d in inspect(path).datasets] == ["data/one/raw"]
    for name in ("absolute", "data/relative", "folder/raw", "twice"):
        np.testing.assert_array_equal(open_volume(path, name).data[...], STACK)
    for name in ("dangling", "circle"):
        with pytest.raises(ScutoidError, match="has no data set"):
            open_volume(path, name)


def test_voxels_in_other_files_are_not_read(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(STACK.tobytes())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["raw"] = STACK
    layout = h5py.VirtualLayout(STACK.shape, STACK.dtype)
    layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "raw", STACK.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("virtual", layout)
        external = [(os.fspath(tmp_path / "secret.bin"), 0, STACK.nbytes)]
        file.create_dataset("external", STACK.shape, STACK.dtype, external=external)
    assert inspect(path).datasets == ()
    for name in ("virtual", "external"):
        with pytest.raises(ScutoidError, match="its voxels lie in other files"):
            open_volume(path, name)


def test_one_array_under_two_names_is_one(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a"] = STACK
        file["b"] = file["a"]
        file["group/loop"] = file
    assert [d.path for d in inspect(path).datasets] == ["a"]


def test_a_header_that_claims_terabytes_allocates_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    with h5py.File(path, "w") as file:
        file.create_dataset("lumped", (2**14, 2**14, 2**8), "u1", chunks=(2, 2**14, 2**8))
        file.create_dataset("label", (2**10, 2**13, 2**14), "f4")
        file.create_dataset("raw", (2**20, 2**20, 2**20), "f4")
    assert inspect(path).datasets[2].shape == (2**20,) * 3
    with pytest.raises(ScutoidError, match=r"its header claims 4.0 EiB, and a\.h5 has .* KiB"):
        open_volume(path, "raw")
    np.testing.assert_array_equal(open_volume(path, "label").data[7, 5, 3:5], [0, 0])
    with pytest.raises(ScutoidError, match="`label` does not fit into memory"):
        open_labels(path)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2**22}))
    with pytest.raises(ScutoidError, match="`lumped` does not fit into memory"):
        open_volume(path, "lumped")


def test_truth_values_and_byte_orders(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["true"] = STACK > 100
        file["big"] = STACK.astype(">u2")
    assert [d.dtype for d in inspect(path).datasets] == ["uint16", "bool"]
    big = open_volume(path, "big").data
    assert big.dtype.isnative
    np.testing.assert_array_equal(big[...], STACK)
    np.testing.assert_array_equal(open_volume(path, "true").data[...], STACK > 100)


def test_compound_types_are_a_message(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["table"] = np.zeros((9, 9), [("id", "i4"), ("name", "S3")])
    assert inspect(path).datasets == ()
    with pytest.raises(ScutoidError, match="it holds no plain numbers"):
        open_volume(path, "table")


@pytest.mark.parametrize("keep", [8, 100, 1000, -1])
def test_a_truncated_file_is_a_message(path: Path, keep: int) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = STACK
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ScutoidError, match=r"could not be opened: its content is damaged or incomplete"):
        inspect(path)


def test_the_signature_is_found_behind_a_user_block() -> None:
    assert HDF5().recognises(Path("a"), SIGNATURE)
    for place in (0, 512, 1024, 4096):
        assert has_signature(bytes(place) + SIGNATURE + bytes(10))
    for place in (1, 511, 1536):
        assert not has_signature(bytes(place) + SIGNATURE + bytes(10))


def test_plain_hdf5_named_mat_keeps_its_order(shared_data: Path) -> None:
    """The seed's own file: the singleton axis is named, and its documented reordering gives the gland."""
    path = shared_data / "mat" / "gland_hdf5_without_matlab_header.mat"
    info = {d.path: d for d in inspect(path).datasets}
    assert inspect(path).format == "HDF5"
    assert (info["image"].shape, info["image"].axes) == ((1, 128, 128, 58), "CZYX")
    volume = open_volume(path)
    assert volume.history == ("channel 0 of 1",)
    gland = open_volume(shared_data / "glands" / "salivary_WT_2017-12-04_1a.h5")
    np.testing.assert_array_equal(volume.data[...].transpose(2, 0, 1), gland.data[...])


def test_a_refused_array_leaves_no_file_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An open file cannot be replaced on Windows, and an error that is kept would keep it open."""
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=STACK, chunks=(2, 4, 4))
    array = HDF5().list(path).arrays[0]
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 1}))
    before = h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE)
    with pytest.raises(ScutoidError, match="does not fit into memory") as kept:
        HDF5().read(path, array)
    assert kept and h5py.h5f.get_obj_count(h5py.h5f.OBJ_ALL, h5py.h5f.OBJ_FILE) == before

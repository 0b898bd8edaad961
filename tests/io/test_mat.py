"""Both kinds of MATLAB file show an array as MATLAB shows it, whatever wrote the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.mat_write import write_mat73
from napari_scutoid.io.open import inspect, open_labels, open_volume

if TYPE_CHECKING:
    from pathlib import Path

TYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]


def stack(dtype: str = "uint8", shape: tuple[int, ...] = (9, 10, 11)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 120, shape).astype(dtype)


def matlab_order(zyx: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.moveaxis(zyx, 0, 2)


def put_matlab_header(path: Path, version: bytes = b"\x00\x02IM") -> None:
    """Turn HDF5 with a user block of 512 bytes into what MATLAB writes."""
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + version)


@pytest.mark.parametrize("compressed", [False, True], ids=["v6", "v7"])
def test_v5_is_shown_as_matlab_shows_it(tmp_path: Path, compressed: bool) -> None:
    zyx = stack("uint16")
    scipy.io.savemat(tmp_path / "a.mat", {"raw": matlab_order(zyx)}, do_compression=compressed)
    info = inspect(tmp_path / "a.mat")
    assert info.format == "MATLAB 5-7"
    assert [(d.path, d.shape, d.axes, d.dtype) for d in info.datasets] == [("raw", (9, 10, 11), "ZYX", "uint16")]
    np.testing.assert_array_equal(open_volume(tmp_path / "a.mat").data[...], zyx)


@pytest.mark.parametrize("dtype", TYPES)
def test_v73_round_trip(tmp_path: Path, dtype: str) -> None:
    zyx = stack(dtype)
    write_mat73(tmp_path / "a.mat", {"raw": zyx})
    assert inspect(tmp_path / "a.mat").format == "MATLAB 7.3"
    data = open_volume(tmp_path / "a.mat", "raw").data
    assert data.dtype == zyx.dtype
    np.testing.assert_array_equal(data[...], zyx)


@given(zyx=arrays("float32", array_shapes(min_dims=2, max_dims=5, max_side=4), elements=st.floats(-9, 9, width=32)))
def test_v5_and_v73_of_one_array_are_listed_alike(tmp_path_factory: pytest.TempPathFactory, zyx: np.ndarray) -> None:
    folder = tmp_path_factory.mktemp("mat")
    write_mat73(folder / "new.mat", {"a": zyx})
    with h5py.File(folder / "new.mat") as file:
        scipy.io.savemat(folder / "old.mat", {"a": file["a"][()].T})
    new, old = inspect(folder / "new.mat").datasets, inspect(folder / "old.mat").datasets
    if sum(side > 1 for side in zyx.shape) < 2:
        assert new == old == ()
        return
    # MATLAB drops singleton axes at its end; h5py's file may keep them at its beginning, and both hold every voxel.
    assert new[0].shape == zyx.shape
    assert old[0].shape[-2:] == zyx.shape[-2:]
    assert np.prod(old[0].shape) == zyx.size


def test_a_file_by_h5py_with_matlabs_header_is_matlabs(tmp_path: Path) -> None:
    zyx = stack()
    for name, userblock in (("matlab.mat", 512), ("plain.mat", 0)):
        with h5py.File(tmp_path / name, "w", userblock_size=userblock) as file:
            file["raw"] = zyx.transpose(0, 2, 1)
    put_matlab_header(tmp_path / "matlab.mat")
    np.testing.assert_array_equal(open_volume(tmp_path / "matlab.mat").data[...], zyx)
    assert inspect(tmp_path / "plain.mat").format == "HDF5"
    np.testing.assert_array_equal(open_volume(tmp_path / "plain.mat").data[...], zyx.transpose(0, 2, 1))


def test_content_decides_not_the_extension(tmp_path: Path) -> None:
    write_mat73(tmp_path / "a.h5", {"raw": stack()})
    scipy.io.savemat(tmp_path / "b.hdf5", {"raw": matlab_order(stack())}, appendmat=False)
    assert inspect(tmp_path / "a.h5").format == "MATLAB 7.3"
    assert inspect(tmp_path / "b.hdf5").format == "MATLAB 5-7"


def test_laboratory_scales_are_the_voxel_size(tmp_path: Path) -> None:
    zyx, scales = stack(), {"pixelScale": 0.25, "zScale": 4.0}
    write_mat73(tmp_path / "new.mat", {"raw": zyx}, scales)
    scipy.io.savemat(tmp_path / "old.mat", {"raw": matlab_order(zyx), **scales})
    write_mat73(tmp_path / "half.mat", {"raw": zyx}, {"pixelScale": 0.25})
    write_mat73(tmp_path / "wrong.mat", {"raw": zyx}, {"pixelScale": 0.0, "zScale": 4.0})
    assert open_volume(tmp_path / "new.mat").voxel_size_um == (1.0, 0.25, 0.25)
    assert open_volume(tmp_path / "old.mat").voxel_size_um == (1.0, 0.25, 0.25)
    assert open_volume(tmp_path / "half.mat").voxel_size_um is None
    assert open_volume(tmp_path / "wrong.mat").voxel_size_um is None


def test_v5_structs_and_cells_are_listed(tmp_path: Path) -> None:
    zyx = stack()
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = matlab_order(zyx), "text"
    content = {"s": {"inner": {"raw": matlab_order(zyx)}, "n": 3}, "c": cells, "note": "text", "v": np.arange(9)}
    scipy.io.savemat(tmp_path / "a.mat", content)
    assert [d.path for d in inspect(tmp_path / "a.mat").datasets] == ["s/inner/raw", "c{1}"]
    for path in ("s/inner/raw", "c{1}"):
        np.testing.assert_array_equal(open_volume(tmp_path / "a.mat", path).data[...], zyx)
    for name, why in (("s", "it is a struct"), ("note", "it holds text"), ("v", r"its shape is \(1, 9\): no picture")):
        with pytest.raises(ScutoidError, match=why):
            open_volume(tmp_path / "a.mat", name)


def test_v73_structs_and_cells_are_listed(tmp_path: Path) -> None:
    zyx = stack()
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        stored = zyx.transpose(0, 2, 1)
        file["s/inner/raw"] = stored
        file["#refs#/a"], file["#refs#/b"] = stored, np.arange(3.0)
        file.create_dataset("c", (2, 1), h5py.ref_dtype)
        file["c"][0, 0], file["c"][1, 0] = file["#refs#/a"].ref, file["#refs#/b"].ref
        file["t"] = np.array([[72], [105]], np.uint16)
        file["t"].attrs["MATLAB_class"] = np.bytes_(b"char")
        file["e"] = np.array([0, 3], np.uint64)
        file["e"].attrs["MATLAB_empty"] = np.uint8(1)
    put_matlab_header(path)
    assert [d.path for d in inspect(path).datasets] == ["c{1}", "s/inner/raw"]
    for name in ("c{1}", "s/inner/raw"):
        np.testing.assert_array_equal(open_volume(path, name).data[...], zyx)
    for name, why in (
        ("c", "it is a cell array"),
        ("t", "it holds text"),
        ("e", "it is empty"),
        ("s", "it is a group"),
    ):
        with pytest.raises(ScutoidError, match=why):
            open_volume(path, name)


def test_a_cell_array_that_holds_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("c", (1, 1), h5py.ref_dtype)
        file["c"][0, 0] = file["c"].ref
        file["g/loop"] = file
    put_matlab_header(path)
    assert inspect(path).datasets == ()


def test_doubles_that_hold_labels_become_labels(tmp_path: Path) -> None:
    zyx = stack("float64")
    zyx[0, 0, 0] = 70_000
    write_mat73(tmp_path / "new.mat", {"labelledImage3D": zyx})
    scipy.io.savemat(tmp_path / "old.mat", {"labelledImage3D": matlab_order(zyx)})
    for name in ("new.mat", "old.mat"):
        labels = open_labels(tmp_path / name)
        assert labels.data.dtype == np.uint32
        np.testing.assert_array_equal(labels.data, zyx)
    assert open_labels(tmp_path / "new.mat").history == ("float64 holding whole numbers narrowed to uint32",)


def test_complex_numbers_are_a_message(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "old.mat", {"raw": stack("float64") + 1j})
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["raw"] = np.zeros((4, 9, 9), [("real", "f8"), ("imag", "f8")])
    put_matlab_header(tmp_path / "new.mat")
    assert inspect(tmp_path / "new.mat").datasets[0].reason == "it holds complex numbers"
    for name in ("old.mat", "new.mat"):
        with pytest.raises(ScutoidError, match=r"`raw` could not be opened: it holds complex numbers"):
            open_volume(tmp_path / name, "raw")


def test_a_header_that_claims_terabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"raw": np.zeros((8, 9, 10), np.uint8)}, do_compression=False)
    content = path.read_bytes()
    path.write_bytes(content.replace(np.array([8, 9, 10], "<i4").tobytes(), np.array([90000] * 3, "<i4").tobytes()))
    assert inspect(path).datasets[0].shape == (90000,) * 3
    with pytest.raises(ScutoidError, match=r"its header claims 663\.0 TiB"):
        open_volume(path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("keep", [130, 150, 300, -40])
def test_a_truncated_v5_file_is_a_message(tmp_path: Path, compressed: bool, keep: int) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"raw": matlab_order(stack())}, do_compression=compressed)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ScutoidError):
        open_volume(path)


@pytest.mark.parametrize("keep", [128, 600, -100])
def test_a_truncated_v73_file_is_a_message(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.mat"
    write_mat73(path, {"raw": stack()})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ScutoidError, match="damaged or incomplete"):
        open_volume(path)


def test_a_damaged_struct_is_a_message(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"s": {"raw": matlab_order(stack())}}, do_compression=True)
    content = bytearray(path.read_bytes())
    content[136:145] = bytes(9)
    path.write_bytes(content)
    with pytest.raises(ScutoidError, match="damaged"):
        inspect(path)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ((4, 9 * 10 * 11 * 2), (0, 9 * 10 * 11 * 2)),
        ((4, 9 * 10 * 11 * 2), (4, 2**31)),
        ((6, 8, 11), (6, 8, 11 | 0x800)),
        ((6, 8, 11), (6, 0, 11)),
        ((6, 8, 11), (6, 8, 99)),
        ((5, 12), (5, 0)),
        ((5, 8, 1, 1), (5, 8, 20_000, 20_000)),
    ],
    ids=["type", "size", "imaginary part", "no flags", "class", "no axes", "elements"],
)
def test_parts_that_do_not_fit_are_a_message(tmp_path: Path, good: tuple[int, ...], bad: tuple[int, ...]) -> None:
    """SciPy would crash the interpreter, or make room for billions of elements."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"s": {"raw": matlab_order(stack("uint16"))}}, do_compression=False)
    good_bytes, bad_bytes = (np.array(words, "<u4").tobytes() for words in (good, bad))
    content = path.read_bytes()
    assert good_bytes in content
    path.write_bytes(content.replace(good_bytes, bad_bytes))
    with pytest.raises(ScutoidError, match="damaged or incomplete"):
        inspect(path)


def test_what_matlab_writes_is_written(tmp_path: Path) -> None:
    """The details MATLAB needs, as in its own files: header, class attributes, reversed axes, logical marks."""
    path = tmp_path / "a.mat"
    write_mat73(path, {"mask": stack("bool"), "half": stack("float16")}, {"zScale": 2.5})
    head = path.read_bytes()[:512]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[116:128] == bytes(8) + b"\x00\x02IM"
    assert head[128:] == bytes(384)
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        assert file["mask"].shape == (9, 11, 10)
        assert (file["mask"].dtype, file["half"].dtype, file["zScale"].shape) == ("uint8", "float32", (1, 1))
        assert file["mask"].attrs["MATLAB_int_decode"] == 1
        classes = {name: file[name].attrs["MATLAB_class"] for name in file}
        assert classes == {"mask": b"logical", "half": b"single", "zScale": b"double"}
        kind = h5py.h5a.open(file["mask"].id, b"MATLAB_class").get_type()
        assert kind.get_strpad() == h5py.h5t.STR_NULLTERM
    write_mat73(tmp_path / "b.mat", {"mask": stack("bool"), "half": stack("float16")}, {"zScale": 2.5})
    assert (tmp_path / "b.mat").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "array", "match"),
    [
        ("1st", stack(), "no name that a MATLAB variable"),
        ("a/b", stack(), "no name that a MATLAB variable"),
        ("a" * 64, stack(), "no name that a MATLAB variable"),
        ("a", np.arange(3), "two or more axes"),
        ("a", stack("complex64"), "complex64, which MATLAB does not have"),
    ],
)
def test_what_matlab_cannot_hold_is_refused(tmp_path: Path, name: str, array: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        write_mat73(tmp_path / "a.mat", {name: array})
    assert list(tmp_path.iterdir()) == []


def test_the_same_array_from_matlab_loads_equal_from_both_versions(shared_data: Path) -> None:
    old, new = (shared_data / "mat" / f"MFL_{version}_multiDimMatrix.mat" for version in ("v5", "v73"))
    expected = scipy.io.loadmat(old)["in"]
    assert inspect(old).datasets == inspect(new).datasets
    assert inspect(old).datasets[0].axes == "TCZYX"
    for time in range(6):
        for channel in range(5):
            one, other = (open_volume(path, "in", time=time, channel=channel).data[...] for path in (old, new))
            np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(one[3], expected[:, :, 3, channel, time])


@pytest.mark.parametrize(
    ("name", "file"),
    [("RegIm", "epitools_v5_RegIm_wClahe_uint8.mat"), ("ILabels", "epitools_v5_TrackingStart_ILabels.mat")],
)
def test_epitools_copies_load_equal(shared_data: Path, name: str, file: str) -> None:
    old = open_volume(shared_data / "mat" / file, name)
    new = open_volume(shared_data / "mat" / "epitools_v73_SegResults_8bit.mat", name)
    assert old.shape == new.shape == (8, 199, 206)
    assert old.dtype == new.dtype
    np.testing.assert_array_equal(old.data[...], new.data[...])


def test_orientation_is_that_of_the_picture(shared_data: Path) -> None:
    """``test_image_8bit.tif`` shows the tissue of the EpiTools files: rows and columns must lie as there."""
    tifffile = pytest.importorskip("tifffile")
    picture = tifffile.imread(shared_data / "tiff" / "test_image_8bit.tif").max(axis=0).astype(float)
    frames = open_volume(shared_data / "mat" / "epitools_v73_SegResults_8bit.mat", "RegIm").data
    assert frames.shape[1:] == picture.shape == (199, 206)
    square = picture[:199, :199]
    turned = {"as is": square, "swapped": square.T, "upside down": square[::-1], "mirrored": square[:, ::-1]}
    likeness = {
        how: max(np.corrcoef(other.ravel(), frame[:199, :199].ravel())[0, 1] for frame in frames[...])
        for how, other in turned.items()
    }
    assert max(likeness, key=lambda how: likeness[how]) == "as is"
    assert likeness["as is"] > 0.5


def test_a_singleton_axis_is_named_and_kept(shared_data: Path) -> None:
    path = shared_data / "mat" / "mri_MathWorks_v5.mat"
    info = inspect(path).datasets[0]
    assert (info.path, info.shape, info.axes) == ("D", (27, 1, 128, 128), "ZCYX")
    volume = open_volume(path)
    assert volume.history == ("channel 0 of 1",)
    np.testing.assert_array_equal(volume.data[5], scipy.io.loadmat(path)["D"][:, :, 0, 5])


def test_small_files_of_every_version_hold_the_same(shared_data: Path) -> None:
    arrays = [
        open_volume(shared_data / "mat" / f"MATjl_{version}_array.mat", "a2x2x2").data[...]
        for version in ("v6", "v7", "v7.3")
    ]
    for other in arrays[1:]:
        np.testing.assert_array_equal(arrays[0], other)


def test_doubles_that_were_stored_as_bytes_stay_bytes(shared_data: Path) -> None:
    """As doubles they would take eight times the memory."""
    path = shared_data / "mat" / "cellsegm_v5_surfstain_and_manual_3D.mat"
    assert {d.dtype for d in inspect(path).datasets} == {"float64"}
    volume = open_volume(path)
    assert (str(volume.source), volume.shape, volume.dtype) == (f"{path}:imsegm", (19, 512, 512), np.uint8)

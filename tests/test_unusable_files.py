"""What cannot be used, in every format and to every format: one message, exit 2, nothing written or changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import scipy.io
import tifffile
import zarr

from napari_scutoid.io.save import result_suffixes
from told import assert_is_message, scutoid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

STACK = np.random.default_rng(8).integers(0, 200, (9, 20, 22)).astype(np.float32)
HUGE = 2**15
FORMATS = ("hdf5.h5", "matlab73.mat", "matlab5.mat", "plain.tif", "imagej.tif", "ome.ome.tif", "2.zarr", "3.zarr")


def write(path: Path, array: NDArray[Any]) -> None:
    """Write an array of any kind as data set `raw`, as other programs do."""
    if path.name == "matlab5.mat":
        scipy.io.savemat(path, {"raw": array})
    elif path.suffix == ".tif":
        told = {"imagej": {"imagej": True}, "ome": {"ome": True}}.get(path.name.partition(".")[0], {})
        tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": "ZYX"}, **told)
    elif path.suffix == ".zarr":
        zarr.open_group(path, mode="w", zarr_format=int(path.stem)).create_array("raw", data=array, chunks=(4, 10, 11))
    else:
        pair = np.dtype([("real", "f4"), ("imag", "f4")])
        matlab = path.suffix == ".mat"
        with h5py.File(path, "w", userblock_size=512 * matlab) as file:
            if array.size:
                file["raw"] = array.view(pair) if matlab and array.dtype.kind == "c" else array
            else:
                file.create_dataset("raw", array.shape, array.dtype, maxshape=(None, 20, 22))
        if matlab:
            with path.open("r+b") as stream:
                stream.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def half(path: Path) -> None:
    write(path, STACK)
    if path.is_dir():
        # Zarr takes a missing piece for zeros, as its standard says; a piece that was cut is no such.
        path = max((file for file in path.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_one(number: float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        array = STACK.copy()
        array[-1, -1, -1] = number
        write(path, array)

    return make


def without_slices(path: Path) -> None:
    write(path, STACK[:0])


def complex_numbers(path: Path) -> None:
    write(path, (STACK + 1j).astype(np.complex64))


def text(path: Path) -> None:
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="w", zarr_format=2)
        group.create_array("raw", shape=(9, 20), dtype="S3")
    elif path.name == "matlab5.mat":
        scipy.io.savemat(path, {"raw": "text"})
    else:
        write(path, np.full((9, 20, 22), b"abc"))


def terabytes(path: Path) -> None:
    """Let the header say that each axis has 32768 voxels, which the file cannot hold."""
    write(path, STACK)
    if path.suffix == ".tif":
        with tifffile.TiffFile(path, mode="r+") as tif:
            for page in tif.pages:
                for length in (256, 257):
                    page.tags[length].overwrite(10**6, dtype="I")
    elif path.name == "matlab5.mat":
        lengths = np.array(STACK.shape, "<i4").tobytes()
        path.write_bytes(path.read_bytes().replace(lengths, np.array([HUGE] * 3, "<i4").tobytes()))
    elif path.suffix == ".zarr":
        header = path / "raw" / {"2": ".zarray", "3": "zarr.json"}[path.stem]
        header.write_text(json.dumps(json.loads(header.read_text()) | {"shape": [HUGE] * 3}))
    else:
        with h5py.File(path, "a") as file:
            del file["raw"]
            file.create_dataset("raw", (HUGE,) * 3, "f4", chunks=(4, 64, 64))


def link(path: Path) -> None:
    """Let the voxels lie in another file, which is there."""
    outside = path.parent / f"other{path.suffix}"
    if path.suffix == ".zarr":
        write(path.parent / "2.zarr", STACK)
        outside.mkdir()
        (path / "raw").rename(outside / "raw")
        (path / "raw").symlink_to(outside / "raw", target_is_directory=True)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, STACK, ome=True, metadata={"axes": "ZYX"})
        with tifffile.TiffFile(path) as tif:
            xml = str(tif.ome_metadata)
        there = f'<TiffData IFD="0" PlaneCount="9"><UUID FileName="{outside.name}">urn:uuid:2</UUID></TiffData>'
        start, end = xml.index("<TiffData"), xml.index("/>", xml.index("<TiffData")) + 2
        tifffile.imwrite(path, STACK, description=xml[:start] + there + xml[end:], metadata=None)
        path.rename(outside)
        outside.replace(path)
        tifffile.imwrite(outside, STACK)
    else:
        write(path, STACK)
        path.rename(outside)
        write(path, STACK)
        with h5py.File(path, "a") as file:
            del file["raw"]
            file["raw"] = h5py.ExternalLink(outside.name, "/raw")


Fault = tuple["Callable[[Path], None]", str, tuple[str, ...]]

FAULTS: dict[str, Fault] = {
    "half": (half, "damaged|claims|could not be read", FORMATS),
    "NaN": (with_one(np.nan), "some voxels are NaN or infinite", FORMATS),
    "infinity": (with_one(-np.inf), "some voxels are NaN or infinite", FORMATS),
    # A TIFF without voxels cannot be written, and has no words for text.
    "no slices": (without_slices, "it is empty", tuple(name for name in FORMATS if ".tif" not in name)),
    # ImageJ has no complex numbers.
    "complex": (complex_numbers, "it holds complex numbers", tuple(name for name in FORMATS if name != "imagej.tif")),
    "text": (text, "it holds text|no plain numbers", ("hdf5.h5", "matlab73.mat", "matlab5.mat", "2.zarr")),
    "terabytes": (terabytes, "claims|damaged", FORMATS),
    "link": (link, "not followed", ("hdf5.h5", "matlab73.mat", "ome.ome.tif", "2.zarr")),
}


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {str(file): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}


@pytest.mark.parametrize(("fault", "name"), [(fault, name) for fault in FAULTS for name in FAULTS[fault][2]])
def test_one_message_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fault: str, name: str
) -> None:
    make, why, _ = FAULTS[fault]
    source, out = tmp_path / name, tmp_path / "out"
    make(source)
    out.mkdir()
    before = contents(tmp_path)
    for suffix in (*result_suffixes(), ".ome.tif"):
        for dataset in ((), ("--dataset", "series0" if ".tif" in name else "raw")):
            assert scutoid("convert", source, *dataset, "-o", out / f"a{suffix}") == 2
            shown = capsys.readouterr()
            assert shown.out == ""
            assert_is_message(shown.err)
            assert any(word in shown.err for word in why.split("|")), shown.err
            assert list(out.iterdir()) == []
    assert contents(tmp_path) == before

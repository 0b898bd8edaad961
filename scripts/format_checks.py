"""Find out what each file format can do here, by doing it: files of other programs are read, and ours by others.

`make_formats_page` writes what comes out into ``docs/formats.md``; ``tests/io/test_formats_table.py`` does it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import psutil
import pymatreader
import scipy.io
import tifffile
import zarr

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.mat_write import write_mat73
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.save import save_result, save_stack
from napari_scutoid.volume import Labels, Volume, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

TESTS = Path(__file__).resolve().parents[1] / "tests" / "io"
SIZE = VoxelSize(0.6, 0.25, 0.25)
STACK = np.random.default_rng(3).integers(0, 4000, (48, 130, 150)).astype(np.uint16)
LARGE_IDS = (np.indices((9, 20, 22)).sum(axis=0) // 8 * 1000 + 65_000).astype(np.uint32)
LARGE_IDS[0, 0, :2] = 0, 2**32 - 1

COLUMNS = ("format", "read", "write", "lazy", "voxel size", "labels over 65535", "verified with")


@dataclass(frozen=True)
class Subject:
    """One format and how other programs write and read it.

    Parameters
    ----------
    name, extension : str
        As the table shows it, and as its files are called.
    foreign : callable
        Writes an array (z, y, x) with a voxel size to a path, by other means than this program's.
    size_is_in : str
        Where the file keeps the voxel size; empty where it has no place for one.
    writer_is : str
        The program behind `foreign`.
    theirs : mapping
        Readers of what this program writes, by the name of their program: each returns the array as (z, y, x).
    suffix : str
        Of the files that this program writes; empty for formats that it only reads.
    tests : mapping
        Programs that are not in every installation, and the tests that ask them, as ``FILE::FUNCTION``.
    """

    name: str
    extension: str
    foreign: Callable[[Path, NDArray[Any]], None]
    size_is_in: str
    writer_is: str
    theirs: Mapping[str, Callable[[Path], NDArray[Any]]]
    suffix: str
    tests: Mapping[str, str]


def row(subject: Subject, folder: Path) -> tuple[str, ...]:
    """Return the table's row of a format; `folder` is empty and will not be."""
    foreign = folder / f"foreign{subject.extension}"
    subject.foreign(foreign, STACK)
    volume = open_volume(foreign)
    readers = [name for name, read in subject.theirs.items() if _they_read(read, subject.suffix, folder)]
    verified = {subject.writer_is: None, **dict.fromkeys(readers), **dict.fromkeys(sorted(subject.tests))}
    missing = [test for test in subject.tests.values() if not _exists(test)]
    if missing:
        raise LookupError(f"no such tests: {missing}")
    return (
        subject.name,
        "yes" if np.array_equal(volume.data[...], STACK) else "no",
        f"yes, `{subject.suffix}`" if readers and len(readers) == len(subject.theirs) else "no",
        "yes" if _reads_a_slice_only(foreign) else "no, read whole",
        _voxel_size(subject, volume, folder),
        _large_labels(subject, folder),
        ", ".join(verified),
    )


def _they_read(read: Callable[[Path], NDArray[Any]], suffix: str, folder: Path) -> bool:
    path = folder / f"stack{suffix}"
    if not path.exists():
        save_stack(path, Volume(STACK, SIZE), Labels(STACK))
    return np.array_equal(read(path), STACK)


def _reads_a_slice_only(path: Path) -> bool:
    """Whether one of 48 slices takes less than a quarter of the file; Linux counts what a process reads."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    whole = sum(file.stat().st_size for file in files)
    counters = psutil.Process().io_counters
    name = _only_array(path)
    # Named, so that no guess looks at voxels; and twice, since modules that are imported now are read, too.
    for _ in range(2):
        before = counters().read_chars
        slice_20 = open_volume(path, name).data[20]
        read = counters().read_chars - before
    return bool(np.array_equal(slice_20, STACK[20])) and read < whole / 4


def _voxel_size(subject: Subject, volume: Volume, folder: Path) -> str:
    if not subject.size_is_in:
        return "no place for it" if volume.voxel_size_um is None else "wrong"
    sizes = [volume.voxel_size_um]
    if subject.suffix:
        sizes.append(open_volume(folder / f"stack{subject.suffix}").voxel_size_um)
    known = all(size is not None and np.allclose(size, SIZE) for size in sizes)
    return f"yes: {subject.size_is_in}" if known else "no"


def _large_labels(subject: Subject, folder: Path) -> str:
    path = folder / f"labels{subject.suffix or subject.extension}"
    if subject.suffix:
        save_result(path, Labels(LARGE_IDS, SIZE), {}, {})
    else:
        try:
            subject.foreign(path, LARGE_IDS)
        except ValueError:
            return "no"
    try:
        kept = np.array_equal(open_labels(path, _only_array(path)).data, LARGE_IDS)
    except ScutoidError:
        return "no"
    if path.suffix == ".tif" and "ImageJ" in subject.name and kept:
        with tifffile.TiffFile(path) as tiff:
            return "yes, then as OME-TIFF" if tiff.is_ome and not tiff.is_imagej else "yes"
    return "yes" if kept else "no"


def _only_array(path: Path) -> str:
    (found,) = inspect(path).datasets
    return found.path


def _exists(test: str) -> bool:
    file, _, function = test.partition("::")
    return f"def {function}(" in (TESTS / file).read_text(encoding="utf-8")


# How other programs write


def _matlab_order(array: NDArray[Any]) -> NDArray[Any]:
    return np.moveaxis(array, 0, 2)


def _scipy(path: Path, array: NDArray[Any]) -> None:
    lab = {"pixelScale": SIZE.x, "zScale": SIZE.z / SIZE.x}
    scipy.io.savemat(path, {"raw": _matlab_order(array), **lab}, do_compression=True)


def _matlab73(path: Path, array: NDArray[Any]) -> None:
    # No other program that writes this format is at hand: `tests` names those that read it.
    write_mat73(path, {"raw": array}, {"pixelScale": SIZE.x, "zScale": SIZE.z / SIZE.x})


def _h5py(path: Path, array: NDArray[Any]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=array, chunks=True, compression="gzip").attrs["element_size_um"] = SIZE


def _plain_tiff(path: Path, array: NDArray[Any]) -> None:
    tifffile.imwrite(path, array, photometric="minisblack")


def _imagej(path: Path, array: NDArray[Any]) -> None:
    metadata = {"axes": "ZYX", "spacing": SIZE.z, "unit": "um"}
    tifffile.imwrite(path, array, imagej=True, resolution=(1 / SIZE.x, 1 / SIZE.y), metadata=metadata)


def _ome_tiff(path: Path, array: NDArray[Any]) -> None:
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", SIZE, strict=True)}
    tifffile.imwrite(path, array, ome=True, metadata={"axes": "ZYX", **sizes})


def _ngff(version: int) -> Callable[[Path, NDArray[Any]], None]:
    def write(path: Path, array: NDArray[Any]) -> None:
        group = zarr.open_group(path, mode="w", zarr_format=version)  # type: ignore[arg-type]
        group.create_array("0", data=array, chunks=(8, 64, 64))
        axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
        level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": list(SIZE)}]}
        told = {"version": "0.4" if version == 2 else "0.5"}
        multiscales = [{"axes": axes, "datasets": [level], **(told if version == 2 else {})}]
        if version == 2:
            group.attrs["multiscales"] = multiscales
        else:
            group.attrs["ome"] = {**told, "multiscales": multiscales}

    return write


# How other programs read what this one writes


def _h5py_reads(path: Path) -> NDArray[Any]:
    with h5py.File(path) as file:
        return np.asarray(file["raw"])


def _h5py_reads_matlab(path: Path) -> NDArray[Any]:
    with h5py.File(path) as file:
        return np.asarray(file["imageSequenceInterpolated"]).swapaxes(1, 2)


def _pymatreader_reads(path: Path) -> NDArray[Any]:
    return np.moveaxis(pymatreader.read_mat(path)["imageSequenceInterpolated"], 2, 0)


def _zarr_reads(path: Path) -> NDArray[Any]:
    return np.asarray(zarr.open_group(path, mode="r")["0"])


SUBJECTS = (
    Subject("MATLAB 5 to 7", ".mat", _scipy, "`pixelScale`, `zScale`", "scipy", {}, "", {}),
    Subject(
        "MATLAB 7.3",
        ".mat",
        _matlab73,
        "`pixelScale`, `zScale`, `voxelSizeUm`",
        "MATLAB's files",
        {"h5py": _h5py_reads_matlab, "pymatreader": _pymatreader_reads},
        ".mat",
        {
            "MATLAB's files": "test_mat.py::test_epitools_copies_load_equal",
            "libmatio": "test_mat_write.py::test_libmatio_reads_a_result",
            "GNU Octave": "test_mat_write.py::test_octave_reads_a_result",
        },
    ),
    Subject(
        "HDF5",
        ".h5",
        _h5py,
        "`element_size_um`",
        "h5py",
        {"h5py": _h5py_reads},
        ".h5",
        {"PanSeg's rules": "test_panseg.py::test_labels_and_images_need_no_key"},
    ),
    Subject("TIFF", ".tif", _plain_tiff, "", "tifffile", {}, "", {}),
    Subject(
        "ImageJ TIFF",
        ".tif",
        _imagej,
        "`spacing`, resolution, `unit`",
        "tifffile",
        {"tifffile": tifffile.imread},
        ".tif",
        {
            "ImageJ": "test_tiff_write.py::test_imagej_itself_reads_it",
            "Bio-Formats": "test_tiff_write.py::test_bio_formats_reads_it",
            "PanSeg's rules": "test_panseg.py::test_labels_and_images_need_no_key",
        },
    ),
    Subject(
        "OME-TIFF",
        ".ome.tif",
        _ome_tiff,
        "`PhysicalSizeX` and so on",
        "tifffile",
        {"tifffile": tifffile.imread},
        ".ome.tif",
        {
            "Bio-Formats": "test_tiff_write.py::test_bio_formats_reads_it",
            "PanSeg's rules": "test_panseg.py::test_labels_and_images_need_no_key",
        },
    ),
    Subject(
        "OME-Zarr 0.4",
        ".zarr",
        _ngff(2),
        "`scale` and `unit`",
        "zarr",
        {"zarr": _zarr_reads},
        ".zarr",
        {
            "ome-zarr-models": "test_ome_zarr_write.py::test_the_validator_of_the_standard_agrees",
            "napari-ome-zarr": "test_ome_zarr_write.py::test_napari_ome_zarr_opens_it",
            "PanSeg's rules": "test_panseg.py::test_labels_and_images_need_no_key",
        },
    ),
    Subject("OME-Zarr 0.5", ".zarr", _ngff(3), "`scale` and `unit`", "zarr", {}, "", {}),
)

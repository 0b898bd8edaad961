"""Small valid files of every format, for the fuzzer to damage: the project's own, and other programs'."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h5py
import numpy as np
import scipy.io
import tifffile
import zarr

from napari_scutoid.io.mat_write import write_mat73
from napari_scutoid.io.save import result_suffixes, save_stack
from napari_scutoid.volume import Labels, Volume, VoxelSize

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = (9, 10, 11)
IMAGE = np.random.default_rng(0).integers(0, 999, SHAPE).astype(np.uint16)
LABELS = (np.indices(SHAPE).sum(axis=0) // 8).astype(np.uint32)
_OTHER_SPELLINGS = {".hdf5", ".hdf", ".tiff"}
LAB_NAMES = {"pixelScale": 0.3, "zScale": 2.0}


def make_samples(folder: Path) -> list[Path]:
    """Write the samples into `folder` and return them; a folder among them is an OME-Zarr."""
    size = VoxelSize(0.6, 0.3, 0.3)
    for suffix in sorted(set(result_suffixes()) - _OTHER_SPELLINGS):
        save_stack(folder / f"own{suffix}", Volume(IMAGE, size), Labels(LABELS, size))
    _hdf5_of_many_kinds(folder / "oldest.h5", libver="earliest")
    _hdf5_of_many_kinds(folder / "latest.h5", libver="latest")
    write_mat73(folder / "matlab73.mat", {"raw": IMAGE, "labels": LABELS}, LAB_NAMES)
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = IMAGE, "text"
    variables = {"imageSequenceInterpolated": IMAGE, "labels": LABELS * 1.0, "s": {"a": IMAGE}, "c": cells, **LAB_NAMES}
    scipy.io.savemat(folder / "matlab5.mat", variables)
    scipy.io.savemat(folder / "matlab7.mat", variables, do_compression=True)
    tifffile.imwrite(folder / "plain.tif", IMAGE, photometric="minisblack")
    tifffile.imwrite(
        folder / "big.tif", LABELS, bigtiff=True, compression="zlib", tile=(16, 16), photometric="minisblack"
    )
    tifffile.imwrite(
        folder / "imagej.tif",
        IMAGE,
        imagej=True,
        resolution=(3, 3),
        metadata={"spacing": 0.6, "unit": "um", "axes": "ZYX"},
    )
    tifffile.imwrite(folder / "lzw.tif", IMAGE, compression="lzw", predictor=True, photometric="minisblack")
    tifffile.imwrite(folder / "jpeg.tif", IMAGE.astype(np.uint8), compression="jpeg", photometric="minisblack")
    tifffile.imwrite(folder / "ome.ome.tif", IMAGE, metadata={"axes": "ZYX", "PhysicalSizeZ": 0.6})
    for version in (2, 3):
        _ome_zarr(folder / f"version{version}.zarr", version)
    return sorted(folder.iterdir())


def _hdf5_of_many_kinds(path: Path, libver: str) -> None:
    with h5py.File(path, "w", libver=libver) as file:
        file["group/imageSequenceInterpolated"] = IMAGE
        chunked = file.create_dataset("label", data=LABELS, chunks=(3, 5, 5), compression="gzip", shuffle=True)
        chunked.attrs["element_size_um"] = (0.6, 0.3, 0.3)
        file.create_dataset("single", data=IMAGE / 7, chunks=SHAPE, compression="lzf", fletcher32=True)
        file.create_dataset("growing", data=IMAGE, maxshape=(None, *SHAPE[1:]), chunks=(2, 10, 11), scaleoffset=0)
        file.create_dataset("endless", data=IMAGE, maxshape=(None, None, 11), chunks=(2, 4, 11))
        file.create_dataset("text", data=["one", "two"])
        for axis, name in enumerate("zyx"):
            file["single"].dims[axis].label = name
        for number in range(20):  # more than fit into a compact group
            file[f"many/{number}"] = number
        file["soft"] = h5py.SoftLink("/group")
        file["away"] = h5py.ExternalLink("elsewhere.h5", "/raw")
        file["reference"] = np.array([file["label"].ref], dtype=h5py.ref_dtype)


def _ome_zarr(path: Path, version: int) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=version)
    array = group.create_array("0", shape=SHAPE, dtype="u2", chunks=(3, 5, 6))
    array[...] = IMAGE
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.6, 0.3, 0.3]}]}
    multiscales = [{"axes": axes, "datasets": [level], "version": "0.4" if version == 2 else "0.5"}]
    group.attrs.update(
        {"multiscales": multiscales} if version == 2 else {"ome": {"version": "0.5", "multiscales": multiscales}}
    )

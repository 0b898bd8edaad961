"""HDF5 files, written block by block."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_scutoid.io.atomic import replacing
from napari_scutoid.io.hdf5_sink import writing
from napari_scutoid.io.output import SCHEMA_VERSION, as_json
from napari_scutoid.io.suffixes import HDF5
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_scutoid.io.output import Output
    from napari_scutoid.progress import Steps

COMPRESSION: dict[str, Any] = {"compression": "gzip", "compression_opts": 4, "shuffle": True}

# HDF5 keeps attributes of up to 64 KiB in a header; a longer text becomes a data set.
_LONGEST_ATTRIBUTE = 60_000


class HDF5Writer:
    """Plain HDF5: one data set per array.

    Each data set names its axes and carries ``element_size_um`` where its voxel size is known, and ``origin_um``, both
    (z, y, x), and ``history``, a JSON list of what was done since the stack was read. The file carries
    ``schema_version``, and ``provenance`` as JSON: an attribute, or, where it is longer than one can be, a data set.
    """

    suffixes = HDF5
    is_folder = False

    def may_replace(self, path: Path) -> bool:
        """Whether no HDF5 file of another program is there."""
        try:
            if not h5py.is_hdf5(path):
                return True
            with h5py.File(path, "r", locking="best-effort") as root:
                if root.userblock_size:
                    with path.open("rb") as stream:
                        if stream.read(6) == b"MATLAB":
                            return True
                return "schema_version" in root.attrs
        except (OSError, RuntimeError):
            # What may not be opened is told by `check_writable`.
            return True

    def write(self, path: Path, outputs: Mapping[str, Output], provenance: Mapping[str, Any]) -> Steps[None]:
        """Write arrays, packed by gzip 4 after shuffling. See `Writer`."""
        text = as_json(provenance)
        with replacing(path) as part:
            with writing(part) as (root, sink):
                root.attrs["schema_version"] = SCHEMA_VERSION
                if len(text.encode()) <= _LONGEST_ATTRIBUTE:
                    root.attrs["provenance"] = text
                else:
                    root["provenance"] = text
                for name, output in outputs.items():
                    for progress in _write_dataset(root, name, output):
                        sink.check()
                        yield progress


def describe(dataset: h5py.Dataset, output: Output) -> None:
    """Write the grid and the further attributes of an array beside it."""
    grid = output.grid
    if grid.voxel_size_um is not None:
        dataset.attrs["element_size_um"] = np.array(grid.voxel_size_um)
    dataset.attrs["origin_um"] = np.array(grid.origin_um)
    if grid.history:
        dataset.attrs["history"] = json.dumps(grid.history)
    for key, value in output.attributes.items():
        dataset.attrs[key] = value


def _write_dataset(root: h5py.File, name: str, output: Output) -> Steps[None]:
    chunk = output.chunk()
    dataset = root.create_dataset(name, output.shape, output.dtype, chunks=chunk, **COMPRESSION)
    keys = output.keys(chunk)
    for number, key in enumerate(keys, start=1):
        dataset[key] = output.block(key)
        yield Progress(f"Writing {name}", number, len(keys))
    for dimension, axis in zip(dataset.dims, "zyx", strict=True):
        dimension.label = axis
    describe(dataset, output)

"""MATLAB 7.3 files, written block by block: HDF5 behind MATLAB's header, with every array's axes reversed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing
from napari_scutoid.io.hdf5_sink import writing
from napari_scutoid.io.hdf5_write import COMPRESSION, describe
from napari_scutoid.io.mat import CLASS_OF_DTYPE, MATLAB_TEXT
from napari_scutoid.io.output import as_json
from napari_scutoid.io.suffixes import MATLAB
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.io.output import Output
    from napari_scutoid.progress import Steps

_USER_BLOCK_BYTES = 512
_TEXT_DECODE, _LOGICAL_DECODE = 2, 1


class Mat73Writer:
    """MATLAB 7.3: one variable per array, shown as (y, x, z); masks are logical.

    The voxel size of the first array that has one becomes the variable ``voxelSizeUm``, [z y x], and, where y and x are
    equal, also the laboratory's ``pixelScale`` (micrometres a pixel) and ``zScale`` (z step in pixels). ``provenance``
    is JSON text, for MATLAB's ``jsondecode``. Other HDF5 programs find the attributes of `HDF5Writer` on each array.

    Parameters
    ----------
    rows : mapping of str to sequence of numbers, optional
        Further variables: rows of doubles, ``[]`` where they are empty.
    """

    suffixes = MATLAB
    is_folder = False

    def __init__(self, rows: Mapping[str, Sequence[float]] | None = None) -> None:
        self._rows = rows or {}

    def may_replace(self, path: Path) -> bool:
        """Whether no ``.mat`` of another program is there."""
        try:
            with path.open("rb") as stream:
                head = stream.read(len(MATLAB_TEXT))
        except OSError:
            return True
        return head == MATLAB_TEXT or not head.startswith(b"MATLAB")

    def write(self, path: Path, outputs: Mapping[str, Output], provenance: Mapping[str, Any]) -> Steps[None]:
        """Write arrays, packed by gzip 4 after shuffling. See `Writer`.

        Raises ValueError when a name is no MATLAB variable's.
        """
        for name in (*outputs, *self._rows):
            _check_name(name)
        sizes = [output.grid.voxel_size_um for output in outputs.values()]
        size = next((one for one in sizes if one is not None), None)
        with replacing(path) as part:
            with writing(part, user_block=_USER_BLOCK_BYTES) as (root, sink):
                for name, output in outputs.items():
                    for progress in _write_output(root, name, output):
                        sink.check()
                        yield progress
                if size is not None:
                    _write_small(root, "voxelSizeUm", np.array([size]))
                    if size.y == size.x:
                        _write_small(root, "pixelScale", np.array([[size.x]]))
                        _write_small(root, "zScale", np.array([[size.z / size.x]]))
                for name, numbers in self._rows.items():
                    _write_small(root, name, np.array([numbers], np.float64))
                if provenance:
                    _write_text(root, "provenance", as_json(provenance))
            _write_header(part)


def write_mat73(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], scalars: Mapping[str, float] | None = None
) -> None:
    """Write arrays of any number of axes as a ``.mat`` of version 7.3, as MATLAB's own ``save -v7.3`` does.

    Parameters
    ----------
    path : path
        File to write or replace.
    arrays : mapping of str to ndarray
        Variables in napari's order, (..., y, x); MATLAB shows a (z, y, x) stack as (y, x, z). Logical, integer, single
        and double; float16 becomes single.
    scalars : mapping of str to float, optional
        Variables of one double each, e.g. ``pixelScale``.

    Raises
    ------
    ValueError
        When a name is no MATLAB variable's, or an array has fewer than two axes or another type.
    ScutoidError
        When the file cannot be written.

    Notes
    -----
    The format is HDF5 behind a user block of 512 bytes, the first 128 of which are MATLAB's header; each data set
    carries its class in a null-terminated attribute, and its axes are reversed.
    """
    scalars = scalars or {}
    variables = {name: _as_matlab_type(name, array) for name, array in arrays.items()}
    for name in (*arrays, *scalars):
        _check_name(name)
    with replacing(path) as part:
        with writing(part, user_block=_USER_BLOCK_BYTES) as (root, _):
            for name, array in variables.items():
                stored = array.view(np.uint8) if array.dtype.kind == "b" else array
                dataset = root.create_dataset(name, data=np.swapaxes(stored, -2, -1), **COMPRESSION)
                _write_class(dataset, CLASS_OF_DTYPE[array.dtype.name])
            for name, number in scalars.items():
                _write_small(root, name, np.array([[number]], "f8"))
        _write_header(part)


def _write_output(root: h5py.File, name: str, output: Output) -> Steps[None]:
    z, y, x = output.shape
    chunk = output.chunk()
    dtype = np.dtype(np.float32) if output.dtype == np.float16 else output.dtype.newbyteorder("<")
    if dtype.name not in CLASS_OF_DTYPE:
        raise ScutoidError(
            f"`{name}` could not be written", f"MATLAB has no numbers of type {dtype}", "write an .h5, or try --single"
        )
    # MATLAB reverses the axes of its (y, x, z).
    dataset = root.create_dataset(name, (z, x, y), dtype, chunks=(chunk[0], chunk[2], chunk[1]), **COMPRESSION)
    _write_class(dataset, "logical" if output.kind == "mask" and dtype == np.uint8 else CLASS_OF_DTYPE[dtype.name])
    keys = output.keys(chunk)
    for number, key in enumerate(keys, start=1):
        dataset[key[0], key[2], key[1]] = np.ascontiguousarray(output.block(key).swapaxes(1, 2))
        yield Progress(f"Writing {name}", number, len(keys))
    describe(dataset, output)


def _write_small(root: h5py.File, name: str, array: NDArray[np.float64]) -> None:
    if array.size:
        _write_class(root.create_dataset(name, data=array.T), "double")
        return
    # MATLAB stores an empty array as the lengths of its axes.
    dataset = root.create_dataset(name, data=np.array(array.shape, np.uint64))
    _write_class(dataset, "double")
    dataset.attrs["MATLAB_empty"] = np.uint8(1)


def _write_text(root: h5py.File, name: str, text: str) -> None:
    units = np.frombuffer(text.encode("utf-16-le"), "<u2")
    _write_class(root.create_dataset(name, data=units[:, np.newaxis], **COMPRESSION), "char")


def _write_class(dataset: h5py.Dataset, matlab_class: str) -> None:
    decode = {"logical": _LOGICAL_DECODE, "char": _TEXT_DECODE}.get(matlab_class)
    if decode is not None:
        dataset.attrs["MATLAB_int_decode"] = np.int32(decode)
    # MATLAB takes null-terminated text only; h5py would write it null-padded.
    text = h5py.h5t.C_S1.copy()
    text.set_size(len(matlab_class))
    text.set_strpad(h5py.h5t.STR_NULLTERM)
    attribute = h5py.h5a.create(dataset.id, b"MATLAB_class", text, h5py.h5s.create(h5py.h5s.SCALAR))
    attribute.write(np.array(matlab_class.encode(), dtype=f"S{len(matlab_class)}"), mtype=text)


def _write_header(part: Path) -> None:
    # No date: the same arrays give the same bytes.
    with part.open("r+b") as stream:
        stream.write(MATLAB_TEXT.ljust(116) + bytes(8) + b"\x00\x02IM")


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,62}", name):
        raise ValueError(f"{name!r} is no name that a MATLAB variable can have")


def _as_matlab_type(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim < 2:
        raise ValueError(f"{name} needs two or more axes; its shape is {array.shape}")
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype.name not in CLASS_OF_DTYPE:
        raise ValueError(f"{name} is of type {array.dtype}, which MATLAB does not have")
    return array.astype(array.dtype.newbyteorder("<"), copy=False)

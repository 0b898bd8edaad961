"""MATLAB files: versions 5 to 7 through SciPy, 7.3 (which is HDF5) through h5py."""

from __future__ import annotations

import math
import re
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_scutoid.io.format import (
    READABLE_KINDS,
    Listing,
    StoredArray,
    checked_voxel_size,
    is_picture,
    laboratory_voxel_size,
    name_axes,
)
from napari_scutoid.io.hdf5 import HDF5, damaged, napari_order
from napari_scutoid.io.lazy import check_memory
from napari_scutoid.io.provenance import LONGEST, checked_provenance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.volume import VoxelSize

MATLAB_TEXT = b"MATLAB 7.3 MAT-file, Platform: napari-scutoid, HDF5 schema 1.00 ."
"""How a ``.mat`` of this program begins."""

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_ELEMENT_TYPES = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 12, 13, _MATRIX, _COMPRESSED, 16, 17, 18})
_NUMERIC_CLASSES = range(6, 16)
_CONTAINER_CLASSES = (1, 2, 3)
_OPAQUE_CLASS = 17
_COMPLEX = 0x800
_DEEPEST = 64
_SAMPLE_VOXELS = 2**24
_MOST_CELLS = 1000

_DTYPE_OF_CLASS: Mapping[str, str] = {
    "double": "float64",
    "single": "float32",
    "logical": "bool",
    **{f"{sign}int{bits}": f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
CLASS_OF_DTYPE: Mapping[str, str] = {dtype: name for name, dtype in _DTYPE_OF_CLASS.items()}


class Mat73(HDF5):
    """MATLAB 7.3: HDF5 behind MATLAB's header of 512 bytes, which shows every array with its axes reversed."""

    name = "MATLAB 7.3"
    axes_are_reversed = True

    def recognises(self, file: Path, head: bytes) -> bool:
        """Whether the header says version 2, whatever follows: a damaged file is still a ``.mat``."""
        return head[124:128] in (b"\x00\x02IM", b"\x02\x00MI") or head.startswith(b"MATLAB 7.3 MAT-file")


class Mat5:
    """MATLAB 5 to 7. Arrays are read whole, since each is one compressed stream."""

    name = "MATLAB 5-7"

    def recognises(self, file: Path, head: bytes) -> bool:
        """Whether the header says version 1."""
        return head[124:128] in (b"\x00\x01IM", b"\x01\x00MI") or head.startswith(b"MATLAB 5.0 MAT-file")

    def list(self, file: Path) -> Listing:
        """Return every numeric array of the file; structs and cell arrays have to be read for it."""
        headers = _headers(file)
        arrays: list[StoredArray] = []
        refused: dict[str, str] = {}
        for name, shape, matlab_class in headers:
            if matlab_class in ("struct", "cell", "object"):
                check_memory(_largest_element(file), name)
                for path, leaf in _leaves(_load(file, name), name):
                    if leaf.dtype.kind in READABLE_KINDS + "c" and is_picture(leaf.shape) and leaf.size:
                        arrays.append(_header(path, leaf.shape, leaf.dtype))
                    elif leaf.dtype.kind in "SU":
                        refused[path] = "it holds text"
                refused.setdefault(name, f"it is a {matlab_class}, no array")
            elif matlab_class not in _DTYPE_OF_CLASS:
                refused[name] = "it holds text" if matlab_class == "char" else f"it is a {matlab_class}, no full array"
            elif 0 in shape:
                refused[name] = f"it is empty, its shape is {shape}"
            elif not is_picture(shape):
                refused[name] = f"its shape is {shape}: no picture"
            else:
                arrays.append(_header(name, shape, np.dtype(_DTYPE_OF_CLASS[matlab_class])))
        voxel_size_um = _voxel_size(file, {name: math.prod(shape) for name, shape, _ in headers})
        provenance = checked_provenance(_provenance(file, headers))
        arrays = [replace(array, voxel_size_um=voxel_size_um) for array in arrays]
        return Listing(tuple(arrays), refused, provenance=provenance)

    def read(self, file: Path, array: StoredArray) -> NDArray[Any]:
        """Return the array as (y, x, z), in the type MATLAB stored it in: doubles that hold bytes are bytes on disk."""
        check_memory(array.nbytes, array.path)
        top = re.split(r"[/{]", array.path, maxsplit=1)[0]
        for path, leaf in _leaves(_load(file, top), top):
            if path == array.path and leaf.shape == array.stored_shape:
                return leaf.astype(bool) if array.dtype.kind == "b" else leaf
        raise damaged(file, KeyError(array.path))


def _header(path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> StoredArray:
    # MATLAB's (y, x, z, c, t) is (t, c, z, y, x) in napari: h5py's order of the same array is its reverse.
    n = len(shape)
    order = tuple(n - 1 - axis for axis in napari_order(n, matlab=True))
    return StoredArray(
        path=path,
        stored_shape=shape,
        order=order,
        axes=name_axes(tuple(shape[axis] for axis in order)),
        dtype=dtype,
        cheap_to_sample=math.prod(shape) <= _SAMPLE_VOXELS,
    )


def _headers(file: Path) -> Sequence[tuple[str, tuple[int, ...], str]]:
    import scipy.io

    try:
        with file.open("rb") as stream:
            order = "<" if stream.read(_HEADER_BYTES)[126:] == b"IM" else ">"
            _check_elements(stream, _HEADER_BYTES, file.stat().st_size, order)
        return scipy.io.whosmat(str(file), appendmat=False)
    except _scipy_errors() as error:
        raise damaged(file, error) from error


def _load(file: Path, name: str) -> Any:
    import scipy.io

    try:
        return scipy.io.loadmat(str(file), variable_names=[name], appendmat=False)[name]
    except _scipy_errors() as error:
        raise damaged(file, error) from error


def _scipy_errors() -> tuple[type[Exception], ...]:
    """Return what SciPy raises for damaged files, depending on which structure is damaged."""
    from scipy.io.matlab import MatReadError

    return (
        MatReadError, zlib.error, struct.error, OSError, EOFError, ValueError, TypeError, LookupError,
        NotImplementedError, ArithmeticError, UnboundLocalError, MemoryError,
    )  # fmt: skip


def _check_elements(stream: BinaryIO, start: int, end: int, order: str, depth: int = 0) -> None:
    """Refuse elements that do not fit into each other: SciPy trusts them and would crash the interpreter.

    Only tags are read. What lies inside compressed elements is guarded by their checksum.
    """
    parts: list[tuple[int, int]] = []
    flags = dims_at = 0
    place = start
    while place + 8 <= end:
        stream.seek(place)
        word, size, content = struct.unpack(order + "III", stream.read(12).ljust(12, b"\0"))
        # Up to four bytes of data lie inside the tag, whose upper half then gives their number.
        kind, size, last = (word & 0xFFFF, word >> 16, place + 8) if word >> 16 else (word, size, place + 8 + size)
        if kind not in _ELEMENT_TYPES or last > end or depth > _DEEPEST:
            raise ValueError(f"element of type {kind} with {size} bytes at byte {place}")
        if kind == _MATRIX:
            _check_elements(stream, place + 8, last, order, depth + 1)
        if not parts:
            flags, dims_at = content, last + 8
        parts.append((kind, size))
        place = last if kind == _COMPRESSED else last + -last % 8
    if depth and parts and flags & 0xFF != _OPAQUE_CLASS:
        # Flags, lengths of the axes, name; for numbers the real part and, as the flags say, the imaginary part.
        fits = (
            len(parts) > 3
            and parts[0] == (6, 8)
            and parts[1][0] in (5, 6)
            and parts[1][1] >= 8
            and parts[2][0] in (1, 16)
        )
        if flags & 0xFF in _NUMERIC_CLASSES:
            fits = fits and len(parts) == (5 if flags & _COMPLEX else 4)
        elif fits and flags & 0xFF in _CONTAINER_CLASSES:
            # SciPy makes room for all elements before it meets the first; each takes eight bytes or more.
            stream.seek(dims_at)
            dims = struct.unpack(f"{order}{parts[1][1] // 4}i", stream.read(parts[1][1] // 4 * 4))
            fits = math.prod(dims) * 8 <= end - start
        if not fits:
            raise ValueError(f"array of {len(parts)} parts at byte {start}")


def _leaves(value: Any, path: str) -> Iterator[tuple[str, NDArray[Any]]]:
    """Go through structs and cell arrays; elements are numbered from 1 down the columns, as MATLAB does."""
    if not isinstance(value, np.ndarray):
        return
    if value.dtype.names is None and value.dtype.kind != "O":
        yield path, value
        return
    if value.size > _MOST_CELLS:
        return
    for number, element in enumerate(value.ravel(order="F"), start=1):
        if value.dtype.names is None:
            yield from _leaves(element, f"{path}{{{number}}}")
        else:
            for name in value.dtype.names:
                inner = f"{path}/{name}" if value.size == 1 else f"{path}/{name}{{{number}}}"
                yield from _leaves(element[name], inner)


def _voxel_size(file: Path, sizes: Mapping[str, int]) -> VoxelSize | None:
    if sizes.get("voxelSizeUm") == 3:
        return checked_voxel_size(_load(file, "voxelSizeUm"))
    if not sizes.get("pixelScale") == sizes.get("zScale") == 1:
        return None
    return laboratory_voxel_size(_load(file, "pixelScale"), _load(file, "zScale"))


def _provenance(file: Path, headers: Sequence[tuple[str, tuple[int, ...], str]]) -> object:
    """Return the text that a result of this program keeps when MATLAB saves it again."""
    for name, shape, matlab_class in headers:
        if (name, matlab_class) == ("provenance", "char") and math.prod(shape) <= LONGEST:
            text = np.ravel(_load(file, name))
            return str(text[0]) if text.size == 1 else None
    return None


def _largest_element(file: Path) -> int:
    """Return the bytes of the largest variable in memory, from the tags in front of the variables."""
    largest = 0
    with file.open("rb") as stream:
        order = "<" if stream.read(_HEADER_BYTES)[126:] == b"IM" else ">"
        while len(tag := stream.read(8)) == 8:
            kind, size = struct.unpack(order + "II", tag)
            end = stream.tell() + size
            if kind == _COMPRESSED:
                try:
                    tag = zlib.decompressobj().decompress(stream.read(min(size, 1024)), 8)
                except zlib.error as error:
                    raise damaged(file, error) from error
                size = struct.unpack(order + "II", tag)[1] if len(tag) == 8 else 0
            largest = max(largest, size)
            stream.seek(end)
    return largest

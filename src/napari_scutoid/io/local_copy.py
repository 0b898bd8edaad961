"""Copies of packed stacks in the user's cache, laid out so that a slice along any axis is read in milliseconds.

HDF5 unpacks its chunks under the one lock that it has: while a job reads a packed stack, a window that shows the same
stack has to wait, and one slice may cost the unpacking of many chunks. A copy in a plain file has no lock, and is made
once for a file as long as that does not change. The folder may be emptied at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.io.atomic import replacing
from napari_scutoid.io.lazy import LazyArray
from napari_scutoid.io.output import block_keys
from napari_scutoid.progress import Progress
from napari_scutoid.volume import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike, Volume

BLOCK = (16, 64, 64)
"""A slice across any axis reads 4 to 16 KiB at a time of it, which no disk minds."""

QUICK_BYTES = 16 * 2**20
"""What a slice may have to read where a file is shown as it is, unless the slice itself is as large."""

LARGEST_CACHE = 32 * 2**30
"""No more than this is kept, nor more than half of what the disk has to spare."""

_VERSION = 1


class Blocks:
    """An array in a plain file, stored block by block.

    Parameters
    ----------
    stored : ndarray, shape (bz, by, bx, *BLOCK)
        The blocks; those at the end are filled up.
    shape : tuple of int
        (z, y, x) of the array.
    """

    chunks = BLOCK

    def __init__(self, stored: NDArray[Any], shape: tuple[int, int, int]) -> None:
        self._stored = stored
        self.shape: tuple[int, ...] = shape
        self.dtype = stored.dtype

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[Any]:
        spans = [range(n)[one] for n, one in zip(self.shape, key, strict=True)]
        result = np.empty([len(span) for span in spans], self.dtype)
        crossed = [list(pieces(span, side)) for span, side in zip(spans, BLOCK, strict=True)]
        for (bz, z, to_z), (by, y, to_y), (bx, x, to_x) in itertools.product(*crossed):
            result[to_z, to_y, to_x] = self._stored[bz, by, bx, z, y, x]
        return result


def pieces(span: range, side: int) -> list[tuple[int, slice, slice]]:
    """Return for each block that a span crosses its number, the part of the block, and the part of the result."""
    found = []
    at = 0
    while at < len(span):
        number = span[at] // side
        end = min(len(span), at + math.ceil(((number + 1) * side - span[at]) / span.step))
        first = span[at] - number * side
        found.append((number, slice(first, first + (end - at - 1) * span.step + 1, span.step), slice(at, end)))
        at = end
    return found


def is_slow(data: ArrayLike) -> bool:
    """Whether a window that shows an array slice by slice would stutter."""
    if not isinstance(data, LazyArray):
        return False
    if data.is_locked_while_read:
        return True
    _, y, x = data.shape
    plane = y * x * data.dtype.itemsize
    return bytes_behind(data, (0, slice(None), slice(None))) > max(QUICK_BYTES, 2 * plane)


def bytes_behind(data: ArrayLike, key: tuple[int | slice, ...]) -> int:
    """Return what has to be read for a part of an array: whole chunks, where it is stored in such."""
    chunks = getattr(data, "chunks", None) or (1,) * len(data.shape)
    number = 1
    for one, n, chunk in zip(key, data.shape, chunks, strict=True):
        span = range(n)[one] if isinstance(one, slice) else range(one, one + 1)
        number *= min(len(span), math.ceil(len(span) * span.step / chunk)) if chunk > 1 else len(span)
    return number * math.prod(chunks) * data.dtype.itemsize


def local_copy(volume: Volume, folder: Path | None = None) -> Steps[Volume]:
    """Return a stack that is shown without stuttering: itself, or one that reads from a copy of it.

    Parameters
    ----------
    volume : Volume
        As `open_volume` returns it.
    folder : path, optional
        Where copies are kept; by default in the user's cache.

    Returns
    -------
    Volume
        Where there is no room for a copy, the same one.

    Raises
    ------
    ScutoidError
        When the file is damaged, or the copy cannot be written.
    """
    if volume.source is None or not is_slow(volume.data):
        return volume
    folder = folder or copies_dir()
    bz, by, bx = (math.ceil(n / side) for n, side in zip(volume.shape, BLOCK, strict=True))
    stored_shape, dtype = (bz, by, bx, *BLOCK), volume.dtype.newbyteorder("=")
    file = folder / f"{_name(volume)}.npy"
    stored = _existing(file, stored_shape, dtype)
    if stored is None:
        yield Progress("Unpacking the stack")
        folder.mkdir(parents=True, exist_ok=True)
        if not _make_room(folder, math.prod(stored_shape) * dtype.itemsize):
            return volume
        with replacing(file) as part:
            yield from _write(part, volume.data, stored_shape, dtype)
        stored = np.lib.format.open_memmap(file, "r")
    data = LazyArray(Blocks(stored, volume.shape), (0, 1, 2), name=str(volume.source))
    return replace(volume, data=data)


def copies_dir() -> Path:
    """Return the folder of the copies, which may be emptied at any time."""
    from platformdirs import user_cache_path

    return Path(user_cache_path("napari-scutoid", appauthor=False)) / "stacks"


def _write(file: Path, data: ArrayLike, stored_shape: tuple[int, ...], dtype: np.dtype[Any]) -> Steps[None]:
    """Write an array as `Blocks` reads it."""
    keys = block_keys(data, BLOCK)
    # Not through a memory map: where the disk is full, that would end the program.
    with file.open("wb") as stream:
        about = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": stored_shape}
        np.lib.format.write_array_header_1_0(stream, about)
        start = stream.tell()
        for number, key in enumerate(keys):
            yield Progress("Unpacking the stack, once for this file", number, len(keys))
            values = np.asarray(data[key])
            corner = [one.start // side for one, side in zip(key, BLOCK, strict=True)]
            for at in np.ndindex(*(math.ceil(n / side) for n, side in zip(values.shape, BLOCK, strict=True))):
                block = np.zeros(BLOCK, dtype)
                part = values[tuple(slice(i * side, (i + 1) * side) for i, side in zip(at, BLOCK, strict=True))]
                block[tuple(slice(n) for n in part.shape)] = part
                place = np.ravel_multi_index([a + b for a, b in zip(corner, at, strict=True)], stored_shape[:3])
                stream.seek(start + int(place) * block.nbytes)
                stream.write(block.data)


def _name(volume: Volume) -> str:
    """Return a name that is another one as soon as the file, or what is taken from it, is another one."""
    source = volume.source or Source("")
    path = Path(source.path).resolve()
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    about = [file.stat() for file in files]
    state = (len(about), sum(one.st_size for one in about), max((one.st_mtime_ns for one in about), default=0))
    view = volume.data.view if isinstance(volume.data, LazyArray) else ()
    told = json.dumps([_VERSION, str(path), source.dataset, state, volume.shape, volume.dtype.str, view])
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _existing(file: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any] | None:
    try:
        stored = np.lib.format.open_memmap(file, "r")
        # The copies that were used last are removed last.
        os.utime(file)
    except (OSError, ValueError, EOFError):
        return None
    return stored if stored.shape == shape and stored.dtype == dtype else None


def _make_room(folder: Path, nbytes: int) -> bool:
    """Remove the copies that were used longest ago, and return whether there is room for another."""
    copies = _copies(folder)
    kept = sum(size for _, size, _ in copies)
    largest = min(LARGEST_CACHE, (shutil.disk_usage(folder).free + kept) // 2)
    if nbytes > largest:
        return False
    for copy in sorted(copies):
        if kept + nbytes <= largest:
            break
        kept -= _remove(copy)
    return kept + nbytes <= largest


def _copies(folder: Path) -> list[tuple[float, int, Path]]:
    """Return when each copy was used last, its size, and where it is."""
    return [(about.st_mtime, about.st_size, file) for file in folder.glob("*.npy") if (about := file.stat())]


def _remove(copy: tuple[float, int, Path]) -> int:
    # Windows keeps what a window still shows.
    with contextlib.suppress(OSError):
        copy[2].unlink()
        return copy[1]
    return 0

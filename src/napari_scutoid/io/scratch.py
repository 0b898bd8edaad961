"""Arrays for which the memory is too dear, in a file that vanishes with them."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import secrets
import shutil
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.lazy import LazyArray
from napari_scutoid.io.local_copy import BLOCK, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

_PREFIX, _SUFFIX = "napari-scutoid_", ".scratch"


class Scratch:
    """An array in a file of its own, stored block by block; what was never written is 0.

    A plain file, which several threads read at the same time as one of them writes elsewhere. Not a memory map: the
    system counts what was read through it as memory of the program, and a full disk would end that.

    Parameters
    ----------
    shape : tuple of 3 ints
        (z, y, x).
    dtype : dtype-like
        Of an element.
    folder : path, optional
        Where the file is; by default `scratch_dir`.
    besides : int
        Bytes that must be free for others, too: a file takes its room as it is written.

    Raises
    ------
    ScutoidError
        When the disk has no room for it, now or while it is written.
    """

    def __init__(
        self, shape: Sequence[int], dtype: Any = np.float16, folder: Path | None = None, *, besides: int = 0
    ) -> None:
        z, y, x = shape
        self.shape: tuple[int, ...] = (z, y, x)
        self.dtype = np.dtype(dtype)
        self.chunks = BLOCK
        self._counts = [math.ceil(n / side) for n, side in zip(self.shape, BLOCK, strict=True)]
        self._block_bytes = math.prod(BLOCK) * self.dtype.itemsize
        folder = folder or scratch_dir()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_left(folder)
            nbytes, free = math.prod(self._counts) * self._block_bytes, shutil.disk_usage(folder).free
            if nbytes + besides > free:
                needed = (nbytes + besides) / 2**30
                raise _no_room(folder, f"{needed:.1f} GiB are needed, and {free / 2**30:.1f} GiB are free")
            path = folder / f"{_PREFIX}{os.getpid()}_{secrets.token_hex(4)}{_SUFFIX}"
            self._file: BinaryIO = path.open("x+b", buffering=0)  # closed with the array
            weakref.finalize(self, _remove, self._file, path)
            self._file.truncate(nbytes)
        except OSError as error:
            raise _no_room(folder, error.strerror or str(error)) from error
        self._lock = threading.Lock()
        # Where the system lets it, the name is gone at once: a killed program leaves nothing behind.
        with contextlib.suppress(OSError):
            path.unlink()

    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> NDArray[Any]:
        spans, places = self._spans(key)
        result = np.empty([len(span) for span in spans], self.dtype)
        for number, inside, target in self._crossed(spans):
            result[target] = self._block(number)[inside]
        found: NDArray[Any] = result[places]
        return found

    def __setitem__(self, key: int | slice | tuple[int | slice, ...], values: Any) -> None:
        spans, places = self._spans(key)
        whole = np.empty([len(span) for span in spans], self.dtype)
        whole[places] = values
        for number, inside, target in self._crossed(spans):
            part = whole[target]
            block = part if part.shape == BLOCK else self._block(number)
            if block is not part:
                block[inside] = part
            self._write(number, np.ascontiguousarray(block))

    def array(self, name: str) -> LazyArray:
        """Return it to be read as other arrays in files are; messages call it by this name."""
        return LazyArray(self, (0, 1, 2), name=name)

    def _spans(self, key: int | slice | tuple[int | slice, ...]) -> tuple[list[range], tuple[Any, ...]]:
        """Return what a key means along each axis, and what takes the axes away for which it has one number."""
        keys = key if isinstance(key, tuple) else (key,)
        keys = (*keys, *[slice(None)] * (3 - len(keys)))
        spans = [
            range(n)[one] if isinstance(one, slice) else range(range(n)[one], range(n)[one] + 1)
            for n, one in zip(self.shape, keys, strict=True)
        ]
        if any(span.step < 0 for span in spans):
            raise ValueError(f"key must be integers or rising slices, not {key}")
        return spans, tuple(slice(None) if isinstance(one, slice) else 0 for one in keys)

    def _crossed(self, spans: Sequence[range]) -> Iterator[tuple[int, tuple[slice, ...], tuple[slice, ...]]]:
        """Yield the number of each block that is met, what of it, and where that lies in the whole."""
        per_axis = [list(pieces(span, side)) for span, side in zip(spans, BLOCK, strict=True)]
        for (bz, z, to_z), (by, y, to_y), (bx, x, to_x) in itertools.product(*per_axis):
            yield int(np.ravel_multi_index((bz, by, bx), self._counts)), (z, y, x), (to_z, to_y, to_x)

    def _write(self, number: int, block: NDArray[Any]) -> None:
        left = block.data.cast("B")
        try:
            with self._lock:
                self._file.seek(number * self._block_bytes)
                while left:  # a disk that fills up takes a part first, and says nothing
                    left = left[self._file.write(left) :]
        except OSError as error:
            raise _no_room(Path(self._file.name).parent, error.strerror or str(error)) from error

    def _block(self, number: int) -> NDArray[Any]:
        block = np.empty(BLOCK, self.dtype)
        try:
            with self._lock:
                self._file.seek(number * self._block_bytes)
                read = self._file.readinto(block.data.cast("B"))  # type: ignore[attr-defined]  # a raw file has it
            if read != self._block_bytes:
                raise OSError("the file ends too early")
        except OSError as error:
            raise ScutoidError(
                f"Intermediate results in {Path(self._file.name).parent} could not be read",
                error.strerror or str(error),
                "check that disk, and run it again",
            ) from error
        return block


def scratch_dir() -> Path:
    """Return the folder of such files: in ``TMPDIR``, where somebody has set that, else in the user's cache.

    Clusters set it to a node's own disk; the system's default may lie in memory.
    """
    if folder := os.environ.get("TMPDIR"):
        return Path(folder)  # no folder within: it would be the first user's
    from platformdirs import user_cache_path

    return Path(user_cache_path("napari-scutoid", appauthor=False)) / "scratch"


def _remove(file: BinaryIO, path: Path) -> None:
    with contextlib.suppress(OSError):
        file.close()
        path.unlink(missing_ok=True)


def _remove_left(folder: Path) -> None:
    """Remove what killed programs left; Windows keeps what is still used."""
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with contextlib.suppress(OSError):
            path.unlink()


def _no_room(folder: Path, why: str) -> ScutoidError:
    return ScutoidError(
        f"A large stack needs room for intermediate results in {folder}",
        why,
        "make room on that disk, or work at a smaller scale",
    )

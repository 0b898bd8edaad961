"""HDF5 files that are written to a disk which may become full: HDF5 2.0 crashes when a write fails.

HDF5 writes through a `Sink` here. It keeps what the disk refuses in memory, so that the library never meets a failure,
and tells of it afterwards.
"""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import h5py

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def writing(path: Path, *, user_block: int = 0) -> Iterator[tuple[h5py.File, Sink]]:
    """Open a new HDF5 file for writing.

    Parameters
    ----------
    path : Path
        The file.
    user_block : int
        Bytes to leave free at its beginning.

    Yields
    ------
    root : h5py.File
        The file.
    sink : Sink
        `Sink.check` after each block notices a full disk in time.

    Raises
    ------
    OSError
        When not everything could be written.
    """
    with Sink(path) as sink:
        with h5py.File(sink, "w", userblock_size=user_block) as root:
            yield root, sink
        sink.check()


class Sink(io.RawIOBase):
    """A file for h5py that never fails to write; `check` tells what the disk said.

    Parameters
    ----------
    path : Path
        File to make.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w+b", buffering=0)
        self._failure: OSError | None = None
        self._refused: list[tuple[int, bytes]] = []
        self._end = 0

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self._failure is not None:
            raise self._failure

    def write(self, data: Any, /) -> int:
        """Write all of `data`, to the disk as long as it takes it."""
        view = memoryview(data).cast("B")
        place, done = self._file.tell(), 0
        try:
            while self._failure is None and done < len(view):
                done += self._file.write(view[done:]) or 0
        except OSError as error:
            self._failure = error
        if done < len(view):
            self._refused.append((place + done, bytes(view[done:])))
            self._file.seek(place + len(view))
        self._end = max(self._end, place + len(view))
        return len(view)

    def readinto(self, buffer: Any, /) -> int:
        """Read what was written, on the disk or not."""
        view = memoryview(buffer).cast("B")
        place = self._file.tell()
        size = max(0, min(len(view), self._end - place))
        stored = self._file.read(size)
        view[: len(stored)] = stored
        view[len(stored) : size] = bytes(size - len(stored))
        for start, data in self._refused:
            first, last = max(start, place), min(start + len(data), place + size)
            if first < last:
                view[first - place : last - place] = data[first - start : last - start]
        self._file.seek(place + size)
        return size

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, as in a file that holds everything."""
        return self._file.seek(self._end + offset if whence == io.SEEK_END else offset, whence and io.SEEK_SET)

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length."""
        self._end = self._file.tell() if size is None else size
        try:
            if self._failure is None:
                self._file.truncate(self._end)
        except OSError as error:
            self._failure = error
        return self._end

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def writable(self) -> bool:
        """Whether it can be written."""
        return True

    def seekable(self) -> bool:
        """Whether any place can be reached."""
        return True

    def close(self) -> None:
        """Close the file; some disks tell only now that they are full."""
        try:
            self._file.close()
        finally:
            super().close()

"""A folder for Zarr to write to, in which nothing is written any more once the disk was full."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zarr.core.buffer import Buffer

_POLL_SECONDS = 0.01


class Folder(LocalStore):
    """A folder that refuses all after the first failure.

    Zarr writes several chunks at a time and passes on the first failure while the others still go on: they would make
    anew the folder that is being removed.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._failure: OSError | None = None
        self._busy = 0

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file, or raise what an earlier one has met."""
        if self._failure is not None:
            raise self._failure
        self._busy += 1
        try:
            await super().set(key, value)
        except OSError as error:
            self._failure = error
            raise
        finally:
            self._busy -= 1

    def stop(self) -> None:
        """Let nothing more be written, and wait for what is being written."""
        self._failure = self._failure or OSError("writing has ended")
        while self._busy:
            time.sleep(_POLL_SECONDS)


@contextlib.contextmanager
def writing_group(path: Path) -> Iterator[Any]:
    """Open a new group of Zarr version 2; when the block ends, nothing writes to it any more."""
    folder = Folder(path)
    try:
        yield zarr.open_group(folder, mode="w", zarr_format=2)
    finally:
        folder.stop()

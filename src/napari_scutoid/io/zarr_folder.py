"""A folder for Zarr to write to, in which nothing is written any more once the disk was full."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import LocalStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zarr.core.buffer import Buffer


class Folder(LocalStore):
    """A folder that refuses all after the first failure.

    Zarr writes several chunks at a time and passes on the first failure while the others still go on: they would make
    anew the folder that is being removed, or, if the program ends first, print about themselves after its message.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._failure: OSError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def set(self, key: str, value: Buffer) -> None:
        """Write one file, or raise what an earlier one has met."""
        self._loop = asyncio.get_running_loop()
        if self._failure is not None:
            raise self._failure
        try:
            await super().set(key, value)
        except OSError as error:
            self._failure = error
            raise

    def stop(self) -> None:
        """Let nothing more be written, and wait for all that Zarr has begun or put off."""
        self._failure = self._failure or OSError("writing has ended")
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(_others_done(), self._loop).result()


async def _others_done() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


@contextlib.contextmanager
def writing_group(path: Path) -> Iterator[Any]:
    """Open a new group of Zarr version 2; when the block ends, nothing writes to it any more."""
    folder = Folder(path)
    try:
        yield zarr.open_group(folder, mode="w", zarr_format=2)
    finally:
        folder.stop()

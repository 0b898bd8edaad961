"""One batch at a time in a folder of results."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".batch.lock"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Keep other batches out of a folder: each would clear away what the other is writing, and replace its report.

    The end of the process, however it comes, lets them in again. A disk that knows no locks lets all in.

    Parameters
    ----------
    folder : Path
        It exists. Where it may not be written to, nobody is kept out: whoever writes there will be told.

    Raises
    ------
    ScutoidError
        When another batch is at work there.
    """
    file = folder / LOCK
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield
        return
    try:
        if not _is_ours(descriptor):
            raise ScutoidError(
                "The batch was not started",
                f"another one is writing its results to {folder}",
                "wait for it, cancel it where it was started, or give another folder",
            )
        try:
            yield
        finally:
            # Before it is closed, after which it may be another's. Windows keeps it: it does no harm there.
            with suppress(OSError):
                file.unlink()
    finally:
        os.close(descriptor)


def _is_ours(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
    return True

"""Files appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def replacing(target: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; move it over `target` when the block ends well.

    The block writes the temporary file and has to close it: Windows cannot rename an open file. On any failure,
    Ctrl-C included, the temporary file is removed and `target` stays as it was.

    Parameters
    ----------
    target : path
        The file to write or replace. A symbolic link is followed, so that the link stays one.

    Yields
    ------
    Path
        A path that ends in ``.part``, in the folder of `target`.

    Raises
    ------
    ScutoidError
        When the folder is missing or may not be written to, the disk is full, or `target` is a folder.
    """
    final = Path(os.path.realpath(target))
    part = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    try:
        check_writable(target)
        yield part
        _flush_to_disk(part)
        os.replace(part, final)
    except OSError as error:
        raise not_written(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(target: str | Path) -> Iterator[Path]:
    """Give a temporary folder beside `target`; move it to `target` when the block ends well.

    As `replacing`, for formats whose "file" is a folder. Folders cannot be exchanged in one step: an old one is moved
    aside, and back again if the new one cannot take its place. Only a power cut between the two renamings leaves both
    beside the name, and none under it.

    Parameters
    ----------
    target : path
        The folder to write or replace. Whether it may be replaced has to be known before.

    Yields
    ------
    Path
        An empty folder whose name ends in ``.part``, in the folder of `target`.

    Raises
    ------
    ScutoidError
        When the folder around it is missing or may not be written to, the disk is full, or `target` is a file.
    """
    final = Path(os.path.realpath(target))
    part, old = (final.with_name(f".{final.name}.{secrets.token_hex(4)}.{end}") for end in ("part", "old"))
    try:
        check_writable(target, folder=True)
        part.mkdir()
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                _flush_to_disk(file)
        if final.exists():
            os.replace(final, old)
        try:
            os.replace(part, final)
        except OSError:
            if old.exists():
                os.replace(old, final)
            raise
    except OSError as error:
        raise not_written(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)


def check_writable(target: str | Path, *, folder: bool = False) -> None:
    """Say now, and not after an hour's work, that a file cannot be written.

    Parameters
    ----------
    target : path
        The file.
    folder : bool
        A folder is going to be written, not a file.

    Raises
    ------
    ScutoidError
        When `target` is the other of file and folder, or the folder around it is missing or may not be written to.
    """
    final = Path(os.path.realpath(target))
    probe = final.with_name(f".{final.name}.{secrets.token_hex(4)}.part")
    try:
        if final.is_dir() and not folder:
            raise ScutoidError(f"{target} could not be written", "it is a folder", "give the name of a file")
        if folder and final.exists() and not final.is_dir():
            raise ScutoidError(f"{target} could not be written", "it is a file", "give the name of a folder")
        if not final.parent.is_dir():
            raise ScutoidError(
                f"{target} could not be written",
                f"there is no folder {final.parent}",
                "make the folder, or give another",
            )
        probe.touch(exist_ok=False)
    except OSError as error:
        raise not_written(target, error) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def not_written(target: str | Path, error: Exception) -> ScutoidError:
    """Return the message for a file that could not be written."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return ScutoidError(
        f"{target} could not be written",
        reason or type(error).__name__,
        "check that the folder may be written to and that its disk has space left",
    )


def _flush_to_disk(part: Path) -> None:
    # Without it, a power cut after the rename can leave an empty file under the final name.
    descriptor = os.open(part, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

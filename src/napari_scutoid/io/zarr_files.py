"""The files of a Zarr store, by their keys: a folder or a ``.zip``, and nothing outside of it.

A store that comes from elsewhere may hold links, keys such as ``../..`` and files of any size. All of its files are
read through here, so that none of that matters anywhere else.
"""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

METADATA_NAMES = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
"""Files of which at least one lies in each group and array; ``zarr.json`` is version 3, the others are version 2."""

ZIP_SIGNATURE = b"PK\x03\x04"

_MOST_ENTRIES = 2**20


class StoreError(ValueError):
    """A store is not what it seems to be. No KeyError and no OSError: Zarr takes some of them for missing chunks."""


class Files(Protocol):
    """Read-only access by keys such as ``labels/cells/.zattrs``."""

    def size(self, key: str) -> int | None:
        """Return the bytes of a file, or None where there is none. Raises StoreError for what is no plain file."""

    def read(self, key: str, start: int, stop: int) -> bytes:
        """Return a part of a file that is there."""

    def children(self, key: str) -> list[str]:
        """Return the names of the folders in a folder, sorted."""


class Folder:
    """A store that is a folder."""

    def __init__(self, root: Path) -> None:
        self._root = os.path.realpath(root)

    def size(self, key: str) -> int | None:
        """See `Files`."""
        path = self._path(key)
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISDIR(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            # To open a named pipe would wait for ever.
            raise StoreError(f"`{key}` is no ordinary file")
        return status.st_size

    def read(self, key: str, start: int, stop: int) -> bytes:
        """See `Files`."""
        with open(self._path(key), "rb") as stream:
            stream.seek(start)
            return stream.read(stop - start)

    def children(self, key: str) -> list[str]:
        """See `Files`."""
        try:
            with os.scandir(self._path(key)) as entries:
                return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _path(self, key: str) -> str:
        path = os.path.realpath(os.path.join(self._root, *checked_key(key)))
        if path != self._root and not path.startswith(self._root.rstrip(os.sep) + os.sep):
            raise StoreError(f"`{key}` is a link out of the store, and such links are not followed")
        return path


class Zip:
    """A store in a ``.zip``, at its root or in the only folder at its root. Keeps the file open as long as it lives.

    Raises
    ------
    StoreError
        When the file is damaged or holds no store.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise StoreError(f"no readable zip ({error})") from error
        names = self._zip.namelist()
        if len(names) > _MOST_ENTRIES:
            self._zip.close()
            raise StoreError(f"it holds {len(names)} files")
        self._prefix = _root_of(names)
        self._folders: dict[str, set[str]] = {}
        for name in names:
            parts = name.removeprefix(self._prefix).split("/")[:-1]
            for depth, part in enumerate(parts):
                self._folders.setdefault("/".join(parts[:depth]), set()).add(part)

    def size(self, key: str) -> int | None:
        """See `Files`."""
        info = self._info(key)
        return None if info is None or info.is_dir() else info.file_size

    def read(self, key: str, start: int, stop: int) -> bytes:
        """See `Files`."""
        info = self._info(key)
        if info is None:
            raise FileNotFoundError(key)
        try:
            with self._zip.open(info) as stream:
                stream.seek(start)
                return stream.read(stop - start)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise StoreError(f"`{key}` cannot be unpacked ({error})") from error

    def children(self, key: str) -> list[str]:
        """See `Files`."""
        return sorted(name for name in self._folders.get(key.strip("/"), ()) if not name.startswith("."))

    def close(self) -> None:
        """Close the file."""
        self._zip.close()

    def _info(self, key: str) -> zipfile.ZipInfo | None:
        try:
            return self._zip.getinfo(self._prefix + "/".join(checked_key(key)))
        except KeyError:
            return None


def checked_key(key: str) -> list[str]:
    """Return the parts of a key.

    Raises
    ------
    StoreError
        When it leads out of the store: ``..``, a root, a drive.
    """
    parts = key.strip("/").split("/") if key.strip("/") else []
    if key.startswith("/") or any(part in ("", ".", "..") or set(part) & set("\\:\0") for part in parts):
        raise StoreError(f"`{key}` leads out of the store")
    return parts


def is_zip_store(file: Path) -> bool:
    """Whether a ``.zip`` holds a Zarr store."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError):
        return False
    return any(_root_of(names) + name in names for name in METADATA_NAMES)


def is_folder_store(folder: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((folder / name).is_file() for name in METADATA_NAMES)


def _root_of(names: Iterable[str]) -> str:
    """Return what precedes every key: nothing, or the only folder and a slash."""
    tops = {name.partition("/")[0] for name in names if not name.startswith("__MACOSX/")}
    if len(tops) != 1 or (tops & set(METADATA_NAMES)):
        return ""
    return tops.pop() + "/"

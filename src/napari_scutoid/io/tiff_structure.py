"""The skeleton of a TIFF file, walked and bounded before any library trusts it.

A TIFF is a chain of directories (IFDs), one per plane, each a list of tags. A chain that runs in circles, or a tag that
claims more values than the file has bytes, makes lenient readers hang, exhaust the memory, or show a part of the stack
as if it were all of it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""Classic TIFF and BigTIFF, little- and big-endian."""

MOST_PAGES = 2**16
"""Planes in a file. More would take minutes to list."""

DESCRIPTION, SOFTWARE, METAMORPH = 270, 305, 33628

_MOST_TAGS = 4096
_MOST_SEGMENTS = 2**22
_LONGEST_TEXT = 64 * 2**20
_SUB_DIRECTORIES = 330
_OFFSETS_AND_COUNTS = (273, 279, 324, 325)
# Width, length, bits, compression, photometric, samples, planar, predictor, tile width and length, sample format.
_LAYOUT = (256, 257, 258, 259, 262, 277, 284, 317, 322, 323, 339)
_READ_HERE = {DESCRIPTION, SOFTWARE, _SUB_DIRECTORIES, *_LAYOUT}
# Private tags begin here. Some programs leave broken ones behind, and nothing depends on them.
_PRIVATE = 32768
_TYPE_BYTES: Mapping[int, int] = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8,
}  # fmt: skip
_INTEGERS: Mapping[int, str] = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class Page:
    """What the directory of one plane says.

    Parameters
    ----------
    layout : tuple of (int, bytes)
        The tags that decide how the plane's bytes become voxels; equal for the planes of one stack.
    texts : mapping of int to str
        Description and software.
    is_metamorph : bool
        Whether it is MetaMorph's dialect, which hides a whole stack behind one directory.
    """

    layout: tuple[tuple[int, bytes], ...]
    texts: Mapping[int, str]
    is_metamorph: bool


def pages_of(file: Path) -> list[Page]:
    """Walk through all directories of a TIFF.

    Raises
    ------
    ValueError
        When the file is damaged, incomplete, or larger than what can be handled.
    OSError
        When it cannot be read.
    """
    with file.open("rb") as stream:
        return _Walk(stream, file.stat().st_size).pages()


class _Walk:
    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._size = size
        head = stream.read(16)
        if head[:4] not in SIGNATURES:
            raise ValueError("it does not begin as a TIFF")
        self._order = "<" if head[:2] == b"II" else ">"
        self._big = 43 in head[2:4]
        if self._big:
            self._count, self._offset, self._entry, self._inline = "Q", "Q", "HHQ8s", 8
            (self._first,) = self._unpack("Q", head[8:16])
        else:
            self._count, self._offset, self._entry, self._inline = "H", "I", "HHI4s", 4
            (self._first,) = self._unpack("I", head[4:8])

    def pages(self) -> list[Page]:
        pages: list[Page] = []
        seen: set[int] = set()
        place, directories = self._first, 0
        while place:
            if place in seen:
                raise ValueError(f"its list of planes runs in a circle after {len(pages)} planes")
            seen.add(place)
            page, place, below = self._directory(place)
            pages.append(page)
            directories += 1 + len(below)
            if directories > MOST_PAGES:
                raise ValueError(f"it claims more than {MOST_PAGES} planes")
            for one in below:
                self._directory(one)
        if not pages:
            raise ValueError("it holds no planes")
        return pages

    def _directory(self, place: int) -> tuple[Page, int, tuple[int, ...]]:
        """Return a page, the place of the next, and those of its smaller copies."""
        (n_tags,) = self._unpack(self._count, self._read(place, struct.calcsize("=" + self._count)))
        if not 0 < n_tags <= _MOST_TAGS:
            raise ValueError(f"the directory at byte {place} claims {n_tags} tags")
        start = place + struct.calcsize("=" + self._count)
        entry_bytes = struct.calcsize("=" + self._entry)
        after = struct.calcsize("=" + self._offset)
        block = self._read(start, n_tags * entry_bytes + after)
        layout: list[tuple[int, bytes]] = []
        texts: dict[int, str] = {}
        below: tuple[int, ...] = ()
        is_metamorph = False
        for code, kind, count, value in struct.iter_unpack(self._order + self._entry, block[:-after]):
            is_metamorph |= code == METAMORPH
            if code >= _PRIVATE:
                continue
            content = self._value(code, kind, count, value)
            if code in _LAYOUT:
                layout.append((code, content))
            elif code == _SUB_DIRECTORIES and kind in _INTEGERS:
                below = tuple(self._unpack(f"{count}{_INTEGERS[kind]}", content))
            elif code in (DESCRIPTION, SOFTWARE):
                texts[code] = content.split(b"\0", 1)[0].decode("utf-8", "replace")
        (following,) = self._unpack(self._offset, block[-after:])
        return Page(tuple(layout), texts, is_metamorph), following, tuple(one for one in below if one)

    def _value(self, code: int, kind: int, count: int, value: bytes) -> bytes:
        size = count * _TYPE_BYTES.get(kind, 1)
        if size <= self._inline:
            return value[:size]
        (place,) = self._unpack(self._offset, value)
        if place + size > self._size:
            raise ValueError(f"tag {code} claims {count} values, which lie behind the end of the file")
        if code in _OFFSETS_AND_COUNTS and count > _MOST_SEGMENTS:
            raise ValueError(f"tag {code} claims {count} parts of one plane")
        if code not in _READ_HERE:
            # That it lies inside the file is all that matters here.
            return b""
        if size > _LONGEST_TEXT or (code == _SUB_DIRECTORIES and count > MOST_PAGES):
            raise ValueError(f"tag {code} claims {count} values")
        return self._read(place, size)

    def _read(self, place: int, size: int) -> bytes:
        self._stream.seek(place)
        content = self._stream.read(size)
        if len(content) < size:
            raise ValueError(f"it ends at byte {self._size}, inside or before a directory at byte {place}")
        return content

    def _unpack(self, form: str, content: bytes) -> tuple[int, ...]:
        return struct.unpack(self._order + form, content)

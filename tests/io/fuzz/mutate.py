"""What happens to files: they are cut off, bits flip, and headers lie about sizes."""

from __future__ import annotations

import random
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from samples import SHAPE

if TYPE_CHECKING:
    from pathlib import Path

Mutator = Callable[[random.Random, bytearray], None]

_EXTREMES = (
    0,
    1,
    2,
    7,
    127,
    128,
    255,
    2**15,
    2**16 - 1,
    2**20,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**48,
    2**63,
    2**64 - 1,
)
_NUMBERS = (*SHAPE, *(a * b for a in SHAPE for b in SHAPE), 990, 1980, 3960, 7920, 2, 3, 4, 5, 6, 8, 14, 16)
_MAT_HEADER, _COMPRESSED = 128, 15


def mutate(sample: Path, target: Path, seed: str) -> str:
    """Write a damaged copy of a file or folder, the same for the same seed, and return what was done to it."""
    chance = random.Random(seed)
    if not sample.is_dir():
        content = bytearray(sample.read_bytes())
        done = _damage(chance, content)
        target.write_bytes(content)
        return done
    shutil.copytree(sample, target)
    files = sorted(file for file in target.rglob("*") if file.is_file())
    # Chunks outnumber the few files that describe them, and it is those that programs trust.
    descriptions = [file for file in files if file.suffix == ".json" or file.name.startswith(".z")]
    file = chance.choice(descriptions if chance.random() < 0.7 else files)
    name = file.relative_to(target).as_posix()
    if chance.random() < 0.05:
        file.unlink()
        return f"remove {name}"
    if chance.random() < 0.05:
        file.write_bytes(chance.choice(files).read_bytes())
        return f"replace {name}"
    content = bytearray(file.read_bytes())
    done = _damage(chance, content)
    file.write_bytes(content)
    return f"{done} in {name}"


def _damage(chance: random.Random, content: bytearray) -> str:
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        mutator = chance.choices(_MUTATORS, _WEIGHTS)[0]
        if content:
            mutator(chance, content)
            done.append(mutator.__name__.strip("_"))
    return ", ".join(done)


def _truncate(chance: random.Random, content: bytearray) -> None:
    del content[chance.randrange(len(content)) :]


def _flip_bits(chance: random.Random, content: bytearray) -> None:
    for _ in range(chance.choice((1, 2, 5, 20))):
        content[_place(chance, content)] ^= 1 << chance.randrange(8)


def _overwrite(chance: random.Random, content: bytearray) -> None:
    start = _place(chance, content)
    length = min(chance.choice((1, 2, 4, 8, 64, 4096)), len(content) - start)
    value = chance.choice((0, 255, None))
    content[start : start + length] = chance.randbytes(length) if value is None else bytes([value]) * length


def _shift(chance: random.Random, content: bytearray) -> None:
    start, length = _place(chance, content), chance.choice((1, 4, 8, 100))
    if chance.random() < 0.5:
        del content[start : start + length]
    else:
        content[start:start] = content[start : start + length]


def _lie(chance: random.Random, content: bytearray) -> None:
    """Replace a number that may be a length, a count or an address, where the format keeps them as binary numbers."""
    width = chance.choice("HIQ")
    size = struct.calcsize(width)
    honest = struct.pack("<" + width, chance.choice((*_NUMBERS, len(content))))
    places = [match.start() for match in re.finditer(re.escape(honest), content)]
    start = chance.choice(places) if places else _place(chance, content) // 4 * 4
    content[start : start + size] = struct.pack("<" + width, chance.choice(_EXTREMES) % 2 ** (8 * size))


def _lie_in_text(chance: random.Random, content: bytearray) -> None:
    """Replace a number in JSON or XML, else a word."""
    matches = list(re.finditer(rb"(?<![\w.])-?\d+(\.\d+)?(?![\w.])", content))
    if matches and chance.random() < 0.8:
        numbers = ("-1", "0.5", "1e400", "NaN", '"9"', "null", "[]", "{}", "", *map(str, _EXTREMES))
        value = chance.choice(numbers).encode()
    else:
        matches = list(re.finditer(rb"[A-Za-z_]{2,}", content))
        value = chance.choice((b"", b"zzz", b"null", b'"', b"float64", b"../../x", b"<", b"\xff"))
    if matches:
        match = chance.choice(matches)
        content[match.start() : match.end()] = value


def _inside_compressed(chance: random.Random, content: bytearray) -> None:
    """Damage what MATLAB 7 packs, behind a checksum that fits; other formats are damaged as they are."""
    places = []
    place = _MAT_HEADER
    while place + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, place)
        places += [(place, size)] if kind == _COMPRESSED else []
        place += 8 + size
    if not content.startswith(b"MATLAB 5.0") or not places:
        return _lie(chance, content)
    place, size = chance.choice(places)
    try:
        inside = bytearray(zlib.decompress(content[place + 8 : place + 8 + size]))
    except zlib.error:
        return None
    chance.choice((_lie, _flip_bits, _truncate, _overwrite))(chance, inside)
    packed = zlib.compress(inside)
    content[place : place + 8 + size] = struct.pack("<II", _COMPRESSED, len(packed)) + packed
    return None


def _place(chance: random.Random, content: bytearray) -> int:
    # Headers lie at the beginning in most formats, and most of a file is voxels, which may be anything.
    return chance.randrange(len(content) if chance.random() < 0.5 else min(len(content), 2048))


_WEIGHTED: dict[Mutator, int] = {
    _truncate: 2,
    _flip_bits: 4,
    _overwrite: 3,
    _shift: 1,
    _lie: 6,
    _lie_in_text: 2,
    _inside_compressed: 2,
}
_MUTATORS, _WEIGHTS = list(_WEIGHTED), list(_WEIGHTED.values())

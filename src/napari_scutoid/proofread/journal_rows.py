"""Boxes, states and differences as a journal's rows hold them; what is read back may be a stranger's."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.proofread.change import UNTOUCHED, CellState, Difference, StateChange

if TYPE_CHECKING:
    from collections.abc import Sequence

_LARGEST_ID = 2**32 - 1


def as_json(value: Any) -> str:
    """Return plain JSON; NumPy's numbers and arrays become plain ones."""
    return json.dumps(value, default=_plain, allow_nan=False)


def checksum(*values: str | int | bytes | None) -> str:
    """Return what tells whether a row's values are still those that were written."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        told = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(len(told).to_bytes(8, "little") + told)
    return digest.hexdigest()


def unsigned(row: Sequence[Any]) -> Sequence[Any]:
    """Return a row without its checksum, the last value; ValueError where that does not fit."""
    *values, stated = row
    if checksum(*values) != stated:
        raise ValueError(f"a row was changed after it was written: {str(values)[:60]}")
    return values


def box_as_json(box: Box) -> str:
    """Return a box as six numbers."""
    return json.dumps([*box.start, *box.shape])


def box_from(text: str) -> Box:
    """Return the box behind six numbers; ValueError where they are none."""
    z, y, x, depth, height, width = _ints(json.loads(text))
    if min(z, y, x) < 0 or min(depth, height, width) < 1:
        raise ValueError(f"{text} is no box")
    return Box((z, y, x), (depth, height, width))


def numbers_from(text: str) -> tuple[float, float, float]:
    """Return three finite numbers; ValueError where they are none."""
    z, y, x = (float(number) for number in json.loads(text))
    if not all(map(math.isfinite, (z, y, x))):
        raise ValueError(f"{text} is no place")
    return z, y, x


def difference_from(
    box: str, n: int, mask: bytes, before: bytes, after: bytes, *, shape: tuple[int, int, int]
) -> Difference:
    """Return a difference whose box a stack of that shape holds; ValueError where it does not."""
    where = box_from(box)
    packed = (mask, before, after)
    if not where.is_within(shape) or not 1 <= n <= where.size or not all(isinstance(one, bytes) for one in packed):
        raise ValueError(f"a difference of {n} voxels at {box} does not fit labels of shape {shape}")
    return Difference(where, n, *packed)


def id_from(number: Any) -> int:
    """Return a cell's number, or 0 for none; ValueError where it is neither."""
    if type(number) is not int or not 0 <= number <= _LARGEST_ID:
        raise ValueError(f"{number!r} is no cell")
    return number


def states_as_json(states: Sequence[StateChange]) -> str:
    """Return changes of cells' states; what is as it is by default is left out."""
    return as_json([[one.cell, _told(one.before), _told(one.after)] for one in states])


def states_from(text: str) -> tuple[StateChange, ...]:
    """Return the changes behind `states_as_json`; ValueError or TypeError where they are none."""
    found = []
    for cell, before, after in json.loads(text):
        if not id_from(cell):
            raise ValueError("0 is no cell")
        found.append(StateChange(cell, _state_from(before), _state_from(after)))
    return tuple(found)


def _told(state: CellState) -> dict[str, bool | str]:
    values = ((one.name, getattr(state, one.name)) for one in fields(state))
    return {name: value for name, value in values if value != getattr(UNTOUCHED, name)}


def _state_from(told: dict[str, Any]) -> CellState:
    state = CellState(**told)
    for one in fields(state):
        if type(getattr(state, one.name)) is not type(getattr(UNTOUCHED, one.name)):
            raise ValueError(f"{told} is no state of a cell")
    return state


def _ints(values: Any) -> list[int]:
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise ValueError(f"{values} are no whole numbers")
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")

"""What people have made by edits: it is not suspected of the form that they gave it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_scutoid.proofread.change import Change, Difference, cells_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from napari_scutoid.proofread.gaps import Place

_PARTS, _JOINS = ("split", "cut"), ("merge",)
_SHAPES = ("add", "paint", "erase", "polygon", "interpolate")
_REPLACES = "take"
"""What comes from another segmentation is the program's work again, also where a person chose it."""
_REMEMBERED = 4096
"""Merges of which is known what some voxels were before: unpacking a large one takes milliseconds."""


class _Made(NamedTuple):
    """How a cell came about: the steps that parted it from others, and the merges that went into it."""

    parted: frozenset[int] = frozenset()
    joined: frozenset[Difference] = frozenset()


class _Step(NamedTuple):
    """What cells were before an edit, which voxels became background by it, among others, and if that was wished."""

    before: dict[int, _Made | None]
    emptied: Difference | None = None
    is_wished: bool = True


class Handwork:
    """Which cells people made, parted and joined by the edits that are in effect; nothing else counts.

    `do` and `undo` follow the history step by step, so that undoing an edit takes back what it said.
    """

    def __init__(self) -> None:
        self._made: dict[int, _Made] = {}
        self._steps: list[_Step] = []
        self._were = lru_cache(_REMEMBERED)(_were)

    def __contains__(self, cell: object) -> bool:
        """Whether a person gave a cell its form: by splitting, merging, adding or drawing."""
        return cell in self._made

    def is_parted(self, a: int, b: int) -> bool:
        """Whether a person divided what two cells are made of, so that the face between them is on purpose."""
        one, other = self._made.get(a), self._made.get(b)
        return one is not None and other is not None and not one.parted.isdisjoint(other.parted)

    def is_joined(self, cell: int, places: Iterable[Place]) -> bool:
        """Whether a person made one cell of what holds these voxels of it."""
        made, voxels = self._made.get(cell), tuple(places)
        return made is not None and any(len(self._were(merge, voxels)) > 1 for merge in made.joined)

    def is_emptied(self, voxel: Place) -> bool:
        """Whether a person took a voxel away from a cell, so that it is background on purpose."""
        emptied = ((step.emptied, step.is_wished) for step in reversed(self._steps) if step.emptied is not None)
        return next((is_wished for by, is_wished in emptied if 0 in _values(by, 1, [voxel], kept=1)), False)

    def do(self, step: int, change: Change) -> None:
        """Take an edit into account, which was made or done again.

        Parameters
        ----------
        step : int
            Its number in the history.
        change : Change
            What it did.
        """
        if change.labels is None:
            self._steps.append(_Step({}))
            return
        lost, won = cells_in(change.labels)
        after = self._after(step, change.kind, change.labels, lost - {0}, won - {0})
        before = {cell: self._made.get(cell) for cell in after}
        self._steps.append(_Step(before, change.labels if 0 in won else None, change.kind != _REPLACES))
        self._set(after)

    def undo(self) -> None:
        """Take back the last edit that was taken into account."""
        self._set(self._steps.pop().before)

    def _set(self, made: dict[int, _Made | None]) -> None:
        for cell, how in made.items():
            if how is None:
                self._made.pop(cell, None)
            else:
                self._made[cell] = how

    def _after(
        self, step: int, kind: str, labels: Difference, lost: set[int], won: set[int]
    ) -> dict[int, _Made | None]:
        """Return what becomes of the cells that an edit is about."""
        if kind == _REPLACES:
            return dict.fromkeys(lost | won)
        if kind in _SHAPES:  # who draws over a cell means the one that is drawn; who erases, the one that is left
            return {cell: self._made.get(cell, _Made()) for cell in won or lost}
        if kind not in (*_PARTS, *_JOINS):
            return {}
        known = [self._made[cell] for cell in lost | won if cell in self._made]
        parted = frozenset[int]().union(*(made.parted for made in known))
        joined = frozenset[Difference]().union(*(made.joined for made in known))
        made = _Made(parted | {step}, joined) if kind in _PARTS else _Made(parted, joined | {labels})
        return dict.fromkeys(lost | won, made)


def _were(merge: Difference, voxels: tuple[Place, ...]) -> frozenset[int]:
    """Return the cells that voxels had before a merge; 0 for those that kept theirs."""
    return frozenset(_values(merge, 0, voxels, kept=0))


def _values(of: Difference, side: int, voxels: Iterable[Place], kept: int) -> Iterator[int]:
    """Yield the values of voxels that differ, before (0) or after (1); `kept` of one that does not differ."""
    mask = None
    for voxel in voxels:
        place = tuple(i - first for i, first in zip(voxel, of.box.start, strict=True))
        if not all(0 <= i < n for i, n in zip(place, of.box.shape, strict=True)):
            yield kept
            continue
        if mask is None:
            mask, values = of.where(), of.values()[side]
        before = int(np.ravel_multi_index(place, mask.shape))
        yield int(values[np.count_nonzero(mask.ravel()[:before])]) if mask[place] else kept

"""Where people have said that no cell is missing: it is kept in the journal, beside the steps of its history."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

from napari_scutoid.proofread.change import Change, focus_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_scutoid.proofread.gaps import Place
    from napari_scutoid.proofread.journal import Journal

KIND = "no cell"
"""Under which facts of a journal they are, and of which kind the change is that is heard of them."""


class NoCells:
    """What is said of a journal's labels while it is open; an undo takes that back before the edit that it followed.

    Parameters
    ----------
    journal : Journal
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._said: dict[int, list[Place]] = {}

    @property
    def is_last(self) -> bool:
        """Whether one was told since the last edit, and not taken back."""
        return bool(self._said.get(self._journal.history.head))

    def tell(self, place: Place) -> Change:
        """Write one; raises as `Journal.append`."""
        tell_no_cells(self._journal, [place])
        self._said.setdefault(self._journal.history.head, []).append(place)
        return _change(place)

    def take_back(self) -> Change:
        """Forget the one that was told last; raises as `Journal.append`."""
        said = self._said[self._journal.history.head]
        self._journal.forget(KIND, [json.dumps(said[-1])])
        return _change(said.pop())


def tell_no_cells(journal: Journal, places: Iterable[Place]) -> None:
    """Write where no cell is missing; raises as `Journal.append`."""
    told = [json.dumps(place) for place in places]
    journal.tell(KIND, dict(zip(told, told, strict=True)))


def no_cells_in(journal: Journal) -> list[Place]:
    """Read where no cell is missing; ScutoidError where the journal is damaged."""
    return journal.facts(KIND, partial(_place_from, shape=journal.base.shape))


def _change(place: Place) -> Change:
    return Change(KIND, "No cell is missing here", focus=focus_of(place))


def _place_from(text: str, shape: Place) -> Place:
    place = json.loads(text)
    if not isinstance(place, list) or len(place) != len(shape):
        raise ValueError(f"{text[:60]} is no voxel")
    if not all(type(i) is int and 0 <= i < n for i, n in zip(place, shape, strict=True)):
        raise ValueError(f"{text[:60]} is no voxel of labels of shape {shape}")
    z, y, x = place
    return z, y, x

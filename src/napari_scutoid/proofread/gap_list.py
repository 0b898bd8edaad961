"""The places where a cell may be missing: which one to look at next, and where none is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_scutoid.box import Box
from napari_scutoid.proofread.edits.add import Add
from napari_scutoid.proofread.edits.guards import typical_diameter
from napari_scutoid.proofread.no_cells import KIND
from napari_scutoid.proofread.reasons import Suspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.gaps import Gap, Place
    from napari_scutoid.proofread.session import Session

_SAME = 0.5
"""How far apart two places of one gap may be, in diameters of a typical cell: edits around it move its middle."""


class GapList:
    """Gaps that wait to be seen: those that are background still, other than because a person wants it.

    Whoever holds it lets it `hear` of every change.

    Parameters
    ----------
    session : Session
        What is corrected.
    gaps : iterable of Gap
        The surest first.
    """

    def __init__(self, session: Session, gaps: Iterable[Gap]) -> None:
        self._session = session
        self._gaps = tuple(gaps)
        self._passed: set[Gap] = set()
        self._none = session.no_cells() if self._gaps else []
        self._is_empty: dict[Place, bool] = {}
        self._near = _SAME * typical_diameter(session.scene()) if self._gaps else 0.0

    def next(self, fits: Callable[[Place], bool]) -> Gap | None:
        """Return the surest one whose place fits and that was not passed in this round; None where there is none."""
        left = (gap for gap in self._gaps if gap not in self._passed and fits(gap.place))
        return next((gap for gap in left if self._waits(gap.place)), None)

    def take(self, gap: Gap) -> Suspect:
        """Pass one, and return it as a suspect."""
        self._passed.add(gap)
        return as_suspect(gap)

    def begin_round(self) -> bool:
        """Let those come again that were passed; return whether any was."""
        passed, self._passed = self._passed, set()
        return bool(passed)

    def hear(self, change: Change) -> None:
        """Ask anew of the places that a change is about."""
        if change.kind == KIND and change.focus is not None and self._gaps:
            self._none = self._session.no_cells()
            said = change.focus
            self._passed = {gap for gap in self._passed if self._apart(gap.place, said) > self._near}
        box = change.box
        if box is not None:
            elsewhere = [place for place in self._is_empty if not box.overlap(Box(place, (1, 1, 1))).size]
            self._is_empty = {place: self._is_empty[place] for place in elsewhere}

    def _waits(self, place: Place) -> bool:
        if place not in self._is_empty:
            self._is_empty[place] = self._is_left_empty(place)
        return self._is_empty[place] and all(self._apart(place, other) > self._near for other in self._none)

    def _is_left_empty(self, place: Place) -> bool:
        """Whether a place is background, other than because a person wants it."""
        session = self._session
        if session.labels[place] or (session.lumen is not None and session.lumen[place]):
            return False
        return not session.handwork.is_emptied(place)

    def _apart(self, one: Place, other: tuple[float, float, float]) -> float:
        return math.hypot(*((a - b) * edge for a, b, edge in zip(one, other, self._session.spacing, strict=True)))


def as_suspect(gap: Gap) -> Suspect:
    """Return a gap as something to look at: no cell yet, with its reasons in words."""
    reasons = (
        f"background of {gap.size:.2g} times the usual size of a cell",
        f"walls or cells close {gap.closed:.0%} of its surface",
        f"cells are on {gap.among:.0%} of the sides around it",
    )
    z, y, x = map(float, gap.place)
    return Suspect(0, gap.chance, reasons, (z, y, x), None, Add(((z, y, x),)), "Add a cell here")


def voxel_of(gap: Suspect) -> Place:
    """Return the voxel that a gap was shown by."""
    z, y, x = map(int, gap.place)
    return z, y, x

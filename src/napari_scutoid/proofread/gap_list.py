"""The places where a cell may be missing: which one to look at next, and where none is."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

from napari_scutoid.proofread.edits.add import Add
from napari_scutoid.proofread.edits.guards import typical_diameter
from napari_scutoid.proofread.reasons import Suspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_scutoid.proofread.gaps import Gap, Place
    from napari_scutoid.proofread.journal import Journal
    from napari_scutoid.proofread.session import Session

KIND = "no cell"
"""Under which facts of a journal the places are where none is missing."""
_SAME = 0.5
"""How far apart two places of one gap may be, in diameters of a typical cell: edits around it move its middle."""


class GapList:
    """Gaps that wait to be seen: those that are background still, other than because a person wants it.

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

    def tell_no_cell(self, place: Place) -> None:
        """Remember, also for another day, that no cell is missing there; ScutoidError where it cannot be written."""
        self._session.tell_no_cell(place)
        self._none.append(place)

    def _waits(self, place: Place) -> bool:
        session = self._session
        if session.labels[place] or (session.lumen is not None and session.lumen[place]):
            return False
        if session.handwork.is_emptied(place):
            return False
        return all(self._apart(place, other) > self._near for other in self._none)

    def _apart(self, one: Place, other: Place) -> float:
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


def tell_no_cells(journal: Journal, places: Iterable[Place]) -> None:
    """Write where no cell is missing; raises as `Journal.append`."""
    told = [json.dumps(place) for place in places]
    journal.tell(KIND, dict(zip(told, told, strict=True)))


def no_cells_in(journal: Journal) -> list[Place]:
    """Read where no cell is missing; ScutoidError where the journal is damaged."""
    return journal.facts(KIND, _place_from)


def _place_from(text: str) -> Place:
    place = json.loads(text)
    if not isinstance(place, list) or any(type(i) is not int for i in place):
        raise ValueError(f"{text[:60]} is no voxel")
    z, y, x = place
    return z, y, x

"""One suspect after another: what to look at next, what was said of it, and how long the rest will take."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.change import Change, cells_in
from napari_scutoid.proofread.edits.states import Accept, Flag, MarkSeen, Note
from napari_scutoid.proofread.gap_list import GapList, voxel_of
from napari_scutoid.proofread.history import LONGEST_PAUSE
from napari_scutoid.proofread.likely import likely
from napari_scutoid.proofread.reasons import Suspect, suspect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from napari_scutoid.proofread.gaps import Gap
    from napari_scutoid.proofread.history import Move
    from napari_scutoid.proofread.session import Session
    from napari_scutoid.proofread.suspects import Suspects

_SHORTEST = timedelta(minutes=1)
"""Work from which a pace can be told."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which suspects to go through.

    Parameters
    ----------
    unseen : bool
        Only cells that nobody has accepted, skipped or flagged; an edit makes a cell unseen again.
    flagged : bool
        Only flagged cells, seen or not.
    at_border : bool
        Only cells that the stack's border cuts.
    near : tuple of 3 floats, optional
        Only cells whose middle lies around this place, in voxels.
    within : float
        How far from there, in the units of the spacing.
    """

    unseen: bool = True
    flagged: bool = False
    at_border: bool = False
    near: tuple[float, float, float] | None = None
    within: float = 0.0


UNSEEN = Filter()


class Review:
    """The suspects of a session, the most probable error first; the order follows the edits.

    Looking at a cell takes longer than most edits, so that it waits until somebody has time (`look_again`), or wants to
    see the cell.

    Parameters
    ----------
    session : Session
        What is corrected; the review hears of every change.
    suspects : Suspects
        Of its labels.
    since : iterable of Change
        What changed after the suspects were found.
    clock : callable
        Returns the present time with its time zone.
    gaps : iterable of Gap
        Where cells may be missing; they come between the cells.

    Attributes
    ----------
    current : Suspect or None
        The one that was shown last.
    """

    def __init__(
        self,
        session: Session,
        suspects: Suspects,
        since: Iterable[Change] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        gaps: Iterable[Gap] = (),
    ) -> None:
        self.session, self.suspects = session, suspects
        self.current: Suspect | None = None
        self._clock = clock
        self._order: list[tuple[float, int]] = []
        self._key: dict[int, tuple[float, int]] = {}
        self._ranks: dict[int, tuple[float, int]] = {}
        self._passed: set[int] = set()
        self._again: set[int] = set()
        self._changed: dict[int, None] = {}
        self._beside: dict[int, None] = {}
        self._pace = _Pace()
        self._gaps = GapList(session, gaps)
        for cell in suspects.cells:
            self._place(cell)
        for change in since:
            self._hear(change)
        session.heard.append(self._hear)

    def close(self) -> None:
        """Hear no more of the session."""
        if self._hear in self.session.heard:
            self.session.heard.remove(self._hear)

    def __len__(self) -> int:
        """Return how many cells wait to be seen."""
        return len(self._order) + len(self._passed)

    def next(self, which: Filter = UNSEEN) -> Suspect | None:
        """Go to the most suspect cell or gap that was not shown in this round; None where there is none.

        A round ends where none is left; then those that were neither accepted, skipped nor flagged come again.
        """
        for new in [cell for cell in self._changed if cell not in self.suspects]:
            self._look_at(new)
        cell, gap = self._first(which), self._first_gap(which)
        if cell is None and gap is None and (self._gaps.begin_round() or self._passed):
            for passed in tuple(self._passed):
                self._passed.discard(passed)
                self._place(passed)
            cell, gap = self._first(which), self._first_gap(which)
        if gap is not None and (cell is None or gap.chance > 1 / (1 + math.exp(self._ranks[cell][0]))):
            self.current = self._gaps.take(gap)
            return self.current
        if cell is None:
            self.current = None
            return None
        self._passed.add(cell)
        self._take_out(cell)
        return self.show(cell)

    def show(self, cell: int) -> Suspect:
        """Make any cell the current one; ScutoidError where there is none of this number."""
        if cell not in self.session.index:
            raise ScutoidError(f"Cell {cell} cannot be shown", "there is no such cell", "choose a cell of the stack")
        if self._is_stale(cell):
            self._look_at(cell)
        self.current = suspect(self.session.scene(), self.suspects, cell, self.session.handwork)
        return self.current

    def show_again(self, before: Suspect) -> Suspect | None:
        """Make one current that was shown before, of a gap also what fills it now; None where its cell is no more."""
        if before.cell:
            return self.show(before.cell) if before.cell in self.session.index else None
        self.current = before
        return self.follow()

    @property
    def is_behind(self) -> bool:
        """Whether the current suspect was changed after it was shown."""
        shown, cells = self.current, self._cells_now()
        return shown is not None and shown.cell in (0, *cells) and any(map(self._is_stale, cells))

    def follow(self) -> Suspect | None:
        """Return what became of the current suspect; None where its cells are no more."""
        cells = self._cells_now()
        if cells:
            return self.show(cells[0])
        if not self._is_gap:
            self.current = None
        return self.current

    def look_again(self) -> bool:
        """Look at one of the cells that edits have changed, or else at one beside them; False where none waits."""
        cell = next(iter(self._changed or self._beside), None)
        if cell is not None:
            self._look_at(cell)
        return cell is not None

    def accept(self) -> Change:
        """Accept the current cell: no edit changes it until it is unlocked. Of a gap, say that no cell is missing."""
        shown = self._shown()
        return self.session.do(Accept((shown.cell,))) if shown.cell else self.session.tell_no_cell(voxel_of(shown))

    def fix(self) -> Change:
        """Apply what is proposed for the current cell.

        Raises
        ------
        ScutoidError
            When nothing is proposed, or it cannot be done any more.
        """
        shown = self._shown()
        if shown.fix is None:
            raise ScutoidError(
                f"Nothing is proposed for cell {shown.cell}",
                "no single edit would probably set it right",
                "edit it by hand, accept it as it is, or flag it for later",
            )
        return self.session.do(shown.fix)

    def skip(self) -> Change:
        """Leave the current cell as it is, not accepted, not to be shown again before it changes; a gap as `accept`."""
        shown = self._shown()
        return self.session.do(MarkSeen((shown.cell,))) if shown.cell else self.session.tell_no_cell(voxel_of(shown))

    def flag(self, note: str = "") -> list[Change]:
        """Keep the current cell for later, with a note in the user's words.

        Raises
        ------
        ScutoidError
            When the current suspect is a gap, or none is shown.
        """
        shown = self._shown()
        if not shown.cell:
            raise ScutoidError(
                "This place cannot be flagged", "no cell is here yet", "add a cell here, or skip the place"
            )
        cells = (shown.cell,)
        changes = [self.session.do(Flag(cells))]
        if note:
            changes.append(self.session.do(Note(cells, note)))
        return changes

    def progress(self) -> str:
        """Return how far the correction is: ``"412 of 2310 cells accepted, 61 an hour, about 31 h left"``."""
        index = self.session.index
        accepted = sum(state.accepted and cell in index for cell, state in self.session.states.items())
        worked = self._pace.until(self._clock(), self.session.history.moves)
        return in_words(accepted, len(index), worked)

    @property
    def _is_gap(self) -> bool:
        return self.current is not None and not self.current.cell

    def _cells_now(self) -> list[int]:
        """Return the cells that the current suspect is about; of a gap, the one that is there by now."""
        if self.current is None:
            return []
        cells = self.current.cells if self.current.cell else [int(self.session.labels[voxel_of(self.current)])]
        return [cell for cell in cells if cell in self.session.index]

    def _shown(self) -> Suspect:
        if self._is_gap:
            self.follow()  # what is said after a gap was filled is meant for the new cell
        if self.current is None or not (self._is_gap or self.current.cell in self.session.index):
            raise ScutoidError("No cell is shown", "none was asked for, or it is no more", "go to the next suspect")
        return self.current

    def _first(self, which: Filter) -> int | None:
        while (cell := next((one for one in self._candidates(which) if self._fits(one, which)), None)) is not None:
            if not self._is_stale(cell):
                break
            self._look_at(cell)  # which may put another one before it
        return cell

    def _first_gap(self, which: Filter) -> Gap | None:
        if which.flagged or which.at_border:
            return None
        return self._gaps.next(lambda place: self._is_near(place, which))

    def _candidates(self, which: Filter) -> Iterator[int]:
        if which.flagged:
            states = self.session.states
            flagged = [cell for cell, state in states.items() if state.flagged and cell in self.suspects]
            return iter(sorted(set(flagged) - self._passed, key=self._ranks.__getitem__))
        if which.unseen:
            return (cell for _, cell in self._order)
        left = (cell for cell in self.suspects.cells if cell not in self._passed)
        return iter(sorted(left, key=self._ranks.__getitem__))

    def _fits(self, cell: int, which: Filter) -> bool:
        index = self.session.index
        return self._is_near(index.centroid(cell), which) and (not which.at_border or index.touches_border(cell))

    def _is_near(self, place: tuple[float, float, float], which: Filter) -> bool:
        if which.near is None:
            return True
        away = zip(place, which.near, self.session.spacing, strict=True)
        return sum(((a - b) * edge) ** 2 for a, b, edge in away) <= which.within**2

    def _hear(self, change: Change) -> None:
        self._gaps.hear(change)
        for state in change.states:
            self._again.discard(state.cell)
            if state.after.accepted or state.after.seen or state.after.flagged:
                self._passed.discard(state.cell)
            self._place(state.cell)
        if change.labels is None:
            return
        lost, won = cells_in(change.labels)
        changed = (lost | won) - {0}
        there = {cell for cell in changed if cell in self.session.index}
        beside = self.suspects.forget(changed - there)
        if 0 in lost | won:  # its neighbours look at what is no cell with another surface now
            beside.update(*(self.session.index.neighbours(cell) for cell in there))
            self._beside.update(dict.fromkeys(beside - changed))
        for cell in changed:
            self._beside.pop(cell, None)
            self._changed.pop(cell, None)
            self._passed.discard(cell)
            self._again.add(cell)
            self._place(cell)
        self._changed.update(dict.fromkeys(sorted(there)))

    def _is_stale(self, cell: int) -> bool:
        return cell in self._changed or cell in self._beside

    def _look_at(self, cell: int) -> None:
        self._changed.pop(cell, None)
        self._beside.pop(cell, None)
        if cell in self.session.index:
            for judged in self.suspects.update(self.session.scene(), (cell,)):
                self._place(judged)

    def _rank(self, cell: int) -> tuple[float, int]:
        session = self.session
        if cell not in session.handwork:
            return -self.suspects.odds(cell).wrong, cell
        return -likely(self.suspects, session.index, session.handwork, cell).wrong, cell

    def _waits(self, cell: int) -> bool:
        if cell not in self.suspects or cell in self._passed:
            return False
        state = self.session.states.get(cell)
        if state is None:
            return True
        return not (state.accepted or state.flagged or (state.seen and cell not in self._again))

    def _place(self, cell: int) -> None:
        """Put a cell where it belongs in the order, or take it out."""
        self._take_out(cell)
        self._ranks.pop(cell, None)
        if cell in self.suspects:
            self._ranks[cell] = self._rank(cell)
        if self._waits(cell):
            self._key[cell] = self._ranks[cell]
            bisect.insort(self._order, self._key[cell])

    def _take_out(self, cell: int) -> None:
        key = self._key.pop(cell, None)
        if key is not None:
            del self._order[bisect.bisect_left(self._order, key)]


class _Pace:
    """How long somebody was at work, by the times of what was done: long pauses do not count."""

    def __init__(self) -> None:
        self._counted, self._worked = 0, timedelta()

    def until(self, now: datetime, moves: Sequence[Move]) -> timedelta:
        """Return the time worked; only what was done since the last call is added up."""
        for i in range(max(1, self._counted), len(moves)):
            self._worked += _at_work(moves[i].made_at - moves[i - 1].made_at)
        self._counted = len(moves)
        return self._worked + (_at_work(now - moves[-1].made_at) if moves else timedelta())


def _at_work(pause: timedelta) -> timedelta:
    return pause if timedelta() <= pause <= LONGEST_PAUSE else timedelta()


def in_words(accepted: int, total: int, worked: timedelta) -> str:
    """Return how far a correction is.

    Examples
    --------
    >>> in_words(412, 2310, timedelta(hours=6.75))
    '412 of 2310 cells accepted, 61 an hour, about 31 h left'
    """
    told = f"{accepted} of {total} cells accepted"
    if accepted >= total or not accepted or worked < _SHORTEST:
        return told
    hours = worked.total_seconds() / 3600
    left = (total - accepted) / (accepted / hours)
    words = f"{left:.0f} h" if left >= 1.5 else f"{max(1, round(60 * left))} min"
    return f"{told}, {accepted / hours:.0f} an hour, about {words} left"

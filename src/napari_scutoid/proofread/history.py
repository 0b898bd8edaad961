"""What was done, in which order, and what is undone: a tree in which no work is ever lost."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = 0
"""Number of the step at which nothing is done yet."""

LONGEST_PAUSE = timedelta(minutes=5)
"""Who does nothing for longer is not at work."""


@dataclass(frozen=True, slots=True)
class Step:
    """One edit in the history.

    Parameters
    ----------
    id : int
        Its number, from 1 in the order of making.
    parent : int
        The step that it was made on; 0 is the base.
    kind, title : str
        Which edit, and what it did: ``"merge"``, ``"Merge cells 12 and 31"``.
    author : str
        Who made it.
    made_at : datetime
        When, with its time zone.
    centre : tuple of 3 floats, optional
        Where, in voxels; None where it has no place.
    """

    id: int
    parent: int
    kind: str
    title: str
    author: str
    made_at: datetime
    centre: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """The history's head came to another step: by an edit, by undo, redo or a jump."""

    head: int
    action: str
    author: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Card:
    """What a correction took.

    Parameters
    ----------
    authors : tuple of str
        In the order in which they came.
    began, ended : datetime, optional
        Of the first and the last thing done; None where nothing is.
    worked : timedelta
        How long people were at work, added up: pauses of more than `LONGEST_PAUSE` do not count.
    n_edits : int
        Edits that are in effect.
    by_kind : mapping of str to int
        The same by kind, the most frequent first.
    n_undone : int
        Edits that are kept, but not in effect.
    """

    authors: tuple[str, ...]
    began: datetime | None
    ended: datetime | None
    worked: timedelta
    n_edits: int
    by_kind: dict[str, int]
    n_undone: int

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain JSON types."""
        return {
            "authors": list(self.authors),
            "began": None if self.began is None else self.began.isoformat(),
            "ended": None if self.ended is None else self.ended.isoformat(),
            "worked_minutes": round(self.worked.total_seconds() / 60, 1),
            "edits": self.n_edits,
            "edits_by_kind": dict(self.by_kind),
            "edits_undone": self.n_undone,
        }


@dataclass(slots=True)
class History:
    """Steps that know their parents, and the one that the labels show.

    An edit after an undo begins another branch; the old one stays, and `redo` goes where one was last.
    """

    head: int = BASE
    moves: list[Move] = field(default_factory=list)
    _steps: dict[int, Step] = field(default_factory=dict)
    _next: dict[int, int] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Step]:
        """Go through all steps in the order of making, those that are undone too."""
        return iter(self._steps.values())

    def __len__(self) -> int:
        return len(self._steps)

    def __contains__(self, step: int) -> bool:
        return step == BASE or step in self._steps

    def __getitem__(self, step: int) -> Step:
        return self._steps[step]

    @property
    def next_id(self) -> int:
        """Number of the step that comes next."""
        return next(reversed(self._steps), BASE) + 1

    @property
    def undo_step(self) -> int | None:
        """Where `undo` goes; None where nothing is done."""
        return None if self.head == BASE else self._steps[self.head].parent

    @property
    def redo_step(self) -> int | None:
        """Where `redo` goes; None where nothing was undone."""
        return self._next.get(self.head)

    def add(self, step: Step) -> None:
        """Add a step; `move_to` makes it the head.

        Raises
        ------
        ValueError
            When its number is not above all others, or its parent is not there.
        """
        if step.id < self.next_id or step.parent not in self:
            raise ValueError(f"step {step.id} cannot follow step {step.parent}")
        self._steps[step.id] = step

    def move_to(self, move: Move) -> None:
        """Make a step the head; ValueError where there is no such step."""
        if move.head not in self:
            raise ValueError(f"there is no step {move.head}")
        _, done = self.way(move.head)
        self._next.update((self._steps[step].parent, step) for step in done)
        self.head = move.head
        self.moves.append(move)

    def line(self, step: int | None = None) -> list[int]:
        """Return the steps from the first one to a step, the head by default; the base is not among them."""
        at = self.head if step is None else step
        found = []
        while at != BASE:
            found.append(at)
            at = self._steps[at].parent
        return found[::-1]

    def ahead(self) -> list[int]:
        """Return the steps that `redo` would go through from the head on."""
        found, at = [], self.head
        while (step := self._next.get(at)) is not None:
            found.append(step)
            at = step
        return found

    def way(self, step: int) -> tuple[list[int], list[int]]:
        """Return what to undo, and then what to do again, to come from the head to a step."""
        undone, done = [], []
        here, there = self.head, step
        while here != there:  # a step's number is above its parent's
            if here > there:
                undone.append(here)
                here = self._steps[here].parent
            else:
                done.append(there)
                there = self._steps[there].parent
        return undone, done[::-1]

    def card(self) -> Card:
        """Return who did what, when, and how long it took."""
        times = sorted(move.made_at for move in self.moves)
        worked = timedelta()
        for author in {move.author for move in self.moves}:
            own = sorted(move.made_at for move in self.moves if move.author == author)
            pauses = (later - earlier for earlier, later in itertools.pairwise(own))
            worked += sum((pause for pause in pauses if pause <= LONGEST_PAUSE), timedelta())
        line = self.line()
        return Card(
            authors=tuple(dict.fromkeys(move.author for move in self.moves if move.author)),
            began=times[0] if times else None,
            ended=times[-1] if times else None,
            worked=worked,
            n_edits=len(line),
            by_kind=dict(Counter(self._steps[step].kind for step in line).most_common()),
            n_undone=len(self) - len(line),
        )

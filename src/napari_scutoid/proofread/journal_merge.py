"""Two people correct two halves: their journals become one, and where they meet, both versions are listed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from napari_scutoid.io.atomic import not_written
from napari_scutoid.progress import Progress, drain
from napari_scutoid.proofread import journal_file
from napari_scutoid.proofread.change import Change, Difference, StateChange, cells_in
from napari_scutoid.proofread.edits.merge import named
from napari_scutoid.proofread.journal import Journal
from napari_scutoid.proofread.no_cells import no_cells_in, tell_no_cells
from napari_scutoid.proofread.refusals import joined, refusals_in, refuse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.base import Base
    from napari_scutoid.proofread.gaps import Place
    from napari_scutoid.proofread.history import Step
    from napari_scutoid.proofread.refusals import Refusal

Keep: TypeAlias = Literal["first", "second"]


@dataclass(frozen=True, slots=True)
class Entry:
    """An edit of one of the journals: what it was called and who made it when, and what it changes."""

    step: Step
    change: Change


@dataclass(frozen=True, slots=True)
class Collision:
    """Edits of both journals that cannot both be made, with those that build on them.

    Parameters
    ----------
    first, second : tuple of Entry
        Both versions.
    cells : tuple of int
        Cells that both change, as far as they have a common number.
    """

    first: tuple[Entry, ...]
    second: tuple[Entry, ...]
    cells: tuple[int, ...]

    @property
    def what(self) -> str:
        """What both change: ``"cells 3 and 12 at z 4, y 60, x 71"``."""
        place = self.first[0].change.centre
        where = "" if place is None else " at z {:.0f}, y {:.0f}, x {:.0f}".format(*place)
        which = named(self.cells) if self.cells else "the same voxels"
        return which + where

    @property
    def versions(self) -> tuple[str, str]:
        """What was done in each journal, by whom and when."""
        return _told(self.first), _told(self.second)

    def __str__(self) -> str:
        """Return both versions in words."""
        return "{}\n  first: {}\n  second: {}".format(self.what, *self.versions)


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of two journals.

    Parameters
    ----------
    entries : tuple of Entry
        The edits to make, in this order.
    collisions : tuple of Collision
        Where the journals meet.
    left_out : tuple of Entry
        The edits in collisions that are not among `entries`.
    refused : tuple of Refusal
        What either has refused of other segmentations.
    no_cells : tuple of places
        Where either has said that no cell is missing.
    n_answers : int
        How many of `refused` and `no_cells` the first journal has not.
    """

    entries: tuple[Entry, ...]
    collisions: tuple[Collision, ...]
    left_out: tuple[Entry, ...]
    refused: tuple[Refusal, ...] = ()
    no_cells: tuple[Place, ...] = ()
    n_answers: int = 0

    def journal(self, base: Base) -> Journal:
        """Return a journal of the merged edits that is forgotten when it is closed."""
        made = Journal.begin(None, base)
        drain(self._into(made))
        return made

    def write(self, path: Path, base: Base) -> Steps[None]:
        """Write a new journal of the merged edits, each with its own author and time; it appears whole or not at all.

        Raises
        ------
        ScutoidError
            When a file is there already, or it cannot be written.
        """
        journal_file.refuse_taken(path)
        part = journal_file.part_of(path)
        try:
            made = Journal.begin(part, base)
            try:
                yield from self._into(made)
            finally:
                # What SQLite has kept beside the file goes into it.
                made.close()
            journal_file.put_in_place(part, path)
        except OSError as error:
            raise not_written(path, error) from error
        finally:
            journal_file.remove(part)

    def _into(self, journal: Journal) -> Steps[None]:
        for number, entry in enumerate(self.entries):
            yield Progress("Writing the corrections", number, len(self.entries))
            journal.append(entry.change, entry.step.author, entry.step.made_at)
        refuse(journal, self.refused)
        tell_no_cells(journal, self.no_cells)


def merge_journals(
    base: Base, first: Journal, second: Journal, keep: Keep | Sequence[Keep | None] | None = None
) -> Merged:
    """Merge what two journals of the same labels have in effect; what is undone in them stays in them.

    Edits collide where they change the same voxels or the same cells. All others are independent of each other: they
    are made in the order of their times. New cells of the second journal whose ids the first has used get other ids.

    Parameters
    ----------
    base : Base
        The labels.
    first, second : Journal
        The journals. Edits that both have are made once: copies of one journal begin with the same, and a colleague
        whose edits were added before goes on in a journal that still has them.
    keep : {"first", "second"}, optional
        Whose version of a collision to make, one for all or one for each; without it, neither.

    Raises
    ------
    ScutoidError
        When a journal is about other labels, or damaged.
    ValueError
        When `keep` is one for each, of another number of collisions.
    """
    for journal in (first, second):
        journal.check_base(base)
    one, other = ([Entry(j.history[step], j.change(step)) for step in j.history.line()] for j in (first, second))
    known = _known(one, other)
    both = set(known.values())
    their_own = [entry for j, entry in enumerate(other) if j not in known]
    new_ids = _ids_in_both(one, other, known)
    new_ids |= _new_ids(their_own, new_ids, base.largest, first.largest, max(first.largest, second.largest))
    own = [i for i in range(len(one)) if i not in both]
    sides = _Side([one[i] for i in own]), _Side([_renumbered(entry, new_ids) for entry in their_own])
    pairs = [(i, j) for i, touch in enumerate(sides[0].touches) for j in sides[1].meeting(touch)]
    groups = _groups(sides, pairs)
    choices = [keep] * len(groups) if keep is None or isinstance(keep, str) else list(keep)
    if len(choices) != len(groups):
        raise ValueError(f"keep says {len(choices)} times what to keep, and there are {len(groups)} collisions")
    # What builds on two collisions is left out where either is.
    left_out = [
        {i for group, choice in zip(groups, choices, strict=True) if choice != name for i in group.edits[k]}
        for k, name in enumerate(("first", "second"))
    ]
    dropped = [side.entries[i] for side, without in zip(sides, left_out, strict=True) for i in sorted(without)]
    collisions = tuple(group.collision(sides) for group in groups)
    # What only one has may build on what both have, and so comes after the last of that.
    n, without = max(both, default=-1) + 1, {own[i] for i in left_out[0]}
    until, since = ([one[i] for i in span if i not in without] for span in (range(n), range(n, len(one))))
    theirs = [entry for i, entry in enumerate(sides[1].entries) if i not in left_out[1]]
    made = (*until, *_interleaved(since, theirs))
    known_refused, known_empty = set(refusals_in(first)), dict.fromkeys(no_cells_in(first))
    refused, no_cells = joined(first, second, new_ids), tuple(known_empty | dict.fromkeys(no_cells_in(second)))
    n_answers = len(refused) - len(known_refused) + len(no_cells) - len(known_empty)
    return Merged(made, collisions, tuple(dropped), refused, no_cells, n_answers)


@dataclass(frozen=True, slots=True)
class _Touch:
    """What an edit changes: cells by id, voxels by mask."""

    cells: frozenset[int]
    parts: tuple[Difference, ...]

    def shares_voxels(self, other: _Touch) -> bool:
        return any(_overlap(a, b) for a in self.parts for b in other.parts)


class _Side:
    """One journal's edits, and which of them meet a given one."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.touches = [_touch(entry.change) for entry in entries]
        self._by_cell: dict[int, list[int]] = defaultdict(list)
        for i, touch in enumerate(self.touches):
            for cell in touch.cells:
                self._by_cell[cell].append(i)
        boxes = [(i, part.box) for i, touch in enumerate(self.touches) for part in touch.parts]
        self._owner = np.array([i for i, _ in boxes], np.int64)
        self._start = np.array([box.start for _, box in boxes], np.int64).reshape(-1, 3)
        self._stop = np.array([box.stop for _, box in boxes], np.int64).reshape(-1, 3)

    def meeting(self, touch: _Touch) -> set[int]:
        """Return the edits that change a cell or a voxel that is changed there."""
        found = {i for cell in touch.cells for i in self._by_cell.get(cell, ())}
        for part in touch.parts:
            near = ((self._start < part.box.stop) & (self._stop > part.box.start)).all(axis=1)
            found |= {i for i in map(int, self._owner[near]) if i not in found and self.touches[i].shares_voxels(touch)}
        return found

    def with_dependents(self, edits: Iterable[int]) -> set[int]:
        """Return edits with all later ones that build on them."""
        found, waiting = set(edits), list(edits)
        while waiting:
            edit = waiting.pop()
            more = {later for later in self.meeting(self.touches[edit]) if later > edit} - found
            found |= more
            waiting += more
        return found


def _touch(change: Change) -> _Touch:
    parts = tuple(part for part in (change.labels, change.lumen) if part is not None)
    return _Touch(frozenset(_ids_of(change)), parts)


def _ids_of(change: Change) -> set[int]:
    ids = {state.cell for state in change.states}
    if change.labels is not None:
        lost, won = cells_in(change.labels)
        ids |= (lost | won) - {0}
    return ids


def _overlap(a: Difference, b: Difference) -> bool:
    common = a.box.overlap(b.box)
    return bool(common.size) and bool(np.any(_cut(a, common) & _cut(b, common)))


def _cut(difference: Difference, box: Box) -> NDArray[np.bool_]:
    return difference.where()[box.shifted([-first for first in difference.box.start]).slices]


def _known(one: Sequence[Entry], other: Sequence[Entry]) -> dict[int, int]:
    """Return which edits of the other journal the first one has, and where; ids of new cells may differ."""
    places = {_origin(entry): i for i, entry in enumerate(one)}
    found = ((j, places.get(_origin(entry))) for j, entry in enumerate(other))
    return {j: i for j, i in found if i is not None}


def _origin(entry: Entry) -> tuple[Any, ...]:
    """Return what an edit keeps when it is added to another journal."""
    change, step = entry.change, entry.step
    where = (None if part is None else (part.box, part.mask) for part in (change.labels, change.lumen))
    return step.author, step.made_at, step.kind, len(change.states), *where


def _ids_in_both(one: Sequence[Entry], other: Sequence[Entry], known: Mapping[int, int]) -> dict[int, int]:
    """Return what the first journal calls the cells of the other one, as far as edits that both have tell."""
    names: dict[int, int] = {}
    for j, i in known.items():
        ours, theirs = one[i].change.labels, other[j].change.labels
        if ours is not None and theirs is not None:
            pairs = np.stack([np.concatenate(theirs.values()), np.concatenate(ours.values())], axis=1)
            names.update(np.unique(pairs, axis=0).tolist())
    return names


def _new_ids(entries: Iterable[Entry], known: Collection[int], common: int, used: int, largest: int) -> dict[int, int]:
    """Return another id for each new one that the other journal has, or had, for another cell."""
    ids = {cell for entry in entries for cell in _ids_of(entry.change)}
    new = sorted(cell for cell in ids if common < cell <= used and cell not in known)
    return {cell: largest + 1 + i for i, cell in enumerate(new)}


def _renumbered(entry: Entry, ids: Mapping[int, int]) -> Entry:
    mine = {old: new for old, new in ids.items() if old != new and old in _ids_of(entry.change)}
    if not mine:
        return entry
    change = entry.change
    told = ", ".join(f"{old} is now {new}" for old, new in mine.items())
    renamed = replace(
        change,
        title=f"{change.title} ({told})",
        parameters=dict(change.parameters) | {"renumbered": {str(old): new for old, new in mine.items()}},
        labels=None if change.labels is None else change.labels.renumbered(mine),
        states=tuple(StateChange(mine.get(one.cell, one.cell), one.before, one.after) for one in change.states),
    )
    return Entry(replace(entry.step, title=renamed.title), renamed)


def _interleaved(one: Sequence[Entry], other: Sequence[Entry]) -> list[Entry]:
    """Return both in the order of their times; neither's own order changes, whatever its clock said."""
    found: list[Entry] = []
    i = j = 0
    while i < len(one) and j < len(other):
        if one[i].step.made_at <= other[j].step.made_at:
            found.append(one[i])
            i += 1
        else:
            found.append(other[j])
            j += 1
    return [*found, *one[i:], *other[j:]]


@dataclass(frozen=True, slots=True)
class _Group:
    """The edits of a collision, by side, and the cells that both change."""

    edits: tuple[set[int], set[int]]
    cells: tuple[int, ...]

    def collision(self, sides: tuple[_Side, _Side]) -> Collision:
        first, second = (
            tuple(side.entries[i] for i in sorted(edits)) for side, edits in zip(sides, self.edits, strict=True)
        )
        return Collision(first, second, self.cells)


def _groups(sides: tuple[_Side, _Side], pairs: Sequence[tuple[int, int]]) -> list[_Group]:
    """Return the pairs, those that hang together as one: what is made of one group meets nothing of another."""
    found = []
    waiting = list(pairs)
    while waiting:
        group = [waiting.pop(0)]
        ours, theirs = (sides[k].with_dependents({group[0][k]}) for k in (0, 1))
        while more := [(i, j) for i, j in waiting if i in ours or j in theirs]:
            group += more
            waiting = [pair for pair in waiting if pair not in set(more)]
            ours |= sides[0].with_dependents({i for i, _ in more})
            theirs |= sides[1].with_dependents({j for _, j in more})
        cells = {cell for i, j in group for cell in sides[0].touches[i].cells & sides[1].touches[j].cells}
        found.append(_Group((ours, theirs), tuple(sorted(cells))))
    return found


def _told(entries: Iterable[Entry]) -> str:
    """Return edits in words, with their authors and times."""
    return "; ".join(
        f"{one.step.title} ({', '.join(filter(None, (one.step.author, f'{one.step.made_at:%Y-%m-%d %H:%M}')))})"
        for one in entries
    )

"""A correction at work: labels that edits change, with the way back and a journal that loses nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress
from napari_scutoid.proofread.base import Base
from napari_scutoid.proofread.change import UNTOUCHED, Change, cells_in
from napari_scutoid.proofread.handwork import Handwork
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.journal import Journal
from napari_scutoid.proofread.no_cells import NoCells, no_cells_in
from napari_scutoid.proofread.present import Present
from napari_scutoid.proofread.scene import LARGEST_ID, Scene
from napari_scutoid.proofread.watch import Watch
from napari_scutoid.volume import VoxelSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.change import CellState
    from napari_scutoid.proofread.differences import Proposal
    from napari_scutoid.proofread.history import History
    from napari_scutoid.proofread.journal_merge import Keep, Merged
    from napari_scutoid.proofread.saving import Corrected
    from napari_scutoid.proofread.scene import Edit, Evidence
    from napari_scutoid.volume import Labels, Volume

_SAVING = "they are being saved"


class Session:
    """Labels under correction; made by `begin`.

    Attributes
    ----------
    base : Base
        The labels before the first edit.
    index : CellIndex
        Of the labels as they are.
    spacing : VoxelSize
        Voxel edges; relative where unknown.
    author : str
        Who is at work.
    handwork : Handwork
        What people have made by the edits that are in effect.
    heard : list of callables
        Called with every change after it was made, those by undo and redo too.
    """

    def __init__(self, grid: Labels, base: Base, evidence: Evidence, journal: Journal, author: str = "") -> None:
        self.base = base
        self.index = CellIndex(grid.shape)
        self.spacing = grid.voxel_size_um or VoxelSize(1.0, 1.0, 1.0)
        self.author = author
        self.handwork = Handwork()
        self.heard: list[Callable[[Change], None]] = []
        self._grid = grid
        self._evidence = evidence
        self._journal = journal
        self._present = Present(grid)
        self._no_cells = NoCells(journal)
        self._held_by = ""
        self._moving = RLock()
        self._watches: list[Watch] = []

    @classmethod
    def begin(
        cls, labels: Labels, evidence: Evidence, journal: str | Path | None = None, author: str = ""
    ) -> Steps[Session]:
        """Begin to correct labels, or continue where a journal stopped.

        Parameters
        ----------
        labels : Labels
            As they were before the first correction. Their array becomes the session's own where it is in memory and
            may be written, and is changed from now on.
        evidence : Evidence
            What the image says of walls.
        journal : path, optional
            Where the journal lies, or begins where nothing is there; None for a session that ends with the program.
        author : str
            Who is at work.

        Returns
        -------
        Session

        Raises
        ------
        ScutoidError
            When the journal cannot be used (see `Journal.resume`). Whenever it fails or is cancelled, neither the
            journal nor the labels are changed.
        """
        base = yield from Base.of(labels)
        if base.largest >= LARGEST_ID:
            raise ScutoidError(
                "These labels cannot be corrected",
                f"there is no number left for a new cell: one has {base.largest}, and numbers end at {LARGEST_ID}",
                "number the cells with smaller numbers",
            )
        yield Progress("Opening the journal")
        resumes = journal is not None and Path(journal).exists()
        opened = Journal.resume(Path(journal), base) if journal and resumes else Journal.begin(journal, base)
        try:
            session = cls(labels, base, evidence, opened, author)
            yield from session._present.catch_up(opened, session.handwork.do)
            try:
                session.index = yield from CellIndex.build(session.labels, evidence)
            except BaseException:
                session._present.take_back(opened, opened.history.line())
                raise
        except BaseException:
            opened.close()
            raise
        return session

    @property
    def labels(self) -> NDArray[np.uint32]:
        """One id per cell, shape (z, y, x): always the same array, changed in place."""
        return self._present.labels

    @property
    def lumen(self) -> NDArray[np.bool_] | None:
        """The lumen, same shape, changed in place; None until there is one."""
        return self._present.lumen

    @property
    def journal(self) -> Path | None:
        """Where the journal lies."""
        return self._journal.path

    @property
    def history(self) -> History:
        """All that was done, and where its head is."""
        return self._journal.history

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back."""
        return self.history.undo_step is not None or self._no_cells.is_last

    @property
    def states(self) -> MappingProxyType[int, CellState]:
        """What was said of cells."""
        return MappingProxyType(self._present.states)

    @property
    def next_id(self) -> int:
        """Larger than every id that was ever used, those of undone edits too."""
        return self._journal.largest + 1

    def scene(self) -> Scene:
        """Return what an edit may look at; it cannot change the labels through it."""
        return Scene(
            labels=_read_only(self.labels),
            index=self.index,
            spacing=self.spacing,
            evidence=self._evidence,
            lumen=None if self.lumen is None else _read_only(self.lumen),
            states=self.states,
            next_id=self.next_id,
        )

    def do(self, edit: Edit) -> Change:
        """Plan an edit, write it to the journal, and only then make it.

        Returns
        -------
        Change
            What was made; where it is empty, nothing was written.

        Raises
        ------
        ScutoidError
            When it cannot be done, would change an accepted cell, or cannot be written: nothing is changed then.
        ValueError
            When the planned change does not start from the labels as they are.
        """
        self._refuse_held()
        change = edit.plan(self.scene())
        if change.is_empty:
            return change
        self._check(change)
        step = self._journal.append(change, self.author)
        self.handwork.do(step.id, change)
        self._make([change])
        return change

    def undo(self) -> Change | None:
        """Take back the last edit, or that no cell is missing where that was said after it.

        Returns
        -------
        Change or None
            What that changed; None where nothing is done.
        """
        if self._no_cells.is_last:
            return self._answer(self._no_cells.take_back)
        step = self.history.undo_step
        return None if step is None else self._go(step, "undo")[0]

    def redo(self) -> Change | None:
        """Do again what was taken back last; return what that changed, or None where nothing was."""
        step = self.history.redo_step
        return None if step is None else self._go(step, "redo")[0]

    def jump(self, step: int) -> list[Change]:
        """Go to any step of the history; 0 is the base.

        Returns
        -------
        list of Change
            What that changed, in this order.

        Raises
        ------
        ScutoidError
            When there is no such step, or the journal cannot be written: nothing is changed then.
        """
        if step not in self.history:
            raise ScutoidError(
                f"Step {step} cannot be reached", "the history has no such step", "choose one from the list"
            )
        return self._go(step, "jump")

    def refuse(self, proposal: Proposal) -> None:
        """Write that a difference was refused; no step of the history. ScutoidError where it cannot be written."""
        from napari_scutoid.proofread.refusals import Refusal, refuse

        refuse(self._journal, [Refusal.of(proposal)])

    def reconsider(self, proposal: Proposal) -> None:
        """Take back that a difference was refused; raises as `refuse`."""
        from napari_scutoid.proofread.refusals import reconsider

        reconsider(self._journal, proposal)

    def parted(self, proposals: Iterable[Proposal]) -> tuple[list[Proposal], list[Proposal]]:
        """Return the differences that were not refused, and those that were; ScutoidError for a damaged journal."""
        from napari_scutoid.proofread.refusals import parted

        return parted(self._journal, proposals)

    def tell_no_cell(self, place: tuple[int, int, int]) -> Change:
        """Write that no cell is missing at a place; no step, but `undo` takes it back. Raises as `do`."""
        return self._answer(lambda: self._no_cells.tell(place))

    def no_cells(self) -> list[tuple[int, int, int]]:
        """Return where no cell is missing; ScutoidError for a damaged journal."""
        return no_cells_in(self._journal)

    def corrected(self) -> Corrected:
        """Return the labels as they are with how they came about, to be written; the arrays are the session's own."""
        from napari_scutoid.proofread.saving import Corrected

        lumen = self.lumen
        if self._grid.lumen is None and lumen is not None and not lumen.any():
            lumen = None
        journals = () if self.journal is None else (self.journal,)
        return Corrected(self._grid, self.labels, lumen, dict(self.states), self.base, self.history, journals)

    def merged_with(self, other: Journal, keep: Keep | Sequence[Keep | None] | None = None) -> Merged:
        """Return what these edits and those of another journal become, as `merge_journals`; nothing is changed.

        No edit is possible until it ends.
        """
        from napari_scutoid.proofread.journal_merge import merge_journals

        with self.held("another journal is being compared with these edits"):
            return merge_journals(self.base, self._journal, other, keep)

    def save(self, path: str | Path) -> Steps[None]:
        """Write the labels as they are into a new file, with a table of cells beside it; see `saving.save_corrected`.

        No edit is possible until it ends; so it is with those below.
        """
        from napari_scutoid.proofread.saving import save_corrected

        with self.held(_SAVING):
            yield from save_corrected(path, self.corrected(), self.index)

    def export(self, path: str | Path, stack: Volume | None = None) -> Steps[None]:
        """Write the labels for other programs, on the grid of a stack where one is given; see `export_corrected`."""
        from napari_scutoid.proofread.export import export_corrected

        with self.held(_SAVING):
            yield from export_corrected(path, self.corrected(), self.index, stack=stack)

    def save_truth(self, path: str | Path, image: Volume) -> Steps[None]:
        """Write the accepted cells with the image, to train with; see `write_truth`."""
        from napari_scutoid.proofread.truth import write_truth

        with self.held(_SAVING):
            yield from write_truth(path, image, self.scene(), self.base)

    @contextlib.contextmanager
    def held(self, why: str) -> Iterator[None]:
        """Refuse all edits for as long as something reads the labels: ``"they are being saved"``.

        Raises
        ------
        ScutoidError
            When something else holds them.
        """
        self._refuse_held()
        self._held_by = why
        try:
            yield
        finally:
            if self._held_by == why:
                self._held_by = ""

    @contextlib.contextmanager
    def watched(self) -> Iterator[Watch]:
        """Let a job in another thread look at the labels while edits go on."""
        watch = Watch(self.scene, self._moving)
        with self._moving:
            self._watches.append(watch)
        try:
            yield watch
        finally:
            with self._moving:
                self._watches.remove(watch)

    def close(self) -> None:
        """Let others open the journal; the session is over then."""
        self._held_by = "the correction is closed"
        self._journal.close()

    def _answer(self, answer: Callable[[], Change]) -> Change:
        self._refuse_held()
        change = answer()
        self._make([change])
        return change

    def _go(self, step: int, action: str) -> list[Change]:
        self._refuse_held()
        undone, done = self.history.way(step)
        # All of it is read before anything is changed: a damaged journal must not leave the labels half-way.
        changes = [self._journal.change(one).inverse() for one in undone]
        changes += [self._journal.change(one) for one in done]
        if changes:
            self._present.check(changes[0])
            self._journal.move(step, action, self.author)
        for _ in undone:
            self.handwork.undo()
        for one, change in zip(done, changes[len(undone) :], strict=True):
            self.handwork.do(one, change)
        self._make(changes)
        return changes

    def _check(self, change: Change) -> None:
        """Refuse what no edit may do, before it is written."""
        self._present.check(change)
        if change.lumen is not None:
            there = self.labels[change.lumen.box.slices][change.lumen.where()]
            self._refuse_locked(change, np.unique(there[change.lumen.values()[1] > 0]).tolist())
        if change.labels is None:
            return
        lost, won = cells_in(change.labels)
        self._refuse_locked(change, lost | won)
        if max(won) > LARGEST_ID:
            raise ScutoidError(
                f"{change.title} is not possible",
                f"it would make a cell of the number {max(won)}, and numbers end at {LARGEST_ID}",
                f"give it a smaller number: the next one is {self.next_id}"
                if self.next_id <= LARGEST_ID
                else "save the labels, number their cells anew, and go on with those",
            )
        if used := [cell for cell in sorted(won - {0}) if cell < self.next_id and cell not in self.index]:
            raise ScutoidError(
                f"{change.title} is not possible",
                f"there was a cell {used[0]} before, and no other cell gets its number",
                f"give the new cell the number {self.next_id}, or undo what removed cell {used[0]}",
            )

    def _refuse_locked(self, change: Change, cells: Iterable[int]) -> None:
        locked = sorted(cell for cell in cells if self.states.get(cell, UNTOUCHED).accepted)
        if locked:
            raise ScutoidError(
                f"{change.title} is not possible",
                f"it would change {'cell' if len(locked) == 1 else 'cells'} {', '.join(map(str, locked))}, "
                f"which {'is' if len(locked) == 1 else 'are'} accepted",
                "unlock first what is to be changed",
            )

    def _refuse_held(self) -> None:
        if self._held_by:
            raise ScutoidError("The labels cannot be changed now", self._held_by, "wait, or open the stack again")

    def _make(self, changes: Sequence[Change]) -> None:
        """Change the labels, the index and the states, and tell all who listen.

        Who fails at listening is told at the end: the labels must not stop half-way to where the journal says they are.
        """
        failed: list[Exception] = []
        # Until all is made, the labels are not what the journal says: no edit may build on them, even if this fails.
        not_yet = self._held_by = "an edit is in the journal, but not yet in the labels"
        for change in changes:
            self._apply(change)
            for listener in tuple(self.heard):
                try:
                    listener(change)
                except Exception as error:
                    failed.append(error)
        if self._held_by == not_yet:
            self._held_by = ""
        if failed:
            raise failed[0]

    def _apply(self, change: Change) -> None:
        with self._moving:
            for watch in self._watches:
                watch.note(change)
            if change.labels is None:
                self._present.apply(change)
                return
            box = change.labels.box
            before = self.labels[box.slices].copy()
            self._present.apply(change)
            self.index.update(self.labels, box, before, self._evidence)


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view

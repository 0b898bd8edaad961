"""What a correction has come to: arrays and states that changes move forth and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.proofread.change import UNTOUCHED
from napari_scutoid.proofread.journal_file import damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.change import CellState, Change
    from napari_scutoid.proofread.journal import Journal
    from napari_scutoid.volume import Labels


class Present:
    """Labels, lumen and what was said of cells.

    Parameters
    ----------
    base : Labels
        Their arrays are changed in place, unless that would change a file or is not allowed: then they are copied.
    """

    def __init__(self, base: Labels) -> None:
        self.labels: NDArray[np.uint32] = _changeable(base.data)
        self.lumen: NDArray[np.bool_] | None = None if base.lumen is None else _changeable(base.lumen)
        self.states: dict[int, CellState] = {}

    def check(self, change: Change) -> None:
        """Raise ValueError unless a change starts from what is there."""
        for part, array in ((change.labels, self.labels), (change.lumen, self.lumen)):
            if part is None:
                continue
            if not part.box.is_within(self.labels.shape):
                raise ValueError(f"{change.kind} leaves the stack: {part.box}, shape {self.labels.shape}")
            there = np.zeros(1, np.bool_) if array is None else array[part.box.slices][part.where()]
            if not np.array_equal(np.broadcast_to(there, part.n), part.values()[0].astype(there.dtype)):
                raise ValueError(f"{change.kind} does not start from the labels as they are")
        for state in change.states:
            if self.states.get(state.cell, UNTOUCHED) != state.before:
                raise ValueError(f"{change.kind} does not start from the state of cell {state.cell}")

    def apply(self, change: Change) -> None:
        """Make a change that `check` let pass."""
        if change.lumen is not None:
            if self.lumen is None:
                self.lumen = np.zeros(self.labels.shape, np.bool_)
            change.lumen.apply(self.lumen)
        if change.labels is not None:
            change.labels.apply(self.labels)
        for state in change.states:
            if state.after == UNTOUCHED:
                self.states.pop(state.cell, None)
            else:
                self.states[state.cell] = state.after

    def catch_up(self, journal: Journal, heard: Callable[[int, Change], None] | None = None) -> Steps[None]:
        """Do all edits up to a journal's head again, from what it stored of them.

        Parameters
        ----------
        journal : Journal
        heard : callable, optional
            Takes the number of each step and what it changed, after it was done.

        Raises
        ------
        ScutoidError
            When the journal is damaged: all is as it was then.
        """
        line = journal.history.line()
        made: list[int] = []
        try:
            for number, step in enumerate(line):
                yield Progress("Doing the edits again", number, len(line))
                change = journal.change(step)
                self.check(change)
                self.apply(change)
                made.append(step)
                if heard is not None:
                    heard(step, change)
        except BaseException as error:
            self.take_back(journal, made)
            if isinstance(error, ValueError):
                raise damaged(journal.path, str(error)) from error
            raise

    def take_back(self, journal: Journal, steps: Sequence[int]) -> None:
        """Undo the steps that were done last, in this order."""
        for step in reversed(steps):
            self.apply(journal.change(step).inverse())


def _changeable(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that may be written without changing a file."""
    at: Any = array
    while at is not None:
        if isinstance(at, np.memmap):
            return np.array(array)
        at = getattr(at, "base", None)
    return array if array.flags.writeable else np.array(array)

"""Wires the panel of differences to the session."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_scutoid.ui.editing import Planned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.differences import Proposal
    from napari_scutoid.proofread.session import Session
    from napari_scutoid.ui.difference_panel import DifferencePanel
    from napari_scutoid.ui.editing import Editing
    from napari_scutoid.ui.job_panel import JobPanel
    from napari_scutoid.ui.proofread_core import Compared
    from napari_scutoid.volume import ArrayLike

    Compare = Callable[[Session, ArrayLike], Steps[Compared]]

HELD = "the cells are being compared, which an edit would disturb"


class Differing(QObject):
    """Goes through what another segmentation would change.

    Parameters
    ----------
    panel : DifferencePanel
    editing : Editing
    jobs : JobPanel
    compare : callable
        Takes a session and labels, returns the job that lists the differences.

    Signals
    -------
    shown : Proposal
        Look at this one.
    """

    shown = Signal(object)

    def __init__(
        self,
        panel: DifferencePanel,
        editing: Editing,
        jobs: JobPanel,
        compare: Compare,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._panel, self._editing, self._jobs, self._compare = panel, editing, jobs, compare
        self._left: deque[Proposal] = deque()
        self._refused: list[Proposal] = []
        self._shown_again: set[Proposal] = set()
        panel.compareAsked.connect(self.compare)
        panel.takeAsked.connect(self.take)
        panel.refuseAsked.connect(self.refuse)
        panel.nextAsked.connect(self.later)
        panel.refusedAsked.connect(self.show_refused)

    def compare(self) -> None:
        """List the differences to the chosen layer."""
        layer = self._panel.value()
        if layer is not None:
            self.compare_with(layer.data)

    def compare_with(self, data: ArrayLike, then: Callable[[Compared], None] | None = None) -> None:
        """List the differences to labels.

        Parameters
        ----------
        data : ArrayLike
        then : callable, optional
            Takes what was found, before the first difference is shown.
        """
        session = self._editing.session
        if session is None:
            return

        def found(compared: Compared) -> None:
            if then is not None:
                then(compared)
            self._on_found(compared)

        if self._jobs.run("Comparing", lambda: self._compare(session, data), found, otherwise=self._free):
            self._editing.hold(HELD)

    def take(self) -> None:
        """Change the cells as the other labels have them."""
        from napari_scutoid.proofread.differences import Take

        if self._left:
            one = self._left[0]
            self._editing.look(Take(one).plan, lambda change: self._on_planned(one, change))

    def refuse(self) -> None:
        """Leave the cells as they are, and remember that."""
        if not self._left:
            return
        one = self._left[0]

        def write(session: Session) -> bool:
            session.refuse(one)
            return True

        if self._editing.act(write):
            self._refused.append(one)
            self._drop(one)

    def show_refused(self) -> None:
        """Go through what was refused, too; it stays refused until it is taken."""
        self._shown_again.update(self._refused)
        self._left.extendleft(reversed(self._refused))
        self._refused.clear()
        self._show()

    def later(self) -> None:
        """Leave it for the end."""
        self._left.rotate(-1)
        self._show()

    def end(self) -> None:
        """Forget the differences."""
        self._set([], [])
        self._panel.setValue("", can_decide=False)

    def _on_planned(self, one: Proposal, change: Change) -> None:
        if self._editing.do(Planned(change)) is None:
            return
        if one in self._shown_again:
            self._editing.act(lambda session: session.reconsider(one))
        self._drop(one)

    def _on_found(self, compared: Compared) -> None:
        self._free()
        self._set(compared.proposals, compared.refused)
        self._show()

    def _set(self, left: Iterable[Proposal], refused: Iterable[Proposal]) -> None:
        self._left, self._refused = deque(left), list(refused)
        self._shown_again.clear()

    def _drop(self, one: Proposal) -> None:
        """Go on without one, which need not be the first any more."""
        if one in self._left:
            self._left.remove(one)
        self._show()

    def _free(self) -> None:
        self._editing.hold("")

    def _show(self) -> None:
        n = len(self._refused)
        if not self._left:
            self._panel.setValue("No difference is left.", can_decide=False, refused=n)
            return
        one = self._left[0]
        before = " Refused before." if one in self._shown_again else ""
        words = f"{len(self._left)} left.{before} {one.words[:1].upper()}{one.words[1:]}."
        self._panel.setValue(words, can_decide=True, refused=n)
        self.shown.emit(one)

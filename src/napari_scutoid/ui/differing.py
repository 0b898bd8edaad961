"""Wires the panel of differences to the session."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_scutoid.ui.editing import Planned

if TYPE_CHECKING:
    from collections.abc import Callable

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
        panel.compareAsked.connect(self.compare)
        panel.takeAsked.connect(self.take)
        panel.refuseAsked.connect(self.refuse)
        panel.nextAsked.connect(self.later)

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
            self._on_found(compared.proposals)

        if self._jobs.run("Comparing", lambda: self._compare(session, data), found, otherwise=self._free):
            self._editing.hold(HELD)

    def take(self) -> None:
        """Change the cells as the other labels have them."""
        from napari_scutoid.proofread.differences import Take

        if self._left:
            self._editing.look(Take(self._left[0]).plan, self._on_planned)

    def refuse(self) -> None:
        """Leave the cells as they are."""
        if self._left:
            self._left.popleft()
            self._show()

    def later(self) -> None:
        """Leave it for the end."""
        self._left.rotate(-1)
        self._show()

    def end(self) -> None:
        """Forget the differences."""
        self._left.clear()
        self._panel.setValue("", can_decide=False)

    def _on_planned(self, change: Change) -> None:
        if self._editing.do(Planned(change)) is not None:
            self.refuse()

    def _on_found(self, found: list[Proposal]) -> None:
        self._free()
        self._left = deque(found)
        self._show()

    def _free(self) -> None:
        self._editing.hold("")

    def _show(self) -> None:
        if not self._left:
            self._panel.setValue("No difference is left.", can_decide=False)
            return
        one = self._left[0]
        self._panel.setValue(f"{len(self._left)} left. {one.words[:1].upper()}{one.words[1:]}.", can_decide=True)
        self.shown.emit(one)

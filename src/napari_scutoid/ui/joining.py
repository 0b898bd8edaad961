"""Wires the panel of a colleague's corrections to the session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QFileDialog

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.journal_merge import Keep
    from napari_scutoid.proofread.session import Session
    from napari_scutoid.ui.colleague_panel import ColleaguePanel
    from napari_scutoid.ui.editing import Editing
    from napari_scutoid.ui.job_panel import JobPanel
    from napari_scutoid.ui.joining_core import Joined, Met
    from napari_scutoid.ui.proofread_core import ProofreadCore

HELD = "a colleague's corrections are being added"
FILTER = "Corrections (*.sqlite);;All files (*)"


class Joining(QObject):
    """Adds the edits of another journal of the same labels.

    Parameters
    ----------
    panel : ColleaguePanel
    editing : Editing
    jobs : JobPanel
    core : ProofreadCore
    settle : callable
        Called before the edits are read: what was painted last has to be among them.

    Signals
    -------
    shown : Collision
        Look at this one.
    joined : Joined
        A journal with both is written; go on with it.
    """

    shown = Signal(object)
    joined = Signal(object)

    def __init__(
        self,
        panel: ColleaguePanel,
        editing: Editing,
        jobs: JobPanel,
        core: ProofreadCore,
        settle: Callable[[], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._panel, self._editing, self._jobs, self._core, self._settle = panel, editing, jobs, core, settle
        self._met: Met | None = None
        self._choices: list[Keep | None] = []
        panel.fileAsked.connect(self.choose)
        panel.decided.connect(self.decide)
        panel.addAsked.connect(self.add)
        panel.dropped.connect(self.end)

    def choose(self) -> None:
        """Ask for the journal."""
        session = self._editing.session
        if session is None:
            return
        folder = "" if session.journal is None else str(session.journal.parent)
        name, _ = QFileDialog.getOpenFileName(self._panel, "Choose a colleague's corrections", folder, FILTER)
        if name:
            self.meet(Path(name))

    def meet(self, path: Path) -> None:
        """Look what a journal would add."""
        self.end()
        self._run("Reading", lambda session: self._core.meet(session, path), self._on_met)

    def decide(self, choice: Keep | None) -> None:
        """Choose whose version of a collision to make."""
        if self._met is None:
            return
        left = len(self._met.collisions) - len(self._choices)
        self._choices += [choice] * (left if self._panel.for_all() else 1)
        self._show()

    def add(self) -> None:
        """Write both together."""
        met, choices = self._met, tuple(self._choices)
        if met is not None:
            self._run(
                "Adding", lambda session: self._core.join(session, met.path, met.collisions, choices), self._on_joined
            )

    def end(self) -> None:
        """Leave it."""
        self._met = None
        self._choices = []
        self._panel.setValue("")

    def tell(self, left_out: tuple[str, ...]) -> None:
        """List the edits that were left out."""
        if left_out:
            self._panel.setValue("\n".join(["Left out; the journal that each is from has it still:", *left_out]))

    def _run(self, title: str, job: Callable[[Session], Steps[Any]], then: Callable[..., None]) -> None:
        session = self._editing.session
        if session is None:
            return
        self._settle()
        # Where another job runs, that one may hold the edits.
        if self._jobs.run(title, lambda: job(session), then, otherwise=self._free):
            self._editing.hold(HELD)

    def _on_met(self, met: Met) -> None:
        self._free()
        if met.is_new:
            self._met = met
            self._show()
        else:
            self._panel.setValue(met.words)

    def _on_joined(self, joined: Joined) -> None:
        self._free()
        self.joined.emit(joined)

    def _free(self) -> None:
        self._editing.hold("")

    def _show(self) -> None:
        met, number = self._met, len(self._choices)
        if met is None:
            return
        if number >= len(met.collisions):
            self._panel.setValue(met.words, can_add=True)
            return
        collision = met.collisions[number]
        mine, theirs = collision.versions
        first = f"{met.words}\n" if number == 0 else ""
        which = f"Collision {number + 1} of {len(met.collisions)}: {collision.what}."
        self._panel.setValue(f"{first}{which}\nMine: {mine}.\nTheirs: {theirs}.", choices=len(met.collisions) - number)
        self.shown.emit(collision)

"""What a dock shows of its jobs: the button that starts them, Cancel, a bar, and a few words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.errors import ScutoidError
from napari_scutoid.pace import Stopwatch, describe
from napari_scutoid.ui import notify
from napari_scutoid.ui.jobs import JobRunner
from napari_scutoid.ui.note import Note

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_scutoid.progress import Progress
    from napari_scutoid.ui.jobs import JobFunction


class JobPanel(QWidget):
    """Run one job at a time and tell how it goes.

    Parameters
    ----------
    action : QPushButton, optional
        What starts the dock's main job; it is laid out beside Cancel, and enabled where nothing speaks against it.
        What it does when clicked is the dock's to say.

    Signals
    -------
    busyChanged : bool
        A job has begun or ended. What must not change meanwhile is for the dock to disable.
    progressed : Progress
        How far the job is, for a dock that shows more of it. Some reports are left out, none that begins a step.
    """

    busyChanged = Signal(bool)
    progressed = Signal(object)

    def __init__(self, action: QPushButton | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._runner = JobRunner()
        self._then: Callable[[Any], None] = _nothing
        self._otherwise: Callable[[], None] = _done
        self._watch = Stopwatch()
        self._problem: str | None = None
        self.action = action
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop. What is there already stays as it is.")
        self.reason = Note()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.status = Note()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        self._buttons = QHBoxLayout()
        if action is not None:
            self._buttons.addWidget(action, 2)
        self._buttons.addWidget(self.cancel_button, 1)
        rows.addLayout(self._buttons)
        for widget in (self.reason, self.bar, self.status):
            rows.addWidget(widget)

        self.cancel_button.clicked.connect(self.cancel)
        self._runner.progressed.connect(self._on_progress)
        self._runner.progressed.connect(self.progressed)
        self._runner.succeeded.connect(self._on_succeeded)
        self._runner.failed.connect(self._on_failed)
        self._runner.cancelled.connect(self._on_cancelled)
        # A job must not outlive its window: nobody could see or stop it.
        self.destroyed.connect(self._runner.cancel)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._runner.cancel)
        self._update()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._runner.is_busy

    def add_button(self, button: QPushButton) -> None:
        """Put another button between the main one and Cancel."""
        self._buttons.insertWidget(self._buttons.count() - 1, button, 1)

    def run(
        self,
        title: str,
        job: JobFunction,
        then: Callable[[Any], None],
        *,
        otherwise: Callable[[], None] | None = None,
        alone: bool = False,
        watch: Stopwatch | None = None,
    ) -> bool:
        """Start a job, or tell the user why not.

        Parameters
        ----------
        title : str
            As a person reads it, e.g. ``"Segmenting"``.
        job : callable
            Runs in a thread of its own; it must touch neither widgets nor layers.
        then : callable
            Takes what the job returned, in the GUI's thread.
        otherwise : callable, optional
            Called instead after the job failed (the user knows already) or was cancelled.
        alone : bool
            Whether it needs the whole machine, as everything does that runs a network.
        watch : Stopwatch, optional
            What tells how long it still takes; by default each step by itself.
        """
        try:
            self._runner.start(title, job, alone=alone)
        except ScutoidError as refused:
            self.complain(refused)
            return False
        self._then, self._otherwise = then, otherwise or _done
        self._watch = watch or Stopwatch()
        self.bar.setRange(0, 0)
        self.status.setText(f"{title}…")
        self._update()
        self.busyChanged.emit(True)
        return True

    def cancel(self) -> None:
        """Stop the job at its next report."""
        self._runner.cancel()
        if self._runner.is_stopping:
            self.status.setText("Stopping…")
        self._update()

    def say(self, text: str) -> None:
        """Show a text where a job's progress is shown."""
        self.status.setText(text)

    def complain(self, error: Exception) -> None:
        """Tell of a problem, as a notification and here."""
        self.status.setText(f"⚠ {notify.tell(error)}")

    def setProblem(self, problem: str | None) -> None:
        """State why the main job cannot be started; None where it can."""
        self._problem = problem
        self._update()

    def _on_progress(self, progress: Progress) -> None:
        text = progress.step
        # "0 of 1" tells nothing: a step of one part moves the bar like one of unknown length.
        self.bar.setRange(0, progress.total if progress.total > 1 else 0)
        if progress.total > 1:
            self.bar.setValue(progress.done)
            text += f": {progress.done} of {progress.total}"
        left = self._watch.remaining(progress, time.monotonic())
        if left is not None:
            text += f", {describe(left)}" + ("" if self._watch.whole else " in this step")
        self.status.setText(text)

    def _on_succeeded(self, result: object) -> None:
        then = self._over()
        self.status.clear()
        then(result)

    def _on_failed(self, error: Exception) -> None:
        otherwise = self._otherwise
        self._over()
        self.complain(error)
        otherwise()

    def _on_cancelled(self) -> None:
        otherwise = self._otherwise
        self._over()
        self.status.setText("Cancelled.")
        otherwise()

    def _over(self) -> Callable[[Any], None]:
        """Free the panel before what follows, which may be another job."""
        then, self._then, self._otherwise = self._then, _nothing, _done
        self._update()
        self.busyChanged.emit(False)
        return then

    def _update(self) -> None:
        busy = self._runner.is_busy
        if self.action is not None:
            self.action.setEnabled(not busy and self._problem is None)
        self.cancel_button.setEnabled(busy and not self._runner.is_stopping)
        self.reason.setText("" if busy else self._problem or "")
        self.reason.setVisible(bool(self.reason.text()))
        self.bar.setVisible(busy)


def _nothing(_result: object) -> None:
    """Do nothing with a result."""


def _done() -> None:
    """Do nothing after a job that did not end well."""

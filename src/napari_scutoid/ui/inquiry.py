"""Find something out beside a dock's main job; a newer question takes the place of an older one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, Signal

from napari_scutoid.ui.jobs import JobRunner

if TYPE_CHECKING:
    from napari_scutoid.ui.jobs import JobFunction


class Inquiry(QObject):
    """Runs the job that was asked last.

    Signals
    -------
    answered : object
        What the job returned, unless another one was asked meanwhile.
    failed : Exception
        What it raised. Nobody pressed a button for it, so it is no notification.
    """

    answered = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = JobRunner()
        self._next: JobFunction | None = None
        self._runner.succeeded.connect(self._on_answer)
        self._runner.failed.connect(self._on_failed)
        self._runner.cancelled.connect(self._on_cancelled)
        self.destroyed.connect(self._runner.cancel)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.stop)

    @property
    def is_busy(self) -> bool:
        """Whether a question is open."""
        return self._runner.is_busy

    def ask(self, job: JobFunction) -> None:
        """Run a job in place of the present one."""
        if self._runner.is_busy:
            self._next = job
            self._runner.cancel()
        else:
            self._runner.start("Looking", job)

    def stop(self) -> None:
        """Ask no more."""
        self._next = None
        self._runner.cancel()

    def _on_answer(self, answer: object) -> None:
        if not self._go_on():
            self.answered.emit(answer)

    def _on_failed(self, error: Exception) -> None:
        if not self._go_on():
            self.failed.emit(error)

    def _on_cancelled(self) -> None:
        self._go_on()

    def _go_on(self) -> bool:
        job, self._next = self._next, None
        if job is not None:
            self._runner.start("Looking", job)
        return job is not None

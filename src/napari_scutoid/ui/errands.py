"""Small jobs beside a dock's main one, such as pictures of what could be opened: nobody waits for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QObject, Signal

from napari_scutoid.ui.jobs import JobRunner

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari_scutoid.ui.jobs import JobFunction


class Errands(QObject):
    """Run jobs one after the other.

    Signals
    -------
    done : object, object
        The key of a job, and what it returned; None where it failed.
    """

    done = Signal(object, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._runner = JobRunner()
        self._waiting: dict[Hashable, JobFunction] = {}
        self._current: Hashable = None
        self._runner.succeeded.connect(self._on_ended)
        self._runner.failed.connect(self._on_failed)
        self._runner.cancelled.connect(self._on_ended)
        self.destroyed.connect(self._runner.cancel)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._runner.cancel)

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._runner.is_busy

    def ask(self, key: Hashable, job: JobFunction, *, first: bool = False) -> None:
        """Run a job after those asked for before, or as the next one."""
        self._waiting.pop(key, None)
        self._waiting = {key: job, **self._waiting} if first else {**self._waiting, key: job}
        self._next()

    def forget(self) -> None:
        """Drop all that waits, and what runs now."""
        self._waiting.clear()
        self._current = None
        self._runner.cancel()

    def _next(self) -> None:
        if self._waiting and not self._runner.is_busy:
            self._current = next(iter(self._waiting))
            self._runner.start("Making a picture", self._waiting.pop(self._current))

    def _on_failed(self, _error: Exception) -> None:
        # Opening tells what is wrong with a file; that there is no picture of it is no news beside that.
        self._on_ended(None)

    def _on_ended(self, result: Any = None) -> None:
        key, self._current = self._current, None
        if key is not None:
            self.done.emit(key, result)
        self._next()

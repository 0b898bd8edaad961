"""Run jobs beside the window: the only file of the program that starts threads.

A job is a function that returns `Steps`. It runs in a thread of its own; what it reports arrives in the GUI's thread as
Qt signals. napari's ``thread_worker`` is not used: it drops every RuntimeError that a generator raises, torch's
out-of-memory error among them, and leaves a cancelled generator open until Python happens to collect it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from threading import Event
from typing import Any

from qtpy.QtCore import QCoreApplication, QObject, Qt, Signal

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress, Steps, drain

# Faster than this no eye follows, and a queue of events would slow the window down.
REPORT_EVERY_S = 0.05

JobFunction = Callable[[], Steps[Any]]


class Desk(QObject):
    """Where a job that needs the whole machine asks whether another one has it: two networks would share its memory.

    There is one for an application, whatever number of windows it has: see `desk`.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(DESK)
        self.holder: str | None = None

    def take(self, title: str) -> None:
        """Take the machine for a job.

        Raises
        ------
        ScutoidError
            When another job has it.
        """
        if self.holder is not None:
            raise ScutoidError(
                f"{title} was not started",
                f"{self.holder.lower()} is still running in another window, and both need the whole machine",
                "wait for it, or cancel it there",
            )
        self.holder = title

    def give_back(self) -> None:
        """Let the next one have it."""
        self.holder = None


DESK = "scutoid desk"


def desk() -> Desk:
    """Return the application's desk; it belongs to the application and ends with it."""
    application = QCoreApplication.instance()
    found = application.findChild(Desk, DESK) if application is not None else None
    return found if found is not None else Desk(application)


class JobRunner(QObject):
    """Runs one job at a time.

    Every signal arrives in the thread the runner was made in. A job ends with exactly one of ``succeeded``, ``failed``
    and ``cancelled``; by then the runner is free for the next one.

    Signals
    -------
    started : str
        The job's title.
    progressed : Progress
        How far the job is.
    succeeded : object
        What the job returned.
    failed : Exception
        What the job raised.
    cancelled
        The job was cancelled, and has stopped.
    """

    started = Signal(str)
    progressed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    _reported = Signal(object, object)
    _ended = Signal(object)

    def __init__(self) -> None:
        # No parent: a job that outlives its window must still have someone to report to.
        super().__init__()
        self._title = ""
        self._stop: Event | None = None
        self._desk: Desk | None = None
        # Queued always: a job that ends at once would otherwise answer before `start` has returned.
        self._reported.connect(self._on_reported, Qt.ConnectionType.QueuedConnection)
        self._ended.connect(self._on_ended, Qt.ConnectionType.QueuedConnection)

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._stop is not None

    @property
    def is_stopping(self) -> bool:
        """Whether a job was told to stop and has not stopped yet."""
        return self._stop is not None and self._stop.is_set()

    def start(self, title: str, job: JobFunction, *, alone: bool = False) -> None:
        """Run a job; it is called, advanced and closed in its own thread.

        Parameters
        ----------
        title : str
            As a person reads it, e.g. ``"Segmenting"``.
        job : callable
        alone : bool
            Whether no other such job may run in the application meanwhile.

        Raises
        ------
        ScutoidError
            When a job runs already, here or, for one that must be alone, elsewhere.
        """
        if self._stop is not None:
            raise ScutoidError(
                f"{title} was not started", f"{self._title.lower()} is still running", "wait for it, or press Cancel"
            )
        if alone:
            free = desk()
            free.take(title)
            self._desk = free
        self._title = title
        stop = self._stop = Event()
        self.started.emit(title)
        # The thread ends with its job. Python waits for it before it exits, which Qt's own threads would abort.
        executor = ThreadPoolExecutor(1, thread_name_prefix="scutoid")
        future = executor.submit(_work, job, stop, self._report)
        executor.shutdown(wait=False)
        future.add_done_callback(self._end)

    def cancel(self) -> None:
        """Tell the job to stop at its next report, at most a tile from now. Does nothing when none runs."""
        if self._stop is not None:
            self._stop.set()

    # The thread holds these methods, and so the runner: a signal alone would not keep the object it belongs to alive.
    def _report(self, stop: Event, progress: Progress) -> None:
        self._reported.emit(stop, progress)

    def _end(self, future: Future[Any]) -> None:
        self._ended.emit(future)

    def _on_reported(self, stop: Event, progress: Progress) -> None:
        if stop is self._stop and not stop.is_set():
            self.progressed.emit(progress)

    def _on_ended(self, future: Future[Any]) -> None:
        stopping = self.is_stopping
        self._stop = None
        if self._desk is not None:
            self._desk.give_back()
            self._desk = None
        error = future.exception()
        if isinstance(error, CancelledError) or (stopping and error is None):
            self.cancelled.emit()
        elif error is not None:
            self.failed.emit(error)
        else:
            self.succeeded.emit(future.result())


def _work(job: JobFunction, stop: Event, reported: Callable[[Event, Progress], None]) -> Any:
    """Run a job to its end in the worker's thread, or raise CancelledError once it was told to stop."""
    step, next_report = "", 0.0

    def report(progress: Progress) -> None:
        nonlocal step, next_report
        if stop.is_set():
            raise CancelledError
        now = time.monotonic()
        if progress.step != step or now >= next_report:
            step, next_report = progress.step, now + REPORT_EVERY_S
            reported(stop, progress)

    if stop.is_set():
        raise CancelledError
    with closing(job()) as steps:
        return drain(steps, report)

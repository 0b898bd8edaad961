"""Wait for a job where napari itself waits for its result, without letting the window freeze."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEventLoop, Qt
from qtpy.QtWidgets import QApplication, QProgressDialog

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.ui.jobs import JobRunner

if TYPE_CHECKING:
    from napari_scutoid.progress import Progress
    from napari_scutoid.ui.jobs import JobFunction

SHOWN_AFTER_MS = 300


def run_and_wait(title: str, job: JobFunction) -> Any:
    """Run a job and return its result; meanwhile the window is drawn, and only Cancel can be pressed.

    Parameters
    ----------
    title : str
        As a person reads it.
    job : callable
        As for `JobRunner.start`. Without a window it is run here.

    Raises
    ------
    ScutoidError
        When it was cancelled.
    Exception
        What the job raised.
    """
    if QApplication.instance() is None:
        return drain(job())
    ended: list[Any] = []
    loop, runner = QEventLoop(), JobRunner()
    dialog = QProgressDialog(f"{title}…", "Cancel", 0, 0, QApplication.activeWindow())
    dialog.setWindowTitle("Scutoid")
    dialog.setWindowModality(Qt.WindowModality.ApplicationModal)
    dialog.setMinimumDuration(SHOWN_AFTER_MS)
    dialog.setAutoClose(False)
    dialog.setAutoReset(False)

    def show(progress: Progress) -> None:
        dialog.setMaximum(progress.total)
        dialog.setValue(progress.done)

    def end(*outcome: Any) -> None:
        ended.append(outcome)
        loop.quit()

    runner.progressed.connect(show)
    runner.succeeded.connect(lambda result: end(None, result))
    runner.failed.connect(lambda error: end(error, None))
    runner.cancelled.connect(lambda: end(_cancelled(title), None))
    dialog.canceled.connect(runner.cancel)
    runner.start(title, job)
    loop.exec()
    dialog.close()
    dialog.deleteLater()
    ((error, result),) = ended
    if error is not None:
        raise error
    return result


def _cancelled(title: str) -> ScutoidError:
    return ScutoidError(f"{title} was cancelled", "you pressed Cancel", "do it again when you are ready")

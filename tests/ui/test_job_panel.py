"""The panel tells how a job goes, once, and is usable again afterwards."""

from __future__ import annotations

import threading

import pytest
from qtpy.QtWidgets import QPushButton

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress
from napari_scutoid.ui.job_panel import JobPanel
from napari_scutoid.ui.jobs import desk


@pytest.fixture
def panel(qtbot):
    made = JobPanel(QPushButton("Go"))
    qtbot.addWidget(made)
    made.show()
    return made


def counting(result=None, error=None, hold=None):
    def job():
        yield Progress("Counting", 1, 4)
        while hold is not None and not hold.is_set():
            yield Progress("Holding", 2, 4)
        if error is not None:
            raise error
        return result

    return job


def test_result_arrives_when_the_panel_is_free_again(panel, qtbot):
    found = []
    busy = []
    panel.busyChanged.connect(busy.append)
    assert panel.run("Counting", counting(42), lambda result: found.append((result, panel.is_busy)))
    assert not panel.action.isEnabled() and panel.cancel_button.isEnabled() and panel.bar.isVisible()
    qtbot.waitUntil(lambda: bool(found))
    assert found == [(42, False)] and busy == [True, False]
    assert panel.action.isEnabled() and not panel.cancel_button.isEnabled() and not panel.bar.isVisible()


def test_a_job_may_follow_another_at_once(panel, qtbot):
    found = []
    panel.run("One", counting(1), lambda _: panel.run("Two", counting(2), found.append))
    qtbot.waitUntil(lambda: found == [2])


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ScutoidError("It was not done", "the file is gone", "choose another"), "the file is gone"),
        (RuntimeError("lost in a generator"), "lost in a generator"),
        (MemoryError(), "memory"),
    ],
    ids=["expected", "runtime", "memory"],
)
def test_an_error_is_told_once_and_the_panel_is_free(panel, qtbot, told, error, words):
    over = []
    panel.run("Counting", counting(error=error), over.append, otherwise=lambda: over.append("otherwise"))
    qtbot.waitUntil(lambda: bool(over))
    assert over == ["otherwise"] and words in panel.status.text()
    assert len(told) == 1 and words in told[0]
    assert panel.action.isEnabled()


def test_cancel_stops_and_says_so(panel, qtbot):
    hold, over = threading.Event(), []
    panel.run("Holding", counting(hold=hold), over.append, otherwise=lambda: over.append("otherwise"))
    qtbot.waitUntil(lambda: "Holding" in panel.status.text())
    panel.cancel_button.click()
    qtbot.waitUntil(lambda: not panel.is_busy)
    assert over == ["otherwise"] and panel.status.text() == "Cancelled."


def test_a_second_job_is_refused_with_a_reason(panel, qtbot, told):
    hold = threading.Event()
    panel.run("Holding", counting(hold=hold), str)
    assert not panel.run("Counting", counting(1), str)
    assert "still running" in told[0]
    hold.set()
    qtbot.waitUntil(lambda: not panel.is_busy)


def test_two_jobs_that_need_the_whole_machine_do_not_meet(panel, qtbot, told):
    other = JobPanel(QPushButton("Other"))
    qtbot.addWidget(other)
    hold, found = threading.Event(), []
    assert panel.run("Training", counting(hold=hold), str, alone=True)
    assert not other.run("Segmenting", counting(1), found.append, alone=True)
    assert "training is still running in another window" in told[0]
    assert other.run("Opening", counting(2), found.append)
    qtbot.waitUntil(lambda: found == [2])
    hold.set()
    qtbot.waitUntil(lambda: not panel.is_busy)
    assert other.run("Segmenting", counting(3), found.append, alone=True)
    qtbot.waitUntil(lambda: found == [2, 3])
    assert desk().holder is None


@pytest.mark.parametrize("ending", ["fails", "is cancelled"])
def test_the_machine_is_free_after_a_job_that_did_not_end_well(panel, qtbot, told, ending):
    hold = threading.Event()
    error = ScutoidError("a", "b", "c") if ending == "fails" else None
    panel.run("Training", counting(hold=None if error else hold, error=error), str, alone=True)
    if error is None:
        panel.cancel()
    qtbot.waitUntil(lambda: not panel.is_busy)
    assert desk().holder is None


def test_a_problem_disables_the_action_and_is_read_beside_it(panel):
    panel.setProblem("Choose a stack first.")
    assert not panel.action.isEnabled() and panel.reason.isVisible()
    assert panel.reason.text() == "Choose a stack first."
    panel.setProblem(None)
    assert panel.action.isEnabled() and not panel.reason.isVisible()


def test_a_panel_without_an_action(qtbot):
    panel = JobPanel()
    qtbot.addWidget(panel)
    found = []
    assert panel.run("Counting", counting(1), found.append)
    qtbot.waitUntil(lambda: found == [1])

from __future__ import annotations

import threading

import pytest

from napari_scutoid.progress import Progress
from napari_scutoid.ui.errands import Errands


@pytest.fixture
def errands(qtbot):
    return Errands()


@pytest.fixture
def done(errands):
    results = []
    errands.done.connect(lambda key, result: results.append((key, result)))
    return results


def job(value):
    yield Progress("Working")
    return value


def failing():
    yield Progress("Working")
    raise ValueError("no picture")


def test_errands_are_run_in_turn_the_urgent_ones_first(errands, done, qtbot):
    gate = threading.Event()

    def waiting():
        yield Progress("Waiting")
        gate.wait(20)
        return 0

    errands.ask("gate", waiting)
    errands.ask("a", lambda: job(1))
    errands.ask("b", lambda: job(2))
    errands.ask("c", lambda: job(3), first=True)
    errands.ask("a", lambda: job(4))
    gate.set()
    qtbot.waitUntil(lambda: len(done) == 4)
    assert done == [("gate", 0), ("c", 3), ("b", 2), ("a", 4)]


def test_one_that_fails_stops_no_other(errands, done, qtbot):
    errands.ask("a", failing)
    errands.ask("b", lambda: job(2))
    qtbot.waitUntil(lambda: len(done) == 2)
    assert done == [("a", None), ("b", 2)]


def test_forgotten_ones_report_nothing(errands, done, qtbot):
    running, gate = threading.Event(), threading.Event()

    def waiting():
        yield Progress("Waiting")
        running.set()
        gate.wait(20)
        return 0

    errands.ask("gate", waiting)
    errands.ask("a", lambda: job(1))
    qtbot.waitUntil(running.is_set)
    errands.forget()
    gate.set()
    errands.ask("b", lambda: job(2))
    qtbot.waitUntil(lambda: bool(done))
    assert done == [("b", 2)]

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress
from napari_scutoid.ui.jobs import JobRunner


class Diary:
    """What a runner said, and in which thread."""

    def __init__(self, runner):
        self.entries = []
        self.threads = set()
        for name in ("started", "progressed", "succeeded", "failed", "cancelled"):
            getattr(runner, name).connect(lambda *values, name=name: self._write(name, *values))

    def _write(self, name, *values):
        self.entries.append((name, *values))
        self.threads.add(threading.get_ident())

    @property
    def names(self):
        return [entry[0] for entry in self.entries]


@pytest.fixture
def runner(qtbot):
    return JobRunner()


def test_a_job_reports_and_returns_in_the_gui_thread(runner, qtbot):
    diary = Diary(runner)
    worked_in = set()

    def job():
        worked_in.add(threading.get_ident())
        yield Progress("Counting", 0, 2)
        yield Progress("Summing", 1, 2)
        return 42

    with qtbot.waitSignal(runner.succeeded):
        runner.start("Adding", job)
    assert diary.entries[0] == ("started", "Adding")
    assert diary.entries[1:] == [
        ("progressed", Progress("Counting", 0, 2)),
        ("progressed", Progress("Summing", 1, 2)),
        ("succeeded", 42),
    ]
    assert diary.threads == {threading.get_ident()}
    assert worked_in.isdisjoint(diary.threads)
    assert not runner.is_busy


def test_cancel_closes_the_generator_in_its_own_thread(runner, qtbot):
    diary = Diary(runner)
    began, closed_in = threading.Event(), []

    def job():
        try:
            while True:
                began.set()
                yield Progress("Waiting")
        finally:
            closed_in.append(threading.get_ident())

    runner.start("Waiting", job)
    assert began.wait(60)
    with qtbot.waitSignal(runner.cancelled):
        runner.cancel()
        assert runner.is_stopping
    assert closed_in and closed_in[0] != threading.get_ident()
    assert diary.names[-1] == "cancelled"
    assert not {"succeeded", "failed"} & set(diary.names)


def test_a_job_that_finishes_while_it_is_cancelled_counts_as_cancelled(runner, qtbot):
    began, go_on = threading.Event(), threading.Event()

    def job():
        yield Progress("Working")
        began.set()
        go_on.wait(60)
        return "too late"

    diary = Diary(runner)
    runner.start("Working", job)
    assert began.wait(60)
    with qtbot.waitSignal(runner.cancelled):
        runner.cancel()
        go_on.set()
    assert "succeeded" not in diary.names


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ScutoidError("a", "b", "c"), ValueError("x")])
def test_errors_arrive_whatever_their_type(runner, qtbot, error):
    def job():
        yield Progress("Working")
        raise error

    with qtbot.waitSignal(runner.failed) as said:
        runner.start("Working", job)
    assert said.args == [error]
    with qtbot.waitSignal(runner.succeeded):
        runner.start("Again", lambda: iter_nothing())


def test_an_error_before_the_first_report_arrives(runner, qtbot):
    def job():
        raise ImportError("no torch")

    with qtbot.waitSignal(runner.failed) as said:
        runner.start("Working", job)
    assert isinstance(said.args[0], ImportError)


def test_a_second_job_is_refused_with_the_reason(runner, qtbot):
    stop = threading.Event()

    def job():
        while not stop.is_set():
            yield Progress("Working")

    runner.start("Segmenting", job)
    with pytest.raises(ScutoidError, match="segmenting is still running"):
        runner.start("Saving", job)
    with qtbot.waitSignal(runner.succeeded):
        stop.set()


def test_reports_are_thinned_out(runner, qtbot):
    def job():
        for tile in range(20_000):
            yield Progress("Working", tile, 20_000)

    diary = Diary(runner)
    with qtbot.waitSignal(runner.succeeded):
        runner.start("Working", job)
    assert diary.names.count("progressed") < 2_000


def test_a_job_ends_although_nobody_keeps_the_runner(qtbot):
    runner = JobRunner()
    began, closed = threading.Event(), threading.Event()

    def job():
        try:
            while True:
                began.set()
                yield Progress("Working")
        finally:
            closed.set()

    runner.start("Working", job)
    assert began.wait(60)
    runner.cancel()
    del runner
    assert closed.wait(60)


def test_cancel_without_a_job_does_nothing(runner):
    runner.cancel()
    assert not runner.is_stopping


def iter_nothing():
    yield Progress("Nothing")


def test_a_job_that_ends_at_once_answers_after_start_has_returned(runner, qtbot, monkeypatch):
    diary = Diary(runner)
    monkeypatch.setattr("napari_scutoid.ui.jobs.ThreadPoolExecutor", Patient)
    with qtbot.waitSignal(runner.succeeded):
        runner.start("Nothing", iter_nothing)
        assert diary.names == ["started"]


class Patient(ThreadPoolExecutor):
    """Has finished everything by the time it is shut down."""

    def shutdown(self, wait=True, **more):
        super().shutdown(wait=True, **more)

"""Workers of this computer that do not start in time, and a person who does not wait for them."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from napari_scutoid.batch import cluster
from napari_scutoid.batch.crew import starting
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress, drain

PATIENCE_S = 60


class Slow:
    """A crew that starts when it may, and knows whether it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_start, self.closed, self.threads = threading.Event(), threading.Event(), set[int]()
        self.error = error

    def start(self) -> Any:
        self.threads.add(threading.get_ident())
        assert self.may_start.wait(PATIENCE_S)
        if self.error is not None:
            raise self.error
        return self

    def close(self) -> None:
        self.closed.set()


def test_a_crew_is_started_elsewhere_and_waited_for():
    slow, shown = Slow(), list[Progress]()

    def report(progress: Progress) -> None:
        shown.append(progress)
        if len(shown) == 2:
            slow.may_start.set()

    assert drain(starting(slow.start), report) is slow
    assert set(shown) == {Progress("Starting the workers")}
    assert threading.get_ident() not in slow.threads and not slow.closed.is_set()


def test_a_crew_that_nobody_waits_for_is_closed_once_it_is_there():
    slow = Slow()
    steps = starting(slow.start)
    next(steps)
    steps.close()  # at once, although nothing has started
    assert not slow.closed.is_set()
    slow.may_start.set()
    assert slow.closed.wait(PATIENCE_S)


@pytest.mark.parametrize("is_waited_for", [True, False])
def test_why_a_crew_does_not_start_is_told_to_whoever_waits(is_waited_for):
    slow = Slow(ScutoidError("The batch was stopped", "no", "try this"))
    steps = starting(slow.start)
    next(steps)
    if is_waited_for:
        slow.may_start.set()
        with pytest.raises(ScutoidError, match="stopped"):
            drain(steps)
    else:
        steps.close()
        slow.may_start.set()
    assert not slow.closed.is_set()


class Process:
    """One of Dask's, as `multiprocessing` lists it."""

    def __init__(self, name: str) -> None:
        self.name, self.killed = name, False

    def kill(self) -> None:
        self.killed = True


@pytest.mark.parametrize(
    ("error", "hangs", "words"),
    [
        (AssertionError("Status.starting"), True, "one has not answered for 0 s"),
        (TimeoutError("Nanny start timed out"), True, "one has not answered for 0 s"),
        (RuntimeError("Nanny failed to start."), False, "do not start: Nanny failed to start."),
        (OSError(), False, "do not start: OSError"),
    ],
)
def test_workers_have_a_limit_to_start_in_and_none_is_left_behind(monkeypatch, error, hangs, words):
    distributed = pytest.importorskip("distributed", reason="needs napari-scutoid[cluster]")
    there, asked = [Process("Dask Worker of another batch")], dict[str, Any]()

    def start(workers: dict[int, dict[str, Any]], **_: Any) -> None:
        asked.update(workers[0]["options"])
        there.extend((Process("Dask Worker process"), Process("somebody else's")))
        raise error

    monkeypatch.setattr(distributed, "SpecCluster", start)
    monkeypatch.setattr(cluster.multiprocessing, "active_children", lambda: list(there))
    if hangs:
        monkeypatch.setattr(cluster, "START_S", 0)
    with pytest.raises(ScutoidError, match="segment one stack at a time") as told:
        cluster.local_crew(2)
    assert words in str(told.value)
    assert asked["death_timeout"] == cluster.START_S
    assert [process.killed for process in there] == [False, True, False]


class Cluster:
    """A cluster that hangs while it ends."""

    def __init__(self, **_: Any) -> None:
        self.limits: list[float] = []

    def close(self, timeout: float) -> None:
        self.limits.append(timeout)
        raise TimeoutError


class Client:
    """What a crew asks of Dask's client."""

    status, dashboard_link = "running", ""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.is_open = True

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False

    def subscribe_topic(self, *_: Any) -> None:
        pass

    def scheduler_info(self, **_: Any) -> dict[str, Any]:
        return {"workers": {}}


def test_workers_that_hang_while_they_end_are_killed(monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs napari-scutoid[cluster]")
    there, hanging, client = [Process("Dask Worker of another batch")], Cluster(), Client()

    def start(**_: Any) -> Cluster:
        there.append(Process("Dask Worker process"))
        return hanging

    monkeypatch.setattr(distributed, "SpecCluster", start)
    monkeypatch.setattr(distributed, "Client", lambda *_, **__: client)
    monkeypatch.setattr(cluster.multiprocessing, "active_children", lambda: list(there))
    crew = cluster.local_crew(2)
    crew.close()
    assert hanging.limits == [cluster.CLOSE_S] and not client.is_open
    assert [process.killed for process in there] == [False, True]

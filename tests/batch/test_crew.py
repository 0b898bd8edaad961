"""Stacks handed out to a crew: one to each, given to another where one is lost, and limits kept to."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_batch
from napari_scutoid.batch import BatchJob, find_stacks, plan, run_batch
from napari_scutoid.batch.cluster import shares
from napari_scutoid.batch.crew import ATTEMPTS, News, shared_out
from napari_scutoid.batch.worker import CORES, CORES_ALONE, GPU, MEMORY, keep_to_cores, within_memory
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Recipe
from tiny_batch import JOB, states, written

if TYPE_CHECKING:
    from pathlib import Path

    from napari_scutoid.batch.crew import Task


class FakeCrew:
    """Workers in this process; some are gone when they are given certain stacks, having finished them or not."""

    dashboard = "http://somewhere/status"
    keeps_files = False

    def __init__(self, workers: int = 2, gone: dict[str, int] | None = None, finished: bool = False) -> None:
        self.workers = [f"worker{number}" for number in range(workers)]
        self.gone, self.finished = dict(gone or {}), finished
        self.held: dict[str, Task] = {}
        self.given: list[str] = []
        self.most, self.idle, self.closed = 0, 0, 0

    def free(self) -> list[str]:
        return [worker for worker in self.workers if worker not in self.held]

    def give(self, who: str, task: Task) -> None:
        assert who not in self.held and task.item.stack.is_absolute()
        self.held[who] = task
        self.given.append(task.item.stack.stem)
        self.most = max(self.most, len(self.held))

    def wait(self) -> list[News]:
        if not self.held:
            return []
        who, task = next(iter(self.held.items()))
        del self.held[who]
        name = task.item.stack.stem
        if self.gone.get(name, 0) > 0:
            self.gone[name] -= 1
            if self.finished:
                self._segment(task)
            (task.item.output.with_name(f".{task.item.output.name}.12345678.part")).touch()
            return [News(task.position, None)]
        return [
            News(task.position, Progress("Predicting", 1, 2)),
            News(task.position, self._segment(task)),
            News(task.position, Progress("Predicting", 2, 2)),  # told late: it is over
        ]

    def why_idle(self) -> str:
        self.idle += 1
        if self.idle > 1:
            self.workers.append("late")
        return "Waiting for workers"

    def close(self) -> None:
        self.closed += 1

    def _segment(self, task: Task) -> Any:
        from napari_scutoid.batch import segment_stack

        return drain(segment_stack(task.item, task.job, task.settled, task.segment, resume=task.resume))


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tiny_batch.study(tmp_path)


@pytest.fixture
def hire(monkeypatch: pytest.MonkeyPatch) -> Any:
    def hired(crew: FakeCrew) -> FakeCrew:
        monkeypatch.setattr("napari_scutoid.batch.run._crew", lambda *given: crew)
        return crew

    return hired


def run(out: Path, **options: Any) -> Any:
    seen: list[Any] = []
    items = plan(find_stacks(["study"]), out)
    report = drain(run_batch(items, JOB, out, segment=tiny_batch.segment, workers=2, **options), seen.append)
    return report, seen


def test_each_has_one_stack_at_a_time_and_all_are_in_the_report(study, tmp_path, hire):
    crew = hire(FakeCrew())
    report, seen = run(tmp_path / "out")
    assert states(report) == ["done"] * 3 and [row.cells for row in report.rows] == [1, 2, 3]
    assert [row.stack for row in report.rows] == [f"study/stack{n}.h5" for n in (1, 2, 3)]  # as they were given
    assert crew.given == ["stack1", "stack2", "stack3"] and crew.most == 2 and crew.closed
    assert {len(progress.under_way) for progress in seen} == {0, 1, 2}
    assert seen[1].step == "Connecting to the workers"
    assert {progress.dashboard for progress in seen[2:-1]} == {crew.dashboard}
    assert [row["state"] for row in written(tmp_path / "out")[1]] == ["done"] * 3


@pytest.mark.parametrize("finished", [False, True])
def test_a_stack_whose_worker_is_gone_comes_last_and_is_made_once(study, tmp_path, hire, finished):
    crew = hire(FakeCrew(gone={"stack1": 2}, finished=finished))
    report, _ = run(tmp_path / "out")
    assert states(report) == ["done"] * 3 and [row.cells for row in report.rows] == [1, 2, 3]
    assert crew.given == ["stack1", "stack2", "stack3", "stack1", "stack1"]
    assert not list((tmp_path / "out").glob(".*"))


def test_a_stack_that_takes_every_worker_down_fails_and_the_others_are_done(study, tmp_path, hire):
    crew = hire(FakeCrew(gone={"stack2": 99}))
    report, _ = run(tmp_path / "out")
    assert states(report) == ["done", "failed", "done"] and crew.given.count("stack2") == ATTEMPTS
    assert "memory" in report.rows[1].error and "What to try" in report.rows[1].error
    assert report.rows[1].model_sha256 and not list((tmp_path / "out").glob(".*"))


def test_a_result_of_an_earlier_batch_stays_skipped_whatever_happens_to_workers(study, tmp_path, hire):
    hire(FakeCrew())
    run(tmp_path / "out")
    hire(FakeCrew(gone={"stack1": 1}))
    assert states(run(tmp_path / "out", resume=True)[0]) == ["skipped"] * 3


def test_workers_may_come_late(study, tmp_path, hire):
    crew = hire(FakeCrew(workers=0))
    report, seen = run(tmp_path / "out")
    assert states(report) == ["done"] * 3 and crew.idle == 2
    assert "Waiting for workers" in {progress.step for progress in seen}


def test_cancelling_closes_the_crew_and_clears_what_is_unfinished(study, tmp_path, hire):
    crew, out = hire(FakeCrew()), tmp_path / "out"
    steps = run_batch(plan(find_stacks(["study"]), out), JOB, out, segment=tiny_batch.segment, workers=2)
    for progress in steps:
        if len(progress.report.rows) == 1:
            (out / ".stack2_labels.h5.12345678.part").touch()
            steps.close()
    assert crew.closed and not list(out.glob(".*"))
    report, rows = written(out)
    assert [row["state"] for row in rows] == ["done"] and report["under_way"] == []


def test_a_crew_that_hears_nothing_any_more_ends_the_batch_and_keeps_the_report(study, tmp_path, hire):
    crew = hire(FakeCrew())
    wait, calls = crew.wait, []

    def gone() -> list[News]:
        calls.append(1)
        if len(calls) == 2:
            raise ScutoidError("The batch was stopped", "the scheduler is gone", "resume")
        return wait()

    crew.wait = gone
    with pytest.raises(ScutoidError, match="scheduler is gone"):
        run(tmp_path / "out")
    assert crew.closed and [row["state"] for row in written(tmp_path / "out")[1]] == ["done"]


def test_nothing_is_handed_out_before_anybody_listens(study, tmp_path):
    crew = FakeCrew()
    shared_out([], crew).close()
    assert list(shared_out([], crew)) == [] and crew.given == [] and crew.closed == 1


# What a worker may use.


@given(st.integers(1, 40), st.integers(0, 5))
def test_cores_memory_and_cards_are_shared(workers, cards):
    found = shares(workers, cards=[f"card{n}" for n in range(cards)])
    assert len(found) == workers
    own = [core for one in found for core in one.environment[CORES].split(",")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    assert "" not in own and (workers > cores or len(set(own)) == len(own))
    assert len({one.resources[MEMORY] for one in found}) == 1
    with_card = [one for one in found if one.resources.get(GPU)]
    assert len(with_card) == min(workers, cards)
    if cards:
        # None sees the card of another.
        seen = [one.environment["CUDA_VISIBLE_DEVICES"] for one in found]
        assert seen == [f"card{n}" if n < cards else "" for n in range(workers)]


def test_workers_share_what_a_container_or_a_job_of_a_cluster_has_left(monkeypatch):
    monkeypatch.setattr("napari_scutoid.network.device._left_in_cgroup", lambda: 4_000)
    assert [one.resources[MEMORY] for one in shares(4)] == [1_000] * 4


@pytest.mark.parametrize(
    ("resources", "stated", "allowed"),
    [
        ({}, None, None),
        ({MEMORY: 8e9}, None, 4.0),
        ({MEMORY: 8e9}, 2.0, 2.0),
        ({MEMORY: 8e9}, 100.0, 4.0),
        ({MEMORY: 1.0}, None, 0.01),
        ({MEMORY: 8e9, GPU: 1.0}, None, None),
    ],
)
def test_a_worker_keeps_to_the_memory_it_states(resources, stated, allowed):
    job = BatchJob(Recipe.model_validate({"predict": {"memory_gb": stated}}))
    assert within_memory(job, resources).recipe.predict.memory_gb == allowed


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a thread keep to some cores")
def test_a_worker_keeps_to_its_cores(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    one = min(os.sched_getaffinity(0))
    monkeypatch.setenv(CORES, str(one))
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(keep_to_cores).result()
        assert thread.submit(os.sched_getaffinity, 0).result() == {one}
        # What all wait for has the cores of all.
        monkeypatch.setenv(CORES_ALONE, ",".join(map(str, os.sched_getaffinity(0))))
        thread.submit(keep_to_cores, alone=True).result()
        assert thread.submit(os.sched_getaffinity, 0).result() == os.sched_getaffinity(0)


def test_a_worker_that_dask_has_set_to_one_thread_uses_all_its_cores(monkeypatch):
    from napari_scutoid.batch import worker

    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.delenv(CORES, raising=False)
    monkeypatch.setattr(worker.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    for name, dask, cores in (
        ("OMP_NUM_THREADS", "1", "8"),
        ("MKL_NUM_THREADS", "1", "8"),
        ("OMP_NUM_THREADS", "3", "3"),
    ):
        monkeypatch.setenv(name, dask)
        keep_to_cores()
        assert os.environ[name] == cores

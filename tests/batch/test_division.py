"""One stack divided over all workers: the same cells, whoever computes what, however often they are killed."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest
import torch
from torch import nn

import tiny_batch
from napari_scutoid.batch import BatchJob, batch_command, division, find_stacks, parts, plan, run_batch
from napari_scutoid.batch.crew import ATTEMPTS, News
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import inspect, open_labels
from napari_scutoid.network.checkpoint import save_model
from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.unet import build
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Recipe
from tiny_batch import states, written

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_scutoid.batch.crew import Task

PLAIN = {
    "rescale": {"mode": "none"},
    "predict": {"device": "cpu", "backend": "torch", "precision": "fp32", "gate": "off", "pass_voxels": 4096},
    "watershed": {"method": "components", "boundary_threshold": 0.3, "smallest_wall": 0.0},
    "partition": {"method": "none"},
    "cleanup": {"min_size": 0.0},
}


def write(path: Path, seed: int = 1) -> Path:
    """Write noise in blocks, in which a network that knows nothing finds something."""
    path.parent.mkdir(exist_ok=True)
    coarse = np.random.default_rng(seed).integers(1, 250, (2, 9, 20)).astype(np.uint8)
    with h5py.File(path, "w") as file:
        file["raw"] = np.kron(coarse, np.ones((4, 4, 4), np.uint8))
    return path


class SharingCrew:
    """Workers in this process, some of which are gone when they are given certain tasks."""

    dashboard = ""
    keeps_files = False

    def __init__(self, workers: int = 2, gone: dict[tuple[str, int], int] | None = None) -> None:
        self.workers = [f"worker{number}" for number in range(workers)]
        self.gone = dict(gone or {})
        self.held: dict[str, Task] = {}
        self.given: list[tuple[str, int]] = []
        self.closed = 0

    def free(self) -> list[str]:
        return [worker for worker in self.workers if worker not in self.held]

    def give(self, who: str, task: Task) -> None:
        self.held[who] = task
        self.given.append((type(task).__name__, task.part))

    def wait(self) -> list[News]:
        who, task = next(iter(self.held.items()))
        del self.held[who]
        key = (type(task).__name__, task.part)
        if self.gone.get(key, 0) > 0:
            self.gone[key] -= 1
            unfinished = task.target.with_name(f".{task.target.name}.12345678.part")
            unfinished.touch()
            return [News(task.position, None, task.part)]
        return [
            News(task.position, Progress("Predicting", 1, 2), task.part),
            News(task.position, drain(task.steps(task.job)), task.part),
        ]

    def why_idle(self) -> str:
        return "Waiting for workers"

    def close(self) -> None:
        self.closed += 1


def saved_model(folder: Path) -> str:
    """Write a model that says different things at different places."""
    torch.manual_seed(1)
    config = ModelConfig(name="tiny", architecture=Architecture(plan=((2, 3), (3, 4))))
    module = build(config.architecture, 2)
    last = [part for part in module.modules() if isinstance(part, nn.Conv3d)][-1]
    with torch.no_grad():
        last.weight *= 1000
        last.bias.copy_(torch.tensor([500.0, -1.0]))
    save_model(folder, module, config)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return saved_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write(tmp_path / "study" / "stack1.h5")
    return tmp_path / "study"


@pytest.fixture
def hire(monkeypatch: pytest.MonkeyPatch) -> Any:
    def hired(crew: SharingCrew) -> SharingCrew:
        monkeypatch.setattr("napari_scutoid.batch.run._crew", lambda *given: crew)
        return crew

    return hired


def job_of(model: str, **changes: Any) -> BatchJob:
    recipe = {name: PLAIN.get(name, {}) | changes.get(name, {}) for name in {*PLAIN, *changes}}
    return BatchJob(Recipe.model_validate(recipe), model, voxel_size_um=(1.0, 0.5, 0.5))


def run(study: Path, out: Path, job: BatchJob, **options: Any) -> Any:
    seen: list[Any] = []
    report = drain(run_batch(plan(find_stacks([study]), out), job, out, **options), seen.append)
    return report, seen


def shared(study: Path, out: Path, job: BatchJob, **options: Any) -> Any:
    return run(study, out, job, workers=2, share_stacks=True, **options)


def result(out: Path, name: str = "stack1") -> tuple[np.ndarray, dict[str, Any]]:
    file = out / f"{name}_labels.h5"
    return open_labels(file, "label").data, inspect(file).provenance


@pytest.mark.parametrize(
    ("changes", "is_large"),
    [
        ({}, False),
        ({"rescale": {"mode": "factors", "factors": (1.0, 1.5, 0.8)}}, True),
    ],
)
def test_the_cells_are_those_of_a_stack_that_is_not_shared(
    study, tmp_path, model, hire, monkeypatch, changes, is_large
):
    if is_large:
        for place in ("pipeline", "batch.parts"):
            monkeypatch.setattr(f"napari_scutoid.{place}.is_large", lambda shape: True)
    job = job_of(model, **changes)
    (alone,) = run(study, tmp_path / "alone", job)[0].rows
    crew = hire(SharingCrew())
    report, seen = shared(study, tmp_path / "out", job)
    (row,) = report.rows
    n = crew.given.count(("Computing", 0)) and sum(kind == "Computing" for kind, _ in crew.given)
    assert row.state == "done" and n > 1 and crew.closed, row.error
    assert crew.given == [("Preparing", 0), *(("Computing", part) for part in range(n)), ("Gathering", 0)]
    for name in ("cells", "warnings", "recipe_sha256", "model_sha256", "device", "backend", "precision", "pass_voxels"):
        assert getattr(row, name) == getattr(alone, name), name
    labels, told = result(tmp_path / "out")
    expected, told_alone = result(tmp_path / "alone")
    assert labels.max() > 1
    np.testing.assert_array_equal(labels, expected)
    assert told == told_alone
    assert not list((tmp_path / "out").glob("*.parts")) and not list((tmp_path / "out").glob(".*"))
    counted = [(one.done, one.total) for one in seen if one.step == f"Predicting in {n} parts"]
    assert (0, n) in counted and (n, n) in counted and counted == sorted(counted)


def test_a_worker_that_is_gone_costs_the_part_it_had(study, tmp_path, model, hire):
    crew = hire(SharingCrew(gone={("Preparing", 0): 1, ("Computing", 1): 2, ("Gathering", 0): 1}))
    report, _ = shared(study, tmp_path / "out", job_of(model))
    assert states(report) == ["done"]
    counts = {key: crew.given.count(key) for key in crew.given}
    assert counts.pop(("Preparing", 0)) == 2 and counts.pop(("Gathering", 0)) == 2
    assert counts.pop(("Computing", 1)) == 3 and set(counts.values()) == {1}
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "report.csv",
        "report.json",
        "stack1_labels.h5",
    ]


def computed(monkeypatch: pytest.MonkeyPatch) -> list[slice]:
    """Return what is really computed from now on."""
    from napari_scutoid.network import predict

    seen, real = list[slice](), predict.predict_part

    def predict_part(*given: Any) -> Any:
        seen.append(given[5])
        return real(*given)

    monkeypatch.setattr(predict, "predict_part", predict_part)
    return seen


def test_what_fails_for_good_is_told_and_resuming_computes_what_is_missing(study, tmp_path, model, hire, monkeypatch):
    out, job = tmp_path / "out", job_of(model)
    write(study / "stack2.h5")
    (study / "stack0.h5").write_bytes(b"oops")
    crew = hire(SharingCrew(gone={("Computing", 2): ATTEMPTS}))
    report, _ = shared(study, out, job)
    assert states(report) == ["failed", "failed", "done"]
    assert "no known format" in report.rows[0].error and "memory" in report.rows[1].error
    assert [row["state"] for row in written(out)[1]] == ["failed", "failed", "done"]
    (folder,) = out.glob("*.parts")
    there = sorted(folder.glob("part_*.bin"))
    assert folder.name == "stack1_labels.h5.parts" and there and not list(folder.glob(".*"))

    damaged = there[0]
    content = bytearray(damaged.read_bytes())
    content[7] ^= 1
    damaged.write_bytes(content)
    seen = computed(monkeypatch)
    hire(SharingCrew())
    n = sum(kind == "Computing" for kind, _ in crew.given)
    report, _ = shared(study, out, job, resume=True)
    assert states(report) == ["failed", "done", "skipped"]
    assert 2 <= len(seen) < n
    run(study / "stack1.h5", tmp_path / "alone", job)
    np.testing.assert_array_equal(result(out)[0], result(tmp_path / "alone")[0])
    assert not list(out.glob("*.parts"))


@pytest.mark.parametrize("change", ["nothing", "recipe", "stack", "plan", "no resume"])
def test_a_plan_counts_for_the_same_job_and_the_same_stack_only(study, tmp_path, model, hire, monkeypatch, change):
    out, job = tmp_path / "out", job_of(model)
    hire(SharingCrew(gone={("Gathering", 0): ATTEMPTS}))
    assert states(shared(study, out, job)[0]) == ["failed"]
    folder = out / "stack1_labels.h5.parts"
    (folder / "notes.txt").write_text("mine")
    if change == "recipe":
        job = job_of(model, normalise={"stabilise": "sqrt"})
    elif change == "stack":
        write(study / "stack1.h5", 2)
    elif change == "plan":
        (folder / "plan.json").write_text('{"program": []}')
    seen = computed(monkeypatch)
    hire(SharingCrew())
    assert states(shared(study, out, job, resume=change != "no resume")[0]) == ["done"]
    assert bool(seen) == (change != "nothing")
    # What is no part is not removed.
    assert [file.name for file in folder.iterdir()] == ["notes.txt"]


def test_a_stack_that_changes_after_its_plan_was_made_is_not_put_together(study, tmp_path, model, hire, monkeypatch):
    def touched(*given: Any) -> Any:
        os.utime(study / "stack1.h5", (1, 1))
        return real(*given)

    real = division.gathered
    monkeypatch.setattr(division, "gathered", touched)
    hire(SharingCrew())
    (row,) = shared(study, tmp_path / "out", job_of(model))[0].rows
    assert row.state == "failed" and "changed meanwhile" in row.error


def test_what_is_done_already_is_not_prepared(study, tmp_path, model, hire):
    out, job = tmp_path / "out", job_of(model)
    hire(SharingCrew())
    before = shared(study, out, job)[0].rows[0]
    crew = hire(SharingCrew())
    (row,) = shared(study, out, job, resume=True)[0].rows
    assert row.state == "skipped" and crew.given == [("Preparing", 0)]
    assert (row.seconds, row.peak_memory_mib) == (before.seconds, before.peak_memory_mib)


def test_cancelling_keeps_the_parts_that_are_done(study, tmp_path, model, hire, monkeypatch):
    out, job = tmp_path / "out", job_of(model)
    crew = hire(SharingCrew())
    steps = run_batch(plan(find_stacks([study]), out), job, out, workers=2, share_stacks=True)
    for progress in steps:
        if progress.step.startswith("Predicting in") and progress.done == 2:
            steps.close()
    folder = out / "stack1_labels.h5.parts"
    there = list(folder.glob("part_*.bin"))
    n = int(there[0].name.split("_")[3])
    assert crew.closed and 2 <= len(there) < n
    seen = computed(monkeypatch)
    hire(SharingCrew())
    assert states(shared(study, out, job, resume=True)[0]) == ["done"]
    assert 0 < len(seen) <= n - len(there)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"program": "1", "parts": 1e99}', b"\xff", b"[" * 10**5])
def test_a_plan_that_cannot_be_understood_is_none(tmp_path, content):
    (tmp_path / "plan.json").write_bytes(content)
    assert parts.find_plan(tmp_path) is None
    with pytest.raises(ScutoidError, match="is gone, or another one"):
        parts.read_plan(tmp_path, "0" * 64)


@pytest.mark.parametrize(
    ("device", "workers", "scheduler", "cards", "found"),
    [
        ("auto", 2, None, 0, "cpu"),
        ("auto", 2, None, 1, "cpu"),
        ("auto", 2, None, 2, "cuda"),
        ("auto", 1, "tcp://node:8786", 2, "cpu"),
        ("cuda", 1, "tcp://node:8786", 0, "cuda"),
    ],
)
def test_all_compute_on_one_kind_of_device(monkeypatch, device, workers, scheduler, cards, found):
    from napari_scutoid.batch.run import _shareable

    monkeypatch.setattr("napari_scutoid.network.cards.cards", lambda: ["card"] * cards)
    job = BatchJob(Recipe.model_validate({"predict": {"device": device}}))
    assert _shareable(job, None, workers, scheduler).recipe.predict.device == found


def test_one_worker_shares_with_nobody_and_a_segmentation_of_ones_own_is_not_divided(study, tmp_path):
    with pytest.raises(ScutoidError, match="there is one only"):
        run(study, tmp_path / "out", BatchJob(), share_stacks=True)
    with pytest.raises(ValueError, match="segment cannot be shared"):
        run(study, tmp_path / "out", BatchJob(), share_stacks=True, workers=2, segment=tiny_batch.segment)
    assert not (tmp_path / "out").exists()


def test_the_command_shares_too(study, tmp_path):
    command = batch_command([study / "stack1.h5"], BatchJob(), tmp_path, workers=3, share_stacks=True, resume=True)
    assert command.endswith("--workers 3 --format .h5 --share-stacks --resume")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_workers_in_processes_of_their_own_that_are_killed_and_left(study, tmp_path, model):
    pytest.importorskip("distributed", reason="needs napari-scutoid[cluster]")
    out, job, file = tmp_path / "out", job_of(model), tmp_path / "scheduler.json"
    run(study, tmp_path / "alone", job)
    local = ("--no-dashboard", "--scheduler-file", file)
    worker = ("-m", "distributed.cli.dask_worker", *local, "--nthreads", 1, "--no-nanny", "--preload", "holding_parts")
    with ExitStack() as opened:
        start = functools.partial(started, opened, tmp_path)
        start("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, *local)
        until(file.exists)
        workers = [start(*worker, "--local-directory", tmp_path) for _ in range(2)]

        # Whoever asked goes while both compute: the parts that are done stay, and no other.
        (tmp_path / "hold").touch()
        batch = functools.partial(
            run_batch, plan(find_stacks([study]), out), job, out, scheduler=str(file), share_stacks=True
        )
        steps = batch()
        for _ in steps:
            if all((tmp_path / str(one.pid)).exists() for one in workers):
                steps.close()
        folder = out / "stack1_labels.h5.parts"
        until(lambda: not list(folder.glob(".*.part")))
        assert (folder / "plan.json").exists() and not list(folder.glob("part_*"))
        (tmp_path / str(workers[0].pid)).unlink()

        # A worker goes while it computes: the other one does that part too.
        def kill(_: Progress) -> None:
            if (tmp_path / str(workers[0].pid)).exists() and workers[0].poll() is None:
                workers[0].kill()
                workers[0].wait()
                (tmp_path / "hold").unlink()

        report = drain(batch(resume=True), kill)
        assert states(report) == ["done"], report.rows[0].error
        assert workers[0].poll() == -signal.SIGKILL and workers[1].poll() is None
    np.testing.assert_array_equal(result(out)[0], result(tmp_path / "alone")[0])
    assert not list(out.glob("*.parts")) and not list(out.glob(".*"))


def started(opened: ExitStack, folder: Path, *words: object) -> subprocess.Popen[bytes]:
    """Start Python in a process of its own, which is killed in the end."""
    settings = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "HOLD_PARTS": str(folder), "TMPDIR": str(folder)}
    process = subprocess.Popen(
        [sys.executable, *map(str, words)], env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    opened.callback(process.wait)
    opened.callback(process.kill)
    return process


def until(condition: Callable[[], Any]) -> None:
    """Wait for what takes as long as the machine is slow."""
    patience = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < patience
        time.sleep(0.05)

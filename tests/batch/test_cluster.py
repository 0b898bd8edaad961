"""Batches with real processes, of which any may be killed: no finished stack is lost, and resuming completes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import tiny_batch
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import open_labels
from tiny_batch import Counting, run, states, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytest.importorskip("distributed", reason="needs napari-scutoid[cluster]")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")

TESTS = Path(__file__).parents[1]
PATIENCE_S = 100


@pytest.fixture
def study(tmp_path: Path) -> Path:
    for cells in (1, 2, 3, 4):
        tiny_batch.stack(tmp_path / "study" / f"stack{cells}.h5", cells)
    return tmp_path / "study"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python in a process of its own; all that is left of it in the end is killed."""
    settings = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS / "batch")]),
        "TMPDIR": str(tmp_path),  # what is killed leaves its folders behind
    }
    with ExitStack() as opened:

        def started(*words: object) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, *map(str, words)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=settings,
                cwd=tmp_path,
                start_new_session=True,
            )
            opened.callback(_end, process)
            return process

        yield started


def _end(process: subprocess.Popen[str]) -> None:
    family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.kill()
    for child in family:
        child.kill()
    process.communicate()


def until(condition: Callable[[], Any]) -> Any:
    """Wait for what takes as long as the machine is slow."""
    patience = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < patience
        time.sleep(0.05)
    return value


def holder(stack: Path) -> int:
    """Return the process that has a stack, once one has."""
    return until(lambda: int(stack.with_suffix(".at").read_text() or 0) if stack.with_suffix(".at").exists() else 0)


def is_gone(process: int) -> bool:
    """Whether a process has ended, also where nobody asks how, as in a container."""
    try:
        return psutil.Process(process).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def finished(out: Path) -> set[str]:
    return {file.name for file in out.glob("*_labels.h5")}


def left(out: Path) -> list[Path]:
    return list(out.glob(".*.part"))


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return the exit status and what was told, in which no traceback is."""
    told = process.communicate(timeout=PATIENCE_S)[1]
    assert "Traceback" not in told, told
    return process.returncode, told


def assert_complete(study: Path, out: Path, *, kept: set[str]) -> None:
    """Go on here, and check that only what was not there was made, and that all is as it should be."""
    for hold in study.glob("*.hold*"):
        hold.unlink()
    before = {name: (out / name).stat().st_mtime_ns for name in kept}
    again = Counting()
    report = run(study / "*.h5", out, segment=again, resume=True)
    assert len(report.rows) == 4 and report.count("failed") == 0
    assert {f"{Path(name).stem}_labels.h5" for name in again.seen} == finished(out) - kept
    assert before == {name: (out / name).stat().st_mtime_ns for name in kept}
    for cells in (1, 2, 3, 4):
        assert open_labels(out / f"stack{cells}_labels.h5").data.max() == cells
    assert not list(out.glob(".*"))


def test_a_scheduler_somebody_started_and_all_that_may_be_killed(study, out, tmp_path, start):
    file = tmp_path / "scheduler.json"
    scheduler = start(
        "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--dashboard-address",
        "127.0.0.1:0", "--scheduler-file", file,
    )  # fmt: skip
    until(file.exists)
    worker = ("-m", "distributed.cli.dask_worker", "--scheduler-file", file, "--nthreads", 2, "--no-nanny")
    worker = (*worker, "--no-dashboard", "--local-directory", tmp_path)
    workers = [start(*worker, "--resources", "MEMORY=4e9"), start(*worker)]
    batch = (TESTS / "batch" / "standin.py", study / "*.h5", "-o", out, "--scheduler", file)

    # A worker, in the middle of writing: another one makes that stack, and no trace is left.
    (study / "stack2.hold-write").touch()
    client = start(*batch)
    gone = holder(study / "stack2.h5")
    until(lambda: len(finished(out)) == 3 and left(out))
    os.kill(gone, signal.SIGKILL)
    (study / "stack2.hold-write").unlink()
    status, told = ended(client)
    assert status == 0, told
    assert "Dask's dashboard: http://127.0.0.1:" in told and "4 of 4: " in told
    assert gone in [process.pid for process in workers]
    assert [row["state"] for row in written(out)[1]] == ["done"] * 4
    assert_complete(study, out, kept=finished(out))

    # The client: the worker stops what nobody waits for, and leaves nothing behind.
    for name in ("stack3", "stack4"):
        (out / f"{name}_labels.h5").unlink()
        (study / f"{name}.at").unlink()
    (study / "stack4.hold").touch()
    client = start(*batch, "--resume")
    holder(study / "stack4.h5")
    until(lambda: written(out)[0]["under_way"] == ["stack4_labels.h5"])  # else it may be killed while it writes that
    os.kill(client.pid, signal.SIGKILL)
    until((study / "stack4.left").exists)
    assert finished(out) == {"stack1_labels.h5", "stack2_labels.h5", "stack3_labels.h5"} and left(out) == []
    assert written(out)[0]["under_way"] == ["stack4_labels.h5"]

    # The scheduler: the client says so, and the worker stops.
    for name in ("stack4.at", "stack4.left"):
        (study / name).unlink()
    client = start(*batch, "--resume")
    holder(study / "stack4.h5")
    scheduler.kill()
    status, told = ended(client)
    assert status == 2 and "does not answer any more" in told and "--resume" in told
    assert [row["state"] for row in written(out)[1][:3]] == ["skipped"] * 3
    until((study / "stack4.left").exists)
    assert_complete(study, out, kept={"stack1_labels.h5", "stack2_labels.h5", "stack3_labels.h5"})


def test_workers_of_this_computer_end_with_whoever_started_them(study, out, start):
    batch = (TESTS / "batch" / "standin.py", study / "*.h5", "-o", out, "--workers", 2)
    for name in ("stack2.hold-write", "stack3.hold"):
        (study / name).touch()
    client = start(*batch)
    writing, predicting = holder(study / "stack2.h5"), holder(study / "stack3.h5")
    until(lambda: left(out))
    assert writing != predicting and finished(out) == {"stack1_labels.h5"}
    os.kill(client.pid, signal.SIGKILL)
    until(lambda: is_gone(writing) and is_gone(predicting))
    assert finished(out) == {"stack1_labels.h5"}

    # Once more, until Ctrl-C, which a terminal sends to all of them.
    (study / "stack3.at").unlink()
    (study / "stack2.hold-write").unlink()
    client = start(*batch, "--resume")
    holder(study / "stack3.h5")
    until(lambda: finished(out) == {"stack1_labels.h5", "stack2_labels.h5", "stack4_labels.h5"})
    os.killpg(client.pid, signal.SIGINT)
    status, told = ended(client)
    assert status == 130 and told.splitlines()[-1] == "Cancelled."
    assert written(out)[0]["under_way"] == [] and left(out) == []
    assert_complete(study, out, kept={"stack1_labels.h5", "stack2_labels.h5", "stack4_labels.h5"})


def test_an_address_where_nothing_answers_is_told(study, out, monkeypatch):
    from napari_scutoid.batch import cluster

    monkeypatch.setattr(cluster, "CONNECT_S", 0.2)
    with pytest.raises(ScutoidError, match="No Dask scheduler answers at"):
        run(study, out, scheduler="tcp://127.0.0.1:9")


@pytest.mark.parametrize("address", ["nothing.json", "/nothing/here.json", "node7", "tcp://node7", ""])
def test_what_is_neither_an_address_nor_a_file_is_told_before_anything_is_tried(study, out, monkeypatch, address):
    import distributed

    monkeypatch.delattr(distributed, "Client")
    with pytest.raises(ScutoidError, match="no such file, and it is no address such as tcp://"):
        run(study, out, scheduler=address)


def test_several_workers_are_worth_it_for_several_stacks_only(study, out):
    assert states(run(study / "stack1.h5", out, workers=8)) == ["done"]

"""Two batches with one folder of results."""

from __future__ import annotations

import errno

import pytest

import tiny_batch
from napari_scutoid.batch import find_stacks, plan, run_batch
from napari_scutoid.batch.alone import LOCK, alone_in
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from tiny_batch import JOB, run, states


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_batch_is_refused_until_the_first_is_over(tmp_path, resume):
    study, out = tiny_batch.study(tmp_path), tmp_path / "out"
    first = run_batch(plan(find_stacks([study]), out), JOB, out, segment=tiny_batch.segment)
    next(step for step in first if step.step == "Predicting")
    half_written = out / ".stack1_labels.h5.12345678.part"
    half_written.touch()
    with pytest.raises(ScutoidError, match="another one is writing its results to"):
        run(study, out, resume=resume)
    assert half_written.exists()
    assert states(drain(first)) == ["done"] * 3
    assert states(run(study, out, resume=True)) == ["skipped"] * 3
    assert not list(out.glob(".*"))


def test_a_batch_that_is_cancelled_lets_the_next_one_in(tmp_path):
    study, out = tiny_batch.study(tmp_path), tmp_path / "out"
    first = run_batch(plan(find_stacks([study]), out), JOB, out, segment=tiny_batch.segment)
    next(first)
    first.close()
    assert not (out / LOCK).exists()
    assert states(run(study, out)) == ["done"] * 3


def test_what_a_killed_batch_has_left_keeps_nobody_out(tmp_path):
    (tmp_path / LOCK).touch()
    with alone_in(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_a_disk_that_knows_no_locks_lets_all_in(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="Windows has other locks")

    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    with alone_in(tmp_path), alone_in(tmp_path):
        pass

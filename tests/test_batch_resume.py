"""Going on with a batch: what is done and fits is kept, all else is made again, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import tiny_batch
from napari_scutoid.batch import BatchJob, find_stacks, plan, run_batch
from napari_scutoid.io.open import open_labels
from napari_scutoid.recipe import Recipe
from tiny_batch import JOB, RECIPE, Counting, run, states, written


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tiny_batch.study(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def damage(file: Path) -> None:
    """Cut the end off, as a copy that was broken off does."""
    os.truncate(file, file.stat().st_size // 2)


def test_cancel_keeps_what_is_done_and_resume_does_the_rest(study, out):
    items = plan(find_stacks([study]), out)
    steps = run_batch(items, JOB, out, segment=tiny_batch.segment)
    for progress in steps:
        if progress.position == 1 and progress.step == "Predicting":
            steps.close()
    report, _ = written(out)
    assert report["total"] == 3 and [row["output"] for row in report["rows"]] == ["stack1_labels.h5"]
    assert sorted(file.suffix for file in out.iterdir()) == [".csv", ".h5", ".json"]
    again = Counting()
    assert states(run(study, out, segment=again, resume=True)) == ["skipped", "done", "done"]
    assert again.seen == ["stack2.h5", "stack3.h5"]


def test_ctrl_c_between_the_two_reports_leaves_them_alike(study, out, monkeypatch):
    from napari_scutoid.io import table

    save, calls = table.save_table, []

    def interrupted(*given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        save(*given)

    monkeypatch.setattr(table, "save_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(study, out)
    assert [row["state"] for row in written(out)[1]] == ["done"]


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import tiny_batch
from napari_scutoid.batch import BatchJob, find_stacks, plan, run_batch
from napari_scutoid.io import hdf5_write
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe

write = hdf5_write._write_dataset
def killed(root, name, output):
    if "stack2" in output.grid.source.path:
        root.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return write(root, name, output)
hdf5_write._write_dataset = killed
items = plan(find_stacks([{study!r}]), {out!r})
job = BatchJob(Recipe.model_validate({{"watershed": {{"seed_sigma": 0.7}}}}), voxel_size_um=(1.0, 0.5, 0.5))
drain(run_batch(items, job, {out!r}, segment=tiny_batch.segment))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_killed_while_writing_then_resumed(study, out):
    code = KILLED.format(tests=str(Path(__file__).parent), study=str(study), out=str(out))
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (out / "stack2_labels.h5").exists()
    assert [file.name for file in out.glob(".*.part")]
    assert [row["state"] for row in written(out)[0]["rows"]] == ["done"]
    assert written(out)[0]["under_way"] == ["stack2_labels.h5"]
    again = Counting()
    assert states(run(study, out, segment=again, resume=True)) == ["skipped", "done", "done"]
    # It may be the stack that ended the program, and would again: the others are safe by then.
    assert again.seen == ["stack3.h5", "stack2.h5"]
    assert not list(out.glob(".*.part")) and written(out)[0]["under_way"] == []


@pytest.mark.parametrize("suffix", [".h5", ".tif", ".mat"])
def test_a_damaged_result_is_made_again_and_kept_aside(study, out, suffix):
    run(study, out, suffix=suffix)
    damage(out / f"stack2_labels{suffix}")
    left = (out / f"stack2_labels{suffix}").read_bytes()
    again = Counting()
    assert states(run(study, out, suffix=suffix, segment=again, resume=True)) == ["skipped", "done", "skipped"]
    assert again.seen == ["stack2.h5"]
    assert open_labels(out / f"stack2_labels{suffix}").data.max() == 2
    assert (out / f"stack2_labels.damaged1{suffix}").read_bytes() == left


def test_a_result_for_which_memory_does_not_suffice_now_is_not_taken_for_damaged(study, out, monkeypatch):
    run(study, out)
    before = (out / "stack2_labels.h5").read_bytes()
    monkeypatch.setattr("napari_scutoid.io.lazy._available_memory", lambda: 1000)
    report = run(study / "stack2.h5", out, resume=True)
    assert states(report) == ["failed"] and "does not fit into memory" in report.rows[0].error
    assert (out / "stack2_labels.h5").read_bytes() == before and not list(out.glob("*damaged*"))


@pytest.mark.parametrize(
    "job",
    [
        BatchJob(Recipe.model_validate({"watershed": {"seed_sigma": 0.8}}), voxel_size_um=(1, 0.5, 0.5)),
        BatchJob(RECIPE, voxel_size_um=(2, 0.5, 0.5)),
        BatchJob(RECIPE, dataset="raw", voxel_size_um=(1, 0.5, 0.5)),
    ],
    ids=["recipe", "voxel size", "data set"],
)
def test_a_result_made_otherwise_is_made_again(study, out, job):
    run(study, out)
    assert states(run(study, out, job, resume=True)) == ["done"] * 3
    assert states(run(study, out, job, resume=True)) == ["skipped"] * 3


def test_another_device_makes_no_difference(study, out):
    run(study, out)
    other = RECIPE.model_copy(update={"predict": RECIPE.predict.model_copy(update={"device": "cpu"})})
    assert states(run(study, out, BatchJob(other, voxel_size_um=(1, 0.5, 0.5)), resume=True)) == ["skipped"] * 3


@pytest.mark.parametrize(
    ("stated", "state"), [("auto", "skipped"), ("bf16", "skipped"), ("fp32", "done")], ids=["left", "used", "other"]
)
def test_precision_counts_where_it_is_stated(study, out, stated, state):
    def in_bf16(*given):
        result = yield from tiny_batch.segment(*given)
        result.provenance["prediction"] = {"device": "cpu", "precision": "bf16", "pass_voxels": 8192, "tile": [1]}
        return result

    report = run(study, out, segment=in_bf16)
    assert {(row.device, row.precision, row.pass_voxels) for row in report.rows} == {("cpu", "bf16", 8192)}
    predict = {"precision": stated, "pass_voxels": 4096}
    job = replace(JOB, recipe=Recipe.model_validate({"watershed": {"seed_sigma": 0.7}, "predict": predict}))
    assert states(run(study, out, job, resume=True)) == [state] * 3


def test_a_stack_that_has_changed_is_segmented_again(study, out):
    run(study, out)
    tiny_batch.stack(study / "stack2.h5", 5)
    os.utime(study / "stack2.h5", ns=(1, 1))
    rows = run(study, out, resume=True).rows
    assert [(row.state, row.cells) for row in rows] == [("skipped", 1), ("done", 5), ("skipped", 3)]


def test_a_study_that_was_moved_is_not_segmented_again(study, out):
    run(study, out)
    moved = study.rename(study.with_name("moved"))
    assert states(run(moved, out, resume=True)) == ["skipped"] * 3


def test_a_report_that_was_lost_or_damaged_costs_no_result(study, out):
    run(study, out)
    for content in (b"", b'{"rows": [{"stack": 1}]}', b'{"rows": 3}', b"[" * 10_000):
        (out / "report.json").write_bytes(content)
        rows = run(study, out, resume=True).rows
        assert [(row.state, row.cells, row.seconds) for row in rows] == [("skipped", n, None) for n in (1, 2, 3)]


def test_the_report_keeps_rows_of_stacks_whose_turn_has_not_come_again(study, out):
    run(study, out)
    steps = run_batch(plan(find_stacks([study]), out), JOB, out, segment=tiny_batch.segment, resume=True)
    next(step for step in steps if step.position == 1)
    steps.close()
    assert [row["state"] for row in written(out)[0]["rows"]] == ["skipped", "done", "done"]


def test_labels_corrected_by_hand_are_kept_whatever_the_recipe(study, out):
    run(study, out)
    with h5py.File(out / "stack2_labels.h5", "a") as file:
        corrected = file["label"][...]
        corrected[0, 0, 0] = 7
        file["label"][...] = corrected
    for job in (JOB, BatchJob()):
        row = run(study, out, job, resume=True).rows[1]
        assert row.state == "skipped" and row.cells == 3
        assert "corrected by hand" in row.warnings[0] and row.recipe_sha256 == ""
        np.testing.assert_array_equal(open_labels(out / "stack2_labels.h5").data, corrected)


def test_what_no_batch_has_written_is_not_replaced(study, out):
    tiny_batch.stack(out / "stack2_labels.h5", label=np.ones((4, 5, 6), np.uint8))
    before = (out / "stack2_labels.h5").read_bytes()
    report = run(study, out, resume=True)
    assert states(report) == ["done", "failed", "done"] and "no batch has written it" in report.rows[1].error
    assert (out / "stack2_labels.h5").read_bytes() == before


def test_another_stacks_result_is_not_replaced(study, out, tmp_path):
    run(study, out)
    other = tiny_batch.stack(tmp_path / "other" / "stack2.h5", 6)
    report = run(other, out, resume=True)
    assert states(report) == ["failed"] and "cells of another stack" in report.rows[0].error
    assert open_labels(out / "stack2_labels.h5").data.max() == 2


def test_a_stack_that_changes_while_it_is_segmented_is_not_trusted(study, out):
    def segment(volume, recipe, model):
        result = yield from tiny_batch.segment(volume, recipe, model)
        os.utime(volume.source.path, ns=(1, 1))
        return result

    report = run(study / "stack1.h5", out, segment=segment)
    assert states(report) == ["failed"] and "changed meanwhile" in report.rows[0].error

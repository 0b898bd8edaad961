"""``scutoid batch``: what reaches the batch, what is printed where, and the exit status."""

from __future__ import annotations

import json
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tiny_batch
from napari_scutoid.batch import BatchJob, BatchProgress, BatchReport, Row, batch_command, find_stacks
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Recipe
from told import assert_is_message, scutoid


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("napari_scutoid.batch.run._pipeline", lambda job, here: tiny_batch.segment)
    return tiny_batch.study(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, elsewhere: list[Any]) -> list[Any]:
    """Stand for the batch, and remember what was asked for."""
    seen: list[Any] = []

    def run_batch(items: Any, job: Any, folder: Any, *, resume: bool, **where: Any) -> Any:
        seen.append((items, job, folder, resume))
        elsewhere.append((where["workers"], where["scheduler"], where["share_stacks"]))
        yield from ()
        return BatchReport()

    monkeypatch.setattr("napari_scutoid.batch.run_batch", run_batch)
    return seen


@pytest.fixture
def elsewhere() -> list[Any]:
    """Return where the batches that were asked for compute."""
    return []


def test_a_pattern_is_segmented_and_a_line_told_for_each(study, tmp_path, capsys):
    out = tmp_path / "out"
    assert scutoid("batch", study / "*.h5", "-o", out) == 0
    printed, told = capsys.readouterr()
    assert printed.startswith("3 of 3 stacks: 3 done, 0 failed, 0 skipped.") and str(out / "report.csv") in printed
    assert [line.split(" done, ")[1].split(" in ")[0] for line in told.splitlines()] == ["1 cell", "2 cells", "3 cells"]
    assert (out / "stack3_labels.h5").is_file()


def test_a_stack_that_fails_is_told_and_changes_the_exit_status(study, tmp_path, capsys):
    (study / "stack2.h5").write_bytes(b"oops")
    assert scutoid("batch", study, "-o", tmp_path / "out") == 2
    printed, told = capsys.readouterr()
    assert "2 done, 1 failed" in printed
    assert_is_message(told, "1 of 3 stacks could not be segmented", "stack2.h5", "--resume")
    assert any("stack2.h5 failed" in line and "no known format" in line for line in told.splitlines())
    tiny_batch.stack(study / "stack2.h5", 2)
    assert scutoid("batch", study, "-o", tmp_path / "out", "--resume") == 0
    assert "1 done, 0 failed, 2 skipped" in capsys.readouterr().out


def test_json_is_one_object_and_alone_on_standard_output(study, tmp_path, capsys):
    (study / "stack2.h5").write_bytes(b"oops")
    assert scutoid("batch", study, "-o", tmp_path / "out", "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == str(tmp_path / "out")
    assert [(row["state"], row["cells"]) for row in found["rows"]] == [("done", 1), ("failed", None), ("done", 3)]


def test_on_a_terminal_bars_stand_below_the_lines(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert scutoid("batch", study, "-o", tmp_path / "out") == 0
    told = capsys.readouterr().err
    assert "stack2.h5 done, 2 cells" in told.replace("\n", "")


def test_on_a_terminal_each_stack_that_is_under_way_has_a_line(study, tmp_path, capsys, monkeypatch):
    def run_batch(items: Any, *given: Any, **options: Any) -> Any:
        at = {0: Progress("Predicting", 3, 7), 2: Progress("Reading [the stack]")}
        rows = (Row("stack2.h5", "stack2_labels.h5", "failed", error="Too [large]."),)
        yield BatchProgress("Predicting", 3, 7, 0, BatchReport(rows, 3), at, "http://127.0.0.1:8787/status")
        time.sleep(0.3)  # the table is drawn ten times a second
        return BatchReport(rows, 1)

    monkeypatch.setattr("napari_scutoid.batch.run_batch", run_batch)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert scutoid("batch", study, "-o", tmp_path / "out") == 2
    told = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert "Dask's dashboard: http://127.0.0.1:8787/status" in lines
    assert "1 of 3: stack2.h5 failed. Too [large]." in lines
    for begin, end in (
        ("All stacks", " 1/3 "),
        ("stack1.h5 Predicting", " 3/7 "),
        ("stack3.h5 Reading [the stack]", ""),
    ):
        assert any(line.startswith(begin) and end in line for line in lines), told


def test_ctrl_c_keeps_what_is_done(study, tmp_path, capsys, monkeypatch):
    def segment(volume, recipe, model):
        if "stack2" in volume.source.path:
            raise KeyboardInterrupt
        return (yield from tiny_batch.segment(volume, recipe, model))

    monkeypatch.setattr("napari_scutoid.batch.run._pipeline", lambda job, here: segment)
    assert scutoid("batch", study, "-o", tmp_path / "out") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "Cancelled."
    report, _ = tiny_batch.written(tmp_path / "out")
    assert [row["output"] for row in report["rows"]] == ["stack1_labels.h5"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing/*.h5",), ("nothing/*.h5 holds no stack", "quotes")),
        (("study", "--model", "unheard-of"), ("There is no model",)),
        (("study", "--recipe", "none.yaml"), ("none.yaml could not be read",)),
        (("study", "--set", "watershed.seed_sigma=-1"), ("watershed.seed_sigma",)),
    ],
)
def test_what_cannot_be_begun_is_one_message(study, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(study.parent)
    assert scutoid("batch", *arguments, "-o", "out") == 2
    assert_is_message(capsys.readouterr().err, *words)


def test_results_are_not_replaced_unasked(study, tmp_path, capsys):
    assert scutoid("batch", study, "-o", tmp_path / "out") == 0
    assert scutoid("batch", study, "-o", tmp_path / "out") == 2
    assert_is_message(capsys.readouterr().err, "holds results already", "--resume")


def test_the_results_folder_may_lie_beside_the_stacks(study, capsys):
    for more in ((), ("--resume",)):
        assert scutoid("batch", study / "**" / "*.h5", "-o", study / "out", *more) == 0
    assert "3 of 3 stacks: 0 done, 0 failed, 3 skipped" in capsys.readouterr().out


def test_options_reach_the_batch(study, tmp_path, asked):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("watershed: {seed_sigma: 0.7}\npredict: {device: cuda}\n")
    options = ["--recipe", recipe, "--set", "partition.beta=0.4", "--device", "cpu", "--model", "mine"]
    options += ["--dataset", "raw", "--voxel-size", 1, 0.5, 0.5, "--channel", 0, "--time", 3, "--axes", "TCZYX"]
    options += ["--truth", "label", "--format", ".zarr", "--resume"]
    assert scutoid("batch", study / "stack1.h5", "-o", tmp_path / "out", *options) == 0
    ((items, job, folder, resume),) = asked
    assert [item.output for item in items] == [tmp_path / "out" / "stack1_labels.zarr"]
    assert job.recipe.model_dump(exclude_unset=True) == {
        "watershed": {"seed_sigma": 0.7},
        "partition": {"beta": 0.4},
        "predict": {"device": "cpu"},
    }
    assert (job.model, job.truth, folder, resume) == ("mine", "label", tmp_path / "out", True)
    assert job.opening == {
        "dataset": "raw",
        "channel": 0,
        "time": 3,
        "voxel_size_um": [1.0, 0.5, 0.5],
        "axes": "TCZYX",
    }


def test_workers_and_schedulers_reach_the_batch(study, tmp_path, asked, elsewhere, capsys):
    scheduler = "tcp://node:8786"
    for options in ((), ("--workers", 3), ("--scheduler", scheduler), ("--workers", 3, "--share-stacks")):
        assert scutoid("batch", study, "-o", tmp_path / "out", *options) == 0
    assert elsewhere == [(1, None, False), (3, None, False), (1, scheduler, False), (3, None, True)]
    assert scutoid("batch", study, "-o", tmp_path / "out", "--workers", 2, "--scheduler", "tcp://node:8786") == 2
    assert_is_message(capsys.readouterr().err, "--workers", "--scheduler", "one of the two")


def test_a_stack_is_shared_among_several_workers_only(study, tmp_path, capsys):
    assert scutoid("batch", study, "-o", tmp_path / "out", "--share-stacks") == 2
    assert_is_message(capsys.readouterr().err, "--share-stacks", "--workers", "--scheduler")
    assert not (tmp_path / "out").exists()


def test_what_several_workers_need_is_named_where_it_is_missing(study, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert scutoid("batch", study, "-o", tmp_path / "out", "--workers", 2) == 2
    assert_is_message(capsys.readouterr().err, "distributed is not installed", "napari-scutoid[cluster]")
    assert scutoid("batch", study, "-o", tmp_path / "out", "--resume") == 0


def test_a_copied_command_does_the_same(study, tmp_path, asked):
    recipe = Recipe.model_validate({"watershed": {"seed_sigma": 0.7}, "predict": {"tile": (16, 32, 32)}})
    job = BatchJob(recipe, "my model", "raw", 1, 0, (1.0, 0.25, 0.25), "TCZYX", "label")
    stacks = (*find_stacks([study]), tiny_batch.stack(tmp_path / "one more.h5"))
    out = tmp_path / "my results"
    for folders in ({}, {study: stacks[:3]}, {study: ()}):
        command = shlex.split(batch_command(stacks, job, out, ".mat", folders=folders, resume=True))
        assert "--share-stacks" not in command
        assert command[0] == "scutoid" and scutoid(*command[1:]) == 0
        items, given, folder, resume = asked.pop()
        assert {item.stack for item in items} == set(stacks)
        assert (given, folder, resume) == (job, out, True)
        assert all(item.output.suffix == ".mat" for item in items)
    assert str(study / "stack1.h5") not in batch_command(stacks, job, out, folders={study: stacks[:3]})


def test_the_page_explains_every_column():
    from napari_scutoid.batch.report import Row, table

    names, _ = table(BatchReport((Row("a.h5", "a_labels.h5", "done", scores={"ap50": 1.0}),), 1))
    page = (Path(__file__).parents[1] / "docs" / "batch.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in page] == []

"""Many stacks, one recipe: nothing is lost, nothing is made twice, and the report is right at any moment."""

from __future__ import annotations

import gc
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_batch
from napari_scutoid.batch import BatchItem, BatchJob, find_stacks, plan, run_batch, segment_stack
from napari_scutoid.batch.job import settle
from napari_scutoid.batch.memory import PeakMemory
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import open_labels
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe
from tiny_batch import JOB, RECIPE, Counting, run, states, written


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return tiny_batch.study(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


# What a batch has and where its results go.


def test_files_folders_and_patterns_stand_for_stacks_each_once(study):
    (study / "notes.txt").write_text("no stack")
    (study / ".hidden.h5").write_text("no stack")
    for places in ([study], [study / "*.h5"], [study / "stack2.h5", study], [study.parent / "**" / "*.h5"]):
        assert sorted(path.name for path in find_stacks(places)) == ["stack1.h5", "stack2.h5", "stack3.h5"]


def test_results_are_no_stacks(study):
    tiny_batch.stack(study / "results" / "stack1_labels.h5")
    assert len(find_stacks([study / "**" / "*.h5"], leave_out=study / "results")) == 3
    with pytest.raises(ScutoidError, match="where the results go"):
        find_stacks([study], leave_out=study)


@pytest.mark.parametrize("place", ["nothing/*.h5", "nothing.h5", "."])
def test_a_place_without_stacks_is_told(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ScutoidError, match="holds no stack"):
        find_stacks([place])


def test_a_file_whose_name_looks_like_a_pattern_is_taken_as_it_is(tmp_path):
    file = tiny_batch.stack(tmp_path / "gland[1].h5")
    assert find_stacks([file]) == (file,)


def test_a_zarr_folder_is_one_stack(tmp_path):
    store = tmp_path / "a.zarr"
    (store / "0").mkdir(parents=True)
    for place in (store, store / "0"):
        (place / ".zgroup").write_text("{}")
    assert find_stacks([tmp_path]) == find_stacks([tmp_path / "**" / "*"]) == (store,)


@pytest.mark.parametrize(
    ("stacks", "names"),
    [
        (["a.h5", "b.h5"], ["a", "b"]),
        (["a.h5", "a.mat"], ["a_h5", "a_mat"]),
        (["a.h5", "A.mat"], ["a_h5", "A_mat"]),
        (["x/a.h5", "y/a.h5"], ["x_a", "y_a"]),
        (["x/a.h5", "y/a.h5", "x_a.h5"], ["x_a_h5", "y_a", "study_x_a"]),
        (["a.ome.tif", "a.ome.zarr"], ["a_ome_tif", "a_ome_zarr"]),
        (["gland 2.1.h5"], ["gland 2.1"]),
    ],
)
def test_names_tell_stacks_apart(tmp_path, stacks, names):
    items = plan([tmp_path / "study" / stack for stack in stacks], tmp_path / "out")
    assert len({item.output.name.casefold() for item in items}) == len(items)
    if "study_x_a" not in names:
        assert [item.output.name for item in items] == [f"{name}_labels.h5" for name in names]


@given(st.lists(st.from_regex(r"(x/|y/|x_y/)?[abAB_]{1,2}\.(h5|mat)", fullmatch=True), unique=True, min_size=1))
def test_no_two_results_share_a_name_whatever_the_order(paths):
    stacks = [Path("/data") / path for path in paths]
    names = {item.stack: item.output.name for item in plan(stacks, "/out")}
    assert len({name.casefold() for name in names.values()}) == len(paths)
    assert {item.stack: item.output.name for item in plan(stacks[::-1], "/out")} == names


def test_a_stack_is_never_overwritten(tmp_path):
    stacks = [tiny_batch.stack(tmp_path / "a.h5"), tiny_batch.stack(tmp_path / "a_labels.h5")]
    with pytest.raises(ScutoidError, match="never overwritten"):
        plan(stacks, tmp_path)


def test_an_unknown_format_is_refused(study, out):
    with pytest.raises(ScutoidError, match=r"no format has this ending.*\.zarr"):
        plan(find_stacks([study]), out, ".xyz")


# A batch from its beginning to its end.


@pytest.mark.parametrize("suffix", [".h5", ".mat", ".tif", ".zarr"])
def test_every_stack_gets_its_cells_and_is_skipped_the_next_time(study, out, suffix):
    report = run(study, out, suffix=suffix)
    assert states(report) == ["done"] * 3
    for cells in (1, 2, 3):
        assert open_labels(out / f"stack{cells}_labels{suffix}").data.max() == cells
    again = Counting()
    resumed = run(study, out, suffix=suffix, segment=again, resume=True)
    assert states(resumed) == ["skipped"] * 3 and again.seen == []
    assert [row.cells for row in resumed.rows] == [1, 2, 3]
    assert [row.seconds for row in resumed.rows] == [row.seconds for row in report.rows]


def test_the_report_says_what_was_done(study, out):
    run(study, out)
    report, rows = written(out)
    settled = settle(JOB)
    assert (report["total"], report["done"], report["failed"], report["skipped"]) == (3, 3, 0, 0)
    assert Recipe.model_validate(report["recipe"]).watershed.seed_sigma == 0.7
    assert [int(row["cells"]) for row in rows] == [1, 2, 3]
    for row in rows:
        assert row["recipe_sha256"] == settled.recipe_sha256 and row["model_sha256"] == settled.model_sha256
        assert float(row["seconds"]) >= 0 and float(row["peak_memory_mib"]) > 10
        assert row["error"] == "" and (out / row["output"]).is_file()


def test_a_bad_stack_in_the_middle_stops_nobody(study, out):
    (study / "stack2.h5").write_bytes(b"this is no HDF5")
    assert states(run(study, out)) == ["done", "failed", "done"]
    report, rows = written(out)
    assert (report["done"], report["failed"]) == (2, 1)
    assert "What to try" in rows[1]["error"] and rows[1]["cells"] == ""
    assert not (out / "stack2_labels.h5").exists()
    tiny_batch.stack(study / "stack2.h5", 2)
    assert states(run(study, out, resume=True)) == ["skipped", "done", "skipped"]


@pytest.mark.parametrize("error", [RuntimeError("lost"), MemoryError(), OSError(28, "No space left on device")])
def test_whatever_goes_wrong_with_one_stack_is_told_in_words(study, out, error):
    def segment(volume, recipe, model):
        if "stack2" in volume.source.path:
            raise error
        return (yield from tiny_batch.segment(volume, recipe, model))

    report = run(study, out, segment=segment)
    assert states(report) == ["done", "failed", "done"]
    assert "What to try" in report.rows[1].error


def test_a_full_disk_leaves_nothing_half_written(study, out, monkeypatch):
    from napari_scutoid.io import hdf5_sink

    write = hdf5_sink.Sink.write

    def refuse(sink, data):
        if "stack2" in str(sink._file.name):
            sink._failure = OSError(28, "No space left on device")
        return write(sink, data)

    monkeypatch.setattr(hdf5_sink.Sink, "write", refuse)
    report = run(study, out)
    assert states(report) == ["done", "failed", "done"]
    assert "No space left" in report.rows[1].error
    written(out)
    assert sorted(file.name for file in out.iterdir()) == [
        "report.csv",
        "report.json",
        "stack1_labels.h5",
        "stack3_labels.h5",
    ]


def test_a_report_that_is_locked_for_a_while_is_written_later(study, out, monkeypatch):
    from napari_scutoid.batch import run as module

    write, calls = module.write_report, []

    def locked(*given):
        calls.append(given)
        if len(calls) == locked_at:
            raise ScutoidError("report.csv could not be written", "Permission denied", "close it")
        write(*given)

    monkeypatch.setattr(module, "write_report", locked)
    locked_at = 2
    assert states(run(study, out)) == ["done"] * 3
    assert len(written(out)[1]) == 3
    calls.clear()
    locked_at = 4
    with pytest.raises(ScutoidError, match=r"3 of 3 stacks.*Permission denied.*close report\.csv"):
        run(study, out, resume=True)


def test_scores_where_the_true_cells_are_in_the_file(study, out):
    with h5py.File(study / "stack2.h5", "a") as file:
        file["truth"] = (tiny_batch.image(2) > 100).astype(np.uint8)
    with h5py.File(study / "stack3.h5", "a") as file:
        file["truth"] = np.ones((2, 2, 9), np.uint8)
    job = BatchJob(RECIPE, dataset="raw", truth="truth")
    one, two, three = run(study, out, job).rows
    assert two.scores["n_true"] == 1 and two.scores["cell_count_error"] == 1
    for row in (one, three):
        assert row.state == "done" and not row.scores and row.warnings[0].startswith("Not scored.")
    assert [row["cell_count_error"] for row in written(out)[1]] == ["", "1", ""]
    assert run(study, out, job, resume=True).rows[1].scores == two.scores


def test_scores_can_be_asked_for_afterwards(study, out):
    for cells in (1, 2, 3):
        with h5py.File(study / f"stack{cells}.h5", "a") as file:
            file["truth"] = (tiny_batch.image(cells) > 100).astype(np.uint8)
    run(study, out, BatchJob(RECIPE, dataset="raw"))
    rows = run(study, out, BatchJob(RECIPE, dataset="raw", truth="truth"), resume=True).rows
    assert [(row.state, row.scores["n_pred"]) for row in rows] == [("skipped", 1), ("skipped", 2), ("skipped", 3)]


# What must not be begun.


def test_results_that_are_there_are_not_replaced_unasked(study, out):
    run(study, out)
    before = (out / "report.json").read_bytes()
    with pytest.raises(ScutoidError, match=r"holds results already.*--resume"):
        run(study, out)
    assert (out / "report.json").read_bytes() == before


def test_what_cannot_be_done_is_told_before_the_first_stack(study, tmp_path, out):
    with pytest.raises(ScutoidError, match="no model"):
        run(study, out, BatchJob(model="unheard-of"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ScutoidError, match="could not be made"):
        run(study, tmp_path / "file")


# For other processes, and for the report.


def test_a_unit_of_work_can_be_handed_to_another_process(study, out):
    out.mkdir()
    item = BatchItem(study / "stack2.h5", out / "stack2_labels.h5")
    given = pickle.loads(pickle.dumps((item, JOB, settle(JOB), tiny_batch.segment)))
    row = pickle.loads(pickle.dumps(drain(segment_stack(*given))))
    assert (row.state, row.cells) == ("done", 2)


def test_what_the_real_chain_writes_is_recognised(study, out):
    as_it_is = {"rescale": {"mode": "none"}, "predict": {"precision": "fp32", "device": "cpu"}}
    items = plan([study / "stack2.h5"], out)
    job = BatchJob(Recipe.model_validate(as_it_is), voxel_size_um=(1.0, 1.0, 1.0))
    (row,) = drain(run_batch(items, job, out)).rows
    assert (row.state, row.error) == ("done", "")
    (again,) = drain(run_batch(items, job, out, resume=True)).rows
    assert again.state == "skipped" and again.cells == row.cells and again.warnings == row.warnings


def test_peak_memory_sees_what_was_there_and_is_gone():
    gc.collect()  # what other tests left must not be freed meanwhile
    memory = PeakMemory()
    start = memory.value()
    block = np.ones(2**28, np.uint8)
    memory.look()
    del block
    assert memory.value() >= start + 2**27
    assert PeakMemory().value() < memory.value()

"""The Batch dock: many stacks, one recipe, and a look at what came out."""

from __future__ import annotations

import gc
import shlex
import threading
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_scutoid.batch import BatchJob, BatchProgress, BatchReport, Row
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Recipe
from napari_scutoid.ui.batch import BatchWidget
from napari_scutoid.ui.batch_core import BatchCore
from napari_scutoid.ui.batch_table import CELLS, MESSAGE, STACK, STATE, TIME
from napari_scutoid.volume import Labels, Source, Volume

STACKS = tuple(Path(f"/study/gland {n}.h5") for n in (1, 2, 3))
BROKEN = "/study/gland 2.h5 could not be opened: it is <empty>. What to try: copy it again."
RECIPE = Recipe.model_validate({"watershed": {"seed_sigma": 0.7}, "predict": {"device": "cpu", "tile": (16, 32, 32)}})


class FakeBatch:
    """A batch that answers at once, and remembers what it was asked."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.asked: list[Any] = []
        self.where: list[Any] = []
        self.opened: list[Any] = []
        self.saved: list[Any] = []
        self.fail_with: Exception | None = None
        self.hold_at: int | None = None
        self.passes = [4096, 0, 4096]
        self.closed = threading.Event()

    def core(self) -> BatchCore:
        return BatchCore(
            self.find, self.run, self.open, lambda file: RECIPE, self.write_recipe, program=self.program.core()
        )

    def find(self, places: Any) -> tuple[Path, ...]:
        if Path(places[0]).suffix:
            return tuple(places)
        if Path(places[0]).name == "empty":
            raise ScutoidError("empty holds no stack", "no file in it is named as a stack is", "name the files")
        return STACKS

    def run(self, items: Any, job: BatchJob, folder: Path, *, resume: bool, **where: Any) -> Any:
        self.asked.append((items, job, folder, resume))
        self.where.append(where)
        rows: list[Row] = []
        try:
            for number, item in enumerate(items):
                yield BatchProgress("Predicting", 1, 2, number, BatchReport(tuple(rows), len(items)))
                while self.hold_at == number:
                    # Others want the interpreter too.
                    self.closed.wait(0.005)
                    yield BatchProgress("Predicting", 2, 2, number, BatchReport(tuple(rows), len(items)))
                if self.fail_with is not None:
                    raise self.fail_with
                if number == 1:
                    rows.append(Row(str(item.stack), item.output.name, "failed", error=BROKEN))
                else:
                    row = Row(str(item.stack), item.output.name, "done", 20 + number, 75.0, 512.0)
                    rows.append(replace(row, device="cpu", precision="bf16", pass_voxels=self.passes[number]))
        finally:
            self.closed.set()
        return BatchReport(tuple(rows), len(items))

    def open(self, stack: Path, output: Path, job: BatchJob) -> tuple[Volume, Labels]:
        self.opened.append((stack, output, job))
        source = Source(str(stack), "raw")
        data = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
        return Volume(data, source=source), Labels(np.ones((3, 4, 5), np.uint32), source=source)

    def write_recipe(self, file: Path, recipe: Recipe) -> None:
        self.saved.append((file, recipe))


@pytest.fixture
def batch(program):
    fake = FakeBatch(program)
    yield fake
    fake.hold_at = None


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def widget(qtbot, viewer, batch):
    made = BatchWidget(viewer, batch.core())
    qtbot.addWidget(made)
    return made


def idle(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.is_busy)


def add(qtbot, widget, *places):
    widget.add(places or ("/study",))
    idle(qtbot, widget)


def column(widget, number):
    return [widget.table.item(row, number).text() for row in range(widget.table.rowCount())]


def test_an_empty_dock_says_what_to_do_first(widget):
    assert "Add stacks first" in widget.panel.reason.text()
    assert not widget.run_button.isEnabled() and not widget.resume_button.isEnabled()
    assert "model's own settings" in widget.recipe_note.text()


def test_a_folder_is_added_and_a_place_for_the_results_proposed(qtbot, widget):
    add(qtbot, widget)
    assert widget.table.value() == STACKS and column(widget, STATE) == ["waiting"] * 3
    assert column(widget, STACK) == ["gland 1.h5", "gland 2.h5", "gland 3.h5"]
    assert widget.folder.text() == str(Path("/study/scutoid_results"))
    assert widget.run_button.isEnabled() and widget.panel.reason.text() == ""
    widget.folder.setText("not a whole path")
    assert "Choose a folder" in widget.panel.reason.text() and not widget.resume_button.isEnabled()


def test_a_stack_is_listed_once_and_can_be_taken_out(qtbot, widget):
    add(qtbot, widget, str(STACKS[0]), str(STACKS[1]))
    add(qtbot, widget)
    assert widget.table.value() == STACKS
    widget.table.selectRow(1)
    widget.remove_button.click()
    assert widget.table.value() == (STACKS[0], STACKS[2])


def test_a_folder_without_stacks_is_told(qtbot, widget, told):
    add(qtbot, widget, "/study/empty")
    assert widget.table.value() == () and len(told) == 1 and "no stack" in told[0]


def test_files_and_folders_can_be_chosen_and_dropped(qtbot, widget, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(STACKS[0])], ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/chosen")
    widget.add_files_button.click()
    idle(qtbot, widget)
    assert widget.table.value() == STACKS[:1]
    widget.add_folder_button.click()
    idle(qtbot, widget)
    assert widget.table.value() == STACKS
    widget.folder_button.click()
    assert widget.folder.text() == "/chosen"
    widget.table.setValue(())
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile("/study/another.tif")])
    action, button, key = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    widget.table.dropEvent(QDropEvent(QPointF(QPoint(1, 1)), action, mime, button, key))
    idle(qtbot, widget)
    assert widget.table.value() == (Path("/study/another.tif"),)


def test_a_batch_fills_the_table(qtbot, widget, batch):
    add(qtbot, widget)
    widget.format.setCurrentIndex(1)
    widget.run_button.click()
    idle(qtbot, widget)
    ((items, job, folder, resume),) = batch.asked
    assert [item.output.name for item in items] == [f"gland {n}_labels.mat" for n in (1, 2, 3)]
    assert (job.model, job.opening["dataset"], folder, resume) == ("builtin", None, Path(widget.folder.text()), False)
    assert column(widget, STATE) == ["done", "failed", "done"]
    assert column(widget, CELLS) == ["20", "", "22"] and column(widget, TIME) == ["1 min", "", "1 min"]
    assert column(widget, MESSAGE)[1] == "it is <empty>"
    tip = widget.table.item(1, MESSAGE).toolTip().replace("\n", " ")
    assert tip == BROKEN
    assert "2 done, 1 failed" in widget.panel.status.text()
    assert (widget.overall.value(), widget.overall.maximum()) == (3, 3)


def test_cancel_stops_and_resume_goes_on(qtbot, widget, batch):
    add(qtbot, widget)
    batch.hold_at = 1
    widget.run_button.click()
    qtbot.waitUntil(lambda: column(widget, STATE) == ["done", "running", "waiting"])
    assert widget.overall.value() == 1 and not widget.inputs.isEnabled() and not widget.resume_button.isEnabled()
    widget.panel.cancel_button.click()
    idle(qtbot, widget)
    assert batch.closed.is_set() and column(widget, STATE) == ["done", "stopped", "waiting"]
    batch.hold_at = None
    widget.resume_button.click()
    idle(qtbot, widget)
    assert batch.asked[-1][3] is True and column(widget, STATE) == ["done", "failed", "done"]


def test_an_error_is_told_once_and_the_dock_is_usable_again(qtbot, widget, batch, told):
    add(qtbot, widget)
    batch.fail_with = ScutoidError("The batch was not started", "results are there already", "resume")
    widget.run_button.click()
    idle(qtbot, widget)
    assert len(told) == 1 and "results are there already" in widget.panel.status.text()
    assert widget.run_button.isEnabled() and widget.inputs.isEnabled()


def test_starting_with_nothing_chosen_is_refused_with_the_reason(widget, told, batch):
    widget.start()
    assert batch.asked == [] and "Add stacks first" in told[0]


def test_a_result_is_opened_also_while_others_are_made(qtbot, widget, viewer, batch):
    add(qtbot, widget)
    batch.hold_at = 2
    widget.run_button.click()
    qtbot.waitUntil(lambda: column(widget, STATE) == ["done", "failed", "running"])
    for row in (1, 2, 0):
        widget.table.itemDoubleClicked.emit(widget.table.item(row, STACK))
    qtbot.waitUntil(lambda: len(viewer.layers) == 2)
    folder = Path(widget.folder.text())
    assert [opened[:2] for opened in batch.opened] == [(STACKS[0], folder / "gland 1_labels.h5")]
    assert [layer.name for layer in viewer.layers] == ["gland 1", "gland 1 cells"]
    assert viewer.layers.selection.active is viewer.layers["gland 1 cells"]
    batch.hold_at = None
    idle(qtbot, widget)


def test_a_result_that_is_gone_is_told(qtbot, widget, viewer, told):
    add(qtbot, widget)
    widget.run_button.click()
    idle(qtbot, widget)
    gone = ScutoidError("gland 1_labels.h5 could not be opened", "there is no such file", "resume")

    def refuse(*_: Any) -> Any:
        raise gone

    widget._core = BatchCore(open=refuse)
    widget.table.itemDoubleClicked.emit(widget.table.item(0, STACK))
    qtbot.waitUntil(lambda: bool(told))
    assert "no such file" in told[0] and len(viewer.layers) == 0


def test_settings_are_what_was_set(widget):
    job = BatchJob(RECIPE, "mine", "raw", voxel_size_um=(1.0, 0.25, 0.25), truth="label")
    widget.setValue(job)
    assert widget.value() == job
    assert "predict.tile=[16, 32, 32], watershed.seed_sigma=0.7" in widget.recipe_note.text()
    widget.setValue(BatchJob())
    assert widget.value().opening == BatchJob().opening and widget.value().truth is None


def test_a_recipe_is_loaded_shown_saved_and_forgotten(qtbot, widget, batch):
    widget.bar.loadAsked.emit(Path("/recipes/study.yaml"))
    idle(qtbot, widget)
    assert widget.recipe_note.text().startswith("study.yaml: predict.device=cpu")
    assert widget.value().recipe == RECIPE
    widget.bar.saveAsked.emit(Path("/recipes/copy.yaml"))
    idle(qtbot, widget)
    assert batch.saved == [(Path("/recipes/copy.yaml"), RECIPE)]
    widget.forget_button.click()
    assert "model's own settings" in widget.recipe_note.text()
    assert widget.value().recipe.watershed == Recipe().watershed


def test_workers_of_this_computer_or_of_a_scheduler(qtbot, widget, batch):
    add(qtbot, widget)
    for workers, scheduler in ((1, None), (2, None), (1, "tcp://node:8786")):
        widget.workers.workers.setMaximum(8)
        widget.workers.setValue(workers, scheduler)
        assert widget.workers.workers.isEnabled() == (scheduler is None)
        words = shlex.split(widget.command())
        asked = [words[i : i + 2] for i, word in enumerate(words) if word in ("--workers", "--scheduler")]
        assert asked == {None: [["--workers", "2"]][: workers - 1]}.get(scheduler, [["--scheduler", scheduler]])
        widget.start()
        idle(qtbot, widget)
        assert batch.where[-1] == {"workers": workers, "scheduler": scheduler, "share_stacks": False}


def test_a_stack_is_shared_where_there_is_somebody_to_share_it_with(qtbot, widget, batch):
    add(qtbot, widget)
    choice = widget.workers
    choice.workers.setMaximum(8)
    for workers, scheduler, is_shared in ((1, None, False), (2, None, True), (1, "tcp://node:8786", True)):
        choice.setValue(workers, scheduler, True)
        assert choice.share.isEnabled() == choice.value()["share_stacks"] == is_shared
        assert ("--share-stacks" in shlex.split(widget.command())) == is_shared
        widget.start()
        idle(qtbot, widget)
        assert batch.where[-1]["share_stacks"] == is_shared


def test_all_stacks_that_are_under_way_are_shown_and_where_dask_shows_more(qtbot, widget, batch):
    def run(items, *given, **options):
        at = {0: Progress("Predicting", 1, 2), 2: Progress("Reading")}
        rows = (Row(str(items[1].stack), items[1].output.name, "done", 5),)
        while not batch.closed.wait(0.01):
            progress = BatchReport(rows, 3)
            yield BatchProgress("Segmenting 2 stacks at once", 0, 0, 2, progress, at, "http://127.0.0.1:1/status")
        return BatchReport(rows, 3)

    batch.run = run
    widget._core = batch.core()
    add(qtbot, widget)
    widget.start()
    qtbot.waitUntil(lambda: column(widget, STATE) == ["running", "done", "running"])
    assert widget.dashboard.text() == "Dask's dashboard: http://127.0.0.1:1/status"
    assert widget.dashboard.isVisibleTo(widget) and widget.overall.value() == 1
    batch.closed.set()
    idle(qtbot, widget)


def test_the_command_names_the_folder_and_what_was_chosen(qtbot, widget):
    add(qtbot, widget)
    widget.setValue(BatchJob(RECIPE, "mine", voxel_size_um=(1.0, 0.25, 0.25)))
    widget.bar.copy_button.click()
    words = shlex.split(widget.command())
    assert words[:5] == ["scutoid", "batch", "/study", "-o", widget.folder.text()]
    assert "watershed.seed_sigma=0.7" in words and "predict.device=cpu" in words
    assert widget.panel.status.text().startswith("Copied: scutoid batch")
    widget.table.selectRow(0)
    widget.table.remove_selected()
    assert shlex.split(widget.command())[2:4] == [str(STACKS[1]), str(STACKS[2])]


def test_the_copied_command_says_what_was_really_used(qtbot, widget, batch):
    add(qtbot, widget)
    widget.run_button.click()
    idle(qtbot, widget)
    used = ["predict.device=cpu", "predict.precision=bf16", "predict.pass_voxels=4096"]
    assert [word for word in shlex.split(widget.command()) if word.startswith("predict.")] == used
    widget.bar.copy_button.click()
    assert "may differ" not in widget.panel.status.text()
    widget.setValue(BatchJob(RECIPE))
    assert "pass_voxels" not in widget.command()


def test_a_stack_computed_in_other_passes_is_named(qtbot, widget, batch):
    batch.passes = [8192, 0, 4096]
    add(qtbot, widget)
    widget.run_button.click()
    idle(qtbot, widget)
    widget.bar.copy_button.click()
    assert "predict.pass_voxels=8192" in widget.command()
    assert "Single voxels may differ in gland 3.h5" in widget.panel.status.text()


def test_what_the_real_doors_write_they_read(tmp_path):
    core = BatchCore()
    core.write_recipe(tmp_path / "recipe.yaml", RECIPE)
    assert core.read_recipe(tmp_path / "recipe.yaml") == RECIPE


def test_taking_the_dock_out_of_its_window_ends_the_batch(qtbot, widget, batch):
    window = QWidget()
    qtbot.addWidget(window)
    widget.setParent(window)
    add(qtbot, widget)
    batch.hold_at = 0
    widget.start()
    qtbot.waitUntil(lambda: column(widget, STATE)[0] == "running")
    widget.setParent(None)
    qtbot.waitUntil(batch.closed.is_set)
    idle(qtbot, widget)
    assert column(widget, STATE) == ["stopped", "waiting", "waiting"]


def test_a_closed_dock_lets_the_viewer_go(qtbot, batch):
    viewer = ViewerModel()
    widget = BatchWidget(viewer, batch.core())
    add(qtbot, widget)
    known = weakref.ref(viewer)
    widget.close()
    widget.deleteLater()
    del widget, viewer
    qtbot.waitUntil(lambda: gc.collect() is not None and known() is None)

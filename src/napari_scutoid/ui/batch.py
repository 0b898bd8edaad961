"""The dock widget that segments many stacks with one recipe; it only wires."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_scutoid.batch import BatchJob, BatchProgress, BatchReport, as_computed, batch_command
from napari_scutoid.command_line import as_used
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.suffixes import WRITTEN, open_filter
from napari_scutoid.recipe import Recipe, Rescale
from napari_scutoid.recipe.changes import as_changes
from napari_scutoid.ui import layers
from napari_scutoid.ui.batch_core import BatchCore, find, open_result, read_recipe, segment_all, write_recipe
from napari_scutoid.ui.batch_table import BatchTable
from napari_scutoid.ui.device_choice import DeviceChoice
from napari_scutoid.ui.dock import Dock, embolden, heading
from napari_scutoid.ui.editors import ChoiceBox, editor_for
from napari_scutoid.ui.inquiry import Inquiry
from napari_scutoid.ui.model_choice import ModelChoice
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.preferences import preferences
from napari_scutoid.ui.recipe_bar import RecipeBar
from napari_scutoid.ui.scroll import ScrollColumn
from napari_scutoid.ui.workers_choice import WorkersChoice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import napari

    from napari_scutoid.batch import Row
    from napari_scutoid.progress import Progress
    from napari_scutoid.ui.batch_core import Opened

PAGE = "batch.md"
FOLDER = "scutoid_results"
NO_RECIPE = "None: the model's own settings. Load a recipe to change some; Segment saves one."
MOST_SHOWN = 6


class BatchWidget(Dock):
    """Choose stacks, a recipe and a folder; segment them all; look at what came out.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where results are shown. napari passes it by this name.
    core : BatchCore, optional
        The program behind the window.
    parent : QWidget, optional
    """

    def __init__(
        self, napari_viewer: napari.Viewer, core: BatchCore | None = None, parent: QWidget | None = None
    ) -> None:
        self.run_button = QPushButton("Segment all")
        super().__init__(napari_viewer, self.run_button, parent)
        self._core = core or BatchCore()
        self._recipe, self._recipe_file = Recipe(), ""
        self._folders: dict[Path, tuple[Path, ...]] = {}
        self._ran: tuple[BatchJob, Path] | None = None
        self._opening = Inquiry(self)
        chosen = preferences()

        self.table = BatchTable()
        self.add_files_button = QPushButton("Add files…")
        self.add_folder_button = QPushButton("Add folder…")
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Take the selected stacks out of the list. Their files stay.")
        self.recipe_note = Note()
        self.forget_button = QPushButton("Clear")
        self.forget_button.setToolTip("Go back to the model's own settings.")
        self.model = ModelChoice(self._core.program, chosen.model)
        # Its card is for where one model is compared with another, in Segment.
        self.model.card.hide()
        self.device = DeviceChoice(self._core.program, chosen.device)
        self.dataset = _line("the only image in each file", "Name of the image in the files, as Open stack lists it.")
        self.voxel_size = editor_for(Rescale.model_json_schema()["properties"]["voxel_size_um"])
        self.voxel_size.setToolTip("Tick to enter the edges of a voxel, the same for all stacks; else the files count.")
        self.truth = _line("none", "Name of a data set with the true cells in the same files: adds scores.")
        self.folder = _line("choose a folder", "Folder for the results and their report.")
        self.folder_button = QPushButton("Browse…")
        self.format = ChoiceBox()
        for name, suffixes in WRITTEN.items():
            self.format.addItem(f"{name} ({suffixes[0]})", suffixes[0])
        self.workers = WorkersChoice()
        embolden(self.run_button)
        self.run_button.setToolTip("Segment all stacks of the table. napari can be used meanwhile.")
        self.resume_button = QPushButton("Resume")
        self.resume_button.setToolTip("Keep results in the folder that are whole and fit; make only the others.")
        self.panel.add_button(self.resume_button)
        self.overall = QProgressBar()
        self.overall.setFormat("%v of %m stacks")
        self.dashboard = Note()
        self.dashboard.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = RecipeBar(PAGE, self.command)
        self._lay_out()

        self.run_button.clicked.connect(self.start)
        self.resume_button.clicked.connect(self.resume)
        self.add_files_button.clicked.connect(self._on_add_files)
        self.add_folder_button.clicked.connect(self._on_add_folder)
        self.remove_button.clicked.connect(self.table.remove_selected)
        self.forget_button.clicked.connect(self.forget_recipe)
        self.folder_button.clicked.connect(self._on_browse)
        self.table.dropped.connect(self.add)
        self.table.openAsked.connect(self.open_result)
        for signal in (
            self.table.valueChanged,
            self.model.valueChanged,
            self.device.valueChanged,
            self.device.factsChanged,
            self.folder.textChanged,
        ):
            signal.connect(self._update)
        self.panel.progressed.connect(self._on_progress)
        self.panel.busyChanged.connect(self._on_busy)
        self._opening.answered.connect(self._on_opened)
        self._opening.failed.connect(self.panel.complain)
        self.bar.saveAsked.connect(self.save_recipe)
        self.bar.loadAsked.connect(self.load_recipe)
        self.bar.copied.connect(self._on_copied)
        self._on_busy(False)

    # What a button does, also for scripts.

    def value(self) -> BatchJob:
        """Return what will be done with every stack."""
        predict = self._recipe.predict.model_dump(exclude_unset=True)
        if memory := preferences().memory_gb:
            predict.setdefault("memory_gb", memory)
        predict |= self.device.value().model_dump(exclude_unset=True)
        recipe = Recipe.model_validate(self._recipe.model_dump(exclude_unset=True) | {"predict": predict})
        dataset, truth = self.dataset.text().strip(), self.truth.text().strip()
        size = self.voxel_size.value()
        return BatchJob(
            recipe,
            self.model.value(),
            dataset or None,
            voxel_size_um=None if size is None else (float(size[0]), float(size[1]), float(size[2])),
            truth=truth or None,
        )

    def setValue(self, job: BatchJob) -> None:
        """Show what is to be done with every stack."""
        self._recipe, self._recipe_file = job.recipe, ""
        self.device.setValue(job.recipe.predict)
        self.model.setValue(job.model)
        self.dataset.setText(job.dataset or "")
        self.voxel_size.setValue(job.voxel_size_um)
        self.truth.setText(job.truth or "")
        self._update()

    def problem(self) -> str | None:
        """Return why nothing can be segmented yet, or None."""
        if not self.table.value():
            return "Add stacks first."
        if not self._folder().is_absolute():
            return "Choose a folder for the results."
        return self.model.problem() or self.device.problem()

    def add(self, places: Sequence[str | Path]) -> None:
        """Add files, and all stacks in folders."""
        paths = [Path(place) for place in places]
        self.panel.run("Looking for stacks", lambda: find(self._core, paths), self._on_found)

    def start(self) -> None:
        """Segment all stacks; refused where results are there already."""
        self._start(resume=False)

    def resume(self) -> None:
        """Segment what has no result yet, or none that fits."""
        self._start(resume=True)

    def open_result(self, row: Row) -> None:
        """Show a stack and its cells."""
        if self._ran is None:
            return
        job, folder = self._ran
        self.panel.say(f"Opening {Path(row.stack).name}…")
        self._opening.ask(lambda: open_result(self._core, Path(row.stack), folder / row.output, job))

    def command(self) -> str:
        """Return the command line that does what `start` would, as it was done last where nothing has changed."""
        job = self.value()
        if rows := self._rows_of(job):
            job = replace(job, recipe=as_computed(job.recipe, rows)[0])
        elif (facts := self.device.facts()) is not None:
            used = as_used(job.recipe, {"device": facts.device, "precision": facts.precision})
            job = replace(job, recipe=used)
        return batch_command(
            self.table.value(),
            job,
            self._folder(),
            self.format.currentData(),
            folders=self._folders,
            **self.workers.value(),
        )

    def save_recipe(self, file: Path) -> None:
        """Write the settings to a file."""
        recipe = self.value().recipe
        self.panel.run(
            "Saving", lambda: write_recipe(self._core, file, recipe), lambda saved: self.panel.say(f"Saved {saved}.")
        )

    def load_recipe(self, file: Path) -> None:
        """Take the settings from a file."""

        def done(recipe: Recipe) -> None:
            self._recipe, self._recipe_file = recipe, file.name
            self.device.setValue(recipe.predict)
            self._update()

        self.panel.run("Reading the recipe", lambda: read_recipe(self._core, file), done)

    def forget_recipe(self) -> None:
        """Go back to the model's own settings."""
        self._recipe, self._recipe_file = Recipe(), ""
        self._update()

    # What follows from what was chosen, and what comes of a job.

    def _folder(self) -> Path:
        return Path(self.folder.text().strip()).expanduser()

    def _rows_of(self, job: BatchJob) -> tuple[Row, ...]:
        """Return what is known of how stacks were computed, where they would be so again."""
        if self._ran is None:
            return ()
        ran = self._ran[0]
        same = (ran.recipe.predict, ran.model) == (job.recipe.predict, job.model)
        return tuple(row for row in self.table.rows() if row.device) if same else ()

    def _start(self, *, resume: bool) -> None:
        problem = self.problem()
        if problem is not None:
            self.panel.complain(ScutoidError("Nothing was segmented", problem, "do so, then press the button again"))
            return
        stacks, job, suffix = self.table.value(), self.value(), self.format.currentData()
        folder, where = self._folder(), self.workers.value()
        started = self.panel.run(
            "Segmenting",
            lambda: segment_all(self._core, stacks, job, folder, suffix, resume=resume, **where),
            self._on_done,
            otherwise=self._on_stopped,
            alone=True,
        )
        if started:
            self._ran = job, folder
            self.table.forget()
            self._show_overall(0, len(stacks))

    def _on_progress(self, progress: Progress) -> None:
        if isinstance(progress, BatchProgress):
            self.table.show_report(progress.report, progress.under_way or (progress.position,))
            self._show_overall(len(progress.report.rows), progress.report.total)
            self.dashboard.setText(f"Dask's dashboard: {progress.dashboard}")
            self.dashboard.setVisible(bool(progress.dashboard))

    def _on_done(self, report: BatchReport) -> None:
        self.table.show_report(report)
        self._show_overall(report.total, report.total)
        hint = " Hold the mouse over a message to read all of it." if report.count("failed") else ""
        self.panel.say(f"{report.in_words}.{hint} Double-click a stack to see its cells.")

    def _on_stopped(self) -> None:
        self.table.stop()

    def _on_found(self, found: Mapping[Path, tuple[Path, ...]]) -> None:
        self._folders |= {place: stacks for place, stacks in found.items() if stacks != (place,)}
        stacks = [stack for some in found.values() for stack in some]
        number = self.table.add(stacks)
        if stacks and not self.folder.text().strip():
            self.folder.setText(str(stacks[0].parent / FOLDER))
        self.panel.say(f"Added {number} stack{'' if number == 1 else 's'}.")

    def _on_opened(self, opened: Opened) -> None:
        image = layers.add_image(self._viewer, opened.shown, opened.name)
        cells = layers.add_labels(self._viewer, opened.labels, f"{opened.name} cells", {})
        layers.show_middle(self._viewer, image)
        self._viewer.layers.selection.active = cells
        if not self.is_busy:
            self.panel.say(f"{opened.name} and its cells are in the viewer.")

    def _on_copied(self, command: str) -> None:
        job = self.value()
        _, others = as_computed(job.recipe, self._rows_of(job))
        if others:
            names = ", ".join(Path(stack).name for stack in others[:MOST_SHOWN])
            more = ", …" if len(others) > MOST_SHOWN else ""
            command += f"\nSingle voxels may differ in {names}{more}: computed in passes of another size, or elsewhere."
        self.panel.say(f"Copied: {command}")

    def _on_busy(self, busy: bool) -> None:
        self.inputs.setEnabled(not busy)
        self.table.setSteady(busy)
        for button in (self.add_files_button, self.add_folder_button, self.remove_button):
            button.setEnabled(not busy)
        self._update()

    def _update(self) -> None:
        problem = self.problem()
        self.panel.setProblem(problem)
        self.resume_button.setEnabled(problem is None and not self.is_busy)
        changes = as_changes(self._recipe)
        shown = ", ".join(changes[:MOST_SHOWN]) + (
            f" and {len(changes) - MOST_SHOWN} more" * (len(changes) > MOST_SHOWN)
        )
        name = f"{self._recipe_file}: " if self._recipe_file else ""
        self.recipe_note.setText(f"{name}{shown or 'changes nothing'}" if name or changes else NO_RECIPE)
        self.forget_button.setVisible(bool(name or changes))

    def _show_overall(self, done: int, total: int) -> None:
        self.overall.setRange(0, max(1, total))
        self.overall.setValue(done)
        self.overall.show()

    def _on_add_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add stacks", "", open_filter())
        if names:
            self.add(names)

    def _on_add_folder(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Add all stacks of a folder"):
            self.add([name])

    def _on_browse(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Folder for the results", self.folder.text()):
            self.folder.setText(name)

    def showEvent(self, event: Any) -> None:
        """Look at models and device once somebody looks at the dock: it takes seconds, and loads PyTorch."""
        super().showEvent(event)
        self.model.refresh()
        if self.device.facts() is None:
            self.device.refresh()

    def taken_out(self) -> None:
        """Ask no more."""
        for asking in (self.model, self.device, self._opening):
            asking.stop()

    def _lay_out(self) -> None:
        self.inputs = QWidget()
        fields = QFormLayout(self.inputs)
        fields.setContentsMargins(0, 0, 0, 0)
        fields.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        fields.addRow(heading("2  Settings"))
        fields.addRow("Recipe", _beside(self.recipe_note, self.forget_button))
        fields.addRow("Model", self.model)
        fields.addRow("Compute on", self.device)
        fields.addRow("Data set", self.dataset)
        fields.addRow("Voxel size", self.voxel_size)
        fields.addRow("True cells", self.truth)
        fields.addRow(heading("3  Results"))
        fields.addRow("Folder", _beside(self.folder, self.folder_button))
        fields.addRow("Format", self.format)
        fields.addRow("Stacks at once", self.workers)
        self.overall.hide()
        self.dashboard.hide()
        buttons = _beside(self.add_files_button, self.add_folder_button, self.remove_button)
        column = (
            heading("1  Stacks: add them, or drop them here"),
            buttons,
            self.table,
            self.inputs,
            self.overall,
            self.dashboard,
            self.panel,
            self.bar,
        )
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.addWidget(ScrollColumn(column, stretched=self.table))


def _line(placeholder: str, tip: str) -> QLineEdit:
    line = QLineEdit()
    line.setPlaceholderText(placeholder)
    line.setToolTip(tip)
    return line


def _beside(*widgets: QWidget) -> QWidget:
    together = QWidget()
    row = QHBoxLayout(together)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget, 0 if widget is widgets[-1] and len(widgets) == 2 else 1)
    return together

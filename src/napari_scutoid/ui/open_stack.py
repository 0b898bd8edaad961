"""The dock widget that opens a stack, and its labels if they are there; it only wires."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.guess import last_name
from napari_scutoid.ui import layers, memory_choice, stack_jobs
from napari_scutoid.ui.core import Core, look_into
from napari_scutoid.ui.dataset_choice import (
    TISSUE,
    WALLS,
    extent,
    guess,
    is_map,
    is_plain,
    layout_of,
    nbytes,
    size_problem,
    stack_problem,
    tissue_of,
)
from napari_scutoid.ui.dataset_table import SIDE, DatasetTable
from napari_scutoid.ui.dock import Dock, embolden, heading
from napari_scutoid.ui.errands import Errands
from napari_scutoid.ui.file_line import FileLine
from napari_scutoid.ui.help import HelpButton
from napari_scutoid.ui.memory_choice import MemoryChoice
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.remembered import Remembered
from napari_scutoid.ui.sections_view import SIDE as SECTION_SIDE
from napari_scutoid.ui.stack_details import StackDetails

if TYPE_CHECKING:
    import napari

    from napari_scutoid.io.format import DatasetInfo, FileInfo
    from napari_scutoid.ui.remembered import Opened
    from napari_scutoid.ui.stack_jobs import StackAndLabels

CHOOSE_FIRST = "Choose a file first, or drop one here."
NOT_YET = "Nothing is opened yet, as the file leaves a choice: look at what is ticked, then press Open."
OTHER_READER = "to look at a picture all the same, use File > Open with Plugin, and choose napari builtins"
# A file with thousands of arrays is no stack; its first ones are enough to see that.
MOST_PICTURES = 64


class OpenStackWidget(Dock):
    """Choose a file and what to take from it, check its axes and voxel size, open it.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where the layers go. napari passes it by this name.
    core : Core, optional
        The program behind the window.
    parent : QWidget, optional
        Qt's parent.
    remembered : Remembered, optional
        How files were opened before.
    """

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        core: Core | None = None,
        parent: QWidget | None = None,
        remembered: Remembered | None = None,
    ) -> None:
        self.open_button = QPushButton("Open")
        super().__init__(napari_viewer, self.open_button, parent)
        embolden(self.open_button)
        self.open_button.setToolTip("Show the stack in napari.")
        self._core = core or Core()
        self._remembered = remembered or Remembered()
        self._info: FileInfo | None = None
        # Tells the pictures of this file from those of the one before.
        self._file_token = object()
        self._waiting: list[Path] = []
        self._errands = Errands(self)

        self.file = FileLine()
        self.table = DatasetTable()
        self.found = Note()
        self.details = StackDetails()
        self.memory = MemoryChoice()
        self._lay_out()
        self.setAcceptDrops(True)

        self.file.chosen.connect(self.choose_file)
        self.table.valueChanged.connect(self._on_chosen)
        self.details.viewChanged.connect(self._ask_for_sections)
        self.details.valueChanged.connect(self._update)
        self.memory.valueChanged.connect(self._update)
        self.open_button.clicked.connect(self.start)
        self.panel.busyChanged.connect(self._on_busy)
        self._errands.done.connect(self._on_picture)
        self._show_info(None)

    # What a button does, also for scripts.

    def choose_file(self, path: str | Path) -> None:
        """List the data sets of a file, and choose those that were opened the last time, or look right."""
        self._look(Path(path), at_once=False)

    def receive(self, path: str | Path) -> None:
        """Open a file that leaves nothing to choose; list the data sets of any other.

        Files that come while another one is being opened wait for it.
        """
        if self.is_busy:
            self._waiting.append(Path(path))
        else:
            self._look(Path(path), at_once=True)

    def start(self) -> None:
        """Open what is chosen, or tell why not."""
        problem, file = self.problem(), self.file.value()
        if problem is not None or file is None:
            error = ScutoidError("Nothing was opened", problem or CHOOSE_FIRST, "do so, then press Open again")
            self.panel.complain(error)
            return
        core, opened, size = self._core, self.value(), self.details.voxel_size.value()
        image, labels, maps = self._dataset(opened.image), self._dataset(opened.labels), self._maps()
        # What its pictures read would keep the stack waiting.
        self._errands.forget()
        self.panel.run(
            "Opening",
            lambda: stack_jobs.open_both(core, file, opened, image, labels, size, maps),
            lambda result: self._on_opened(opened, result),
            otherwise=self._open_next,
        )

    def value(self) -> Opened:
        """Return what is chosen."""
        image, labels, walls = self.table.value()
        chosen = {"image": image, "labels": labels, "walls": walls, "in_memory": self.memory.value()}
        return self.details.value().model_copy(update=chosen)

    def setValue(self, opened: Opened) -> None:
        """Choose from the listed data sets; what does not fit them is not taken over."""
        self.table.setValue((opened.image, opened.labels, opened.walls))
        self._on_chosen()
        self.details.setValue(opened)
        self._update()
        self.memory.setValue(opened.in_memory and self.memory.is_sensible())
        self._update()

    def problem(self) -> str | None:
        """Return why nothing can be opened yet, or None."""
        if self._info is None:
            return CHOOSE_FIRST
        if not self._info.datasets:
            return "This file holds no stack: choose another one."
        image, labels, walls = map(self._dataset, self.table.value())
        if image is None and labels is None:
            if walls is not None:
                return f"Tick the labels of these walls, too; to look at “{walls.path}” alone, tick it under Image."
            problems = [stack_problem(one) for one in self._info.datasets]
            return problems[0] if all(problems) else "Tick the image to open, or labels."
        problem = size_problem(image, labels, walls, self._axes_of)
        return problem or self.details.problem() or self.memory.problem()

    # From a file's name to its data sets.

    def _look(self, file: Path, *, at_once: bool) -> None:
        core = self._core
        started = self.panel.run(
            "Looking into the file",
            lambda: look_into(core, file),
            lambda info: self._on_file(info, at_once=at_once),
            otherwise=self._open_next,
        )
        if started:
            self.file.setValue(file)
            self._show_info(None)

    def _on_file(self, info: FileInfo, *, at_once: bool) -> None:
        last = self._remembered.find(layout_of(info))
        self._show_info(info)
        self.setValue(last or guess(info))
        number = len(info.datasets)
        text = f"{info.format} file, {number} data set{'' if number == 1 else 's'}."
        known = last is not None and self.table.value() != (None, None, None)
        self.found.setText(text + (" Chosen as the last time for such a file." if known else ""))
        for dataset in info.datasets[:MOST_PICTURES]:
            self._ask_for_thumbnail(dataset)
        if at_once:
            self._open_received(info)

    def _open_received(self, info: FileInfo) -> None:
        """Open what leaves no choice; say why nothing happens otherwise, as who dropped a file looks elsewhere."""
        problem = self.problem()
        if problem is not None and all(map(stack_problem, info.datasets)):
            error = ScutoidError(f"{Path(info.file).name} was not opened", problem, OTHER_READER)
            self.panel.complain(error)
            self._open_next()
        elif problem is None and is_plain(info):
            self.start()
        else:
            self.panel.say(NOT_YET)

    def _show_info(self, info: FileInfo | None) -> None:
        self._errands.forget()
        self._info, self._file_token = info, object()
        self.found.setText("")
        self.table.setDatasets(() if info is None else info.datasets)
        self._on_chosen()

    # What follows from a choice.

    def _on_chosen(self) -> None:
        image, labels, _ = self.table.value()
        self.details.setDataset(self._dataset(image) or self._dataset(labels))
        self.memory_part.setVisible(self.details.dataset() is not None)
        self._update()
        self.memory.setValue(self.memory.is_sensible())
        self._update()

    def _update(self) -> None:
        image, labels, _ = map(self._dataset, self.table.value())
        image_bytes = 0 if image is None else nbytes(image, self._axes_of(image))
        map_bytes = sum(nbytes(one, self._axes_of(one)) for one in self._maps())
        # Labels are corrected in place, so they are always read, as 32-bit numbers.
        label_bytes = 0 if labels is None else 4 * math.prod(extent(labels, self._axes_of(labels)))
        self.memory.setNeeds(image_bytes, label_bytes, memory_choice.free_memory(), map_bytes)
        self.panel.setProblem(self.problem())

    # Pictures.

    def _ask_for_thumbnail(self, dataset: DatasetInfo) -> None:
        file, info, core = self.file.value(), self._info, self._core
        if file is not None and info is not None and "Q" not in dataset.axes:
            job = stack_jobs.thumbnail
            self._errands.ask(
                (self._file_token, dataset.path, None), lambda: job(core, file, info.format, dataset, SIDE)
            )

    def _ask_for_sections(self) -> None:
        dataset, file, info, core = self.details.dataset(), self.file.value(), self._info, self._core
        view = self.details.value()
        self.details.sections.setValue(None, reason="…")
        if dataset is None or file is None or info is None:
            return
        self._errands.ask(
            (self._file_token, dataset.path, self._view()),
            lambda: stack_jobs.make_sections(core, file, info.format, dataset, view, 2 * SECTION_SIDE),
            first=True,
        )

    def _on_picture(self, key: tuple[object, str, object], result: Any) -> None:
        token, name, view = key
        if token is not self._file_token:
            return
        if view is None:
            if result is not None:
                self.table.setPicture(name, result)
            return
        dataset = self.details.dataset()
        if dataset is not None and (name, view) == (dataset.path, self._view()):
            made, shape = result or (None, (1, 1, 1))
            self.details.sections.setValue(made, shape)

    def _view(self) -> tuple[str | None, int, int]:
        now = self.details.value()
        return now.axes, now.channel, now.time

    # The layers.

    def _on_opened(self, opened: Opened, result: StackAndLabels) -> None:
        file = self.file.value()
        if self._info is not None:
            self._remembered.keep(layout_of(self._info), opened)
        name = "stack" if file is None else file.stem
        added = []
        if result.stack is not None:
            added.append(self._show(result.stack, name))
        maps = [self._show(shown, name, result.grid) for shown in result.maps]
        if result.labels is not None:
            added.append(layers.add_labels(self._viewer, result.labels, f"{name} labels", {}))
        layers.show_middle(self._viewer, added[0])
        self._viewer.layers.selection.active = added[0]
        self._viewer.canvas.overlays.scale_bar.visible = self.details.voxel_size.value() is not None
        opened_now = ", ".join(layer.name for layer in (*added, *maps))
        following = "Segment" if result.labels is None else "Correct"
        self.panel.say(f"Opened {opened_now}. Next: Plugins > Scutoid > {following}.")
        self._open_next()

    def _show(self, shown: layers.Shown, name: str, over: Any = None) -> Any:
        """Add an image, or a map of probabilities over a grid; renew the layer that shows the same already."""
        layer = layers.find_image(self._viewer.layers, shown)
        if layer is not None and layer.data.shape == shown.volume.shape:
            layer.data = shown.volume.data
            layers.put_on_grid(layer, shown.volume, over)
            self._viewer.reset_view()
            return layer
        source = shown.volume.source
        dataset = None if source is None else self._dataset(source.dataset)
        if dataset is not None and (is_map(dataset, WALLS) or is_map(dataset, TISSUE)):
            name = f"{name} {last_name(dataset.path)}"  # Correct looks for walls in a map of this name
            # Where there is an image to look at, maps wait for a click, as those that Segment adds.
            has_image = any(layers.kind_of(one) == "image" for one in self._viewer.layers)
            seen = over is None or (is_map(dataset, WALLS) and not has_image)
            return layers.add_probability(
                self._viewer, shown.volume, over or shown.volume, name, visible=seen, part=shown.part
            )
        parts = zip(("channel", "time"), shown.part, strict=True)
        words = [name, *(f"{what} {index}" for what, index in parts if index is not None)]
        return layers.add_image(self._viewer, shown, " ".join(words))

    def _maps(self) -> list[DatasetInfo]:
        """Return the map of walls, if one is chosen, and the map of tissue that was saved with it."""
        image, _, name = self.table.value()
        walls = self._dataset(name)
        tissue = None if walls is None else tissue_of(walls, self.table.datasets())
        return [one for one in (walls, tissue) if one is not None and one.path != image]

    def _open_next(self) -> None:
        if self._waiting:
            self.receive(self._waiting.pop(0))

    def _dataset(self, name: str | None) -> DatasetInfo | None:
        return next((one for one in self.table.datasets() if one.path == name), None)

    def _axes_of(self, dataset: DatasetInfo) -> str:
        """Return the axes of a chosen data set: those that were given, where there are as many."""
        axes = self.details.value().axes
        return axes if axes is not None and len(axes) == len(dataset.shape) else dataset.axes

    def _on_busy(self, busy: bool) -> None:
        self.form.setEnabled(not busy)
        if not busy:
            self._update()

    def dragEnterEvent(self, event: Any) -> None:
        """Take a file or folder of this computer."""
        urls = event.mimeData().urls()
        if len(urls) == 1 and urls[0].isLocalFile() and not self.is_busy:
            event.acceptProposedAction()

    def dropEvent(self, event: Any) -> None:
        """List the data sets of the file that was dropped."""
        event.acceptProposedAction()
        self.choose_file(event.mimeData().urls()[0].toLocalFile())

    def taken_out(self) -> None:
        """Stop making pictures."""
        self._waiting.clear()
        self._errands.forget()

    def _lay_out(self) -> None:
        self.form = QWidget()
        rows = QVBoxLayout(self.form)
        rows.setContentsMargins(0, 0, 0, 0)
        title = QHBoxLayout()
        title.addWidget(heading("1  Choose a file, and what to open from it"), 1)
        title.addWidget(HelpButton("open.md"))
        rows.addLayout(title)
        for widget in (self.file, self.table, self.found, self.details):
            rows.addWidget(widget)
        self.memory_part = QWidget()
        memory = QVBoxLayout(self.memory_part)
        memory.setContentsMargins(0, 0, 0, 0)
        memory.addWidget(heading("4  Open it"))
        memory.addWidget(self.memory)
        rows.addWidget(self.memory_part)
        self.rows.addWidget(self.form)
        self.rows.addWidget(self.panel)
        self.rows.addStretch(1)

"""The dock widget that takes a stack to one label per cell; it only wires."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QCoreApplication, QEvent
from qtpy.QtWidgets import QCheckBox, QFileDialog, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.suffixes import save_filters, with_suffix
from napari_scutoid.ui import layers, notify
from napari_scutoid.ui.cell_diameter import CellDiameterEdit
from napari_scutoid.ui.core import Core, Segmented, look_into, open_stack, save, segment
from napari_scutoid.ui.jobs import JobRunner, Stopwatch, describe
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.stack_picker import StackPicker
from napari_scutoid.ui.voxel_size import VoxelSizeEdit

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari
    from napari.layers import Image
    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.io.format import FileInfo
    from napari_scutoid.progress import Progress, Steps
    from napari_scutoid.ui.jobs import JobFunction
    from napari_scutoid.ui.layers import Part, Shown
    from napari_scutoid.ui.stack_picker import Choice
    from napari_scutoid.volume import Volume

CHOOSE_FIRST = "Choose a file first, or open an image in napari."


class SegmentWidget(QWidget):
    """Choose a stack, find its cells, look at them, save them.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Where the layers go. napari passes it by this name.
    core : Core, optional
        The program behind the window.
    parent : QWidget, optional
        Qt's parent.
    """

    def __init__(self, napari_viewer: napari.Viewer, core: Core | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self._core = core or Core()
        self._runner = JobRunner()
        self._then: Callable[[Any], None] = _nothing
        self._watch = Stopwatch()
        self._image: Image | None = None
        self._cells: LabelsLayer | None = None
        self._segmented: Segmented | None = None

        self.picker = StackPicker(napari_viewer)
        self.voxel_size = VoxelSizeEdit()
        self.cell_diameter = CellDiameterEdit()
        self.segment_button = QPushButton("Segment")
        _embolden(self.segment_button)
        self.segment_button.setToolTip("Find the cells of the stack. napari can be used meanwhile.")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop. What is in the viewer stays as it is.")
        self.reason = Note()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.status = Note()
        self.save_button = QPushButton("Save labels…")
        self.with_probabilities = QCheckBox("with the probability maps")
        self.with_probabilities.setToolTip("Also write the network's foreground and boundary, as bytes.")
        self.with_probabilities.setChecked(True)
        self.save_reason = Note()
        self._lay_out()

        self.picker.fileChosen.connect(self.choose_file)
        self.picker.choiceChanged.connect(self._on_choice)
        self.voxel_size.valueChanged.connect(self._update)
        self.segment_button.clicked.connect(self.start)
        self.cancel_button.clicked.connect(self.cancel)
        self.save_button.clicked.connect(self._on_save)
        self._runner.progressed.connect(self._on_progress)
        self._runner.succeeded.connect(self._on_succeeded)
        self._runner.failed.connect(self._on_failed)
        self._runner.cancelled.connect(self._on_cancelled)
        # A job must not outlive its window: nobody could see or stop it.
        self.destroyed.connect(self._runner.cancel)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self._runner.cancel)
        napari_viewer.layers.events.removed.connect(self._on_layer_removed)
        self._on_choice()

    # What a button does, also for scripts.

    def choose_file(self, path: str | Path) -> None:
        """List the data sets of a file."""
        file = Path(path)
        if self._run("Opening the file", lambda: look_into(self._core, file), lambda info: self._on_file(file, info)):
            self.picker.expect_file(file)

    def start(self) -> None:
        """Segment the chosen stack, or tell why not."""
        choice = self.picker.value()
        problem = self.problem()
        if problem is not None or choice is None:
            self._complain(
                ScutoidError("Nothing was segmented", problem or CHOOSE_FIRST, "do so, then press Segment again")
            )
        elif choice.layer is not None:
            self._start_on_layer(choice)
        else:
            self._start_on_file(choice)

    def cancel(self) -> None:
        """Stop the job at its next report."""
        self._runner.cancel()
        self._update()
        if self._runner.is_stopping:
            self.status.setText("Stopping…")

    def save_labels(self, path: str | Path) -> None:
        """Write the cells, as the viewer shows them now, and how they were made; the name's ending is the format."""
        if self._segmented is None or self._cells is None:
            return
        file = Path(path)
        source = self._segmented.volume.source
        if source is not None and file.resolve() == Path(source.path).resolve():
            self._complain(
                ScutoidError("The labels were not saved", f"{file} is the stack itself", "choose another name")
            )
            return
        result = self._segmented.result
        labels = layers.labels_of(self._cells, result.labels)
        probabilities = result.probabilities if self.with_probabilities.isChecked() else {}
        self._run(
            "Saving",
            lambda: save(self._core, file, labels, probabilities, result.provenance),
            lambda saved: self.status.setText(f"Saved {saved}."),
        )

    def problem(self) -> str | None:
        """Return why there is nothing to segment yet, or None."""
        choice = self.picker.value()
        if choice is None:
            return CHOOSE_FIRST
        return choice.problem or self.voxel_size.problem()

    @property
    def is_busy(self) -> bool:
        """Whether a job runs."""
        return self._runner.is_busy

    # From the chosen entry to the labels: read and show the image, then segment it.

    def _start_on_file(self, choice: Choice) -> None:
        file, dataset, size = choice.file, choice.dataset, self.voxel_size.value()
        if file is None or dataset is None:
            return
        part = self.picker.indices()
        # The file's own size is left to the file, so that the history says "given by hand" only of what was.
        by_hand = None if size == choice.voxel_size_um else size

        def job() -> Steps[Shown]:
            volume = yield from open_stack(self._core, file, dataset.path, by_hand, *part)
            return (yield from layers.load(layers.with_voxel_size(volume, size), part))

        self._run("Reading", job, self._on_read)

    def _start_on_layer(self, choice: Choice) -> None:
        volume = layers.with_voxel_size(layers.volume_of(choice.layer), self.voxel_size.value())
        self._put_on_grid(choice.layer, volume)
        self._image = choice.layer
        self._segment(volume)

    def _on_file(self, file: Path, info: FileInfo) -> None:
        self.picker.show_file(file, info)
        number = len(info.datasets)
        found = f"{info.format} file with {number} data set{'' if number == 1 else 's'}."
        self.status.setText(found if self.problem() else f"{found} Check the voxel size, then press Segment.")

    def _on_read(self, shown: Shown) -> None:
        volume = shown.volume
        layer = layers.find_image(self._viewer.layers, shown)
        if layer is not None and layer.data.shape == volume.shape:
            layer.data = volume.data
            self._put_on_grid(layer, volume)
        else:
            layer = layers.add_image(self._viewer, shown, _name(volume, shown.part))
            layers.show_middle(self._viewer, layer)
        self._image = layer
        self._segment(volume)

    def _put_on_grid(self, layer: Image, volume: Volume) -> None:
        before = tuple(layer.scale)
        layers.put_on_grid(layer, volume)
        if tuple(layer.scale) != before:
            # At another scale the camera would look past the layer.
            self._viewer.reset_view()
            layers.show_middle(self._viewer, layer)

    def _segment(self, volume: Volume) -> None:
        recipe = self.cell_diameter.recipe()
        self._run("Segmenting", lambda: segment(self._core, volume, recipe), self._on_segmented)

    def _on_segmented(self, done: Segmented) -> None:
        for layer in self._viewer.layers:
            # An earlier result stays, with what was corrected in it, but does not shine through the new one.
            if layers.kind_of(layer) == "labels":
                layer.visible = False
        image = self._image
        name = image.name if image is not None and image in self._viewer.layers else _name(done.volume)
        for output, volume in done.result.probabilities.items():
            layers.add_probability(self._viewer, volume, done.volume, f"{name} {output}")
        self._segmented = done
        self._cells = layers.add_labels(self._viewer, done.result.labels, f"{name} cells", done.result.provenance)
        layers.show_middle(self._viewer, self._cells)
        self._viewer.layers.selection.active = self._cells
        self._viewer.canvas.overlays.scale_bar.visible = done.volume.voxel_size_um is not None
        self.status.setText(_outcome(done))
        self._update()

    def _on_save(self) -> None:
        if self._segmented is None:
            return
        source = self._segmented.volume.source
        start = Path(source.path) if source is not None and Path(source.path).exists() else Path("stack")
        filters = save_filters()
        usual = next(iter(filters.values()))
        name, chosen = QFileDialog.getSaveFileName(
            self, "Save labels", str(start.with_name(f"{start.stem}_labels{usual}")), ";;".join(filters)
        )
        target = with_suffix(name, filters.get(chosen, usual))
        if name and name != target and Path(target).exists():
            # The dialog has asked about the name without its ending only.
            self._complain(
                ScutoidError(
                    "The labels were not saved",
                    f"{target} is there already",
                    "give another name, or all of this one to replace it",
                )
            )
        elif name:
            self.save_labels(target)

    # One job at a time, and what it says.

    def _run(self, title: str, job: JobFunction, then: Callable[[Any], None]) -> bool:
        try:
            self._runner.start(title, job)
        except ScutoidError as refused:
            self._complain(refused)
            return False
        self._then = then
        self._watch = Stopwatch()
        self.bar.setRange(0, 0)
        self.status.setText(f"{title}…")
        self._update()
        return True

    def _on_progress(self, progress: Progress) -> None:
        text = progress.step
        # "0 of 1" tells nothing: a step of one part moves the bar like one of unknown length.
        self.bar.setRange(0, progress.total if progress.total > 1 else 0)
        if progress.total > 1:
            self.bar.setValue(progress.done)
            text += f": {progress.done} of {progress.total}"
        left = self._watch.remaining(progress, time.monotonic())
        self.status.setText(text if left is None else f"{text}, {describe(left)} in this step")

    def _on_succeeded(self, result: object) -> None:
        then, self._then = self._then, _nothing
        self.status.clear()
        then(result)
        self._update()

    def _on_failed(self, error: Exception) -> None:
        self._then = _nothing
        self._complain(error)
        self._update()

    def _on_cancelled(self) -> None:
        self._then = _nothing
        self.status.setText("Cancelled.")
        self._update()

    def _complain(self, error: Exception) -> None:
        self.status.setText(f"⚠ {notify.tell(error)}")

    # What may be pressed, and why not.

    def _on_choice(self) -> None:
        choice = self.picker.value()
        if choice is None:
            self.voxel_size.setValue(None)
        else:
            self.voxel_size.setValue(choice.voxel_size_um, choice.origin)
        if not self._runner.is_busy:
            self.status.clear()
        self._update()

    def _on_layer_removed(self, _event: object = None) -> None:
        if self._cells is not None and self._cells not in self._viewer.layers:
            self._cells = self._segmented = None
            self._update()

    def _update(self) -> None:
        busy, problem = self._runner.is_busy, self.problem()
        self.picker.setEnabled(not busy)
        self.voxel_size.setEnabled(not busy and self.picker.value() is not None)
        self.cell_diameter.setEnabled(not busy)
        self.segment_button.setEnabled(not busy and problem is None)
        self.cancel_button.setEnabled(busy and not self._runner.is_stopping)
        self.reason.setText("" if busy else problem or "")
        self.reason.setVisible(bool(self.reason.text()))
        self.bar.setVisible(busy)
        self.save_button.setEnabled(not busy and self._cells is not None)
        self.save_reason.setText("" if busy or self._cells is not None else "Nothing to save yet.")
        self.save_reason.setVisible(bool(self.save_reason.text()))

    def event(self, event: QEvent | None) -> bool:
        """Stop the job when napari takes the widget out of its window."""
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self._runner.cancel()
        return bool(super().event(event))

    def _lay_out(self) -> None:
        rows = QVBoxLayout(self)
        rows.addWidget(_heading("1  Choose a stack"))
        rows.addWidget(self.picker)
        rows.addWidget(_heading("2  Check the voxel size"))
        rows.addWidget(self.voxel_size)
        rows.addWidget(_heading("3  Find the cells"))
        rows.addWidget(QLabel("Model: built-in"))
        diameter = QHBoxLayout()
        diameter.addWidget(QLabel("Typical cell diameter"))
        diameter.addWidget(self.cell_diameter, 1)
        rows.addLayout(diameter)
        buttons = QHBoxLayout()
        buttons.addWidget(self.segment_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        rows.addLayout(buttons)
        rows.addWidget(self.reason)
        rows.addWidget(self.bar)
        rows.addWidget(self.status)
        rows.addWidget(_heading("4  Save"))
        rows.addWidget(self.with_probabilities)
        rows.addWidget(self.save_button)
        rows.addWidget(self.save_reason)
        rows.addStretch(1)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    _embolden(label)
    label.setContentsMargins(0, 8, 0, 0)
    return label


def _embolden(widget: QWidget) -> None:
    font = widget.font()
    font.setBold(True)
    widget.setFont(font)


def _outcome(done: Segmented) -> str:
    lines = [f"Found {done.n_cells} cell{'' if done.n_cells == 1 else 's'}."]
    if done.n_cells:
        lines[0] += " Move the slider below the image to look through the slices."
    return "\n".join([*lines, *done.result.facts, *done.result.warnings])


def _name(volume: Volume, part: Part = (None, None)) -> str:
    if volume.source is None:
        return "stack"
    words = [Path(volume.source.path).stem]
    words += [f"{what} {index}" for what, index in zip(("channel", "time"), part, strict=True) if index is not None]
    return " ".join(words)


def _nothing(_result: object) -> None:
    """Do nothing with a result."""

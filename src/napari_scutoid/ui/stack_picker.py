"""Choose what to segment: a data set of a file, or an image that napari shows already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_scutoid.io.suffixes import USUAL, open_filter
from napari_scutoid.ui import layers
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.voxel_size import ASSUMED_UM, FROM_FILE, FROM_LAYER

if TYPE_CHECKING:
    import napari

    from napari_scutoid.io.format import DatasetInfo, FileInfo
    from napari_scutoid.volume import VoxelSize

GUESSES = {"image": "image", "labels": "labels", "mask": "mask", "other": "not an image"}


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One entry of the list: a data set or a layer.

    Parameters
    ----------
    text, detail : str
        What the list shows, and what is said about the entry once it is chosen.
    voxel_size_um, origin : VoxelSize or None, str
        The voxel size that it states, and where that comes from.
    problem : str or None
        Why it cannot be segmented.
    dataset, file : DatasetInfo or None, Path or None
        For an entry of a file.
    layer : Layer or None
        For an entry of the viewer.
    """

    text: str
    detail: str
    voxel_size_um: VoxelSize | None
    origin: str
    problem: str | None
    dataset: DatasetInfo | None = None
    file: Path | None = None
    layer: Any = None

    def same_as(self, other: Choice | None) -> bool:
        """Whether both mean the same data."""
        if other is None:
            return False
        if self.dataset is not None and other.dataset is not None:
            return self.file == other.file and self.dataset.path == other.dataset.path
        return self.layer is not None and other.layer is not None and bool(self.layer == other.layer)


class StackPicker(QWidget):
    """A file, and a list of its data sets and of the images in the viewer.

    Signals
    -------
    fileChosen : Path
        The user named a file. Hand it to `expect_file` and, once its content is known, to `show_file`.
    choiceChanged
        Another entry of the list is chosen.
    """

    fileChosen = Signal(object)
    choiceChanged = Signal()

    def __init__(self, viewer: napari.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._file: Path | None = None
        self._entered = ""
        self._info: FileInfo | None = None
        self._choices: list[Choice] = []
        self._chosen: Choice | None = None

        self.path = QLineEdit()
        self.path.setPlaceholderText("no file chosen")
        self.path.setToolTip(f"The file of a stack ({USUAL}; .zarr is a folder). Paste its path, or choose it.")
        # Return opens the same file again, too, which may have changed or come into being; Qt tells of it first.
        self.path.returnPressed.connect(self._forget_entered)
        self.path.editingFinished.connect(self._on_path_entered)
        self.browse = QPushButton("Browse…")
        self.browse.setToolTip("Choose the file of a stack.")
        self.browse.clicked.connect(self._on_browse)
        # No system's dialog offers files and folders at once.
        self.browse_folder = QPushButton("Folder…")
        self.browse_folder.setToolTip("Choose the folder of an OME-Zarr stack (.zarr).")
        self.browse_folder.clicked.connect(self._on_browse_folder)

        self.entries = QComboBox()
        self.entries.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.entries.setMinimumContentsLength(16)
        self.entries.setToolTip("The data sets of the file, and the images that napari shows already.")
        self.entries.currentIndexChanged.connect(self._on_entry)
        self.detail = Note()

        self.channel = self._index_box("Channel to segment, counted from 0.")
        self.time = self._index_box("Time point to segment, counted from 0.")
        self._channel_label, self._time_label = QLabel("channel"), QLabel("time point")

        file_row = QHBoxLayout()
        file_row.addWidget(self.path, 1)
        file_row.addWidget(self.browse)
        file_row.addWidget(self.browse_folder)
        index_row = QHBoxLayout()
        for widget in (self._channel_label, self.channel, self._time_label, self.time):
            index_row.addWidget(widget)
        index_row.addStretch(1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(file_row)
        rows.addWidget(self.entries)
        rows.addWidget(self.detail)
        rows.addLayout(index_row)

        for event in ("inserted", "removed", "renamed"):
            getattr(viewer.layers.events, event).connect(self._on_layers)
        self.refresh()

    def value(self) -> Choice | None:
        """Return the chosen entry, or None when there is nothing to choose from."""
        return self._chosen

    def file(self) -> Path | None:
        """Return the file that was named last."""
        return self._file

    def indices(self) -> tuple[int | None, int | None]:
        """Return the channel and the time point, each None where the data has no such axis."""
        axes = self._axes()
        return (self.channel.value() if "C" in axes else None, self.time.value() if "T" in axes else None)

    def expect_file(self, path: Path) -> None:
        """Name a file that is being opened; what the one before held is no longer listed under the new name."""
        self._file, self._info = path, None
        # What was chosen before may have changed on disk, even under the same name.
        self._chosen = None
        self._entered = str(path)
        self.path.setText(self._entered)
        self.refresh()

    def show_file(self, path: Path, info: FileInfo) -> None:
        """List a file's data sets and choose the first that looks like an image."""
        self.expect_file(path)
        self._info = info
        best = next((d for d in info.datasets if d.guess == "image"), info.datasets[0] if info.datasets else None)
        self.refresh(prefer=None if best is None else _dataset_choice(path, best))

    def refresh(self, prefer: Choice | None = None) -> None:
        """List again what there is, and keep the present choice (or take a preferred one) where it is still there."""
        wanted = prefer or self._chosen
        self._choices = self._all_choices()
        kept = next((i for i, choice in enumerate(self._choices) if choice.same_as(wanted)), None)
        if kept is None:
            kept = next((i for i, choice in enumerate(self._choices) if choice.problem is None), 0)
        self.entries.blockSignals(True)
        self.entries.clear()
        for choice in self._choices:
            self.entries.addItem(choice.text)
        self.entries.setCurrentIndex(kept if self._choices else -1)
        self.entries.setEnabled(bool(self._choices))
        self.entries.blockSignals(False)
        self._on_entry(kept if self._choices else -1)

    def _all_choices(self) -> list[Choice]:
        choices = []
        listed = set()
        if self._info is not None and self._file is not None:
            choices = [_dataset_choice(self._file, dataset) for dataset in self._info.datasets]
            listed = {str(self._file)}
        for layer in self._viewer.layers:
            source = layers.source_of(layer)
            if layers.kind_of(layer) in ("", "image") and not (source is not None and source.path in listed):
                choice = _layer_choice(layer)
                if choice is not None:
                    choices.append(choice)
        return choices

    def _axes(self) -> str:
        chosen = self._chosen
        return "" if chosen is None or chosen.dataset is None else chosen.dataset.axes

    def _on_browse(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Choose a stack", self._start(), open_filter())
        if name:
            self.fileChosen.emit(Path(name))

    def _on_browse_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Choose the folder of an OME-Zarr stack", self._start())
        if name:
            self.fileChosen.emit(Path(name))

    def _start(self) -> str:
        return str(self._file.parent) if self._file is not None else ""

    def _forget_entered(self) -> None:
        self._entered = ""

    def _on_path_entered(self) -> None:
        # Qt reports the same text again whenever the box loses the keyboard, as it does when a job starts.
        text = self.path.text().strip().strip('"')
        if text and text != self._entered:
            self._entered = text
            self.fileChosen.emit(Path(text).expanduser())

    def _on_layers(self, _event: object = None) -> None:
        self.refresh()

    def _on_entry(self, index: int) -> None:
        before, self._chosen = self._chosen, self._choices[index] if index >= 0 else None
        self.entries.setToolTip(self._chosen.text if self._chosen else "Choose a file first.")
        self.detail.setText(self._chosen.detail if self._chosen else "")
        self.detail.setVisible(bool(self.detail.text()))
        axes = self._axes()
        for letter, label, box in (
            ("C", self._channel_label, self.channel),
            ("T", self._time_label, self.time),
        ):
            label.setVisible(letter in axes)
            box.setVisible(letter in axes)
            if letter in axes and self._chosen is not None and self._chosen.dataset is not None:
                box.setMaximum(self._chosen.dataset.shape[axes.index(letter)] - 1)
        if self._chosen is None or not self._chosen.same_as(before):
            self.choiceChanged.emit()

    @staticmethod
    def _index_box(tip: str) -> QSpinBox:
        box = QSpinBox()
        box.setToolTip(tip)
        return box


def _dataset_choice(file: Path, dataset: DatasetInfo) -> Choice:
    shape = " × ".join(str(length) for length in dataset.shape)
    guess = GUESSES.get(dataset.guess, dataset.guess)
    looks = "Image" if dataset.guess == "image" else f"Looks like {guess}, not like an image of membranes"
    if dataset.guess == "other":
        looks = "Does not look like an image of membranes"
    reason = dataset.reason.rstrip(".")
    detail = f"{looks}: {reason}." if reason else f"{looks}."
    if dataset.guess in ("image", "labels") and dataset.axes_hint is not None:
        detail += f" If its last axis is z, turn it first: scutoid convert --axes {dataset.axes_hint}."
    problem = None
    if any(axis not in dataset.axes for axis in "ZYX"):
        problem = f"“{dataset.path}” is no stack ({shape}): choose one with three axes (z, y, x)."
    elif "Q" in dataset.axes:
        problem = f"“{dataset.path}” has too many axes ({shape}): choose one with three (z, y, x)."
    return Choice(
        text=f"{dataset.path}   {guess}   {shape}   {dataset.dtype}",
        detail=detail,
        voxel_size_um=dataset.voxel_size_um,
        origin=FROM_FILE,
        problem=problem,
        dataset=dataset,
        file=file,
    )


def _layer_choice(layer: Any) -> Choice | None:
    from napari.layers import Image

    if not isinstance(layer, Image):
        return None
    problem = layers.problem_of(layer)
    size, assumed = (None, False) if problem else layers.voxel_size_of(layer)
    shape = " × ".join(str(length) for length in getattr(layer.data, "shape", ()))
    return Choice(
        text=f"in the viewer: {layer.name}   {shape}   {layer.dtype}",
        detail="",
        voxel_size_um=size,
        origin=ASSUMED_UM if assumed else FROM_LAYER,
        problem=None if problem is None else f"“{layer.name}” cannot be segmented: {problem}.",
        layer=layer,
    )

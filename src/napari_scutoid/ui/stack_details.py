"""What a chosen data set is: its axes with pictures to check them, channel, time point and voxel size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.ui.axes_edit import AxesEdit
from napari_scutoid.ui.dock import heading
from napari_scutoid.ui.editors import IntegerBox
from napari_scutoid.ui.remembered import Opened
from napari_scutoid.ui.sections_view import SectionsView
from napari_scutoid.ui.voxel_size import FROM_FILE, VoxelSizeEdit
from napari_scutoid.volume import VoxelSize

if TYPE_CHECKING:
    from napari_scutoid.io.format import DatasetInfo

FROM_LAST_TIME = "As you entered it for the last file of this kind: please check."


class StackDetails(QWidget):
    """Check what the file says of a data set, or correct it.

    Signals
    -------
    viewChanged
        Other axes, another channel or time point: the pictures are out of date.
    valueChanged
        Anything changed.
    """

    viewChanged = Signal()
    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._dataset: DatasetInfo | None = None
        self.axes = AxesEdit()
        self.hint = QPushButton()
        self.hint.setToolTip("The file does not name its axes, and z is seldom the longest one.")
        self.sections = SectionsView()
        self.channel, self.time = IntegerBox(), IntegerBox()
        self._labels = {"C": QLabel("Channel"), "T": QLabel("Time point")}
        self._boxes = {"C": self.channel, "T": self.time}
        self.voxel_size = VoxelSizeEdit()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(heading("2  Check the axes: what is each length?"))
        for widget in (self.axes, self.hint, self.sections):
            rows.addWidget(widget)
        indices = QHBoxLayout()
        for letter, box in self._boxes.items():
            box.setKeyboardTracking(False)
            indices.addWidget(self._labels[letter])
            indices.addWidget(box, 1)
            box.valueChanged.connect(self.viewChanged)
        rows.addLayout(indices)
        rows.addWidget(heading("3  Check the voxel size"))
        rows.addWidget(self.voxel_size)

        self.axes.valueChanged.connect(self._on_axes)
        self.hint.clicked.connect(self._on_hint)
        self.voxel_size.valueChanged.connect(self._on_voxel_size)
        self.viewChanged.connect(self.valueChanged)
        self.setDataset(None)

    def dataset(self) -> DatasetInfo | None:
        """Return the data set."""
        return self._dataset

    def setDataset(self, dataset: DatasetInfo | None) -> None:
        """Show another data set as its file describes it."""
        self._dataset = dataset
        self.setVisible(dataset is not None)
        for box in self._boxes.values():
            box.blockSignals(True)
            box.setValue(0)
            box.blockSignals(False)
        if dataset is not None:
            self.axes.setValue(dataset.axes, dataset.shape)
            hint = dataset.axes_hint
            self.hint.setVisible(hint is not None)
            self.hint.setText("" if hint is None else f"z may be the last axis: try {', '.join(hint.lower())}")
        self._on_axes()

    def value(self) -> Opened:
        """Return axes, channel, time point and voxel size; axes and voxel size only where the file says otherwise."""
        size, stated = self.voxel_size.value(), self.stated_voxel_size()
        return Opened(
            axes=None if self._dataset is None or self.axes.value() == self._dataset.axes else self.axes.value(),
            channel=self.channel.value(),
            time=self.time.value(),
            voxel_size_um=None if size is None or size == stated else tuple(size),
        )

    def setValue(self, value: Opened) -> None:
        """Correct the data set; what does not fit it is not taken over."""
        axes, dataset = value.axes, self._dataset
        if dataset is None:
            return
        if axes is not None and len(set(axes)) == len(axes) == len(dataset.shape) and set("YX") <= set(axes):
            self.axes.setValue(axes)
            self._on_axes()
        self.channel.setValue(value.channel)
        self.time.setValue(value.time)
        if value.voxel_size_um is not None:
            self.voxel_size.setValue(VoxelSize(*value.voxel_size_um), FROM_LAST_TIME)

    def stated_voxel_size(self) -> VoxelSize | None:
        """Return what the file says."""
        return None if self._dataset is None else self._dataset.voxel_size_with(self.axes.value())

    def problem(self) -> str | None:
        """Return what is wrong, or None."""
        if "Z" not in self.axes.value():
            return "None of the axes is z: a stack has three axes (z, y, x)."
        return self.voxel_size.problem()

    def _on_hint(self) -> None:
        if self._dataset is not None and self._dataset.axes_hint is not None:
            self.axes.setValue(self._dataset.axes_hint)
            self._on_axes()

    def _on_axes(self) -> None:
        lengths = {} if self._dataset is None else dict(zip(self.axes.value(), self._dataset.shape, strict=True))
        for letter, box in self._boxes.items():
            length = lengths.get(letter, 1)
            self._labels[letter].setVisible(length > 1)
            box.setVisible(length > 1)
            box.blockSignals(True)
            box.setRange(0, length - 1)
            box.blockSignals(False)
            box.setToolTip(f"0 to {length - 1}, counted from 0.")
        self.voxel_size.setValue(self.stated_voxel_size(), FROM_FILE)
        self.viewChanged.emit()

    def _on_voxel_size(self) -> None:
        self.sections.setVoxelSize(self.voxel_size.value())
        self.valueChanged.emit()

"""Three numbers for the voxel's edges, and where they come from."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QGridLayout, QLabel, QWidget

from napari_scutoid.ui.note import Note
from napari_scutoid.volume import VoxelSize

FROM_FILE = "From the file."
FROM_LAYER = "From the layer."
ASSUMED_UM = "From the layer, which states no unit: taken as µm, please check."

DECIMALS = 5
LARGEST_UM = 1000.0


class _Edge(QDoubleSpinBox):
    """A number without the zeros that only fill up its decimals."""

    def textFromValue(self, value: float) -> str:
        text = super().textFromValue(value)
        point = self.locale().decimalPoint()
        return text.rstrip("0").rstrip(point) if point in text else text


class VoxelSizeEdit(QWidget):
    """Edit a voxel size in micrometres, or leave it unknown.

    Signals
    -------
    valueChanged
        A number was changed, by hand or by `setValue`.
    """

    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._given: VoxelSize | None = None
        self._origin = ""
        self._shown: list[float] = []
        self._edges: list[QDoubleSpinBox] = []
        rows = QGridLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(QLabel("µm"), 0, 6)
        for column, axis in enumerate("zyx"):
            edge = _Edge()
            edge.setDecimals(DECIMALS)
            edge.setRange(0.0, LARGEST_UM)
            edge.setSpecialValueText("unknown")
            # Without buttons three numbers fit side by side into a dock; the arrow keys still work.
            edge.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
            edge.setMinimumWidth(64)
            edge.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
            edge.setAccessibleName(f"Voxel size along {axis} in micrometres")
            edge.setToolTip(
                f"Edge of a voxel along {axis}, in micrometres"
                + (" (the distance between two slices)." if axis == "z" else ".")
                + " Set all three to 0 if you do not know."
            )
            edge.valueChanged.connect(self._on_edited)
            label = QLabel(axis)
            label.setBuddy(edge)
            rows.addWidget(label, 0, 2 * column)
            rows.addWidget(edge, 0, 2 * column + 1)
            rows.setColumnStretch(2 * column + 1, 1)
            self._edges.append(edge)
        self._where = Note()
        rows.addWidget(self._where, 1, 0, 1, 7)
        self._describe()

    def value(self) -> VoxelSize | None:
        """Return the voxel size, or None while it is unknown or incomplete."""
        edges = self._numbers()
        if not all(edges):
            return None
        # A file may state more decimals than the boxes show; untouched, its own numbers count.
        if self._is_as_given():
            return self._given
        return VoxelSize.checked(*edges)

    def setValue(self, size: VoxelSize | None, origin: str = FROM_FILE) -> None:
        """Show a voxel size and say where it comes from."""
        self._given, self._origin = size, origin
        for edge, number in zip(self._edges, size or (0.0, 0.0, 0.0), strict=True):
            edge.blockSignals(True)
            edge.setValue(number)
            edge.blockSignals(False)
        self._shown = self._numbers()
        self._on_edited()

    def problem(self) -> str | None:
        """Return what is wrong with the numbers, or None."""
        edges = self._numbers()
        if any(edges) and not all(edges):
            missing = ", ".join(axis for axis, edge in zip("zyx", edges, strict=True) if not edge)
            return f"Enter the voxel size along {missing} too, or set all three to 0 (unknown)."
        return None

    def origin(self) -> str:
        """Return where the voxel size comes from, as shown below the numbers."""
        return self._where.text()

    def _numbers(self) -> list[float]:
        return [edge.value() for edge in self._edges]

    def _is_as_given(self) -> bool:
        return self._given is not None and self._numbers() == self._shown

    def _on_edited(self) -> None:
        self._describe()
        self.valueChanged.emit()

    def _describe(self) -> None:
        if self.problem() is not None:
            text = "Incomplete."
        elif self.value() is None:
            text = "Unknown: distances are in voxels. Enter it if you know it."
        else:
            text = self._origin if self._is_as_given() else "Entered by you."
        self._where.setText(text)

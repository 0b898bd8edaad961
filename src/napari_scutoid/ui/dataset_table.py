"""The data sets of a file, with pictures, and ticks: which is the image, which its labels, which their map of walls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_scutoid.ui.dataset_choice import TISSUE, is_map, stack_problem
from napari_scutoid.ui.dataset_choice import WALLS as MAP_OF_WALLS
from napari_scutoid.ui.sections_view import pixmap_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

    from napari_scutoid.io.format import DatasetInfo

HEADERS = ("", "Data set", "Looks like", "Image", "Labels", "Walls")
PICTURE, NAME, LOOKS, IMAGE, LABELS, WALLS = range(6)
TICKS = IMAGE, LABELS, WALLS
SIDE = 40
MOST_ROWS_SEEN = 4

Chosen = tuple[str | None, str | None, str | None]


class DatasetTable(QTableWidget):
    """List data sets and choose among them.

    Signals
    -------
    valueChanged
        By hand; `setValue` is silent.
    """

    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(HEADERS), parent)
        self._datasets: tuple[DatasetInfo, ...] = ()
        self.setHorizontalHeaderLabels(HEADERS)
        rows: Any = self.verticalHeader()
        rows.setVisible(False)
        rows.setDefaultSectionSize(SIDE + 4)
        self.setIconSize(QSize(SIDE, SIDE))
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header: Any = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(PICTURE, QHeaderView.ResizeMode.Fixed)
        header.setMinimumSectionSize(SIDE)
        self.setColumnWidth(PICTURE, SIDE + 4)
        tips = {
            IMAGE: "Tick the stack that shall be segmented.",
            LABELS: "Tick its cells, if they are in the file.",
            WALLS: "Tick the map of walls that was saved with the cells: Correct divides cells along it.",
        }
        for column, tip in tips.items():
            title: Any = self.horizontalHeaderItem(column)
            title.setToolTip(tip)
        # napari's themes leave an empty box almost as dark as the table.
        self.setStyleSheet("QTableView::indicator:unchecked { border: 1px solid rgb(130, 130, 130); }")
        self.itemChanged.connect(self._on_ticked)
        self._fit()

    def datasets(self) -> tuple[DatasetInfo, ...]:
        """Return what is listed."""
        return self._datasets

    def setDatasets(self, datasets: tuple[DatasetInfo, ...]) -> None:
        """List other data sets; none is chosen."""
        self._datasets = datasets
        self.blockSignals(True)
        self.setRowCount(len(datasets))
        for row, dataset in enumerate(datasets):
            self._fill(row, dataset)
        self.blockSignals(False)
        self._fit()

    def value(self) -> Chosen:
        """Return the names of the image, of the labels and of the map of walls, each None where none is chosen."""
        return self._ticked(IMAGE), self._ticked(LABELS), self._ticked(WALLS)

    def setValue(self, value: Chosen) -> None:
        """Choose data sets by name; what is not listed, or is no stack, is not chosen."""
        self.blockSignals(True)
        for column, name in zip(TICKS, value, strict=True):
            self._tick(column, name)
        self.blockSignals(False)

    def setPicture(self, name: str, picture: NDArray[np.uint8]) -> None:
        """Show a picture of a data set; shape (rows, columns)."""
        for row, dataset in enumerate(self._datasets):
            if dataset.path == name:
                # Setting an icon would else count as an edit.
                before = self.blockSignals(True)
                self._cell(row, PICTURE).setIcon(QIcon(pixmap_of(picture)))
                self.blockSignals(before)

    def _fill(self, row: int, dataset: DatasetInfo) -> None:
        shape = " × ".join(str(length) for length in dataset.shape)
        problem = stack_problem(dataset)
        name = dataset.path.rsplit("/", 1)[-1]
        looks = "map" if is_map(dataset, MAP_OF_WALLS) or is_map(dataset, TISSUE) else dataset.guess
        texts = ("", f"{name}\n{shape}  ({dataset.axes.lower()})", f"{looks}\n{dataset.dtype}", "", "", "")
        columns = () if problem else TICKS if is_map(dataset, MAP_OF_WALLS) else (IMAGE, LABELS)
        tip = f"{dataset.path}: {dataset.guess}, {dataset.reason}." + (f"\n{problem}" if problem else "")
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(tip)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled)
            if column in columns:
                item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsUserCheckable)
                item.setCheckState(Qt.CheckState.Unchecked)
                item.setToolTip(f"Open {dataset.path} as {HEADERS[column].lower()}.")
            self.setItem(row, column, item)

    def _cell(self, row: int, column: int) -> Any:
        """Return an item; every cell has one."""
        return self.item(row, column)

    def _ticked(self, column: int) -> str | None:
        for row, dataset in enumerate(self._datasets):
            if self._cell(row, column).checkState() == Qt.CheckState.Checked:
                return dataset.path
        return None

    def _tick(self, column: int, name: str | None) -> None:
        for row, dataset in enumerate(self._datasets):
            item = self._cell(row, column)
            if item.flags() & Qt.ItemFlag.ItemIsUserCheckable:
                chosen = dataset.path == name
                item.setCheckState(Qt.CheckState.Checked if chosen else Qt.CheckState.Unchecked)

    def _on_ticked(self, item: QTableWidgetItem) -> None:
        if item.column() not in TICKS:
            return
        if item.checkState() == Qt.CheckState.Checked:
            name = self._datasets[item.row()].path
            self.blockSignals(True)
            self._tick(item.column(), name)
            for other in TICKS:
                if other != item.column() and self._ticked(other) == name:
                    self._tick(other, None)
            self.blockSignals(False)
        self.valueChanged.emit()

    def _fit(self) -> None:
        """Take no more room than the rows need: the dock holds more than this table."""
        rows = min(max(1, self.rowCount()), MOST_ROWS_SEEN)
        header: Any = self.horizontalHeader()
        self.setFixedHeight(header.sizeHint().height() + rows * (SIDE + 4) + 2 * self.frameWidth())

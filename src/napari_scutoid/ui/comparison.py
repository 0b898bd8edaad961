"""Old and new model beside each other: which cells the new one fixes, and which it breaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QPushButton, QTableWidgetItem, QVBoxLayout, QWidget

from napari_scutoid.ui.dock import embolden
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.stack_table import row_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.training.compare import ChangedCell, Comparison, StackComparison

HEADINGS = {
    "Stack": "Click a row to see which cells.",
    "Cells": "True cells.",
    "AP50 old": "Cells found by the old model, among all true and all made: 1 is perfect.",
    "new": "The same of the new model.",
    "Fixed": "True cells that only the new model finds.",
    "Broken": "True cells that only the old model finds.",
}
MOST_LISTED = 40


class ComparisonTable(QWidget):
    """A row a stack, and one for all.

    Signals
    -------
    viewAsked : StackComparison
        The fixed and broken cells of a stack are to be shown in the viewer.
    """

    viewAsked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value: Comparison | None = None
        self._rows: list[StackComparison] = []
        self.table = row_table(list(HEADINGS))
        for column, meaning in enumerate(HEADINGS.values()):
            self.table.horizontalHeaderItem(column).setToolTip(meaning)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setMinimumHeight(110)
        self.table.setMaximumHeight(150)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.summary, self.cells = Note(), Note()
        embolden(self.summary)
        self.cells.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.view_button = QPushButton("Show these cells")
        self.view_button.setToolTip(
            "<qt>Add them to the viewer, over their stack: fixed ones green, broken ones red.</qt>"
        )
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        for widget in (self.summary, self.table, self.cells, self.view_button):
            rows.addWidget(widget)
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.view_button.clicked.connect(self._on_view)

    def value(self) -> Comparison | None:
        """Return what is shown."""
        return self._value

    def setValue(self, comparison: Comparison | None, on: str = "validation") -> None:
        """Show a comparison on stacks of a kind, or nothing."""
        self._value = comparison
        self._rows = [] if comparison is None else [*comparison.stacks]
        if comparison is not None and len(self._rows) > 1:
            self._rows.append(comparison.total)
        self.summary.setText("" if comparison is None else summary(comparison, on))
        self.table.clearSelection()
        self.table.setRowCount(len(self._rows))
        for row, one in enumerate(self._rows):
            texts = (one.name, one.n_true, _score(one.ap50_old), _score(one.ap50_new), len(one.fixed), len(one.broken))
            for column, text in enumerate(texts):
                item = QTableWidgetItem(str(text))
                if column:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
        self.setVisible(comparison is not None)
        self._on_selection()

    def chosen(self) -> StackComparison | None:
        """Return the stack whose row is chosen; None for the row of all."""
        rows = self.table.selectionModel().selectedRows()
        one = self._rows[rows[0].row()] if rows and rows[0].row() < len(self._rows) else None
        return one if one is not None and self._value is not None and one in self._value.stacks else None

    def _on_view(self) -> None:
        if (one := self.chosen()) is not None:
            self.viewAsked.emit(one)

    def _on_selection(self) -> None:
        one = self.chosen()
        self.view_button.setEnabled(one is not None and bool(one.fixed or one.broken))
        if one is None:
            self.cells.setText("Click a stack to see which cells." if self._rows else "")
        else:
            self.cells.setText(f"Fixed: {_listed(one.fixed)}\nBroken: {_listed(one.broken)}")


def summary(comparison: Comparison, on: str) -> str:
    """Return what the comparison says, in a sentence."""
    total = comparison.total
    fixed, broken = len(total.fixed), len(total.broken)
    verdict = "better" if fixed > broken else "worse" if fixed < broken else "neither better nor worse"
    words = f"On the {on} stacks, {comparison.new} is {verdict} than {comparison.old}: {fixed} cells fixed, {broken} "
    words += f"broken, of {total.n_true}."
    if on == "training":
        words += " It has learnt from these stacks: on others it will be less good."
    return words


def _score(score: float | None) -> str:
    return "–" if score is None else f"{score:.3f}"


def _listed(cells: Sequence[ChangedCell]) -> str:
    """Return ids with the slice to look for each in, as napari counts them."""
    if not cells:
        return "none"
    shown = [f"{cell.id} (z {cell.centre[0]:.0f}, y {cell.centre[1]:.0f}, x {cell.centre[2]:.0f})" for cell in cells]
    more = len(cells) - MOST_LISTED
    return ", ".join(shown[:MOST_LISTED]) + (f", and {more} more" if more > 0 else "")

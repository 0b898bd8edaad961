"""Every edit of a session by name: where it was, who made it, and the way back to any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from qtpy.QtCore import QAbstractListModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QFont
from qtpy.QtWidgets import QAbstractItemView, QHBoxLayout, QListView, QPushButton, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

START = "As opened"
START_ID = 0
"""Of the step before the first edit."""


class Row(NamedTuple):
    """A line of the history.

    Parameters
    ----------
    step : int
        Its id; `START_ID` before the first edit.
    title : str
        What was done, in words.
    about : str
        Who and when.
    done : bool
        Whether the labels have it now; undone steps stay in the list.
    """

    step: int
    title: str
    about: str = ""
    done: bool = True


class _Rows(QAbstractListModel):
    """Rows are read when they are painted: a history may have thousands."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.head = START_ID

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.rows)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        row = self.rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return row.title if row.done else f"{row.title} (undone)"
        if role == Qt.ItemDataRole.ToolTipRole:
            return "\n".join(filter(None, (row.title, row.about)))
        if role == Qt.ItemDataRole.ForegroundRole and not row.done:
            return Qt.GlobalColor.gray
        if role == Qt.ItemDataRole.FontRole and row.step == self.head:
            font = QFont()
            font.setBold(True)
            return font
        return None

    def show(self, rows: Sequence[Row], head: int) -> None:
        known = len(self.rows)
        if list(rows[:known]) == self.rows and len(rows) > known:
            # One more edit, which is the usual case, leaves the list where the user has scrolled it.
            self.beginInsertRows(QModelIndex(), known, len(rows) - 1)
            self.rows = list(rows)
            self.endInsertRows()
        elif list(rows) != self.rows:
            self.beginResetModel()
            self.rows = list(rows)
            self.endResetModel()
        self.head = head
        if self.rows:
            self.dataChanged.emit(self.index(0), self.index(len(self.rows) - 1))


class HistoryList(QWidget):
    """The edits in the order they were made, with undo and redo.

    Signals
    -------
    undoAsked, redoAsked
        One step back, or forward.
    placeAsked : int
        Show where a step was; a click does so.
    jumpAsked : int
        Go to the state right after a step, back or forward; a double click, or the button.
    """

    undoAsked = Signal()
    redoAsked = Signal()
    placeAsked = Signal(int)
    jumpAsked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = _Rows()
        self.undo_button = QPushButton("↶ Undo")
        self.undo_button.setToolTip("Take the last edit back (Ctrl+Z). There is no limit, also after a restart.")
        self.redo_button = QPushButton("↷ Redo")
        self.redo_button.setToolTip("Do again what was undone (Ctrl+Shift+Z).")
        self.jump_button = QPushButton("Go to this step")
        self.jump_button.setToolTip(
            "Undo or redo all edits up to the one that is marked in the list. Nothing is lost: what is undone stays in "
            "the list, and a double click on it brings it back."
        )
        self.view: Any = QListView()
        self.view.setModel(self._rows)
        self.view.setUniformItemSizes(True)
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.view.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.view.setToolTip("A click shows where an edit was, a double click goes back to it.")
        self.view.setMinimumHeight(80)
        buttons = QHBoxLayout()
        for button in (self.undo_button, self.redo_button, self.jump_button):
            buttons.addWidget(button, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addLayout(buttons)
        rows.addWidget(self.view, 1)

        self.undo_button.clicked.connect(self.undoAsked)
        self.redo_button.clicked.connect(self.redoAsked)
        self.jump_button.clicked.connect(self._on_jump)
        self.view.clicked.connect(self._on_clicked)
        self.view.doubleClicked.connect(self._on_jump)
        self._can = (False, False)
        self._follow_marks()
        self._update()

    def value(self) -> int | None:
        """Return the step that is marked, or None."""
        indexes = self.view.selectionModel().selectedIndexes()
        return self._rows.rows[indexes[0].row()].step if indexes else None

    def setValue(self, rows: Sequence[Row], head: int, *, can_undo: bool, can_redo: bool) -> None:
        """Show a history.

        Parameters
        ----------
        rows : sequence of Row
            Oldest first.
        head : int
            The step that the labels are at.
        can_undo, can_redo : bool
        """
        self._can = (can_undo, can_redo)
        self._rows.show(rows, head)
        at = next((place for place, row in enumerate(rows) if row.step == head), None)
        if at is not None:
            self.view.scrollTo(self._rows.index(at))
        self._update()

    def rows(self) -> tuple[Row, ...]:
        """Return what is shown."""
        return tuple(self._rows.rows)

    def _follow_marks(self) -> None:
        self.view.selectionModel().selectionChanged.connect(self._update)

    def _on_clicked(self, index: QModelIndex) -> None:
        self.placeAsked.emit(self._rows.rows[index.row()].step)

    def _on_jump(self, _how: object = None) -> None:
        step = self.value()
        if step is not None and step != self._rows.head:
            self.jumpAsked.emit(step)

    def _update(self, *_: object) -> None:
        self.undo_button.setEnabled(self._can[0])
        self.redo_button.setEnabled(self._can[1])
        self.jump_button.setEnabled(self.value() not in (None, self._rows.head))

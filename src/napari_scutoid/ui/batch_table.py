"""The stacks of a batch: a row each, with what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qtpy.QtGui import QDragEnterEvent, QDragMoveEvent, QDropEvent
    from qtpy.QtWidgets import QWidget

    from napari_scutoid.batch import BatchReport, Row

HEADINGS = ("Stack", "State", "Cells", "Time", "Message")
STACK, STATE, CELLS, TIME, MESSAGE = range(5)
WAITING, RUNNING, STOPPED = "waiting", "running", "stopped"
SKIPPED = "The result was there already, whole, and made with these settings."
LONGEST_TIP = 60


class BatchTable(QTableWidget):
    """A row a stack.

    Signals
    -------
    valueChanged
        A stack was added or removed.
    dropped : list of Path
        Files or folders were dropped here; what stacks they stand for is not known yet.
    openAsked : Row
        A finished stack was double-clicked.
    """

    valueChanged = Signal()
    dropped = Signal(list)
    openAsked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(HEADINGS), parent)
        self._stacks: list[Path] = []
        self._rows: dict[str, Row] = {}
        self._shown: tuple[BatchReport, frozenset[int]] | None = None
        self._steady = False
        self.setHorizontalHeaderLabels(list(HEADINGS))
        # Qt's stubs say that these may be absent, which they never are in a table.
        header: Any = self.horizontalHeader()
        numbers: Any = self.verticalHeader()
        numbers.hide()
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setAcceptDrops(True)
        self.setWordWrap(False)
        self.setMinimumHeight(170)
        self.setToolTip("Drop files or folders here. Double-click a finished stack to see its cells.")
        for column in (STATE, CELLS, TIME):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        self.setColumnWidth(STACK, 120)
        self.itemDoubleClicked.connect(self._on_double_click)

    def value(self) -> tuple[Path, ...]:
        """Return the stacks, in their order."""
        return tuple(self._stacks)

    def rows(self) -> tuple[Row, ...]:
        """Return what became of the stacks that had their turn."""
        return tuple(row for stack in self._stacks if (row := self._rows.get(str(stack))) is not None)

    def setValue(self, stacks: Iterable[Path]) -> None:
        """Show stacks; what became of any is forgotten."""
        self._stacks, self._rows = list(stacks), {}
        self._show()
        self.valueChanged.emit()

    def add(self, stacks: Iterable[Path]) -> int:
        """Add stacks that are not there yet, and return how many."""
        new = [stack for stack in dict.fromkeys(stacks) if stack not in self._stacks]
        self._stacks += new
        self._show()
        self.valueChanged.emit()
        return len(new)

    def remove_selected(self) -> None:
        """Take the selected stacks out; their files stay."""
        gone = {index.row() for index in self.selectedIndexes()}
        self._stacks = [stack for row, stack in enumerate(self._stacks) if row not in gone]
        self._show()
        self.valueChanged.emit()

    def setSteady(self, steady: bool) -> None:
        """Accept no drops while a batch runs."""
        self._steady = steady

    def forget(self) -> None:
        """Let all stacks wait again."""
        self._rows = {}
        self._show()

    def show_report(self, report: BatchReport, under_way: Iterable[int] = ()) -> None:
        """Show what became of the stacks so far.

        Parameters
        ----------
        report : BatchReport
        under_way : iterable of int
            Which stacks are being segmented.
        """
        at = frozenset(under_way)
        # Most reports of progress change nothing here, and the table stays where it was scrolled to.
        if self._shown is None or self._shown[0] is not report or self._shown[1] != at:
            self._rows = {row.stack: row for row in report.rows}
            self._show(at)
            self._shown = report, at

    def stop(self) -> None:
        """Show that no stack is being segmented any more."""
        for row in range(self.rowCount()):
            item = self.item(row, STATE)
            if item is not None and item.text() == RUNNING:
                item.setText(STOPPED)

    def _show(self, under_way: frozenset[int] = frozenset()) -> None:
        self._shown = None
        self.setRowCount(len(self._stacks))
        for number, stack in enumerate(self._stacks):
            row = self._rows.get(str(stack))
            state = RUNNING if number in under_way else WAITING
            texts = (stack.name, state, "", "", "") if row is None else _texts(stack, row)
            tips = (str(stack), "", "", "", "") if row is None else _tips(stack, row)
            for column, (text, tip) in enumerate(zip(texts, tips, strict=True)):
                self._set(number, column, text, tip)
        if (last := max(under_way, default=self.rowCount())) < self.rowCount():
            self.scrollToItem(self.item(last, STACK))

    def _set(self, row: int, column: int, text: str, tip: str) -> None:
        item = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            if column in (CELLS, TIME):
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
        if item.text() != text:
            item.setText(text)
        item.setToolTip(tip)

    def _on_double_click(self, item: QTableWidgetItem) -> None:
        row = self._rows.get(str(self._stacks[item.row()]))
        if row is not None and row.state != "failed":
            self.openAsked.emit(row)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take files and folders."""
        if event is not None and self._places(event):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent | None) -> None:
        """Take files and folders anywhere in the table."""
        if event is not None and self._places(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Tell what was dropped."""
        if event is not None and (places := self._places(event)):
            event.acceptProposedAction()
            self.dropped.emit(places)

    def _places(self, event: QDropEvent) -> list[Path]:
        mime = event.mimeData()
        if mime is None or self._steady:
            return []
        return [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]


def _texts(stack: Path, row: Row) -> tuple[str, str, str, str, str]:
    cells = "" if row.cells is None else str(row.cells)
    return stack.name, row.state, cells, _time(row.seconds), _why(row.error) or " ".join(row.warnings)


def _tips(stack: Path, row: Row) -> tuple[str, str, str, str, str]:
    about = SKIPPED if row.state == "skipped" and not row.warnings else ""
    memory = "" if row.peak_memory_mib is None else f"At most {row.peak_memory_mib / 1024:.1f} GiB of memory."
    message = "\n".join([row.error] if row.error else row.warnings)
    # Plain text of a long line would make a tip as wide as the screen.
    return str(stack), about, "", memory, _wrapped(message)


def _why(error: str) -> str:
    """Return the part of a message that fits into a table: its beginning names the stack, which stands beside it."""
    return error.partition(": ")[2].partition(". What to try")[0] or error


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join("\n".join(textwrap.wrap(line, LONGEST_TIP)) for line in text.splitlines())


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"

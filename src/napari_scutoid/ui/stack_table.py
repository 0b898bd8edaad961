"""The stacks of a training run: which there are, what each is for, how many cells it has, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_scutoid.ui.editors import ChoiceBox
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.train_core import ROLES, renamed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_scutoid.training.check import StackReport
    from napari_scutoid.training.stacks import Roles
    from napari_scutoid.ui.train_core import Stack

HEADINGS = ("Stack", "Role", "Cells", "Problems")
NAME, ROLE, CELLS, PROBLEMS = range(4)
MEANING = {
    "train": "the network learns from it",
    "valid": "chooses the best epoch, and tunes how cells are made; not learnt from",
    "test": "kept for the final scores only",
}


class StackTable(QWidget):
    """A row a stack.

    Signals
    -------
    valueChanged
        A stack was added or removed, or a role changed, by hand or not.
    """

    valueChanged = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stacks: list[Stack] = []
        self._roles: dict[str, str] = {}
        self._by_hand: set[str] = set()
        self._reports: dict[str, StackReport] = {}
        self.table = row_table(HEADINGS)
        self.table.setWordWrap(False)
        self.table.setMinimumHeight(150)
        header = self.table.horizontalHeader()
        for column in (NAME, ROLE, CELLS):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setMaximumSectionSize(150)
        header.setStretchLastSection(True)
        self.about = Note()
        self.about.hide()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.table)
        rows.addWidget(self.about)
        self.table.itemSelectionChanged.connect(self._on_selection)

    def value(self) -> dict[str, tuple[Stack, ...]]:
        """Return the stacks by role, without those that cannot be used."""
        usable = [one for one in self._stacks if self._usable(one.name)]
        return {role: tuple(one for one in usable if self._roles[one.name] == role) for role in ROLES}

    def setValue(self, stacks: Mapping[str, Iterable[Stack]]) -> None:
        """Show stacks by role, unchecked; the roles count as chosen by hand."""
        self._stacks, self._roles, self._by_hand, self._reports = [], {}, set(), {}
        for role, some in stacks.items():
            for one in some:
                name = self._append(one, role)
                self._by_hand.add(name)
        self._show()
        self.valueChanged.emit()

    @property
    def stacks(self) -> tuple[Stack, ...]:
        """All rows, in their order."""
        return tuple(self._stacks)

    @property
    def reports(self) -> dict[str, StackReport]:
        """What is known of the rows, by their names."""
        return dict(self._reports)

    def add(self, stacks: Iterable[Stack]) -> int:
        """Add rows for what is not there yet, and return how many."""
        there = {one.where for one in self._stacks}
        new = [one for one in stacks if one.where not in there]
        for one in new:
            self._append(one, "train")
        self._show()
        self.valueChanged.emit()
        return len(new)

    def setReports(self, reports: Mapping[str, StackReport], proposed: Roles | None) -> None:
        """Show what the check has found, and the proposed roles where none was chosen by hand."""
        self._reports = {one.name: reports[one.name] for one in self._stacks if one.name in reports}
        # Roles that were chosen leave nothing to share out.
        if proposed is not None and not self._by_hand:
            self._roles |= {name: role for role in ROLES for name in getattr(proposed, role) if name in self._roles}
        self._show()
        self.valueChanged.emit()

    def forget_reports(self) -> None:
        """Check all rows again."""
        self._reports = {}
        self._show()

    def setRole(self, name: str, role: str) -> None:
        """Give a stack a role, as by hand."""
        self._roles[name] = role
        self._by_hand.add(name)
        self._show()
        self.valueChanged.emit()

    def remove_selected(self) -> None:
        """Remove the selected rows; their files stay."""
        rows = {index.row() for index in self.table.selectionModel().selectedRows()}
        gone = {self._stacks[row].name for row in rows}
        self._stacks = [one for one in self._stacks if one.name not in gone]
        known: dict[str, Any]
        for known in (self._roles, self._reports):
            for name in gone:
                known.pop(name, None)
        self._by_hand -= gone
        self._show()
        self.valueChanged.emit()

    def problem(self) -> str | None:
        """Return why there is nothing to train on yet, or None."""
        if not self._stacks:
            return "Add stacks with their cells first."
        if any(one.name not in self._reports for one in self._stacks):
            return "The stacks are not checked yet."
        if not self.value()["train"]:
            return "No stack that can be used has the role train."
        return None

    def advice(self) -> str:
        """Return what would make a better model of these stacks, or nothing."""
        found = self.value()
        if found["train"] and not found["valid"]:
            return (
                "No stack has the role valid: the last epoch will be kept, however good it is, and old and new model "
                "can be compared on learnt stacks only."
            )
        return ""

    def _append(self, stack: Stack, role: str) -> str:
        name, number = stack.name, 2
        while name in self._roles:
            name, number = f"{stack.name} ({number})", number + 1
        # The name travels with what is opened, by which roles are recorded.
        self._stacks.append(stack if name == stack.name else renamed(stack, name))
        self._roles[name] = role
        return name

    def _usable(self, name: str) -> bool:
        report = self._reports.get(name)
        return report is None or report.unusable is None

    def _show(self) -> None:
        self.table.setRowCount(len(self._stacks))
        for row, stack in enumerate(self._stacks):
            report = self._reports.get(stack.name)
            problems = "…" if report is None else report.unusable or "; ".join(report.problems) or "none"
            cells = "…" if report is None else str(report.n_cells)
            for column, text in ((NAME, stack.name), (CELLS, cells), (PROBLEMS, problems)):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{stack.where}\n{problems}")
                if column == CELLS:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                if not self._usable(stack.name):
                    item.setForeground(Qt.GlobalColor.gray)
                self.table.setItem(row, column, item)
            self.table.setCellWidget(row, ROLE, self._role_box(stack.name))
        self._on_selection()

    def _role_box(self, name: str) -> ChoiceBox:
        box = ChoiceBox()
        for role in ROLES:
            box.addItem(role)
            box.setItemData(box.count() - 1, MEANING[role], Qt.ItemDataRole.ToolTipRole)
        box.setCurrentText(self._roles[name])
        box.setToolTip("\n".join(f"{role}: {meaning}" for role, meaning in MEANING.items()))
        box.setEnabled(self._usable(name))
        box.setProperty("stack", name)
        box.currentTextChanged.connect(self._on_role)
        return box

    def _on_role(self, role: str) -> None:
        box = self.sender()
        name = box.property("stack") if box is not None else None
        if name in self._roles:
            self._roles[name] = role
            self._by_hand.add(name)
            self.valueChanged.emit()

    def _on_selection(self) -> None:
        """Show a row in full, whose columns are too narrow for it."""
        rows = [index.row() for index in self.table.selectionModel().selectedRows()]
        text = ""
        if len(rows) == 1 and rows[0] < len(self._stacks):
            stack = self._stacks[rows[0]]
            report = self._reports.get(stack.name)
            found = "" if report is None else report.unusable or "; ".join(report.problems)
            text = f"{stack.where}: {found}" if found else stack.where
        self.about.setText(text)
        self.about.setVisible(bool(text))


def row_table(headings: Sequence[str]) -> Any:
    """Return an empty table whose rows are chosen whole and edited by nobody."""
    table: Any = QTableWidget(0, len(headings))
    table.setHorizontalHeaderLabels(list(headings))
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    _headless(table)
    return table


def _headless(table: Any) -> None:
    table.verticalHeader().hide()

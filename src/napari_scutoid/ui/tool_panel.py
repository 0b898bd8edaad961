"""The tools of the Correct dock, the cells they act on, and what a stroke may change beside them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.proofread.scene import Guards
from napari_scutoid.ui.editors import ChoiceBox
from napari_scutoid.ui.note import Note
from napari_scutoid.ui.tools import IN_IMAGE, ON_CELLS, PICK_HINT, TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARGIN = 14
"""Pixels beside the words of a button, left and right together."""
COLUMNS = 5
TARGETS = {"cell": "the chosen cell", "new": "a new cell", "lumen": "the lumen"}
"""What is drawn."""
PAINTING = Guards(other_cells=True)
"""As in the laboratory's window: a stroke moves the wall between two cells, and spills into nothing else."""
LARGEST_ID = 2**32 - 1


class ToolPanel(QWidget):
    """Choose what the mouse does in the image, and on which cells buttons act.

    Signals
    -------
    valueChanged
        Another tool is on, or none, by hand; `setValue` is silent.
    cellsChanged
        Other cells are chosen by hand.
    drawingChanged
        Something else is drawn, or a stroke may change other things than before.
    asked : str, list
        Do what this tool does to these cells, now.
    """

    valueChanged = Signal()
    cellsChanged = Signal()
    drawingChanged = Signal()
    asked = Signal(str, list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._value = self._said = ""
        self.buttons: dict[str, QPushButton] = {}
        self.hint = Note()
        self.line = QLineEdit()
        self.line.setPlaceholderText("none; click a cell, or type 12, 31")
        self.line.setToolTip("Ids of the chosen cells, between commas.")
        self.line_note = Note()
        self.line_note.hide()
        self.list_button = QPushButton()
        self.guards_box = {
            "outside": QCheckBox("outside"),
            "lumen": QCheckBox("lumen"),
            "other_cells": QCheckBox("other cells"),
        }
        for name, tip in (
            ("outside", "Let strokes take voxels outside the tissue."),
            ("lumen", "Let strokes take voxels of the lumen."),
            ("other_cells", "Let strokes take voxels of other cells; accepted cells stay as they are."),
        ):
            self.guards_box[name].setToolTip(tip)
            self.guards_box[name].toggled.connect(self.drawingChanged)
        self.target_box = ChoiceBox()
        for name, words in TARGETS.items():
            self.target_box.addItem(words, name)
        self.target_box.setToolTip("What Paint and Polygon draw.")
        self.target_box.currentIndexChanged.connect(self.drawingChanged)
        self._lay_out()
        self.setGuards(PAINTING)
        self.line.editingFinished.connect(self._on_line)
        self.line.textEdited.connect(self._update)
        self.list_button.clicked.connect(self._on_list)
        self._entered = ""
        self._update()

    def value(self) -> str:
        """Return the name of the tool that is on, of `tools.IN_IMAGE`; empty where a click only chooses cells."""
        return self._value

    def setValue(self, name: str) -> None:
        """Switch to another tool, or to none."""
        self._value = name if name in {tool.name for tool in IN_IMAGE} else ""
        for tool in IN_IMAGE:
            self.buttons[tool.name].setChecked(tool.name == self._value)
        self._update()

    def choose(self, name: str) -> None:
        """Switch to a tool as by hand; off, where it is on."""
        self.setValue("" if name == self._value else name)
        self.valueChanged.emit()

    def cells(self) -> list[int]:
        """Return the ids of the list; none where it cannot be read, see `problem`."""
        return [] if self.problem() else list(dict.fromkeys(map(int, re.findall(r"\d+", self.line.text()))))

    def setCells(self, cells: Iterable[int]) -> None:
        """Show which cells are chosen."""
        self.line.setText(", ".join(map(str, cells)))
        self._entered = self.line.text()
        self._update()

    def problem(self) -> str | None:
        """Return why the list of cells cannot be read, or None."""
        text = self.line.text().strip().rstrip(",")
        if text and not re.fullmatch(r"\d+(\s*[,;\s]\s*\d+)*", text):
            return "The list holds ids of cells between commas, such as 12, 31."
        if any(not 0 < int(number) <= LARGEST_ID for number in re.findall(r"\d+", text)):
            return "0 is no cell: ids are whole numbers from 1."
        return None

    def guards(self) -> Guards:
        """Return what an edit may change beside its cell."""
        return Guards(**{name: box.isChecked() for name, box in self.guards_box.items()})

    def setGuards(self, guards: Guards) -> None:
        """Show what an edit may change; silent."""
        for name, box in self.guards_box.items():
            before = box.blockSignals(True)
            box.setChecked(getattr(guards, name))
            box.blockSignals(before)

    def setHint(self, words: str) -> None:
        """Say what to do next, or what is pointed at; empty for what the tool is for."""
        self._said = words
        self._update()

    def target(self) -> str:
        """Return what is drawn, of `TARGETS`."""
        return str(self.target_box.currentData())

    def setTarget(self, name: str) -> None:
        """Choose what is drawn; silent."""
        before = self.target_box.blockSignals(True)
        self.target_box.setCurrentIndex(max(0, self.target_box.findData(name)))
        self.target_box.blockSignals(before)

    def setKeys(self, keys: Mapping[str, str]) -> None:
        """Name the keys in the tips, by tool."""
        for name, button in self.buttons.items():
            key = keys.get(name, "")
            button.setToolTip(f"{TOOLS[name].does} Key: {key}." if key else TOOLS[name].does)

    def _on_tool(self) -> None:
        self.choose(self._sender())

    def _on_action(self) -> None:
        self.asked.emit(self._sender(), self.cells())

    def _sender(self) -> str:
        button = self.sender()
        return "" if button is None else str(button.property("tool"))

    def _on_list(self) -> None:
        self.asked.emit(self._value, self.cells())

    def _on_line(self) -> None:
        self._update()
        # Qt reports the same text again whenever the line loses the keyboard.
        if self.line.text() != self._entered:
            self._entered = self.line.text()
            self.cellsChanged.emit()

    def _update(self, *_: object) -> None:
        self.hint.setText(self._said or (TOOLS[self._value].hint if self._value else PICK_HINT))
        problem, cells = self.problem(), self.cells()
        self.line_note.setText(problem and f"⚠ {problem}")
        self.line_note.setVisible(problem is not None)
        by_list = TOOLS[self._value].by_list if self._value else ""
        self.list_button.setText(by_list)
        self.list_button.setVisible(bool(by_list))
        self.list_button.setEnabled(len(cells) >= (2 if self._value == "merge" else 1))
        for tool in ON_CELLS:
            self.buttons[tool.name].setEnabled(bool(cells) or tool.needs_no_cells)

    def _lay_out(self) -> None:
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        in_image, on_cells = QGridLayout(), QGridLayout()
        for tools, grid, columns in ((IN_IMAGE, in_image, COLUMNS), (ON_CELLS, on_cells, COLUMNS - 2)):
            grid.setSpacing(3)
            for place, tool in enumerate(tools):
                button = QPushButton(tool.title)
                button.setCheckable(tools is IN_IMAGE)
                button.setToolTip(tool.does)
                # Keys go to the image, not to the button that was clicked last.
                button.setFocusPolicy(button.focusPolicy().NoFocus)
                button.setProperty("tool", tool.name)
                # Some styles ask for much more than the words need, and five stand in a row.
                button.setMinimumWidth(button.fontMetrics().horizontalAdvance(tool.title) + MARGIN)
                button.clicked.connect(self._on_tool if tools is IN_IMAGE else self._on_action)
                self.buttons[tool.name] = button
                grid.addWidget(button, place // columns, place % columns)
        rows.addLayout(in_image)
        rows.addWidget(self.hint)
        drawn = QHBoxLayout()
        drawn.addWidget(QLabel("Draw"))
        drawn.addWidget(self.target_box, 1)
        rows.addLayout(drawn)
        guards = QHBoxLayout()
        guards.addWidget(QLabel("May change"))
        for box in self.guards_box.values():
            guards.addWidget(box)
        guards.addStretch(1)
        rows.addLayout(guards)
        chosen = QHBoxLayout()
        chosen.addWidget(QLabel("Chosen cells"))
        chosen.addWidget(self.line, 1)
        chosen.addWidget(self.list_button)
        rows.addLayout(chosen)
        rows.addWidget(self.line_note)
        rows.addLayout(on_cells)

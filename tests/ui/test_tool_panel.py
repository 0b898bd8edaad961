"""Tools are switched on and off, act on the chosen cells, and are kept from what is not theirs."""

from __future__ import annotations

import pytest

from napari_scutoid.proofread.scene import Guards
from napari_scutoid.ui.tool_panel import ToolPanel
from napari_scutoid.ui.tools import IN_IMAGE, ON_CELLS, PICK_HINT, TOOLS


@pytest.fixture
def panel(qtbot):
    made = ToolPanel()
    qtbot.addWidget(made)
    made.show()
    return made


def test_a_tool_stays_on_until_it_or_another_is_clicked(panel):
    values = []
    panel.valueChanged.connect(lambda: values.append(panel.value()))
    assert panel.value() == "" and panel.hint.text() == PICK_HINT
    panel.buttons["merge"].click()
    assert panel.hint.text() == TOOLS["merge"].hint
    panel.buttons["split"].click()
    assert [name for name, button in panel.buttons.items() if button.isChecked()] == ["split"]
    panel.buttons["split"].click()
    assert values == ["merge", "split", ""]
    panel.setValue("cut")
    panel.setValue("no such tool")
    assert panel.value() == "" and len(values) == 3


@pytest.mark.parametrize(
    ("text", "cells"),
    [("12, 31", [12, 31]), ("12 31;4,", [12, 31, 4]), ("7, 7", [7]), ("", []), ("12, x", []), ("0", []), ("1.5", [])],
)
def test_the_list_of_cells_is_read_or_refused(panel, text, cells):
    panel.line.setText(text)
    panel.line.editingFinished.emit()
    assert panel.cells() == cells
    assert (panel.problem() is None) == (bool(cells) or not text)
    assert panel.line_note.isVisible() == (panel.problem() is not None)


def test_typed_cells_are_told_once_and_set_ones_not(panel):
    told = []
    panel.cellsChanged.connect(lambda: told.append(panel.cells()))
    panel.setCells([3, 4])
    panel.line.editingFinished.emit()
    assert told == []
    panel.line.setText("5")
    panel.line.editingFinished.emit()
    panel.line.editingFinished.emit()
    assert told == [[5]]


def test_buttons_act_on_the_cells_of_the_list(panel):
    asked = []
    panel.asked.connect(lambda name, cells: asked.append((name, cells)))
    assert [tool.name for tool in ON_CELLS if panel.buttons[tool.name].isEnabled()] == ["propose_lumen"]
    panel.setCells([12])
    for tool in ON_CELLS:
        panel.buttons[tool.name].click()
    assert asked == [(tool.name, [12]) for tool in ON_CELLS]


def test_a_list_of_cells_can_be_merged_or_deleted_without_a_click_in_the_image(panel):
    asked = []
    panel.asked.connect(lambda name, cells: asked.append((name, cells)))
    panel.setCells([12])
    assert panel.list_button.isHidden()
    panel.setValue("merge")
    assert panel.list_button.text() == "Merge these" and not panel.list_button.isEnabled()
    panel.setCells([12, 31])
    panel.list_button.click()
    panel.setValue("delete")
    panel.list_button.click()
    assert asked == [("merge", [12, 31]), ("delete", [12, 31])]


def test_strokes_spill_nowhere_unless_they_are_allowed_to(panel):
    changes = []
    panel.drawingChanged.connect(lambda: changes.append((panel.target(), panel.guards())))
    assert panel.guards() == Guards(other_cells=True) and panel.target() == "cell"
    panel.guards_box["lumen"].click()
    panel.setGuards(Guards(outside=True))
    panel.target_box.setCurrentIndex(2)
    panel.setTarget("new")
    assert changes == [("cell", Guards(lumen=True, other_cells=True)), ("lumen", Guards(outside=True))]
    assert panel.target() == "new"


def test_every_tool_says_what_it_does_and_names_its_key(panel):
    panel.setKeys({"merge": "M"})
    assert panel.buttons["merge"].toolTip() == "Make one cell of two or more. Key: M."
    assert all(panel.buttons[name].toolTip() for name in TOOLS)
    assert all(tool.hint for tool in IN_IMAGE)


def test_the_dock_stays_narrow(panel):
    assert panel.minimumSizeHint().width() <= 380

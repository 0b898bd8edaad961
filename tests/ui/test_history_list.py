"""The history names each edit, tells done from undone, and asks for what was clicked."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_scutoid.ui.history_list import START, START_ID, HistoryList, Row

ROWS = [
    Row(START_ID, START),
    Row(1, "Merge cells 12 and 31", "Ana, 10:02"),
    Row(2, "Split cell 7", "Ana, 10:03", done=False),
    Row(3, "Delete cell 9", "Ben, 10:05"),
]


@pytest.fixture
def history(qtbot):
    made = HistoryList()
    qtbot.addWidget(made)
    made.setValue(ROWS, 3, can_undo=True, can_redo=False)
    return made


def words(history):
    model = history.view.model()
    return [model.data(model.index(row)) for row in range(model.rowCount())]


def mark(history, row):
    history.view.setCurrentIndex(history.view.model().index(row))


def test_each_edit_is_named_and_what_is_undone_says_so(history):
    assert words(history) == [START, "Merge cells 12 and 31", "Split cell 7 (undone)", "Delete cell 9"]
    model = history.view.model()
    assert "Ben, 10:05" in model.data(model.index(3), Qt.ItemDataRole.ToolTipRole)
    bold = [model.data(model.index(row), Qt.ItemDataRole.FontRole) is not None for row in range(4)]
    assert bold == [False, False, False, True]
    assert history.rows() == tuple(ROWS)


def test_buttons_follow_what_can_be_done(history, qtbot):
    assert history.undo_button.isEnabled() and not history.redo_button.isEnabled()
    with qtbot.waitSignal(history.undoAsked):
        history.undo_button.click()
    history.setValue(ROWS, 2, can_undo=False, can_redo=True)
    assert not history.undo_button.isEnabled() and history.redo_button.isEnabled()


def test_a_click_asks_for_the_place_and_a_double_click_for_the_state(history, qtbot):
    places, jumps = [], []
    history.placeAsked.connect(places.append)
    history.jumpAsked.connect(jumps.append)
    history.show()
    at = history.view.visualRect(history.view.model().index(1)).center()
    port = history.view.viewport()
    qtbot.mouseClick(port, Qt.MouseButton.LeftButton, pos=at)
    assert (places, jumps, history.value()) == ([1], [], 1)
    history.view.doubleClicked.emit(history.view.model().index(1))
    assert jumps == [1]


def test_the_button_jumps_to_what_is_marked_unless_it_is_there(history):
    jumps = []
    history.jumpAsked.connect(jumps.append)
    assert not history.jump_button.isEnabled()
    mark(history, 3)
    assert not history.jump_button.isEnabled()
    mark(history, 2)
    history.jump_button.click()
    assert jumps == [2]


def test_one_more_edit_is_added_and_the_mark_stays(history):
    mark(history, 1)
    history.setValue([*ROWS, Row(4, "Fill holes of cell 3")], 4, can_undo=True, can_redo=False)
    assert words(history)[-1] == "Fill holes of cell 3" and history.value() == 1
    history.setValue(ROWS[:1], START_ID, can_undo=False, can_redo=True)
    assert words(history) == [START] and history.value() is None

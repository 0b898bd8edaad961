"""The keys of the corrections."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.key_bindings import KeymapHandler
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_scutoid.ui import shortcuts
from napari_scutoid.ui.shortcuts import ACTIONS, KeyList, Keys, RememberedKeys, problem_of


@pytest.fixture
def viewer():
    made = ViewerModel()
    made.add_image(np.zeros((4, 8, 8)), name="raw")
    made.add_labels(np.zeros((4, 8, 8), np.uint32), name="cells")
    return made


@pytest.fixture
def file(tmp_path):
    return tmp_path / "settings" / "keys.json"


@pytest.fixture
def keys(viewer, file, qtbot):
    made = Keys(viewer, viewer.layers["cells"], RememberedKeys(file))
    pressed = []
    made.pressed.connect(pressed.append)
    yield SimpleNamespace(keys=made, pressed=pressed)
    made.stop()


def press(viewer, key, active):
    """Press a key as napari's canvas does, while a layer is active."""
    handler = KeymapHandler()
    handler.keymap_providers = [viewer.layers[active], viewer]
    handler.press_key(key)


def test_every_key_is_one_that_napari_knows_and_is_taken_once():
    given = [action.key for action in ACTIONS if action.key]
    assert [problem_of(key) for key in given] == [None] * len(given)
    assert len(set(given)) == len(given)
    assert len({action.name for action in ACTIONS}) == len(ACTIONS)


@pytest.mark.parametrize("active", ["cells", "raw"])
def test_keys_hold_whichever_layer_is_active(viewer, keys, active):
    for action in ACTIONS:
        if action.key:
            press(viewer, action.key, active)
    assert keys.pressed == [action.name for action in ACTIONS if action.key]


def test_naparis_own_undo_is_not_called(viewer, keys, monkeypatch):
    monkeypatch.setattr(type(viewer.layers["cells"]), "undo", lambda _layer: pytest.fail("napari undoes"))
    press(viewer, "Control-Z", "cells")
    assert keys.pressed == ["undo"]


def test_afterwards_napari_has_its_keys_back(viewer, file, qtbot):
    mine = []
    viewer.bind_key("A", lambda _viewer: mine.append("A"))
    made = Keys(viewer, viewer.layers["cells"], RememberedKeys(file))
    press(viewer, "A", "cells")
    assert not mine
    made.stop()
    press(viewer, "A", "cells")
    assert mine == ["A"]
    assert not viewer.layers["cells"].keymap


def test_another_key_holds_at_once_and_is_remembered(viewer, keys, file, qtbot):
    with qtbot.waitSignal(keys.keys.changed):
        assert keys.keys.setKey("accept", "Control-G") is None
    press(viewer, "A", "cells")
    press(viewer, "Control-G", "cells")
    assert keys.pressed == ["accept"]
    assert json.loads(file.read_text())["keys"] == {"accept": "Control-G"}
    assert [one.name for one in file.parent.iterdir()] == ["keys.json"]
    keys.keys.stop()
    again = Keys(viewer, viewer.layers["cells"], RememberedKeys(file))
    assert again.value()["accept"] == "Control-G"
    assert again.setKey("accept", "") is None
    assert "accept" not in again.shown()
    again.reset()
    assert again.value() == {action.name: action.key for action in ACTIONS}
    again.stop()


def test_a_key_that_is_taken_or_none_is_refused(keys):
    before = keys.keys.value()
    assert "Previous suspect" in keys.keys.setKey("accept", "Backspace")
    for wrong in ("foo", "Control", "Control-A B"):
        assert wrong in keys.keys.setKey("accept", wrong)
    assert keys.keys.value() == before


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b'{"version": 2}', b'{"keys": {"accept": 1}}', b'{"keys": {"accept": "nonsense"}}']
)
def test_a_damaged_file_is_ignored(viewer, file, content):
    file.parent.mkdir()
    file.write_bytes(content)
    assert RememberedKeys(file).read() == {}


def test_a_huge_file_is_not_read_and_a_blocked_one_loses_nothing(tmp_path, file, monkeypatch):
    RememberedKeys(file).write({"accept": "G"})
    monkeypatch.setattr(shortcuts, "MOST_BYTES", 3)
    assert RememberedKeys(file).read() == {}
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    RememberedKeys(blocked / "keys.json").write({"accept": "G"})
    assert blocked.read_text() == "no folder"
    assert RememberedKeys().file.name == "keys.json"


def test_in_the_dock_keys_hold_but_not_where_something_is_written(keys, qtbot):
    dock = QWidget()
    qtbot.addWidget(dock)
    button, line = QPushButton("Undo", dock), QLineEdit(dock)
    rows = QVBoxLayout(dock)
    rows.addWidget(button)
    rows.addWidget(line)
    clicked = []
    button.clicked.connect(lambda: clicked.append(1))
    keys.keys.watch(dock)
    dock.show()
    qtbot.keyClick(button, Qt.Key.Key_Space)
    qtbot.keyClick(button, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClick(dock, Qt.Key.Key_Delete)
    assert keys.pressed == ["next", "undo", "delete"]
    assert not clicked
    qtbot.keyClick(line, Qt.Key.Key_A)
    assert line.text() == "a"
    assert len(keys.pressed) == 3


def test_the_list_shows_all_keys_and_changes_them(keys, qtbot):
    shown = KeyList(keys.keys)
    qtbot.addWidget(shown)
    assert shown.table.rowCount() == len(ACTIONS)
    assert shown.edits["undo"].keySequence() == QKeySequence("Ctrl+Z")
    assert shown.edits["delete"].keySequence() == QKeySequence("Del")
    edit = shown.edits["accept"]
    qtbot.keyClick(edit, Qt.Key.Key_G, Qt.KeyboardModifier.ControlModifier)
    edit.editingFinished.emit()
    assert keys.keys.value()["accept"] == "Control-G"
    edit.setKeySequence(QKeySequence("Backspace"))
    edit.editingFinished.emit()
    assert "taken" in shown.note.text()
    assert edit.keySequence() == QKeySequence("Ctrl+G")
    edit.clear()
    edit.editingFinished.emit()
    assert keys.keys.value()["accept"] == ""
    shown.reset_button.click()
    assert keys.keys.value()["accept"] == "A"
    assert edit.keySequence() == QKeySequence("A")
    assert not shown.note.text()

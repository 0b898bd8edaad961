"""Rows of stacks: roles, reports, and what they say is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_fakes import SHAPE, FakeMaterial, FakeRoles

from napari_scutoid.training.check import StackReport
from napari_scutoid.ui.stack_table import CELLS, PROBLEMS, ROLE, StackTable
from napari_scutoid.ui.train_core import Stack


def stack(name: str, where: str = "") -> Stack:
    return Stack(name, lambda: FakeMaterial(name, SHAPE, SHAPE), Path(f"{name}.h5"), where or f"{name}.h5")


@pytest.fixture
def table(qtbot):
    made = StackTable()
    qtbot.addWidget(made)
    made.add([stack("a"), stack("b"), stack("c")])
    return made


def reports(**unusable):
    return {name: StackReport(20, ("odd",), unusable.get(name)) for name in "abc"}


def names(table):
    return {role: [one.name for one in some] for role, some in table.value().items()}


def test_round_trip(table):
    value = {"train": (stack("x"),), "valid": (stack("y"),), "test": ()}
    table.setValue(value)
    assert names(table) == {"train": ["x"], "valid": ["y"], "test": []}


def test_what_is_known_is_shown_and_roles_are_proposed(table):
    assert table.problem() == "The stacks are not checked yet."
    assert table.table.item(0, CELLS).text() == "…"
    table.setReports(reports(), FakeRoles(("a", "c"), ("b",)))
    assert table.problem() is None and table.advice() == ""
    assert names(table) == {"train": ["a", "c"], "valid": ["b"], "test": []}
    assert table.table.item(1, CELLS).text() == "20" and table.table.item(1, PROBLEMS).text() == "odd"


def test_a_role_chosen_by_hand_stays(table, qtbot):
    with qtbot.waitSignal(table.valueChanged):
        table.table.cellWidget(0, ROLE).setCurrentText("test")
    table.setReports(reports(), FakeRoles(("a", "c"), ("b",)))
    assert names(table) == {"train": ["b", "c"], "valid": [], "test": ["a"]}
    assert "No stack has the role valid" in table.advice()


def test_what_cannot_be_used_is_shown_and_left_out(table):
    table.setReports(reports(a="the labels hold no cell"), None)
    assert names(table)["train"] == ["b", "c"]
    assert table.table.item(0, PROBLEMS).text() == "the labels hold no cell"
    assert not table.table.cellWidget(0, ROLE).isEnabled()
    for name in "bc":
        table.setRole(name, "valid")
    assert table.problem() == "No stack that can be used has the role train."


def test_the_same_file_is_added_once_and_the_same_name_twice(table):
    assert table.add([stack("a")]) == 0
    assert table.add([stack("a", "elsewhere/a.h5")]) == 1
    again = table.stacks[-1]
    assert again.name == again.open().name == "a (2)"


def test_selected_rows_are_explained_and_removed(table):
    table.setReports(reports(), None)
    table.table.selectRow(1)
    assert table.about.text() == "b.h5: odd"
    table.remove_selected()
    assert [one.name for one in table.stacks] == ["a", "c"] and set(table.reports) == {"a", "c"}
    assert table.add([stack("b")]) == 1 and table.problem() == "The stacks are not checked yet."

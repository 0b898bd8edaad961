"""Every edit is written down, shown, or refused with a reason; a slow one keeps no other from being refused."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.evidence import GridEvidence
from napari_scutoid.proofread.session import Session
from napari_scutoid.ui.editing import Editing
from napari_scutoid.volume import Labels


@dataclass
class Repaint:
    """Turn one cell into another."""

    cell: int
    into: int
    question: str | None = None

    def plan(self, scene):
        before = scene.labels[:]
        after = np.where(before == self.cell, np.uint32(self.into), before)
        labels = Difference.between(Box.whole(scene.shape), before, after)
        return Change("merge", f"Merge {self.cell} into {self.into}", labels=labels)

    def warning(self, scene):
        return self.question


class Slow(Repaint):
    """The same, and it waits until it may go on."""

    go = threading.Event()

    def plan(self, scene):
        self.go.wait(20)
        return super().plan(scene)


@pytest.fixture
def session():
    data = np.zeros((2, 4, 6), np.uint32)
    data[:, :, 1:3], data[:, :, 3:5] = 1, 2
    labels = Labels(data)
    return drain(Session.begin(labels, GridEvidence.of(labels)))


@pytest.fixture
def questions():
    return []


@pytest.fixture
def editing(qtbot, session, questions):
    def ask(question):
        questions.append(question)
        return question == "yes?"

    made = Editing(ask)
    made.begin(session)
    Slow.go.clear()
    yield made
    Slow.go.set()
    made.end()


@pytest.fixture
def heard(editing):
    found = {"changed": [], "refused": [], "planning": []}
    editing.changed.connect(lambda change: found["changed"].append(change.title))
    editing.refused.connect(lambda error: found["refused"].append(str(error)))
    editing.planningChanged.connect(found["planning"].append)
    return found


def test_edits_undo_and_redo_are_shown(editing, session, heard):
    assert editing.do(Repaint(2, 1)) is not None
    assert set(np.unique(session.labels)) == {0, 1}
    editing.undo()
    editing.redo()
    editing.jump(0)
    assert heard["changed"] == ["Merge 2 into 1"] * 4 and heard["refused"] == []
    assert set(np.unique(session.labels)) == {0, 1, 2}


def test_who_shows_the_edits_draws_once_for_what_was_asked(editing, session, heard):
    shown = []
    editing.settled.connect(lambda: shown.append(len(heard["changed"])))
    editing.do(Repaint(2, 1))
    editing.do(Repaint(1, 3))
    editing.jump(0)
    assert shown == [1, 2, 4]
    editing.jump(0)
    session.redo()
    assert shown == [1, 2, 4, 5]


@pytest.mark.parametrize(("question", "done"), [(None, True), ("yes?", True), ("really?", False)])
def test_what_the_user_says_no_to_is_not_done(editing, session, heard, questions, question, done):
    editing.do(Repaint(2, 1, question))
    assert (len(session.history) == 1) == done
    assert questions == ([] if question is None else [question]) and heard["refused"] == []


@pytest.mark.parametrize("error", [ScutoidError("No", "it is accepted", "unlock it"), RuntimeError("a bug")])
def test_what_cannot_be_done_is_told_and_the_next_edit_is_possible(editing, heard, error):
    class Wrong(Repaint):
        def plan(self, scene):
            raise error

    assert editing.do(Wrong(2, 1)) is None
    assert heard["refused"] == [str(error)]
    assert editing.do(Repaint(2, 1)) is not None


def test_a_slow_edit_is_planned_beside_the_window_and_made_in_it(editing, session, heard, qtbot):
    editing.do_later(Slow(2, 1))
    assert editing.is_planning and len(session.history) == 0
    assert editing.do(Repaint(1, 2)) is None and "still being worked out" in heard["refused"][0]
    Slow.go.set()
    qtbot.waitUntil(lambda: not editing.is_planning)
    assert heard["changed"] == ["Merge 2 into 1"] and heard["planning"] == [True, False]


def test_edits_are_refused_while_they_would_disturb(editing, heard):
    editing.hold("the cells are being looked at")
    assert editing.do(Repaint(2, 1)) is None and "being looked at" in heard["refused"][0]
    editing.hold("")
    assert editing.do(Repaint(2, 1)) is not None


def test_a_slow_edit_that_cannot_be_planned_is_told(editing, heard, qtbot):
    def find(_scene):
        raise ScutoidError("Cell 7 cannot be divided", "there is no such cell", "click on a cell")

    editing.look(find, print)
    qtbot.waitUntil(lambda: not editing.is_planning)
    assert "there is no such cell" in heard["refused"][0] and heard["planning"] == [True, False]


def test_what_was_painted_comes_before_the_edit(qtbot, session):
    order = []
    editing = Editing(lambda _question: True)
    editing.begin(session, lambda: order.append("settled"))
    editing.changed.connect(lambda _change: order.append("changed"))
    editing.do(Repaint(2, 1))
    editing.undo()
    assert order == ["settled", "changed"] * 2
    editing.end()


def test_after_the_end_nothing_is_edited_and_what_was_planned_is_dropped(editing, session, heard, qtbot):
    editing.do_later(Slow(2, 1))
    editing.end()
    Slow.go.set()
    qtbot.waitUntil(lambda: not editing._planning.is_busy)
    assert editing.session is None and heard["changed"] == []
    assert editing.do(Repaint(2, 1)) is None and heard["refused"] == []
    with pytest.raises(ScutoidError, match="closed"):
        session.do(Repaint(2, 1))

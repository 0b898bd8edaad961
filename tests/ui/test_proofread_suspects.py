"""Suspects in the correct dock: looked for beside the edits, gone through, and set right."""

from __future__ import annotations

import threading

import pytest
from napari.components import ViewerModel
from proofread_fakes import begin, do, dock, idle, ids, no_suspects, status, tissue

from napari_scutoid.io.open import save_result
from napari_scutoid.progress import Progress
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.merge import Merge
from napari_scutoid.ui import layers
from napari_scutoid.ui.again_core import Plan
from napari_scutoid.ui.proofread_core import ProofreadCore
from napari_scutoid.ui.spotlight import LIGHT
from napari_scutoid.volume import Labels, Source, VoxelSize

pytestmark = pytest.mark.usefixtures("own_settings")

SIZE = VoxelSize(0.5, 0.25, 0.25)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def cells(viewer, tmp_path):
    file = tmp_path / "gland.h5"
    save_result(file, Labels(tissue()[1], SIZE), {}, {})
    return layers.add_labels(viewer, Labels(tissue()[1], SIZE, source=Source(str(file), "label")), "gland cells", {})


@pytest.fixture
def make_widget(qtbot):
    def make(viewer, core=None):
        return dock(qtbot, viewer, core or ProofreadCore(find_suspects=no_suspects))

    return make


@pytest.fixture
def begun(qtbot, make_widget, viewer, cells):
    widget = make_widget(viewer)
    begin(qtbot, widget)
    return widget


def test_suspects_are_gone_through_and_decided(qtbot, begun):
    panel, session = begun.bench.suspects, begun.correction.session
    assert panel.value().title == "Cell 1" and begun.bench.tools.cells() == [1]
    panel.accept_button.click()
    assert session.states[1].accepted and panel.value().title == "Cell 2"
    panel.flagAsked.emit("is it two?")
    assert session.states[2].flagged and session.states[2].note == "is it two?"
    assert panel.value().title == "Cell 3"
    panel.previous_button.click()
    assert panel.value().title == "Cell 2" and panel.value().note == "is it two?"
    panel.setFilter("near")
    panel.skip_button.click()
    assert panel.value() is None and "Nothing is left" in panel.reasons.text()
    near = begun.correction.reviewing.review.asked[-1]
    assert near.near is not None and near.within > 0
    idle(qtbot, begun)
    assert panel.progress.text() == "some of all cells accepted" and panel.bar.value() == 1


def test_edits_go_on_while_suspects_are_looked_for_and_nobody_is_taken_away(qtbot, make_widget, viewer, cells):
    go = threading.Event()

    def slow(session, _kept):
        yield Progress("Looking at cells")
        go.wait(20)
        return (yield from no_suspects(session))

    widget = make_widget(viewer, ProofreadCore(find_suspects=slow))
    widget.begin_button.click()
    qtbot.waitUntil(lambda: widget.is_correcting)
    widget.correction.undo()
    widget.editing.do(Delete((1,)))
    assert ids(widget) == {2, 3} and widget.panel.is_busy
    place = widget.sights.here()
    go.set()
    idle(qtbot, widget)
    panel = widget.bench.suspects
    assert widget.sights.here() == place and "Press Next suspect" in panel.reasons.text()
    widget.correction.reviewing.next()
    assert panel.value().title == "Cell 2"


def test_a_fix_is_done_and_what_came_of_it_is_shown(qtbot, begun):
    review, panel = begun.correction.reviewing.review, begun.bench.suspects
    review.fixes |= {1: Merge((1, 2)), 3: Delete((3,))}
    review.show(1)
    panel.fixAsked.emit()
    idle(qtbot, begun)
    assert len(ids(begun)) == 2 and panel.value().title in ("Cell 1", "Cell 2")
    do(qtbot, begun, "delete", [review.current.cell])
    assert "is no more" in panel.reasons.text()
    panel.nextAsked.emit()
    assert panel.value().title == "Cell 3"
    panel.fixAsked.emit()
    idle(qtbot, begun)
    assert not ids(begun) and "Nothing is left" in panel.reasons.text()


def test_what_an_edit_changed_is_looked_at_again_when_nothing_else_is_done(qtbot, begun):
    review, panel = begun.correction.reviewing.review, begun.bench.suspects
    review.fixes[1] = Merge((1, 2))
    review.is_behind, review.waiting = True, 2
    begun.correction.reviewing.refresh()
    assert review.is_behind and panel.value().fix == ""
    qtbot.waitUntil(lambda: not review.waiting)
    assert not review.is_behind and panel.value().fix == "Do it"


def test_a_fix_is_that_of_the_cell_as_it_is_now(qtbot, begun):
    review, panel = begun.correction.reviewing.review, begun.bench.suspects
    review.fixes[1] = Delete((1,))
    review.is_behind = True
    panel.fixAsked.emit()
    idle(qtbot, begun)
    assert 1 not in ids(begun)


def test_the_network_is_asked_once_more_and_the_list_is_made_anew(qtbot, make_widget, viewer, cells, monkeypatch):
    kept, asked = object(), []

    def again(session, offered, chosen):
        asked.append(chosen)
        review = yield from no_suspects(session)
        return review, kept

    widget = make_widget(viewer, ProofreadCore(find_suspects=no_suspects, find_again=again))
    begin(qtbot, widget)
    first, button = widget.correction.reviewing.review, widget.bench.suspects.opinion_button
    button.click()
    assert not asked and "choose it under Image" in status(widget)
    monkeypatch.setattr("napari_scutoid.ui.correction.opinion_plan", lambda _offered: Plan(""))
    button.click()
    idle(qtbot, widget)
    assert len(asked) == 1 and first.is_closed and widget.correction.reviewing.review is not first
    assert widget.bench.suspects.value().title == "Cell 1"
    assert widget.correction.again._kept is kept


@pytest.mark.parametrize("what", ["decided", "planning"])
def test_a_new_list_takes_nobody_away_from_a_cell(qtbot, make_widget, viewer, cells, monkeypatch, what):
    listed, planned, refused = threading.Event(), threading.Event(), []

    def again(session, _offered, _chosen):
        yield Progress("Looking at cells")
        listed.wait(20)
        return (yield from no_suspects(session)), object()

    monkeypatch.setattr("napari_scutoid.ui.correction.opinion_plan", lambda _offered: Plan(""))
    widget = make_widget(viewer, ProofreadCore(find_suspects=no_suspects, find_again=again))
    begin(qtbot, widget)
    widget.editing.refused.connect(refused.append)
    panel, first = widget.bench.suspects, widget.correction.reviewing.review
    panel.skipAsked.emit()
    panel.opinion_button.click()
    if what == "decided":
        panel.skipAsked.emit()
    else:
        widget.editing.look(lambda _scene: planned.wait(20), lambda _found: None)
    shown = panel.value().title
    listed.set()
    qtbot.waitUntil(lambda: widget.correction.reviewing.review is not first)
    assert panel.value() is not None and panel.value().title == shown and not refused
    planned.set()
    idle(qtbot, widget)
    panel.acceptAsked.emit()
    assert widget.correction.session.states[int(shown.split()[1])].accepted and not refused


def test_a_missing_cell_is_shown_added_and_looked_at(qtbot, make_widget, viewer, tmp_path):
    image, labels = tissue()
    labels[labels == 2] = 0
    file = tmp_path / "gland.h5"
    save_result(file, Labels(labels, SIZE), {}, {})
    viewer.add_image(image, name="gland", scale=SIZE)
    layers.add_labels(viewer, Labels(labels, SIZE, source=Source(str(file), "label")), "gland cells", {})
    widget = make_widget(viewer, ProofreadCore())
    begin(qtbot, widget)
    panel = widget.bench.suspects

    def to_gap():
        for _ in range(5):
            if panel.title.text() == "A cell may be missing here":
                break
            assert viewer.layers[LIGHT].data.any()
            panel.nextAsked.emit()
        assert panel.title.text() == "A cell may be missing here"
        assert LIGHT not in viewer.layers or not viewer.layers[LIGHT].data.any()

    to_gap()
    assert panel.value().fix == "Add a cell here; Skip if none is missing" and widget.bench.tools.cells() == []
    assert 9 <= widget.sights.here()[2] < 16
    panel.fixAsked.emit()
    idle(qtbot, widget)
    qtbot.waitUntil(lambda: panel.title.text().startswith("Cell"))
    assert ids(widget) == {1, 3, 4} and panel.title.text().startswith("Cell 4")
    widget.correction.undo()
    panel.nextAsked.emit()
    to_gap()
    panel.nextAsked.emit()
    assert panel.title.text() != "A cell may be missing here"
    panel.previousAsked.emit()
    to_gap()
    panel.acceptAsked.emit()
    assert panel.title.text() != "A cell may be missing here"
    session = widget.correction.session
    assert len(session.no_cells()) == 1 and widget.bench.history.undo_button.isEnabled()
    widget.correction.undo()
    assert session.no_cells() == [] and "No cell is missing here" in status(widget)


def test_back_from_the_first_that_is_left_changes_nothing(begun):
    panel = begun.bench.suspects
    panel.nextAsked.emit()
    begun.editing.do(Delete((1,)))
    panel.previousAsked.emit()
    panel.previousAsked.emit()
    assert panel.value().title == "Cell 2"
    panel.nextAsked.emit()
    panel.previousAsked.emit()
    assert panel.value().title == "Cell 2"

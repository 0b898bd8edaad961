"""What comes from elsewhere into a correction: another segmentation of the stack, and another person's edits."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from napari.components import ViewerModel
from proofread_fakes import begin, do, dock, idle, ids, no_suspects, status, tissue, titles
from qtpy.QtWidgets import QFileDialog

from napari_scutoid.io.open import open_labels, save_result
from napari_scutoid.progress import Progress, drain
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.states import Accept, Flag, Note
from napari_scutoid.proofread.evidence import GridEvidence
from napari_scutoid.proofread.journal import Journal
from napari_scutoid.proofread.session import Session
from napari_scutoid.result import Result
from napari_scutoid.ui import layers
from napari_scutoid.ui.again_core import NOTHING
from napari_scutoid.ui.proofread_core import ProofreadCore
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

pytestmark = pytest.mark.usefixtures("own_settings")

SIZE = VoxelSize(0.5, 0.25, 0.25)
COMPARE = 3


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def file(tmp_path):
    made = {"recipe": {"watershed": {"seeds": "maxima"}}, "model": {"name": "builtin", "weights_sha256": "ab"}}
    save_result(tmp_path / "gland.h5", Labels(tissue()[1], SIZE), {}, made)
    return tmp_path / "gland.h5"


@pytest.fixture
def cells(viewer, file):
    return layers.add_labels(viewer, open_labels(file), "gland cells", {})


@pytest.fixture
def start(qtbot, viewer, cells):
    """Begin to correct what is open, and look at the tab Compare."""

    def make(**doors):
        widget = dock(qtbot, viewer, ProofreadCore(find_suspects=no_suspects, **doors))
        begin(qtbot, widget)
        widget.show()
        widget.bench.tabs.setCurrentIndex(COMPARE)
        return widget

    return make


def add_image(viewer, file):
    volume = Volume(tissue()[0], SIZE, source=Source(str(file), "raw"))
    return layers.add_image(viewer, layers.Shown(volume, (0.0, 2000.0)), "gland")


def divided(offered, _plan):
    """Find the true cells, accepted ones left open, as `segment_again` does."""
    yield Progress("Predicting")
    found = tissue()[1].copy()
    found[:, :, 23:][found[:, :, 23:] == 3] = 4
    found[np.isin(offered.grid.data, list(offered.accepted))] = 0
    return Result(Labels(found, SIZE), {}, {"warnings": ["The voxel size is odd."]})


# Another segmentation.


def test_what_it_lacks_to_segment_again_is_told(start):
    panel = start().bench.differences
    assert not panel.again_button.isEnabled() and panel.again_note.text() == NOTHING


def test_it_says_which_settings_and_which_model_are_used(qtbot, start, viewer, file):
    add_image(viewer, file)
    widget = start()
    note = widget.bench.differences.again_note
    assert note.text().startswith("As these cells were found: model builtin,") and "maxima" in note.text()
    assert "runs over “gland”" in note.text() and "No cell is accepted yet." in note.text()
    do(qtbot, widget, "accept", [1, 2])
    assert "2 accepted cells are walls." in note.text()
    viewer.layers.remove("gland")
    widget.bench.differences.approached.emit()
    assert note.text() == NOTHING
    widget.bench.differences.againAsked.emit()
    assert not widget.is_busy


def test_segmenting_again_ends_in_the_list_of_differences(qtbot, start, viewer, file, cells):
    add_image(viewer, file)
    widget = start(segment_again=divided)
    do(qtbot, widget, "accept", [1])
    before = cells.data == 1
    panel = widget.bench.differences
    panel.again_button.click()
    idle(qtbot, widget)
    assert panel.words.text() == "1 left. Cell 3 becomes 2 cells." and "odd" in status(widget)
    again = viewer.layers["gland cells again"]
    assert panel.other.value() is again and again.contour == 1 and viewer.layers.selection.active is cells
    assert viewer.layers.index(again) == viewer.layers.index(cells) + 1
    np.testing.assert_array_equal(again.data == 1, before)
    panel.take_button.click()
    idle(qtbot, widget)
    assert len(ids(widget)) == 4 and titles(widget)[-1] == "Take: cell 3 becomes 2 cells"
    np.testing.assert_array_equal(cells.data == 1, before)


def test_cells_are_corrected_while_the_stack_is_segmented_again(qtbot, start, viewer, file):
    add_image(viewer, file)
    go, stopped = threading.Event(), threading.Event()

    def slow(offered, chosen):
        try:
            while not go.is_set():
                yield Progress("Predicting", 1, 3)
            return (yield from divided(offered, chosen))
        finally:
            stopped.set()

    widget = start(segment_again=slow)
    panel = widget.bench.differences
    panel.again_button.click()
    assert not panel.again_button.isEnabled() and "still running" in panel.again_note.text()
    widget.correction.do("accept", [1])
    assert widget.correction.session.states[1].accepted
    widget.panel.cancel_button.click()
    idle(qtbot, widget)
    assert stopped.is_set() and panel.words.text() == "" and panel.again_button.isEnabled()
    assert "gland cells again" not in viewer.layers
    panel.again_button.click()
    widget.correction.do("accept", [2])
    go.set()
    idle(qtbot, widget)
    assert "Cell 3 becomes 2 cells" in panel.words.text()


def test_maps_of_walls_are_segmented_again_without_a_network(qtbot, start, viewer, file, cells):
    volume, true = Volume(tissue()[0], SIZE), tissue()[1]
    for name, data in (("boundary", (tissue()[0] > 1000) * np.uint8(255)), ("foreground", (true > 0) * np.uint8(255))):
        layers.add_probability(viewer, volume.with_data(data, name), volume, f"gland {name}")
    widget = start()
    do(qtbot, widget, "accept", [1])
    before, panel = cells.data == 1, widget.bench.differences
    assert "From the map of walls “gland boundary”; no network runs. 1 accepted" in panel.again_note.text()
    panel.again_button.click()
    idle(qtbot, widget)
    assert "gland cells again" in viewer.layers
    while panel.take_button.isEnabled():
        panel.take_button.click()
        idle(qtbot, widget)
    np.testing.assert_array_equal(cells.data == 1, before)
    # What was said of the stack is known now: other cells are made of it without reading the maps again.
    assert widget.correction.again._kept is not None


def test_what_segment_said_of_the_cells_is_saved_with_them(qtbot, viewer, tmp_path):
    made = {"recipe": {"watershed": {"seeds": "maxima"}}, "model": {"name": "builtin"}}
    source = Source(str(tmp_path / "raw.h5"), "raw")
    layers.add_labels(viewer, Labels(tissue()[1], SIZE, source=source), "raw cells", made)
    hows = []
    for _ in range(2):
        widget = dock(qtbot, viewer, ProofreadCore(find_suspects=no_suspects))
        begin(qtbot, widget)
        hows.append(widget.correction.again._begun.how)
        widget.stop()
        viewer.layers.clear()
        layers.add_labels(viewer, open_labels(tmp_path / "raw cells.h5"), "tomorrow", {})
    assert [how.recipe.watershed.seeds for how in hows] == ["maxima", "maxima"]


def test_what_was_refused_is_offered_again_only_on_demand_also_tomorrow(qtbot, start, viewer, cells):
    other = tissue()[1].copy()
    other[:, :, 23:][other[:, :, 23:] == 3] = 4
    layers.add_labels(viewer, Labels(other, SIZE), "others", {})

    def compare(widget):
        panel = widget.bench.differences
        panel.other.setValue(viewer.layers["others"])
        panel.compare_button.click()
        idle(qtbot, widget)
        return panel

    widget = start()
    panel = compare(widget)
    assert panel.words.text() == "1 left. Cell 3 becomes 2 cells." and panel.refused_button.isHidden()
    panel.refuse_button.click()
    assert panel.words.text() == "No difference is left." and panel.refused_button.text() == "Show 1 refused again"
    assert not panel.take_button.isEnabled() and titles(widget)[1:] == []
    widget.stop()
    assert panel.refused_button.isHidden()
    qtbot.waitUntil(lambda: widget.begin_button.text() == "Continue correcting")
    begin(qtbot, widget)
    panel = compare(widget)
    assert panel.words.text() == "No difference is left." and not panel.refused_button.isHidden()
    panel.refused_button.click()
    assert panel.words.text() == "1 left. Refused before. Cell 3 becomes 2 cells." and panel.refused_button.isHidden()
    panel.take_button.click()
    idle(qtbot, widget)
    assert len(ids(widget)) == 4 and panel.words.text() == "No difference is left." and panel.refused_button.isHidden()
    widget.correction.undo()
    assert compare(widget).words.text() == "1 left. Cell 3 becomes 2 cells."


def test_what_is_left_for_later_while_another_is_taken_stays_in_the_list(qtbot, start, viewer):
    other = tissue()[1].copy()
    other[:, :, 23:][other[:, :, 23:] == 3] = 4
    other[other == 1] = 0
    layers.add_labels(viewer, Labels(other, SIZE), "others", {})
    widget = start()
    panel = widget.bench.differences
    panel.other.setValue(viewer.layers["others"])
    panel.compare_button.click()
    idle(qtbot, widget)
    first = panel.words.text()
    assert first.startswith("2 left.")
    panel.take_button.click()
    panel.next_button.click()
    idle(qtbot, widget)
    qtbot.waitUntil(lambda: panel.words.text().startswith("1 left."))
    assert len(titles(widget)) == 2 and first.removeprefix("2 left. ") not in panel.words.text()


def test_a_refusal_that_cannot_be_written_is_told_and_stays_in_the_list(qtbot, start, viewer, told):
    layers.add_labels(viewer, Labels(np.where(tissue()[1] == 3, 0, tissue()[1]).astype(np.uint32), SIZE), "others", {})
    widget = start()
    panel = widget.bench.differences
    panel.other.setValue(viewer.layers["others"])
    panel.compare_button.click()
    idle(qtbot, widget)
    widget.correction.session.journal.unlink()
    panel.refuse_button.click()
    assert "is not there any more" in told[0] and panel.words.text() == "1 left. Cell 3 disappears."


# Another person's edits.


@pytest.fixture
def theirs(tmp_path, file):
    """Return a function that writes a colleague's journal of the same labels."""

    def write(*edits, labels=None, name="from_ben.sqlite"):
        grid = labels or open_labels(file)
        (tmp_path / "ben").mkdir(exist_ok=True)
        session = drain(Session.begin(grid, GridEvidence.of(grid), tmp_path / "ben" / name, "Ben"))
        for edit in edits:
            session.do(edit)
        session.close()
        return tmp_path / "ben" / name

    return write


def choose(qtbot, widget, path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    widget.bench.colleague.file_button.click()
    idle(qtbot, widget)
    return widget.bench.colleague


def test_two_halves_become_one_and_both_journals_stay(qtbot, start, theirs, cells, file, monkeypatch):
    other = theirs(Delete((3,)), Accept((2,)))
    bytes_of_other = other.read_bytes()
    widget = start()
    do(qtbot, widget, "accept", [1])
    own = widget.correction.session.journal
    panel = choose(qtbot, widget, other, monkeypatch)
    assert panel.words.text() == "2 edits by Ben can be added as they are."
    assert not panel.add_button.isHidden() and panel.mine_button.isHidden()
    panel.add_button.click()
    idle(qtbot, widget)
    assert widget.is_correcting and "2 edits by Ben were added" in widget.summary.text()
    assert ids(widget) == {1, 2} and cells.data is widget.correction.session.labels
    assert sorted(titles(widget)[1:]) == ["Accept cell 1", "Accept cell 2", "Delete cell 3"]
    assert widget.correction.session.journal.name == "gland.corrections-2.sqlite"
    assert other.read_bytes() == bytes_of_other
    with Journal.read(own) as mine:
        assert [step.title for step in mine.history] == ["Accept cell 1"]
    widget.correction.undo()
    widget.stop()
    qtbot.waitUntil(lambda: widget.begin_button.text() == "Continue correcting")
    assert "gland.corrections-2.sqlite" in widget.start.found_note.text()


def test_a_colleague_who_only_said_that_no_cell_is_missing_is_heard(qtbot, start, theirs, file, monkeypatch):
    other = theirs()
    grid = open_labels(file)
    session = drain(Session.begin(grid, GridEvidence.of(grid), other, "Ben"))
    session.tell_no_cell((0, 0, 0))
    session.close()
    widget = start()
    panel = choose(qtbot, widget, other, monkeypatch)
    assert panel.words.text() == "1 answer to what the program had offered can be added as it is."
    panel.add_button.click()
    idle(qtbot, widget)
    assert widget.correction.session.no_cells() == [(0, 0, 0)]


def test_each_collision_is_shown_with_both_versions(qtbot, start, theirs, viewer, monkeypatch):
    other = theirs(Delete((3,)), Note((1,), "theirs"), Note((2,), "theirs"))
    widget = start()
    for cell in (1, 2):
        widget.correction._editing.do(Note((cell,), "mine"))
    widget.correction._editing.do(Flag((3,)))
    widget.bench.tabs.setCurrentIndex(0)
    widget.resize(400, 500)
    panel = choose(qtbot, widget, other, monkeypatch)
    first = panel.words.text()
    qtbot.waitUntil(lambda: not panel.mine_button.visibleRegion().isEmpty())
    assert "3 places you have both changed" in first and "Collision 1 of 3: cell 1" in first
    assert "Mine: Note on cell 1 (" in first and "Theirs: Note on cell 1 (Ben" in first
    panel.theirs_button.click()
    assert "Collision 2 of 3: cell 2" in panel.words.text() and panel.add_button.isHidden()
    panel.all_box.setChecked(True)
    panel.mine_button.click()
    assert not panel.add_button.isHidden() and not panel.all_box.isChecked()
    panel.add_button.click()
    idle(qtbot, widget)
    states = widget.correction.session.states
    assert (states[1].note, states[2].note, states[3].flagged) == ("theirs", "mine", True) and 3 in ids(widget)
    assert "3 that collided are left out" in widget.summary.text()
    assert "Delete cell 3 (Ben," in panel.words.text() and panel.words.text().count("\n") == 3


def test_neither_version_is_made_and_nothing_is_added_unasked(qtbot, start, theirs, monkeypatch):
    other = theirs(Note((1,), "theirs"), Accept((2,)))
    widget = start()
    widget.correction._editing.do(Note((1,), "mine"))
    panel = choose(qtbot, widget, other, monkeypatch)
    panel.drop_button.click()
    assert panel.words.isHidden() and titles(widget)[1:] == ["Note on cell 1"]
    panel = choose(qtbot, widget, other, monkeypatch)
    panel.neither_button.click()
    panel.add_button.click()
    idle(qtbot, widget)
    assert titles(widget)[1:] == ["Accept cell 2"]


def test_what_cannot_be_added_is_told_and_the_session_goes_on(qtbot, start, theirs, told, file, monkeypatch):
    widget = start()
    lumen = np.zeros(tissue()[1].shape, bool)
    strange = theirs(labels=replace(open_labels(file), lumen=lumen), name="strange.sqlite")
    for path, why in (
        (widget.correction.session.journal, "is the journal you are working with"),
        (strange, "does not belong to these labels"),
        (file, "is no journal"),
    ):
        choose(qtbot, widget, path, monkeypatch)
        assert why in told[-1]
    panel = choose(qtbot, widget, theirs(), monkeypatch)
    assert panel.words.text() == "Nothing is in from_ben.sqlite that you have not." and panel.add_button.isHidden()
    choose(qtbot, widget, "", monkeypatch)
    do(qtbot, widget, "accept", [1])
    assert widget.correction.session.states[1].accepted


def test_an_edit_that_collides_meanwhile_is_asked_about(qtbot, start, theirs, told, monkeypatch):
    other = theirs(Note((1,), "theirs"))
    widget = start()
    panel = choose(qtbot, widget, other, monkeypatch)
    widget.correction._editing.do(Note((1,), "mine"))
    panel.add_button.click()
    idle(qtbot, widget)
    assert "other edits collide by now" in told[0] and widget.is_correcting
    assert "Collision 1 of 1" in choose(qtbot, widget, other, monkeypatch).words.text()

"""The correct dock against the real core, small labels, and a viewer without a window."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from napari.components import ViewerModel
from proofread_fakes import begin, do, dock, idle, ids, no_suspects, status, tissue, titles
from qtpy.QtWidgets import QFileDialog, QMessageBox, QVBoxLayout, QWidget

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import open_labels, save_result
from napari_scutoid.progress import Progress, drain
from napari_scutoid.ui import layers
from napari_scutoid.ui.proofread_core import ProofreadCore, look_beside
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

pytestmark = pytest.mark.usefixtures("own_settings")

SIZE = VoxelSize(0.5, 0.25, 0.25)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def file(tmp_path):
    save_result(tmp_path / "gland.h5", Labels(tissue()[1], SIZE), {}, {})
    return tmp_path / "gland.h5"


@pytest.fixture
def cells(viewer, file):
    """The stack and its cells, as Open stack shows them."""
    image, labels = tissue()
    volume = Volume(image, SIZE, source=Source(str(file), "raw"))
    layers.add_image(viewer, layers.Shown(volume, (0.0, 2000.0)), "gland")
    return layers.add_labels(viewer, Labels(labels, SIZE, source=Source(str(file), "label")), "gland cells", {})


@pytest.fixture
def make_widget(qtbot):
    def make(viewer, core=None):
        return dock(qtbot, viewer, core or ProofreadCore(find_suspects=no_suspects))

    return make


@pytest.fixture
def widget(make_widget, viewer, cells):
    return make_widget(viewer)


@pytest.fixture
def begun(qtbot, widget):
    begin(qtbot, widget)
    return widget


def test_an_empty_viewer_says_what_to_open(make_widget, told):
    widget = make_widget(ViewerModel())
    assert not widget.begin_button.isEnabled() and "Open labels first" in widget.panel.reason.text()
    widget.begin()
    assert "Open labels first" in told[0]


def test_a_session_begins_with_what_the_layer_shows(begun, cells, file):
    session = begun.correction.session
    assert cells.data is session.labels and session.journal == file.with_name("gland.corrections.sqlite")
    assert begun.inputs.isHidden() and not begun.column.isHidden() and not begun.running.isHidden()
    assert "corrects “gland cells”" in begun.summary.text()
    assert titles(begun) == ["As opened"]
    cells.name = "embryo"
    assert "“embryo”" in begun.summary.text()


def test_nothing_of_the_program_runs_in_the_gui_thread(qtbot, make_widget, viewer, cells, tmp_path):
    usual, threads = ProofreadCore(), set()

    def noted(job):
        def run(*asked):
            threads.add(threading.get_ident())
            return (yield from job(*asked))

        return run

    core = ProofreadCore(noted(usual.look_beside), noted(usual.begin), noted(no_suspects), save=noted(usual.save))
    widget = make_widget(viewer, core)
    begin(qtbot, widget)
    widget.correction.save(tmp_path / "out.h5")
    idle(qtbot, widget)
    assert threads and threading.get_ident() not in threads


def test_cells_are_merged_undone_and_done_again(qtbot, begun):
    do(qtbot, begun, "merge", [1, 2])
    assert len(ids(begun)) == 2 and titles(begun)[-1] == "Merge cells 1 and 2"
    assert status(begun) == "Merge cells 1 and 2."
    begun.bench.history.undo_button.click()
    assert ids(begun) == {1, 2, 3} and status(begun).startswith("Undone")
    begun.bench.history.redo_button.click()
    do(qtbot, begun, "delete", [3])
    begun.bench.history.jumpAsked.emit(0)
    idle(qtbot, begun)
    assert ids(begun) == {1, 2, 3} and [row.done for row in begun.bench.history.rows()] == [True, False, False]


def test_a_click_in_the_history_shows_where_it_was(qtbot, begun, viewer):
    do(qtbot, begun, "delete", [3])
    viewer.dims.set_point(0, 0)
    begun.bench.history.placeAsked.emit(1)
    assert begun.sights.here() == pytest.approx((2.5, 9.5, 22.5), abs=0.51)


def test_what_cannot_be_done_is_told_and_changes_nothing(qtbot, begun, told):
    do(qtbot, begun, "merge", [1, 99])
    assert "there is no cell with this id" in told[0] and ids(begun) == {1, 2, 3}
    do(qtbot, begun, "accept", [1])
    do(qtbot, begun, "delete", [1])
    assert "accepted" in told[1] and titles(begun) == ["As opened", "Accept cell 1"]
    do(qtbot, begun, "unlock", [1])
    do(qtbot, begun, "invalid", [1, 2])
    assert not begun.correction.session.states[2].valid


def test_an_edit_that_is_rarely_meant_asks_first(qtbot, begun, monkeypatch):
    answers, asked = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes], []
    monkeypatch.setattr(QMessageBox, "question", lambda *words: (asked.append(words[-1]), answers.pop(0))[1])
    do(qtbot, begun, "merge", [1, 3])
    assert ids(begun) == {1, 2, 3} and "nothing touches there" in asked[0]
    do(qtbot, begun, "merge", [1, 3])
    assert len(ids(begun)) == 2


def test_a_stroke_of_naparis_brush_is_one_step_within_the_guards(qtbot, begun, cells, monkeypatch):
    tools = begun.bench.tools
    tools.setCells([1])
    tools.choose("paint")
    assert str(cells.mode) == "paint" and cells.selected_label == 1
    before = cells.data.copy()
    cells.brush_size = 3
    cells.paint((2, 10, 9), 1)
    begun.sights.settle()
    idle(qtbot, begun)
    assert titles(begun) == ["As opened", "Paint cell 1"]
    assert cells.data[2, 10, 9] == 1 and before[2, 10, 9] == 2
    cells.paint((2, 0, 0), 1)
    begun.sights.settle()
    assert cells.data[2, 0, 0] == 0 and "outside the tissue" in status(begun)
    begun.correction.undo()
    np.testing.assert_array_equal(cells.data, before)


def test_a_new_cell_is_painted_and_stays_the_chosen_one(qtbot, begun, cells):
    begun.bench.tools.guards_box["outside"].setChecked(True)
    begun.bench.tools.setTarget("new")
    begun.bench.tools.choose("paint")
    assert cells.selected_label == 4
    for column in (1, 30):
        cells.paint((2, 1, column), cells.selected_label)
        begun.sights.settle()
        idle(qtbot, begun)
    assert ids(begun) == {1, 2, 3, 4} and begun.bench.tools.cells() == [4]
    assert begun.bench.tools.target() == "cell"


def test_a_cut_is_proposed_looked_at_and_taken(qtbot, begun, viewer):
    do(qtbot, begun, "propose", [3])
    bar = begun.bench.proposals
    assert bar.value() == 0 and "Scutoid proposal" in viewer.layers and ids(begun) == {1, 2, 3}
    bar.take_button.click()
    idle(qtbot, begun)
    assert ids(begun) == {1, 2, 3, 4} and "Scutoid proposal" not in viewer.layers
    sizes = np.bincount(begun.correction.session.labels.ravel())
    assert abs(int(sizes[3]) - int(sizes[4])) < 0.2 * sizes[3]


def test_another_edit_drops_the_proposals(qtbot, begun, viewer):
    do(qtbot, begun, "propose", [3])
    do(qtbot, begun, "delete", [1])
    assert begun.bench.proposals.isHidden() and "Scutoid proposal" not in viewer.layers


def test_a_key_accepts_what_was_chosen_by_hand_since(begun):
    begun.bench.tools.setCells([3])
    begun.correction._keyboard.press("accept")
    assert set(begun.correction.session.states) == {3}


def test_keys_do_what_their_buttons_do(qtbot, begun, cells, viewer):
    press = begun.correction._keyboard.press
    press("merge")
    assert begun.bench.tools.value() == "merge"
    press("no_tool")
    press("outlines")
    press("image")
    assert cells.contour == 1 and not viewer.layers["gland"].visible
    press("accept")
    press("undo")
    assert not begun.correction.session.states
    press("new_cell")
    assert begun.bench.tools.value() == "paint" and cells.selected_label == 4
    press("flag")
    assert not begun.bench.suspects.note.isHidden()
    assert "(Space)" in begun.bench.suspects.next_button.text()


def test_corrections_continue_where_they_stopped(qtbot, begun, cells, file):
    do(qtbot, begun, "delete", [3])
    begun.stop_button.click()
    qtbot.waitUntil(lambda: begun.begin_button.text() == "Continue correcting")
    assert "1 edit by" in begun.start.found_note.text() and "gland.corrections.sqlite" in status(begun)
    assert not cells.editable and not begun.inputs.isHidden()
    np.testing.assert_array_equal(open_labels(file).data, tissue()[1])
    begin(qtbot, begun)
    assert ids(begun) == {1, 2} and titles(begun) == ["As opened", "Delete cell 3"] and cells.editable
    begun.correction.undo()
    assert ids(begun) == {1, 2, 3}


def test_a_stack_opened_another_day_continues(qtbot, begun, make_widget, file):
    do(qtbot, begun, "delete", [3])
    begun.stop()
    other = ViewerModel()
    layers.add_labels(other, open_labels(file), "tomorrow", {})
    widget = make_widget(other)
    shown = other.layers["tomorrow"]
    begin(qtbot, widget)
    assert ids(widget) == {1, 2} and titles(widget)[-1] == "Delete cell 3"
    # It is corrected in place, and the image follows.
    assert set(np.unique(shown._slice.image.raw)) == {0, 1, 2}


def test_two_windows_do_not_correct_with_one_journal(qtbot, begun, make_widget, file, told):
    do(qtbot, begun, "delete", [3])
    other = ViewerModel()
    layers.add_labels(other, open_labels(file), "again", {})
    widget = make_widget(other)
    assert "another window or program has it open" in widget.start.found_note.text()
    begin(qtbot, widget)
    assert widget.correction.session.journal == file.with_name("gland.corrections-2.sqlite")
    assert ids(widget) == {1, 2, 3} and ids(begun) == {1, 2}


def test_a_damaged_journal_is_refused_and_left_as_it_is(qtbot, make_widget, viewer, cells, file):
    journal = file.with_name("gland.corrections.sqlite")
    journal.write_bytes(b"no database at all")
    widget = make_widget(viewer)
    assert "is no journal" in widget.start.found_note.text() and widget.begin_button.text() == "Begin correcting"
    begin(qtbot, widget)
    do(qtbot, widget, "delete", [3])
    assert journal.read_bytes() == b"no database at all"


def test_one_may_begin_anew_beside_a_journal(qtbot, begun):
    do(qtbot, begun, "delete", [3])
    begun.stop()
    qtbot.waitUntil(lambda: not begun._looking.is_busy)
    assert not begun.anew_button.isHidden()
    begin(qtbot, begun, "anew_button")
    assert ids(begun) == {1, 2, 3} and begun.correction.session.journal.name == "gland.corrections-2.sqlite"


def test_removing_the_layer_ends_the_session_and_says_so(qtbot, begun, viewer, cells, file):
    do(qtbot, begun, "delete", [3])
    viewer.layers.remove(cells)
    assert not begun.is_correcting and "The layer was removed" in status(begun)
    [found] = drain(look_beside(file))
    assert found.card.n_edits == 1


def test_other_cells_in_the_layer_end_the_session(begun, cells):
    cells.data = np.zeros_like(cells.data)
    assert not begun.is_correcting and "was given other cells" in status(begun)


def test_taking_the_dock_out_ends_the_session(qtbot, begun, cells, viewer):
    window = QWidget()
    qtbot.addWidget(window)
    QVBoxLayout(window).addWidget(begun)
    begun.setParent(None)
    assert not begun.is_correcting and not cells.editable
    assert [layer.name for layer in viewer.layers] == ["gland", "gland cells"]


def test_labels_are_saved_as_they_are_and_edits_wait(qtbot, make_widget, viewer, cells, tmp_path, monkeypatch, told):
    go, usual = threading.Event(), ProofreadCore()

    def slow(*asked):
        yield Progress("Writing")
        go.wait(20)
        return (yield from usual.save(*asked))

    widget = make_widget(viewer, ProofreadCore(find_suspects=no_suspects, save=slow))
    begin(qtbot, widget)
    do(qtbot, widget, "delete", [3])
    offered = []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *asked: (offered.append(asked[2]), (str(tmp_path / "mine"), ""))[1]
    )
    widget.bench.saving.save_button.click()
    widget.correction.do("delete", [1])
    for ask in (
        lambda: widget.correction.save(tmp_path / "again.h5"),
        lambda: widget.correction.do("propose_lumen", []),
    ):
        ask()
        widget.correction.do("delete", [1])
    go.set()
    idle(qtbot, widget)
    assert offered == [str(tmp_path / "gland_corrected.h5")]
    assert ["being written" in problem for problem in told] == [True, False, True, False, True]
    assert set(np.unique(open_labels(tmp_path / "mine.h5", "label").data)) == {0, 1, 2}
    assert status(widget) == f"Saved {tmp_path / 'mine.h5'}."
    do(qtbot, widget, "delete", [1])
    assert ids(widget) == {2}


def test_the_laboratorys_file_and_truth_to_train_with(qtbot, begun, tmp_path, told):
    begun.correction.save(tmp_path / "lab.mat")
    idle(qtbot, begun)
    assert open_labels(tmp_path / "lab.mat", "labelledImage").data.shape == tissue()[1].shape
    begun.correction.save_truth(tmp_path / "truth.h5")
    idle(qtbot, begun)
    assert "no cell is accepted" in told[0]
    do(qtbot, begun, "accept", [1])
    begun.correction.save_truth(tmp_path / "truth.h5")
    idle(qtbot, begun)
    assert status(begun).startswith("Saved")


def test_the_file_that_corrections_began_with_is_never_written(qtbot, begun, file, told):
    begun.correction.save(file)
    idle(qtbot, begun)
    assert "never changed" in told[0]
    np.testing.assert_array_equal(open_labels(file).data, tissue()[1])


def test_what_another_segmentation_changes_is_taken_or_refused(qtbot, begun, viewer, cells):
    do(qtbot, begun, "accept", [1])
    other = cells.data.copy()
    other[other == 2] = 1
    other[:, :, 23:][other[:, :, 23:] == 3] = 9
    layer = layers.add_labels(viewer, Labels(other, SIZE), "again", {})
    panel = begun.bench.differences
    panel.other.setValue(layer)
    panel.compare_button.click()
    idle(qtbot, begun)
    before = cells.data == 1
    while panel.take_button.isEnabled():
        panel.take_button.click()
        idle(qtbot, begun)
    np.testing.assert_array_equal(cells.data == 1, before)
    assert "No difference is left" in panel.words.text() and len(ids(begun)) == 4


def test_the_card_tells_of_the_session_once_it_is_seen(qtbot, begun):
    begun.show()
    do(qtbot, begun, "delete", [3])
    assert begun.bench.card.value() is None
    begun.bench.tabs.setCurrentIndex(2)
    idle(qtbot, begun)
    facts = begun.bench.card.value()
    assert facts.edits == {"delete": 1} and facts.n_cells == 2


@pytest.mark.parametrize("error", [ScutoidError("No", "it is empty", "take another"), RuntimeError("a bug")])
def test_a_session_that_cannot_begin_is_told_and_leaves_the_dock_usable(qtbot, make_widget, viewer, cells, told, error):
    def wrong(_asked):
        yield Progress("Reading")
        raise error

    widget = make_widget(viewer, ProofreadCore(begin=wrong))
    widget.begin_button.click()
    assert not cells.editable  # what is painted now would be in no journal
    idle(qtbot, widget)
    assert len(told) == 1 and not widget.is_correcting and widget.begin_button.isEnabled() and cells.editable


def test_what_segment_left_is_saved_first(qtbot, make_widget, tmp_path):
    viewer = ViewerModel()
    labels = Labels(tissue()[1], SIZE, source=Source(str(tmp_path / "raw.h5"), "raw"))
    cells = layers.add_labels(viewer, labels, "raw cells", {"recipe": {}})
    cells.metadata[layers.METADATA][layers.KEPT] = kept = object()
    asked = []
    core = ProofreadCore(find_suspects=lambda session, kept: (asked.append(kept), no_suspects(session))[1])
    widget = make_widget(viewer, core)
    begin(qtbot, widget)
    assert asked == [kept] and (tmp_path / "raw cells.h5").exists()
    assert "raw cells.h5 first" in widget.summary.text()
    do(qtbot, widget, "delete", [3])
    widget.stop()
    qtbot.waitUntil(lambda: widget.begin_button.text() == "Continue correcting")
    begin(qtbot, widget)
    assert ids(widget) == {1, 2} and cells.data is widget.correction.session.labels

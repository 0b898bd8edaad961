"""A session: what edits change and never change, the way back, and what is saved."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ACTIONS, NO_WALLS, Fill, act, base, begin, now

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.save import save_stack
from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import CellState, Change, Difference
from napari_scutoid.proofread.edits.states import Accept, Flag, MarkSeen, Note, SetValid, Unlock
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.replay import replay
from napari_scutoid.proofread.scene import LARGEST_ID
from napari_scutoid.proofread.session import Session
from napari_scutoid.volume import Labels, Source, Volume, VoxelSize

MIDDLE = Box((0, 2, 0), (1, 1, 2))
IN_CELL_1 = Box((0, 0, 0), (1, 1, 1))


@given(ACTIONS, st.booleans())
@settings(max_examples=25)
def test_whatever_is_done_can_be_undone_redone_and_replayed(actions, has_lumen):
    session = begin(labels=base(has_lumen))
    at_start = now(session)
    for action in actions:
        labels, locked = session.labels.copy(), session.scene().locked
        head, states = session.history.head, dict(session.states)
        done = act(session, action)
        if isinstance(action, Fill):
            touched = session.labels != labels
            assert not np.isin(labels[touched], list(locked)).any()
            assert not np.isin(session.labels[touched], list(locked)).any()
            touched[action.box.slices] = False
            assert not touched.any()
        if not done:
            assert (session.labels == labels).all()
            assert (session.history.head, dict(session.states)) == (head, states)
    at_end, head = now(session), session.history.head
    assert session.index == drain(CellIndex.build(session.labels, NO_WALLS))
    assert session.next_id > session.labels.max()
    copied = drain(replay(base(has_lumen), session._journal))
    assert copied.labels.tobytes() == at_end[0]
    assert (np.zeros(base().shape, np.bool_) if copied.lumen is None else copied.lumen).tobytes() == at_end[1]
    assert copied.states == at_end[2]
    while session.undo() is not None:
        pass
    assert now(session) == at_start
    session.jump(head)
    assert now(session) == at_end
    session.close()


def test_labels_are_the_array_that_was_given():
    labels = base()
    session = begin(labels=labels)
    assert session.labels is labels.data
    change = session.do(Fill(MIDDLE, 1))
    assert (session.labels[MIDDLE.slices] == 1).all()
    assert change.labels is not None
    assert session.index.voxels(1) == 14


def test_a_file_on_the_disk_is_never_changed(tmp_path):
    file = tmp_path / "labels.npy"
    np.save(file, base().data)
    stored = np.load(file, mmap_mode="r+")
    frozen = base().data
    frozen.flags.writeable = False
    for data in (stored, frozen):
        session = begin(labels=Labels(data))
        session.do(Fill(MIDDLE, 1))
        assert session.labels is not data
        assert (data == base().data).all()


def test_undone_work_stays_reachable():
    session = begin()
    session.do(Fill(MIDDLE, 1))
    session.do(Fill(MIDDLE, 2))
    first_branch = now(session)
    assert session.undo().labels.values()[1].tolist() == [1, 1]
    session.do(Fill(MIDDLE, 3))
    assert [(step.id, step.parent, step.title) for step in session.history] == [
        (1, 0, "Fill with cell 1"),
        (2, 1, "Fill with cell 2"),
        (3, 1, "Fill with cell 3"),
    ]
    assert len(session.jump(2)) == 2
    assert now(session) == first_branch
    assert session.history.head == 2
    assert session.redo() is None


def test_ids_are_never_used_twice():
    session = begin()
    session.do(Fill(MIDDLE))
    assert (session.labels[MIDDLE.slices] == 41).all()
    session.undo()
    session.do(Fill(MIDDLE))
    assert (session.labels[MIDDLE.slices] == 42).all()
    with pytest.raises(ScutoidError, match="no other cell gets its number"):
        session.do(Fill(IN_CELL_1, 41))
    session.do(Fill(IN_CELL_1, 500))
    assert session.next_id == 501


def test_accepted_cells_are_locked_until_they_are_unlocked():
    session = begin()
    session.do(Accept((1, 2)))
    for edit in (Fill(IN_CELL_1, 3), Fill(MIDDLE, 2)):
        with pytest.raises(ScutoidError, match="accepted"):
            session.do(edit)
    assert session.history.head == 1
    session.do(Unlock((1,)))
    session.do(Fill(IN_CELL_1, 3))
    session.do(Note((2,), "dividing"))
    assert session.states[2] == CellState(accepted=True, seen=True, note="dividing")


def test_what_is_said_of_cells():
    session = begin()
    session.do(SetValid((1, 40), False))
    session.do(Flag((1,)))
    session.do(MarkSeen((3,)))
    assert dict(session.states) == {
        1: CellState(valid=False, flagged=True),
        3: CellState(seen=True),
        40: CellState(valid=False),
    }
    assert session.do(Flag((1,))).is_empty
    assert len(session.history) == 3
    session.do(Flag((1,), False))
    session.do(SetValid((1, 40), True))
    assert dict(session.states) == {3: CellState(seen=True)}
    assert [step.title for step in session.history][-1] == "Measure cells 1, 40"
    assert session.history[2].centre == (1.0, 0.5, 0.5)
    with pytest.raises(ScutoidError, match="there is no cell 7"):
        session.do(Accept((7,)))
    with pytest.raises(ScutoidError, match="no cell is chosen"):
        session.do(Accept(()))


def test_listeners_hear_each_change():
    session, heard = begin(), []
    session.heard.append(heard.append)
    done = session.do(Fill(MIDDLE, 1))
    session.do(Fill(MIDDLE, 1))
    session.undo()
    session.undo()
    session.jump(1)
    assert heard == [done, done.inverse(), done]


def test_a_listener_that_fails_does_not_stop_the_labels_half_way():
    session = begin()
    for cell in (1, 2, 3):
        session.do(Fill(MIDDLE, cell))

    def fail(change):
        raise RuntimeError("a window is gone")

    session.heard.append(fail)
    with pytest.raises(RuntimeError, match="a window is gone"):
        session.jump(0)
    assert (session.labels == base().data).all()
    assert session.index == drain(CellIndex.build(session.labels, NO_WALLS))
    session.heard.remove(fail)
    session.jump(3)
    assert (session.labels[MIDDLE.slices] == 3).all()


def test_nobody_edits_while_an_edit_is_told_of():
    session, refused = begin(), []
    for cell in (1, 2, 3):
        session.do(Fill(MIDDLE, cell))

    def meddle(change):
        with pytest.raises(ScutoidError, match="not yet in the labels") as problem:
            session.do(Fill(IN_CELL_1, 3))
        refused.append(problem)

    session.heard.append(meddle)
    session.jump(0)
    assert len(refused) == 3
    assert (session.labels == base().data).all()
    session.heard.clear()
    session.do(Fill(IN_CELL_1, 3))


def test_who_closes_the_session_on_hearing_of_an_edit_closes_it():
    session = begin()
    session.heard.append(lambda change: session.close())
    session.do(Fill(MIDDLE, 1))
    with pytest.raises(ScutoidError, match="closed"):
        session.undo()


def test_what_was_interrupted_half_way_is_not_built_on(tmp_path):
    session = begin(tmp_path / "a.sqlite")
    for cell in (1, 2, 3):
        session.do(Fill(MIDDLE, cell))

    def interrupt(change):
        raise KeyboardInterrupt

    session.heard.append(interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.jump(0)
    session.heard.clear()
    with pytest.raises(ScutoidError, match="open the stack again"):
        session.do(Fill(IN_CELL_1, 3))
    session.close()
    assert (begin(tmp_path / "a.sqlite").labels == base().data).all()


def test_what_could_not_be_shown_is_there_when_the_stack_is_opened_again(tmp_path, monkeypatch):
    session = begin(tmp_path / "a.sqlite")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(session.index, "update", fail)
    with pytest.raises(MemoryError):
        session.do(Fill(MIDDLE, 1))
    with pytest.raises(ScutoidError, match="open the stack again"):
        session.do(Fill(MIDDLE, 2))
    session.close()
    assert (begin(tmp_path / "a.sqlite").labels[MIDDLE.slices] == 1).all()


def test_a_change_that_starts_from_other_labels_is_refused_whole():
    session = begin()

    class Wrong:
        def plan(self, scene):
            part = np.full(MIDDLE.shape, 9, np.uint32)
            return Change("wrong", "Wrong", labels=Difference.between(MIDDLE, part, part + 1))

    before = now(session)
    with pytest.raises(ValueError, match="does not start from"):
        session.do(Wrong())
    assert now(session) == before
    assert len(session.history) == 0


def test_the_scene_cannot_be_written_to():
    scene = begin(labels=base(lumen=True)).scene()
    for array in (scene.labels, scene.lumen):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0, 0] = 1
    with pytest.raises(TypeError):
        scene.states[1] = CellState()


@pytest.mark.parametrize("largest", [LARGEST_ID, 2**32 - 1])
def test_labels_without_a_free_number_are_refused(largest):
    data = base().data
    data[0, 0, 0] = largest
    with pytest.raises(ScutoidError, match="no number left"):
        begin(labels=Labels(data))


def test_numbers_end_before_32_bits_do():
    session = begin()
    before = now(session)
    with pytest.raises(ScutoidError, match="the next one is 41"):
        session.do(Fill(MIDDLE, LARGEST_ID + 1))
    assert now(session) == before
    session.do(Fill(MIDDLE, LARGEST_ID))
    with pytest.raises(ScutoidError, match="number their cells anew"):
        session.do(Fill(IN_CELL_1))
    session.do(Fill(IN_CELL_1, 3))


def test_an_accepted_cell_does_not_become_lumen():
    session = begin()
    session.do(Accept((1,)))
    with pytest.raises(ScutoidError, match="cell 1, which is accepted"):
        session.do(Fill(IN_CELL_1, 1, lumen=True))
    session.do(Unlock((1,)))
    session.do(Fill(IN_CELL_1, 1, lumen=True))
    assert session.lumen[IN_CELL_1.slices].all()


def test_a_step_that_is_not_there():
    with pytest.raises(ScutoidError, match="no such step"):
        begin().jump(3)


@pytest.fixture
def file(tmp_path):
    """A file of labels."""
    path = tmp_path / "gland.h5"
    labels = base()
    save_stack(path, Volume(np.zeros(labels.shape, np.uint8), labels.voxel_size_um), labels, {"made": "by hand"})
    return path


@pytest.mark.parametrize("ending", ["h5", "tif", "zarr", "mat"])
def test_saving_writes_a_new_file(file, tmp_path, ending):
    before = file.read_bytes()
    labels = open_labels(file, "label")
    session = begin(tmp_path / "gland.corrections.sqlite", labels)
    session.do(Fill(MIDDLE, 1, lumen=True))
    session.do(Accept((1,)))
    session.do(SetValid((2,), False))
    session.do(Note((2,), "cut"))
    out = tmp_path / f"corrected.{ending}"
    drain(session.save(out))
    assert file.read_bytes() == before
    found = inspect(out)
    name = {"h5": "label", "mat": "label"}.get(ending) or next(
        one.path for one in found.datasets if one.guess == "labels"
    )
    assert (open_labels(out, name).data == session.labels).all()
    if ending == "h5":
        assert (open_volume(out, "lumen").data[:] == session.lumen).all()
    made = found.provenance["corrections"]
    assert made["base"]["sha256"] == session.base.labels_sha256
    assert made["journals"] == [str(session.journal)]
    assert made["authors"] == ["Ana"]
    assert made["edits_by_kind"] == {"fill": 1, "accept": 1, "valid": 1, "note": 1}
    assert found.provenance["source_provenance"]["made"] == "by hand"
    with (tmp_path / "corrected.cells.csv").open(newline="") as table:
        rows = {int(row["cell"]): row for row in csv.DictReader(table)}
    assert list(rows) == [1, 2, 3, 40]
    assert (rows[1]["accepted"], rows[1]["voxels"], rows[1]["valid"]) == ("1", "14", "1")
    assert (rows[2]["valid"], rows[2]["note"], rows[2]["touches_border"]) == ("0", "cut", "1")
    session.close()


def test_the_base_is_never_written_over(file):
    session = begin(labels=open_labels(file, "label"))
    with pytest.raises(ScutoidError, match="never changed"):
        drain(session.save(file))


def test_no_edit_while_saving_or_after_closing(tmp_path):
    session = begin()
    session.do(Accept((3,)))
    out, image = tmp_path / "out.h5", Volume(np.zeros(session.labels.shape, np.uint8))
    for saving in (session.save(out), session.export(out), session.save_truth(out, image)):
        next(saving)
        for meddle in (lambda: session.do(Fill(MIDDLE, 1)), lambda: next(session.save(tmp_path / "b.h5"))):
            with pytest.raises(ScutoidError, match="being saved"):
                meddle()
        saving.close()
        assert not out.exists()
    with session.held("they are being compared"), pytest.raises(ScutoidError, match="being compared"):
        session.do(Fill(MIDDLE, 1))
    session.do(Fill(MIDDLE, 1))
    session.close()
    with pytest.raises(ScutoidError, match="closed"):
        session.undo()


def test_an_empty_lumen_that_was_not_there_is_not_saved(tmp_path):
    session = begin()
    session.do(Fill(MIDDLE, 1, lumen=True))
    session.undo()
    drain(session.save(tmp_path / "out.h5"))
    assert [one.path for one in inspect(tmp_path / "out.h5").datasets] == ["label"]


def test_voxels_are_relative_where_their_size_is_unknown():
    assert begin().spacing == VoxelSize(2.0, 0.5, 0.5)
    assert begin(labels=replace(base(), voxel_size_um=None, source=Source("x"))).spacing == VoxelSize(1, 1, 1)


def test_cancelling_leaves_the_labels_as_they_were(tmp_path):
    path = tmp_path / "a.sqlite"
    session = begin(path)
    for cell in (1, 2, 3):
        session.do(Fill(MIDDLE, cell))
    session.close()
    labels = base()
    job = Session.begin(labels, NO_WALLS, path)
    while (labels.data == base().data).all():
        next(job)
    job.close()
    assert (labels.data == base().data).all()
    job = Session.begin(labels, NO_WALLS, path)
    assert next(step for step in job if step.step == "Measuring cells")
    assert (labels.data[MIDDLE.slices] == 3).all()
    job.close()
    assert (labels.data == base().data).all()
    assert (begin(path).labels[MIDDLE.slices] == 3).all()

"""Background where a cell may be missing: what is found, and what becomes of it."""

from __future__ import annotations

import numpy as np
import pytest
from judged_tissue import EDGE, evidence, labels, scene, suspects, truth

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress, drain
from napari_scutoid.proofread import gaps as gaps_module
from napari_scutoid.proofread.edits.add import Add
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.gaps import find_gaps
from napari_scutoid.proofread.journal import Journal
from napari_scutoid.proofread.journal_merge import merge_journals
from napari_scutoid.proofread.review import Filter, Review
from napari_scutoid.proofread.session import Session
from napari_scutoid.proofread.watch import Watch
from napari_scutoid.volume import Labels, VoxelSize

MIDDLE, OUTER = 14, 5
"""A cube among cubes, and one that looks at the outside with one side."""
SIZE = VoxelSize(1.0, 1.0, 1.0)


def without(*cells, of=None):
    made = truth() if of is None else of
    made[np.isin(made, cells)] = 0
    return made


def gaps(made, walls=True, lumen=None):
    of = scene(made, lumen)
    if not walls:
        of.evidence.walls[:] = 0
    return drain(find_gaps(Watch(lambda: of)))


@pytest.fixture
def opened(tmp_path):
    """Open labels without one cube, with a journal; all that was opened is closed in the end."""
    begun = []

    def open_(cells=(OUTER,), name="a"):
        grid = Labels(without(*cells, of=labels()), SIZE)
        own = drain(Session.begin(grid, evidence(), tmp_path / f"{name}.sqlite"))
        review = Review(own, suspects(own.scene()), gaps=drain(find_gaps(Watch(own.scene))))
        begun.append((own, review))
        return own, review

    yield open_
    for own, review in begun:
        review.close()
        own.close()


def to_the_gap(review, which=None):
    for _ in range(40):
        shown = review.next(*([] if which is None else [which]))
        if shown is None or not shown.cell:
            return shown
    return None


def test_missing_cells_are_found_where_they_are():
    made = without(MIDDLE, OUTER)
    found = gaps(made)
    assert {int(truth()[gap.place]) for gap in found} == {MIDDLE, OUTER}
    assert int(truth()[found[0].place]) == MIDDLE
    inner = found[0]
    assert inner.size == pytest.approx((EDGE - 2) ** 3 / EDGE**3, rel=0.05)  # its walls are not in it
    assert (inner.closed, inner.among) == (1.0, 1.0)
    assert found[1].closed == 1.0 and 0.6 < found[1].among < 1


def test_whole_tissue_has_no_gap():
    assert gaps(truth()) == [] == gaps(np.zeros((9, 9, 9), np.uint32))


def test_what_is_open_to_the_outside_is_none_and_what_cells_enclose_needs_no_wall():
    assert gaps(without(OUTER), walls=False) == []
    assert [int(truth()[gap.place]) for gap in gaps(without(MIDDLE), walls=False)] == [MIDDLE]


def test_lumen_and_what_is_too_small_or_too_large_is_none():
    assert gaps(without(MIDDLE), lumen=truth() == MIDDLE) == []
    small = truth()
    small[14:16, 13:15, 13:15] = 0
    assert gaps(small) == []
    assert gaps(without(13, 14, 15, 11, 17, 5), walls=False) == []


def test_cells_that_the_border_cuts_are_found():
    half = np.s_[14:]
    of = scene(without(MIDDLE)[half])
    of.evidence.walls = evidence().walls[half]
    assert [int(truth()[half][gap.place]) for gap in drain(find_gaps(Watch(lambda: of)))] == [MIDDLE]


def test_an_edge_of_the_stack_beside_the_tissue_is_none(monkeypatch):
    of = scene(without(1, 2, 3)[2:-2, 2:-2, 2:-2])
    of.evidence.walls = np.where(of.labels > 0, 255, 0).astype(np.uint8)
    assert drain(find_gaps(Watch(lambda: of))) == []
    monkeypatch.setattr(gaps_module, "_CUT", 1.0)
    assert len(drain(find_gaps(Watch(lambda: of)))) == 1


def test_a_large_stack_is_looked_at_in_blocks_and_by_the_way():
    made = np.kron(without(MIDDLE), np.ones((3, 3, 3), np.uint32))[:-1, :, :-2]
    of = scene(made.astype(np.uint32))
    of.evidence.walls = np.kron(evidence().walls, np.ones((3, 3, 3), np.uint8))[:-1, :, :-2]
    steps = find_gaps(Watch(lambda: of))
    told: list[Progress] = []
    found = drain(steps, told.append)
    assert all(isinstance(one, Progress) for one in told) and len(told) < made.shape[0]
    assert [int(np.kron(truth(), np.ones((3, 3, 3)))[gap.place]) for gap in found] == [MIDDLE]


def test_blocks_are_larger_where_they_would_be_too_many(monkeypatch):
    monkeypatch.setattr(gaps_module, "_MOST_BLOCKS", 3000)
    of = scene(without(MIDDLE))
    of.evidence.walls[:] = 0
    found = drain(find_gaps(Watch(lambda: of)))
    assert [int(truth()[gap.place]) for gap in found] == [MIDDLE]


def test_a_gap_comes_between_the_cells_and_is_filled(opened):
    own, review = opened()
    shown = to_the_gap(review)
    assert (shown.cell, shown.cells, shown.fix_title) == (0, [], "Add a cell here")
    assert shown.fix == Add((shown.place,))
    assert shown.reasons[1] == "walls or cells close 100% of its surface"
    assert review.follow() is shown and not review.is_behind
    review.fix()
    new = own.next_id - 1
    assert review.is_behind and review.follow().cell == new
    assert own.index.voxels(new) > 0.4 * EDGE**3
    assert to_the_gap(review) is None
    own.undo()
    assert to_the_gap(review).place == shown.place
    assert to_the_gap(review, Filter(flagged=True)) is None
    assert to_the_gap(review, Filter(at_border=True)) is None
    assert to_the_gap(review, Filter(near=(40.0, 40.0, 40.0), within=3.0)) is None
    assert to_the_gap(review, Filter(near=shown.place, within=3.0)).place == shown.place


def test_surer_cells_come_before_a_gap_and_others_after(opened):
    own, review = opened()
    shown = [review.next() for _ in range(len(own.index) + 1)]
    chances = [one.probability for one in shown]
    assert chances == sorted(chances, reverse=True)
    assert [one.cell for one in shown].count(0) == 1 and shown[-1].cell


@pytest.mark.parametrize("say", ["accept", "skip"])
def test_where_no_cell_is_missing_is_remembered(opened, say):
    own, review = opened()
    to_the_gap(review)
    with pytest.raises(ScutoidError, match="cannot be flagged"):
        review.flag()
    getattr(review, say)()
    assert to_the_gap(review) is None
    assert len(own.no_cells()) == 1 and not len(own.history)
    own.close()
    _, again = opened()
    assert to_the_gap(again) is None


def test_an_undo_takes_back_that_no_cell_is_missing_before_the_edit_that_it_followed(opened):
    own, review = opened((OUTER, 11))
    own.do(Delete((1,)))
    places = []
    for _ in range(2):
        places.append(to_the_gap(review).place)
        assert review.skip().title == "No cell is missing here"
    assert len(own.no_cells()) == 2 and to_the_gap(review) is None and own.can_undo
    heard = []
    own.heard.append(heard.append)
    assert own.undo().focus == places[1] and len(heard) == 1
    assert to_the_gap(review).place == places[1] and len(own.no_cells()) == 1
    own.undo()
    assert own.no_cells() == [] and 1 not in own.index and own.history.redo_step is None
    own.undo()
    assert 1 in own.index and not own.can_undo


def test_an_undo_takes_back_later_edits_first_and_keeps_what_could_not_be_forgotten(opened):
    own, review = opened()
    to_the_gap(review)
    review.skip()
    own.do(Delete((1,)))
    own.undo()
    assert len(own.no_cells()) == 1
    with own.held("they are being saved"), pytest.raises(ScutoidError):
        own.undo()
    assert len(own.no_cells()) == 1 and own.undo() is not None and own.no_cells() == []


@pytest.mark.parametrize("say", ["accept", "skip", "flag"])
def test_what_is_said_after_a_gap_was_filled_is_meant_for_the_new_cell(opened, say):
    own, review = opened()
    own.do(to_the_gap(review).fix)
    new = own.next_id - 1
    getattr(review, say)()
    state = own.states[new]
    assert (state.accepted, state.flagged, state.seen) == (say == "accept", say == "flag", say != "flag")
    assert own.no_cells() == [] and review.current.cell == new


def test_what_was_shown_before_is_shown_again_as_it_is_now(opened):
    own, review = opened()
    gap = to_the_gap(review)
    cell = review.next()
    assert review.show_again(gap) is review.current is gap
    own.do(gap.fix)
    assert review.show_again(gap).cell == own.next_id - 1
    assert review.show_again(cell).cell == cell.cell
    own.do(Delete((cell.cell,)))
    assert review.show_again(cell) is None


def test_places_are_asked_again_only_where_an_edit_was(opened, monkeypatch):
    own, review = opened(())
    own.do(Delete((OUTER,)))
    late = Review(own, review.suspects, gaps=drain(find_gaps(Watch(own.scene))))
    asked = []
    is_emptied = own.handwork.is_emptied
    monkeypatch.setattr(own.handwork, "is_emptied", lambda place: asked.append(place) or is_emptied(place))
    assert to_the_gap(late) is None and len(asked) == 1
    own.do(Delete((27,)))
    assert to_the_gap(late) is None and len(asked) == 1
    own.undo()
    own.undo()
    own.redo()
    assert to_the_gap(late) is None and len(asked) == 2
    late.close()


def test_a_thin_lumen_between_many_cells_is_none(monkeypatch):
    made = np.kron(np.arange(1, 97, dtype=np.uint32).reshape(4, 4, 6), np.ones((8, 8, 8), np.uint32))
    made[15:17, 14:18, 4:-4] = 0
    of = scene(made)
    of.evidence.walls = np.zeros(made.shape, np.uint8)
    assert drain(find_gaps(Watch(lambda: of))) == []
    monkeypatch.setattr(gaps_module, "_NEIGHBOURS", 99)
    assert len(drain(find_gaps(Watch(lambda: of)))) == 1


def test_cells_around_are_counted_by_their_shares():
    assert gaps_module._counted(np.array([0, 0], np.uint32)) == 0
    assert gaps_module._counted(np.repeat(np.arange(7, dtype=np.uint32), 5)) == pytest.approx(6)
    assert gaps_module._counted(np.array([5] * 99 + [6], np.uint32)) == pytest.approx(1.02, abs=0.01)


def test_what_is_too_small_or_far_from_cells_is_not_measured(monkeypatch):
    noise = np.random.default_rng(0).random((24, 40, 40)) < 0.15
    what = np.where(noise, gaps_module._SOLID, gaps_module._OPEN).astype(np.uint8)
    what[10:20, 10:20, 10:20] = gaps_module._CELL
    what[12:18, 12:18, 12:18] = gaps_module._OPEN
    measured, measure = [], gaps_module._measured
    monkeypatch.setattr(gaps_module, "_measured", lambda *told: measured.append(told) or measure(*told))
    steps = gaps_module._gaps(gaps_module._Blocks(what, (1.0, 1.0, 1.0), 10.0), lambda box: what[box.slices])
    told: list[Progress] = []
    found = drain(steps, told.append)
    assert len(found) == 1 and all(12 <= i < 18 for i in found[0].place)
    assert 1 <= len(measured) == len(told) < 0.05 * told[0].total


def test_what_a_person_has_deleted_is_no_gap(opened):
    own, review = opened(())
    own.do(Delete((OUTER,)))
    late = Review(own, review.suspects, gaps=drain(find_gaps(Watch(own.scene))))
    assert to_the_gap(late) is None
    late.close()
    own.close()
    own, review = opened(())
    assert OUTER not in own.index and to_the_gap(review) is None


def test_two_peoples_answers_are_joined(opened, tmp_path):
    for name in "ab":
        own, review = opened((OUTER, 11), name)
        to_the_gap(review)
        if name == "b":
            to_the_gap(review)
        review.skip()
        base = own.base
        own.close()
    with Journal.read(tmp_path / "a.sqlite") as one, Journal.read(tmp_path / "b.sqlite") as other:
        assert len(set(merge_journals(base, one, other).no_cells)) == 2


@pytest.mark.parametrize("text", ['["a", 1, 2]', "[1, 2]", "[-1, 2, 3]", f"[1{400 * '0'}, 2, 3]", "[1, 2, 999]", "{}"])
def test_a_damaged_answer_is_refused(opened, text):
    own, _ = opened()
    own._journal.tell("no cell", {"odd": text})
    with pytest.raises(ScutoidError):
        own.no_cells()

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_tissue import MERGED, PIECE, REST, session, suspects

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.merge import Merge
from napari_scutoid.proofread.reasons import BestCut, face_place
from napari_scutoid.proofread.review import Filter, Review, in_words
from napari_scutoid.proofread.suspects import Suspects

WRONG = {MERGED, PIECE, REST}


@pytest.fixture
def review():
    own = session()
    made = Review(own, suspects(own.scene()))
    yield made
    made.close()
    own.close()


def look_again(review):
    while review.look_again():
        pass


def go_to(review, cell):
    while (shown := review.next()) is not None:
        if shown.cell == cell:
            return shown
    raise AssertionError(cell)


def test_the_most_suspect_comes_first_and_each_once_a_round(review):
    shown = [review.next().cell for _ in range(27)]
    assert set(shown[:3]) == WRONG
    assert len(set(shown)) == 27
    assert review.next().cell == shown[0]


def test_a_weak_wall_is_told_shown_and_merged(review):
    shown = go_to(review, PIECE)
    assert shown.reason == f"weak wall to cell {REST}: 0.39"
    assert (shown.other, shown.fix, shown.fix_title) == (REST, Merge((PIECE, REST)), f"Merge with cell {REST}")
    assert shown.place == face_place(review.session.scene(), REST, PIECE)
    review.fix()
    assert PIECE not in review.session.index
    assert PIECE not in review.suspects
    look_again(review)
    assert review.suspects.probability(REST) < 0.2


def test_two_cells_in_one_are_told_and_cut(review):
    shown = go_to(review, MERGED)
    assert shown.reason == "may be two cells: a cut with 0.90 evidence"
    assert (shown.other, shown.fix, shown.fix_title) == (None, BestCut(MERGED), "Split in two")
    review.fix()
    look_again(review)
    assert sorted(review.session.index.voxels(cell) for cell in review.session.index.cells.tolist())[-1] == 512
    assert len(review.suspects) == len(review.session.index) == 28
    assert review.suspects.probability(MERGED) < 0.2


def test_what_is_undone_is_suspect_again(review):
    go_to(review, PIECE)
    review.fix()
    review.session.undo()
    assert PIECE not in review.suspects
    assert {review.next().cell for _ in range(2)} == {PIECE, REST}
    assert review.suspects.probability(PIECE) > 0.5


def test_a_cell_is_looked_at_again_once_it_is_wanted_or_there_is_time(review):
    review.session.do(Merge((REST, PIECE)))
    before = review.suspects.look(REST)
    assert before.voxels < review.session.index.voxels(REST)
    assert review.look_again()
    assert review.suspects.look(REST).voxels == review.session.index.voxels(REST)
    review.session.undo()
    assert review.show(PIECE).probability > 0.5
    assert review.suspects.look(REST).voxels != review.session.index.voxels(REST)
    shown = [review.next().cell for _ in range(27)]
    assert set(shown[:3]) == WRONG
    assert not review.look_again()


@settings(max_examples=5)
@given(
    st.lists(
        st.tuples(st.sampled_from(["merge", "delete", "cut", "undo", "redo", "look"]), st.integers(0, 99)), max_size=6
    )
)
def test_once_all_was_looked_at_again_nothing_tells_in_which_order(steps):
    own = session()
    review = Review(own, suspects(own.scene()))
    try:
        for what, number in steps:
            cells = own.index.cells.tolist()
            cell = cells[number % len(cells)]
            near = sorted(own.index.neighbours(cell))
            if what == "merge" and near:
                own.do(Merge((cell, near[number % len(near)])))
            elif what == "delete":
                own.do(Delete((cell,)))
            elif what == "cut" and MERGED in own.index:
                own.do(BestCut(MERGED))
            elif what in ("undo", "redo"):
                getattr(own, what)()
            elif what == "look":
                review.look_again()
        look_again(review)
        found = review.suspects
        fresh = Suspects(found.judge, found._step, (), found.tissue)
        fresh.update(own.scene(), own.index.cells.tolist())
        assert {cell: found.odds(cell).wrong for cell in found.cells} == pytest.approx(
            {cell: fresh.odds(cell).wrong for cell in fresh.cells}
        )
        assert sorted(found.cells) == own.index.cells.tolist()
        afresh = Review(own, found)
        assert review._order == afresh._order
        afresh.close()
    finally:
        review.close()
        own.close()


def test_accepted_skipped_and_flagged_cells_do_not_come_again(review):
    first = review.next().cell
    review.accept()
    second = review.next().cell
    review.skip()
    third = review.next().cell
    review.flag("odd")
    assert review.session.states[first].accepted
    assert review.session.states[second].seen
    assert (review.session.states[third].flagged, review.session.states[third].note) == (True, "odd")
    assert {review.next().cell for _ in range(24)}.isdisjoint({first, second, third})
    assert len(review) == 24
    assert review.next(Filter(flagged=True)).cell == third
    review.session.undo()
    review.session.undo()
    assert third in {review.next().cell for _ in range(25)}


def test_a_skipped_cell_comes_again_when_an_edit_changes_it(review):
    go_to(review, REST)
    review.skip()
    review.session.do(Merge((REST, PIECE)))
    assert go_to(review, REST).cell == REST


def test_filters(review):
    index = review.session.index
    near = index.centroid(1)
    assert review.next(Filter(near=near, within=1.0)).cell == 1
    assert review.next(Filter(near=(0.0, 0.0, 0.0), within=0.5)) is None
    assert review.current is None
    assert review.next(Filter(at_border=True)) is None
    assert review.next(Filter(flagged=True)) is None
    seen = review.next().cell
    review.accept()
    assert seen in {review.next(Filter(unseen=False)).cell for _ in range(27)}


def test_neighbours_of_a_deleted_cell_are_looked_at_again(review):
    middle = 5
    patches = review.suspects.look(2).free_patches
    exposed = review.session.index.exposed(2)
    review.session.do(Delete((middle,)))
    look_again(review)
    assert middle not in review.suspects
    assert review.session.index.exposed(2) > exposed
    assert review.suspects.look(2).free_patches >= patches


def test_accepted_neighbours_are_not_proposed_for_merging(review):
    go_to(review, REST)
    review.accept()
    shown = review.show(PIECE)
    assert shown.fix is None
    with pytest.raises(ScutoidError, match="Nothing is proposed"):
        review.fix()


def test_nothing_can_be_said_of_no_cell(review):
    for act in (review.accept, review.skip, review.fix, review.flag):
        with pytest.raises(ScutoidError, match="No cell is shown"):
            act()
    with pytest.raises(ScutoidError, match="there is no such cell"):
        review.show(999)


def test_what_changed_before_the_review_began_is_looked_at_again(review):
    own = review.session
    found = suspects(own.scene())
    changes = [own.do(Merge((REST, PIECE))), own.do(Delete((5,)))]
    late = Review(own, found, changes)
    assert 5 not in found and PIECE not in found and len(late) == len(own.index)
    look_again(late)
    fresh = Suspects(found.judge, found._step, (), found.tissue)
    fresh.update(own.scene(), own.index.cells.tolist())
    assert {cell: found.odds(cell).wrong for cell in found.cells} == pytest.approx(
        {cell: fresh.odds(cell).wrong for cell in fresh.cells}
    )
    late.close()


def test_a_closed_review_hears_nothing(review):
    review.close()
    review.session.do(Merge((REST, PIECE)))
    assert PIECE in review.suspects


def test_progress_counts_time_at_work_only():
    own = session()
    review = Review(own, suspects(own.scene()))
    for _ in range(3):
        review.next()
        review.accept()
    moves = own.history.moves
    start = datetime(2026, 1, 5, 9, tzinfo=UTC)
    times = [start, start + timedelta(minutes=4), start + timedelta(hours=9)]
    moves[:] = [type(move)(move.head, move.action, move.author, at) for move, at in zip(moves, times, strict=True)]
    review._clock = lambda: times[-1] + timedelta(minutes=2)
    assert review.progress() == "3 of 27 cells accepted, 30 an hour, about 48 min left"
    review._clock = lambda: times[-1] + timedelta(hours=2)
    assert review.progress() == "3 of 27 cells accepted, 45 an hour, about 32 min left"
    review.close()
    own.close()


@pytest.mark.parametrize(
    ("accepted", "total", "hours", "words"),
    [
        (412, 2310, 6.75, "412 of 2310 cells accepted, 61 an hour, about 31 h left"),
        (0, 20, 2.0, "0 of 20 cells accepted"),
        (20, 20, 2.0, "20 of 20 cells accepted"),
        (3, 20, 0.001, "3 of 20 cells accepted"),
        (100, 110, 1.0, "100 of 110 cells accepted, 100 an hour, about 6 min left"),
    ],
)
def test_progress_in_words(accepted, total, hours, words):
    assert in_words(accepted, total, timedelta(hours=hours)) == words

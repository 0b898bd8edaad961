from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_tissue import MERGED, PIECE, REST, evidence, judge, labels, session, suspects
from scripted import ACTIONS, Fill, act, begin, boxes

from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import Difference
from napari_scutoid.proofread.differences import Take, differences
from napari_scutoid.proofread.edits.add import Add
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.merge import Merge
from napari_scutoid.proofread.edits.repair import Smooth
from napari_scutoid.proofread.edits.split import Split
from napari_scutoid.proofread.edits.stroke import Paint
from napari_scutoid.proofread.handwork import Handwork
from napari_scutoid.proofread.reasons import BestCut, suspect
from napari_scutoid.proofread.review import Filter, Review
from napari_scutoid.proofread.scene import Guards
from napari_scutoid.proofread.session import Session
from napari_scutoid.volume import Labels, VoxelSize

NEW = 101
"""The number that the first new cell gets."""
SLICE_OFF = Split(1, (((2.0, 5.0, 5.0),), ((8.0, 5.0, 5.0), (5.0, 5.0, 5.0), (7.0, 2.0, 2.0))))
"""Cuts a flat piece off a true cell, without a wall."""


@dataclass(frozen=True)
class Named(Fill):
    """Fills a box under any name."""

    kind: str = ""

    def plan(self, scene):
        return replace(super().plan(scene), kind=self.kind)


KINDS = st.sampled_from(["split", "merge", "paint", "erase", "take", "delete", "smooth"])
DRAWN = st.builds(Named, boxes(), st.sampled_from([None, 0, 1, 2, 3, 40]), st.none(), KINDS)


@pytest.fixture
def own():
    made = session()
    yield made
    made.close()


@pytest.fixture
def review(own):
    made = Review(own, suspects(own.scene()))
    yield made
    made.close()


def look_again(review):
    while review.look_again():
        pass


def order(review):
    """Return all cells in the order in which they come, with what is said of each."""
    look_again(review)
    afresh = Review(review.session, review.suspects)
    told = [afresh.next(Filter(unseen=False)) for _ in range(len(review.session.index))]
    afresh.close()
    return [(one.cell, round(one.probability, 6), one.fix, one.reasons) for one in told]


def said(handwork):
    cells = range(60)
    made = [cell for cell in cells if cell in handwork]
    parted = [(a, b) for a in made for b in made if handwork.is_parted(a, b)]
    places = [(z, y, x) for z in (0, 2) for y in (0, 4) for x in (0, 4)]
    joined = [(cell, p, q) for cell in made for p in places for q in places if handwork.is_joined(cell, (p, q))]
    return made, parted, joined


def test_what_each_edit_makes(own):
    hand = own.handwork
    own.do(SLICE_OFF)
    assert 1 in hand and NEW in hand and 2 not in hand
    assert hand.is_parted(1, NEW) and hand.is_parted(NEW, 1) and not hand.is_parted(1, 2)
    own.do(Merge((2, NEW)))
    assert 2 in hand and hand.is_parted(1, 2)
    assert hand.is_joined(2, ((2, 5, 5), (5, 5, 14))) and not hand.is_joined(2, ((2, 5, 5), (2, 4, 5)))
    own.do(Delete((5,)))
    assert 5 not in hand and 6 not in hand
    own.do(Add(((5.0, 14.0, 14.0),)))
    assert own.next_id - 1 in hand
    own.do(Smooth(9))
    assert 9 not in hand
    own.do(Paint(9, ((5.0, 20.0, 20.0), (5.0, 20.0, 16.0)), 2.0, guards=Guards(other_cells=True)))
    assert 9 in hand and 8 not in hand
    own.jump(0)
    assert said(hand) == ([], [], [])


def test_a_piece_of_a_piece_is_parted_from_all_others(own):
    own.do(Split(MERGED, (((15.0, 14.0, 14.0),), ((15.0, 14.0, 22.0),))))
    own.do(Split(MERGED, (((11.0, 14.0, 14.0),), ((17.0, 14.0, 14.0),))))
    pieces = [MERGED, NEW, NEW + 1]
    assert all(own.handwork.is_parted(a, b) for a in pieces for b in pieces)
    own.undo()
    assert own.handwork.is_parted(MERGED, NEW) and NEW + 1 not in own.handwork


def test_cells_of_another_segmentation_are_the_programs_again(own):
    own.do(SLICE_OFF)
    found = drain(differences(own.labels, labels(), own.index))
    own.do(Take(found[0]))
    assert 1 not in own.handwork
    own.undo()
    assert 1 in own.handwork and own.handwork.is_parted(1, NEW)


def test_what_was_taken_away_by_another_segmentation_is_not_empty_on_purpose(own):
    place, without = (5, 14, 14), labels()
    without[without == int(own.labels[place])] = 0
    found = drain(differences(own.labels, without, own.index))
    own.do(Take(found[0]))
    assert own.labels[place] == 0 and not own.handwork.is_emptied(place)
    own.undo()
    own.do(Delete((int(own.labels[place]),)))
    assert own.handwork.is_emptied(place)
    own.do(Add((tuple(map(float, place)),)))
    assert own.labels[place]
    gone = own.labels.copy()
    gone[gone == own.labels[place]] = 0
    own.do(Take(drain(differences(own.labels, gone, own.index))[0]))
    assert own.labels[place] == 0 and not own.handwork.is_emptied(place)


def test_merges_are_unpacked_once(own, monkeypatch):
    own.do(Merge((1, 2)))
    own.do(Merge((1, 4)))
    unpacked, where = [], Difference.where
    monkeypatch.setattr(Difference, "where", lambda self: unpacked.append(self) or where(self))
    places = ((5, 5, 5), (5, 5, 14))
    assert own.handwork.is_joined(1, places)
    n = len(unpacked)
    assert n and own.handwork.is_joined(1, places) and len(unpacked) == n


@settings(max_examples=40)
@given(st.lists(st.one_of(DRAWN, DRAWN, ACTIONS.map(lambda some: some[0] if some else "undo")), max_size=12))
def test_it_is_what_the_edits_in_effect_say_whatever_was_undone(actions):
    own = begin()
    for action in actions:
        act(own, action)
    afresh = Handwork()
    for step in own.history.line():
        afresh.do(step, own._journal.change(step))
    assert said(own.handwork) == said(afresh)
    own.jump(0)
    assert said(own.handwork) == ([], [], [])
    own.close()


def test_pieces_that_one_has_made_oneself_do_not_come_back(review):
    before = order(review)
    review.session.do(SLICE_OFF)
    look_again(review)
    raw = review.suspects
    assert raw.face_probability(1, NEW) > 0.8 and min(raw.probability(1), raw.probability(NEW)) > 0.3
    assert {review.next().cell for _ in range(3)} == {MERGED, PIECE, REST}
    for cell in (1, NEW):
        shown = review.show(cell)
        assert (shown.fix, shown.other) == (None, None) and shown.probability < 0.15
        assert shown.reasons == ("made by an edit; nothing else speaks against it",)
    review.session.undo()
    assert order(review) == before
    review.session.redo()
    look_again(review)
    assert review.show(NEW).fix is None


def test_a_small_piece_is_not_deleted_but_for_others_it_is_proposed(own):
    by = judge()
    small = replace(by.invented, intercept=3.0)
    found = suspects(own.scene(), by=replace(by, invented=small))
    assert suspect(own.scene(), found, 1, own.handwork).fix == Delete((1,))
    own.do(SLICE_OFF)
    found.update(own.scene(), (1, NEW))
    assert suspect(own.scene(), found, NEW, own.handwork).fix is None
    assert suspect(own.scene(), found, NEW, Handwork()).fix == Delete((NEW,))


def test_a_piece_that_still_holds_two_cells_comes(review):
    review.session.do(
        Split(MERGED, (((11.0, 14.0, 14.0), (11.0, 14.0, 22.0)), ((17.0, 14.0, 14.0), (17.0, 14.0, 22.0))))
    )
    look_again(review)
    first = [review.next() for _ in range(4)]
    assert {MERGED, NEW} <= {shown.cell for shown in first}
    assert {shown.fix for shown in first if shown.cell in (MERGED, NEW)} == {BestCut(MERGED), BestCut(NEW)}


def test_cells_that_one_has_merged_are_not_to_be_split_along_that_wall(review):
    review.session.do(Merge((1, 2)))
    look_again(review)
    assert review.suspects.probability(1) > 0.8
    shown = review.show(1)
    assert shown.fix is None and shown.probability < 0.2
    review.session.do(Merge((PIECE, REST)))
    review.session.do(Merge((REST, 26)))
    look_again(review)
    assert review.show(min(REST, 26)).fix is None


def test_a_piece_may_belong_to_the_cell_beside_it(review):
    review.session.do(Split(REST, (((23.0, 20.0, 22.0), (21.0, 25.0, 25.0)), ((19.0, 22.0, 22.0), (18.0, 18.0, 18.0)))))
    look_again(review)
    pieces = [cell for cell in (REST, NEW) if review.session.index.contact(cell, PIECE)]
    assert any(review.show(cell).fix == Merge((cell, PIECE)) for cell in pieces)


def test_a_restart_says_the_same(tmp_path):
    def opened():
        grid = Labels(labels(), VoxelSize(1.0, 1.0, 1.0))
        return drain(Session.begin(grid, evidence(), tmp_path / "a.sqlite"))

    own = opened()
    review = Review(own, suspects(own.scene()))
    usual = review.suspects
    for edit in (SLICE_OFF, Merge((PIECE, REST)), BestCut(MERGED), Delete((5,)), Merge((1, 4))):
        own.do(edit)
    own.undo()
    told, made = order(review), said(own.handwork)
    review.close()
    own.close()
    again = opened()
    assert said(again.handwork) == made
    found = suspects(again.scene())
    found.tissue = usual.tissue
    found.update(again.scene(), again.index.cells.tolist())
    late = Review(again, found)
    assert order(late) == told
    again.redo()
    assert 1 in again.handwork and again.handwork.is_parted(1, NEW)
    late.close()
    again.close()

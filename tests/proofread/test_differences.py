from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from paint_scenes import applied, scene_of

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import CellState
from napari_scutoid.proofread.differences import Take, differences
from napari_scutoid.proofread.resegment import kept_accepted


def row(*ids):
    """A stack of 3 x 3 x n voxels, the same along z and y."""
    return np.ascontiguousarray(np.broadcast_to(np.array(ids, np.uint32), (3, 3, len(ids))))


def middle(labels):
    return labels[1, 1].tolist()


def compared(scene, new, **how):
    return drain(differences(scene.labels, new, scene.index, scene.locked, **how))


def taken(scene, proposal):
    return applied(scene, Take(proposal).plan(scene))[0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ((5, 5, 5, 5), (5, 5, 8, 8), "cell 5 becomes 2 cells"),
        ((5, 5, 6, 6), (9, 9, 9, 9), "cells 5 and 6 become one"),
        ((5, 5, 5, 5), (5, 5, 5, 0), "cell 5 loses 25 % of its voxels"),
        ((5, 5, 5, 0), (5, 5, 5, 5), "cell 5 gains 33 % of its voxels"),
        ((0, 5, 5, 5), (5, 5, 5, 0), "cell 5 loses 33 % and gains 33 % of its voxels"),
        ((5, 5, 0, 0), (5, 5, 8, 8), "a new cell of 18 voxels"),
        ((5, 5, 6, 6), (5, 5, 0, 0), "cell 6 disappears"),
        ((5, 5, 5, 6, 6), (5, 5, 6, 6, 6), "cells 5 and 6 are divided elsewhere"),
        ((5, 5, 5, 6, 6, 6), (5, 5, 8, 8, 9, 9), "cells 5 and 6 become 3 other cells"),
    ],
)
def test_a_change_in_words_and_taken(old, new, words) -> None:
    scene = scene_of(row(*old))
    (proposal,) = compared(scene, row(*new))
    assert proposal.words == words
    after = taken(scene, proposal)
    fresh = {cell for cell in new if cell not in {0, *old}}
    table = {cell: scene.next_id + number for number, cell in enumerate(sorted(fresh))}
    assert middle(after) == [table.get(cell, cell) for cell in new]


def test_boundaries_that_hardly_move_are_no_difference() -> None:
    old, new = row(*[5] * 20, *[6] * 20), row(*[5] * 21, *[6] * 19)
    assert compared(scene_of(old), new) == []
    assert len(compared(scene_of(old), new, least=0.02)) == 1


def test_the_largest_change_comes_first_and_says_where_it_is() -> None:
    old, new = row(1, 1, 2, 2, 2, 2, 3), row(1, 1, 2, 2, 0, 0, 0)
    first, second = compared(scene_of(old), new)
    assert (first.old, second.old, first.changed, second.changed) == ((2,), (3,), 18, 9)
    assert first.place == (1.0, 1.0, 3.5)
    assert first.sizes == (18,)


def test_accepted_cells_are_in_no_proposal() -> None:
    scene = scene_of(row(1, 1, 2, 2, 2, 2), accepted=[1])
    new = drain(kept_accepted(row(1, 1, 1, 2, 3, 3), scene.labels, scene.locked, scene.next_id))
    assert all(1 not in proposal.old + proposal.new for proposal in compared(scene, new))


def test_one_is_taken_after_another_and_the_rest_stays() -> None:
    scene = scene_of(row(1, 1, 1, 1, 2, 2, 3, 3))
    new = row(1, 1, 8, 8, 2, 2, 2, 2)
    proposals = {proposal.old: proposal for proposal in compared(scene, new)}
    assert set(proposals) == {(1,), (2, 3)}
    once = taken(scene, proposals[2, 3])
    assert middle(once) == [1, 1, 1, 1, 2, 2, 2, 2]
    assert middle(taken(scene_of(once), proposals[1,])) == [1, 1, 3, 3, 2, 2, 2, 2]


def test_what_other_cells_would_get_goes_to_the_nearest_new_one() -> None:
    scene = scene_of(row(*[1] * 20, *[2] * 20))
    new = row(*[1] * 9, *[8] * 10, *[2] * 21)
    (proposal,) = compared(scene, new)
    assert proposal.words == "cell 1 becomes 2 cells"
    assert middle(taken(scene, proposal)) == [*[1] * 9, *[3] * 11, *[2] * 20]


def test_a_cell_split_since_is_replaced_with_its_parts() -> None:
    (proposal,) = compared(scene_of(row(1, 1, 1, 1, 1, 1)), row(1, 1, 8, 8, 8, 8))
    assert middle(taken(scene_of(row(1, 1, 1, 5, 5, 5)), proposal)) == [1, 1, 6, 6, 6, 6]


def test_a_cell_that_is_elsewhere_by_now_stays() -> None:
    (proposal,) = compared(scene_of(row(1, 1, 0, 0, 0, 0)), row(8, 9, 0, 0, 0, 0))
    moved = scene_of(row(1, 1, 1, 1, 1, 1))
    with pytest.raises(ScutoidError, match="changed since"):
        Take(proposal).plan(moved)


def test_a_cell_accepted_since_is_not_replaced() -> None:
    scene = scene_of(row(1, 1, 1, 1))
    (proposal,) = compared(scene, row(1, 1, 8, 8))
    locked = replace(scene, states={1: CellState(accepted=True)})
    with pytest.raises(ScutoidError, match="cell 1 is accepted"):
        Take(proposal).plan(locked)


def test_the_lumen_stays() -> None:
    scene = scene_of(row(1, 1, 0, 0), lumen=row(0, 0, 0, 1) > 0)
    (proposal,) = compared(scene, row(1, 1, 1, 1))
    assert middle(taken(scene, proposal)) == [1, 1, 1, 0]


ids = st.sampled_from([0, 0, 1, 2, 3, 4])
stacks = arrays.arrays(np.uint32, (3, 4, 5), elements=ids)


@given(stacks, stacks, stacks, st.sets(st.sampled_from([1, 2, 3])))
def test_any_proposal_can_be_taken_in_any_state(new, old, later, accepted) -> None:
    scene = scene_of(old, accepted=[cell for cell in accepted if (old == cell).any()])
    made = drain(kept_accepted(new, scene.labels, scene.locked, scene.next_id))
    for proposal in compared(scene, made):
        for now in (scene, scene_of(later, accepted=[cell for cell in accepted if (later == cell).any()])):
            try:
                change = Take(proposal).plan(now)
            except ScutoidError:
                continue
            applied(now, change)

"""Differences: packed, applied, taken back, and never trusted."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_scutoid.box import Box
from napari_scutoid.proofread.change import CellState, Change, Difference, StateChange, cells_in, focus_of

SHAPE = (3, 4, 5)
IDS = st.sampled_from([0, 1, 2, 300, 2**32 - 1])
STACKS = arrays.arrays(np.uint32, SHAPE, elements=IDS)
WHOLE = Box.whole(SHAPE)
PART = Box((0, 1, 1), (2, 2, 3))


def example():
    before, after = np.zeros(SHAPE, np.uint32), np.zeros(SHAPE, np.uint32)
    before[0, 0, 0], after[0, 0, 0], after[1, 2, 3] = 5, 6, 7
    difference = Difference.between(WHOLE, before, after)
    assert difference is not None
    return difference, before, after


@given(STACKS, STACKS)
def test_a_difference_leads_there_and_back(before, after):
    difference = Difference.between(WHOLE, before, after)
    if difference is None:
        assert (before == after).all()
        return
    array = before.copy()
    difference.apply(array)
    assert (array == after).all()
    difference.inverse().apply(array)
    assert (array == before).all()
    assert difference.inverse().inverse() == difference
    assert difference.box == Box.of(before != after)
    assert difference.n == np.count_nonzero(before != after)
    assert cells_in(difference) == (set(before[before != after].tolist()), set(after[before != after].tolist()))


@given(STACKS, arrays.arrays(np.uint32, PART.shape, elements=IDS))
def test_a_part_lies_where_its_box_says(stack, part):
    difference = Difference.between(PART, stack[PART.slices], part)
    array = stack.copy()
    if difference is not None:
        difference.apply(array)
        assert difference.box.overlap(PART) == difference.box
    assert (array[PART.slices] == part).all()
    array[PART.slices] = stack[PART.slices]
    assert (array == stack).all()


@given(arrays.arrays(np.bool_, SHAPE), arrays.arrays(np.bool_, SHAPE))
def test_masks_differ_as_ids_do(before, after):
    difference = Difference.between(WHOLE, before, after)
    array = before.copy()
    if difference is not None:
        difference.apply(array)
    assert (array == after).all()


def test_what_it_does_not_start_from_is_left_as_it_is():
    difference, before, _ = example()
    array = before + np.uint32(1)
    kept = array.copy()
    with pytest.raises(ValueError, match="does not hold what the difference starts from"):
        difference.apply(array)
    assert (array == kept).all()


def test_a_box_outside_the_stack():
    difference, _, _ = example()
    with pytest.raises(ValueError, match="leaves"):
        difference.apply(np.zeros((2, 2, 2), np.uint32))
    with pytest.raises(ValueError, match="leaves"):
        replace(difference, box=difference.box.shifted((-1, 0, 0))).apply(np.zeros(SHAPE, np.uint32))


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="differ in shape"):
        Difference.between(WHOLE, np.zeros(SHAPE), np.zeros((1, 4, 5)))


@pytest.mark.parametrize(
    "damage",
    [
        {"mask": b"no zlib"},
        {"mask": b""},
        {"mask": zlib.compress(bytes(1))},
        {"mask": zlib.compress(b"\xff" * 3)},
        {"mask": zlib.compress(bytes(2**20))},
        {"after": zlib.compress(bytes(4))},
        {"before": zlib.compress(bytes(2**20))},
        {"n": 3},
    ],
)
def test_what_is_damaged_is_refused_and_changes_nothing(damage):
    difference, before, _ = example()
    array = before.copy()
    with pytest.raises(ValueError):
        replace(difference, **damage).apply(array)
    assert (array == before).all()


def test_a_bomb_is_not_unpacked():
    bomb = zlib.compress(bytes(2**28), 9)
    difference, before, _ = example()
    with pytest.raises(ValueError, match="or more where"):
        replace(difference, before=bomb).apply(before)


def test_other_ids():
    difference, before, after = example()
    other = difference.renumbered({7: 9, 5: 2**32 - 1})
    before[before == 5] = 2**32 - 1
    other.apply(before)
    after[after == 7] = 9
    assert (before == after).all()
    assert difference.renumbered({}) == difference


def test_a_change_takes_states_back_in_reverse():
    untouched, noted = CellState(), CellState(note="a")
    states = (StateChange(1, untouched, noted), StateChange(1, noted, CellState(note="b")))
    difference, _, _ = example()
    change = Change("kind", "Title", {"a": 1}, labels=difference, states=states)
    back = change.inverse()
    assert [(one.before.note, one.after.note) for one in back.states] == [("b", "a"), ("a", "")]
    assert back.inverse() == change


def test_where_a_change_is():
    difference, _, _ = example()
    assert Change("a", "A").box is None
    assert Change("a", "A").centre is None
    assert Change("a", "A").is_empty
    assert Change("a", "A", labels=difference).centre == (0.5, 1.0, 1.5)
    mask = np.zeros(SHAPE, np.bool_)
    lumen = Difference.between(WHOLE, mask, ~mask)
    assert Change("a", "A", labels=difference, lumen=lumen).box == WHOLE
    assert Change("a", "A", labels=difference, focus=focus_of([1, 2, 3])).centre == (1.0, 2.0, 3.0)
    assert not Change("a", "A", states=(StateChange(1, CellState(), CellState(seen=True)),)).is_empty

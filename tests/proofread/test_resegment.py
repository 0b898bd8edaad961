from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_scutoid.progress import drain
from napari_scutoid.proofread.resegment import kept_accepted, walled
from napari_scutoid.volume import Volume


def row(*ids):
    """A stack of 3 x 3 x n voxels, the same along z and y."""
    return np.ascontiguousarray(np.broadcast_to(np.array(ids, np.uint32), (3, 3, len(ids))))


def middle(labels):
    return labels[1, 1].tolist()


def test_accepted_cells_are_solid_wall_on_a_coarser_grid() -> None:
    labels = row(0, 0, 5, 5, 6, 6)
    ones = Volume(np.full((3, 3, 3), 0.5, np.float32))
    made = drain(walled({"boundary": ones, "foreground": ones, "distance": ones}, labels, [5]))
    assert made["boundary"].data[1, 1].tolist() == [0.5, 1, 0.5]
    assert made["foreground"].data[1, 1].tolist() == [0.5, 0, 0.5]
    assert made["distance"] is ones
    assert (ones.data == 0.5).all()


def test_no_accepted_cell_changes_nothing() -> None:
    ones = Volume(np.ones((3, 3, 3), np.float32))
    assert drain(walled({"boundary": ones}, row(1, 1, 2), []))["boundary"] is ones


def test_the_same_cell_keeps_its_id_and_others_get_new_ones() -> None:
    old, new = row(7, 7, 7, 7, 9, 9, 9, 9), row(1, 1, 1, 2, 2, 2, 3, 3)
    made = drain(kept_accepted(new, old, [], next_id=20))
    # Cell 2 shares two of five voxels with 9, as does 3: neither is the same cell.
    assert middle(made) == [7, 7, 7, 20, 20, 20, 21, 21]


def test_accepted_cells_stay_as_they_are() -> None:
    old, new = row(7, 7, 7, 7, 9, 9, 9, 9), row(1, 1, 2, 2, 2, 2, 2, 0)
    made = drain(kept_accepted(new, old, [7], next_id=20))
    assert middle(made) == [7, 7, 7, 7, 9, 9, 9, 0]


def test_what_is_left_of_a_covered_cell_goes_to_its_neighbour() -> None:
    old, new = row(7, 7, 7, 7, 9, 9, 9, 9), row(1, 1, 1, 1, 1, 2, 2, 2)
    made = drain(kept_accepted(new, old, [7], next_id=20))
    assert middle(made) == [7, 7, 7, 7, 9, 9, 9, 9]


def test_a_cell_of_which_half_is_left_stays_one() -> None:
    assert middle(drain(kept_accepted(row(1, 1, 1, 1), row(7, 7, 0, 0), [7], next_id=20))) == [7, 7, 20, 20]


def test_what_is_left_is_no_cell_where_nothing_is_beside_it() -> None:
    old, new = row(7, 7, 7, 7, 9, 0), row(1, 1, 1, 1, 1, 0)
    assert middle(drain(kept_accepted(new, old, [7], next_id=20))) == [7, 7, 7, 7, 0, 0]


def test_a_piece_that_an_accepted_cell_cuts_off_is_no_part_of_the_cell() -> None:
    old, new = row(5, 7, 7, 8, 8, 8, 8), row(1, 1, 1, 1, 1, 1, 1)
    made = drain(kept_accepted(new, old, [7], next_id=20))
    assert middle(made) == [0, 7, 7, 8, 8, 8, 8]


def test_no_cell_is_put_into_the_lumen() -> None:
    old, new = row(7, 7, 0, 0), row(1, 1, 1, 1)
    made = drain(kept_accepted(new, old, [], next_id=20, lumen=row(0, 0, 0, 1) > 0))
    assert middle(made) == [7, 7, 7, 0]


def test_the_lumen_parts_what_an_accepted_cell_leaves() -> None:
    old, new = row(7, 7, 0, 0, 9, 9), row(1, 1, 1, 1, 1, 1)
    made = drain(kept_accepted(new, old, [7], next_id=20, lumen=row(0, 0, 0, 1, 0, 0) > 0))
    assert middle(made) == [7, 7, 0, 0, 9, 9]


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"new has shape \(3, 3, 2\), old \(3, 3, 3\)"):
        drain(kept_accepted(row(1, 1), row(1, 1, 1), [], 5))


ids = st.sampled_from([0, 0, 1, 2, 3, 4])
stacks = arrays.arrays(np.uint32, (3, 4, 5), elements=ids)


@given(stacks, stacks, st.sets(st.sampled_from([1, 2, 3])))
def test_accepted_cells_stay_bit_for_bit(new, old, accepted) -> None:
    before = new.copy(), old.copy()
    made = drain(kept_accepted(new, old, accepted, next_id=10))
    for cell in accepted:
        np.testing.assert_array_equal(made == cell, old == cell)
    # An id that was there means a cell that shares voxels with its former self.
    for cell in set(np.unique(made).tolist()) - {0, *accepted}:
        assert cell >= 10 or ((made == cell) & (old == cell)).any()
    np.testing.assert_array_equal(new, before[0])
    np.testing.assert_array_equal(old, before[1])

"""Boxes that cover what is wanted, once, and cheaply."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.network.tiles import Box, Grid, gather

HALO = (4, 4, 4)


def covered(boxes, shape):
    count = np.zeros(shape, dtype=int)
    for box in boxes:
        count[box.slices] += 1
    return count


@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    tile=st.sampled_from([(4, 4, 4), (8, 16, 4)]),
    largest=st.sampled_from([1, 2000, 10**9]),
    data=st.data(),
)
def test_every_wanted_tile_is_covered_exactly_once(shape, tile, largest, data):
    grid = Grid(shape, tile)
    bits = data.draw(st.integers(0, 2 ** int(np.prod(grid.counts)) - 1))
    wanted = np.array([bits >> i & 1 for i in range(int(np.prod(grid.counts)))], dtype=bool).reshape(grid.counts)
    boxes = gather(wanted, grid, HALO, largest)
    count = covered(boxes, shape)
    assert count.max(initial=0) <= 1
    for index, box in grid.boxes():
        if wanted[index]:
            assert count[box.slices].min() == 1
    for box in boxes:
        assert all(start % step == 0 for start, step in zip(box.start, tile, strict=True))
        too_large = box.grown(HALO, shape).voxels > largest
        assert not too_large or all(n <= t for n, t in zip(box.shape, tile, strict=True))


def test_a_small_stack_is_one_pass():
    grid = Grid((20, 30, 40), (16, 16, 16))
    assert gather(np.ones(grid.counts, bool), grid, HALO, 10**6) == [Box((0, 0, 0), (20, 30, 40))]


def test_nothing_wanted_is_no_pass():
    grid = Grid((20, 30, 40), (16, 16, 16))
    assert gather(np.zeros(grid.counts, bool), grid, HALO, 10**6) == []


def test_two_distant_spots_are_two_passes_and_neighbours_share_one():
    grid = Grid((16, 16, 320), (16, 16, 16))
    wanted = np.zeros(grid.counts, bool)
    wanted[0, 0, [0, 1, -1]] = True
    assert gather(wanted, grid, HALO, 10**9) == [Box((0, 0, 0), (16, 16, 32)), Box((0, 0, 304), (16, 16, 320))]


def test_a_stack_slightly_too_large_is_cut_in_two():
    grid = Grid((64, 128, 128), (16, 16, 16))
    boxes = gather(np.ones(grid.counts, bool), grid, (24, 24, 24), 64 * 128 * 128 - 1)
    assert sorted(box.shape for box in boxes) == [(64, 64, 128)] * 2


def test_wanted_must_fit_the_grid():
    with pytest.raises(ValueError, match=r"\(1, 1, 1\), the grid has \(2, 2, 3\)"):
        gather(np.ones((1, 1, 1), bool), Grid((20, 30, 40), (16, 16, 16)), HALO, 1)


def test_halves_meet_at_a_multiple():
    first, second = Box((0, 8, 0), (8, 31, 8)).halves((4, 4, 4))
    assert (first, second) == (Box((0, 8, 0), (8, 20, 8)), Box((0, 20, 0), (8, 31, 8)))
    assert Box((0, 8, 0), (4, 12, 3)).halves((4, 4, 4)) is None


def test_intersection():
    box = Box((0, 0, 0), (4, 4, 4))
    assert box.intersection(Box((2, 3, 0), (9, 9, 9))) == Box((2, 3, 0), (4, 4, 4))
    assert box.intersection(Box((4, 0, 0), (9, 9, 9))) is None

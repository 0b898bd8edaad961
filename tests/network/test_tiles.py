"""Tiles of one size that cover what is wanted, once, and cheaply."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.network.tiles import Box, Grid, Space, best_size

HALO = (4, 4, 4)
STEP = (2, 2, 2)


def everything(grid):
    return np.ones(grid.counts, bool)


@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3),
    cell=st.sampled_from([(4, 4, 4), (8, 16, 4)]),
    largest=st.sampled_from([1, 2000, 10**9]),
    data=st.data(),
)
def test_every_wanted_cell_is_covered_exactly_once_by_tiles_that_see_enough(shape, cell, largest, data):
    grid = Grid(shape, cell)
    bits = data.draw(st.integers(0, 2 ** int(np.prod(grid.counts)) - 1))
    wanted = np.array([bits >> i & 1 for i in range(int(np.prod(grid.counts)))], dtype=bool).reshape(grid.counts)
    space = Space(grid, HALO, STEP)
    size = best_size(wanted, space, largest)
    tiles = space.cover(wanted, size)
    count = np.zeros(shape, dtype=int)
    for tile in tiles:
        count[tile.core.slices] += 1
        assert tile.read.shape == size
        for axis in range(3):
            assert tile.read.start[axis] % STEP[axis] == 0
            assert 0 <= tile.read.start[axis] and tile.read.stop[axis] <= space.whole[axis]
            before = tile.core.start[axis] - tile.read.start[axis]
            after = tile.read.stop[axis] - tile.core.stop[axis]
            assert before >= HALO[axis] or tile.read.start[axis] == 0
            assert after >= HALO[axis] or tile.read.stop[axis] == space.whole[axis]
    assert count.max(initial=0) <= 1
    for index, box in grid.boxes():
        if wanted[index]:
            assert count[box.slices].min() == 1
    smallest = math.prod(space.sizes(axis)[-1] for axis in range(3))
    assert math.prod(size) <= max(largest, smallest)


def test_a_small_stack_is_one_pass():
    grid = Grid((20, 31, 40), (16, 16, 16))
    space = Space(grid, HALO, STEP)
    size = best_size(everything(grid), space, 10**6)
    assert size == (20, 32, 40)
    (tile,) = space.cover(everything(grid), size)
    assert (tile.core, tile.read) == (Box((0, 0, 0), (20, 31, 40)), Box((0, 0, 0), (20, 32, 40)))


def test_nothing_wanted_is_no_pass():
    grid = Grid((20, 30, 40), (16, 16, 16))
    assert Space(grid, HALO, STEP).cover(~everything(grid), (20, 30, 40)) == []


def test_two_distant_spots_are_two_passes_and_neighbours_share_one():
    grid = Grid((16, 16, 320), (16, 16, 16))
    wanted = np.zeros(grid.counts, bool)
    wanted[0, 0, [0, 1, -1]] = True
    space = Space(grid, HALO, STEP)
    size = best_size(wanted, space, 10**9)
    tiles = space.cover(wanted, size)
    assert all(tile.core.start[2] < 32 or tile.core.start[2] == 304 for tile in tiles)
    # Two tiles would have the size of the larger spot and its margin.
    assert sum(tile.read.voxels for tile in tiles) <= 2 * 16 * 16 * (32 + HALO[2])


def test_a_stack_slightly_too_large_is_cut_in_two():
    grid = Grid((64, 128, 128), (16, 16, 16))
    space = Space(grid, (24, 24, 24), (4, 4, 4))
    size = best_size(everything(grid), space, 64 * 128 * 128 - 1)
    assert sorted(size) == [64, 88, 128]
    assert sorted(sorted(tile.core.shape) for tile in space.cover(everything(grid), size)) == [[64, 64, 128]] * 2


def test_sizes_divide_an_axis_with_none_to_spare():
    space = Space(Grid((512, 60, 8), (16, 16, 16)), (24, 24, 24), (4, 4, 4))
    sizes = space.sizes(0)
    assert sizes[:4] == [512, 280, 204, 164] and sizes[-1] == 64
    assert sizes == sorted(set(sizes), reverse=True)
    assert (space.sizes(1), space.sizes(2)) == ([60], [8])
    for n, size in enumerate(sizes[:4], start=1):
        covered = size if n == 1 else 2 * (size - 24) + (n - 2) * (size - 48)
        assert covered - n * 4 < 512 <= covered


def test_the_default_costs_little_more_than_the_stack():
    for shape in ((128, 512, 512), (234, 1024, 1024)):
        grid = Grid(shape, (16, 16, 16))
        space = Space(grid, (24, 24, 24), (4, 4, 4))
        tiles = space.cover(everything(grid), best_size(everything(grid), space, 8 * 2**20))
        assert sum(tile.read.voxels for tile in tiles) <= 1.7 * np.prod(shape)


def test_tissue_that_does_not_fill_the_stack_costs_less_than_the_stack():
    grid = Grid((128, 512, 512), (16, 16, 16))
    _, y, x = np.indices(grid.counts)
    tube = np.abs(y - x) <= 5
    space = Space(grid, (24, 24, 24), (4, 4, 4))
    tiles = space.cover(tube, best_size(tube, space, 8 * 2**20))
    assert sum(tile.read.voxels for tile in tiles) <= 0.9 * math.prod(grid.shape)


def test_wanted_must_fit_the_grid():
    with pytest.raises(ValueError, match=r"\(1, 1, 1\), the grid has \(2, 2, 3\)"):
        Space(Grid((20, 30, 40), (16, 16, 16)), HALO, STEP).cover(np.ones((1, 1, 1), bool), (20, 30, 40))

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.box import Box
from napari_scutoid.progress import drain
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.spot import cells_alone, wall_alone


@pytest.fixture
def labels():
    data = np.zeros((6, 8, 12), np.uint32)
    data[1:5, 2:6, 2:5] = 1
    data[1:5, 2:6, 5:8] = 2
    data[1:5, 2:6, 8:11] = 3
    return data


def test_cells_are_cut_out_with_a_margin_and_without_the_others(labels):
    box, shown = cells_alone(labels, drain(CellIndex.build(labels)), [1, 2])
    assert box == Box((0, 1, 1), (6, 6, 8))
    expected = labels[box.slices].copy()
    expected[expected == 3] = 0
    np.testing.assert_array_equal(shown, expected)
    with pytest.raises(ValueError, match="at least one"):
        cells_alone(labels, drain(CellIndex.build(labels)), [])


def test_a_wall_is_the_voxels_on_both_sides(labels):
    index = drain(CellIndex.build(labels))
    box, wall = wall_alone(labels, index, 2, 1)
    whole = np.zeros(labels.shape, bool)
    whole[box.slices] = wall
    expected = np.zeros(labels.shape, bool)
    expected[1:5, 2:6, 4:6] = True
    np.testing.assert_array_equal(whole, expected)
    assert wall_alone(labels, index, 1, 3) is None

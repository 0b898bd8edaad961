"""How large cells are, before and after."""

from __future__ import annotations

import numpy as np

from napari_scutoid.steps.cell_sizes import BINS, size_histograms
from napari_scutoid.volume import Labels, VoxelSize


def cubes(*sides, size=None):
    data = np.zeros((8, 8, 8 * len(sides)), np.uint32)
    for i, side in enumerate(sides):
        data[:side, :side, 8 * i : 8 * i + side] = 2 * i + 1  # a gap in the numbering is no cell
    return Labels(data, size)


def test_every_cell_is_counted_once_in_cubic_micrometres():
    found = size_histograms(cubes(2, 4, 4, size=VoxelSize(2, 1, 1)), cubes(8, size=VoxelSize(0.5, 0.5, 0.5)))
    assert (found.n_before, found.n_after, found.unit) == (3, 1, "µm³")
    np.testing.assert_allclose(found.edges[[0, -1]], (16, 128))
    assert found.before[0] == 1 and found.before[-1] == 2
    assert len(found.edges) == BINS + 1


def test_voxels_are_counted_where_a_voxel_size_is_unknown():
    found = size_histograms(cubes(2, size=VoxelSize(2, 1, 1)), cubes(3))
    assert found.unit == "voxels"
    np.testing.assert_allclose(found.edges[[0, -1]], (8, 27))


def test_no_cells_and_equal_cells_have_a_histogram():
    assert size_histograms(cubes(0), cubes(0)).n_after == 0
    found = size_histograms(cubes(3), cubes(3, 3))
    assert (found.n_before, found.n_after) == (1, 2)
    assert (np.diff(found.edges) > 0).all()

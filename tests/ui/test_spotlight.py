"""Light on cells and walls, and cells without the others."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scutoid.box import Box
from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.ui import layers
from napari_scutoid.ui.spotlight import ALONE, LIGHT, Spotlight
from napari_scutoid.volume import Labels, Origin, VoxelSize

SIZE, ORIGIN = VoxelSize(2.0, 0.5, 0.5), Origin(1.0, 2.0, 3.0)


@pytest.fixture
def viewer():
    made = ViewerModel()
    cells = np.zeros((6, 8, 40), np.uint32)
    for cell in range(1, 7):
        cells[1:5, 2:6, 5 * cell : 5 * cell + 5] = cell
    layers.add_labels(made, Labels(cells, SIZE, ORIGIN), "cells", {})
    return made


@pytest.fixture
def index(viewer):
    return drain(CellIndex.build(viewer.layers["cells"].data))


@pytest.fixture
def spot(viewer, index, qtbot):
    made = Spotlight(viewer, viewer.layers["cells"], index)
    yield made
    made.stop()


def in_stack(viewer, name):
    """Return what a small layer shows, at its place in the stack."""
    layer, cells = viewer.layers[name], viewer.layers["cells"]
    start = np.rint((np.asarray(layer.translate) - cells.translate) / cells.scale).astype(int)
    whole = np.zeros(cells.data.shape, layer.data.dtype)
    whole[Box.between(start, start + layer.data.shape).slices] = layer.data
    return whole


def merge(viewer, index, into, gone):
    data = viewer.layers["cells"].data
    box = index.box(gone)
    before = data[box.slices].copy()
    difference = Difference.between(box, before, np.where(before == gone, np.uint32(into), before))
    difference.apply(data)
    index.update(data, box, before)
    return Change("merge", "Merge", labels=difference)


def test_a_cell_is_lit_in_its_box_and_outlined(viewer, spot):
    spot.light([3])
    np.testing.assert_array_equal(in_stack(viewer, LIGHT), viewer.layers["cells"].data == 3)
    light = viewer.layers[LIGHT]
    assert light.visible
    assert light.contour
    assert light.data.nbytes < viewer.layers["cells"].data.nbytes / 7
    assert viewer.layers.selection.active is viewer.layers["cells"]
    spot.light([5])
    assert len(viewer.layers) == 2
    np.testing.assert_array_equal(in_stack(viewer, LIGHT), viewer.layers["cells"].data == 5)
    spot.light([])
    assert light.visible and not light.data.any()
    spot.light([5])
    np.testing.assert_array_equal(in_stack(viewer, LIGHT), viewer.layers["cells"].data == 5)


def test_a_wall_is_lit_and_after_the_merge_the_cell(viewer, index, spot):
    spot.light([3, 2], wall=True)
    expected = np.zeros(viewer.layers["cells"].data.shape, np.uint8)
    expected[1:5, 2:6, 14:16] = 1
    np.testing.assert_array_equal(in_stack(viewer, LIGHT), expected)
    assert not viewer.layers[LIGHT].contour
    spot.refresh(merge(viewer, index, 2, 3))
    np.testing.assert_array_equal(in_stack(viewer, LIGHT), viewer.layers["cells"].data == 2)


def test_only_a_cell_and_its_neighbours_in_the_same_colours(viewer, index, spot):
    seen = []
    spot.seenChanged.connect(seen.append)
    cells = viewer.layers["cells"]
    spot.setAlone([3])
    assert seen == [frozenset({2, 3, 4})]
    shown = in_stack(viewer, ALONE)
    np.testing.assert_array_equal(shown, np.where(np.isin(cells.data, [2, 3, 4]), cells.data, 0))
    assert not cells.visible
    assert viewer.layers[ALONE].colormap is cells.colormap
    spot.refresh(merge(viewer, index, 3, 4))
    assert seen[-1] == {2, 3, 5}
    spot.refresh(merge(viewer, index, 2, 3))  # it is gone, and so is the reason to hide the others
    assert seen[-1] is None
    assert cells.visible
    assert not viewer.layers[ALONE].visible


def test_a_change_of_states_shows_nothing_anew(viewer, spot):
    spot.light([3])
    data = viewer.layers[LIGHT].data
    spot.refresh(Change("accept", "Accept cell 3"))
    assert viewer.layers[LIGHT].data is data


def test_layers_that_the_user_removes_end_it(viewer, spot):
    spot.setAlone([3])
    viewer.layers.remove(ALONE)
    assert spot.alone() == ()
    assert viewer.layers["cells"].visible
    spot.light([3])
    viewer.layers.remove(LIGHT)
    spot.light([4])
    np.testing.assert_array_equal(in_stack(viewer, LIGHT), viewer.layers["cells"].data == 4)
    spot.light([99])
    assert not viewer.layers[LIGHT].data.any()


def test_stopping_shows_all_cells_and_leaves_no_layer(viewer, index, qtbot):
    made = Spotlight(viewer, viewer.layers["cells"], index)
    made.light([2])
    made.setAlone([3])
    made.stop()
    assert [layer.name for layer in viewer.layers] == ["cells"]
    assert viewer.layers["cells"].visible

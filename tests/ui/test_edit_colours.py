"""Colours of cells that are being corrected, and how what changed is shown again."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scutoid.box import Box
from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.ui import edit_colours
from napari_scutoid.ui.cell_colormap import CellColormap
from napari_scutoid.ui.colours import NEW, PALETTE
from napari_scutoid.ui.edit_colours import EditColours
from napari_scutoid.ui.label_refresh import refresh_box


@pytest.fixture
def labels():
    """Return six columns of cells, 1 to 6, side by side along x, and nothing beyond."""
    data = np.zeros((4, 8, 32), np.uint32)
    for cell in range(1, 7):
        data[:, :, 4 * cell : 4 * cell + 4] = cell
    return data


@pytest.fixture
def layer(labels):
    return ViewerModel().add_labels(labels)


def apply(layer, index, after):
    """Change the labels as a session does, and return the change."""
    whole = Box.whole(layer.data.shape)
    difference = Difference.between(whole, layer.data, after)
    before = layer.data[difference.box.slices].copy()
    difference.apply(layer.data)
    index.update(layer.data, difference.box, before)
    return Change("test", "Test", labels=difference)


def merged(labels, into, gone):
    after = labels.copy()
    after[after == gone] = into
    return after


def shown(layer):
    """Return what the graphics card is told, as colours."""
    palette = layer.colormap._values_mapping_to_minimum_values_set()[1]
    return np.array([palette[n] for n in range(len(palette))])[layer._slice.image.view]


def test_neighbours_differ_and_the_canvas_shows_the_palette(layer):
    index = drain(CellIndex.build(layer.data))
    colours = EditColours(layer, index).colours
    assert all(colours[cell] != colours[cell + 1] for cell in range(1, 6))
    for cell in range(1, 7):
        np.testing.assert_allclose(shown(layer)[0, 4 * cell, :3], PALETTE[colours[cell]], rtol=1e-6)
    assert shown(layer)[0, 0, 3] == 0


def test_an_edit_changes_no_colour_but_those_of_its_cells(layer):
    index = drain(CellIndex.build(layer.data))
    colours = EditColours(layer, index, before=dict.fromkeys((1, 4), 0) | dict.fromkeys((2, 5), 1) | {3: 2, 6: 3})
    before = dict(colours.colours)
    assert before == {1: 0, 2: 1, 3: 2, 4: 0, 5: 1, 6: 3}
    original = layer.data.copy()
    colours.refresh(apply(layer, index, merged(layer.data, 2, 3)))
    assert colours.colours == before  # 2 touches 1 and 4 now, neither of which has its colour
    np.testing.assert_allclose(shown(layer)[0, 12, :3], PALETTE[1], rtol=1e-6)
    colours.refresh(apply(layer, index, merged(layer.data, 2, 4)))
    assert colours.colours[2] not in (0, 1)  # it met 5, of the same colour, and it is the one that was edited
    assert {cell: colour for cell, colour in colours.colours.items() if cell != 2} == {
        cell: colour for cell, colour in before.items() if cell != 2
    }
    for column in (8, 12, 16):  # also where it was before
        np.testing.assert_allclose(shown(layer)[0, column, :3], PALETTE[colours.colours[2]], rtol=1e-6)
    colours.refresh(apply(layer, index, original))
    for cell in (1, 3, 4, 5, 6):
        assert colours.colours[cell] == before[cell]


def test_a_new_cell_gets_a_colour_that_no_neighbour_has(layer):
    index = drain(CellIndex.build(layer.data))
    colours = EditColours(layer, index)
    before = dict(colours.colours)
    after = layer.data.copy()
    after[:, :4, 8:12] = 700
    colours.refresh(apply(layer, index, after))
    assert colours.colours.pop(700) not in {before[1], before[2], before[3]}
    assert colours.colours == before


def test_a_change_of_states_alone_shows_nothing_anew(layer):
    index = drain(CellIndex.build(layer.data))
    colours = EditColours(layer, index)
    layer.events.labels_update.connect(lambda: pytest.fail("nothing changed"))
    colours.refresh(Change("accept", "Accept cell 1"))


def test_an_id_without_colour_is_white_and_one_beyond_the_table_too():
    colormap = CellColormap.of({3: 1})
    np.testing.assert_allclose(
        colormap.map(np.array([0, 3, 2, 4_000_000_000], np.uint32)),
        [(0, 0, 0, 0), (*PALETTE[1], 1), NEW, NEW],
        rtol=1e-6,
    )
    np.testing.assert_allclose(colormap.map(3), (*PALETTE[1], 1), rtol=1e-6)
    assert colormap._data_to_texture(np.uint32(3)) == colormap._data_to_texture(np.array([3], np.uint32))[0]


def test_only_the_chosen_cell_can_be_shown(layer):
    EditColours(layer, drain(CellIndex.build(layer.data)))
    layer.selected_label = 2
    layer.show_selected_label = True
    seen = shown(layer)[..., 3] > 0
    np.testing.assert_array_equal(seen, layer.data[0] == 2)


def test_huge_ids_keep_their_colours_without_a_table(layer, monkeypatch):
    monkeypatch.setattr(edit_colours, "MOST_IDS", 6)
    index = drain(CellIndex.build(layer.data))
    colours = EditColours(layer, index)
    assert not isinstance(layer.colormap, CellColormap)
    after = merged(layer.data, 2, 3)
    colours.refresh(apply(layer, index, after))
    np.testing.assert_allclose(layer.colormap.map(np.array([2], np.uint32))[0, :3], PALETTE[colours.colours[2]])


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("contour", [0, 1])
def test_only_the_box_is_sent_again_and_shows_what_a_refresh_would(layer, order, contour):
    viewer = ViewerModel()
    viewer.layers.append(layer)
    viewer.dims.order = order
    viewer.dims.set_point(order[0], 2)
    layer.contour = contour
    box = Box((1, 2, 8), (3, 3, 9)) if order[0] != 2 else Box((1, 2, 1), (3, 3, 9))
    layer.data[box.slices] = 6
    sent = []
    layer.events.labels_update.connect(lambda event: sent.append((event.data.shape, event.offset)))
    refresh_box(layer, box)
    seen = layer._slice.image.view.copy()
    layer.refresh()
    np.testing.assert_array_equal(seen, layer._slice.image.view)
    [(shape, offset)] = sent
    assert all(n <= side + 4 for n, side in zip(shape, [box.shape[axis] for axis in order[1:]], strict=True))
    assert len(offset) == 2


def test_in_3d_a_box_is_sent_again(layer):
    viewer = ViewerModel()
    viewer.layers.append(layer)
    viewer.dims.ndisplay = 3
    sent = []
    layer.events.labels_update.connect(lambda event: sent.append((event.data.shape, tuple(event.offset))))
    layer.data[1:3, 2:4, 5:9] = 6
    refresh_box(layer, Box((1, 2, 5), (2, 2, 4)))
    assert sent == [((2, 2, 4), (1, 2, 5))]
    seen = layer._slice.image.view.copy()
    layer.refresh()
    np.testing.assert_array_equal(seen, layer._slice.image.view)


def test_another_slice_or_a_hidden_layer_sends_nothing(layer):
    viewer = ViewerModel()
    viewer.layers.append(layer)
    viewer.dims.set_point(0, 3)
    layer.events.labels_update.connect(lambda: pytest.fail("it cannot be seen"))
    refresh_box(layer, Box((0, 0, 0), (3, 8, 32)))
    refresh_box(layer, None)
    layer.visible = False
    refresh_box(layer, Box((3, 0, 0), (1, 8, 32)))
    layer.data[3] = 2
    layer.visible = True
    assert layer._slice.image.raw[0, 0] == 2

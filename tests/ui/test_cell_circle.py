from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_scutoid.ui.cell_circle import NAME, CellCircle
from napari_scutoid.volume import VoxelSize

SPACING = VoxelSize(0.8, 0.1, 0.2)
ACROSS_UM = 20.0 * (0.8 * 0.1 * 0.2) ** (1 / 3)


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def circle(qtbot, viewer):
    made = CellCircle(viewer)
    made.show(viewer.add_image(np.zeros((4, 200, 200), np.uint8), scale=SPACING, name="gland"), 20.0, SPACING)
    return made


def sides_um(layer):
    return np.ptp(layer.data[0], axis=0) * layer.scale


def test_the_circle_is_round_in_the_tissue_and_ready_to_be_dragged(circle, viewer):
    layer = viewer.layers[NAME]
    np.testing.assert_allclose(sides_um(layer), ACROSS_UM, rtol=1e-5)
    np.testing.assert_allclose(layer.data[0].mean(axis=0), 99.5)
    assert layer.shape_type == ["ellipse"]
    assert viewer.layers.selection.active is layer
    assert (layer.mode, set(layer.selected_data)) == ("select", {0})


def test_dragging_a_corner_gives_another_diameter_and_stays_where_it_is(qtbot, circle, viewer):
    layer = viewer.layers[NAME]
    corner = layer.data[0][0]
    with qtbot.waitSignal(circle.valueChanged):
        layer.data = [(corner + 1.5 * (layer.data[0] - corner), "ellipse")]
    assert circle.value() == pytest.approx(30.0)
    middle = layer.data[0].mean(axis=0)
    circle.show(viewer.layers["gland"], 10.0, SPACING)
    np.testing.assert_allclose(sides_um(layer), ACROSS_UM / 2, rtol=1e-5)
    np.testing.assert_allclose(layer.data[0].mean(axis=0), middle, rtol=1e-5)


def test_of_an_ellipse_the_area_counts_also_turned(qtbot, circle, viewer):
    layer = viewer.layers[NAME]
    middle = layer.data[0].mean(axis=0)
    turn = np.array([(0.6, -0.8), (0.8, 0.6)])
    stretched = (layer.data[0] - middle) * (2, 0.5) @ turn
    with qtbot.assertNotEmitted(circle.valueChanged, wait=50):
        layer.data = [(middle + stretched, "ellipse")]
    assert circle.value() == pytest.approx(20.0)


def test_hiding_and_removing_are_told(qtbot, circle, viewer):
    with qtbot.waitSignal(circle.shownChanged) as told:
        viewer.layers.remove(NAME)
    assert told.args == [False] and not circle.is_shown
    with qtbot.waitSignal(circle.shownChanged) as told:
        circle.show(viewer.layers["gland"], 20.0, SPACING)
    assert told.args == [True]
    with qtbot.waitSignal(circle.shownChanged) as told:
        circle.hide()
    assert told.args == [False] and NAME not in viewer.layers


def test_a_covered_circle_can_be_shown_again(qtbot, circle, viewer):
    with qtbot.waitSignal(circle.shownChanged) as told:
        circle.cover()
    assert told.args == [False] and not circle.is_shown
    assert not viewer.layers[NAME].visible
    circle.show(viewer.layers["gland"], 20.0, SPACING)
    assert circle.is_shown and viewer.layers[NAME].visible

"""XZ and YZ beside the viewer's canvas, and the crosshair that joins the three."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent

from napari_scutoid.ui import layers, orthogonal
from napari_scutoid.ui.cell_colormap import CellColormap
from napari_scutoid.ui.orthogonal import OrthogonalViews
from napari_scutoid.ui.slice_view import Mark, SliceView
from napari_scutoid.volume import Labels, Volume, VoxelSize

SHAPE = (10, 20, 30)
SIZE = VoxelSize(2.0, 1.0, 1.0)
RED, GREEN = (230, 158, 0), (87, 181, 232)


@pytest.fixture
def viewer():
    made = ViewerModel()
    image = np.full(SHAPE, 100, np.uint8)
    layers.add_image(made, layers.Shown(Volume(image, SIZE), (0.0, 200.0)), "image")
    cells = np.zeros(SHAPE, np.uint32)
    cells[2:8, 5:15, 3:15] = 1
    cells[2:8, 5:15, 15:27] = 2
    cells[5:8, 5:15, 15:27] = 3
    layer = layers.add_labels(made, Labels(cells, SIZE), "cells", {})
    layer.colormap = CellColormap.of({1: 0, 2: 1, 3: 0})
    layer.opacity = 1.0
    return made


@pytest.fixture
def views(viewer, qtbot):
    made = OrthogonalViews(viewer, viewer.layers["cells"])
    qtbot.addWidget(made)
    made.resize(200, 420)
    made.show()
    for view in made.views:
        view.fit()
        view.grab()
    yield made
    made.stop()


def colour_at(view, place):
    """Return what a view shows of a place in the world: red, green, blue."""
    where = view._to_screen(place[view.down], place[view.right]).toPoint()
    colour = view.grab().toImage().pixelColor(where)
    return colour.red(), colour.green(), colour.blue()


def click(qtbot, view, place):
    where = view._to_screen(place[view.down], place[view.right]).toPoint()
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=where)


def grey(colour):
    return max(colour) - min(colour) < 3


def test_the_side_views_show_the_same_cells_in_the_same_colours(views):
    views.setPoint((8.0, 10.0, 20.0))
    for place, colour in (((6, 10, 8), RED), ((6, 10, 22), GREEN), ((12, 10, 22), RED)):
        assert colour_at(views.xz, place) == pytest.approx(colour, abs=3), place
    for place, colour in (((6, 7, 20), GREEN), ((12, 13, 20), RED)):
        assert colour_at(views.yz, place) == pytest.approx(colour, abs=3), place
    assert colour_at(views.xz, (1, 10, 8)) == pytest.approx((128, 128, 128), abs=2)
    views.setPoint((8.0, 2.0, 20.0))
    assert grey(colour_at(views.xz, (6, 2, 8)))  # another plane: no cell


def test_they_follow_every_change_of_the_layers(viewer, views):
    cells, image = viewer.layers["cells"], viewer.layers["image"]
    place = (6.0, 10.0, 8.0)
    views.setPoint((8.0, 10.0, 20.0))

    def shown():
        return colour_at(views.xz, place)

    cells.data[:, :, :15][cells.data[:, :, :15] == 1] = 2
    views.refresh()
    assert shown() == pytest.approx(GREEN, abs=3)
    cells.colormap.add({2: 0})
    assert shown() == pytest.approx(RED, abs=3)
    cells.opacity = 0.5
    assert shown() == pytest.approx([(one + 128) / 2 for one in RED], abs=3)
    cells.contour = 1
    assert grey(shown())
    cells.contour, cells.visible = 0, False
    assert grey(shown())
    image.contrast_limits = (0, 100)
    assert shown() == pytest.approx((255, 255, 255), abs=2)
    image.colormap = "red"
    assert shown() == pytest.approx((255, 0, 0), abs=2)
    viewer.layers.remove(image)
    assert shown() == (0, 0, 0)


def test_events_of_a_layer_paint_the_views_again_and_others_do_not(viewer, views, monkeypatch):
    asked = []
    monkeypatch.setattr(SliceView, "update", lambda view: asked.append(view))
    viewer.layers["cells"].opacity = 0.3
    assert set(asked) == set(views.views)
    asked.clear()
    viewer.layers["cells"].mode = "paint"
    viewer.layers["cells"].name = "other"
    assert not asked


def test_colours_of_napari_itself_and_flat_or_turned_layers_do_no_harm(viewer, views):
    cells = viewer.layers["cells"]
    cells.colormap = cells._random_colormap
    viewer.add_image(np.zeros((5, 5)))
    viewer.add_image(np.zeros(SHAPE, np.uint8), rotate=10, scale=SIZE)
    views.setPoint((8.0, 10.0, 20.0))
    expected = 255 * cells.colormap.map(np.array([1]))[0, :3]
    viewer.layers[-1].visible = False
    assert colour_at(views.xz, (6, 10, 8)) == pytest.approx(expected, abs=3)


def test_a_stack_that_lies_in_its_file_is_named_instead_of_read(viewer, views, monkeypatch):
    class Lazy:
        shape, dtype, ndim = SHAPE, np.dtype(np.uint8), 3

        def __getitem__(self, key):
            return np.zeros(SHAPE, np.uint8)[key]

    layer = viewer.add_image(Lazy(), name="big", contrast_limits=(0, 1), scale=SIZE)
    told = []
    monkeypatch.setattr(Lazy, "__getitem__", lambda _self, key: told.append(key))
    assert views.xz._paint_layer(None, layer) is False
    assert not told
    views.xz.grab()


def test_a_click_from_the_side_moves_the_slice_and_the_other_views(qtbot, viewer, views):
    with qtbot.waitSignal(views.moved):
        click(qtbot, views.xz, (12.0, 0.0, 22.0))
    z, y, x = views.point()
    assert (z, x) == pytest.approx((12, 22), abs=0.5)
    assert viewer.dims.point[0] == pytest.approx(z)
    click(qtbot, views.yz, (6.0, 13.0, 0.0))
    z, y, x = views.point()
    assert (z, y) == pytest.approx((6, 13), abs=0.5)
    assert x == pytest.approx(22, abs=0.5)
    assert views.xz.point() == views.yz.point() == views.point()


def drag(viewer, *steps):
    """Press, move and release in the viewer's canvas; each step is a place in the world and on the screen."""
    event = SimpleNamespace(type="mouse_press", button=1, dims_displayed=[1, 2], position=steps[0][0], pos=steps[0][1])
    callback = viewer.mouse_drag_callbacks[-1]
    generator = callback(viewer, event)
    for kind, (place, where) in zip(["", *["mouse_move"] * len(steps[1:])], steps, strict=True):
        event.type, event.position, event.pos = kind or event.type, place, where
        next(generator, None)
    event.type = "mouse_release"
    next(generator, None)


def test_a_click_in_the_canvas_moves_the_views_and_a_drag_does_not(viewer, views):
    drag(viewer, ((8.0, 6.0, 9.0), (50, 50)), ((8.0, 6.0, 9.1), (51, 50)))
    assert views.point() == (8.0, 6.0, 9.0)
    drag(viewer, ((8.0, 16.0, 19.0), (50, 50)), ((8.0, 6.0, 9.1), (90, 50)))
    assert views.point() == (8.0, 6.0, 9.0)


def test_another_slice_in_the_canvas_moves_the_views(viewer, views):
    viewer.dims.set_point(0, 14.0)
    assert views.point()[0] == views.xz.point()[0] == 14.0


def test_the_crosshair_lies_on_the_voxels_and_in_every_slice(viewer, views):
    layer = viewer.layers[orthogonal.NAME]
    assert viewer.layers.selection.active is viewer.layers["cells"]
    views.setPoint((7.9, 3.2, 11.6))
    np.testing.assert_array_equal(layer.data[1:, 0, 0], 4)
    np.testing.assert_array_equal(layer.data[[0, 2], 0, 1], 3)
    np.testing.assert_array_equal(layer.data[:2, 0, 2], 12)
    np.testing.assert_array_equal(layer.extent.world, viewer.layers["cells"].extent.world)
    views.setPoint((1e9, -5, 11.6))  # outside: the nearest voxel
    assert views.point() == (viewer.layers["cells"].extent.world[1][0], pytest.approx(-0.5, abs=0.51), 11.6)


def test_the_crosshair_can_be_switched_off_and_removed(qtbot, viewer, views):
    views.switch.setChecked(False)
    assert not viewer.layers[orthogonal.NAME].visible
    views.switch.setChecked(True)
    viewer.layers.remove(orthogonal.NAME)
    assert not views.switch.isChecked()
    views.switch.setChecked(True)
    assert orthogonal.NAME in viewer.layers


def test_looking_at_a_cell_brings_it_into_the_middle_of_all_views(viewer, views):
    views.look((12.0, 10.0, 21.0), 3.0)
    assert tuple(viewer.scene.camera.center[-2:]) == (10.0, 21.0)
    assert viewer.dims.point[0] == 12.0
    for view in views.views:
        middle = view.to_world(QPointF(view.width() / 2, view.height() / 2))
        assert middle == pytest.approx((12.0, 10.0, 21.0))
        assert 1 < min(view.width(), view.height()) / view.zoom() / 3.0 < 10


def wheel(view, place, steps, modifiers=Qt.KeyboardModifier.NoModifier):
    where = view._to_screen(place[view.down], place[view.right])
    none = Qt.MouseButton.NoButton
    turned = QWheelEvent(
        where, QPointF(0, 0), QPoint(), QPoint(0, 120 * steps), none, modifiers, Qt.ScrollPhase.NoScrollPhase, False
    )
    view.wheelEvent(turned)


def test_the_wheel_zooms_around_the_mouse_and_with_ctrl_goes_to_the_next_plane(views):
    view, place = views.xz, (6.0, 10.0, 22.0)
    views.setPoint((8.0, 10.0, 20.0))
    where, zoom = view._to_screen(6.0, 22.0), view.zoom()
    wheel(view, place, 3)
    assert view.zoom() > zoom
    assert view.to_world(where) == pytest.approx((6.0, 10.0, 22.0))
    wheel(view, place, 1, Qt.KeyboardModifier.ControlModifier)
    assert views.point() == (8.0, 11.0, 20.0)


def test_a_drag_moves_the_view_and_a_double_click_shows_all(qtbot, views):
    view = views.yz
    before = view.to_world(QPointF(0, 0))
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=QPoint(50, 50))
    qtbot.mouseMove(view, QPoint(80, 60))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=QPoint(80, 60))
    after = view.to_world(QPointF(0, 0))
    assert after[0] == pytest.approx(before[0] - 30 / view.zoom())
    assert after[1] == pytest.approx(before[1] - 10 / view.zoom())
    qtbot.mouseDClick(view, Qt.MouseButton.LeftButton, pos=QPoint(50, 50))
    view.grab()
    assert view.to_world(QPointF(0, 0)) == pytest.approx(before)


def test_a_tool_takes_what_it_wants_of_the_mouse_and_its_marks_are_seen(qtbot, views):
    events = []
    views.setTool(lambda event: (events.append(event), event.modifiers == ("Shift",))[1])
    before = views.point()
    where = views.xz._to_screen(6.0, 22.0).toPoint()
    qtbot.mouseClick(views.xz, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, where)
    assert [event.type for event in events] == ["mouse_press", "mouse_release"]
    assert events[0].position == pytest.approx((6.0, before[1], 22.0), abs=0.5)
    assert events[0].dims_displayed == [0, 2]
    views.setPoint((2.0, 10.0, 20.0))
    mark = Mark(np.array([(12.0, 10.0, 5.0), (12.0, 14.0, 8.0)]), "#ff00ff")
    views.setMarks([mark])
    assert colour_at(views.xz, (12, 10, 5)) == (255, 0, 255)
    assert colour_at(views.xz, (12, 10, 8)) != (255, 0, 255)  # lies in another plane


def test_a_stopped_view_hears_nothing_more(viewer, qtbot):
    views = OrthogonalViews(viewer, viewer.layers["cells"])
    qtbot.addWidget(views)
    views.stop()
    before = views.point()
    viewer.dims.set_point(0, 14.0)
    viewer.layers["cells"].opacity = 0.1
    assert views.point() == before
    assert len(viewer.mouse_drag_callbacks) == len(ViewerModel().mouse_drag_callbacks)
    assert orthogonal.NAME not in viewer.layers


def test_a_layer_that_lies_nowhere_does_no_harm(viewer, views):
    viewer.add_points(np.empty((0, 3)), ndim=3, scale=SIZE, name="none yet")
    before = views.xz.to_world(QPointF(0, 0))
    views.xz.fit()
    views.xz.grab()
    assert views.xz.to_world(QPointF(0, 0)) == pytest.approx(before)

"""napari's own tools, whose strokes must reach the history and leave nothing behind in the labels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.interactions import mouse_move_callbacks, mouse_press_callbacks, mouse_release_callbacks

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits import region
from napari_scutoid.ui.stroke_capture import StrokeCapture


@pytest.fixture
def layer():
    data = np.zeros((6, 24, 32), np.uint32)
    data[1:5, 4:20, 4:16] = 1
    data[1:5, 4:20, 16:28] = 2
    viewer = ViewerModel()
    viewer.dims.set_point(0, 3)
    return viewer.add_labels(data)


@pytest.fixture
def wished(layer, qtbot):
    """Return the strokes handed over so far; none may be taken from what the user did not finish."""
    capture = StrokeCapture(layer)
    strokes = []
    capture.wished.connect(strokes.append)
    strokes_and_capture = SimpleNamespace(strokes=strokes, capture=capture)
    yield strokes_and_capture
    capture.stop()


def drag(layer, *places):
    """Press, move and release the mouse over places in the layer's voxels."""

    def event(kind, place):
        return SimpleNamespace(
            type=kind,
            button=1,
            is_dragging=True,
            modifiers=(),
            position=tuple(place),
            view_direction=None,
            dims_displayed=[1, 2],
            pos=np.zeros(2),
            camera_zoom=1.0,
        )

    layer_event = SimpleNamespace(**vars(event("mouse_press", places[0])))

    class Held:
        """What napari keeps of an event: its content is exchanged while a generator holds it."""

        def __init__(self, wrapped):
            self.__wrapped__ = wrapped

        def __getattr__(self, name):
            return getattr(self.__wrapped__, name)

    mouse_press_callbacks(layer, Held(layer_event))
    for place in places[1:]:
        mouse_move_callbacks(layer, event("mouse_move", place))
    mouse_release_callbacks(layer, event("mouse_release", places[-1]))


def test_a_stroke_of_the_brush_is_one_edit_and_is_taken_back(layer, wished, qtbot):
    before = layer.data.copy()
    layer.mode, layer.brush_size, layer.selected_label = "paint", 3, 1
    drag(layer, (3, 10, 14), (3, 10, 20), (3, 14, 20))
    assert np.count_nonzero(layer.data != before)
    qtbot.waitUntil(lambda: wished.capture.is_settled)
    np.testing.assert_array_equal(layer.data, before)
    np.testing.assert_array_equal(layer._slice.image.view, layer.colormap._data_to_texture(before[3]))
    [stroke] = wished.strokes
    painted = np.zeros(layer.data.shape, bool)
    painted[stroke.box.slices] = stroke.mask
    assert painted[3, 10, 16:20].all()
    assert painted[3, 14, 20]
    assert not painted[[0, 1, 2, 4, 5]].any()
    assert set(np.unique(stroke.values[stroke.mask])) == {1}


@pytest.mark.parametrize("tool", ["erase", "fill", "polygon", "from code"])
def test_every_tool_is_captured(layer, wished, qtbot, tool):
    before = layer.data.copy()
    layer.selected_label = 1
    if tool == "polygon":
        layer.paint_polygon([(3, 6, 17), (3, 6, 22), (3, 12, 22)], 1)
    elif tool == "from code":
        layer.data_setitem((np.array([3, 3]), np.array([8, 9]), np.array([20, 20])), 1)
    else:
        layer.mode = tool
        drag(layer, (3, 8, 20))
    qtbot.waitUntil(lambda: wished.capture.is_settled)
    np.testing.assert_array_equal(layer.data, before)
    [stroke] = wished.strokes
    assert set(np.unique(stroke.values[stroke.mask])) == {0 if tool == "erase" else 1}


def test_a_ball_painted_in_3d_is_captured_too(layer, wished):
    before = layer.data.copy()
    layer.n_edit_dimensions, layer.brush_size = 3, 4
    layer.paint((3, 10, 16), 1)
    wished.capture.settle()
    np.testing.assert_array_equal(layer.data, before)
    assert wished.strokes[0].box.shape[0] > 1


def test_naparis_own_undo_has_nothing_to_undo(layer, wished):
    before = layer.data.copy()
    layer.paint((3, 10, 16), 1)
    wished.capture.settle()
    layer.undo()
    layer.redo()
    np.testing.assert_array_equal(layer.data, before)
    assert wished.capture.is_settled


def test_a_stroke_too_large_is_taken_back_and_told(layer, wished, monkeypatch):
    monkeypatch.setattr(region, "LARGEST", 8)
    told = []
    wished.capture.failed.connect(told.append)
    before = layer.data.copy()
    layer.brush_size = 9
    layer.paint((3, 10, 16), 1)
    wished.capture.settle()
    np.testing.assert_array_equal(layer.data, before)
    assert isinstance(told[0], ScutoidError)
    assert not wished.strokes


def test_afterwards_the_layer_is_naparis_again(layer, wished):
    wished.capture.stop()
    layer.paint((3, 10, 16), 1)
    assert layer.data[3, 10, 16] == 1
    layer.undo()
    assert layer.data[3, 10, 16] == 2
    layer.events.paint.connect(wished.capture._on_paint)

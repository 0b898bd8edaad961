"""What the mouse does over the cells, and which edits come of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.interactions import (
    mouse_double_click_callbacks,
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)

from napari_scutoid.progress import drain
from napari_scutoid.proofread.edits.add import Add
from napari_scutoid.proofread.edits.cut import Cut
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.lumen import SetLumen, SetOutside
from napari_scutoid.proofread.edits.merge import Merge
from napari_scutoid.proofread.edits.polygon import Polygon
from napari_scutoid.proofread.edits.split import Split
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.scene import Guards
from napari_scutoid.ui import layers, marks
from napari_scutoid.ui.edit_tools import TOOLS, EditTools
from napari_scutoid.ui.slice_view import SideEvent
from napari_scutoid.ui.tools import IN_IMAGE
from napari_scutoid.volume import Labels, Origin, VoxelSize

SHAPE = (8, 24, 32)
SIZE, ORIGIN = VoxelSize(2.0, 0.5, 0.5), Origin(1.0, 2.0, 3.0)
LEFT, RIGHT = 1, 2


class Evidence:
    """Walls as probable everywhere."""

    def boundary(self, box):
        return np.full(box.shape, 51, np.uint8)

    def image(self, box):
        return None


@pytest.fixture
def viewer():
    made = ViewerModel()
    cells = np.zeros(SHAPE, np.uint32)
    cells[2:6, 4:20, 4:16] = 12
    cells[2:6, 4:20, 16:28] = 31
    layers.add_labels(made, Labels(cells, SIZE, ORIGIN), "cells", {})
    made.dims.set_point(0, ORIGIN.z + 3 * SIZE.z)
    return made


@pytest.fixture
def tools(viewer, qtbot):
    layer = viewer.layers["cells"]
    made = EditTools(viewer, layer, drain(CellIndex.build(layer.data, Evidence())))
    heard = SimpleNamespace(tools=made, edits=[], picked=[], hints=[], marks=[])
    made.wished.connect(heard.edits.append)
    made.picked.connect(lambda cell, more: heard.picked.append((cell, more)))
    made.hinted.connect(heard.hints.append)
    made.marked.connect(heard.marks.append)
    yield heard
    made.stop()


class Mouse:
    """napari's mouse, at voxels of the labels; a voxel is four pixels of the screen."""

    def __init__(self, viewer, dims_displayed=(1, 2), view_direction=None):
        self.viewer, self.shown, self.direction = viewer, list(dims_displayed), view_direction

    def event(self, kind, voxel, button=LEFT, modifiers=()):
        position = np.multiply(voxel, SIZE) + ORIGIN
        return SimpleNamespace(
            type=kind,
            button=button,
            modifiers=modifiers,
            is_dragging=kind == "mouse_move" and self.is_down,
            position=tuple(position),
            pos=4.0 * np.asarray(voxel)[self.shown[-2:]],
            dims_displayed=self.shown,
            view_direction=self.direction,
            handled=False,
        )

    def drag(self, *voxels, button=LEFT, modifiers=()):
        """Press at the first voxel, release at the last; return whether the view was kept still."""

        class Held:
            def __init__(self, wrapped):
                self.__dict__["__wrapped__"] = wrapped

            def __getattr__(self, name):
                return getattr(self.__dict__["__wrapped__"], name)

            def __setattr__(self, name, value):
                if name == "__wrapped__":
                    self.__dict__[name] = value
                else:
                    setattr(self.__dict__["__wrapped__"], name, value)

        self.is_down = True
        pressed = self.event("mouse_press", voxels[0], button, modifiers)
        mouse_press_callbacks(self.viewer, Held(pressed))
        for voxel in voxels[1:]:
            mouse_move_callbacks(self.viewer, self.event("mouse_move", voxel, button, modifiers))
        mouse_release_callbacks(self.viewer, self.event("mouse_release", voxels[-1], button, modifiers))
        return pressed.handled

    def click(self, voxel, **how):
        return self.drag(voxel, **how)

    def double_click(self, voxel):
        event = self.event("mouse_double_click", voxel)
        mouse_double_click_callbacks(self.viewer, event)
        return event.handled

    def hover(self, voxel):
        self.is_down = False
        mouse_move_callbacks(self.viewer, self.event("mouse_move", voxel))


@pytest.fixture
def mouse(viewer):
    return Mouse(viewer)


IN_12, IN_31, OUTSIDE = (3, 10, 8), (3, 10, 20), (3, 1, 1)


def test_the_docks_tools_are_these():
    assert set(TOOLS) == {"", *(tool.name for tool in IN_IMAGE)}


def test_without_a_tool_clicks_choose_cells_and_drags_move_the_view(tools, mouse):
    assert not mouse.click(IN_12)
    mouse.click(IN_31, modifiers=("Shift",))
    mouse.click(OUTSIDE)
    assert not mouse.drag(IN_12, IN_31)
    assert tools.picked == [(12, False), (31, True)]
    assert not tools.edits


def test_two_clicks_or_a_drag_across_the_wall_merge(tools, mouse):
    tools.tools.setTool("merge")
    mouse.click(IN_12)
    assert "Cell 12" in tools.hints[-1]
    mouse.click(OUTSIDE)
    mouse.click(IN_31)
    assert mouse.drag(IN_31, (3, 10, 14), IN_12)
    assert not mouse.drag(OUTSIDE, IN_12)  # moves the view
    mouse.drag(IN_12, (3, 18, 8))  # stays in one cell
    assert tools.edits == [Merge((12, 31)), Merge((31, 12))]


def test_marks_then_enter_split_a_cell(viewer, tools, mouse):
    tools.tools.setTool("split")
    mouse.click((3, 6, 8))
    tools.tools.confirm()
    assert "one mark" in tools.hints[-1]
    mouse.click(IN_31)  # another cell: no mark of this one
    assert "cell 31" in tools.hints[-1]
    assert mouse.drag((3, 14, 6), (3, 18, 6), (3, 18, 10))
    assert len(viewer.layers[marks.NAME].data) > 8
    assert viewer.layers.selection.active is viewer.layers["cells"]
    viewer.layers["cells"].keymap[next(key for key in viewer.layers["cells"].keymap if str(key) == "Enter")](None)
    [edit] = tools.edits
    assert isinstance(edit, Split)
    assert edit.cell == 12
    assert edit.marks[0] == ((3.0, 6.0, 8.0),)
    assert {(3.0, 14.0, 6.0), (3.0, 16.0, 6.0), (3.0, 18.0, 10.0)} <= set(edit.marks[1])
    assert not viewer.layers[marks.NAME].visible
    assert not viewer.layers["cells"].keymap
    assert not viewer.keymap


def test_escape_and_another_tool_drop_what_was_begun(viewer, tools, mouse):
    tools.tools.setTool("split")
    mouse.click((3, 6, 8))
    viewer.keymap[next(key for key in viewer.keymap if str(key) == "Escape")](None)
    mouse.click(IN_31)
    assert "Cell 31" in tools.hints[-1]
    tools.tools.setTool("merge")
    mouse.click(IN_31)
    mouse.click(IN_12)
    assert tools.edits == [Merge((31, 12))]


def test_a_right_click_confirms(tools, mouse):
    tools.tools.setTool("split")
    mouse.click((3, 6, 8))
    mouse.click((3, 16, 8))
    assert mouse.click(OUTSIDE, button=RIGHT)
    assert len(tools.edits) == 1
    assert not mouse.click(OUTSIDE, button=RIGHT)  # napari's again


def test_a_line_cuts_the_cell_it_crosses_most_or_the_chosen_one(tools, mouse):
    tools.tools.setTool("cut")
    assert mouse.drag((3, 1, 10), (3, 12, 10), (3, 22, 10))
    tools.tools.setCells([31])
    mouse.drag((3, 12, 2), (3, 12, 19))
    assert tools.edits == [
        Cut(12, 0, 3, ((1.0, 10.0), (12.0, 10.0), (22.0, 10.0))),
        Cut(31, 0, 3, ((12.0, 2.0), (12.0, 19.0))),
    ]
    mouse.click(IN_12)
    assert "line" in tools.hints[-1]
    mouse.drag((3, 1, 1), (3, 1, 30))
    assert "no cell" in tools.hints[-1]
    assert len(tools.edits) == 2


def test_clicks_add_and_delete_cells_and_set_lumen_and_outside(tools, mouse):
    for tool, voxel in (
        ("add", OUTSIDE),
        ("delete", IN_12),
        ("lumen", IN_31),
        ("outside", OUTSIDE),
        ("delete", OUTSIDE),
    ):
        tools.tools.setTool(tool)
        mouse.click(voxel)
    place = tuple(map(float, OUTSIDE))
    assert tools.edits == [Add((place,)), Delete((12,)), SetLumen(31), SetOutside(place)]


def test_a_scribble_adds_a_cell_too(tools, mouse):
    tools.tools.setTool("add")
    assert mouse.drag((3, 1, 1), (3, 1, 4))
    assert tools.edits == [Add(tuple((3.0, 1.0, float(x)) for x in range(1, 5)))]


def test_corners_and_a_double_click_draw_an_outline(tools, mouse):
    tools.tools.setTool("polygon")
    guards = Guards(outside=True)
    tools.tools.setDrawn(31, guards)
    corners = [(3, 2, 2), (3, 2, 9), (3, 9, 9)]
    mouse.click(corners[0])
    mouse.click(corners[1])
    assert mouse.double_click(corners[1])
    assert "three corners" in tools.hints[-1]
    mouse.click((4, 9, 9))
    assert "another slice" in tools.hints[-1]
    mouse.click(corners[2])
    mouse.double_click(corners[2])
    assert tools.edits == [Polygon(31, 0, 3, ((2.0, 2.0), (2.0, 9.0), (9.0, 9.0)), guards)]
    assert not mouse.double_click(corners[2])


def test_with_naparis_brush_only_alt_and_click_is_taken(tools, mouse):
    tools.tools.setTool("paint")
    mouse.click(IN_12)
    mouse.drag(IN_12, IN_31)
    assert not tools.picked
    mouse.click(IN_31, modifiers=(SimpleNamespace(name="Alt"),))
    assert tools.picked == [(31, False)]
    assert not tools.edits


def test_hovering_a_wall_shows_its_evidence(tools, mouse):
    mouse.hover((3, 10, 15))
    assert tools.hints[-1] == "Wall between cells 12 and 31: evidence 0.20, 64 voxel faces"
    mouse.hover((3, 10, 8))
    assert tools.hints[-1] == ""
    mouse.hover((3, 100, 8))
    mouse.hover(OUTSIDE)
    assert len(tools.hints) == 2


def test_in_3d_clicks_mean_the_cell_that_is_seen(viewer, tools):
    viewer.dims.ndisplay = 3
    along_x = Mouse(viewer, (0, 1, 2), np.array([0.0, 0.0, 1.0]))
    tools.tools.setTool("merge")
    along_x.click((3, 10, 0))
    assert "Cell 12" in tools.hints[-1]
    against_x = Mouse(viewer, (0, 1, 2), np.array([0.0, 0.0, -1.0]))
    assert not against_x.drag((3, 10, 31), (3, 14, 10))  # turns the view
    against_x.click((3, 10, 31))
    assert tools.edits == [Merge((12, 31))]
    tools.tools.setSeen(frozenset({31}))
    tools.tools.setTool("")
    along_x.click((3, 10, 0))
    assert tools.picked == [(31, False)]  # 12, which lies before it, is hidden
    along_x.click((3, 1, 0))  # beside all cells
    tools.tools.setTool("cut")
    along_x.click((3, 10, 0))
    assert "2D" in tools.hints[-1]
    assert len(tools.picked) == len(tools.edits) == 1


def test_points_on_both_sides_in_3d_split_a_cell(viewer, tools):
    viewer.dims.ndisplay = 3
    tools.tools.setTool("split")
    for direction, start in ((1.0, 0), (-1.0, 23)):
        Mouse(viewer, (0, 1, 2), np.array([0.0, direction, 0.0])).click((3, start, 8))
    tools.tools.confirm()
    assert tools.edits == [Split(12, (((3.0, 4.0, 8.0),), ((3.0, 19.0, 8.0),)))]


def from_the_side(kind, voxel, **how):
    where = (4.0 * voxel[0], 4.0 * voxel[2])
    return SideEvent(kind, tuple(np.multiply(voxel, SIZE) + ORIGIN), [0, 2], pos=where, **how)


def test_the_tools_work_from_the_side_as_well(tools):
    take = tools.tools.take
    tools.tools.setTool("cut")
    assert take(from_the_side("mouse_press", (1, 10, 10)))
    for z in range(2, 7):
        take(from_the_side("mouse_move", (z, 10, 10)))
    assert len(tools.marks[-1]) == 1
    np.testing.assert_allclose(tools.marks[-1][0].places[0], np.multiply((1, 10, 10), SIZE) + ORIGIN)
    take(from_the_side("mouse_release", (6, 10, 10)))
    [edit] = tools.edits
    assert (edit.cell, edit.axis, edit.position) == (12, 1, 10)
    assert (edit.line[0], edit.line[-1]) == ((1.0, 10.0), (6.0, 10.0))
    assert not tools.marks[-1]
    tools.tools.setTool("delete")
    assert not take(from_the_side("mouse_press", (3, 10, 20)))  # a drag would move the view
    take(from_the_side("mouse_release", (3, 10, 20)))
    assert tools.edits[-1] == Delete((31,))
    assert not take(from_the_side("mouse_double_click", (3, 10, 20)))


def test_a_mark_layer_that_the_user_removes_comes_back(viewer, tools, mouse):
    tools.tools.setTool("split")
    mouse.click((3, 6, 8))
    viewer.layers.remove(marks.NAME)
    mouse.click((3, 16, 8))
    assert len(viewer.layers[marks.NAME].data) == 2


def test_stopped_tools_leave_the_viewer_as_it_was(viewer, qtbot):
    layer = viewer.layers["cells"]
    before = len(viewer.mouse_drag_callbacks), len(viewer.layers)
    tools = EditTools(viewer, layer, drain(CellIndex.build(layer.data)))
    tools.setTool("split")
    Mouse(viewer).click((3, 6, 8))
    tools.stop()
    assert (len(viewer.mouse_drag_callbacks), len(viewer.layers)) == before
    assert not viewer.keymap
    with pytest.raises(ValueError, match="name"):
        tools.setTool("axe")

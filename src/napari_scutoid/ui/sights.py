"""What the image and the views from the side show of a session, and what is drawn in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtWidgets import QMainWindow

from napari_scutoid.ui import layers
from napari_scutoid.ui.edit_colours import EditColours
from napari_scutoid.ui.edit_tools import EditTools
from napari_scutoid.ui.orthogonal import OrthogonalViews
from napari_scutoid.ui.spotlight import Spotlight
from napari_scutoid.ui.stroke_capture import StrokeCapture

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari
    from napari.layers import Labels as LabelsLayer
    from napari.layers import Layer

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.session import Session
    from napari_scutoid.ui.tool_panel import ToolPanel

SIDE_VIEWS = "Scutoid side views"
MODES = {"paint": "paint", "erase": "erase"}
"""Tools that are napari's own, and how napari calls them."""
SHARE = 0.35
"""Of the window's height that the views from the side get."""
LUMEN_NAME = "lumen"
LUMEN_COLOUR = (0.6, 0.85, 1.0, 1.0)
MARGIN = 2.0
"""How much of the surroundings is shown with a cell, in times its extent."""


class Sights(QObject):
    """Shows the cells of a session, and hands over what is drawn on them.

    Parameters
    ----------
    viewer : napari.Viewer
    tools : ToolPanel
        Says what the mouse does, and to what.

    Signals
    -------
    wished : Edit
        Drawn in the image.
    failed : Exception
        What was drawn could not be made an edit.
    """

    wished = Signal(object)
    failed = Signal(object)

    def __init__(self, viewer: napari.Viewer, tools: ToolPanel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._tools = viewer, tools
        self._session: Session | None = None
        self._layer: Any = None
        self._colours: EditColours | None = None
        self._strokes: StrokeCapture | None = None
        self._views: OrthogonalViews | None = None
        self._last: Change | None = None
        self._mouse: EditTools | None = None
        self._light: Spotlight | None = None
        self._lumen: Any = None
        self._under: dict[str, Any] = {}
        tools.valueChanged.connect(self._on_tool)
        tools.cellsChanged.connect(self._on_tool)
        tools.drawingChanged.connect(self._on_tool)

    @property
    def layer(self) -> LabelsLayer | None:
        """The layer of the cells, while a session is shown and it is in the viewer."""
        layer = None if self._layer is None else self._layer()
        return layer if layer is not None and layer in self._viewer.layers else None

    def begin(self, session: Session, layer: LabelsLayer, image: Layer | None, walls: Layer | None) -> None:
        """Show a session.

        Parameters
        ----------
        session : Session
        layer : napari.layers.Labels
            Its data are the session's labels.
        image, walls : napari.layers.Layer, optional
            What lies under the cells.
        """
        self._session, self._layer = session, layers.held_weakly(layer)
        self._under = {
            name: layers.held_weakly(one) for name, one in (("image", image), ("walls", walls)) if one is not None
        }
        layer.editable = True
        layer.visible = True
        self._viewer.layers.selection.active = layer
        self._colours = EditColours(layer, session.index)
        self._strokes = StrokeCapture(layer, self)
        self._strokes.wished.connect(self._on_stroke)
        self._strokes.failed.connect(self.failed)
        self._show_lumen()
        self._views = OrthogonalViews(self._viewer, layer)
        self._mouse = EditTools(self._viewer, layer, session.index, self)
        self._light = Spotlight(self._viewer, layer, session.index, self)
        self._mouse.wished.connect(self.wished)
        self._mouse.picked.connect(self._on_picked)
        self._mouse.hinted.connect(self._tools.setHint)
        self._mouse.marked.connect(self._views.setMarks)
        self._light.seenChanged.connect(self._mouse.setSeen)
        self._views.setTool(self._mouse.take)
        self._dock_views()
        self._on_tool()

    def end(self) -> None:
        """Leave the layer to napari, to be looked at."""
        layer = self.layer
        if self._strokes is not None:
            self._strokes.stop()
            self._strokes.deleteLater()
        for part in (self._mouse, self._light):
            if part is not None:
                part.stop()
                part.deleteLater()
        self._undock_views()
        self._tools.setHint("")
        lumen = None if self._lumen is None else self._lumen()
        if lumen is not None and lumen in self._viewer.layers:
            self._viewer.layers.remove(lumen)
        if layer is not None:
            layer.mode = "pan_zoom"
            # What is painted now would be in no journal.
            layer.editable = False
        self._session = self._layer = self._colours = self._strokes = self._lumen = None
        self._mouse = self._light = self._last = None
        self._under = {}

    def settle(self) -> None:
        """Hand over what was painted, now."""
        if self._strokes is not None:
            self._strokes.settle()

    def refresh(self, change: Change) -> None:
        """Show what an edit has changed."""
        if self.layer is None:
            return
        if self._colours is not None:
            self._colours.refresh(change)
        if change.lumen is not None:
            self._show_lumen()
        if self._views is not None:
            self._views.refresh(change)
        if change.labels is not None:
            self._last = change
        self._choose_new_cell()

    def follow(self) -> None:
        """Let the light follow the edits: once after a jump of many, and after the cells themselves are seen."""
        last, self._last = self._last, None
        if last is not None and self._light is not None and self.layer is not None:
            self._light.refresh(last)

    def look(self, place: Sequence[float], cells: Sequence[int]) -> None:
        """Bring a place, in voxels, into the middle of all views; cells there are to be seen whole, and light up.

        Of two cells, the wall between them does.
        """
        layer, session = self.layer, self._session
        if layer is None or session is None or self._views is None:
            return
        boxes = [session.index.box(cell) for cell in cells if cell in session.index]
        sides = [n * edge for box in boxes for n, edge in zip(box.shape, layer.scale, strict=True)]
        self._views.look(layer.data_to_world(place), MARGIN * max(sides) if sides else None)
        if self._light is not None and cells:
            self._light.light(cells, wall=len(cells) == 2)

    def unlight(self) -> None:
        """Switch the light off."""
        if self._light is not None:
            self._light.light(())

    def show_alone(self, cells: Sequence[int]) -> None:
        """Show only some cells and their neighbours, or all again."""
        if self._light is not None:
            self._light.setAlone(() if self._light.alone() else cells)

    def here(self) -> tuple[float, float, float]:
        """Return the place that is looked at, in voxels."""
        layer = self.layer
        if layer is None or self._views is None:
            return 0.0, 0.0, 0.0
        z, y, x = (float(n) for n in layer.world_to_data(self._views.point()))
        return z, y, x

    def axis(self) -> int:
        """Return the axis across which the slices lie that the image shows."""
        dims = self._viewer.dims
        return int(dims.order[0]) if dims.ndisplay == 2 and dims.ndim == 3 else 0

    def under(self, name: str) -> Any:
        """Return the layer of the "image" or of the "walls", or None where there is none, or no longer one."""
        layer = self._under[name]() if name in self._under else None
        return layer if layer is not None and layer in self._viewer.layers else None

    def toggle(self, name: str) -> None:
        """Show or hide the "image", the "walls" or the "crosshair"; or switch the "outlines" of cells."""
        layer = self.layer
        if name == "outlines" and layer is not None:
            layer.contour = 0 if layer.contour else 1
        elif name == "crosshair" and self._views is not None:
            self._views.switch.toggle()
        elif (under := self.under(name)) is not None:
            under.visible = not under.visible

    def _choose_new_cell(self) -> None:
        """Go on with a cell that has just been begun, not with one more."""
        layer, session = self.layer, self._session
        if layer is None or session is None or self._tools.target() != "new":
            return
        if layer.selected_label in session.index:
            self._tools.setTarget("cell")
            self._tools.setCells([int(layer.selected_label)])

    def _on_stroke(self, stroke: Any) -> None:
        on = "lumen" if self._tools.target() == "lumen" else "cells"
        self.wished.emit(replace(stroke, guards=self._tools.guards(), layer=on))

    def _on_picked(self, cell: int, one_more: bool) -> None:
        """Choose a cell that was clicked; with one more, a second click takes it out again."""
        before = self._tools.cells() if one_more else []
        self._tools.setCells([one for one in before if one != cell] if cell in before else [*before, cell])
        if self._light is not None:
            self._light.light(self._tools.cells())
        self._on_tool()

    def _on_tool(self) -> None:
        """Let the mouse do what the tool says."""
        layer, session, tools = self.layer, self._session, self._tools
        if layer is None or session is None or self._mouse is None:
            return
        cells, target = tools.cells(), tools.target()
        # Where no cell is chosen, what is drawn is a new one.
        drawn = cells[0] if cells and target == "cell" else session.next_id
        layer.selected_label = drawn
        layer.mode = MODES.get(tools.value(), "pan_zoom")
        self._mouse.setTool(tools.value())
        self._mouse.setCells(cells)
        self._mouse.setDrawn("lumen" if target == "lumen" else drawn, tools.guards())

    def _show_lumen(self) -> None:
        session, layer = self._session, self.layer
        if session is None or layer is None or session.lumen is None:
            return
        shown = None if self._lumen is None else self._lumen()
        if shown is not None and shown in self._viewer.layers:
            shown.refresh(extent=False, thumbnail=False)
            return
        active = self._viewer.layers.selection.active
        grid = {name: getattr(layer, name) for name in ("scale", "translate", "units", "axis_labels")}
        shown = self._viewer.add_labels(
            session.lumen.view(np.uint8),
            name=f"{layer.name} {LUMEN_NAME}",
            opacity=0.3,
            colormap={0: (0, 0, 0, 0), None: LUMEN_COLOUR},
            metadata={layers.METADATA: {"kind": "lumen"}},
            **grid,
        )
        shown.editable = False
        self._lumen = layers.held_weakly(shown)
        self._viewer.layers.selection.active = active

    def _dock_views(self) -> None:
        window = getattr(self._viewer, "window", None)
        if window is not None and self._views is not None:
            dock = window.add_dock_widget(self._views, name=SIDE_VIEWS, area="bottom")
            self._make_room(layers.unwrapped(dock), self._views.window())

    @staticmethod
    def _make_room(dock: Any, window: Any) -> None:
        """Put the views from the side under the image, and let the docks beside it keep their height."""
        if isinstance(window, QMainWindow):
            window.setCorner(Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea)
            window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
            window.resizeDocks([dock], [int(SHARE * window.height())], Qt.Orientation.Vertical)

    def _undock_views(self) -> None:
        views, self._views = self._views, None
        if views is None:
            return
        views.stop()
        window = getattr(self._viewer, "window", None)
        if window is not None:
            try:
                window.remove_dock_widget(views)
            except LookupError:  # the user has closed it
                pass
        views.deleteLater()

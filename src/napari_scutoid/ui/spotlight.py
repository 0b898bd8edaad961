"""Light on a cell or a wall, and a few cells without the others: small layers, never another whole stack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, Signal

from napari_scutoid.box import Box
from napari_scutoid.ui import layers

if TYPE_CHECKING:
    from collections.abc import Iterable

    import napari
    from napari.layers import Labels as LabelsLayer

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.index import CellIndex

LIGHT, ALONE = "Scutoid light", "Scutoid some cells"
OUTLINE = 1
"""How thick the outline of a cell is that is lit; napari makes it a pixel more."""


class Spotlight(QObject):
    """Shows what is talked of.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
        All cells.
    index : CellIndex
        Of them.

    Signals
    -------
    seenChanged : frozenset of int or None
        Which cells are seen now; None for all.
    """

    seenChanged = Signal(object)

    def __init__(
        self, viewer: napari.Viewer, layer: LabelsLayer, index: CellIndex, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._index = viewer, index
        self._cells = layers.held_weakly(layer)
        self._grid = {name: getattr(layer, name) for name in ("scale", "units", "axis_labels")}
        self._origin = np.asarray(layer.translate)
        self._lit: tuple[int, ...] = ()
        self._is_wall = False
        self._alone: tuple[int, ...] = ()
        self._made: dict[str, Any] = {}
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.dims.events.ndisplay.connect(self._on_ndisplay)

    def light(self, cells: Iterable[int], *, wall: bool = False) -> None:
        """Light cells up, or the wall between two, in place of those before; none to switch the light off.

        Parameters
        ----------
        cells : iterable of int
            Those that are no longer there are left out.
        wall : bool
            Whether the wall between the two is meant.
        """
        self._lit, self._is_wall = tuple(cells), wall
        self._show_light()

    def alone(self) -> tuple[int, ...]:
        """Return the cells that are shown with their neighbours only; empty where all are."""
        return self._alone

    def setAlone(self, cells: Iterable[int]) -> None:
        """Show only these cells and their neighbours; none to show all again."""
        before = self._alone
        self._alone = tuple(cell for cell in cells if cell in self._index)
        if self._alone or before:
            self._show_alone()

    def refresh(self, change: Change) -> None:
        """Show cells as they are after an edit."""
        if change.labels is None:
            return
        if self._lit:
            self._show_light()
        if self._alone:
            self.setAlone(self._alone)

    def stop(self) -> None:
        """Show all cells, and take the layers out of the viewer."""
        self.setAlone(())
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        for name in list(self._made):
            layer = self._made.pop(name)
            if layer in self._viewer.layers:
                self._viewer.layers.remove(layer)

    def _show_light(self) -> None:
        from napari_scutoid.proofread.spot import cells_alone, wall_alone

        labels = self._labels()
        lit = [cell for cell in self._lit if cell in self._index]
        found: tuple[Box, Any] | None = None
        if labels is not None and lit:
            is_wall = self._is_wall and len(lit) == 2
            found = wall_alone(labels.data, self._index, *lit) if is_wall else None
            # Of a wall that is gone, its cells.
            found = found or cells_alone(labels.data, self._index, lit)
        if found is None:
            self._switch_off()
            return
        box, shown = found
        # napari draws no outlines in 3D, and warns of it.
        outline = 0 if shown.dtype == np.bool_ or self._viewer.dims.ndisplay == 3 else OUTLINE
        self._fill(LIGHT, box, (shown > 0).astype(np.uint32), contour=outline)

    def _show_alone(self) -> None:
        from napari_scutoid.proofread.spot import cells_alone

        labels = self._labels()
        if labels is None:
            return
        if not self._alone:
            self._hide(ALONE)
            labels.visible = True
            self.seenChanged.emit(None)
            return
        seen = set(self._alone).union(*(self._index.neighbours(cell) for cell in self._alone))
        box, shown = cells_alone(labels.data, self._index, seen)
        self._fill(ALONE, box, shown, opacity=labels.opacity, colormap=labels.colormap)
        labels.visible = False
        self.seenChanged.emit(frozenset(seen))

    def _labels(self) -> LabelsLayer | None:
        layer = self._cells()
        return layer if layer is not None and layer in self._viewer.layers else None

    def _fill(self, name: str, box: Box, data: Any, **looks: Any) -> None:
        """Show these voxels in a layer, which is kept, as napari takes long to make one."""
        translate = self._origin + np.multiply(box.start, self._grid["scale"])
        layer = self._made.get(name)
        if layer is None or layer not in self._viewer.layers:
            layer = self._layer(name, data, translate)
        # All at once: napari would cut it and send it to the graphics card for each of them, and measure all layers
        # again, though what is shown lies in the stack.
        # What follows data in napari is for data of another type: it would compile the layer's shaders again.
        with layer._block_refresh(), layer.events.extent.blocker(), layer.events.data.blocker():
            if layer.data is not data:
                layer.data = data
            if not np.array_equal(layer.translate, translate):
                with layer.events.translate.blocker(layers.unwrapped(self._viewer)._on_layers_change):
                    layer.translate = translate
            for look, value in looks.items():
                if getattr(layer, look) is not value:
                    setattr(layer, look, value)
            was_visible = layer.visible
            if not was_visible:
                layer.visible = True
        layer.refresh(extent=False, thumbnail=not was_visible, highlight=False)

    def _layer(self, name: str, data: Any, translate: Any) -> Any:
        from napari_scutoid.ui.cell_colormap import CellColormap

        selected, active = set(self._viewer.layers.selection), self._viewer.layers.selection.active
        # An id without a colour is white; napari's own table of colours would be compiled first, which takes seconds.
        options: dict[str, Any] = {} if name == ALONE else {"colormap": CellColormap.of({}), "opacity": 0.8}
        made = self._viewer.add_labels(
            data,
            name=name,
            translate=translate,
            blending="translucent" if name == ALONE else "translucent_no_depth",
            metadata={layers.METADATA: {"kind": "spotlight"}},
            **options,
            **self._grid,
        )
        layer = self._made[name] = layers.unwrapped(made)
        layer.editable = False
        self._viewer.layers.selection = selected
        self._viewer.layers.selection.active = active
        return layer

    def _hide(self, name: str) -> None:
        layer = self._made.get(name)
        if layer is not None and layer in self._viewer.layers:
            layer.visible = False

    def _switch_off(self) -> None:
        """Leave nothing lit: hiding and showing a layer makes napari draw its list and arrange its canvas anew."""
        layer = self._made.get(LIGHT)
        if layer is not None and layer in self._viewer.layers and layer.data.any():
            start = np.rint((np.asarray(layer.translate) - self._origin) / self._grid["scale"]).astype(int)
            self._fill(LIGHT, Box.between(start, start + 1), np.zeros((1, 1, 1), np.uint32))

    def _on_ndisplay(self, _event: object = None) -> None:
        """Come before the layer is cut anew, with or without its outline."""
        light = self._made.get(LIGHT)
        if light is not None and light in self._viewer.layers:
            if self._viewer.dims.ndisplay == 3:
                light.contour = 0
            else:
                self._show_light()

    def _on_removed(self, _event: object = None) -> None:
        for name, layer in list(self._made.items()):
            if layer not in self._viewer.layers:
                del self._made[name]
                if name == ALONE:
                    self.setAlone(())
                else:
                    self._lit = ()

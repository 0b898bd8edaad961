"""What a tool draws over the image while it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.ui import layers
from napari_scutoid.ui.pointing import filled_in
from napari_scutoid.ui.slice_view import LINE, Mark

if TYPE_CHECKING:
    from collections.abc import Sequence

    import napari
    from napari.layers import Layer, Points

    from napari_scutoid.ui.pointing import Voxel

NAME = "Scutoid marks"
COLOURS = (LINE, "#ff5ac8", "#5ad7ff", "#8cff5a", "#ff8c5a", "#b48cff")
"""Of one mark after the other, so that the parts of a cell can be told apart."""
PIXELS = 6
"""Size of a dot on the screen."""

Drawn = tuple[list["Voxel"], bool]
"""Voxels, and whether they are joined."""


class Marks:
    """Dots and lines in a layer of points, which the slice that holds them shows, and 3D.

    Parameters
    ----------
    viewer : napari.components.ViewerModel
    layer : napari.layers.Labels
        In whose voxels they are.
    """

    def __init__(self, viewer: napari.Viewer, layer: Layer) -> None:
        self._viewer = viewer
        self._grid = {name: getattr(layer, name) for name in ("scale", "translate", "units", "axis_labels")}
        self._layer: Points | None = None

    def show(self, drawn: Sequence[Drawn]) -> list[Mark]:
        """Show these in place of those before, and return them as the views from the side take them."""
        marks = []
        places, colours = [np.empty((0, 3))], []
        for number, (voxels, joined) in enumerate(drawn):
            colour = COLOURS[number % len(COLOURS)]
            path = filled_in(voxels) if joined else np.asarray(voxels, float).reshape(-1, 3)
            places.append(path)
            colours += [colour] * len(path)
            world = path * np.asarray(self._grid["scale"]) + np.asarray(self._grid["translate"])
            marks.append(Mark(world, colour, joined))
        self._fill(np.concatenate(places), colours)
        return marks

    def stop(self) -> None:
        """Take them out of the viewer."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _fill(self, places: Any, colours: list[str]) -> None:
        layer = self._layer
        if layer is None or layer not in self._viewer.layers:
            if not len(places):
                return
            layer = self._made()
        layer.data = places
        if len(places):
            layer.face_color = colours
        layer.visible = bool(len(places))

    def _made(self) -> Points:
        selected, active = set(self._viewer.layers.selection), self._viewer.layers.selection.active
        self._layer = layer = self._viewer.add_points(
            np.empty((0, 3)),
            ndim=3,
            name=NAME,
            size=1,
            border_width=0,
            canvas_size_limits=(PIXELS, PIXELS),
            blending="translucent_no_depth",
            metadata={layers.METADATA: {"kind": "marks"}},
            **self._grid,
        )
        # The user goes on with the labels, and their keys hold.
        self._viewer.layers.selection = selected
        self._viewer.layers.selection.active = active
        return layer

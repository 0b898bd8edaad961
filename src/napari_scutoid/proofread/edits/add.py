"""Adds a cell that the segmentation missed, from a point, a scribble or polygons."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.growth import grown
from napari_scutoid.proofread.edits.guards import Canvas, lumen_in, replaced, typical_diameter
from napari_scutoid.proofread.edits.interpolate import SHAPING, between
from napari_scutoid.proofread.edits.polygon import filled
from napari_scutoid.proofread.edits.region import Region, drawable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.edits.polygon import Axis, Vertices
    from napari_scutoid.proofread.scene import Guards, Scene

REACH = 1.2
"""How far from its seed a cell may go, in typical diameters: columns are longer than wide."""

_FIRST = 8
"""The stack's shortest side over a cell's diameter, where there is no cell yet that would tell."""


@dataclass(frozen=True, slots=True)
class Add:
    """Grow a new cell in the background, from a point or a scribble.

    Parameters
    ----------
    points : tuple of 3 floats each
        In voxels. Those of a scribble that lie in cells or in the lumen are left out.
    diameter : float, optional
        Of a typical cell, in the units of the spacing; by default that of the cells there are.
    """

    points: tuple[tuple[float, float, float], ...]
    diameter: float | None = None

    def plan(self, scene: Scene) -> Change:
        """Return the change that adds the cell; see `growth.grown` for how it is found.

        Raises
        ------
        ScutoidError
            When no point lies in the background.
        """
        region = Region.of_points(self.points, scene.shape)
        if region is None:
            raise ScutoidError("No cell can be added here", "the place lies beside the stack", "click inside the stack")
        here = region.box.slices
        seed = region.mask & (scene.labels[here] == 0) & ~lumen_in(scene, region.box)
        if not seed.any():
            cells = sorted(set(map(int, scene.labels[here][region.mask])) - {0})
            raise ScutoidError(
                "No cell can be added here",
                f"cell {cells[0]} is here already" if cells else "this is lumen",
                "split that cell, or click on background" if cells else "click on background, or take the lumen away",
            )
        canvas = _grow(scene, Region(region.box, seed), None, self.diameter)
        told = {"seed": [[float(c) for c in point] for point in self.points[:_TOLD]], "points": len(self.points)}
        return canvas.change("add", f"Add cell {scene.next_id}", told)


@dataclass(frozen=True, slots=True)
class AddPolygons:
    """Add a new cell drawn as a polygon in one or several slices.

    Between polygons the shape is interpolated. A single polygon is also the seed from which the cell grows into the
    other slices; in its own, the cell stays as it was drawn.

    Parameters
    ----------
    axis : int
        Across which the slices lie.
    polygons : tuple of (int, vertices)
        Slice and polygon, as for `Polygon`.
    grow : bool, optional
        Whether the cell grows beyond the polygons; by default where there is only one.
    guards : Guards
        What the drawn shape may change; what grows takes only background.
    """

    axis: Axis
    polygons: tuple[tuple[int, Vertices], ...]
    grow: bool | None = None
    guards: Guards = SHAPING

    def plan(self, scene: Scene) -> Change:
        """Return the change that adds the cell.

        Raises
        ------
        ScutoidError
            When there is no polygon, one holds no voxel, two lie in one slice, or the guards leave nothing.
        """
        drawn = {position: filled(shape, self.axis, position, scene.shape) for position, shape in self.polygons}
        if not drawn or len(drawn) < len(self.polygons):
            raise ScutoidError(
                "No cell can be added",
                "two polygons lie in one slice" if drawn else "there is no polygon",
                "draw one polygon in each of some slices",
            )
        body = self._interpolated(scene, [drawn[position] for position in sorted(drawn)])
        canvas = Canvas(scene, body.box, self.guards)
        canvas.paint(body.mask, scene.next_id)
        if self.grow if self.grow is not None else len(drawn) == 1:
            mine = canvas.labels == scene.next_id
            if mine.any():
                canvas = self._grown(scene, Region(body.box, mine), sorted(drawn))
        told = {
            "axis": self.axis,
            "polygons": [
                [position, [[float(c) for c in corner] for corner in shape]] for position, shape in self.polygons
            ],
        }
        return canvas.change("add", f"Add cell {scene.next_id}", told)

    def warning(self, scene: Scene) -> str | None:
        """Return what to ask before doing it; see `replaced`."""
        return replaced(scene, self.plan(scene))

    def _interpolated(self, scene: Scene, sections: Sequence[Region]) -> Region:
        box = sections[0].box
        for section in sections[1:]:
            box = box.union(section.box)
        margin = [0 if axis == self.axis else 2 for axis in range(3)]
        box = drawable(box.padded(margin, scene.shape))
        slices = [section.box.start[self.axis] - box.start[self.axis] for section in sections]
        body = np.zeros(box.shape, np.bool_)
        stack = np.moveaxis(body, self.axis, 0)
        spacing = [edge for axis, edge in enumerate(scene.spacing) if axis != self.axis]
        for section in sections:
            body |= section.within(box)
        for start, stop in pairwise(slices):
            for i, shape in between(stack[start].copy(), stack[stop].copy(), start, stop, spacing):
                stack[i] = shape
        return Region(box, body)

    def _grown(self, scene: Scene, body: Region, slices: Sequence[int]) -> Canvas:
        def closed(box: Box) -> NDArray[np.bool_]:
            """Return the slices that are settled: from the first polygon to the last."""
            place = np.arange(box.start[self.axis], box.stop[self.axis])
            settled = (place >= slices[0]) & (place <= slices[-1])
            return np.expand_dims(settled, [axis for axis in range(3) if axis != self.axis])

        return _grow(scene, body, closed, None, self.guards)


_TOLD = 1000
"""Points of a scribble that are noted."""


def _grow(
    scene: Scene,
    seed: Region,
    closed: Callable[[Box], NDArray[np.bool_]] | None,
    diameter: float | None,
    guards: Guards = SHAPING,
) -> Canvas:
    """Return a canvas with a new cell grown from a seed; `closed` tells which voxels of a box it must not take."""
    spacing = np.asarray(scene.spacing)
    across = diameter or typical_diameter(scene) or float(np.min(spacing * scene.shape)) / _FIRST
    across = max(across, 3 * float(min(spacing)))
    box = drawable(seed.box.padded([int(REACH * across / edge) + 2 for edge in spacing], scene.shape))
    start = seed.within(box)
    free = (scene.labels[box.slices] == 0) & ~lumen_in(scene, box)
    taken = ~free
    if closed is not None:
        free &= ~closed(box)
    cell = grown(start, free, taken, scene.evidence.boundary(box), scene.spacing, float(np.pi / 6 * across**3))
    canvas = Canvas(scene, box, guards)
    canvas.paint(cell, scene.next_id)
    return canvas

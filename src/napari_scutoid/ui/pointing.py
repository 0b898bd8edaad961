"""Which cell and voxel the mouse points at, in a slice, from the side and in 3D."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.ui import layers

if TYPE_CHECKING:
    from collections.abc import Collection

    from napari.layers import Labels as LabelsLayer
    from numpy.typing import NDArray

    from napari_scutoid.proofread.edits.polygon import Axis

Voxel = tuple[float, float, float]

NEAR = 2
"""Voxels from a wall within which the mouse points at it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the mouse points.

    Parameters
    ----------
    voxel : tuple of 3 floats
        In the labels' voxels, between their centres as well; in 3D the first voxel of a cell on the ray.
    cell : int
        What is there; 0 is no cell.
    axis : int or None
        Across which the slice lies; None in 3D.
    """

    voxel: Voxel
    cell: int
    axis: Axis | None

    @property
    def section(self) -> tuple[Axis, int] | None:
        """Across which axis the slice lies, and which it is; None in 3D."""
        return None if self.axis is None else (self.axis, round(self.voxel[self.axis]))


class Pointer:
    """Looks up in the labels themselves what lies under the mouse, also while their layer is hidden.

    Parameters
    ----------
    layer : napari.layers.Labels
    """

    def __init__(self, layer: LabelsLayer) -> None:
        self._layer = layers.held_weakly(layer)
        self.seen: Collection[int] | None = None
        """Cells that can be seen in 3D, and so be pointed at; None for all."""

    def place(self, event: Any) -> Place | None:
        """Return where an event of napari's or of a `SliceView` lies; None beside the stack, in 3D beside all cells."""
        layer = self._layer()
        position = np.asarray(event.position, float)
        if layer is None or len(position) < 3:
            return None
        shown = [axis - (len(position) - 3) for axis in event.dims_displayed]
        if len(shown) == 3:
            return self._first_on_ray(layer, event)
        axis: Any = 3 - sum(shown)
        return self._at(layer, layer.world_to_data(position), axis)

    def wall(self, place: Place) -> tuple[int, int] | None:
        """Return the two cells between which a place in a slice lies, or None."""
        layer = self._layer()
        if layer is None or place.section is None or not place.cell:
            return None
        axis, number = place.section
        around = [slice(max(0, round(at) - NEAR), round(at) + NEAR + 1) for at in place.voxel]
        around[axis] = slice(number, number + 1)
        ids, found = np.unique(layer.data[tuple(around)], return_counts=True)
        others = [(n, int(cell)) for cell, n in zip(ids, found, strict=True) if cell not in (0, place.cell)]
        return (place.cell, max(others)[1]) if others else None

    def world(self, voxels: Any) -> NDArray[np.float64]:
        """Return the places of voxels in the world, shape (n, 3)."""
        layer = self._layer()
        places = np.asarray(voxels, float).reshape(-1, 3)
        return places if layer is None else places * np.asarray(layer.scale) + np.asarray(layer.translate)

    def cells_at(self, voxels: Any) -> NDArray[np.uint32]:
        """Return the cells at some voxels, 0 where there is none or the stack ends."""
        layer = self._layer()
        places = np.rint(np.asarray(voxels, float).reshape(-1, 3)).astype(int)
        found = np.zeros(len(places), np.uint32)
        if layer is not None:
            inside = np.all((places >= 0) & (places < layer.data.shape), axis=1)
            found[inside] = layer.data[tuple(places[inside].T)]
        return found

    def _at(self, layer: LabelsLayer, voxel: Any, axis: Axis | None) -> Place | None:
        z, y, x = (float(n) for n in voxel)
        if not all(-0.5 <= at < n - 0.5 for at, n in zip((z, y, x), layer.data.shape, strict=True)):
            return None
        return Place((z, y, x), int(self.cells_at(voxel)[0]), axis)

    def _first_on_ray(self, layer: LabelsLayer, event: Any) -> Place | None:
        start, end = layer.get_ray_intersections(
            position=event.position, view_direction=event.view_direction, dims_displayed=list(event.dims_displayed)
        )
        if start is None or end is None:
            return None
        start, end = np.asarray(start)[-3:], np.asarray(end)[-3:]
        steps = 2 * int(np.ceil(np.abs(end - start).max())) + 1
        places = start + np.linspace(0, 1, steps)[:, None] * (end - start)
        cells = self.cells_at(places)
        hit = cells != 0 if self.seen is None else np.isin(cells, list(self.seen))
        if not hit.any():
            return None
        first = int(np.argmax(hit))
        return self._at(layer, np.clip(np.rint(places[first]), 0, np.array(layer.data.shape) - 1), None)


def filled_in(voxels: list[Voxel]) -> NDArray[np.float64]:
    """Return the voxels along a path, also those that the mouse was too fast for; shape (n, 3)."""
    corners = np.asarray(voxels, float).reshape(-1, 3)
    parts = [corners[:1]]
    for start, end in pairwise(corners):
        steps = max(1, int(np.ceil(np.abs(end - start).max())))
        parts.append(start + np.linspace(0, 1, steps + 1)[1:, None] * (end - start))
    return np.concatenate(parts)

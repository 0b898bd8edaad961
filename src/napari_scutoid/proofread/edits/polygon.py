"""A polygon drawn in a slice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.guards import OUTSIDE, PAINTING, Canvas, called, replaced
from napari_scutoid.proofread.edits.region import Region, drawable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.edits.guards import Target
    from napari_scutoid.proofread.scene import Guards, Scene

Axis = Literal[0, 1, 2]
Vertices = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Polygon:
    """A polygon in a slice, filled.

    Parameters
    ----------
    target : int or "lumen"
        A cell, new ones included; 0 erases.
    axis, position : int
        The slice: across which axis, and its number.
    vertices : tuple of 2 floats each
        In voxels along the other two axes, in their order. The last is joined to the first.
    guards : Guards
        What it may change.
    """

    target: Target
    axis: Axis
    position: int
    vertices: Vertices
    guards: Guards = PAINTING

    def plan(self, scene: Scene) -> Change:
        """Return what the polygon changes.

        Raises
        ------
        ScutoidError
            When no voxel's centre lies in it, and as `Canvas` does.
        """
        region = filled(self.vertices, self.axis, self.position, scene.shape)
        canvas = Canvas(scene, region.box, self.guards)
        canvas.paint(region.mask, self.target)
        told = {
            "target": self.target,
            "axis": self.axis,
            "slice": self.position,
            "vertices": [[float(row), float(column)] for row, column in self.vertices],
        }
        title = f"Draw {called(self.target)}" if self.target != OUTSIDE else "Erase in a polygon"
        return canvas.change("polygon", title, told)

    def warning(self, scene: Scene) -> str | None:
        """Return what to ask before doing it; see `replaced`."""
        return replaced(scene, self.plan(scene))


def filled(vertices: Sequence[Sequence[float]], axis: int, position: int, shape: Sequence[int]) -> Region:
    """Return the voxels of a slice whose centres lie in a polygon.

    Raises
    ------
    ScutoidError
        When there is none, or the slice lies beside the stack.
    """
    from skimage.draw import polygon2mask

    corners = np.asarray(vertices, np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2 or not np.isfinite(corners).all():
        raise ValueError(f"vertices must be pairs of numbers, not an array of shape {corners.shape}")
    if not 0 <= position < shape[axis]:
        raise ScutoidError(
            "The polygon cannot be drawn", f"slice {position} lies beside the stack", "draw inside the stack"
        )
    others = [other for other in range(3) if other != axis]
    first, last = np.zeros(3, np.int64), np.asarray(shape, np.int64)
    first[axis], last[axis] = position, position + 1
    first[others] = np.maximum(0, np.floor(corners.min(axis=0)))
    last[others] = np.minimum(last[others], np.ceil(corners.max(axis=0)) + 1)
    box = drawable(Box.between(first, last))
    if len(corners) >= 3 and box.size:
        plane = polygon2mask([box.shape[other] for other in others], corners - first[others])  # type: ignore[no-untyped-call]
        mask = np.expand_dims(plane, axis)
        inner = Box.of(mask)
        if inner is not None:
            return Region(inner.shifted(box.start), mask[inner.slices])
    raise ScutoidError(
        "The polygon cannot be drawn", "it holds no voxel", "draw a larger one, of three corners or more"
    )

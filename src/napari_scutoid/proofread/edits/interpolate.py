"""Fills the slices between painted ones by interpolating a cell's shape."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.guards import LUMEN, OUTSIDE, Canvas, called, check_known, lumen_in, replaced
from napari_scutoid.proofread.edits.region import drawable
from napari_scutoid.proofread.scene import Guards

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.edits.guards import Target
    from napari_scutoid.proofread.edits.polygon import Axis
    from napari_scutoid.proofread.scene import Scene

SHAPING = Guards(outside=True)
"""A shape between two that were drawn goes through background, and gives way to other cells and the lumen."""


@dataclass(frozen=True, slots=True)
class Interpolate:
    """Fill the slices between those that hold a cell.

    Parameters
    ----------
    target : int or "lumen"
        Whose shape.
    axis : int
        Across which the slices lie.
    first, last : int, optional
        Slices that hold the cell; by default its first and its last, which the lumen needs stated. Those between that
        hold it too stay as they are, and count as painted.
    redo : bool
        Whether slices between the two are shaped anew even if they hold the cell.
    guards : Guards
        What the shape may change.
    """

    target: Target
    axis: Axis
    first: int | None = None
    last: int | None = None
    redo: bool = False
    guards: Guards = SHAPING

    def plan(self, scene: Scene) -> Change:
        """Return what filling the slices changes.

        Raises
        ------
        ScutoidError
            When one of the slices does not hold the cell, no slice between them is missing, and as `Canvas` does.
        """
        first, last = self._ends(scene)
        box = drawable(self._box(scene, first, last))
        if self.target == LUMEN:
            present = lumen_in(scene, box)
        else:
            present = scene.labels[box.slices] == self.target
        sections = np.moveaxis(present, self.axis, 0)
        painted = [0, len(sections) - 1] if self.redo else np.flatnonzero(sections.any(axis=(1, 2))).tolist()
        if not (sections[0].any() and sections[-1].any()):
            raise ScutoidError(
                "The slices between cannot be filled",
                f"{called(self.target)} is not in both slice {first} and slice {last}",
                "paint it in both slices first",
            )
        if len(painted) == len(sections):
            raise ScutoidError(
                "There is nothing to fill",
                f"{called(self.target)} is in every slice from {first} to {last}",
                "choose slices further apart, or have the slices between shaped anew",
            )
        shape = np.zeros(sections.shape, np.bool_)
        spacing = [edge for axis, edge in enumerate(scene.spacing) if axis != self.axis]
        for start, stop in pairwise(painted):
            for i, section in between(sections[start], sections[stop], start, stop, spacing):
                shape[i] = section
        canvas = Canvas(scene, box, self.guards)
        filled = np.moveaxis(shape, 0, self.axis)
        if self.redo:
            self._clear(canvas, np.moveaxis(sections, 0, self.axis) & ~filled)
        canvas.paint(filled, self.target)
        told = {"target": self.target, "axis": self.axis, "slices": [first, last], "redo": self.redo}
        return canvas.change("interpolate", f"Fill {called(self.target)} between slices {first} and {last}", told)

    def warning(self, scene: Scene) -> str | None:
        """Return what to ask before doing it; see `replaced`."""
        return replaced(scene, self.plan(scene))

    def _ends(self, scene: Scene) -> tuple[int, int]:
        """Return the first and the last slice."""
        if self.target == OUTSIDE:
            raise ValueError("the outside has no shape to interpolate")
        first, last = self.first, self.last
        if first is None or last is None:
            if self.target == LUMEN:
                raise ScutoidError(
                    "The lumen cannot be filled in", "its first and last slice are not known", "choose two slices"
                )
            held = scene.index.box(check_known(scene, self.target))
            first = held.start[self.axis] if first is None else first
            last = held.stop[self.axis] - 1 if last is None else last
        return min(first, last), max(first, last)

    def _box(self, scene: Scene, first: int, last: int) -> Box:
        if not 0 <= first < last < scene.shape[self.axis]:
            raise ScutoidError(
                "The slices between cannot be filled",
                f"{first} and {last} are not two slices of the stack",
                f"choose two from 0 to {scene.shape[self.axis] - 1}",
            )
        if self.target == LUMEN:
            held = _lumen_between(scene, self.axis, first, last)
        else:
            held = scene.index.box(check_known(scene, self.target))
        whole = held.padded(_MARGIN, scene.shape)
        start, stop = list(whole.start), list(whole.stop)
        start[self.axis], stop[self.axis] = first, last + 1
        return Box.between(start, stop)

    def _clear(self, canvas: Canvas, surplus: NDArray[np.bool_]) -> None:
        """Take the cell away where its new shape does not reach; never from the two slices that were drawn."""
        np.moveaxis(surplus, self.axis, 0)[[0, -1]] = False
        if self.target == LUMEN:
            canvas.lumen[surplus] = False
        else:
            canvas.labels[surplus] = OUTSIDE


def _lumen_between(scene: Scene, axis: int, first: int, last: int) -> Box:
    """Return what holds the lumen in some slices; an empty box where there is none."""
    start, stop = [0, 0, 0], list(scene.shape)
    start[axis], stop[axis] = first, last + 1
    slab = Box.between(start, stop)
    held = None if scene.lumen is None else Box.of(scene.lumen[slab.slices])
    return Box.between(start, start) if held is None else held.shifted(slab.start)


_MARGIN = 2
"""Voxels beside both sections; what lies between them hardly ever reaches further."""


def between(
    start: NDArray[np.bool_], stop: NDArray[np.bool_], i: int, j: int, spacing: Sequence[float]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Yield the sections between two slices, interpolated.

    Signed distances to the two outlines are mixed, as in [1]_, after the sections were moved over each other, as in
    [2]_: a slanting cell's sections need not overlap.

    Parameters
    ----------
    start, stop : ndarray of bool, shape (rows, columns)
        The sections that are known; neither is empty.
    i, j : int
        Their slices.
    spacing : sequence of 2 floats
        Edges of a pixel.

    Yields
    ------
    tuple of int, ndarray of bool
        Slice and section.

    References
    ----------
    .. [1] S. P. Raya and J. K. Udupa (1990), Shape-based interpolation of multidimensional objects, IEEE Transactions
           on Medical Imaging 9:32-42.
    .. [2] G. T. Herman, J. Zheng and C. A. Bucholtz (1992), Shape-based interpolation, IEEE Computer Graphics and
           Applications 12(3):69-79.
    """
    from scipy.ndimage import shift

    middles = [np.argwhere(section).mean(axis=0) for section in (start, stop)]
    way = middles[1] - middles[0]
    # Moved in from beyond the image, distances have to go on there.
    margin = [int(np.ceil(abs(step))) + 1 if way.any() else 0 for step in way]
    wide = [(n, n) for n in margin]
    inner = tuple(slice(n, n + length) for n, length in zip(margin, start.shape, strict=True))
    distances = [_signed_distance(np.pad(section, wide), spacing) for section in (start, stop)]
    for k in range(i + 1, j):
        share = (k - i) / (j - i)
        moved = (
            distance if not by.any() else shift(distance, by, order=1, mode="nearest")
            for distance, by in zip(distances, (share * way, (share - 1) * way), strict=True)
        )
        near, far = moved
        yield k, ((1 - share) * near + share * far > 0)[inner]


def _signed_distance(section: NDArray[np.bool_], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return how far each pixel is inside a section; outside it, negative. The image's edge is no outline."""
    from scipy.ndimage import distance_transform_edt

    if section.all():
        return np.full(section.shape, float(np.linalg.norm(np.multiply(section.shape, spacing))))
    inside, outside = (distance_transform_edt(part, sampling=spacing) for part in (section, ~section))
    return np.asarray(inside - outside)

"""Cut a stack into boxes for the network: as few voxels twice as possible, none where there is no tissue."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_scutoid.network.config import Triple

WORTH_SPLITTING = 0.95
"""A box is cut where it need not be only if that leaves less than this share of the arithmetic."""


@dataclass(frozen=True, slots=True)
class Box:
    """Voxels ``start`` up to but not including ``stop`` along z, y, x."""

    start: Triple
    stop: Triple

    @property
    def shape(self) -> Triple:
        """Voxels along each axis."""
        z, y, x = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    @property
    def voxels(self) -> int:
        """Voxels in all."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """What to index an array with."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def grown(self, margin: Triple, within: Triple) -> Box:
        """Return the box with a margin on every side, cut off at the stack's borders."""
        start = tuple(max(0, a - m) for a, m in zip(self.start, margin, strict=True))
        stop = tuple(min(n, b + m) for b, m, n in zip(self.stop, margin, within, strict=True))
        return Box(_triple(start), _triple(stop))

    def relative_to(self, other: Box) -> Box:
        """Return the box in coordinates that start where another box does."""
        start = (a - o for a, o in zip(self.start, other.start, strict=True))
        stop = (b - o for b, o in zip(self.stop, other.start, strict=True))
        return Box(_triple(start), _triple(stop))

    def intersection(self, other: Box) -> Box | None:
        """Return the voxels in both boxes; None when there are none."""
        start = _triple(map(max, self.start, other.start))
        stop = _triple(map(min, self.stop, other.stop))
        return Box(start, stop) if all(a < b for a, b in zip(start, stop, strict=True)) else None

    def halves(self, multiple: Triple) -> tuple[Box, Box] | None:
        """Cut the axis with the most steps of ``multiple`` in two; None when no axis has two steps."""
        steps = [-(-n // m) for n, m in zip(self.shape, multiple, strict=True)]
        axis = int(np.argmax(steps))
        if steps[axis] < 2:
            return None
        middle = self.start[axis] + steps[axis] // 2 * multiple[axis]
        return (
            Box(self.start, _replaced(self.stop, axis, middle)),
            Box(_replaced(self.start, axis, middle), self.stop),
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """A stack divided into tiles of one size (smaller at the far borders)."""

    shape: Triple
    tile: Triple

    @property
    def counts(self) -> Triple:
        """Tiles along each axis."""
        return _triple(-(-n // t) for n, t in zip(self.shape, self.tile, strict=True))

    def box(self, first: Triple, last: Triple) -> Box:
        """Return the voxels of tiles ``first`` up to but not including ``last``."""
        start = _triple(i * t for i, t in zip(first, self.tile, strict=True))
        stop = _triple(min(n, i * t) for i, t, n in zip(last, self.tile, self.shape, strict=True))
        return Box(start, stop)

    def boxes(self) -> Iterator[tuple[Triple, Box]]:
        """Yield every tile's index and voxels."""
        for index in product(*map(range, self.counts)):
            first = _triple(index)
            yield first, self.box(first, _triple(i + 1 for i in first))


def gather(wanted: NDArray[np.bool_], grid: Grid, halo: Triple, largest: int) -> list[Box]:
    """Cover the wanted tiles by a few boxes with little margin between them.

    Starting from the bounding box of all wanted tiles, a box is cut in two where that saves most arithmetic (each half
    shrinks to the tiles wanted in it), and wherever it is too large for the memory.

    Parameters
    ----------
    wanted : ndarray of bool
        One element per tile of the grid.
    grid : Grid
        The tiles.
    halo : (int, int, int)
        Margin that each box is computed with, except at the stack's borders.
    largest : int
        Voxels, margin included, that a box should not exceed; a single tile may.

    Returns
    -------
    list of Box
        Disjoint, in reading order; together they hold every wanted tile.
    """
    if wanted.shape != grid.counts:
        raise ValueError(f"wanted has shape {wanted.shape}, the grid has {grid.counts} tiles")

    def cost(box: Box) -> int:
        return grid.box(box.start, box.stop).grown(halo, grid.shape).voxels

    boxes: list[Box] = []
    pending = [Box((0, 0, 0), grid.counts)]
    while pending:
        box = _shrunk(pending.pop(), wanted)
        if box is None:
            continue
        cuts = [(list(map(cost, parts)), parts) for parts in _cuts(box, wanted)]
        whole = cost(box)
        if cuts and whole > largest:
            # By the larger part: the cheapest cut would slice thin pieces off and leave the rest too large.
            pending.extend(min(cuts, key=lambda cut: (max(cut[0]), sum(cut[0])))[1])
        elif cuts and sum(min(cuts, key=lambda cut: sum(cut[0]))[0]) < WORTH_SPLITTING * whole:
            pending.extend(min(cuts, key=lambda cut: sum(cut[0]))[1])
        else:
            boxes.append(grid.box(box.start, box.stop))
    return sorted(boxes, key=lambda box: box.start)


def _cuts(box: Box, wanted: NDArray[np.bool_]) -> Iterator[list[Box]]:
    for axis in range(3):
        for place in range(box.start[axis] + 1, box.stop[axis]):
            halves = (
                Box(box.start, _replaced(box.stop, axis, place)),
                Box(_replaced(box.start, axis, place), box.stop),
            )
            yield [part for half in halves if (part := _shrunk(half, wanted)) is not None]


def _shrunk(box: Box, wanted: NDArray[np.bool_]) -> Box | None:
    """Bounding box of what is wanted inside a box."""
    inside = wanted[box.slices]
    spans = []
    for axis in range(3):
        along = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        if along.size == 0:
            return None
        spans.append((box.start[axis] + int(along[0]), box.start[axis] + int(along[-1]) + 1))
    return Box(_triple(a for a, _ in spans), _triple(b for _, b in spans))


def _replaced(triple: Triple, axis: int, value: int) -> Triple:
    return _triple(value if index == axis else old for index, old in enumerate(triple))


def _triple(values: Iterator[int] | tuple[int, ...] | map[int]) -> Triple:
    z, y, x = values
    return z, y, x

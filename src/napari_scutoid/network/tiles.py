"""Cut a stack into tiles for the network: all of one size, as few voxels twice as possible, none without tissue.

One size, as libraries prepare a network for the size that it is to compute; a tile at a border of the stack is moved
inward instead of being smaller, and what it then sees beyond its margin is used: its core is larger.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.network.config import Triple

SMALLEST_CORE = 16
"""Voxels along an axis; smaller ones would be all margin."""
STEPS = (-4, -1, 1, 4)
"""How far apart two sizes are that are compared, in sizes."""
SHARES = (1, 2, 4, 8, 16)
"""Of the volume that is best for a whole stack, what a search for a smaller one begins with."""


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
        for index in itertools.product(*map(range, self.counts)):
            first = _triple(index)
            yield first, self.box(first, _triple(i + 1 for i in first))


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a stack that goes through the network at once.

    Parameters
    ----------
    core : Box
        Voxels of which the result is kept.
    read : Box
        Voxels that the network sees. It may end beyond the stack, which is completed by reflection there.
    """

    core: Box
    read: Box


@dataclass(frozen=True, slots=True)
class Space:
    """What tiles are placed in.

    Parameters
    ----------
    grid : Grid
        The stack, in cells that the gate decides on.
    halo : (int, int, int)
        Margin that a core needs on every side inside the stack; multiples of ``multiple``.
    multiple : (int, int, int)
        Tiles start at multiples of it, and their sizes are multiples.
    """

    grid: Grid
    halo: Triple
    multiple: Triple

    @property
    def whole(self) -> Triple:
        """Size of the stack, completed to multiples."""
        return round_up(self.grid.shape, self.multiple)

    def around(self, core: Box, size: Triple) -> Tile:
        """Return the tile of a size around a core, moved inward where it would leave the stack."""
        places = zip(core.start, self.halo, self.whole, size, strict=True)
        start = _triple(max(0, min(first - margin, n - side)) for first, margin, n, side in places)
        return Tile(core, Box(start, _triple(a + n for a, n in zip(start, size, strict=True))))

    def cover(self, wanted: NDArray[np.bool_], size: Triple) -> list[Tile]:
        """Place tiles of one size so that their cores hold every wanted cell: in z, in each layer in y, then in x.

        Parameters
        ----------
        wanted : ndarray of bool
            One element per cell of the grid.
        size : (int, int, int)
            Voxels of a tile along z, y, x, margins included.

        Returns
        -------
        list of Tile
            With disjoint cores, in reading order.
        """
        if wanted.shape != self.grid.counts:
            raise ValueError(f"wanted has shape {wanted.shape}, the grid has {self.grid.counts} cells")
        tiles = []
        for z in self._spans(_any(wanted, (1, 2)), 0, size):
            layer = _any(wanted[self._cells(z, 0)], (0,))
            for y in self._spans(_any(layer, (1,)), 1, size):
                row = _any(layer[self._cells(y, 1)], (0,))
                for x in self._spans(row, 2, size):
                    core = Box((z[0], y[0], x[0]), (z[1], y[1], x[1]))
                    tiles.append(self.around(core, size))
        return tiles

    def sizes(self, axis: int) -> list[int]:
        """Return the sizes of tiles that cover an axis with none to spare, the largest first."""
        whole, halo, step = self.whole[axis], self.halo[axis], self.multiple[axis]
        found, smallest, n = [whole], 2 * halo + -(-SMALLEST_CORE // step) * step, 1
        while found[-1] > smallest:
            n += 1
            size = -(-(whole + 2 * halo * (n - 1)) // (n * step)) * step
            if not smallest <= size < whole:
                break
            if size < found[-1]:
                found.append(size)
        return found

    def _spans(self, wanted: NDArray[np.bool_], axis: int, size: Triple) -> Iterator[tuple[int, int]]:
        """Yield the cores of tiles along an axis, each from the first voxel that is wanted after the one before."""
        cell, n, halo = self.grid.tile[axis], self.grid.shape[axis], self.halo[axis]
        at = 0
        while at < n:
            ahead = np.flatnonzero(wanted[at // cell :])
            if ahead.size == 0:
                return
            at = max(at, (at // cell + int(ahead[0])) * cell)
            start = max(0, min(at - halo, self.whole[axis] - size[axis]))
            stop = start + size[axis]
            end = n if stop >= self.whole[axis] else stop - halo
            yield at, end
            at = end

    def _cells(self, span: tuple[int, int], axis: int) -> slice:
        return slice(span[0] // self.grid.tile[axis], -(-span[1] // self.grid.tile[axis]))


def best_size(wanted: NDArray[np.bool_], space: Space, largest: int) -> Triple:
    """Return the size of tiles that covers the wanted cells with least arithmetic.

    For a whole stack that is found among all sizes which divide its axes evenly. Where cells are left out, sizes
    near that one, and near the best of fractions of its volume, are tried as long as they get better.

    Parameters
    ----------
    wanted : ndarray of bool
        One element per cell of the grid.
    space : Space
    largest : int
        Voxels that a tile should not exceed, margins included; the smallest possible tile may.
    """
    first = _best_for_all(space, largest)
    if wanted.all() or not wanted.any() or math.prod(first) > largest:
        return first

    least = int(np.count_nonzero(wanted)) * math.prod(space.grid.tile)
    bound = math.prod(first) * len(space.cover(wanted, first))

    @functools.cache
    def cost(size: Triple) -> float:
        # Sizes that leave little but margins would take long to place and are never best.
        cores = math.prod(_core_along(size[axis], space, axis) for axis in range(3))
        if math.prod(size) > largest or math.prod(size) * least > bound * cores:
            return math.inf
        return math.prod(size) * len(space.cover(wanted, size))

    axes = [_all_sizes(space, axis) for axis in range(3)]
    starts = {first, *(_best_for_all(space, math.prod(first) // share) for share in SHARES)}
    found = min((_descended(start, axes, cost) for start in sorted(starts)), key=cost)
    return found if cost(found) < bound else first


def _best_for_all(space: Space, largest: int) -> Triple:
    sizes = [np.array(space.sizes(axis), dtype=np.int64) for axis in range(3)]
    computed = [
        np.array([_computed_along(size, space, axis) for size in sizes[axis]], dtype=np.int64) for axis in range(3)
    ]
    voxels = functools.reduce(np.multiply.outer, sizes)
    total = functools.reduce(np.multiply.outer, computed)
    fits = voxels <= largest
    chosen = np.argmin(np.where(fits, total, np.iinfo(np.int64).max)) if fits.any() else np.argmin(voxels)
    places = np.unravel_index(chosen, voxels.shape)
    return _triple(int(along[place]) for along, place in zip(sizes, places, strict=True))


def _computed_along(size: int, space: Space, axis: int) -> int:
    """Return the voxels computed along an axis that is wanted from end to end."""
    whole, halo = space.whole[axis], space.halo[axis]
    return size if size >= whole else size * max(2, -(-(whole - 2 * halo) // (size - 2 * halo)))


def _core_along(size: int, space: Space, axis: int) -> int:
    """Return the voxels along an axis that a tile adds to the others, at most."""
    whole, halo = space.whole[axis], space.halo[axis]
    if size >= whole:
        return whole
    return size - halo if whole <= 2 * (size - halo) else size - 2 * halo


def _all_sizes(space: Space, axis: int) -> list[int]:
    even, cell, step = space.sizes(axis), space.grid.tile[axis], space.multiple[axis]
    steps = range(even[-1], even[0], -(-cell // step) * step)
    return sorted({*even, *steps})


def _descended(start: Triple, axes: Sequence[list[int]], cost: Callable[[Triple], float]) -> Triple:
    """Return the size at which no neighbouring one is better."""
    here = start
    while True:
        near = [here]
        for axis, sizes in enumerate(axes):
            at = sizes.index(here[axis])
            near += [_replaced(here, axis, sizes[at + d]) for d in STEPS if 0 <= at + d < len(sizes)]
        best = min(near, key=cost)
        if cost(best) >= cost(here):
            return here
        here = best


def _any(mask: NDArray[np.bool_], axes: tuple[int, ...]) -> NDArray[np.bool_]:
    return np.asarray(mask.any(axis=axes), dtype=bool)


def round_up(sizes: Triple, multiple: Triple) -> Triple:
    """Return the next multiples."""
    return _triple(-(-size // step) * step for size, step in zip(sizes, multiple, strict=True))


def _replaced(triple: Triple, axis: int, value: int) -> Triple:
    return _triple(value if index == axis else old for index, old in enumerate(triple))


def _triple(values: Iterator[int] | tuple[int, ...] | map[int]) -> Triple:
    z, y, x = values
    return z, y, x

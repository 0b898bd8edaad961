"""The watershed of `watershed.bounded_regions`, block by block: the memory of a few blocks, the regions of the whole.

What has to be known of the whole stack is measured first: a typical cell's diameter, and what of the tissue is closed.
Seeds are then found in the core of each block and put into all blocks that see them, so that two blocks grow the same
regions where they meet. The seed of a long cell may lie beyond what a block sees of it; there, the highest maximum that
the block in whose core it lies knows, too, stands for the seed to which it gave way.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_scutoid.steps.blocks import MOST_VOXELS, Block, each, shared
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.memo import AFRESH
from napari_scutoid.steps.seeds import gave_way
from napari_scutoid.steps.tissue import STAGES, Stack, Tissue, closed, maxima, measured, without_small_walls
from napari_scutoid.steps.walls import diameter_of, height_map, relative_spacing
from napari_scutoid.steps.watershed import Regions, check_probabilities, check_shapes, predicted_seeds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Watershed
    from napari_scutoid.steps.seeds import Maxima
    from napari_scutoid.steps.walls import Unit
    from napari_scutoid.volume import ArrayLike

REACH = 1.5
"""Surroundings of a block that have a say in it, in diameters of a typical cell."""
_FIRST_REACH = 24
"""The same in voxels, before the diameter is known."""
_TISSUE, _OPEN = 1, 2
"""What is known of a voxel: it belongs to the tissue; a region may grow through it."""


class Height:
    """The surface that is flooded, made where it is asked for.

    Parameters
    ----------
    boundary : array-like of float, shape (z, y, x)
        Probability of walls.
    distance : ndarray of float16, same shape
        To the nearest wall.
    deepest : float
        The largest distance.
    """

    def __init__(self, boundary: ArrayLike, distance: NDArray[np.float16], deepest: float) -> None:
        self._boundary, self._distance, self._deepest = boundary, distance, deepest
        self.shape = distance.shape

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        boundary = np.asarray(self._boundary[key], np.float32)
        return height_map(boundary, self._distance[key].astype(np.float32), self._deepest)


@dataclass
class _Measure:
    """What adds up to a typical diameter."""

    total: float = 0.0
    inside: int = 0

    def add(self, distance: NDArray[np.float32]) -> None:
        self.total += float(distance.sum(dtype=np.float64))
        self.inside += int(np.count_nonzero(distance))

    def diameter(self, shape: Sequence[int]) -> float:
        return diameter_of(self.total, self.inside, math.prod(shape))


class _Seeds(NamedTuple):
    """Seeds of the whole stack.

    Parameters
    ----------
    places : ndarray of int64, shape (n,)
        Of their voxels, as numbers in C order, rising.
    ids : ndarray of uint32, shape (n,)
        Which seed each belongs to.
    """

    places: NDArray[np.int64]
    ids: NDArray[np.uint32]

    def put(self, seeds: NDArray[np.uint32], box: Box, shape: Sequence[int]) -> None:
        """Put those in a box into its array."""
        (_, top, left), (_, bottom, right) = box.start, box.stop
        for z, plane in enumerate(seeds, start=box.start[0]):  # predicted cores have many voxels
            row = z * shape[1]
            first, last = np.searchsorted(self.places, [(row + top) * shape[2], (row + bottom) * shape[2]])
            y, x = np.divmod(self.places[first:last], shape[2])
            inside = (x >= left) & (x < right)
            plane[y[inside] - row - top, x[inside] - left] = self.ids[first:last][inside]


_NO_SEEDS = _Seeds(np.zeros(0, np.int64), np.zeros(0, np.uint32))


class _Found(NamedTuple):
    """What a block knows of seeds; ids are its own.

    Parameters
    ----------
    n : int
        Seeds in it and around it.
    own : _Seeds
        Those in its core.
    around : _Seeds
        Outside, a voxel of each maximum, the highest first, and which seed it is or gave way to; without those of seeds
        in the core.
    maxima : _Seeds
        Those in its core that are no seeds, and which seed each gave way to.
    """

    n: int
    own: _Seeds
    around: _Seeds = _NO_SEEDS
    maxima: _Seeds = _NO_SEEDS


def regions_in_blocks(
    foreground: ArrayLike,
    boundary: ArrayLike,
    settings: Watershed,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    seeds: ArrayLike | None = None,
    *,
    most: int = MOST_VOXELS,
    reach: float = REACH,
) -> Steps[Regions]:
    """Divide the tissue along its walls, as `bounded_regions` does, but for single voxels, in bounded memory.

    Parameters
    ----------
    foreground, boundary, spacing, seeds
        As for `bounded_regions`; only the watershed is done in blocks, not connected components.
    settings : Watershed
        Of the method "watershed".
    most : int
        Voxels of a block, with its surroundings.
    reach : float
        Surroundings of a block that have a say in it, in diameters of a typical cell.

    Yields
    ------
    Progress
        Once a block and stage.

    Returns
    -------
    Regions
        Its height is a `Height`.
    """
    if settings.method != "watershed":
        raise ValueError(f"settings.method must be 'watershed', not {settings.method!r}")
    check_shapes(foreground, boundary, seeds)
    work = _Work(foreground, boundary, seeds, settings, relative_spacing(spacing))
    cut = shared(boundary.shape, [_FIRST_REACH] * 3, most)
    yield from each(*cut, work.measured, work.note_measured, STAGES[0])
    diameter = work.measure.diameter(boundary.shape)
    cut = shared(boundary.shape, halo_of(reach * diameter, work.unit), most)
    work.start(diameter)
    yield from each(*cut, work.closed, work.note_closed, STAGES[1])
    diameter = work.measure.diameter(boundary.shape)
    cut = shared(boundary.shape, halo_of(reach * diameter, work.unit), most)
    work.start(diameter)
    yield from each(*cut, work.placed, work.note_placed, STAGES[3])
    work.starts = _numbered(work.found, boundary.shape, 26 if seeds is None else 6)
    work.found.clear()
    height = Height(boundary, work.distance, float(work.distance.max(initial=0)))
    labels = np.zeros(boundary.shape, np.uint32)

    def note(block: Block, grown: NDArray[np.uint32] | None) -> None:
        if grown is not None:
            labels[block.core.slices] = grown

    yield from each(*cut, lambda block: work.grown(block, height), note, STAGES[4])
    return Regions(labels, height, diameter, work.unit, boundary.shape)


class _Work:
    """What is known of a stack after each pass over its blocks.

    Each pass has a method that works on a block, in any thread, and changes nothing, and one that notes what came of
    it.
    """

    def __init__(
        self, foreground: ArrayLike, boundary: ArrayLike, seeds: ArrayLike | None, settings: Watershed, unit: Unit
    ) -> None:
        self._foreground, self._boundary, self._seeds = foreground, boundary, seeds
        self._settings, self.unit = settings, unit
        self._shape = z, y, x = boundary.shape
        self._stack = Stack(shape=(z, y, x), diameter=0.0)
        self._state = np.zeros(self._shape, np.uint8)
        self.measure = _Measure()
        self.distance = np.zeros(self._shape, np.float16)
        self.found: dict[Block, _Found] = {}
        self.starts: dict[Block | None, _Seeds] = {}

    def start(self, diameter: float) -> None:
        """Begin a pass in which a typical cell has this diameter."""
        self._stack = replace(self._stack, diameter=diameter)
        self.measure = _Measure()

    def measured(self, block: Block) -> NDArray[np.float32] | None:
        """Return the distances to walls in a block; None where there is no tissue."""
        tissue = self._tissue(*self._maps(block))
        return None if tissue is None else tissue.distance[block.inner]

    def note_measured(self, _block: Block, distance: NDArray[np.float32] | None) -> None:
        if distance is not None:
            self.measure.add(distance)

    def closed(self, block: Block) -> Tissue | None:
        """Return the tissue of a block and around it, holes between walls closed."""
        foreground, boundary = self._maps(block)
        tissue = self._tissue(foreground, boundary)
        if tissue is None or self._settings.closing >= 1:
            return tissue
        return closed(tissue, boundary, self._settings, self.unit, self._stack, AFRESH)

    def note_closed(self, block: Block, tissue: Tissue | None) -> None:
        if tissue is not None:
            self._state[block.core.slices] = tissue.mask[block.inner]
            self.measure.add(tissue.distance[block.inner])

    def placed(self, block: Block) -> tuple[Tissue, _Found] | None:
        """Return the tissue of a block and around it, and its seeds."""
        mask = (self._state[block.outer.slices] & _TISSUE) > 0
        if not mask.any():
            return None
        _, boundary = self._maps(block)
        tissue = measured(mask, mask & (boundary <= self._settings.boundary_threshold), self.unit, self._stack)
        tissue = without_small_walls(tissue, self._settings, self.unit)
        if self._seeds is not None:
            starts = predicted_seeds(np.asarray(self._seeds[block.outer.slices]), self._settings, tissue.mask)
            return tissue, _Found(int(starts.max()), self._places(starts[block.inner], block.core))
        return tissue, self._seeds_of(block, *maxima(tissue, self._settings, self.unit, AFRESH, "seeds"))

    def _seeds_of(self, block: Block, found: Maxima, limits: dict[str, float]) -> _Found:
        number, is_seed = gave_way(found, **limits)
        seeds, inside = np.where(is_seed, number, np.uint32(0)), found.seeds[block.inner]
        own, others = (self._places(of[inside], block.core) for of in (seeds, number - seeds))
        if found.heights is None:
            return _Found(int(number.max()), own)
        outside = found.seeds.copy()
        outside[block.inner] = 0
        around = self._places(outside, block.outer)
        which, first = np.unique(around.ids, return_index=True)
        first = first[np.argsort(-found.heights[which], kind="stable")]
        ids = number[around.ids[first]]
        beyond = ~np.isin(ids, own.ids)
        return _Found(int(number.max()), own, _Seeds(around.places[first[beyond]], ids[beyond]), others)

    def note_placed(self, block: Block, found: tuple[Tissue, _Found] | None) -> None:
        if found is None:
            return
        tissue, self.found[block] = found
        core, inner = block.core.slices, block.inner
        self.distance[core] = tissue.distance[inner]
        # Another bit than that which blocks beside this one are reading.
        self._state[core] |= np.uint8(_OPEN) * (tissue.mask | tissue.interior)[inner]

    def grown(self, block: Block, height: Height) -> NDArray[np.uint32] | None:
        """Return the regions of a block."""
        state = self._state[block.outer.slices]
        if not (state[block.inner] & _TISSUE).any():
            return None
        starts = np.zeros(block.outer.shape, np.uint32)
        for seeds in (self.starts[block], self.starts[None]):
            seeds.put(starts, block.outer, self._shape)
        found = flood(height[block.outer.slices], starts, state > 0, self._settings.backend)[block.inner]
        found[(state[block.inner] & _TISSUE) == 0] = 0
        return found

    def _places(self, seeds: NDArray[np.uint32], box: Box) -> _Seeds:
        at = np.nonzero(seeds)
        places = np.ravel_multi_index([n + i for n, i in zip(at, box.start, strict=True)], self._shape)
        return _Seeds(places, seeds[at])

    def _maps(self, block: Block) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        foreground, boundary = (
            np.ascontiguousarray(one[block.outer.slices], np.float32) for one in (self._foreground, self._boundary)
        )
        check_probabilities(foreground, boundary, None)
        return foreground, boundary

    def _tissue(self, foreground: NDArray[np.float32], boundary: NDArray[np.float32]) -> Tissue | None:
        mask = foreground >= self._settings.foreground_threshold
        if not mask.any():
            return None
        return measured(mask, mask & (boundary <= self._settings.boundary_threshold), self.unit, self._stack)


def halo_of(reach: float, unit: Unit) -> list[int]:
    """Return a distance in voxels along each axis."""
    return [math.ceil(reach / edge) for edge in unit]


def _numbered(found: dict[Block, _Found], shape: Sequence[int], connectivity: int) -> dict[Block | None, _Seeds]:
    """Return the seeds of all blocks, as one where they touch across a face; and what stands for seeds in each."""
    *offsets, highest = itertools.accumulate((one.n for one in found.values()), initial=0)
    before = dict(zip(found, offsets, strict=True))
    places, number = _together([one.own for one in found.values()], offsets)
    if not len(places):
        return dict.fromkeys((None, *found), _NO_SEEDS)
    parents = np.arange(highest + 1)

    def root(i: int) -> int:
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    def join(ids: NDArray[np.int64], at: NDArray[np.int64], known: NDArray[np.int64], of: NDArray[np.int64]) -> None:
        """Make seeds one with those that are known at places, where there are some."""
        match = np.minimum(np.searchsorted(known, at), len(known) - 1)
        hit = known[match] == at if len(known) else np.zeros(len(at), np.bool_)
        for a, b in zip(ids[hit].tolist(), of[match[hit]].tolist(), strict=True):
            low, high = sorted((root(a), root(b)))
            parents[high] = low

    borders = [np.unique([(b.core.start[axis], b.core.stop[axis]) for b in found]) for axis in range(3)]
    at_face = np.flatnonzero(_at_faces(places, borders, shape))
    at = np.stack(np.unravel_index(places[at_face], tuple(shape)))
    for offset in itertools.product((-1, 0, 1), repeat=3):
        if offset <= (0, 0, 0) or (connectivity == 6 and np.abs(offset).sum() != 1):
            continue
        beyond = at + np.array(offset)[:, None]
        crosses = np.zeros(len(at_face), np.bool_)
        for axis in range(3):
            here, there = (np.searchsorted(borders[axis], one[axis], "right") for one in (at, beyond))
            crosses |= here != there
        crosses &= np.all((beyond >= 0) & (beyond < np.array(shape)[:, None]), axis=0)
        target = np.ravel_multi_index(tuple(beyond[:, crosses]), tuple(shape))
        join(number[at_face[crosses]], target, places, number)
    known = _together([*(one.own for one in found.values()), *(one.maxima for one in found.values())], 2 * offsets)
    around = {block: _known(one.around, known[0]) for block, one in found.items()}
    for block, one in around.items():
        join(one.ids.astype(np.int64) + before[block], one.places, *known)
    roots = np.array([root(i) for i in range(highest + 1)])
    which, first = np.unique(roots[number], return_index=True)
    rank = np.zeros(highest + 1, np.uint32)  # in the order of their first voxels, as of the whole stack
    rank[which[np.argsort(first)]] = np.arange(1, len(first) + 1, dtype=np.uint32)
    starts: dict[Block | None, _Seeds] = {None: _Seeds(places, rank[roots[number]])}
    for block, one in around.items():
        starts[block] = _Seeds(one.places, rank[roots[one.ids.astype(np.int64) + before[block]]])
    return starts


def _together(seeds: Sequence[_Seeds], before: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of all, rising, and their ids, which begin after so many."""
    places = np.concatenate([one.places for one in seeds] or [_NO_SEEDS.places])
    ids = np.concatenate([one.ids.astype(np.int64) + n for one, n in zip(seeds, before, strict=True)] or [places])
    order = np.argsort(places, kind="stable")
    return places[order], ids[order]


def _known(seeds: _Seeds, places: NDArray[np.int64]) -> _Seeds:
    """Return the first of each seed's places that is one of these, rising."""
    known = np.flatnonzero(np.isin(seeds.places, places))
    _, first = np.unique(seeds.ids[known], return_index=True)
    found = known[first]
    found = found[np.argsort(seeds.places[found])]
    return _Seeds(seeds.places[found], seeds.ids[found])


def _at_faces(
    places: NDArray[np.int64], borders: Sequence[NDArray[np.int64]], shape: Sequence[int]
) -> NDArray[np.bool_]:
    """Whether places lie on either side of a face of two blocks."""
    found = np.zeros(len(places), np.bool_)
    for own, first_beyond in zip(np.unravel_index(places, tuple(shape)), borders, strict=True):
        found |= np.isin(own, first_beyond) | np.isin(own + 1, first_beyond)
    return found

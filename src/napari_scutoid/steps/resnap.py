"""Labels from a coarse grid to a finer one, their boundaries moved onto the membranes that only the finer one shows."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.progress import Progress
from napari_scutoid.steps.resampling import nearest_indices

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import Labels, Volume

STEP = "Moving boundaries to the membranes"
BAND = 1.0
"""Distance from a boundary, in coarse voxels, up to which voxels may change their cell."""
TILE = (64, 256, 256)
"""Voxels that are worked on at a time."""

_HALO = 3.0
"""Coarse voxels around a tile: what lies farther out hardly changes where boundaries come to lie."""
_SMOOTHING = 0.2
"""Standard deviation in coarse voxels, beside a fine one."""
_WINDOW = 1.25
"""Half of the edge, in coarse voxels, of the surroundings that a membrane has to stand out from."""
_FREE, _MEMBRANE, _CLOSE = 2.0, 60.0, 80.0
"""Time to pass a voxel; more on a membrane; more for a coarse voxel's length across the coarse boundary, which decides
where there is no membrane."""
_CLEAR = 2.5
"""Local standard deviations above the mean that are a membrane for certain."""
_FAINT = 0.02
_KNEE = 0.1
"""Shares of the stack's range of intensities: the least contrast that counts, and where the logarithm sets in."""
_SAMPLED_SLICES = 8
_SAMPLED_SIDE = 256

_LUMEN = 1
_OUTSIDE = 2


class _Axis(NamedTuple):
    """Where the fine voxels of an axis lie among the coarse ones; see `resnap_compiled.starts`."""

    nearest: NDArray[np.intp]
    lower: NDArray[np.intp]
    upper_share: NDArray[np.float32]
    inside: NDArray[np.float32]
    is_middle: NDArray[np.bool_]

    @classmethod
    def between(cls, n: int, m: int) -> _Axis:
        """Return it for n coarse and m fine voxels."""
        place = (np.arange(m) + 0.5) * (n / m)
        nearest = nearest_indices(n, m)
        inside = np.clip(place - nearest, 0, 1)
        by_middle = np.lexsort((np.abs(inside - 0.5), nearest))
        is_middle = np.zeros(m, np.bool_)
        is_middle[by_middle[np.searchsorted(nearest[by_middle], np.arange(n))]] = True
        lower = np.floor(place - 0.5).astype(np.intp)
        share = (place - 0.5 - lower).astype(np.float32)
        return cls(nearest, lower, share, inside.astype(np.float32), is_middle)

    def cut(self, span: slice) -> _Axis:
        """Return a piece of it."""
        return _Axis(
            self.nearest[span], self.lower[span], self.upper_share[span], self.inside[span], self.is_middle[span]
        )

    def moved(self, by: int) -> _Axis:
        """Return it with the coarse voxels counted from another one."""
        return self._replace(nearest=self.nearest + by, lower=self.lower + by)


class _Look(NamedTuple):
    """What is known of the whole stack before the first tile.

    Parameters
    ----------
    depth : ndarray of uint8, shape of the coarse grid
        See `resnap_compiled.depth_of`.
    lowest, highest : float
        Intensities of which few voxels have less, or more.
    dazzling : ndarray of bool
        By region: whether it is no cell, and brighter than the cells are.
    """

    depth: NDArray[np.uint8]
    lowest: float
    highest: float
    dazzling: NDArray[np.bool_]


class Resnapped:
    """Labels on a finer grid, computed tile by tile when they are read; an `ArrayLike`.

    A voxel farther from any boundary than the band keeps the cell of the coarse voxel that it lies in. Those in the
    band are shared out anew: from all others, fronts set out that membranes slow down, and a voxel goes to the first
    (a watershed by topographic distance [1]_). Membranes are what is brighter than its surroundings, in the logarithm
    of the intensities and by their local contrast, so that dim ones deep in the tissue count as much. Where there is
    none, fronts meet at the coarse boundary, smoothed. Faces towards lumen and outside move likewise, unless these are
    brighter than the cells: a lumen full of stain outshines the membrane, and its smoothed boundary stays. Where cells
    are so thin that they lie wholly in the band, the middles of their coarse voxels stay: none vanishes.

    Whoever reads the whole or a part gets the same voxels.

    Parameters
    ----------
    labels : Labels
        On the coarse grid. Voxels of the lumen that are also a cell's are the cell's.
    image : Volume
        Bright membranes, or how probable walls are, on the fine grid; read tile by tile.
    band : float
        Distance from a boundary, in coarse voxels, up to which voxels may change their cell; above 0, at most 1.
    tile : tuple of 3 ints
        Voxels that are computed at a time.

    Raises
    ------
    ValueError
        When the image has fewer voxels than the labels along an axis, or the band is out of its bounds.

    References
    ----------
    .. [1] F. Meyer (1994), Topographic distance and watershed lines, Signal Processing 38(1):113-125.
    """

    dtype = np.dtype(np.uint32)

    def __init__(
        self,
        labels: Labels,
        image: Volume,
        *,
        band: float = BAND,
        tile: tuple[int, int, int] = TILE,
    ) -> None:
        if any(n > m for n, m in zip(labels.shape, image.shape, strict=True)):
            raise ValueError(f"image has shape {image.shape}, which is coarser than that of the labels, {labels.shape}")
        if not 0 < band <= 1:
            raise ValueError(f"band must be above 0 and at most 1 coarse voxel, not {band}")
        self.shape: tuple[int, ...] = image.shape
        self.chunks: tuple[int, ...] = tuple(map(min, tile, image.shape))
        self._image, self._band = image, band
        self._numbers, self._ids = _numbered(labels)
        self._axes = [_Axis.between(n, m) for n, m in zip(labels.shape, image.shape, strict=True)]
        self._ratios = [m / n for n, m in zip(labels.shape, image.shape, strict=True)]
        self._looked: _Look | None = None
        self._lumen: dict[tuple[int, ...], NDArray[np.uint8]] = {}

    @property
    def lumen(self) -> ResnappedLumen:
        """The lumen on the finer grid; quick to read where the labels have been read before."""
        return ResnappedLumen(self)

    def tiles(self) -> Iterator[Box]:
        """Yield what is computed at a time."""
        return self._tiles_in([slice(None)] * 3)

    def __getitem__(self, key: Sequence[slice], /) -> NDArray[np.uint32]:
        return self._read(key, np.uint32, lambda tile: self._ids[self._computed(tile)])

    def _read_lumen(self, key: Sequence[slice]) -> NDArray[np.bool_]:
        def of(tile: Box) -> NDArray[np.bool_]:
            if tile.start not in self._lumen:
                self._computed(tile)
            return np.unpackbits(self._lumen[tile.start], count=tile.size).reshape(tile.shape).astype(np.bool_)

        return self._read(key, np.bool_, of)

    def _read(self, key: Sequence[slice], dtype: Any, of: Any) -> NDArray[Any]:
        spans = [range(n)[one] for n, one in zip(self.shape, key, strict=True)]
        asked = Box.between((span.start for span in spans), (span.stop for span in spans))
        result = np.empty(asked.shape, dtype)
        for tile in self._tiles_in(key):
            both = tile.overlap(asked)
            part = of(tile)[both.shifted([-n for n in tile.start]).slices]
            result[both.shifted([-n for n in asked.start]).slices] = part
        return result

    def _tiles_in(self, key: Sequence[slice]) -> Iterator[Box]:
        starts = []
        for n, side, one in zip(self.shape, self.chunks, key, strict=True):
            span = range(n)[one]
            starts.append(range(span.start // side * side, span.stop, side))
        for corner in itertools.product(*starts):
            stop = (min(first + side, n) for first, side, n in zip(corner, self.chunks, self.shape, strict=True))
            yield Box.between(corner, stop)

    def _computed(self, tile: Box) -> NDArray[np.uint32]:
        """Return the regions of a tile, and remember its lumen."""
        from napari_scutoid.steps.resnap_compiled import divide, starts

        look = self._looked = self._looked or self._look()
        outer = tile.padded([math.ceil(_HALO * ratio) for ratio in self._ratios], self.shape)
        axes = [axis.cut(span) for axis, span in zip(self._axes, outer.slices, strict=True)]
        first, stop = [int(axis.nearest[0]) for axis in axes], [int(axis.nearest[-1]) + 1 for axis in axes]
        numbers, depth = (_with_layer(array, first, stop) for array in (self._numbers, look.depth))
        moved = [axis.moved(1 - at) for axis, at in zip(axes, first, strict=True)]
        regions: NDArray[np.uint32]
        regions, closeness, is_dazzled = starts(numbers, depth, look.dazzling, self._band, *zip(*moved, strict=True))
        slowness = self._membranes(outer, look)
        slowness[is_dazzled] = 0
        slowness *= _MEMBRANE
        closeness *= _CLOSE / float(np.exp(np.log(self._ratios).mean()))
        slowness += closeness
        slowness += _FREE
        z, y, x = (max(1, round(4 * max(self._ratios) / ratio)) for ratio in self._ratios)
        divide(regions, np.rint(slowness, out=slowness).astype(np.uint8), (z, y, x), len({z, y, x}))
        inner = regions[tile.shifted([-n for n in outer.start]).slices]
        self._lumen[tile.start] = np.packbits(inner == _LUMEN)
        return inner

    def _membranes(self, box: Box, look: _Look) -> NDArray[np.float32]:
        """Return how much voxels stand out from their surroundings, 0 to 1."""
        from scipy.ndimage import gaussian_filter, uniform_filter

        edges = np.asarray(self._image.spacing)
        coarse = float(np.exp(np.log(edges * self._ratios).mean()))
        sigma = (edges.min() + _SMOOTHING * coarse) / edges
        window = [2 * max(1, round(_WINDOW * coarse / edge)) + 1 for edge in edges]
        knee = _KNEE * (look.highest - look.lowest)
        light = _as_numbers(self._image.data[box.slices])
        light -= look.lowest
        np.maximum(light, 0, out=light)
        light /= knee
        np.log1p(light, out=light)
        light = gaussian_filter(light, sigma, mode="nearest", truncate=3.0)
        light -= uniform_filter(light, window, mode="nearest")
        power = uniform_filter(light * light, window, mode="nearest")
        np.maximum(power, 0, out=power)  # running sums may fall a little below
        power += (_FAINT * math.log1p(1 / _KNEE)) ** 2
        np.sqrt(power, out=power)
        light /= power
        light /= _CLEAR
        return np.clip(light, 0, 1, out=light)

    def _look(self) -> _Look:
        """Look at a few slices for the range of the intensities, and for what outshines the cells."""
        from napari_scutoid.steps.resnap_compiled import INSIDE, depth_of

        depth = depth_of(self._numbers)
        n, *sides = self.shape
        y, x = (slice(None, None, -(-side // _SAMPLED_SIDE)) for side in sides)
        by_z, *by_yx = (axis.nearest for axis in self._axes)
        at = np.ix_(by_yx[0][y], by_yx[1][x])
        values, voxels, total = [], np.zeros(len(self._ids), np.int64), np.zeros(len(self._ids))
        for z in np.unique(np.linspace(0, n - 1, _SAMPLED_SLICES).round().astype(int)).tolist():
            plane = _as_numbers(self._image.data[z : z + 1, :, :])[0, y, x]
            values.append(plane)
            # Beside a boundary, membranes would count for both sides.
            is_inside = depth[by_z[z]][at] == INSIDE
            regions = self._numbers[by_z[z]][at][is_inside]
            voxels += np.bincount(regions, minlength=len(voxels))
            total += np.bincount(regions, plane[is_inside], minlength=len(total))
        lowest, highest = np.percentile(values, (1, 99.5))
        if highest <= lowest:
            highest = lowest + 1
        is_cell = self._ids > 0
        cells = total[is_cell].sum() / max(1, voxels[is_cell].sum())
        return _Look(depth, float(lowest), float(highest), ~is_cell & (total > cells * voxels))


class ResnappedLumen:
    """The lumen that belongs to `Resnapped` labels; an `ArrayLike`."""

    dtype = np.dtype(np.bool_)

    def __init__(self, labels: Resnapped) -> None:
        self._labels = labels
        self.shape, self.chunks = labels.shape, labels.chunks

    def __getitem__(self, key: Sequence[slice], /) -> NDArray[np.bool_]:
        return self._labels._read_lumen(key)


def resnapping(
    labels: Labels,
    image: Volume,
    *,
    band: float = BAND,
    tile: tuple[int, int, int] = TILE,
) -> Steps[Labels]:
    """Bring labels to the grid of an image, their boundaries to its membranes.

    Parameters, errors and method are those of `Resnapped`, which writes to files without holding all in memory.

    Yields
    ------
    Progress
        Once a tile.

    Returns
    -------
    Labels
        On the image's grid, with its voxel size and origin; also the lumen, where there was one.
    """
    data = np.empty(image.shape, np.uint32)
    lumen = None if labels.lumen is None else np.empty(image.shape, np.bool_)
    yield from resnapping_into(labels, image, data, lumen, band=band, tile=tile)
    return replace(
        labels,
        data=data,
        lumen=lumen,
        voxel_size_um=image.voxel_size_um,
        origin_um=image.origin_um,
        history=(*labels.history, f"from {labels.shape} to {image.shape} voxels, boundaries moved to the membranes"),
    )


def resnapping_into(
    labels: Labels,
    image: Volume,
    out: Any,
    lumen: Any = None,
    *,
    band: float = BAND,
    tile: tuple[int, int, int] = TILE,
) -> Steps[None]:
    """Write the ids that `resnapping` gives into an array, tile by tile: the whole need not be in memory at any time.

    Parameters
    ----------
    labels, image, band, tile
        As for `Resnapped`.
    out : array of a type that holds every id, of the image's shape
        Each voxel is written once, and none is read.
    lumen : array of bool, of the image's shape, optional
        Receives the lumen.
    """
    made = Resnapped(labels, image, band=band, tile=tile)
    tiles = list(made.tiles())
    for number, box in enumerate(tiles):
        yield Progress(STEP, number, len(tiles))
        out[box.slices] = made[box.slices]
        if lumen is not None:
            lumen[box.slices] = made.lumen[box.slices]


def _numbered(labels: Labels) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return consecutive numbers of regions (lumen, pieces of the outside, cells), and the id of each number."""
    import cc3d
    import fastremap

    empty = labels.data == 0
    is_lumen = np.zeros_like(empty) if labels.lumen is None else empty & labels.lumen
    empty &= ~is_lumen
    outside, n = cc3d.connected_components(empty.view(np.uint8), connectivity=6, out_dtype=np.uint32, return_N=True)
    cells = fastremap.unique(labels.data)
    cells = cells[cells > 0]
    ids = np.zeros(_OUTSIDE + n + len(cells), np.uint32)
    ids[_OUTSIDE + n :] = cells
    numbers = fastremap.remap(
        labels.data, {0: 0} | dict(zip(cells.tolist(), range(_OUTSIDE + n, len(ids)), strict=True))
    )
    numbers = numbers.astype(np.uint32, copy=False)
    numbers[empty] = outside[empty] + (_OUTSIDE - 1)
    numbers[is_lumen] = _LUMEN
    return numbers, ids


def _with_layer(array: NDArray[Any], start: Sequence[int], stop: Sequence[int]) -> NDArray[Any]:
    """Return a piece with one layer around; beyond the array's faces that repeats the outermost."""
    spans = (np.clip(np.arange(a - 1, b + 1), 0, n - 1) for a, b, n in zip(start, stop, array.shape, strict=True))
    return np.ascontiguousarray(array[np.ix_(*spans)])


def _as_numbers(part: Any) -> NDArray[np.float32]:
    """Return intensities in single precision, 0 where they are no numbers."""
    return np.nan_to_num(np.array(part, np.float32), copy=False)

"""Typical size of the cells of a raw stack, estimated from dark interiors between bright walls.

The logarithm of the image is cut into catchment basins, and basins are merged while the wall between them is weak
(`napari_scutoid.steps.agglomerate`). As the contrast at which walls count as walls rises, the number of regions first
falls because noise is merged away, then hardly changes, and falls again when true walls give way. On that plateau the
regions are the cells, well enough for their median size and proportions. Two compressions of the intensities and two
smoothings vote; their disagreement is the uncertainty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from napari_scutoid.progress import Progress, drain
from napari_scutoid.steps.agglomerate import basins, merge_across_weak_walls
from napari_scutoid.steps.slabs import check_intensities, z_slabs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.steps.agglomerate import Partition
    from napari_scutoid.volume import ArrayLike

STEP = "Estimating the cell size"
SYSTEMATIC_UNCERTAINTY = 0.1
"""Never claim to be better than this: cells cut by the border and the smallest cells are seen less often."""

_VOXELS = 1_250_000
_SMOOTHINGS = (0.7, 1.2)
_LOG_UNITS = ("mean", "rms")
_CONTRAST_STEP = 1.3
_CONTRASTS = tuple(0.004 * _CONTRAST_STEP**i for i in range(21))
_SIZE_RANGE = 2.5
_MIN_REGIONS = 4
_ENOUGH_REGIONS = 20
_ANISOTROPY_LIMITS = (0.1, 12.0)


@dataclass(frozen=True, slots=True)
class CellSize:
    """How large the cells of a stack are on its voxel grid.

    Parameters
    ----------
    diameter : float
        Diameter in voxels of a ball with as many voxels as the typical cell.
    anisotropy : float
        z step over xy step, on the assumption that cells are as tall as wide: the typical extent of a cell in voxels
        along y and x, over that along z.
    uncertainty : float
        Relative standard deviation of the diameter, 0.2 for 20 %.
    """

    diameter: float
    anisotropy: float
    uncertainty: float


def extent_of(diameter: float, spacing: Sequence[float]) -> tuple[float, float, float]:
    """Return how many voxels a cell spans along each axis, as the ball that it is in the tissue.

    Parameters
    ----------
    diameter : float
        As in `CellSize`: of a ball of as many voxels.
    spacing : sequence of 3 floats
        Edges of a voxel along z, y, x, in any unit.
    """
    edge = math.prod(spacing) ** (1 / 3)
    z, y, x = (diameter * edge / step for step in spacing)
    return z, y, x


def diameter_of(section: float, spacing: Sequence[float]) -> float:
    """Return the diameter, as in `CellSize`, of a ball whose largest section along y and x covers some voxels.

    Parameters
    ----------
    section : float
        Area of the section in pixels of a slice.
    spacing : sequence of 3 floats
        Edges of a voxel along z, y, x, in any unit.
    """
    across = math.sqrt(4 * section / math.pi * spacing[1] * spacing[2])
    return float(across / math.prod(spacing) ** (1 / 3))


def estimate_cell_size(data: ArrayLike) -> CellSize:
    """Estimate the typical cell's diameter and the anisotropy of a membrane-stained stack.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        Intensities; cell outlines are brighter than cell interiors.

    Returns
    -------
    CellSize

    Raises
    ------
    ValueError
        When the data is not three-dimensional, holds NaN, infinity or numbers beyond `slabs.LARGEST`, has no contrast,
        or shows no enclosed regions.

    Notes
    -----
    Large stacks are looked at as a whole on a coarser grid, and on finer grids in the part with most structure; of
    those that show enough regions, the grid on which the votes agree best decides. Time and memory are bounded.
    """
    return drain(estimating_cell_size(data))


def estimating_cell_size(data: ArrayLike) -> Steps[CellSize]:
    """Do the work of `estimate_cell_size` as a job that reports progress and can be cancelled."""
    if len(data.shape) != 3 or 0 in data.shape:
        raise ValueError(f"data must have three non-empty axes (z, y, x); got shape {tuple(data.shape)}")
    grids = _grids(data.shape)
    votes_each = 1 + len(_SMOOTHINGS) * len(_LOG_UNITS)
    total = len(grids) * votes_each
    done = 0
    overview: NDArray[np.float32] | None = None
    found: list[tuple[CellSize, float]] = []
    for bins in reversed(grids):
        if overview is None:
            box = tuple(slice(0, n) for n in data.shape)
        else:
            box = _busiest_box(overview, data.shape, grids[-1], bins)
        image = np.zeros(_binned_shape(bins, box), dtype=np.float32)
        for _ in _binning(data, bins, box, image):
            yield Progress(STEP, done, total)
        if overview is None:
            overview = image
        votes: list[_Vote | None] = []
        anisotropy = 1.0
        compressed = {unit: _logarithm(image, unit) for unit in _LOG_UNITS}
        for unit, smoothing in [(_LOG_UNITS[0], _SMOOTHINGS[-1]), *product(_LOG_UNITS, _SMOOTHINGS)]:
            # The first vote is for the anisotropy only, so that the others smooth alike in all directions.
            vote = _vote(compressed[unit], smoothing, anisotropy)
            if vote is not None:
                anisotropy = min(max(vote.anisotropy, _ANISOTROPY_LIMITS[0]), _ANISOTROPY_LIMITS[1])
            votes.append(vote)
            done += 1
            yield Progress(STEP, done, total)
        if counted := [vote for vote in votes[1:] if vote is not None]:
            found.append((_tally(counted, bins), float(np.median([vote.count for vote in counted]))))
    if not found:
        raise ValueError("data shows no dark regions enclosed by brighter walls; state the cell diameter instead")
    return _most_certain(found)


def voxels_to_size(shape: Sequence[int]) -> int:
    """Return how many voxels the estimate works on, each as often as it is looked at: what its time goes by."""
    votes_each = 1 + len(_SMOOTHINGS) * len(_LOG_UNITS)
    return votes_each * sum(
        min(_VOXELS, math.prod(n // b for n, b in zip(shape, bins, strict=True))) for bins in _grids(tuple(shape))
    )


def _most_certain(found: list[tuple[CellSize, float]]) -> CellSize:
    """Choose among the grids' estimates, each with its number of regions, the one with the least uncertainty.

    A handful of regions is believed only where no grid shows more: in a stack that is nearly empty, they are patches of
    background on the coarse grid, and agree with each other by chance.
    """
    many = [size for size, count in found if count >= _ENOUGH_REGIONS]
    return min(many or [size for size, _ in found], key=lambda size: size.uncertainty)


@dataclass(frozen=True, slots=True)
class _Vote:
    diameter: float
    anisotropy: float
    spread: float
    count: float


def _tally(votes: list[_Vote], bins: tuple[int, int, int]) -> CellSize:
    """Median of the votes, back on the stack's own grid."""
    diameters = np.log([vote.diameter for vote in votes])
    sampling = float(np.median([vote.spread / math.sqrt(vote.count) for vote in votes]))
    disagreement = float(np.std(diameters))
    across = math.sqrt(bins[1] * bins[2])
    return CellSize(
        diameter=float(np.exp(np.median(diameters))) * math.prod(bins) ** (1 / 3),
        anisotropy=float(np.median([vote.anisotropy for vote in votes])) * across / bins[0],
        uncertainty=math.hypot(SYSTEMATIC_UNCERTAINTY, sampling, disagreement),
    )


def _vote(image: NDArray[np.float32], smoothing: float, anisotropy: float) -> _Vote | None:
    """Typical region on the plateau of one smoothed image; None where there are no regions."""
    # Voxel edges of an equal-volume grid on which cells are as tall as wide.
    edges = (anisotropy ** (2 / 3), anisotropy ** (-1 / 3), anisotropy ** (-1 / 3))
    smooth = ndimage.gaussian_filter(image, [smoothing / edge for edge in edges])
    basin = basins(smooth)
    partitions = list(merge_across_weak_walls(smooth, basin, _CONTRASTS))
    populations = [_Population.of(partition) for partition in partitions]
    counts = np.array([0.0 if population is None else population.count for population in populations])
    chosen = _plateau(counts)
    population = populations[chosen]
    if population is None:
        return None
    return _Vote(
        population.diameter,
        _region_anisotropy(partitions[chosen].region[basin], population.members),
        population.spread,
        population.count,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Population:
    """The regions of a partition that look like cells."""

    diameter: float
    spread: float
    count: float
    members: NDArray[np.bool_]

    @classmethod
    def of(cls, partition: Partition) -> _Population | None:
        """Weigh regions by how well they are enclosed: the fragments of an empty background hardly are."""
        enclosure = np.maximum(partition.enclosure, 0.0)
        if not enclosure.any():
            return None
        usual = float((enclosure**3).sum() / (enclosure**2).sum())
        weight = np.minimum(2 * enclosure / usual, 1.0) ** 2
        diameter = np.cbrt(6 * partition.size / np.pi)
        members = np.ones(diameter.size, dtype=bool)
        typical = _weighted_median(diameter, weight)
        for _ in range(3):
            members = (diameter > typical / _SIZE_RANGE) & (diameter < typical * _SIZE_RANGE)
            typical = _weighted_median(diameter[members], weight[members])
        kept = weight[members]
        deviation = np.log(diameter[members] / typical)
        return cls(
            diameter=typical,
            spread=math.sqrt(float((kept * deviation**2).sum() / kept.sum())),
            count=float(kept.sum() ** 2 / (kept**2).sum()),
            members=members,
        )


def _plateau(counts: NDArray[np.float64]) -> int:
    """Where, coming from high contrasts, the number of regions first stops changing.

    Coming from low ones would stop below the noise, where nothing merges either.
    """
    enough = np.flatnonzero(counts >= _MIN_REGIONS)
    if enough.size == 0:
        return int(np.argmax(counts))
    last = int(enough[-1])
    log_count = np.log(np.maximum(counts, 0.5))
    i = np.arange(counts.size)
    before, after = np.maximum(i - 2, 0), np.minimum(i + 2, counts.size - 1)
    slope = (log_count[before] - log_count[after]) / ((after - before) * math.log(_CONTRAST_STEP))
    best = last
    for contrast in range(last, -1, -1):
        if slope[contrast] < slope[best]:
            best = contrast
        elif slope[contrast] > 1.5 * slope[best] + 0.15:
            break
    return best


def _region_anisotropy(region: NDArray[np.intp], members: NDArray[np.bool_]) -> float:
    """Median ratio of the regions' standard deviations across to along z."""
    whole = members.copy()
    for axis, end in product(range(3), (0, -1)):
        whole[np.unique(region.take(end, axis))] = False
    # Cells cut by the border look flat, but are better than none.
    used = whole if whole.sum() > _MIN_REGIONS else members
    flat = region.ravel()
    size = np.bincount(flat, minlength=members.size)
    variances = []
    for axis, n in enumerate(region.shape):
        position = np.broadcast_to(
            np.arange(n, dtype=float).reshape([-1 if i == axis else 1 for i in range(3)]), region.shape
        )
        mean = np.bincount(flat, position.ravel(), members.size) / size
        square = np.bincount(flat, (position**2).ravel(), members.size) / size
        variances.append((square - mean**2)[used] + 1 / 12)  # a voxel has an extent, too
    along, *across = variances
    return float(np.median(np.sqrt((across[0] + across[1]) / 2 / along)))


def _logarithm(image: NDArray[np.float32], unit: str) -> NDArray[np.float32]:
    """Compress intensities, and put them on a scale on which the stack's contrasts are about 1."""
    above = np.maximum(image - np.percentile(image, 0.5), 0).astype(np.float32)
    one = float(above.mean()) if unit == "mean" else math.sqrt(float((above.astype(np.float64) ** 2).mean()))
    if one == 0:
        raise ValueError("data has no contrast: nearly all voxels have the same intensity")
    compressed: NDArray[np.float32] = np.log1p(above / one)
    low, high = np.percentile(ndimage.gaussian_filter(compressed, 1.0), [5, 99.5])
    return compressed / max(float(high - low), 1e-6)


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2)])


def _grids(shape: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Voxels to average along each axis, from none to so many that the whole stack is small."""
    grids = [(1, 1, 1)]
    while math.prod(n // b for n, b in zip(shape, grids[-1], strict=True)) > _VOXELS:
        z, y, x = grids[-1]
        # Stacks usually have few slices: they are spared as long as possible.
        grids.append((2 * z if shape[0] // z >= 64 else z, 2 * y, 2 * x))
    return grids


def _busiest_box(
    overview: NDArray[np.float32],
    shape: tuple[int, ...],
    overview_bins: tuple[int, int, int],
    bins: tuple[int, int, int],
) -> tuple[slice, ...]:
    """Return the box of the stack, small enough at this binning, in which the overview varies most."""
    depth = min(shape[0] // bins[0], 64)
    width = int(math.sqrt(_VOXELS / depth))
    size = [min(n, length * b) for n, length, b in zip(shape, (depth, width, width), bins, strict=True)]
    window = [max(1, round(length / b)) for length, b in zip(size, overview_bins, strict=True)]
    image = _logarithm(overview, "mean").astype(np.float64)
    variance = ndimage.uniform_filter(image**2, window) - ndimage.uniform_filter(image, window) ** 2
    busiest = np.unravel_index(int(np.argmax(variance)), variance.shape)
    box = []
    for centre, b, length, n in zip(busiest, overview_bins, size, shape, strict=True):
        start = min(max(0, int(centre) * b - length // 2), n - length)
        box.append(slice(start, start + length))
    return tuple(box)


def _binned_shape(bins: tuple[int, int, int], box: tuple[slice, ...]) -> list[int]:
    """Return how many whole groups of voxels lie in a box; an incomplete one at the end is left out."""
    return [(part.stop - part.start) // b for part, b in zip(box, bins, strict=True)]


def _binning(
    data: ArrayLike, bins: tuple[int, int, int], box: tuple[slice, ...], means: NDArray[np.float32]
) -> Iterator[None]:
    """Add the means of groups of voxels inside a box to an array of zeros, pausing after every part read."""
    depth, *shape = means.shape
    rows, columns = (slice(part.start, part.start + n * b) for part, n, b in zip(box[1:], shape, bins[1:], strict=True))
    for start, stop in _runs(data, box[0].start, box[0].start + depth * bins[0]):
        block = np.asarray(data[start:stop, rows, columns])
        check_intensities(block, slice(start, stop))
        sums = block.reshape(len(block), shape[0], bins[1], shape[1], bins[2]).mean(axis=(2, 4), dtype=np.float32)
        np.add.at(means, (np.arange(start, stop) - box[0].start) // bins[0], sums / bins[0])
        yield


def _runs(data: ArrayLike, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Parts of the slices start to stop, as the data is stored."""
    for run in z_slabs(data):
        if run.stop > start and run.start < stop:
            yield max(run.start, start), min(run.stop, stop)

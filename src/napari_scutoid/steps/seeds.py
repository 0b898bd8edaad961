"""One seed per cell: maxima of the smoothed distance to the nearest wall that a waist divides from higher ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.steps.by_label import looked_up
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.lines import smoothed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.steps.flood import Backend


def place_seeds(
    distance: NDArray[np.float32],
    *,
    sigma: float,
    smallest_distance: float,
    prominence: float = 0.0,
    height: float = 0.0,
    unit: Sequence[float] = (1.0, 1.0, 1.0),
    backend: Backend = "compiled",
) -> NDArray[np.uint32]:
    """Make a numbered seed of each maximum of the smoothed distance to the wall that stands out; a plateau is one.

    Along a columnar or curved cell the distance to the wall is a ridge on which every small unevenness is a maximum.
    Of two maxima the lower one is kept only if the way to the higher one leads through a place that is narrower by the
    given share: the dynamics of a maximum [1]_, relative to its height so that it serves cells of all sizes. With a
    height instead, these are the h-maxima [2]_.

    Parameters
    ----------
    distance : ndarray of float32, shape (z, y, x)
        Distance to the nearest wall in equivalent voxels, 0 on walls and in the background.
    sigma : float
        Standard deviation of the smoothing, in equivalent voxels.
    smallest_distance : float
        Maxima nearer to a wall are dropped, in equivalent voxels.
    prominence : float
        Smallest share by which the distance sinks between two maxima, 0 to 1.
    height : float
        Smallest difference by which it sinks, in equivalent voxels. Where both are 0, all maxima are kept.
    unit : sequence of 3 floats
        Voxel edges in equivalent voxels.
    backend : {"compiled", "bioimage-cpp", "scikit-image"}
        Implementation of the flooding that finds the ways between maxima.

    Returns
    -------
    ndarray of uint32, shape (z, y, x)
        1, 2, 3, ... on the seeds, 0 elsewhere.

    References
    ----------
    .. [1] M. Grimaud (1992), New measure of contrast: the dynamics, Proc. SPIE 1769.
    .. [2] P. Soille (2004), Morphological Image Analysis, 2nd ed., Springer, section 6.3.4.
    """
    found = find_maxima(
        distance,
        sigma=sigma,
        smallest_distance=smallest_distance,
        with_passes=prominence > 0 or height > 0,
        unit=unit,
        backend=backend,
    )
    return standing_out(found, prominence=prominence, height=height)


@dataclass(frozen=True, slots=True, eq=False)
class Maxima:
    """All maxima of a map, and the passes between them.

    Parameters
    ----------
    seeds : ndarray of uint32, shape (z, y, x)
        1, 2, 3, ... on the maxima, 0 elsewhere.
    heights : ndarray of float32, shape (n + 1,), or None
        Of the maxima, by their number; None where passes were not asked for.
    first, second : ndarray of uint64, shape (m,)
        The two maxima on both sides of each pass.
    passes : ndarray of float32, shape (m,)
        The height of each pass.
    """

    seeds: NDArray[np.uint32]
    heights: NDArray[np.float32] | None
    first: NDArray[np.uint64]
    second: NDArray[np.uint64]
    passes: NDArray[np.float32]


def find_maxima(
    distance: NDArray[np.float32],
    *,
    sigma: float,
    smallest_distance: float,
    with_passes: bool,
    unit: Sequence[float] = (1.0, 1.0, 1.0),
    backend: Backend = "compiled",
) -> Maxima:
    """Return the maxima of the smoothed distance; parameters as for `place_seeds`."""
    smooth = smoothed(distance, [sigma / edge for edge in unit]) if sigma > 0 else distance.copy()
    is_flat = bool(smooth.min() == smooth.max())
    if backend == "compiled" and not is_flat:
        from napari_scutoid.steps.seeds_compiled import maxima_and_passes

        seeds, pairs, passes = maxima_and_passes(smooth, distance, smallest_distance, with_passes=with_passes)
        heights = _heights(seeds, smooth) if with_passes else None
        return Maxima(seeds, heights, *_apart(pairs), passes)
    import cc3d
    from skimage.morphology import local_maxima

    # scikit-image finds no maximum in a constant image; here it is one cell or none
    peaks = distance > 0 if is_flat else local_maxima(smooth, connectivity=3)  # type: ignore[no-untyped-call]
    peaks &= (distance > 0) & (distance >= smallest_distance)
    # As integers: on bool with 26 neighbours, cc3d 4.1.1 makes its table too small for densely sown voxels and fails.
    components = cc3d.connected_components(peaks.view(np.uint8), connectivity=26, out_dtype=np.uint32)
    seeds = components.astype(np.uint32, copy=False)
    if not with_passes:
        none = np.zeros(0, np.uint64)
        return Maxima(seeds, None, none, none, np.zeros(0, np.float32))
    basins = flood(-smooth, seeds, distance > 0, backend)
    return Maxima(seeds, _heights(seeds, smooth), *_saddles(basins, smooth))


def standing_out(found: Maxima, *, prominence: float = 0.0, height: float = 0.0) -> NDArray[np.uint32]:
    """Return the maxima that stand out, numbered; parameters as for `place_seeds`."""
    if found.heights is None:
        return found.seeds
    number, keep = gave_way(found, prominence=prominence, height=height)
    return looked_up(np.where(keep, number, np.uint32(0)), found.seeds)


def gave_way(
    found: Maxima, *, prominence: float = 0.0, height: float = 0.0
) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
    """Return the seed that each maximum is or gave way to, and whether it is one; parameters as for `place_seeds`."""
    if found.heights is None:
        number = np.arange(int(found.seeds.max(initial=0)) + 1, dtype=np.uint32)
        return number, number > 0
    deepest = (1.0 - prominence) * found.heights - height
    higher = _higher(found.heights, found.first, found.second, found.passes, deepest)
    keep = higher == np.arange(higher.size)
    keep[0] = False
    number = np.zeros(keep.size, dtype=np.uint32)
    number[keep] = np.arange(1, np.count_nonzero(keep) + 1, dtype=np.uint32)
    return number[higher], keep


def _heights(seeds: NDArray[np.uint32], smooth: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the height of every seed, indexed by its id."""
    heights = np.zeros(int(seeds.max()) + 1, dtype=np.float32)
    on_seed = seeds > 0
    heights[seeds[on_seed]] = smooth[on_seed]
    return heights


def _saddles(
    basins: NDArray[np.uint32], smooth: NDArray[np.float32]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.float32]]:
    """Return touching basins (smaller id, larger id) and the highest point of the pass between them."""
    keys, passes = [], []
    for axis in range(3):
        near, far = np.moveaxis(basins, axis, 0)[:-1], np.moveaxis(basins, axis, 0)[1:]
        meet = (near != far) & (near > 0) & (far > 0)
        low, high = np.minimum(near[meet], far[meet]), np.maximum(near[meet], far[meet])
        keys.append(low.astype(np.uint64) << np.uint64(32) | high)
        heights = np.moveaxis(smooth, axis, 0)
        passes.append(np.minimum(heights[:-1][meet], heights[1:][meet]))
    pairs, index = np.unique(np.concatenate(keys), return_inverse=True)
    highest = np.zeros(pairs.size, dtype=np.float32)
    np.maximum.at(highest, index, np.concatenate(passes))
    return *_apart(pairs), highest


def _apart(pairs: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the two ids that each key holds."""
    return pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)


def _higher(
    heights: NDArray[np.float32],
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
    saddles: NDArray[np.float32],
    deepest: NDArray[np.float32],
) -> NDArray[np.intp]:
    """Return the seed that each gave way to, or itself: one stays whose pass to a higher one lies below its deepest.

    Passes are seen from the highest down, the order in which a falling water level would lay them dry.
    """
    higher = list(range(heights.size))  # the seed that each seed gave way to, or itself

    def root(seed: int) -> int:
        while higher[seed] != seed:
            higher[seed] = higher[higher[seed]]
            seed = higher[seed]
        return seed

    for i in np.argsort(-saddles, kind="stable"):
        a, b = sorted((root(int(first[i])), root(int(second[i]))))
        lower, other = (a, b) if heights[a] < heights[b] else (b, a)
        if lower != other and saddles[i] >= deepest[lower]:
            higher[lower] = other
    return np.array([root(seed) for seed in range(heights.size)], np.intp)

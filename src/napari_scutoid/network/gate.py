"""Find where a stack holds tissue, before any network: cheaply, and in doubt everywhere.

Empty parts of a stack differ from tissue in one way that needs no absolute brightness: they hold noise only.
Averaging noise over blocks leaves the little that its variance inside the blocks explains, while membranes, cell
interiors and lumina make neighbouring blocks differ much more. The ratio of the two variances, a local analysis of
variance, is about 1 for white noise at any gain, offset and depth, far higher in tissue, and blind to smooth haze. What
the noise of a stack really scores (resampling correlates it) is read from its quietest part.

In a stack full of tissue that part is tissue, so it has to prove that it is noise. Noise forgets over a few voxels:
the correlation between neighbouring voxels that explains how much whole blocks differ must also explain how much the
halves of a block differ. Tissue under noise fails that, because it keeps varying at the larger scale; then nothing is
skipped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import edt
import fill_voids
import numpy as np
from scipy import ndimage

from napari_scutoid.progress import Progress
from napari_scutoid.steps.slabs import z_slabs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.network.config import Triple
    from napari_scutoid.network.tiles import Box
    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike

BLOCK = 4
"""Voxels along an axis that are averaged: finer than the cells on the working grid, coarse enough to beat noise."""
WINDOW = 5
"""Blocks along an axis over which variances are taken: about one cell."""
QUIETEST = 2.0
"""Percent of the windows that are first taken for noise."""
LONGEST_MEMORY = 0.7
"""Correlation of neighbouring voxels up to which something can be noise; smoother parts are taken for tissue."""
MISFIT = 1.25
"""How far the differences between blocks may exceed what noise explains by the differences between their halves."""
LEAST_STRUCTURE = 0.01
"""Share of the windows that must stand out from the rest; in a uniform stack, who knows which of both it is."""


@dataclass(frozen=True, slots=True, eq=False)
class Tissue:
    """Where there may be tissue.

    Parameters
    ----------
    mask : ndarray of bool
        One element per block of the stack.
    block : (int, int, int)
        Voxels of a block.
    """

    mask: NDArray[np.bool_]
    block: Triple

    def touches(self, box: Box) -> bool:
        """Whether any block that a box reaches into may hold tissue."""
        blocks = tuple(
            slice(start // size, -(-stop // size))
            for start, stop, size in zip(box.start, box.stop, self.block, strict=True)
        )
        return bool(self.mask[blocks].any())


class _Blocks(NamedTuple):
    """What is known of each block: its mean, and the variance of that mean if there is only white noise."""

    mean: NDArray[np.float32]
    by_voxels: NDArray[np.float32]
    by_halves: NDArray[np.float32]


def find_tissue(data: ArrayLike, cell_diameter: float, threshold: float) -> Steps[Tissue]:
    """Find the blocks of a stack that may hold tissue.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        Raw intensities; lazy arrays are read once, a slab at a time.
    cell_diameter : float
        Diameter of a cell in voxels: what lies this close to structure belongs to the tissue, as does all that is
        enclosed by it (dark cells, the lumen).
    threshold : float
        How many times the quietest windows' variance ratio still counts as empty.

    Yields
    ------
    Progress
        After every slab.

    Returns
    -------
    Tissue
        True everywhere when noise and tissue cannot be told apart.
    """
    z, y, x = (min(BLOCK, size) for size in data.shape)
    block = (z, y, x)
    parts = []
    rest = np.empty((0, *data.shape[1:]), dtype=data.dtype)
    for section in z_slabs(data):
        slab = np.concatenate((rest, np.asarray(data[section])))
        whole = len(slab) if section.stop >= data.shape[0] else len(slab) // z * z
        if whole:
            parts.append(_block_statistics(slab[:whole], block))
        rest = slab[whole:]
        yield Progress("Looking for tissue", section.stop, data.shape[0])
    blocks = _Blocks(*(np.concatenate(field) for field in zip(*parts, strict=True)))
    mask = _structured(blocks, block, threshold)
    if mask.any() and not mask.all():
        mask = filled(edt.edt(~mask, black_border=False) <= cell_diameter / BLOCK)
    return Tissue(mask, block)


def _block_statistics(slab: NDArray[Any], block: Triple) -> _Blocks:
    """Measure every block; those at the far borders are completed by reflection."""
    missing = [(0, -size % step) for size, step in zip(slab.shape, block, strict=True)]
    values = np.pad(slab, missing, mode="symmetric") if any(pad for _, pad in missing) else slab
    parts = _halves(block)
    half = [size // part for size, part in zip(block, parts, strict=True)]
    half_mean, half_variance = _moments(values, half)
    mean, between_halves = _moments(half_mean, parts)
    inside = _moments(half_variance, parts)[0] + between_halves
    return _Blocks(
        mean,
        inside / np.float32(max(1, math.prod(block) - 1)),
        between_halves / np.float32(max(1, math.prod(parts) - 1)),
    )


def _halves(block: Sequence[int]) -> list[int]:
    """Return into how many parts each axis of a block is halved: two, or one where its size is odd."""
    return [2 if size % 2 == 0 else 1 for size in block]


def _moments(values: NDArray[Any], block: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    z, y, x = (size // step for size, step in zip(values.shape, block, strict=True))
    blocks = values.reshape(z, block[0], y, block[1], x, block[2]).astype(np.float32)
    mean = blocks.mean(axis=(1, 3, 5), keepdims=True)
    blocks -= mean  # before squaring, or a high offset would drown the noise
    return mean.reshape(z, y, x), np.square(blocks, out=blocks).mean(axis=(1, 3, 5))


def _structured(blocks: _Blocks, block: Triple, threshold: float) -> NDArray[np.bool_]:
    """Return where blocks differ by more than noise; everywhere when that cannot be said."""
    # What was blanked (by a rotation, a mask) is flat at the very bottom; flat and bright would be saturated.
    flat = (blocks.by_voxels == 0) & (blocks.mean == blocks.mean.min())
    everything = np.asarray(~ndimage.minimum_filter(flat, WINDOW, mode="nearest"), dtype=bool)
    if not everything.any() or max(flat.shape) < 3:
        return everything
    between = _over_window(_differences(blocks.mean))
    by_voxels, by_halves = _over_window(blocks.by_voxels), _over_window(blocks.by_halves)
    ratio = between / np.maximum(by_voxels, np.finfo(np.float32).eps * by_voxels.max() + np.finfo(np.float32).tiny)
    limit = threshold * np.percentile(ratio[everything], QUIETEST)
    empty = np.asarray(everything & (ratio < limit), dtype=bool)
    structured = np.asarray(everything & ~empty, dtype=bool)
    if not empty.any() or np.count_nonzero(structured) < LEAST_STRUCTURE * ratio.size:
        return everything
    explained = _ratio_of_noise(float(np.median(ratio[empty])), block)
    if explained is None or np.median(between[empty]) > MISFIT * explained * np.median(by_halves[empty]):
        return everything
    return structured


def _ratio_of_noise(by_voxels: float, block: Triple) -> float | None:
    """Return how the means of blocks of noise vary against their halves, given how they vary against their voxels.

    The noise is white noise after a smoothing of unknown width, so that voxels d apart correlate by r ** (d * d); the
    ratio against the voxels says what r is. None where that is more than `LONGEST_MEMORY`.
    """
    parts = _halves(block)
    r = np.linspace(0, LONGEST_MEMORY, 200)

    def variance_of_mean(sizes: Sequence[float]) -> NDArray[np.float64]:
        variance = np.ones_like(r)
        for size in sizes:
            places = np.arange(size)
            variance *= (r[:, None, None] ** np.subtract.outer(places, places) ** 2).mean(axis=(1, 2))
        return variance

    whole = variance_of_mean(block)
    half = variance_of_mean([size // part for size, part in zip(block, parts, strict=True)])
    with np.errstate(divide="ignore", invalid="ignore"):
        against_voxels = (math.prod(block) - 1) * whole / (1 - whole)
        against_halves = (math.prod(parts) - 1) * whole / (half - whole)
    if not by_voxels <= against_voxels[-1]:
        return None
    return float(np.interp(by_voxels, against_voxels, against_halves))


def _differences(mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the squared difference of each inner block from the mean of the 3x3x3 around, scaled to a variance.

    Against its surroundings and not the whole stack, so that haze, which is linear at this scale, does not count.
    """
    sizes = _surroundings(mean.shape)
    squared = np.square(mean - ndimage.uniform_filter(mean, sizes))
    return squared * np.float32(math.prod(sizes) / max(1, math.prod(sizes) - 1))


def _surroundings(shape: Sequence[int]) -> list[int]:
    """Return how many blocks along each axis a block is compared with: an axis of fewer than three is left out."""
    return [3 if size >= 3 else 1 for size in shape]


def _over_window(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average over windows of inner blocks.

    Every window is complete, so that all are equally reliable; blocks at the borders belong to the nearest one.
    """
    sizes, padding, complete = [], [], []
    for size, around in zip(values.shape, _surroundings(values.shape), strict=True):
        rim = around // 2
        window = min(WINDOW, size - 2 * rim)
        first = rim + window // 2
        count = size - 2 * rim - window + 1
        sizes.append(window)
        complete.append(slice(first, first + count))
        padding.append((first, size - first - count))
    average = np.maximum(ndimage.uniform_filter(values, sizes), 0)  # rounding can make zero negative
    return np.pad(average[tuple(complete)], padding, mode="edge")


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Add what is enclosed in 3D, or within a slice along any axis: tissue may leave the stack on one side."""
    result = fill_voids.fill(mask)
    for axis in range(3):
        for section in np.moveaxis(result, axis, 0):
            section |= fill_voids.fill(np.ascontiguousarray(section))
    return np.asarray(result, dtype=bool)

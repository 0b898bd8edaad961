"""How many voxels have which intensity, before and after normalising, from a sample of a stack."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.normalise import statistics

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Normalise
    from napari_scutoid.steps.crop import Box
    from napari_scutoid.volume import ArrayLike

SAMPLED_VOXELS = 400_000
LAZY_SLICES = 8
"""Slices that are read of a stack that is not in memory: a packed file unpacks more than it is asked for."""
BINS = 96
TAIL = 0.01
"""Per cent of the voxels at either end that are counted in the outermost bins: one hot pixel would squeeze all others
into the first bin."""


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """Counts of intensities.

    Parameters
    ----------
    edges : ndarray of float64, shape (n + 1,)
        Of the bins, rising; what lies outside is counted in the outermost bins.
    counts : ndarray of int64, shape (n,)
        Voxels of the sample.
    zero, one : float
        The intensities that are, or become, 0 and 1.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    zero: float
    one: float


def sampling(data: ArrayLike, box: Box | None = None, voxels: int = SAMPLED_VOXELS) -> Steps[NDArray[Any]]:
    """Read voxels from all over a stack.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        Of a lazy array at most `LAZY_SLICES` slices are read.
    box : tuple of 3 slices, optional
        Where; the whole stack by default.
    voxels : int
        How many, about.

    Returns
    -------
    ndarray, shape (z, y, x)
        Every so many voxels along each axis, of the data's type.
    """
    z, y, x = box or tuple(slice(0, n) for n in data.shape)
    area = (y.stop - y.start) * (x.stop - x.start)
    depth = z.stop - z.start
    many = depth if isinstance(data, np.ndarray) else LAZY_SLICES
    # As finely along z as across, and never finer than the slices that may be read.
    step = max(math.ceil((depth * area / voxels) ** (1 / 3)), math.ceil(depth / many))
    slices = range(z.start + (depth - 1) % step // 2, z.stop, step)
    stride = max(1, math.ceil(math.sqrt(len(slices) * area / voxels)))
    planes = []
    for done, index in enumerate(slices):
        yield Progress("Looking at the intensities", done, len(slices))
        planes.append(np.asarray(data[index, y, x])[::stride, ::stride])
    return np.stack(planes)


def before_and_after(sample: NDArray[Any], settings: Normalise) -> Steps[tuple[Histogram, Histogram]]:
    """Count a sample's intensities as they are, and as they would be after normalising.

    Parameters
    ----------
    sample : ndarray, shape (z, y, x)
        From `sampling`.
    settings : Normalise
        How; its statistics are the sample's.

    Raises
    ------
    ValueError
        As `normalise.statistics`.
    """
    if sample.dtype == np.bool_:
        sample = sample.astype(np.uint8)
    found = yield from statistics(sample, settings)
    before = _counted(sample, found.intensity(0.0), found.intensity(1.0))
    if found.stabilise == "none":
        # A straight line moves the bins' edges only, and new bins would beat against those of whole numbers.
        edges = (before.edges - found.offset) / found.scale
        return before, Histogram(edges, before.counts, 0.0, 1.0)
    return before, _counted(found.apply(sample), 0.0, 1.0)


def _counted(values: NDArray[Any], zero: float, one: float) -> Histogram:
    low, high = (float(edge) for edge in np.percentile(values, (TAIL, 100.0 - TAIL)))
    low, high = min(low, zero), max(high, one)
    if values.dtype.kind in "iub":
        # Bins of equally many whole numbers: else every so many bins would hold one more, and stick out.
        width = max(1, math.ceil((high - low + 1) / BINS))
        edges = np.arange(math.floor(low), math.ceil(high) + 1 + width, width) - 0.5
    else:
        edges = np.linspace(low, high, BINS + 1)
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return Histogram(edges.astype(np.float64), counts, zero, one)

"""Bring intensities to one range with statistics of the whole stack, gathered in one streaming pass.

Statistics per tile would show as seams between tiles; a stack that does not fit into memory is therefore read once,
slab by slab, into a histogram of fixed size from which everything else follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.slabs import SLAB_BYTES, check_intensities, slabs, z_slabs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Normalise
    from napari_scutoid.volume import ArrayLike, Volume

Stabilise = Literal["none", "sqrt", "log"]

RELATIVE_RESOLUTION = 2.0**-11
"""Width of a histogram bin for floats and integers above 16 bit, as a share of the bin's distance to the darkest voxel
of the first row. Integers up to 16 bit are counted exactly."""

_DROPPED_BITS = 12
_N_BINS = 1 << (32 - _DROPPED_BITS)
_SIGN = np.uint32(0x80000000)


@dataclass(frozen=True, slots=True)
class IntensityStatistics:
    """How to normalise any part of one stack; holds plain numbers only, so ``asdict`` goes into the provenance.

    The result is ``(g(intensity) - offset) / scale`` with ``g`` the identity, ``sqrt(intensity - minimum)`` or
    ``log(1 + (intensity - minimum) / log_unit)``.

    Parameters
    ----------
    minimum, maximum : float
        Darkest and brightest intensity of the stack.
    offset, scale : float
        After stabilising: what becomes 0, and the distance from there to what becomes 1.
    stabilise : {"none", "sqrt", "log"}
        The curve ``g``.
    log_unit : float
        The intensity above the darkest voxel that counts as one: the stack's mean. It makes the logarithm independent
        of the camera's gain.
    """

    minimum: float
    maximum: float
    offset: float
    scale: float
    stabilise: Stabilise = "none"
    log_unit: float = 1.0

    def apply(self, block: Any) -> NDArray[np.float32]:
        """Normalise a block of the stack (any shape); blocks of one stack fit together without seams."""
        array = np.asarray(block)
        # float32 holds integers up to 16 bit exactly; larger ones could lose their contrast on a high background.
        small = array.dtype.kind in "fiub" and array.dtype.itemsize <= (4 if array.dtype.kind == "f" else 2)
        work: NDArray[Any] = array.astype(np.float32 if small else np.float64)
        if self.stabilise != "none":
            np.subtract(work, self.minimum, out=work)
            np.maximum(work, 0.0, out=work)
        if self.stabilise == "sqrt":
            np.sqrt(work, out=work)
        elif self.stabilise == "log":
            np.divide(work, self.log_unit, out=work)
            np.log1p(work, out=work)
        np.subtract(work, self.offset, out=work)
        np.divide(work, self.scale, out=work)
        return work.astype(np.float32, copy=False)

    def intensity(self, normalised: float) -> float:
        """Return the intensity that becomes a number, such as 0 or 1, by `apply`."""
        work = self.offset + normalised * self.scale
        if self.stabilise == "sqrt":
            return self.minimum + max(work, 0.0) ** 2
        if self.stabilise == "log":
            return self.minimum + math.expm1(work) * self.log_unit
        return work


def normalising(volume: Volume, settings: Normalise) -> Steps[Volume]:
    """Normalise a whole stack, slab by slab.

    Parameters
    ----------
    volume : Volume
        Lazy data is read twice.
    settings : Normalise
        As for `statistics`, with its errors.

    Returns
    -------
    Volume
        float32 data on the same grid.
    """
    found = yield from statistics(volume.data, settings)
    data = np.empty(volume.shape, np.float32)
    for slab in z_slabs(volume.data):
        data[slab] = found.apply(volume.data[slab])
        yield Progress("Normalising", slab.stop, volume.shape[0])
    compressed = "" if settings.stabilise == "none" else f" after {settings.stabilise}"
    note = (
        f"normalised ({settings.method}{compressed}): {found.intensity(0.0):.6g} to 0, {found.intensity(1.0):.6g} to 1"
    )
    return volume.with_data(data, note)


def statistics(data: ArrayLike, settings: Normalise, *, slab_bytes: int = SLAB_BYTES) -> Steps[IntensityStatistics]:
    """Measure a stack's intensities in one pass and return how to normalise it.

    Integers up to 16 bit are counted exactly, so every statistic equals NumPy's. For floats and wider integers, mean,
    standard deviation, minimum and maximum are exact without stabilisation (variances are merged as by Chan, Golub and
    LeVeque 1983); percentiles, and mean and standard deviation after stabilisation, come from a histogram whose bins
    are at most `RELATIVE_RESOLUTION` wide relative to the intensity's distance from the darkest voxel of the first
    row. The result does not depend on how the stack is cut.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        Intensities; lazy arrays are read once, a slab at a time.
    settings : Normalise
        Method, percentiles and stabilisation.
    slab_bytes : int
        Upper bound for the bytes read at a time.

    Yields
    ------
    Progress
        After every slab.

    Returns
    -------
    IntensityStatistics

    Raises
    ------
    ValueError
        When the data is not real-valued, not three-dimensional or empty, holds NaN, infinity or numbers beyond
        `slabs.LARGEST`, or has no contrast.
    """
    dtype = data.dtype
    if dtype.kind not in "fiub":
        raise ValueError(f"data must hold real numbers, not {dtype}")
    if len(data.shape) != 3 or 0 in data.shape:
        raise ValueError(f"data must have three non-empty axes (z, y, x); got shape {tuple(data.shape)}")

    histogram: _Histogram | None = None
    moments = _Moments()
    n_slices = data.shape[0]
    for z, y in slabs(data, slab_bytes):
        block = np.asarray(data[z, y])
        check_intensities(block, z)
        if histogram is None:
            histogram = _ExactCounts(dtype) if _is_small_integer(dtype) else _FloatBins(float(block[0, 0].min()))
        histogram.add(block)
        moments.add(block)
        yield Progress("Measuring intensities", z.stop, n_slices)
    if histogram is None:  # unreachable with non-empty axes; tells the type checker so
        raise ValueError("data is empty")
    return _fit(histogram, moments, settings)


def _fit(histogram: _Histogram, moments: _Moments, settings: Normalise) -> IntensityStatistics:
    low, high = moments.minimum, moments.maximum
    if low == high:
        raise ValueError(f"data has no contrast: every voxel has the intensity {low:g}")
    log_unit = moments.mean - low if settings.stabilise == "log" else 1.0

    def curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if settings.stabilise == "none":
            return values
        above = np.maximum(values - low, 0.0)
        return np.sqrt(above) if settings.stabilise == "sqrt" else np.log1p(above / log_unit)

    if settings.method == "minmax":
        start, stop = curve(np.array([low, high]))
    elif settings.method == "zscore":
        start, std = (moments.mean, moments.std) if settings.stabilise == "none" else _curved(histogram, curve)
        stop = start + std
    else:
        start = _percentile(histogram, settings.low_percentile, curve, low, high)
        stop = _percentile(histogram, settings.high_percentile, curve, low, high)
        if not histogram.distinguishes(settings.low_percentile, settings.high_percentile):
            raise ValueError(
                f"data has no contrast between its {settings.low_percentile:g} % and {settings.high_percentile:g} % "
                f"percentile: both are about {start:g}; choose percentiles further apart, or the min-max method"
            )
    return IntensityStatistics(
        minimum=float(low),
        maximum=float(high),
        offset=float(start),
        scale=float(stop - start),
        stabilise=settings.stabilise,
        log_unit=float(log_unit),
    )


def _curved(histogram: _Histogram, curve: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> tuple[float, float]:
    values, counts = histogram.values_and_counts()
    curved = curve(values)
    total = counts.sum()
    mean = float(curved @ counts / total)
    return mean, math.sqrt(float((curved - mean) ** 2 @ counts / total))


def _percentile(
    histogram: _Histogram,
    percent: float,
    curve: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    low: float,
    high: float,
) -> float:
    """Percentile after the curve, with the definition of NumPy's default method ``linear``."""
    rank = percent / 100.0 * (histogram.total - 1)
    below = math.floor(rank)
    # The two order statistics go through the curve before the interpolation between them, as NumPy would have them.
    pair = np.clip([histogram.order_statistic(k) for k in (below, min(below + 1, histogram.total - 1))], low, high)
    first, second = curve(pair)
    return float(first + (rank - below) * (second - first))


@dataclass(slots=True)
class _Moments:
    """Count, mean, sum of squared deviations and range, merged block by block."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf

    @property
    def std(self) -> float:
        return math.sqrt(self.squares / self.count)

    def add(self, block: NDArray[Any]) -> None:
        values = block.astype(np.float64)
        mean = float(values.mean())
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        values -= mean
        flat = values.ravel()
        squares = float(flat @ flat)
        total = self.count + values.size
        delta = mean - self.mean
        self.mean += delta * values.size / total
        self.squares += squares + delta * delta * self.count * values.size / total
        self.count = total


class _Histogram(Protocol):
    """Counts per bin in order of intensity."""

    @property
    def total(self) -> int: ...

    def add(self, block: NDArray[Any]) -> None: ...

    def values_and_counts(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]: ...

    def order_statistic(self, rank: int) -> float: ...

    def distinguishes(self, low_percent: float, high_percent: float) -> bool: ...


class _Counts:
    """What both histograms share: counts of consecutive bins."""

    def __init__(self, n_bins: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros(n_bins, dtype=np.int64)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def _bin_of(self, rank: int) -> int:
        return int(np.searchsorted(np.cumsum(self.counts), rank, side="right"))

    def distinguishes(self, low_percent: float, high_percent: float) -> bool:
        """Whether two percentiles lie in different bins."""
        last = self.total - 1
        low = self._bin_of(math.floor(low_percent / 100.0 * last))
        return low != self._bin_of(math.ceil(high_percent / 100.0 * last))


class _ExactCounts(_Counts):
    """One bin per intensity, for integers up to 16 bit."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.lowest = int(np.iinfo(dtype).min) if dtype.kind == "i" else 0
        super().__init__(1 << (8 * dtype.itemsize))

    def add(self, block: NDArray[Any]) -> None:
        index = block.astype(np.intp).ravel()
        index -= self.lowest
        self.counts += np.bincount(index, minlength=self.counts.size)

    def values_and_counts(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        filled = np.flatnonzero(self.counts)
        return (filled + self.lowest).astype(np.float64), self.counts[filled]

    def order_statistic(self, rank: int) -> float:
        return float(self._bin_of(rank) + self.lowest)


class _FloatBins(_Counts):
    """Bins by the leading 20 bits of the float32 distance from a pivot: relative width 2**-11 anywhere.

    The order of float32 numbers is the order of their bit patterns once the sign is dealt with, so no range has to be
    known before the pass. The pivot keeps the resolution when a dim signal rides on a large background.
    """

    def __init__(self, pivot: float) -> None:
        self.pivot = pivot
        super().__init__(_N_BINS)

    def add(self, block: NDArray[Any]) -> None:
        # A single precision difference of single precision numbers is good enough, and half the memory.
        wide = block.dtype.kind != "f" or block.dtype.itemsize > 4
        distance: NDArray[Any] = block.astype(np.float64 if wide else np.float32)
        np.subtract(distance, self.pivot, out=distance)
        bits = np.ascontiguousarray(distance, dtype=np.float32).view(np.uint32).ravel()
        ordered = np.where(bits & _SIGN, ~bits, bits | _SIGN) >> np.uint32(_DROPPED_BITS)
        self.counts += np.bincount(ordered.astype(np.intp), minlength=_N_BINS)

    def values_and_counts(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        filled = np.flatnonzero(self.counts)
        low, high = self._edges(filled)
        return (low + high) / 2 + self.pivot, self.counts[filled]

    def order_statistic(self, rank: int) -> float:
        index = self._bin_of(rank)
        low, high = (float(edge[0]) for edge in self._edges(np.array([index])))
        before = int(self.counts[:index].sum())
        share = (rank - before + 0.5) / int(self.counts[index])
        return low + share * (high - low) + self.pivot

    @staticmethod
    def _edges(index: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest float32 of a bin, as distances from the pivot."""
        first = (index << _DROPPED_BITS).astype(np.uint32)
        last = first | np.uint32((1 << _DROPPED_BITS) - 1)
        low, high = (np.where(u & _SIGN, u ^ _SIGN, ~u).view(np.float32) for u in (first, last))
        return low.astype(np.float64), high.astype(np.float64)


def _is_small_integer(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "iub" and dtype.itemsize <= 2

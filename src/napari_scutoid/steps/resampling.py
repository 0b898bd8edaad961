"""One-dimensional resampling as sparse matrices, applied axis by axis.

Coordinates follow the pixel-centre convention with the extent of the grid preserved: output voxel ``i`` of ``m`` lies
at ``(i + 1/2) * n / m - 1/2`` on the input grid of ``n`` voxels. Outside the grid, the data is mirrored at its faces.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import ndimage, sparse

from napari_scutoid.steps.slabs import SLAB_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

Order = Literal[1, 2, 3]

_NEGLIGIBLE = 1e-6
_GAUSSIAN_RADIUS = 4.0


def interpolation_matrix(n: int, m: int, order: Order = 1, *, anti_alias: bool = True) -> sparse.csr_array:
    """Return the matrix that resamples ``n`` samples to ``m`` by a spline, after smoothing where it shrinks.

    Parameters
    ----------
    n, m : int
        Samples before and after.
    order : int
        Degree of the B-spline, 1 to 3 (Thevenaz, Blu and Unser 2000).
    anti_alias : bool
        Where ``m < n``, smooth first by a Gaussian of sigma ``(n / m - 1) / 2``.

    Returns
    -------
    csr_array of float32, shape (m, n)
        Rows sum to 1.
    """
    coordinates = (np.arange(m) + 0.5) * (n / m) - 0.5
    # The lowest of the order + 1 spline knots that reach a coordinate.
    first = np.floor(coordinates - (order - 1) / 2).astype(np.int64)
    taps = first[:, None] + np.arange(order + 1)
    weights = _bspline(order, coordinates[:, None] - taps)
    matrix = _folded(taps, weights, n)
    if order > 1:
        # The prefilter is recursive, but its impulse response decays by 0.27 (cubic) a sample: a narrow band is enough.
        prefilter = ndimage.spline_filter1d(np.eye(n), order=order, axis=0, mode="reflect")
        prefilter[np.abs(prefilter) < _NEGLIGIBLE] = 0
        matrix = matrix @ sparse.csr_array(prefilter)
    if anti_alias and m < n:
        sigma = (n / m - 1) / 2
        radius = math.ceil(_GAUSSIAN_RADIUS * sigma)
        reach = np.arange(-radius, radius + 1)
        kernel = np.exp(-0.5 * (reach / sigma) ** 2)
        kernel /= kernel.sum()
        matrix = matrix @ _folded(np.arange(n)[:, None] + reach, np.broadcast_to(kernel, (n, reach.size)), n)
    return _normalised(matrix)


def coverage_matrix(n: int, m: int) -> sparse.csr_array:
    """Return the matrix that averages ``n`` samples over the extents of ``m`` new ones.

    Returns
    -------
    csr_array of float32, shape (m, n)
        Share of a new sample's extent that each old one covers; rows sum to 1.
    """
    size = n / m
    start = np.arange(m) * size
    taps = np.floor(start).astype(np.int64)[:, None] + np.arange(math.ceil(size) + 1)
    overlap = np.minimum(taps + 1, start[:, None] + size) - np.maximum(taps, start[:, None])
    weights = np.maximum(overlap, 0.0) / size
    inside = taps < n
    rows = np.broadcast_to(np.arange(m)[:, None], taps.shape)
    return _normalised(sparse.csr_array((weights[inside], (rows[inside], taps[inside])), shape=(m, n)))


def nearest_indices(n: int, m: int) -> NDArray[np.intp]:
    """Return for each of ``m`` new samples the nearest of ``n`` old ones.

    Where two are equally near (every sample at even shrinkage), the lower and the upper one are taken in turn: always
    the same would move everything by half an old sample.
    """
    i = np.arange(m, dtype=np.intp)
    nearest, remainder = np.divmod((2 * i + 1) * n, 2 * m)
    nearest[(remainder == 0) & (i % 2 == 0)] -= 1
    return nearest


def apply_along(matrix: sparse.csr_array, data: NDArray[Any], axis: int) -> NDArray[np.float32]:
    """Multiply a matrix onto one axis of a three-dimensional array.

    Parameters
    ----------
    matrix : csr_array, shape (m, n)
        The operator.
    data : ndarray, shape (z, y, x)
        ``data.shape[axis]`` is n.
    axis : int
        0, 1 or 2.

    Returns
    -------
    ndarray of float32
        The data with m samples along the axis.
    """
    moved = np.ascontiguousarray(np.moveaxis(data, axis, 0), dtype=np.float32)
    product = matrix @ moved.reshape(moved.shape[0], -1)
    shaped: NDArray[np.float32] = np.moveaxis(product.reshape(-1, *moved.shape[1:]), 0, axis)
    return shaped


class AlongZ:
    """Takes slices one after another and writes those that they make along z: no more of the stack is in memory.

    Parameters
    ----------
    by_z : csr_array, shape (m, n), or None
        The operator along z; None: slices stay.
    out : array, shape (m, y, x)
        Receives the new slices.
    """

    def __init__(self, by_z: sparse.csr_array | None, out: Any) -> None:
        self._out = out
        self._by_z = by_z
        self._held: list[NDArray[np.float32]] = []
        self._first = self._written = 0
        if by_z is not None:
            spans = [by_z.indices[a:b] for a, b in itertools.pairwise(by_z.indptr)]
            # New slices are written in their order, and a later one may need an earlier slice.
            self._needs = np.minimum.accumulate([span.min() for span in spans][::-1])[::-1]
            self._ready = np.maximum.accumulate([span.max() + 1 for span in spans])

    def add(self, planes: NDArray[np.float32]) -> None:
        """Take the next slices (n, y, x)."""
        if self._by_z is None:
            self._out[self._written : self._written + len(planes)] = planes
            self._written += len(planes)
            return
        self._held.extend(planes)
        n = self._first + len(self._held)
        until = int(np.searchsorted(self._ready, n, side="right"))
        if until > self._written:
            part = self._by_z[self._written : until, self._first : n]
            rows = max(1, SLAB_BYTES // (4 * len(self._held) * planes.shape[2]))
            made = np.empty((until - self._written, *planes.shape[1:]), np.float32)
            for y in range(0, planes.shape[1], rows):  # what is copied to be multiplied is little
                band = np.stack([plane[y : y + rows] for plane in self._held])
                made[:, y : y + rows] = apply_along(part, band, 0)
            self._out[self._written : until] = made
            self._written = until
            needed = min(n, int(self._needs[until])) if until < len(self._needs) else n
            del self._held[: needed - self._first]
            self._first = needed


def _normalised(matrix: sparse.csr_array) -> sparse.csr_array:
    """Without the negligible weights, in single precision, rows summing to 1."""
    rows, columns = matrix.nonzero()
    weights = np.asarray(matrix[rows, columns], dtype=np.float64)
    kept = np.abs(weights) >= _NEGLIGIBLE
    rows, columns, weights = rows[kept], columns[kept], weights[kept]
    sums = np.bincount(rows, weights, minlength=matrix.shape[0])
    return sparse.csr_array(((weights / sums[rows]).astype(np.float32), (rows, columns)), shape=matrix.shape)


def _folded(taps: NDArray[np.int64], weights: NDArray[np.float64], n: int) -> sparse.csr_array:
    """Matrix of weights at sample numbers, those outside 0..n-1 mirrored back at the faces."""
    period = taps % (2 * n)
    columns = np.where(period < n, period, 2 * n - 1 - period)
    rows = np.broadcast_to(np.arange(len(taps))[:, None], taps.shape)
    return sparse.csr_array((weights.ravel(), (rows.ravel(), columns.ravel())), shape=(len(taps), n))


def _bspline(order: Order, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centred B-spline basis function of degree 1, 2 or 3."""
    a = np.abs(x)
    basis: NDArray[np.float64]
    if order == 1:
        basis = np.maximum(1 - a, 0)
    elif order == 2:
        basis = np.where(a < 0.5, 0.75 - a**2, np.where(a < 1.5, 0.5 * (1.5 - a) ** 2, 0))
    else:
        basis = np.where(a < 1, 2 / 3 - a**2 + a**3 / 2, np.where(a < 2, (2 - a) ** 3 / 6, 0))
    return basis

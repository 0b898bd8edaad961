"""How well regions fill ellipsoids, and where a region that fills none comes apart into several that do.

Where a wall is missing, two cells become one region. Its shape still tells: each cell nearly fills the ellipsoid of its
own second moments, and the two together leave the waist between them empty.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Points: TypeAlias = "NDArray[np.float64]"
"""Shape (n, 3): positions in equivalent voxels."""

MOST_PARTS = 8
SAMPLE = 800
"""Points that stand for a region: enough for ten numbers a part, and as fast for a large region as for a small one."""

_CUBE = (1.0, 1.0, 1.0)
_BALL = math.log(4 / 3 * math.pi * 5**1.5)  # volume of an ellipsoid whose covariance has determinant 1, as logarithm
_STARTS = 2


@dataclass(frozen=True, slots=True)
class SizePrior:
    """What is known of the cells' sizes before a region is looked at.

    Parameters
    ----------
    volume : float
        Of a typical cell, in voxels.
    weight : float
        Nat per squared logarithm of a cell's volume over the typical one; 0 for tissue of cells of all sizes.
    """

    volume: float
    weight: float

    def cost(self, voxels: float) -> float:
        """Return the cost per voxel of a cell with so many voxels."""
        return self.weight * math.log(voxels / self.volume) ** 2


def size_prior(volumes: NDArray[np.integer]) -> SizePrior:
    """Return what the regions themselves say of the cells' sizes: the more alike, the more it weighs.

    Parameters
    ----------
    volumes : ndarray of int, shape (n,)
        Voxels of all regions.
    """
    logarithms = np.log(volumes[volumes > 0])
    if logarithms.size == 0:
        return SizePrior(1.0, 0.0)
    middle = float(np.median(logarithms))
    if logarithms.size < _FEWEST_SIZES:
        return SizePrior(math.exp(middle), 0.0)
    spread = 1.4826 * float(np.median(np.abs(logarithms - middle)))
    return SizePrior(math.exp(middle), min(_HEAVIEST, _SIZE_WEIGHT / max(spread, 1e-6) ** 2))


_SIZE_WEIGHT = 0.02
_HEAVIEST = 0.2
_FEWEST_SIZES = 8  # fewer may all be two cells each, and look alike


def emptiness(points: Points, voxels: float, unit: Sequence[float] = _CUBE) -> float:
    """Return how little of the ellipsoid with its moments a region fills: minus the logarithm of the filled share.

    0 for an ellipsoid and 0.12 for a box of any proportions, 0.2 more for two equal balls that touch.

    Parameters
    ----------
    points : ndarray of float, shape (n, 3)
        A sample of the region, in equivalent voxels.
    voxels : float
        Volume of the region.
    unit : sequence of 3 floats
        Voxel edges in equivalent voxels.
    """
    sums = _monomials(points - points.mean(axis=0), unit).sum(axis=0, keepdims=True)
    return float(_emptiness(sums, np.array([voxels]))[0])


def parts_of(
    points: Points, voxels: float, prior: SizePrior, split_gain: float, unit: Sequence[float] = _CUBE
) -> list[Gaussian] | None:
    """Return the parts of a region that is better seen as several cells than as one.

    A region's cost per voxel is its `emptiness` and that of its size; several parts cost their mean by volume, and
    `split_gain` for each doubling of their number. Parts are found by classification EM [1]_ for Gaussians of any
    shape, from a few starts each.

    Parameters
    ----------
    points : ndarray of float, shape (n, 3)
        All voxels of the region or a sample, in equivalent voxels.
    voxels : float
        Volume of the region.
    prior : SizePrior
        Of the sizes of cells.
    split_gain : float
        In nat.
    unit : sequence of 3 floats
        Voxel edges in equivalent voxels.

    Returns
    -------
    list of Gaussian or None
        None where one cell explains the region best.

    References
    ----------
    .. [1] G. Celeux, G. Govaert (1992), A classification EM algorithm for clustering and two stochastic versions,
           Comput. Stat. Data Anal. 14, 315-332.
    """
    return Divisions(points, unit).best(voxels, prior, split_gain)


class Divisions:
    """One region divided into parts in several ways, each found when it is first asked for.

    They depend on its shape alone: another prior or gain chooses among the same ones.

    Parameters
    ----------
    points, unit
        As for `parts_of`.
    """

    def __init__(self, points: Points, unit: Sequence[float] = _CUBE) -> None:
        self._centre = points.mean(axis=0)
        # Centred, or the squares of far coordinates would drown the covariance.
        self._moments = _monomials(points - self._centre, unit)
        self._rng = np.random.default_rng(0)
        self._lock = threading.Lock()
        self._found: list[list[NDArray[np.float64]]] = []

    def best(self, voxels: float, prior: SizePrior, split_gain: float) -> list[Gaussian] | None:
        """Return the best parts, or None where one cell explains the region best; parameters as for `parts_of`."""
        from napari_scutoid.steps.shape_compiled import FEWEST, cost

        n = len(self._moments)
        share = voxels / n
        best_cost, best = cost(self._moments.sum(axis=0, keepdims=True), share, prior.volume, prior.weight), None
        if best_cost <= split_gain:
            return None  # no parts can cost less than nothing
        most = math.ceil(voxels / prior.volume) + 1 if prior.weight > 0 else MOST_PARTS
        for count in range(2, min(MOST_PARTS, most, n // FEWEST) + 1):
            for sums in self._into(count):
                found = cost(sums, share, prior.volume, prior.weight) + split_gain * math.log2(count)
                if found < best_cost:
                    best_cost, best = found, sums
        return None if best is None else _gaussians(best, self._centre)

    def _into(self, count: int) -> list[NDArray[np.float64]]:
        """Return the sums of monomials of so many parts, from each start; asked for in rising order."""
        from napari_scutoid.steps.shape_compiled import classified

        with self._lock:  # regions of one shape share these, and are looked at in several threads
            while len(self._found) <= count - 2:
                number = len(self._found) + 2
                starts = [classified(self._moments, self._rng.random(number)) for _ in range(_STARTS)]
                self._found.append([sums[sums[:, 0] > 0] for sums in starts])
        return self._found[count - 2]


@dataclass(frozen=True, slots=True, eq=False)
class Gaussian:
    """A part of a region as EM sees it.

    Parameters
    ----------
    mean : ndarray of float, shape (3,)
        Its centre.
    precision : ndarray of float, shape (3, 3)
        Inverse covariance.
    offset : float
        Logarithm of its weight and of its density at the centre, but for a constant.
    """

    mean: NDArray[np.float64]
    precision: NDArray[np.float64]
    offset: float

    def likelihood(self, points: Points) -> NDArray[np.float64]:
        """Return the logarithm of each point's likelihood, but for a constant."""
        centred = points - self.mean
        distance: NDArray[np.float64] = np.einsum("ij,ij->i", centred @ self.precision, centred)
        return self.offset - 0.5 * distance


def nearest_part(points: Points, parts: list[Gaussian]) -> NDArray[np.intp]:
    """Return the number of the part to which each point most probably belongs."""
    nearest: NDArray[np.intp] = np.argmax(np.stack([part.likelihood(points) for part in parts]), axis=0)
    return nearest


# A part's number of points, centre and covariance are sums over its points of ten monomials.
_FIRST, _SECOND = np.triu_indices(3)


def _monomials(points: Points, unit: Sequence[float]) -> NDArray[np.float64]:
    """Return the means of 1, z, y, x, zz, zy, zx, yy, yx, xx over the voxel around each point, shape (n, 10)."""
    products = points[:, _FIRST] * points[:, _SECOND]
    products[:, _FIRST == _SECOND] += np.square(unit) / 12
    return np.ascontiguousarray(np.concatenate([np.ones((len(points), 1)), points, products], axis=1))


def _centres(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and covariance of parts from the sums of their monomials: shapes (k, 3) and (k, 3, 3)."""
    averages = sums[:, 1:] / sums[:, :1]
    means = averages[:, :3]
    covariances = np.empty((len(sums), 3, 3))
    covariances[:, _FIRST, _SECOND] = covariances[:, _SECOND, _FIRST] = averages[:, 3:]
    return means, covariances - means[:, :, None] * means[:, None, :]


def _precisions(
    covariances: NDArray[np.float64], sums: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return inverse covariances, and the offsets of `Gaussian`."""
    offsets = np.log(sums[:, 0] / sums[:, 0].sum()) - 0.5 * np.linalg.slogdet(covariances)[1]
    return np.linalg.inv(covariances).astype(np.float64, copy=False), offsets


def _gaussians(sums: NDArray[np.float64], centre: NDArray[np.float64]) -> list[Gaussian]:
    means, covariances = _centres(sums)
    precisions, offsets = _precisions(covariances, sums)
    return [Gaussian(*part) for part in zip(means + centre, precisions, offsets.tolist(), strict=True)]


def _emptiness(sums: NDArray[np.float64], voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the emptiness of each part, shape (k,)."""
    _, covariances = _centres(sums)
    emptiness: NDArray[np.float64] = 0.5 * np.linalg.slogdet(covariances)[1] + _BALL - np.log(voxels)
    return emptiness

"""How well regions fill ellipsoids, and where a region that fills none comes apart into several that do.

Where a wall is missing, two cells become one region. Its shape still tells: each cell nearly fills the ellipsoid of its
own second moments, and the two together leave the waist between them empty.
"""

from __future__ import annotations

import math
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
_FEWEST = 8
_STARTS = 2
_ROUNDS = 30
_ROUND_ROUNDS = 3


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
        self._found: list[list[NDArray[np.float64]]] = []

    def best(self, voxels: float, prior: SizePrior, split_gain: float) -> list[Gaussian] | None:
        """Return the best parts, or None where one cell explains the region best; parameters as for `parts_of`."""
        n = len(self._moments)
        share = voxels / n
        best_cost, best = _cost(self._moments.sum(axis=0, keepdims=True), share, prior), None
        if best_cost <= split_gain:
            return None  # no parts can cost less than nothing
        most = math.ceil(voxels / prior.volume) + 1 if prior.weight > 0 else MOST_PARTS
        for count in range(2, min(MOST_PARTS, most, n // _FEWEST) + 1):
            for sums in self._into(count):
                cost = _cost(sums, share, prior) + split_gain * math.log2(count)
                if cost < best_cost:
                    best_cost, best = cost, sums
        return None if best is None else _gaussians(best, self._centre)

    def _into(self, count: int) -> list[NDArray[np.float64]]:
        """Return the sums of monomials of so many parts, from each start; asked for in rising order."""
        while len(self._found) <= count - 2:
            number = len(self._found) + 2
            starts = [
                _sums(self._moments, _classified(self._moments, number, self._rng), number) for _ in range(_STARTS)
            ]
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


def _classified(moments: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the part of each point after classification EM from one start."""
    part = _spread_out(moments[:, 1:4], count, rng)
    for round_number in range(_ROUNDS):
        sums = _sums(moments, part, count)
        kept = np.flatnonzero(sums[:, 0] >= _FEWEST)
        # Round at first: a start's parts are slices of any shape.
        is_round = round_number < _ROUND_ROUNDS
        moved = kept[np.argmax(_likelihoods(moments, sums[kept], is_round=is_round), axis=1)]
        if not is_round and np.array_equal(moved, part):
            break
        part = moved
    return part


def _spread_out(points: Points, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a first assignment: to centres chosen by k-means++."""
    squared = np.full(len(points), np.inf)
    part = np.zeros(len(points), dtype=np.intp)
    weight = np.ones(len(points))
    for k in range(count):
        centre = points[rng.choice(len(points), p=weight / weight.sum())]
        distance = ((points - centre) ** 2).sum(axis=1)
        part[distance < squared] = k
        squared = np.minimum(squared, distance)
        weight = squared if squared.any() else weight
    return part


# A part's number of points, centre and covariance are sums over its points of ten monomials, and the logarithm of a
# Gaussian's density is a combination of the same ten: one product of matrices serves all parts at once.
_FIRST, _SECOND = np.triu_indices(3)
_OCCURRENCES = np.where(_FIRST == _SECOND, 1.0, 2.0)  # of a product in the quadratic form: mixed ones have two corners


def _monomials(points: Points, unit: Sequence[float]) -> NDArray[np.float64]:
    """Return the means of 1, z, y, x, zz, zy, zx, yy, yx, xx over the voxel around each point, shape (n, 10)."""
    products = points[:, _FIRST] * points[:, _SECOND]
    products[:, _FIRST == _SECOND] += np.square(unit) / 12
    return np.concatenate([np.ones((len(points), 1)), points, products], axis=1)


def _sums(moments: NDArray[np.float64], part: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """Return the sums of all monomials over each part, shape (count, 10)."""
    sums: NDArray[np.float64] = (part == np.arange(count)[:, None]).astype(np.float64) @ moments
    return sums


def _centres(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and covariance of parts from the sums of their monomials: shapes (k, 3) and (k, 3, 3)."""
    averages = sums[:, 1:] / sums[:, :1]
    means = averages[:, :3]
    covariances = np.empty((len(sums), 3, 3))
    covariances[:, _FIRST, _SECOND] = covariances[:, _SECOND, _FIRST] = averages[:, 3:]
    return means, covariances - means[:, :, None] * means[:, None, :]


def _likelihoods(moments: NDArray[np.float64], sums: NDArray[np.float64], *, is_round: bool) -> NDArray[np.float64]:
    """Return the logarithm of each point's likelihood in each part, but for a constant, shape (n, k)."""
    means, covariances = _centres(sums)
    if is_round:
        covariances = np.eye(3) * (np.trace(covariances, axis1=1, axis2=2) / 3)[:, None, None]
    precisions, offsets = _precisions(covariances, sums)
    slopes = (precisions @ means[:, :, None])[:, :, 0]
    constants = offsets - 0.5 * (slopes * means).sum(axis=1)
    weights = np.concatenate([constants[:, None], slopes, -precisions[:, _FIRST, _SECOND] * _OCCURRENCES / 2], axis=1)
    likelihoods: NDArray[np.float64] = moments @ weights.T
    return likelihoods


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


def _cost(sums: NDArray[np.float64], share: float, prior: SizePrior) -> float:
    """Return the cost per voxel of parts that have these sums of monomials."""
    if sums[:, 0].min() < _FEWEST:
        return math.inf
    voxels = sums[:, 0] * share
    costs = _emptiness(sums, voxels) + prior.weight * np.log(voxels / prior.volume) ** 2
    return float((costs * sums[:, 0]).sum() / sums[:, 0].sum())

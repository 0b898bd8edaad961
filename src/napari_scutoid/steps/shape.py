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
    from numpy.typing import NDArray

Points: TypeAlias = "NDArray[np.float64]"
"""Shape (n, 3): positions in equivalent voxels."""

MOST_PARTS = 8
SAMPLE = 800
"""Points that stand for a region: enough for ten numbers a part, and as fast for a large region as for a small one."""

_VOXEL_COVARIANCE = np.eye(3) / 12  # of a unit cube: voxels are no points
_BALL = math.log(4 / 3 * math.pi * 5**1.5)  # volume of an ellipsoid whose covariance has determinant 1, as logarithm
_FEWEST = 8
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
    spread = 1.4826 * float(np.median(np.abs(logarithms - middle)))
    return SizePrior(math.exp(middle), min(_HEAVIEST, _SIZE_WEIGHT / max(spread, 1e-6) ** 2))


_SIZE_WEIGHT = 0.02
_HEAVIEST = 0.2


def emptiness(points: Points, voxels: float) -> float:
    """Return how little of the ellipsoid with its moments a region fills: minus the logarithm of the filled share.

    0 for an ellipsoid and 0.12 for a box of any proportions, 0.2 more for two equal balls that touch.

    Parameters
    ----------
    points : ndarray of float, shape (n, 3)
        A sample of the region, in equivalent voxels.
    voxels : float
        Volume of the region.
    """
    _, logarithm = np.linalg.slogdet(np.cov(points.T) + _VOXEL_COVARIANCE)
    return 0.5 * float(logarithm) + _BALL - math.log(voxels)


def parts_of(points: Points, voxels: float, prior: SizePrior, split_gain: float) -> list[Gaussian] | None:
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

    Returns
    -------
    list of Gaussian or None
        None where one cell explains the region best.

    References
    ----------
    .. [1] G. Celeux, G. Govaert (1992), A classification EM algorithm for clustering and two stochastic versions,
           Comput. Stat. Data Anal. 14, 315-332.
    """
    share = voxels / len(points)
    whole = np.zeros(len(points), dtype=np.intp)
    best_cost, best = _cost(points, whole, share, prior), None
    if best_cost <= split_gain or len(points) < 2 * _FEWEST:
        return None  # no parts can cost less than nothing
    rng = np.random.default_rng(0)
    likely = math.ceil(voxels / prior.volume)
    for count in range(2, min(MOST_PARTS, likely + 1, len(points) // _FEWEST) + 1):
        for _ in range(2):
            part = _assigned(points, count, rng)
            cost = _cost(points, part, share, prior) + split_gain * math.log2(count)
            if cost < best_cost:
                best_cost, best = cost, part
    return None if best is None else [Gaussian.of(points[best == k], len(points)) for k in np.unique(best)]


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

    @classmethod
    def of(cls, points: Points, total: int, *, is_round: bool = False) -> Gaussian:
        """Fit one to some of all points; with `is_round`, to their extent only."""
        covariance = np.cov(points.T) + _VOXEL_COVARIANCE
        if is_round:
            covariance = np.eye(3) * np.trace(covariance) / 3
        _, logarithm = np.linalg.slogdet(covariance)
        offset = math.log(len(points) / total) - 0.5 * float(logarithm)
        return cls(points.mean(axis=0), np.linalg.inv(covariance), offset)

    def likelihood(self, points: Points) -> NDArray[np.float64]:
        """Return the logarithm of each point's likelihood, but for a constant."""
        centred = points - self.mean
        return self.offset - 0.5 * np.einsum("ij,jk,ik->i", centred, self.precision, centred)


def nearest_part(points: Points, parts: list[Gaussian]) -> NDArray[np.intp]:
    """Return the number of the part to which each point most probably belongs."""
    return np.argmax(np.stack([part.likelihood(points) for part in parts]), axis=0)


def _assigned(points: Points, count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    part = _spread_out(points, count, rng)
    for round_number in range(_ROUNDS):
        sizes = np.bincount(part, minlength=count)
        # Round at first: a start's parts are slices of any shape.
        is_round = round_number < _ROUND_ROUNDS
        kept = [k for k in range(count) if sizes[k] >= _FEWEST]
        gaussians = [Gaussian.of(points[part == k], len(points), is_round=is_round) for k in kept]
        moved = np.asarray(kept, dtype=np.intp)[nearest_part(points, gaussians)]
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


def _cost(points: Points, part: NDArray[np.intp], share: float, prior: SizePrior) -> float:
    total = 0.0
    for k in np.unique(part):
        own = points[part == k]
        if len(own) < _FEWEST:
            return math.inf
        voxels = len(own) * share
        total += len(own) * (emptiness(own, voxels) + prior.cost(voxels))
    return total / len(points)

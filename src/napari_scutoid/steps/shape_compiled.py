"""The compiled loops of `shape`: classification EM of a region's points, and the cost of its parts.

A part's number of points, centre and covariance are sums over its points of ten monomials (1, z, y, x, zz, zy, zx, yy,
yx, xx), and the logarithm of a Gaussian's density is a combination of the same ten.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from napari_scutoid.steps.compiled import compiled

FEWEST = 8
"""Points of a part that has a shape."""

_ROUNDS = 30
_ROUND_ROUNDS = 3
_BALL = math.log(4 / 3 * math.pi * 5**1.5)  # volume of an ellipsoid whose covariance has determinant 1, as logarithm

_ROWS = types.Array(types.float64, 2, "C")
_NUMBERS = types.Array(types.float64, 1, "C")
_PARTS = types.Array(types.int64, 1, "C")


@compiled(types.void(_NUMBERS, _NUMBERS))
def _shape_of(sums, found):  # type: ignore[no-untyped-def]
    """Write mean (3), covariance (zz, zy, zx, yy, yx, xx) and its determinant of a part with these sums."""
    n = sums[0]
    z, y, x = sums[1] / n, sums[2] / n, sums[3] / n
    found[0], found[1], found[2] = z, y, x
    zz, zy, zx = sums[4] / n - z * z, sums[5] / n - z * y, sums[6] / n - z * x
    yy, yx, xx = sums[7] / n - y * y, sums[8] / n - y * x, sums[9] / n - x * x
    found[3], found[4], found[5], found[6], found[7], found[8] = zz, zy, zx, yy, yx, xx
    found[9] = zz * (yy * xx - yx * yx) - zy * (zy * xx - yx * zx) + zx * (zy * yx - yy * zx)


@compiled(types.void(_NUMBERS, types.float64, types.boolean, _NUMBERS, _NUMBERS))
def _combine(sums, whole, is_round, found, weights):  # type: ignore[no-untyped-def]
    """Write by how much each monomial counts in the logarithm of a part's density and weight, but for a constant."""
    _shape_of(sums, found)
    z, y, x = found[0], found[1], found[2]
    zz, zy, zx, yy, yx, xx, determinant = found[3], found[4], found[5], found[6], found[7], found[8], found[9]
    if is_round:
        zz = yy = xx = (zz + yy + xx) / 3
        zy = zx = yx = 0.0
        determinant = zz * zz * zz
    # The inverse of the covariance.
    a, b, c = (yy * xx - yx * yx) / determinant, (zx * yx - zy * xx) / determinant, (zy * yx - zx * yy) / determinant
    d, e, f = (zz * xx - zx * zx) / determinant, (zy * zx - zz * yx) / determinant, (zz * yy - zy * zy) / determinant
    to_z, to_y, to_x = a * z + b * y + c * x, b * z + d * y + e * x, c * z + e * y + f * x
    weights[0] = math.log(sums[0] / whole) - 0.5 * math.log(abs(determinant))
    weights[0] -= 0.5 * (to_z * z + to_y * y + to_x * x)
    weights[1], weights[2], weights[3] = to_z, to_y, to_x
    weights[4], weights[5], weights[6] = -0.5 * a, -b, -c
    weights[7], weights[8], weights[9] = -0.5 * d, -e, -0.5 * f


@compiled(types.void(_ROWS, _NUMBERS, _PARTS))
def _spread_out(moments, draws, part):  # type: ignore[no-untyped-def]
    """Write a first assignment: to centres chosen by k-means++, as many as there are draws from 0 to 1."""
    n = len(moments)
    weight = np.ones(n)
    squared = np.full(n, np.inf)
    part[:] = 0
    for k in range(len(draws)):
        total = 0.0
        for i in range(n):
            total += weight[i]
        reached, chosen = 0.0, n - 1
        for i in range(n):
            reached += weight[i]
            if reached > draws[k] * total:
                chosen = i
                break
        centre_z, centre_y, centre_x = moments[chosen, 1], moments[chosen, 2], moments[chosen, 3]
        any_left = False
        for i in range(n):
            z, y, x = moments[i, 1] - centre_z, moments[i, 2] - centre_y, moments[i, 3] - centre_x
            distance = z * z + y * y + x * x
            if distance < squared[i]:
                squared[i] = distance
                part[i] = k
            any_left |= squared[i] > 0
        if any_left:
            weight[:] = squared


@compiled(types.void(_ROWS, _PARTS, _ROWS))
def _add_up(moments, part, sums):  # type: ignore[no-untyped-def]
    sums[:] = 0
    for i in range(len(moments)):
        for j in range(10):
            sums[part[i], j] += moments[i, j]


@compiled(_ROWS(_ROWS, _NUMBERS))
def classified(moments, draws):  # type: ignore[no-untyped-def]
    """Return the sums of monomials of each part after classification EM from one start.

    Parameters
    ----------
    moments : ndarray of float64, shape (n, 10)
        Monomials of each point.
    draws : ndarray of float64, shape (k,)
        Random numbers from 0 to 1, one a part.

    Returns
    -------
    ndarray of float64, shape (k, 10)
        0 for parts that vanished.
    """
    n, count = len(moments), len(draws)
    part = np.empty(n, np.int64)
    sums = np.empty((count, 10))
    weights = np.empty((count, 10))
    found = np.empty(10)
    _spread_out(moments, draws, part)
    for number in range(_ROUNDS):
        _add_up(moments, part, sums)
        whole = 0.0
        for k in range(count):
            if sums[k, 0] >= FEWEST:
                whole += sums[k, 0]
        # Round at first: a start's parts are slices of any shape.
        is_round = number < _ROUND_ROUNDS
        for k in range(count):
            if sums[k, 0] >= FEWEST:
                _combine(sums[k], whole, is_round, found, weights[k])
        changed = False
        for i in range(n):
            best, most = -1, 0.0
            for k in range(count):
                if sums[k, 0] < FEWEST:
                    continue
                likelihood = 0.0
                for j in range(10):
                    likelihood += weights[k, j] * moments[i, j]
                if best < 0 or likelihood > most:
                    best, most = k, likelihood
            changed |= best != part[i]
            part[i] = best
        if not is_round and not changed:
            break
    _add_up(moments, part, sums)
    return sums


@compiled(types.float64(_ROWS, types.float64, types.float64, types.float64))
def cost(sums, share, typical, weight):  # type: ignore[no-untyped-def]
    """Return the cost per voxel of parts that have these sums of monomials; infinite where one has no shape.

    Parameters
    ----------
    sums : ndarray of float64, shape (k, 10)
        Of each part.
    share : float
        Voxels that a point stands for.
    typical, weight : float
        See `shape.SizePrior`.
    """
    found = np.empty(10)
    total = whole = 0.0
    for k in range(len(sums)):
        if sums[k, 0] < FEWEST:
            return np.inf
        _shape_of(sums[k], found)
        voxels = sums[k, 0] * share
        own = 0.5 * math.log(abs(found[9])) + _BALL - math.log(voxels) + weight * math.log(voxels / typical) ** 2
        total += own * sums[k, 0]
        whole += sums[k, 0]
    return total / whole

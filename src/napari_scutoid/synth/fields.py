"""Smooth random fields, and separable interpolation that is cheap enough to make one for every effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Shape = tuple[int, int, int]


def resize_matrix(old: int, new: int, order: Literal[1, 3] = 1) -> NDArray[np.float32]:
    """Return the weights, shape (new, old), that interpolate ``old`` voxels to ``new`` of the same total length.

    Linear or spline interpolation of one axis is a matrix product; over three axes that is some twenty times faster
    than `scipy.ndimage.zoom`, which takes every voxel's whole neighbourhood at once.
    """
    if old == 1:
        return np.ones((new, 1), np.float32)
    unit: NDArray[np.float32] = np.eye(old, dtype=np.float32)
    weights: NDArray[np.float32] = ndimage.zoom(unit, (new / old, 1.0), order=order, mode="nearest", grid_mode=True)
    return weights


def apply_matrices(array: NDArray[np.float32], matrices: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Multiply each axis (z, y, x) of an array by its own matrix."""
    z, y, x = matrices
    array = (z @ array.reshape(len(array), -1)).reshape(len(z), *array.shape[1:])
    resized: NDArray[np.float32] = np.matmul(np.matmul(y, array), x.T)
    return resized


def resize(array: NDArray[np.float32], shape: Shape, order: Literal[1, 3] = 1) -> NDArray[np.float32]:
    """Interpolate an array to another shape over the same extent, edges of the outermost voxels aligned."""
    return apply_matrices(array, [resize_matrix(a, b, order) for a, b in zip(array.shape, shape, strict=True)])


def slow_noise(shape: Shape, length: float, step: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return noise of standard deviation 1 that changes over about ``length`` x voxels.

    Parameters
    ----------
    shape : tuple of int
        Voxels along z, y, x.
    length : float
        In x voxels.
    step : float
        Length of a voxel along z over its length along x.
    rng : numpy.random.Generator
        All randomness comes from here.
    """
    coarse = tuple(min(n, max(2, round(n * s / length) + 1)) for n, s in zip(shape, (step, 1.0, 1.0), strict=True))
    fine = resize(rng.standard_normal(coarse, dtype=np.float32), shape)
    fine /= max(float(fine.std()), 1e-6)
    return fine


def slow_waves(points: NDArray[np.float64], length: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a field of standard deviation about 1 at ``points`` (n, 3): six plane waves of about that wavelength."""
    waves = rng.normal(0, 2 * np.pi / length / np.sqrt(3), (6, 3))
    field: NDArray[np.float64] = np.sin(points @ waves.T + rng.uniform(0, 2 * np.pi, 6)).sum(axis=1) / np.sqrt(3)
    return field


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a number whose logarithm is uniform between the bounds."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def sometimes(rng: np.random.Generator, share: float, value: float, otherwise: float) -> float:
    """Return ``value`` with probability ``share``."""
    return value if rng.random() < share else otherwise

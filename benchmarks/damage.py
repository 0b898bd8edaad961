"""True labels made into the boundary maps of an imperfect network: blurred, with erased faces and noise.

What is erased is whole: the face between two cells disappears from end to end, as where a membrane lies in the plane of
the slices or was not stained. Nothing of it is left but the walls of the cells around.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLUR = 1.0
"""Standard deviation of the blur in voxels."""
NOISE = 0.1
"""Standard deviation of the noise; before it is clipped to 0..1."""
NOISE_SIGMA = 0.7
"""Smoothing of the noise in voxels: a network's errors are no salt and pepper."""


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """Probabilities as a network would give them.

    Parameters
    ----------
    foreground, boundary : ndarray of float32, shape (z, y, x)
        0 to 1.
    erased : float
        Share of the voxel faces between cells whose wall is gone.
    """

    foreground: NDArray[np.float32]
    boundary: NDArray[np.float32]
    erased: float


def damaged(labels: NDArray[Any], share: float, seed: int = 0) -> Maps:
    """Return probabilities in which a share of the faces between cells is missing.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        One id per cell, 0 for all else.
    share : float
        Share of the pairs of touching cells whose common face is erased, 0 to 1.
    seed : int
        The same seed gives the same maps.
    """
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(seed)
    walls = np.zeros(labels.shape, np.bool_)
    pairs = np.unique(np.concatenate([_pair_keys(labels, axis)[1] for axis in range(3)]))
    gone = set(rng.choice(pairs, round(share * pairs.size), replace=False).tolist())
    lost = np.fromiter(gone, np.uint64, len(gone))
    n_faces = n_lost = 0
    for axis in range(3):
        where, key = _pair_keys(labels, axis)
        erased = np.isin(key, lost)
        n_faces, n_lost = n_faces + key.size, n_lost + int(erased.sum())
        kept = where[~erased]
        flat = walls.reshape(-1)
        flat[kept] = True
        flat[kept + int(np.prod(labels.shape[axis + 1 :]))] = True
    walls |= _outer_walls(labels)
    noise = gaussian_filter(rng.standard_normal(labels.shape, dtype=np.float32), NOISE_SIGMA)
    noise *= NOISE / noise.std()
    boundary = gaussian_filter(walls.astype(np.float32), BLUR) + noise
    foreground = gaussian_filter((labels > 0).astype(np.float32), BLUR)
    return Maps(np.clip(foreground, 0, 1), np.clip(boundary, 0, 1), n_lost / max(1, n_faces))


def _pair_keys(labels: NDArray[Any], axis: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return, of voxel faces between cells along an axis, the flat place of the first voxel and a key of the pair."""
    near = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
    far = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
    a, b = labels[near].astype(np.uint64), labels[far].astype(np.uint64)
    between = (a != b) & (a > 0) & (b > 0)
    place = np.arange(labels.size).reshape(labels.shape)[near][between]
    return place, np.minimum(a, b)[between] << np.uint64(32) | np.maximum(a, b)[between]


def _outer_walls(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return both sides of the surface between cells and all else; these are never erased."""
    from scipy.ndimage import binary_dilation, binary_erosion, generate_binary_structure

    cells, cross = labels > 0, generate_binary_structure(3, 1)
    edge: NDArray[np.bool_] = binary_dilation(cells, cross) & ~binary_erosion(cells, cross, border_value=1)
    return edge

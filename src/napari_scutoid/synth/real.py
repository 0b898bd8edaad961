"""Cells of another, segmented volume in place of synthetic ones: shapes that nobody has to invent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.synth.geometry import Geometry
from napari_scutoid.synth.pieces import fill_from_neighbours, one_piece_each

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.synth.fields import Shape

_LARGEST_CELL = 50  # medians; a larger region is no cell but the outside or the medium
_DUST = 0.01  # medians; smaller pieces are left-overs of the resampling


def real_geometry(
    labels: NDArray[Any], shape: Shape, rng: np.random.Generator, *, cell_diameter: float, z_step: float
) -> Geometry:
    """Look at a part of another volume's cells, turned, mirrored and rescaled by nearest neighbour.

    Parameters
    ----------
    labels : ndarray of int, shape (z, y, x)
        One id per cell on an isotropic grid. 0, and any region over 50 times the median cell, is outside.
    shape : tuple of int
        Voxels of the view along z, y, x. What lies beyond the volume's border mirrors what lies before it.
    rng : numpy.random.Generator
        All randomness comes from here.
    cell_diameter : float
        Diameter, in voxels of the view, of the ball with as many voxels as the median cell.
    z_step : float
        Length of a voxel along z over its length along x, in the view.

    Raises
    ------
    ValueError
        When the labels are not three-dimensional or hold no cell.
    """
    if labels.ndim != 3:
        raise ValueError(f"labels need the axes (z, y, x), not shape {labels.shape}")
    # The median of a sample will do, and the volumes are large.
    thin = tuple(slice(None, None, max(1, n // 100)) for n in labels.shape)
    sizes = np.bincount(labels[thin].ravel(), minlength=int(labels.max()) + 1) * float(np.prod([s.step for s in thin]))
    sizes[0] = 0
    if not sizes.any():
        raise ValueError("labels hold no cell")
    median = float(np.median(sizes[sizes > 0]))
    outside = sizes > _LARGEST_CELL * median
    outside[0] = True

    # Source voxels per x voxel of the view.
    scale = (6 * median / np.pi) ** (1 / 3) / (cell_diameter * z_step ** (1 / 3))
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0] if rng.random() < 0.5 else np.eye(3)[rng.permutation(3)]
    stretch = np.exp(rng.normal(0, 0.08, 3))
    matrix = turned * (stretch / np.cbrt(stretch.prod()) * scale * rng.choice([-1.0, 1.0], 3) * (z_step, 1.0, 1.0))
    # A cell in the middle of the view, so that there is tissue in it.
    target = rng.integers(0, labels.shape, (200, 3))
    on_cell = ~outside[labels[tuple(target.T)]]
    middle = target[np.argmax(on_cell)]
    grid = np.meshgrid(*(np.arange(n, dtype=np.float32) - (n - 1) / 2 for n in shape), indexing="ij", sparse=True)
    place = []
    for axis, size in enumerate(labels.shape):
        position = sum(np.float32(m) * g for m, g in zip(matrix[axis], grid, strict=True)) + np.float32(middle[axis])
        around = np.mod(np.rint(position).astype(np.intp), 2 * size)
        place.append(np.where(around < size, around, 2 * size - 1 - around))
    view = labels[tuple(place)]
    view = np.where(outside[view], 0, view).astype(np.uint32)
    return Geometry(_separate(view, median / scale**3 / z_step), np.zeros(shape, bool), z_step)


def _separate(view: NDArray[np.uint32], typical: float) -> NDArray[np.uint32]:
    """Give every piece its own id, since mirrored cells come twice, and dust to the nearest cell."""
    import cc3d

    pieces = cc3d.connected_components(view, connectivity=6).astype(np.uint32)
    sizes = np.bincount(pieces.ravel())
    dust = (sizes < _DUST * typical)[pieces] & (pieces > 0)
    if dust.any() and not dust.all():
        pieces = fill_from_neighbours(pieces, dust)
    return one_piece_each(pieces)

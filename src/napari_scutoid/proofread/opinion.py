"""Second opinions on a stack: other labels, whose cells are compared with the present ones where those lie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike


class Overlap(NamedTuple):
    """What an opinion has in the place of a cell; voxels are those of the labels' grid.

    Parameters
    ----------
    ids : ndarray of int, shape (n,)
        The opinion's cells there, without 0.
    voxels, sizes : ndarray of float, shape (n,)
        What they share with the cell, and what they have in all.
    """

    ids: NDArray[np.int64]
    voxels: NDArray[np.float64]
    sizes: NDArray[np.float64]

    def best(self, n: float) -> tuple[int, float]:
        """Return the opinion's cell that fits a cell of so many voxels best, 0 where none does, and their IoU."""
        if not len(self.ids):
            return 0, 0.0
        iou = self.voxels / (n + self.sizes - self.voxels)
        i = int(np.argmax(iou))
        return int(self.ids[i]), float(min(1.0, iou[i]))

    def shared(self, cell: int) -> float:
        """Return the voxels shared with one of the opinion's cells."""
        return float(self.voxels[self.ids == cell].sum())

    def beside_main(self, n: float) -> float:
        """Return the share of a cell of so many voxels that lies in cells of the opinion which lie mainly in it.

        The largest of them does not count: more than 0 says that the opinion divides the cell.
        """
        within = self.voxels[self.voxels > 0.5 * self.sizes]
        return float((within.sum() - within.max()) / n) if len(within) > 1 else 0.0


class Opinion:
    """Other labels of the same stack, on its grid or a coarser one of the same extent.

    Parameters
    ----------
    labels : array-like of integers, shape (z, y, x)
        One id per cell, 0 elsewhere; read box by box.
    sizes : ndarray of int, shape (largest id + 1,)
        Voxels by id.
    shape : tuple of 3 ints
        Of the stack's grid.
    """

    def __init__(self, labels: ArrayLike, sizes: NDArray[np.int64], shape: Sequence[int]) -> None:
        self._labels, self._sizes = labels, sizes
        self._scale = tuple(m / n for m, n in zip(labels.shape, shape, strict=True))

    @classmethod
    def read(cls, labels: ArrayLike, shape: Sequence[int]) -> Steps[Opinion]:
        """Count the voxels of other labels, plane by plane; ValueError where they are none."""
        if len(labels.shape) != 3 or np.dtype(labels.dtype).kind not in "ui":
            raise ValueError(f"an opinion must be labels with axes (z, y, x), not {labels.dtype} of {labels.shape}")
        sizes = np.zeros(1, np.int64)
        most = math.prod(labels.shape)
        for z in range(labels.shape[0]):
            yield Progress("Reading a second opinion", z, labels.shape[0])
            plane = np.asarray(labels[z])
            if plane.max() > most or plane.min() < 0:  # before memory is taken for them
                raise ValueError(f"an opinion's cells must be numbered from 1 on; one is {plane.max()}")
            counts = np.bincount(plane.ravel())
            if counts.size > sizes.size:
                sizes, counts = counts, sizes
            sizes[: counts.size] += counts
        return cls(labels, sizes, shape)

    def under(self, inside: NDArray[np.bool_], places: Sequence[NDArray[np.intp]], weight: float) -> Overlap:
        """Return what lies in the place of a cell.

        Parameters
        ----------
        inside : ndarray of bool
            The cell's voxels in a grid of places.
        places : sequence of 3 ndarrays of int
            Where these are along each axis, on the stack's grid.
        weight : float
            Voxels of the stack's grid for which each stands.
        """
        own = [
            np.minimum(((place + 0.5) * scale).astype(np.intp), n - 1)
            for place, scale, n in zip(places, self._scale, self._labels.shape, strict=True)
        ]
        first = [int(axis[0]) for axis in own]
        part: Any = self._labels[tuple(slice(f, int(axis[-1]) + 1) for f, axis in zip(first, own, strict=True))]
        found = np.asarray(part)[np.ix_(*(axis - f for f, axis in zip(first, own, strict=True)))][inside]
        ids, counts = np.unique(found, return_counts=True)
        kept = ids > 0
        ids, counts = ids[kept].astype(np.int64), counts[kept]
        per_voxel = 1.0 / float(np.prod(self._scale))
        voxels = np.minimum(counts * float(weight), self._sizes[ids] * per_voxel)
        return Overlap(ids, voxels, self._sizes[ids] * per_voxel)

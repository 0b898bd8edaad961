"""How large the cells of a segmentation are, for a person to compare two of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.steps.by_label import label_sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.volume import Labels

BINS = 24


@dataclass(frozen=True, slots=True, eq=False)
class SizeHistograms:
    """The sizes of cells before and after a change, counted in the same bins.

    Parameters
    ----------
    edges : ndarray of float, shape (n + 1,)
        Of the bins, equally wide in the logarithm.
    before, after : ndarray of int, shape (n,)
        Cells of each size.
    unit : str
        Of the edges.
    """

    edges: NDArray[np.float64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    unit: str

    @property
    def n_before(self) -> int:
        """Cells before."""
        return int(self.before.sum())

    @property
    def n_after(self) -> int:
        """Cells after."""
        return int(self.after.sum())


def size_histograms(before: Labels, after: Labels) -> SizeHistograms:
    """Count cells by size, in cubic micrometres where both grids' voxel sizes are known, else in voxels.

    Parameters
    ----------
    before, after : Labels
        On grids that may differ; ids should be small.

    Examples
    --------
    >>> from napari_scutoid.volume import Labels
    >>> ids = np.zeros((1, 4, 4), np.uint32)
    >>> ids[0, 0], ids[0, 1:] = 1, 2
    >>> found = size_histograms(Labels(ids), Labels(np.ones_like(ids)))
    >>> found.n_before, found.n_after, found.edges[[0, -1]].round().tolist(), found.unit
    (2, 1, [4.0, 16.0], 'voxels')
    """
    in_um = before.voxel_size_um is not None and after.voxel_size_um is not None
    sizes = [_sizes(labels, in_um=in_um) for labels in (before, after)]
    both = np.concatenate(sizes)
    low, high = (float(both.min()), float(both.max())) if both.size else (1.0, 10.0)
    if high <= low:
        low, high = low / 1.5, high * 1.5
    edges = np.geomspace(low, high, BINS + 1)
    counts = [np.histogram(np.clip(one, edges[0], edges[-1]), edges)[0].astype(np.int64) for one in sizes]
    return SizeHistograms(edges, counts[0], counts[1], "µm³" if in_um else "voxels")


def _sizes(labels: Labels, *, in_um: bool) -> NDArray[np.float64]:
    voxels = label_sizes(labels.data)[1:]
    volume = math.prod(labels.voxel_size_um) if in_um and labels.voxel_size_um is not None else 1.0
    sizes: NDArray[np.float64] = voxels[voxels > 0] * np.float64(volume)
    return sizes

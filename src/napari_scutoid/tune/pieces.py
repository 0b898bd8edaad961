"""Regions without their voxels: what every graph partition and every smallest size is scored from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.metrics import count_overlaps
from napari_scutoid.steps.by_label import label_sizes
from napari_scutoid.steps.graph import partitioned, region_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.metrics import Overlaps
    from napari_scutoid.recipe import Partition
    from napari_scutoid.steps.graph import RegionGraph
    from napari_scutoid.tune.case import Case


@dataclass(frozen=True, slots=True, eq=False)
class Pieces:
    """What scores need to know about the regions of a case: no voxels."""

    graph: RegionGraph
    voxels: NDArray[np.int64]
    overlaps: Overlaps
    cell_volume: float

    @classmethod
    def of(cls, labels: NDArray[np.uint32], case: Case, cell_volume: float) -> Pieces:
        """Look at a case's regions once."""
        overlaps = count_overlaps(labels, case.truth)
        return cls(region_graph(labels, case.boundary), label_sizes(labels), overlaps, cell_volume)

    def partitioned(self, settings: Partition) -> NDArray[np.uint32]:
        """Return the new id of each region."""
        if settings.method == "none" or settings.method == "shape":  # shape has had its say about voxels
            return np.arange(self.voxels.size, dtype=np.uint32)
        return partitioned(self.graph, settings.method, settings.beta)

    def without_small(self, of: NDArray[np.uint32], smallest: int) -> NDArray[np.uint32]:
        """Return the new ids once too small cells went to the neighbour behind the weakest wall, or to none.

        A flooding of the graph, as cleaning up floods the voxels.
        """
        voxels = np.bincount(of, weights=self.voxels)
        stays = voxels >= smallest
        stays[0] = False
        if stays[1:].all():
            return of
        pairs = of[self.graph.pairs.astype(np.intp)]
        crossed = self.graph.between_cells & (pairs[:, 0] != pairs[:, 1]) & ~stays[pairs].all(axis=1)
        crossed &= (pairs > 0).all(axis=1)
        owner = np.arange(voxels.size, dtype=np.uint32)
        for edge in np.flatnonzero(crossed)[np.argsort(self.graph.wall[crossed], kind="stable")]:
            a, b = owner[pairs[edge]]
            if a == b or (stays[a] and stays[b]):
                continue
            kept, given = (a, b) if stays[a] else (b, a)
            owner[owner == given] = kept
        owner[~stays[owner]] = 0
        return owner[of]

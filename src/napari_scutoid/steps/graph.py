"""Which regions touch, and how probable a wall between them is: the graph that partitions work on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from bioimage_cpp.graph import UndirectedGraph
    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike

Solver = Literal["multicut", "gasp", "mutex"]

_SLAB, _MOST_IN_SLAB = 16, 16_000_000
"""Planes that are looked at at a time, and their voxels."""
_SUREST = 0.001
_NEVER = -1e3


@dataclass(frozen=True, slots=True, eq=False)
class RegionGraph:
    """Regions as nodes, their contacts as edges.

    Parameters
    ----------
    rag : bioimage_cpp.graph.UndirectedGraph
        Node i is region i; node 0 is the background.
    pairs : ndarray of uint64, shape (n, 2)
        The two regions of each contact, smaller id first.
    wall : ndarray of float, shape (n,)
        Mean boundary probability over a contact.
    area : ndarray of float, shape (n,)
        Voxels along the contact, on both sides.
    """

    rag: UndirectedGraph
    pairs: NDArray[np.uint64]
    wall: NDArray[np.float64]
    area: NDArray[np.float64]

    @property
    def between_cells(self) -> NDArray[np.bool_]:
        """Which contacts are none with the background."""
        return np.asarray(self.pairs.min(axis=1) > 0)

    @property
    def n_nodes(self) -> int:
        """One more than the largest id."""
        return int(self.rag.number_of_nodes)


def region_graph(labels: NDArray[np.uint32], boundary: NDArray[Any]) -> RegionGraph:
    """Return the graph of regions that touch through faces.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per region, 0 for background.
    boundary : ndarray of float, same shape
        Probability of walls.
    """
    from bioimage_cpp.graph import region_adjacency_graph
    from bioimage_cpp.graph.features import edge_map_features

    rag = region_adjacency_graph(labels)
    pairs = np.asarray(rag.uv_ids(), dtype=np.uint64).reshape(-1, 2)
    if not len(pairs):
        return RegionGraph(rag, pairs, np.zeros(0), np.zeros(0))
    evidence = edge_map_features(rag, labels, np.ascontiguousarray(boundary, dtype=np.float32))
    return RegionGraph(rag, pairs, evidence[:, 0].astype(np.float64), evidence[:, 1].astype(np.float64))


def region_graph_in_slabs(
    labels: NDArray[np.uint32], boundary: ArrayLike, planes: int | None = None
) -> Steps[RegionGraph]:
    """Return the same graph, a slab at a time: the maps need not be in memory.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per region, 0 for background.
    boundary : array-like of float, same shape
        Probability of walls.
    planes : int, optional
        Of a slab; by default as many as memory is little for.

    Yields
    ------
    Progress
        Once a slab.
    """
    from bioimage_cpp.graph import UndirectedGraph

    if planes is None:
        planes = max(1, min(_SLAB, _MOST_IN_SLAB // math.prod(labels.shape[1:])))
    keys, sums, counts = np.zeros(0, np.uint64), np.zeros(0), np.zeros(0)
    for first in range(0, len(labels), planes):
        yield Progress("Finding contacts", first, len(labels))
        last = min(first + planes, len(labels) - 1)  # one plane more, for what touches between this slab and the next
        found = _contacts(labels[first : last + 1], np.asarray(boundary[first : last + 1], np.float32), planes)
        keys, index = np.unique(np.concatenate([keys, found[0]]), return_inverse=True)
        sums = _summed(index, np.concatenate([sums, found[1]]), len(keys))
        counts = _summed(index, np.concatenate([counts, found[2]]), len(keys))
    pairs = np.stack([keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)], axis=1)
    graph = UndirectedGraph.from_edges(int(labels.max(initial=0)) + 1, pairs)
    return RegionGraph(graph, pairs, sums / np.maximum(2 * counts, 1), counts)


def _contacts(
    labels: NDArray[np.uint32], boundary: NDArray[np.float32], planes: int
) -> tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.float64]]:
    """Return pairs that touch as keys, the sum of the boundary on both sides of their faces, and the faces.

    Faces within a plane count in the first planes only.
    """
    keys, sums = [], []
    for axis in range(3):
        rows = slice(None) if axis == 0 else slice(planes)
        own, walls = np.moveaxis(labels[rows], axis, 0), np.moveaxis(boundary[rows], axis, 0)
        meet = own[:-1] != own[1:]
        near, far = own[:-1][meet], own[1:][meet]
        keys.append(np.minimum(near, far).astype(np.uint64) << np.uint64(32) | np.maximum(near, far))
        sums.append(walls[:-1][meet].astype(np.float64) + walls[1:][meet])
    pairs: NDArray[np.uint64]
    pairs, index, counts = np.unique(np.concatenate(keys), return_inverse=True, return_counts=True)
    return pairs, _summed(index, np.concatenate(sums), len(pairs)), counts.astype(np.float64)


def _summed(index: NDArray[np.intp], values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return np.bincount(index, values, n).astype(np.float64, copy=False)


def merge_costs(wall: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Return what a wall's probability speaks for merging (positive) or against it (negative).

    ``log((1 - p) / p) + log((1 - beta) / beta)``, as in PlantSeg [1]_.

    References
    ----------
    .. [1] A. Wolny et al. (2020), eLife 9:e57613; after B. Andres et al. (2012), ECCV.
    """
    p = (1 - 2 * _SUREST) * np.clip(wall, 0.0, 1.0) + _SUREST  # splines overshoot a little
    costs: NDArray[np.float64] = np.log((1 - p) / p) + np.log((1 - beta) / beta)
    return costs


def partitioned(graph: RegionGraph, method: Solver, beta: float) -> NDArray[np.uint32]:
    """Return the new id of each region, from walls alone; regions of one cell get the same.

    Multicut by greedy additive edge contraction and Kernighan-Lin moves [1]_, contacts weighted by area; GASP with
    average linkage [2]_; or the mutex watershed [3]_ of the graph.

    Parameters
    ----------
    graph : RegionGraph
        The regions and their contacts.
    method : {"multicut", "gasp", "mutex"}
        The solver.
    beta : float
        See `merge_costs`.

    Returns
    -------
    ndarray of uint32, shape (n_nodes,)
        0 for the background, which is never merged.

    References
    ----------
    .. [1] M. Keuper et al. (2015), Efficient decomposition of image and mesh graphs by lifted multicuts, ICCV.
    .. [2] A. Bailoni et al. (2022), GASP, a generalized algorithm for signed graph clustering, CVPR.
    .. [3] S. Wolf et al. (2018), The mutex watershed: efficient, parameter-free image partitioning, ECCV.
    """
    if not len(graph.pairs):
        return np.arange(graph.n_nodes, dtype=np.uint32)
    costs = np.where(graph.between_cells, merge_costs(graph.wall, beta), _NEVER)
    node = _multicut(graph, costs) if method == "multicut" else _clustered(graph, costs, _LINKAGES[method])
    _, consecutive = np.unique(node[1:], return_inverse=True)
    return np.concatenate([[0], consecutive + 1]).astype(np.uint32)


def _multicut(graph: RegionGraph, costs: NDArray[np.float64]) -> NDArray[Any]:
    from bioimage_cpp.graph import UndirectedGraph
    from bioimage_cpp.graph.multicut import (
        ChainedMulticutSolvers,
        GreedyAdditiveMulticut,
        KernighanLinMulticut,
        MulticutObjective,
    )

    plain = UndirectedGraph.from_edges(graph.n_nodes, graph.pairs)
    solver = ChainedMulticutSolvers([GreedyAdditiveMulticut(), KernighanLinMulticut()])
    weighted = costs * graph.area / graph.area.max()
    weighted[~graph.between_cells] = _NEVER
    return np.asarray(solver.optimize(MulticutObjective(plain, weighted)))


def _clustered(graph: RegionGraph, costs: NDArray[np.float64], linkage: str) -> NDArray[Any]:
    from bioimage_cpp.graph.agglomeration import GaspClusterPolicy

    return np.asarray(GaspClusterPolicy(linkage=linkage).optimize(graph.rag, costs, edge_sizes=graph.area))


_LINKAGES = {"gasp": "mean", "mutex": "mutex_watershed"}

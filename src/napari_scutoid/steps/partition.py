"""Regions made into cells: what no wall divides is merged, what cannot be one cell is divided."""

from __future__ import annotations

import hashlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.by_label import label_boxes, label_sizes, looked_up, renumber
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.graph import partitioned, region_graph, region_graph_in_slabs
from napari_scutoid.steps.memo import AFRESH
from napari_scutoid.steps.shape import SAMPLE, Divisions, emptiness, nearest_part, size_prior
from napari_scutoid.steps.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Partition
    from napari_scutoid.steps.flood import Backend
    from napari_scutoid.steps.graph import RegionGraph
    from napari_scutoid.steps.memo import Memo
    from napari_scutoid.steps.shape import Gaussian, Points, SizePrior
    from napari_scutoid.steps.walls import Unit
    from napari_scutoid.steps.watershed import Regions, Surface
    from napari_scutoid.volume import ArrayLike

_MERGING, _DIVIDING = "Merging cells without a wall between", "Dividing what is no single cell"
_SHARE_OF_CELL = 0.5
"""Regions smaller than this share of the typical one are not divided."""


def partition(
    regions: Regions,
    boundary: NDArray[Any],
    settings: Partition,
    backend: Backend = "compiled",
    sizes: SizePrior | None = None,
    memo: Memo = AFRESH,
) -> Steps[NDArray[np.uint32]]:
    """Turn regions into cells, by graph partitioning or by the cells' shapes.

    Parameters
    ----------
    regions : Regions
        From `bounded_regions`.
    boundary : ndarray of float, shape (z, y, x)
        Probability of walls.
    settings : Partition
        Method and its parameters.
    backend : {"compiled", "bioimage-cpp", "scikit-image"}
        Implementation of flooding.
    sizes : SizePrior, optional
        Of the cells; by default what these regions say of themselves.
    memo : Memo
        What remembers stages; by default nothing does.

    Yields
    ------
    Progress
        Of shape, once per contact and region looked at.

    Returns
    -------
    ndarray of uint32, shape (z, y, x)
        One id per cell, 0 elsewhere.
    """
    labels = regions.labels
    if settings.method == "none" or not labels.any():
        return labels
    yield Progress(_MERGING)
    graph = memo.stage("contacts", (regions,), (), lambda: region_graph(labels, boundary))
    if settings.method != "shape":
        return looked_up(partitioned(graph, settings.method, settings.beta), labels)
    merged = yield from memo.steps(
        "merging",
        (regions, graph),
        (settings.weak_wall, settings.split_gain, sizes),
        lambda: merge_weakly_divided(labels, graph, settings, regions.unit, sizes),
    )
    return (
        yield from memo.steps(
            "dividing",
            (regions, merged),
            (settings.split_gain, backend, sizes),
            lambda: divided(merged, regions.height, settings, regions.unit, backend, sizes, memo.table("divisions")),
        )
    )


def partition_in_place(
    regions: Regions, boundary: ArrayLike, settings: Partition, backend: Backend = "compiled"
) -> Steps[NDArray[np.uint32]]:
    """Turn regions into cells as `partition` does, in their own array; parameters and progress as there."""
    labels = regions.labels
    if settings.method == "none" or not labels.any():
        return labels
    graph = yield from region_graph_in_slabs(labels, boundary)
    if settings.method != "shape":
        renumber(labels, partitioned(graph, settings.method, settings.beta))
        return labels
    renumber(labels, (yield from weakly_divided(labels, graph, settings, regions.unit)))
    return (yield from divided(labels, regions.height, settings, regions.unit, backend, in_place=True))


def merge_weakly_divided(
    labels: NDArray[np.uint32], graph: RegionGraph, settings: Partition, unit: Unit, sizes: SizePrior | None = None
) -> Steps[NDArray[np.uint32]]:
    """Merge regions that are one cell by wall and shape.

    Contacts are visited from the weakest wall up. Two regions merge where the wall between them is weak and the whole
    is not emptier than its parts by as much as would divide it again.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per region, 0 elsewhere.
    graph : RegionGraph
        Of these labels.
    settings : Partition
        What a weak wall is, and the gain that divides.
    unit : tuple of 3 floats
        Voxel edges in equivalent voxels.
    sizes : SizePrior, optional
        As for `partition`.

    Yields
    ------
    Progress
        Once per contact with a weak wall.

    Returns
    -------
    ndarray of uint32, shape (z, y, x)
        A cell has the smallest of its regions' ids.
    """
    return looked_up((yield from weakly_divided(labels, graph, settings, unit, sizes)), labels)


def weakly_divided(
    labels: NDArray[np.uint32], graph: RegionGraph, settings: Partition, unit: Unit, sizes: SizePrior | None = None
) -> Steps[NDArray[np.uint32]]:
    """Return the new id of each region as `merge_weakly_divided` merges them, shape (n_nodes,)."""
    of = np.arange(graph.n_nodes, dtype=np.uint32)
    weak = np.flatnonzero(graph.between_cells & (graph.wall < settings.weak_wall))
    if not weak.size:
        return of
    prior = sizes or size_prior(label_sizes(labels)[1:])
    points = _sampler(labels, unit)
    parts = {}
    for i in np.unique(graph.pairs[weak]):
        yield Progress(_MERGING, 0, weak.size)
        parts[int(i)] = points(int(i))
    for number, edge in enumerate(weak[np.argsort(graph.wall[weak], kind="stable")], start=1):
        yield Progress(_MERGING, number, weak.size)
        a, b = sorted(int(of[i]) for i in graph.pairs[edge])
        if a == b or _gain_of_division(parts[a], parts[b], prior, unit) >= settings.split_gain:
            continue
        parts[a] = _joined(parts[a], parts.pop(b))
        of[of == b] = a
    return of


def divided(
    labels: NDArray[np.uint32],
    height: Surface,
    settings: Partition,
    unit: Unit,
    backend: Backend = "compiled",
    sizes: SizePrior | None = None,
    known: dict[bytes, Divisions] | None = None,
    *,
    in_place: bool = False,
) -> Steps[NDArray[np.uint32]]:
    """Divide regions that look like several cells; see `napari_scutoid.steps.shape`.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per region, 0 elsewhere.
    height : Surface
        High on walls: what a part would have beyond a wall is given to the part on this side.
    settings : Partition
        The gain that divides.
    unit : tuple of 3 floats
        Voxel edges in equivalent voxels.
    backend : {"compiled", "bioimage-cpp", "scikit-image"}
        Implementation of flooding.
    sizes : SizePrior, optional
        As for `partition`.
    known : dict, optional
        How regions came apart before, by a digest of their voxels: most regions stay what they were when a setting
        changes, and trying how one comes apart takes most of the time. Brought up to date.
    in_place : bool
        Whether the labels themselves are changed.

    Yields
    ------
    Progress
        Once per region.

    Returns
    -------
    ndarray of uint32, same shape
        New cells have the highest ids.
    """
    voxels = label_sizes(labels)
    prior = sizes or size_prior(voxels[1:])
    met: dict[bytes, Divisions] = {}
    cells = labels if in_place else labels.copy()
    highest = int(labels.max(initial=0))
    boxes = label_boxes(labels)
    large = [number for number in boxes if voxels[number] >= _SHARE_OF_CELL * prior.volume]

    def look(number: int) -> tuple[bytes, Divisions, NDArray[np.uint32] | None]:
        # Others' voxels may get new ids meanwhile; this region's do not.
        box = boxes[number]
        inside = labels[box] == number
        digest = b"" if known is None else _digest(inside)
        divisions = None if known is None else known.get(digest)
        if divisions is None:
            divisions = Divisions(_sampled(inside, unit), unit)
        parts = divisions.best(float(voxels[number]), prior, settings.split_gain)
        if parts is None:
            return digest, divisions, None
        surface = np.ascontiguousarray(height[box[0], box[1], box[2]])
        return digest, divisions, _divided(inside, parts, surface, unit, backend)

    with closing(in_order(look, large)) as looks:
        for done, (number, (digest, divisions, part)) in enumerate(zip(large, looks, strict=True), start=1):
            yield Progress(_DIVIDING, done, len(large))
            met[digest] = divisions
            if part is None:
                continue
            n = int(part.max())
            new = np.concatenate([[0, number], highest + np.arange(1, n)]).astype(np.uint32)
            highest += n - 1
            inside = part > 0
            cells[boxes[number]][inside] = new[part[inside]]
    if known is not None:
        known.clear()
        known.update(met)
    return cells


def _divided(
    inside: NDArray[np.bool_], parts: list[Gaussian], height: NDArray[np.float32], unit: Unit, backend: Backend
) -> NDArray[np.uint32]:
    """Return which part of a region each of its voxels belongs to, from 1; 0 elsewhere."""
    part = np.zeros(inside.shape, np.uint32)
    for z, plane in enumerate(inside):  # places of a whole region would take many times its memory
        places = np.argwhere(plane)
        points = np.insert(places, 0, z, axis=1) * np.asarray(unit)
        part[z][tuple(places.T)] = nearest_part(points, parts) + 1
    return _connected(part, height, inside, backend)


def _digest(inside: NDArray[np.bool_]) -> bytes:
    return hashlib.blake2b(np.packbits(inside).tobytes() + str(inside.shape).encode(), digest_size=16).digest()


def _connected(
    part: NDArray[np.uint32], height: NDArray[np.float32], inside: NDArray[np.bool_], backend: Backend
) -> NDArray[np.uint32]:
    """Return parts each in one piece: what lies apart from its largest piece is flooded from all of them."""
    import cc3d

    found = cc3d.connected_components(part, connectivity=6, out_dtype=np.uint32)
    pieces = found.astype(np.uint32, copy=False)
    sizes = label_sizes(pieces)
    owner = np.zeros(sizes.size, np.uint32)
    owner[pieces[inside]] = part[inside]
    largest = np.zeros(sizes.size, np.bool_)
    for k in np.unique(owner[1:]):
        own = np.flatnonzero(owner == k)
        largest[own[np.argmax(sizes[own])]] = True
    if largest[1:].all():
        return part
    grown = flood(height, np.where(largest[pieces], part, np.uint32(0)), inside, backend)
    return np.where(grown > 0, grown, part)  # what no part reaches was no part of the region's largest piece before


def _sampler(labels: NDArray[np.uint32], unit: Unit) -> Callable[[int], tuple[Points, float]]:
    """Return a function from an id to a sample of its voxels' places, and their number."""
    boxes = label_boxes(labels)

    def points(number: int) -> tuple[Points, float]:
        box = boxes[number]
        inside = labels[box] == number
        corner = np.multiply([side.start for side in box], unit)
        return _sampled(inside, unit) + corner, float(np.count_nonzero(inside))

    return points


def _sampled(inside: NDArray[np.bool_], unit: Unit) -> Points:
    places = _sample(np.flatnonzero(inside))
    points: Points = np.stack(np.unravel_index(places, inside.shape), axis=1) * np.asarray(unit)
    return points


def _sample(points: NDArray[Any]) -> NDArray[Any]:
    if len(points) <= SAMPLE:
        return points
    return points[np.random.default_rng(0).choice(len(points), SAMPLE, replace=False)]


def _joined(first: tuple[Points, float], second: tuple[Points, float]) -> tuple[Points, float]:
    """Return a sample of two regions in which each has its share."""
    (a, n_a), (b, n_b) = first, second
    density = min(len(a) / n_a, len(b) / n_b)
    rng = np.random.default_rng(0)
    kept = [rng.choice(len(p), max(1, round(density * n)), replace=False) for p, n in (first, second)]
    return _sample(np.concatenate([a[kept[0]], b[kept[1]]])), n_a + n_b


def _gain_of_division(
    first: tuple[Points, float],
    second: tuple[Points, float],
    prior: SizePrior,
    unit: Unit,
) -> float:
    whole, n = _joined(first, second)
    apart = sum(size * (emptiness(points, size, unit) + prior.cost(size)) for points, size in (first, second))
    return emptiness(whole, n, unit) + prior.cost(n) - apart / n

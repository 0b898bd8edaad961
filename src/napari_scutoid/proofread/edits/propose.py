"""Proposes how to divide a cell, without a click: along walls inside it, and at its waist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.proofread.edits.pieces import LEVELS, divided, grown, one_cell, wall_levels, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.scene import Scene

SMALLEST_SIDE = 0.05
"""Share of the cell that each side has at least."""

_WALLS = (0.25, 0.5, 2.0)
"""Evidence from which a voxel counts as wall where parts are looked for; at the last, none does and shape decides."""
_COARSE_VOXELS = 100_000
_MOST_SEEDS = 40
_MOST_REGIONS = 9
_LEVELLING = 0.1
_SAME = 0.93
_SHAPE_WEIGHT = 0.3


class _Worth(NamedTuple):
    score: NDArray[np.float64]
    evidence: NDArray[np.float64]


def proposals(scene: Scene, cell: int, n: int = 3) -> list[Change]:
    """Return the best ways to divide a cell in two, best first.

    The distance to walls, at several strengths of what counts as one, has maxima in the parts of the cell; these flood
    it, and every way to put the regions together in two connected sides is a candidate; so are the halves of the cell
    along its principal axes, which serve where neither walls nor its shape tell parts. A cut is good where much speaks
    for a wall, compared with the rest of the cell, and where it is smaller than the section through a ball as large as
    twice its smaller side.

    Parameters
    ----------
    scene : Scene
    cell : int
        The cell.
    n : int
        How many at most; fewer where the cell has no more parts.

    Returns
    -------
    list of Change
        As `Split` makes them; ``parameters`` holds ``score`` (0 to 1), ``evidence`` (mean over the cut, 0 to 1), and
        ``volumes`` of the sides.

    Raises
    ------
    ScutoidError
        When the cell is not there or accepted.
    """
    box, inside = one_cell(scene, cell)
    boundary = scene.evidence.boundary(box)
    joined = _coarseness(box.shape, scene.spacing)
    coarse = _mean(inside, joined) >= 0.5
    wall = _mean(boundary, joined) / 255
    edges = [edge * k for edge, k in zip(scene.spacing, joined, strict=True)]
    found: list[tuple[float, NDArray[np.uint8]]] = []
    for strength in _WALLS:
        regions = _regions(coarse, wall, edges, strength)
        found += _candidates(regions, wall, edges, 2 * n)
    found += [(_worth_of(sides, wall, edges)[0], sides) for sides in _halves(coarse, edges)]
    found.sort(key=lambda candidate: -candidate[0])
    distinct: list[NDArray[np.uint8]] = []
    for score, sides in found:
        if len(distinct) < n and np.isfinite(score) and not any(_alike(sides, other) for other in distinct):
            distinct.append(sides)
    levels = wall_levels(boundary, scene.spacing)
    changes: list[tuple[float, Change]] = []
    done: list[NDArray[np.uint32]] = []
    for sides in distinct:
        parts = whole(_refined(sides, joined, inside, levels, scene.spacing), inside, scene.spacing)
        score, evidence = _worth_of(parts, boundary / 255, scene.spacing)
        if not np.isfinite(score) or any(_alike(parts, other) for other in done):
            continue
        done.append(parts)
        told = {"proposed": True, "score": float(np.clip(score, 0, 1)), "evidence": evidence}
        changes.append((score, divided(scene, cell, box, parts, "split", told)))
    return [change for _, change in sorted(changes, key=lambda scored: -scored[0])]


def _regions(
    inside: NDArray[np.bool_], wall: NDArray[np.floating], edges: Sequence[float], strength: float
) -> NDArray[np.uint32]:
    """Return the cell flooded from the maxima of the distance to walls of at least that strength, 0 elsewhere."""
    import cc3d
    import edt
    from scipy.ndimage import gaussian_filter, maximum_filter

    interior = inside & (wall < strength)
    distance = edt.edt(np.ascontiguousarray(interior), anisotropy=tuple(edges), black_border=False)
    if not interior.any() or not np.isfinite(distance).all():
        return inside.astype(np.uint32)
    deepest = float(distance.max())
    smooth = gaussian_filter(distance, [_LEVELLING * deepest / edge for edge in edges])
    peaks = interior & (smooth == maximum_filter(smooth, 3))
    seeds: NDArray[Any] = cc3d.connected_components(peaks, connectivity=26, out_dtype=np.uint32)
    n = int(seeds.max())
    if n > _MOST_SEEDS:
        height = np.zeros(n + 1)
        np.maximum.at(height, seeds.ravel(), smooth.ravel())
        kept = np.argsort(-height[1:], kind="stable")[:_MOST_SEEDS] + 1
        seeds = np.where(np.isin(seeds, kept), seeds, 0)
    depth = 1 - np.clip(smooth / deepest, 0, 1)
    levels = ((wall + 0.5 * depth) / 1.5 * (LEVELS - 1)).astype(np.uint8)
    return grown(levels, seeds.astype(np.uint32), inside & (seeds == 0), edges)


def _candidates(
    found: NDArray[np.uint32], wall: NDArray[np.floating], edges: Sequence[float], most: int
) -> list[tuple[float, NDArray[np.uint8]]]:
    """Return the best pairs of connected sides that regions make, with their scores."""
    ids, numbers = np.unique(found, return_inverse=True)
    regions: NDArray[np.intp] = numbers.reshape(found.shape) + int(ids[0] != 0)
    volumes = np.bincount(regions.ravel()).astype(np.float64)[1:] * np.prod(edges)
    if len(volumes) < 2:
        return []
    area, walls = _contacts(regions, wall, edges, len(volumes) + 1)
    of = _joined(volumes, area, walls)
    groups = np.unique(of)
    gather = (of == groups[:, None]).astype(np.float64)
    area, walls, volumes = gather @ area @ gather.T, gather @ walls @ gather.T, gather @ volumes
    if len(groups) < 2:
        return []
    # The last group is always on the second side: each pair of sides once.
    sets = (np.arange(1, 2 ** (len(groups) - 1))[:, None] >> np.arange(len(groups)) & 1).astype(np.float64)
    cut, evidence = ((sets @ table * (1 - sets)).sum(1) for table in (area, walls))
    score = _worth(cut, evidence, sets @ volumes, float(volumes.sum()), _background(regions, wall)).score
    first: NDArray[Any] = sets.astype(np.bool_)
    touching = area > 0
    best: list[tuple[float, NDArray[np.uint8]]] = []
    for i in np.argsort(-score, kind="stable"):
        if not np.isfinite(score[i]) or len(best) == most:
            break
        if _is_connected(first[i], touching) and _is_connected(~first[i], touching):
            side = np.append(0, np.where(first[i], 1, 2)[np.searchsorted(groups, of)]).astype(np.uint8)
            best.append((float(score[i]), side[regions]))
    return best


def _halves(inside: NDArray[np.bool_], edges: Sequence[float]) -> list[NDArray[np.uint8]]:
    """Return the cell halved across each of its principal axes, the longest first."""
    places = np.argwhere(inside)
    if len(places) < 2:
        return []
    away = (places - places.mean(0)) * np.asarray(edges)
    axes = np.linalg.eigh(away.T @ away)[1].T[::-1]
    found = []
    for axis in axes:
        # Which way an axis points, and on which side rounding puts the middle plane, is left to the library.
        towards = axis[int(np.argmax(np.abs(axis) > 0.5 * np.abs(axis).max()))]
        sides = np.zeros(inside.shape, np.uint8)
        sides[inside] = np.where(away @ axis * np.sign(towards) > 1e-6 * min(edges), 1, 2)
        found.append(sides)
    return found


def _worth(
    area: NDArray[np.float64], walls: NDArray[np.float64], volume: NDArray[np.float64], total: float, background: float
) -> _Worth:
    """Score cuts by area, evidence times area, and volume of one side; -inf where a side is too small."""
    with np.errstate(invalid="ignore", divide="ignore"):
        evidence = np.where(area > 0, walls / area, 0.0)
    smaller = np.minimum(volume, total - volume)
    contrast = np.clip((evidence - background) / max(1 - background, 1e-6), 0, 1)
    # 1.5: voxel faces overstate a surface in the mean over its directions; 1.21 V^(2/3) is the section through a ball.
    waist = np.clip(1 - area / 1.5 / np.maximum(1.21 * (2 * smaller) ** (2 / 3), 1e-12), -1, 1)
    score = (1 - _SHAPE_WEIGHT) * contrast + _SHAPE_WEIGHT * waist
    return _Worth(np.where((smaller >= SMALLEST_SIDE * total) & (area > 0), score, -np.inf), evidence)


def _worth_of(parts: NDArray[Any], wall: NDArray[np.floating], edges: Sequence[float]) -> tuple[float, float]:
    """Return score and evidence of the cut between parts 1 and 2; -inf where one is too small."""
    area, walls = _contacts(parts.astype(np.int64), wall, edges, 3)
    volumes = np.bincount(parts.ravel(), minlength=3)[1:] * float(np.prod(edges))
    side = volumes[:1].astype(np.float64)
    found = _worth(area[:1, 1], walls[:1, 1], side, float(volumes.sum()), _background(parts, wall))
    return float(found.score[0]), float(found.evidence[0])


def _background(regions: NDArray[Any], wall: NDArray[np.floating]) -> float:
    """Return how much speaks for a wall at most places of the cell."""
    return float(np.median(wall[regions > 0]))


def _contacts(
    regions: NDArray[Any], wall: NDArray[np.floating], edges: Sequence[float], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return for each two regions, 0 left out, the area of their faces, and the sum of the evidence times the area."""
    area, walls = np.zeros(n * n), np.zeros(n * n)
    for axis in range(3):
        along, evidence = np.moveaxis(regions, axis, 0), np.moveaxis(wall, axis, 0)
        a, b = along[:-1], along[1:]
        meet = (a != b) & (a > 0) & (b > 0)
        pair = (a[meet] * n + b[meet]).astype(np.int64)
        face = float(np.prod(edges)) / edges[axis]
        area += face * np.bincount(pair, minlength=n * n)
        between = (evidence[:-1][meet] + evidence[1:][meet]) / 2
        walls += face * np.bincount(pair, between, minlength=n * n)
    tables = (table.reshape(n, n)[1:, 1:] for table in (area, walls))
    first, second = (table + table.T for table in tables)
    return first, second


def _joined(volumes: NDArray[np.float64], area: NDArray[np.float64], walls: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which group each region belongs to: the smallest joins whom least divides it from, until few are left."""
    volumes, area, walls = volumes.copy(), area.copy(), walls.copy()
    of = np.arange(len(volumes))
    while len(left := np.unique(of)) > _MOST_REGIONS:
        small = int(left[np.argmin(volumes[left])])
        with np.errstate(invalid="ignore", divide="ignore"):
            strength = np.where(area[small] > 0, walls[small] / area[small], np.inf)
        if np.isfinite(strength).any():  # among equals, the one it shares the largest surface with
            to = int(np.lexsort((-area[small], strength))[0])
        else:
            to = int(left[left != small][0])
        volumes[to] += volumes[small]
        for table in (area, walls):
            table[to] += table[small]
            table[:, to] += table[:, small]
            table[small] = table[:, small] = table[to, to] = 0
        of[of == small] = to
    return of


def _is_connected(members: NDArray[np.bool_], touching: NDArray[np.bool_]) -> bool:
    reached = np.zeros_like(members)
    reached[int(np.argmax(members))] = True
    while True:
        wider = reached | (touching[reached].any(0) & members)
        if (wider == reached).all():
            return bool((reached == members).all())
        reached = wider


def _alike(sides: NDArray[Any], others: NDArray[Any]) -> bool:
    both = (sides > 0) & (others > 0)
    same = float(np.mean(sides[both] == others[both])) if both.any() else 1.0
    return max(same, 1 - same) >= _SAME


def _coarseness(shape: Sequence[int], spacing: Sequence[float]) -> tuple[int, int, int]:
    """Return how many voxels to join along each axis so that parts are looked for in few, nearly cubic ones."""
    joined = [1, 1, 1]
    while np.prod([n / k for n, k in zip(shape, joined, strict=True)]) > _COARSE_VOXELS:
        finest = int(np.argmin([edge * k for edge, k in zip(spacing, joined, strict=True)]))
        joined[finest] += 1
    z, y, x = joined
    return z, y, x


def _mean(part: NDArray[Any], joined: Sequence[int]) -> NDArray[np.floating]:
    """Return means over blocks; the last ones may be smaller."""
    found: NDArray[Any] = part.astype(np.float32)
    for axis, k in enumerate(joined):
        starts = np.arange(0, found.shape[axis], k)
        lengths = np.diff(np.append(starts, found.shape[axis])).astype(np.float32)
        wide = [1, 1, 1]
        wide[axis] = -1
        found = np.add.reduceat(found, starts, axis=axis) / lengths.reshape(wide)
    return found


def _refined(
    sides: NDArray[np.uint8],
    joined: Sequence[int],
    inside: NDArray[np.bool_],
    levels: NDArray[np.uint8],
    spacing: Sequence[float],
) -> NDArray[np.uint32]:
    """Return the sides on the cell's own voxels: near the cut, walls say to which a voxel belongs."""
    from scipy.ndimage import binary_dilation

    seeds = np.zeros_like(sides)
    for side in (1, 2):
        settled = (sides == side) & ~binary_dilation(sides == 3 - side)
        seeds[settled if settled.any() else sides == side] = side
    fine = np.where(inside, _spread(seeds, joined, inside.shape), np.uint32(0))
    return grown(levels, fine, inside & (fine == 0), spacing)


def _spread(coarse: NDArray[Any], joined: Sequence[int], shape: Sequence[int]) -> NDArray[np.uint32]:
    fine = coarse.astype(np.uint32)
    for axis, k in enumerate(joined):
        fine = np.repeat(fine, k, axis)
    z, y, x = shape
    return fine[:z, :y, :x]

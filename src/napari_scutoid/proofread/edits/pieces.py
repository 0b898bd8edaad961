"""Dividing a cell, and giving voxels to their neighbours: what splitting, cutting, deleting and repairing share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.edits.guards import check_known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.proofread.scene import Scene
    from napari_scutoid.volume import VoxelSize

LEVELS = 32
"""How finely evidence is told apart: within an eighth of a level of noise, the nearest seed decides instead."""

_SMOOTHING = 0.7


def grown(
    levels: NDArray[np.uint8] | None, seeds: NDArray[np.uint32], open_: NDArray[np.bool_], spacing: Sequence[float]
) -> NDArray[np.uint32]:
    """Return seeds grown through the faces of open voxels, by watershed; where nothing speaks for walls, the nearest.

    Parameters
    ----------
    levels : ndarray of uint8, shape (z, y, x), optional
        High on the walls; without them, distance alone decides.
    seeds : ndarray of uint32, same shape
        Ids, 0 elsewhere; voxels that are neither open nor seeds are closed.
    open_ : ndarray of bool, same shape
        What is to be filled.
    spacing : sequence of 3 floats
        Voxel edges: distances respect them.

    Returns
    -------
    ndarray of uint32, same shape
        Open voxels that no seed reaches are 0. An id's voxels hang together with its seeds through faces.
    """
    from napari_scutoid.proofread.edits.flood_compiled import grow

    if seeds.size >= 2**31:
        raise ScutoidError(
            "This is too large to be divided",
            f"it spans {' x '.join(map(str, seeds.shape))} voxels",
            "crop the stack, or use a coarser grid",
        )
    labels = np.where(open_, np.uint32(0), seeds)
    flat = np.zeros(seeds.shape, np.uint8) if levels is None else np.ascontiguousarray(levels)
    grow(flat, labels, np.ascontiguousarray(open_), *map(float, spacing))
    return labels


def wall_levels(boundary: NDArray[np.uint8], spacing: Sequence[float]) -> NDArray[np.uint8]:
    """Return evidence for walls in `LEVELS` steps, smoothed by less than a voxel: its noise must not lead a cut."""
    from scipy.ndimage import gaussian_filter

    sigma = [_SMOOTHING * min(spacing) / edge for edge in spacing]
    smooth = gaussian_filter(boundary.astype(np.float32), sigma)
    levels: NDArray[np.uint8] = (smooth * (LEVELS / 256)).astype(np.uint8)
    return levels


def whole(parts: NDArray[np.uint32], inside: NDArray[np.bool_], spacing: VoxelSize) -> NDArray[np.uint32]:
    """Return parts of a cell that hang together through faces each: what lies apart goes to the part it touches.

    Parameters
    ----------
    parts : ndarray of uint32, shape (z, y, x)
        The parts' numbers, 0 elsewhere.
    inside : ndarray of bool, same shape
        The cell; a piece of it that no part touches is 0 in what is returned.
    spacing : sequence of 3 floats
        Voxel edges.
    """
    import cc3d

    found: NDArray[Any] = cc3d.connected_components(np.where(inside, parts, 0), connectivity=6)
    sizes = np.bincount(found.ravel())
    number = np.zeros(len(sizes), np.uint32)
    number[found] = parts
    kept = np.zeros(len(sizes), np.bool_)
    for part in np.unique(number[1:]):
        mine = np.flatnonzero(number == part)
        mine = mine[mine > 0]
        kept[mine[np.argmax(sizes[mine])]] = True
    if kept[1:].all() and not (inside & (parts == 0)).any():
        return parts
    seeds = np.where(kept[found], parts, 0)
    return grown(None, seeds, inside & (seeds == 0), spacing)


def divided(scene: Scene, cell: int, box: Box, parts: NDArray[np.uint32], kind: str, told: Mapping[str, Any]) -> Change:
    """Return the change that makes parts of a cell cells of their own; the largest keeps the id.

    Parameters
    ----------
    scene : Scene
    cell : int
        The cell.
    box : Box
        Where the parts lie.
    parts : ndarray of uint32, shape of the box
        Numbers of the parts from 1, 0 elsewhere; voxels of the cell that are 0 keep its id.
    kind, told
        Of the `Change`; ids and volumes are added.

    Raises
    ------
    ScutoidError
        When fewer than two parts have voxels.
    """
    before = scene.labels[box.slices]
    parts = whole(parts, before == cell, scene.spacing)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    numbers = np.flatnonzero(sizes)
    if len(numbers) < 2:
        raise ScutoidError(f"Cell {cell} was not divided", "only one piece is left", "mark both sides inside the cell")
    largest = int(np.argmax(sizes))
    ids = np.full(len(sizes), cell, np.uint32)
    others = numbers[numbers != largest]
    ids[others] = np.arange(scene.next_id, scene.next_id + len(others))
    after = np.where(parts > 0, ids[parts], before)
    volume = float(np.prod(scene.spacing))
    told = {
        **told,
        "cell": int(cell),
        "pieces": [int(i) for i in ids[numbers]],
        "volumes": [int(sizes[n]) * volume for n in numbers],
    }
    return Change(kind, title_of(kind, cell, len(numbers)), told, Difference.between(box, before, after))


def title_of(kind: str, cell: int, pieces: int) -> str:
    """Return what the history says of a divided cell."""
    return f"{kind.capitalize()} cell {cell} in {'two' if pieces == 2 else pieces}"


def one_cell(scene: Scene, cell: int, margin: int = 1) -> tuple[Box, NDArray[np.bool_]]:
    """Return a cell's box with a margin, and which voxels of it are the cell; it has to be there and not accepted."""
    box = scene.index.box(check_known(scene, cell)).padded(margin, scene.shape)
    return box, scene.labels[box.slices] == cell


def editable(scene: Scene, part: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return a piece of the labels without the accepted cells, which neither lose nor gain voxels."""
    return np.where(scene.is_locked(part), np.uint32(0), part)

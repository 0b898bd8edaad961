"""Another segmentation of a stack under correction: accepted cells stay, bit for bit, and are walls to the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.metrics import count_overlaps
from napari_scutoid.metrics.overlaps import sizes
from napari_scutoid.progress import Progress
from napari_scutoid.steps.cell_table import cell_table
from napari_scutoid.steps.resampling import nearest_indices

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import Volume

SAME = 0.5
"""Intersection over union above which two cells are the same: no cell has two such partners."""

_WALLED: Mapping[str, float] = {"boundary": 1.0, "foreground": 0.0, "seeds": 0.0}
_STEP = "Keeping accepted cells"


def walled(
    probabilities: Mapping[str, Volume], labels: NDArray[np.uint32], accepted: Collection[int]
) -> Steps[dict[str, Volume]]:
    """Return probabilities in which accepted cells are solid wall: no other cell grows into them, or across.

    Parameters
    ----------
    probabilities : mapping of str to Volume
        The network's outputs on the working grid; boundary becomes 1 in accepted cells, foreground and seeds 0.
    labels : ndarray of uint32, shape (z, y, x)
        One id per cell, on any grid of the same extent.
    accepted : collection of int
        Ids.

    Yields
    ------
    Progress
        Once a slice.
    """
    cells = _as_ids(accepted)
    made = {}
    for name, volume in probabilities.items():
        if name not in _WALLED or not len(cells):
            made[name] = volume
            continue
        data = np.array(volume.data[:])
        z, y, x = (nearest_indices(n, m) for n, m in zip(labels.shape, volume.shape, strict=True))
        for number, plane in enumerate(data):
            yield Progress(_STEP, number, len(data))
            plane[np.isin(labels[z[number]], cells)[np.ix_(y, x)]] = _WALLED[name]
        made[name] = volume.with_data(data, "accepted cells made walls")
    return made


def kept_accepted(
    new: NDArray[np.uint32],
    old: NDArray[np.uint32],
    accepted: Collection[int],
    next_id: int,
    lumen: NDArray[np.bool_] | None = None,
) -> Steps[NDArray[np.uint32]]:
    """Return another segmentation with the accepted cells as they are, and with the old ids where cells are the same.

    A new cell of which accepted ones take more than half is no cell of its own; what is left of it, and pieces that
    they cut off, go to the neighbour that touches most of it.

    Parameters
    ----------
    new, old : ndarray of uint32, shape (z, y, x)
        The other segmentation and the labels under correction. Neither is changed.
    accepted : collection of int
        Ids of `old`.
    next_id : int
        First id for cells that are none of the old ones.
    lumen : ndarray of bool, same shape, optional
        Where no cell is put.

    Returns
    -------
    ndarray of uint32, same shape

    Raises
    ------
    ValueError
        When shapes differ.
    """
    if new.shape != old.shape:
        raise ValueError(f"new has shape {new.shape}, old {old.shape}")
    yield Progress(_STEP)
    kept = _as_ids(accepted)
    result = np.array(new, np.uint32)
    if lumen is not None:
        result[lumen] = 0
    overlaps = count_overlaps(result, old)
    before, after = sizes(overlaps)
    is_kept = np.isin(overlaps.truth, kept)
    covered = np.zeros(after.ids.size, np.int64)
    np.add.at(covered, after.place[is_kept], overlaps.voxels[is_kept])
    left = after.voxels - covered
    stays = (covered <= left) & (after.ids > 0)
    union = left[after.place] + before.voxels[before.place] - overlaps.voxels
    same = ~is_kept & stays[after.place] & (overlaps.truth > 0) & (overlaps.voxels > SAME * union)
    names = np.zeros(after.ids.size, np.uint32)
    names[after.place[same]] = overlaps.truth[same]
    fresh = stays & (names == 0)
    names[fresh] = np.arange(next_id, next_id + int(np.count_nonzero(fresh)))
    for z in range(len(new)):
        yield Progress(_STEP, z, len(new))
        plane = names[np.searchsorted(after.ids, result[z])]
        own = np.isin(old[z], kept)
        plane[own] = old[z][own]
        result[z] = plane
    cut = after.ids[(covered > 0) & (after.ids > 0) & (left > 0)]
    yield from _rest_given_away(result, new, cut, set(after.ids[~stays].tolist()), kept, lumen)
    return result


def _rest_given_away(
    result: NDArray[np.uint32],
    new: NDArray[np.uint32],
    cut: NDArray[np.uint32],
    gone: Collection[int],
    kept: NDArray[np.uint32],
    lumen: NDArray[np.bool_] | None,
) -> Steps[None]:
    """Give what accepted cells leave of new ones to the neighbours, but the largest piece of a cell that stays one."""
    import cc3d

    if not len(cut):
        return
    table = cell_table(new)
    row_of = dict(zip(table.cell.tolist(), range(len(table)), strict=True))
    for number, cell in enumerate(cut.tolist()):
        yield Progress(_STEP, number, len(cut))
        row = row_of[cell]
        box = Box.between(table.first[row], table.last[row] + 1).padded(1, new.shape)
        part = result[box.slices]
        mask = (new[box.slices] == cell) & ~np.isin(part, kept)
        if lumen is not None:
            mask &= ~lumen[box.slices]
        pieces: NDArray[Any] = cc3d.connected_components(mask.view(np.uint8), connectivity=6)
        count = np.bincount(pieces.ravel())
        count[0] = 0
        largest = 0 if cell in gone else int(count.argmax())
        for piece in np.flatnonzero(count).tolist():
            if piece != largest:
                here = pieces == piece
                part[here] = _neighbour(part, here, kept)


def _neighbour(part: NDArray[np.uint32], here: NDArray[np.bool_], kept: NDArray[np.uint32]) -> int:
    """Return the cell that touches most of a piece, no accepted one; 0 where there is none."""
    from scipy.ndimage import binary_dilation

    around = part[binary_dilation(here) & ~here]
    ids, voxels = np.unique(around[(around > 0) & ~np.isin(around, kept)], return_counts=True)
    return int(ids[voxels.argmax()]) if len(ids) else 0


def _as_ids(cells: Collection[int]) -> NDArray[np.uint32]:
    return np.array(sorted(cells), np.uint32)

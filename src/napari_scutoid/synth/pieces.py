"""Every cell one piece, and ids without gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def one_piece_each(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Give pieces that are cut off a cell to a cell they touch, and number the cells without gaps."""
    import fastremap

    # A piece that touches no cell is debris, not tissue.
    labels = fill_from_neighbours(labels, _loose_pieces(labels))
    renumbered: NDArray[np.uint32] = fastremap.renumber(labels, preserve_zero=True)[0].astype(np.uint32)
    return renumbered


def fill_from_neighbours(labels: NDArray[np.uint32], holes: NDArray[np.bool_]) -> NDArray[np.uint32]:
    """Return labels whose ``holes`` have been overgrown by the cells around them; 0 where no cell touches them."""
    labels = np.where(holes, np.uint32(0), labels)
    left = np.stack(np.nonzero(holes))
    last = np.array(labels.shape)[:, None] - 1
    while left.size:
        found = np.zeros(left.shape[1], labels.dtype)
        for axis in range(3):
            for side in (-1, 1):
                neighbour = left.copy()
                neighbour[axis] += side
                beside = labels[tuple(np.clip(neighbour, 0, last))]
                found = np.where(found == 0, beside, found)
        if not found.any():
            break
        labels[tuple(left)] = found
        left = left[:, found == 0]
    return labels


def _loose_pieces(labels: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return where a cell has voxels outside its largest face-connected piece."""
    import cc3d

    pieces = cc3d.connected_components(labels, connectivity=6)
    size = np.bincount(pieces.ravel())
    cell = np.zeros(len(size), np.uint32)
    cell[pieces.ravel()] = labels.ravel()
    # Ordered by size, the last piece written for a cell is its largest, and one of two equal pieces is loose.
    order = np.argsort(size, kind="stable")
    kept = np.zeros(int(labels.max()) + 1, np.int64)
    kept[cell[order]] = order
    loose: NDArray[np.bool_] = ((kept[cell] != np.arange(len(size))) & (cell > 0))[pieces]
    return loose

"""What an edit sees of the stack: labels, lumen, what is known of the cells, and what the image says of walls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_scutoid.proofread.change import UNTOUCHED, CellState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.index import CellIndex
    from napari_scutoid.volume import VoxelSize

LARGEST_ID = 2**32 - 2**20
"""No edit makes a cell of a larger number: 32 bits must hold what it adds to the next one, and marks such as
`volume.UNKNOWN`."""


class Evidence(Protocol):
    """What speaks for walls, on the labels' grid, box by box: nothing of the whole stack is kept for it."""

    def boundary(self, box: Box) -> NDArray[np.uint8]:
        """Return how probable walls are, 0 to 255, shape of the box; the network's, else from the intensities."""

    def image(self, box: Box) -> NDArray[Any] | None:
        """Return the intensities, shape of the box; None where there is no image."""


@dataclass(frozen=True, slots=True)
class Guards:
    """What an edit may change beside the cell it is about; all off, so that a stroke cannot spill.

    Parameters
    ----------
    outside : bool
        Voxels outside the tissue.
    lumen : bool
        Voxels of the lumen.
    other_cells : bool
        Voxels of other cells. Accepted cells are never changed.
    """

    outside: bool = False
    lumen: bool = False
    other_cells: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What an edit sees, and must not change.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x), read-only
        One id per cell.
    index : CellIndex
        Boxes, sizes, places and contacts of the cells: no edit scans the stack.
    spacing : VoxelSize
        Voxel edges; micrometres, or relative where unknown.
    evidence : Evidence
        What the image says.
    lumen : ndarray of bool, same shape, read-only, optional
        The lumen.
    states : mapping of int to CellState
        Of the cells that somebody said something of.
    next_id : int
        Larger than every id that was ever used.
    """

    labels: NDArray[np.uint32]
    index: CellIndex
    spacing: VoxelSize
    evidence: Evidence
    lumen: NDArray[np.bool_] | None = None
    states: Mapping[int, CellState] = field(default_factory=dict)
    next_id: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the stack."""
        z, y, x = self.labels.shape
        return z, y, x

    def state(self, cell: int) -> CellState:
        """Return what was said of a cell."""
        return self.states.get(cell, UNTOUCHED)

    @property
    def locked(self) -> frozenset[int]:
        """Cells that no edit may change."""
        return frozenset(cell for cell, state in self.states.items() if state.accepted)

    def is_locked(self, part: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Return which voxels of a piece of the labels belong to accepted cells."""
        locked = self.locked
        if not locked:
            return np.zeros(part.shape, np.bool_)
        return np.isin(part, np.fromiter(locked, np.uint32, len(locked)))


class Edit(Protocol):
    """Something to do to the labels."""

    def plan(self, scene: Scene) -> Change:
        """Return what would change, and change nothing.

        Raises
        ------
        ScutoidError
            When it cannot be done, in the words of the person who tried.
        """

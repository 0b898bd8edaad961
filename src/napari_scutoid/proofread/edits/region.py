"""Some voxels of the stack, and the piece that a click means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.proofread.scene import Scene

LARGEST = 2**25
"""Voxels of the largest box in which a tool draws: 32 million, some hundred MB while it works."""


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Some voxels of the stack.

    Parameters
    ----------
    box : Box
        What holds them.
    mask : ndarray of bool, shape of the box
        Which they are.
    """

    box: Box
    mask: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.mask.shape != self.box.shape:
            raise ValueError(f"the region's box and mask differ in shape: {self.box.shape}, {self.mask.shape}")

    @classmethod
    def of_points(cls, points: Sequence[Sequence[float]], shape: Sequence[int]) -> Region | None:
        """Return the voxels that hold some points, given in voxels; None where the stack holds none of them."""
        voxels = np.rint(np.asarray(points, np.float64).reshape(-1, 3)).astype(np.int64)
        voxels = voxels[np.all((voxels >= 0) & (voxels < shape), axis=1)]
        if not len(voxels):
            return None
        box = drawable(Box.between(voxels.min(axis=0), voxels.max(axis=0) + 1))
        mask = np.zeros(box.shape, np.bool_)
        mask[tuple((voxels - box.start).T)] = True
        return cls(box, mask)

    def within(self, box: Box) -> NDArray[np.bool_]:
        """Return which voxels of another box belong to the region."""
        inside = np.zeros(box.shape, np.bool_)
        both = self.box.overlap(box)
        if both.size:
            inside[both.shifted([-n for n in box.start]).slices] = self.mask[
                both.shifted([-n for n in self.box.start]).slices
            ]
        return inside


def drawable(box: Box) -> Box:
    """Return the box, or refuse one that is too large to draw in."""
    if box.size > LARGEST:
        raise ScutoidError(
            "This is too large to draw in one go",
            f"it spans {' x '.join(map(str, box.shape))} voxels",
            "draw it in parts, or use the tools for whole cells",
        )
    return box


def voxel_at(point: Sequence[float], shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the voxel that holds a place; a place beside the stack is refused."""
    z, y, x = (math.floor(c + 0.5) for c in point)
    if not all(0 <= i < n for i, n in zip((z, y, x), shape, strict=True)):
        raise ScutoidError(
            "This place cannot be used",
            f"({z}, {y}, {x}) lies beside the stack of {' x '.join(map(str, shape))} voxels",
            "click inside the stack",
        )
    return z, y, x


def piece_at(
    scene: Scene, voxel: tuple[int, int, int], belongs: Callable[[Box], NDArray[np.bool_]], first: int = 32
) -> Region | None:
    """Return the voxels that hang together through faces with the one given; None where they are too many.

    A box around the voxel is doubled until the piece ends inside it, so that only the piece's surroundings are read.

    Parameters
    ----------
    scene : Scene
    voxel : tuple of 3 ints
        Where the piece is.
    belongs : callable
        Takes a box, and returns which of its voxels may belong to the piece.
    first : int
        Edge of the first box, in voxels.
    """
    import cc3d

    edge = first
    while True:
        box = Box.around(voxel, (edge,) * 3, scene.shape)
        if box.size > LARGEST:
            return None
        here = tuple(i - n for i, n in zip(voxel, box.start, strict=True))
        pieces: NDArray[Any] = cc3d.connected_components(belongs(box).view(np.uint8), connectivity=6)
        mask = (pieces == pieces[here]) & (pieces[here] > 0)
        inner = Box.of(mask)
        if inner is None:
            return None
        found = inner.shifted(box.start)
        if not _is_cut(found, box, scene.shape):
            return Region(found, mask[inner.slices])
        edge *= 2


def _is_cut(inner: Box, box: Box, shape: Sequence[int]) -> bool:
    """Whether a piece reaches a side of its box that is not also the stack's."""
    low = any(a == b > 0 for a, b in zip(inner.start, box.start, strict=True))
    return low or any(a == b < n for a, b, n in zip(inner.stop, box.stop, shape, strict=True))

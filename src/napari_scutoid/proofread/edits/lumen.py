"""Makes cells, background or voxels the lumen or the outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.edits.guards import LUMEN, OUTSIDE, Canvas, check_known, lumen_in, replaced
from napari_scutoid.proofread.edits.region import Region, piece_at, voxel_at
from napari_scutoid.proofread.scene import Guards

if TYPE_CHECKING:
    from napari_scutoid.box import Box
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.edits.guards import Target
    from napari_scutoid.proofread.scene import Scene

WHOLE = Guards(outside=True, lumen=True, other_cells=True)
"""What was pointed at is changed whatever it is, unless it is accepted."""

What = int | Region | tuple[float, float, float]
"""A cell's id, some voxels, or a place in voxels: the cell, the lumen or the enclosed background there."""


@dataclass(frozen=True, slots=True)
class SetLumen:
    """Make something the lumen.

    Parameters
    ----------
    what : int, Region or tuple of 3 floats
        A cell; some voxels; or a place, for the cell there or the piece of background that cells enclose there.
    """

    what: What

    def plan(self, scene: Scene) -> Change:
        """Return what makes it the lumen.

        Raises
        ------
        ScutoidError
            When it is an accepted cell, no cell, or background that reaches the stack's border.
        """
        region, name = _meant(scene, self.what, LUMEN)
        return _whole(scene, region, LUMEN, "set_lumen", f"Set {name} as lumen", self.what)

    def warning(self, scene: Scene) -> str | None:
        """Return what to ask before doing it: only some voxels can replace a cell that was not pointed at."""
        return replaced(scene, self.plan(scene)) if isinstance(self.what, Region) else None


@dataclass(frozen=True, slots=True)
class SetOutside:
    """Make something the outside: no cell, and no lumen.

    Parameters
    ----------
    what : int, Region or tuple of 3 floats
        A cell; some voxels; or a place, for the cell or the piece of lumen there.
    """

    what: What

    def plan(self, scene: Scene) -> Change:
        """Return what makes it the outside; errors as for `SetLumen`."""
        region, name = _meant(scene, self.what, OUTSIDE)
        return _whole(scene, region, OUTSIDE, "set_outside", f"Set {name} as outside", self.what)


def _whole(scene: Scene, region: Region, target: Target, kind: str, title: str, what: What) -> Change:
    canvas = Canvas(scene, region.box, WHOLE)
    canvas.paint(region.mask, target)
    told: dict[str, Any] = {}
    if isinstance(what, Region):
        told["voxels"] = int(np.count_nonzero(region.mask))
    else:
        told["what"] = int(what) if isinstance(what, int) else [float(c) for c in what]
    return canvas.change(kind, title, told)


def _meant(scene: Scene, what: What, target: Target) -> tuple[Region, str]:
    """Return the voxels that somebody pointed at, and what to call them."""
    if isinstance(what, Region):
        if not what.box.is_within(scene.shape):
            raise ValueError(f"a region at {what.box.start} of shape {what.box.shape} leaves {scene.shape}")
        return what, "some voxels"
    if isinstance(what, int):
        return _cell(scene, what)
    voxel = voxel_at(what, scene.shape)
    cell = int(scene.labels[voxel])
    if cell:
        return _cell(scene, cell)
    is_lumen = scene.lumen is not None and bool(scene.lumen[voxel])
    if is_lumen == (target == LUMEN):
        raise ScutoidError(
            "Nothing was changed", f"this is {'lumen' if is_lumen else 'outside'} already", "click elsewhere"
        )
    if is_lumen:
        piece = piece_at(scene, voxel, lambda box: lumen_in(scene, box).copy())
        if piece is None:
            raise ScutoidError(
                "The lumen here cannot be taken away", "it is too large for a click", "erase it in parts"
            )
        return piece, "the lumen here"
    piece = piece_at(scene, voxel, lambda box: (scene.labels[box.slices] == 0) & ~lumen_in(scene, box))
    if piece is None:
        raise ScutoidError(
            "The background here cannot be set as lumen",
            "cells do not enclose it, or it is too large for a click",
            "have the lumen proposed, draw it, or close the tissue first",
        )
    if _reaches_border(piece.box, scene):
        raise ScutoidError(
            "The background here cannot be set as lumen",
            "cells do not enclose it: it reaches the stack's border",
            "have the lumen proposed, draw it, or close the tissue first",
        )
    return piece, "the background here"


def _cell(scene: Scene, cell: int) -> tuple[Region, str]:
    box = scene.index.box(check_known(scene, cell))
    return Region(box, scene.labels[box.slices] == cell), f"cell {cell}"


def _reaches_border(box: Box, scene: Scene) -> bool:
    return 0 in box.start or any(stop == n for stop, n in zip(box.stop, scene.shape, strict=True))

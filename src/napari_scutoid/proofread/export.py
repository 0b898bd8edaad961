"""Corrected labels for other programs: on the stack's own grid, and as the laboratory's MATLAB scripts name them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.mat_write import Mat73Writer
from napari_scutoid.io.output import Output
from napari_scutoid.io.save import writer_for
from napari_scutoid.proofread.change import UNTOUCHED
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.saving import refuse_base, refuse_stack
from napari_scutoid.steps.resnap import Resnapped
from napari_scutoid.volume import Labels, Volume

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.saving import Corrected

_LABORATORY: Mapping[str, str] = {"label": "labelledImage", "lumen": "lumenImage"}
_SMALLEST_ID = np.dtype(np.uint16)
"""In a MATLAB script, ``max(labelledImage(:)) + 1`` would stay 255 in 8 bits, and give a new cell another's id.

There is always room for one more, so that 65535 does not stay either."""


def export_corrected(
    path: str | Path,
    made: Corrected,
    index: CellIndex | None = None,
    *,
    stack: Volume | None = None,
) -> Steps[None]:
    """Write corrected labels for other programs; the file appears whole or not at all.

    Parameters
    ----------
    path : path
        Any format that can be written. The arrays are ``label`` and ``lumen``. A ``.mat`` holds what the laboratory's
        scripts load instead: ``labelledImage`` of 16 or 32 bits and the logical ``lumenImage``, both (y, x, z);
        ``validCells`` and ``noValidCells``, rows of doubles; and, where the voxel size is known and the same along y
        and x, ``pixelScale`` and ``zScale``. Without a lumen, ``lumenImage`` is false everywhere.
    made : Corrected
        What to write. Cells count as not valid where somebody said so.
    index : CellIndex, optional
        Of these labels; made where it is not given.
    stack : Volume, optional
        The image on the stack's own grid, where the labels are on a coarser one: they are brought to its shape, and
        their boundaries moved to its membranes (see `Resnapped`). Those of accepted cells too: what was found right
        is right to within a coarse voxel, and no boundary moves farther.

    Yields
    ------
    Progress
        At least once a block.

    Raises
    ------
    ScutoidError
        When it cannot be written, is the file of the labels or of the stack, or the stack is coarser than the labels.
    """
    target = Path(path)
    refuse_base(target, made.base)
    if stack is not None:
        refuse_stack(target, stack)
    if stack is not None and any(n > m for n, m in zip(made.labels.shape, stack.shape, strict=True)):
        raise ScutoidError(
            "The labels cannot be brought to the stack's own grid",
            f"they have {' x '.join(map(str, made.labels.shape))} voxels and the stack only "
            f"{' x '.join(map(str, stack.shape))}: it would have to be the finer one",
            "choose the stack that the labels were made from, or save them on their own grid",
        )
    writer = writer_for(target)
    if index is None:
        index = yield from CellIndex.build(made.labels)
    cells = index.cells.tolist()
    dropped = [cell for cell in cells if not made.states.get(cell, UNTOUCHED).valid]
    outputs = _outputs(made, stack, int(max(cells, default=0)))
    if isinstance(writer, Mat73Writer):
        lacking = {} if "lumen" in outputs else {"lumen": _no_lumen(outputs["label"])}
        outputs = {_LABORATORY[name]: output for name, output in (outputs | lacking).items()}
        writer = Mat73Writer({"validCells": sorted(set(cells) - set(dropped)), "noValidCells": dropped})
    told: dict[str, Any] = {**made.provenance(), "not_valid": dropped, "cells": len(cells)}
    if stack is not None and stack.shape != made.labels.shape:
        told["resnapped"] = {"from": list(made.labels.shape), "to": list(stack.shape)}
    yield from writer.write(target, outputs, told)


def _outputs(made: Corrected, stack: Volume | None, largest: int) -> dict[str, Output]:
    dtype = np.promote_types(np.min_scalar_type(largest + 1), _SMALLEST_ID)
    if stack is None or stack.shape == made.labels.shape:
        outputs = {"label": Output(made.labels, dtype, made.grid, "labels")}
        if made.lumen is not None:
            outputs["lumen"] = Output(made.lumen, np.dtype(np.uint8), made.grid, "mask")
        return outputs
    labels = Resnapped(Labels(made.labels, lumen=made.lumen), stack)
    grid = Volume(labels, stack.voxel_size_um, stack.origin_um, source=made.grid.source, history=made.grid.history)
    outputs = {"label": Output(labels, dtype, grid, "labels")}
    if made.lumen is not None:
        outputs["lumen"] = Output(labels.lumen, np.dtype(np.uint8), grid, "mask")
    return outputs


def _no_lumen(label: Output) -> Output:
    nothing = np.broadcast_to(np.zeros(1, np.uint8), label.shape)
    return Output(nothing, np.dtype(np.uint8), label.grid, "mask")

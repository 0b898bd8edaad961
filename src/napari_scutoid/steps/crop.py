"""A box cut out of a stack or its labels, read piece by piece where the data is lazy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.progress import Progress
from napari_scutoid.steps.slabs import z_slabs
from napari_scutoid.volume import Labels, Origin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike, Volume

Box = tuple[slice, slice, slice]
"""Along z, y, x; with start and stop, without a step."""


def box_within(shape: Sequence[int], slices: Sequence[slice]) -> Box:
    """Return slices with open ends and negative numbers resolved, as NumPy does.

    Parameters
    ----------
    shape : sequence of 3 ints
        Of the stack.
    slices : sequence of 3 slices
        Along z, y, x; no steps.

    Raises
    ------
    ValueError
        When there are not three slices, one has a step, or the box is empty.
    """
    if len(slices) != 3 or any(part.step not in (None, 1) for part in slices):
        raise ValueError(f"slices must be three slices (z, y, x) without a step, not {tuple(slices)}")
    bounds = [part.indices(n)[:2] for part, n in zip(slices, shape, strict=True)]
    if any(stop <= start for start, stop in bounds):
        raise ValueError(f"slices {tuple(slices)} hold no voxel of a volume of shape {tuple(shape)}")
    z, y, x = (slice(start, stop) for start, stop in bounds)
    return z, y, x


def cropping(volume: Volume, slices: Sequence[slice]) -> Steps[Volume]:
    """Cut a box out of a volume as a job that reports progress and can be cancelled; the origin moves with it.

    Parameters
    ----------
    volume : Volume
        Lazy data is read inside the box only, some slices at a time.
    slices
        As for `box_within`, with its errors.

    Returns
    -------
    Volume
        With data of its own.
    """
    box = box_within(volume.shape, slices)
    data = yield from _reading(volume.data, box)
    return volume.with_data(data, _note(box), origin_um=_origin(volume, box))


def cropping_labels(labels: Labels, slices: Sequence[slice]) -> Steps[Labels]:
    """Do to labels, and their lumen, what `cropping` does to a volume."""
    box = box_within(labels.shape, slices)
    data = yield from _reading(labels.data, box)
    lumen = None if labels.lumen is None else labels.lumen[box].copy()
    return replace(
        labels, data=data, lumen=lumen, origin_um=_origin(labels, box), history=(*labels.history, _note(box))
    )


def _reading(data: ArrayLike, box: Box) -> Steps[NDArray[Any]]:
    z, y, x = box
    result = np.empty([part.stop - part.start for part in box], data.dtype.newbyteorder("="))
    for slab in z_slabs(data):
        start, stop = max(slab.start, z.start), min(slab.stop, z.stop)
        if start < stop:
            result[start - z.start : stop - z.start] = data[start:stop, y, x]
            yield Progress("Cutting out the box", stop - z.start, len(result))
    return result


def _origin(grid: Volume | Labels, box: Box) -> Origin:
    steps = grid.voxel_size_um or (1.0, 1.0, 1.0)
    return Origin(*(o + part.start * step for o, part, step in zip(grid.origin_um, box, steps, strict=True)))


def _note(box: Box) -> str:
    return "cropped to " + ", ".join(f"{part.start}:{part.stop}" for part in box)

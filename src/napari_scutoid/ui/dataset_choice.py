"""Which data sets of a file can be opened, and which are chosen before the user has said anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.io.guess import of_kind
from napari_scutoid.ui.remembered import Layout, Opened

if TYPE_CHECKING:
    from napari_scutoid.io.format import DatasetInfo, FileInfo


def stack_problem(dataset: DatasetInfo) -> str | None:
    """Return why a data set cannot be opened as a stack, or None."""
    shape = " × ".join(str(length) for length in dataset.shape)
    if dataset.dtype.startswith("complex"):
        return f"“{dataset.path}” holds complex numbers: save their magnitude."
    if "Q" in dataset.axes:
        return f"“{dataset.path}” has too many axes ({shape}): choose one with three (z, y, x)."
    if "C" in dataset.axes and "Z" not in dataset.axes and "T" not in dataset.axes:
        return f"“{dataset.path}” is one colour picture ({shape}); a stack has three axes (z, y, x)."
    if len(dataset.shape) < 3:
        return f"“{dataset.path}” is one picture ({shape}); a stack has three axes (z, y, x)."
    return None


def guess(info: FileInfo) -> Opened:
    """Return the first image and the labels that fit it; the labels alone where there is no image."""
    usable = [one for one in info.datasets if stack_problem(one) is None]
    image = next(iter(of_kind(usable, "image")), None)
    labels = [one for one in of_kind(usable, "labels") if image is None or _extents(one) == _extents(image)]
    return Opened(image=image.path if image else None, labels=labels[0].path if labels else None)


def is_plain(info: FileInfo) -> bool:
    """Whether there is nothing to choose: one image, perhaps its labels, no channels, no doubt about the axes."""
    opened = guess(info)
    kinds = [one.guess for one in info.datasets]
    image = next((one for one in info.datasets if one.path == opened.image), None)
    return (
        image is not None
        and kinds.count("image") == 1
        and kinds.count("labels") == (opened.labels is not None)
        and image.axes_hint is None
        and math.prod(image.shape) == math.prod(_extents(image))
    )


def layout_of(info: FileInfo) -> Layout | None:
    """Return what the file has in common with others of its kind."""
    return Layout.of(info.format, ((one.path, len(one.shape)) for one in info.datasets))


def extent(dataset: DatasetInfo, axes: str) -> tuple[int, int, int]:
    """Return the voxels along z, y, x of a data set whose axes are named so."""
    lengths = dict(zip(axes, dataset.shape, strict=True))
    return lengths.get("Z", 1), lengths.get("Y", 1), lengths.get("X", 1)


def nbytes(dataset: DatasetInfo, axes: str) -> int:
    """Return the bytes of one channel of one time point in memory."""
    itemsize = 4 if dataset.full_scale is not None else np.dtype(dataset.dtype).itemsize
    return math.prod(extent(dataset, axes)) * itemsize


def _extents(dataset: DatasetInfo) -> tuple[int, int, int]:
    return extent(dataset, dataset.axes)

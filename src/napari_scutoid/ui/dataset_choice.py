"""Which data sets of a file can be opened, and which are chosen before the user has said anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.io.guess import last_name, of_kind
from napari_scutoid.ui.remembered import Layout, Opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_scutoid.io.format import DatasetInfo, FileInfo

WALLS, TISSUE = "boundary", "foreground"
"""Maps of probabilities that this program writes beside labels."""
_WRITTEN = ("u1", "f4")
ONE_EXTENT = 0.75
"""Of a coarse voxel: data sets whose ends differ by less cover one extent, as a working grid has whole voxels."""


def stack_problem(dataset: DatasetInfo) -> str | None:
    """Return why a data set cannot be opened as a stack, or None."""
    shape = _lengths(dataset.shape)
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
    """Return the first image, the labels that fit it, or any where there is no image, and their map of walls."""
    usable = [one for one in info.datasets if stack_problem(one) is None]
    image = next(iter(of_kind(usable, "image")), None)
    fitting = (one for one in of_kind(usable, "labels") if image is None or _extents(one) == _extents(image))
    labels = next(fitting, None)
    return Opened(image=_path(image), labels=_path(labels), walls=_path(_walls_of(labels, usable)))


def size_problem(
    image: DatasetInfo | None,
    labels: DatasetInfo | None,
    walls: DatasetInfo | None,
    axes_of: Callable[[DatasetInfo], str],
) -> str | None:
    """Return why data sets cannot lie over each other, or None; only a map of walls may have voxels of its own."""
    if image is not None and labels is not None:
        grids = extent(image, axes_of(image)), extent(labels, axes_of(labels))
        if grids[0] != grids[1]:
            if is_map(image, WALLS):
                return f"“{image.path}” has voxels of its own, not those of the labels: tick it under Walls."
            sizes = " and ".join(map(_lengths, grids))
            return f"Image and labels are not of one size ({sizes}): tick others, or no labels."
    below = labels or image
    if walls is not None and below is not None and not lies_over(walls, below, (axes_of(walls), axes_of(below))):
        what = "labels" if labels is not None else "image"
        return f"The walls do not cover the same space as the {what}, by the voxel sizes in the file: tick no walls."
    return None


def is_map(dataset: DatasetInfo, name: str) -> bool:
    """Whether a data set is the map of probabilities of this name, as this program writes it."""
    if last_name(dataset.path) != name:
        return False
    return dataset.full_scale is not None or np.dtype(dataset.dtype).str[1:] in _WRITTEN


def lies_over(one: DatasetInfo, other: DatasetInfo, axes: tuple[str, str] | None = None) -> bool:
    """Whether two data sets cover one extent, whatever their voxels; taken to where either states no voxel size.

    Parameters
    ----------
    one, other : DatasetInfo
    axes : (str, str), optional
        Names of their axes, where they were given.
    """
    names = axes or (one.axes, other.axes)
    sizes = one.voxel_size_with(names[0]), other.voxel_size_with(names[1])
    if sizes[0] is None or sizes[1] is None:
        return True
    along = zip(extent(one, names[0]), sizes[0], extent(other, names[1]), sizes[1], strict=True)
    return all(abs(n * edge - m * step) <= ONE_EXTENT * max(edge, step) for n, edge, m, step in along)


def tissue_of(walls: DatasetInfo, datasets: Iterable[DatasetInfo]) -> DatasetInfo | None:
    """Return the map of tissue that was written with a map of walls, or None."""
    found = (
        one
        for one in datasets
        if is_map(one, TISSUE) and _are_one_result(one, walls) and (one.shape, one.axes) == (walls.shape, walls.axes)
    )
    return next(found, None)


def _walls_of(labels: DatasetInfo | None, usable: list[DatasetInfo]) -> DatasetInfo | None:
    """Return the map of walls that labels were made with, or None."""
    maps = [one for one in usable if is_map(one, WALLS)]
    is_clear = len(maps) == len(of_kind(usable, "labels")) == 1
    for one in maps:
        if labels is not None and lies_over(one, labels) and (is_clear or _are_one_result(one, labels)):
            return one
    return None


def _are_one_result(one: DatasetInfo, other: DatasetInfo) -> bool:
    """Whether two data sets are in the same folder of a file, which may hold the results of several stacks.

    In OME-Zarr, labels are in a folder of their own within it.
    """
    folders = ("/" + dataset.path.lstrip("/").rpartition("/")[0] for dataset in (one, other))
    first, second = (folder.removesuffix("/labels") or "/" for folder in folders)
    return first == second


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


def _path(dataset: DatasetInfo | None) -> str | None:
    return None if dataset is None else dataset.path


def _lengths(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape))


def _extents(dataset: DatasetInfo) -> tuple[int, int, int]:
    return extent(dataset, dataset.axes)

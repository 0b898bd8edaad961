"""What an array in a file probably is: a stack, cell labels, a mask, or something else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from napari_scutoid.io.format import DatasetInfo, Kind, StoredArray
    from napari_scutoid.volume import ArrayLike

LABORATORY_NAMES: Mapping[str, Kind] = {
    "imageSequenceInterpolated": "image",
    "labelledImage3D": "labels",
    "labelledImage": "labels",
    "lumenImage": "mask",
}

COMMON_NAMES: Mapping[str, Kind] = {
    "raw": "image",
    "image": "image",
    "label": "labels",
    "labels": "labels",
    "lumen": "mask",
    "mask": "mask",
    "semantic_target": "other",
    "foreground": "other",
    "boundary": "other",
}

# The first that fits decides: `not_segmented_target` is a target, no segmentation.
_HINTS: tuple[tuple[str, Kind, str], ...] = (
    (r"target|bound|prob|distance", "other", "a training target or a probability"),
    (r"mask|lumen", "mask", "a mask"),
    (r"label|segmentation|instance", "labels", "labels"),
)

SMALLEST_SIDE = 8
"""Fewer rows or columns than this are a table, not a picture."""

EQUAL_NEIGHBOURS = 0.75
"""Labels are flat inside a cell: above this share of equal neighbours, whole numbers are taken for labels."""

_SIDE = 256


def guess(array: StoredArray, opened: Callable[[], ArrayLike]) -> tuple[Kind, str]:
    """Guess what an array is, by its name, else by its header, else by a few of its voxels.

    Parameters
    ----------
    array : StoredArray
        Its header.
    opened : callable
        Returns the array in napari's order; called only where name and header do not tell, and then read only for a
        few hundred rows and columns.

    Returns
    -------
    kind : {"image", "labels", "mask", "other"}
        The guess.
    reason : str
        Why, in words.
    """
    name = last_name(array.path)
    if name in LABORATORY_NAMES:
        return _by_name(LABORATORY_NAMES[name])
    if array.dtype.kind == "c":
        return "other", "it holds complex numbers"
    if name.lower() in COMMON_NAMES:
        return _by_name(COMMON_NAMES[name.lower()])
    if array.stated_kind is not None:
        return array.stated_kind, "the file says so"
    if array.full_scale is not None:
        return "other", "it holds probabilities"
    if "Q" in array.axes:
        return "other", f"it has {len(array.shape)} axes"
    if min(array.shape[array.axes.index("Y")], array.shape[array.axes.index("X")]) < SMALLEST_SIDE:
        return "other", "too few rows or columns for a picture"
    if array.dtype.kind == "b":
        return "mask", "it is true or false"
    for pattern, kind, meaning in _HINTS:
        if re.search(pattern, name, re.IGNORECASE):
            return kind, f"its name reads like {meaning}"
    if not array.cheap_to_sample:
        return "image", "numbers of any kind (not looked at, for its size)"
    return _by_content(_sample(array, opened()))


def is_laboratory_name(path: str) -> bool:
    """Whether a data set carries one of the laboratory's own names."""
    return last_name(path) in LABORATORY_NAMES


def of_kind(infos: Iterable[DatasetInfo], kind: Kind) -> list[DatasetInfo]:
    """Return the data sets that look like a kind: only those with the laboratory's own names where there are any."""
    found = [info for info in infos if info.guess == kind]
    return [info for info in found if is_laboratory_name(info.path)] or found


def last_name(path: str) -> str:
    """Return a path's last part, without the number of an element in a MATLAB cell array."""
    return re.sub(r"\{\d+\}$", "", path.rsplit("/", 1)[-1])


_PLURAL: Mapping[Kind, str] = {
    "image": "an image",
    "labels": "labels",
    "mask": "a mask",
    "other": "a training target or a probability",
}


def _by_name(kind: Kind) -> tuple[Kind, str]:
    return kind, f"its name is usual for {_PLURAL[kind]}"


def _sample(array: StoredArray, data: ArrayLike) -> list[NDArray[np.generic]]:
    """Read the middle of three planes, at a quarter, half and three quarters of the other axes."""
    planes = []
    for quarter in (1, 2, 3):
        key = []
        for axis, length in zip(array.axes, array.shape, strict=True):
            side = min(length, _SIDE if axis in "YX" else 1)
            start = (length - side) * quarter // 4 if side == 1 else (length - side) // 2
            key.append(slice(start, start + side))
        block = data[tuple(key)]
        in_plane = tuple(array.axes.index(axis) for axis in "YX")
        planes.append(np.moveaxis(block, in_plane, (-2, -1)).reshape(block.shape[in_plane[0]], -1))
    return planes


def _by_content(planes: list[NDArray[np.generic]]) -> tuple[Kind, str]:
    values = np.unique(np.concatenate([plane.ravel() for plane in planes]))
    if values.size == 1:
        return "other", f"every voxel looked at is {values[0]}"
    if values.dtype.kind == "f" and not np.array_equal(values, np.trunc(values)):
        return "image", "it holds fractions"
    if values.size == 2 and values[0] == 0:
        return "mask", f"every voxel looked at is 0 or {values[1]}"
    pairs = equal = 0
    for plane in planes:
        for one, other in ((plane[1:], plane[:-1]), (plane[:, 1:], plane[:, :-1])):
            inside = (one != 0) | (other != 0)
            pairs += int(np.count_nonzero(inside))
            equal += int(np.count_nonzero((one == other) & inside))
    share = equal / pairs if pairs else 0.0
    if values[0] >= 0 and share > EQUAL_NEIGHBOURS:
        return "labels", f"whole numbers, and {share:.0%} of the neighbours looked at are equal"
    return "image", f"neighbouring voxels differ ({share:.0%} of those looked at are equal)"

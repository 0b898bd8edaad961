"""The insides of cells, which is what the laboratory's networks were trained to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.metrics.classes import foreground_scores
from napari_scutoid.metrics.overlaps import check_shapes, count_overlaps
from napari_scutoid.metrics.slabs import slabs
from napari_scutoid.volume import as_label_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


def semantic_iou(labels: NDArray[Any], target: NDArray[Any]) -> float:
    """Return the IoU of the insides of the cells and a training target of the laboratory.

    Parameters
    ----------
    labels : ndarray of integers
        One id per cell, 0 elsewhere.
    target : ndarray, same shape
        0 background and boundary, else the inside of a cell.

    Raises
    ------
    ValueError
        When shapes differ or the labels are not whole, non-negative numbers.
    """
    check_shapes(target, labels, "target")
    return foreground_scores(count_overlaps(cell_insides(as_label_array(labels)), as_insides(target)))[0]


def cell_insides(labels: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Return the seed project's training target: 1 in cells without their outer boundaries, else 0."""
    from skimage.segmentation import find_boundaries

    inside = np.zeros(labels.shape, dtype=np.uint8)
    for slab, core in slabs(labels.shape, halo=1):
        here = labels[slab]
        boundary = find_boundaries(here, mode="outer", connectivity=min(3, labels.ndim))  # type: ignore[no-untyped-call]
        inside[slab][core] = ((here > 0) & ~boundary)[core]
    return inside


def as_insides(target: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 1 where a training target is above 0, else 0."""
    return (np.asarray(target) > 0).view(np.uint8)

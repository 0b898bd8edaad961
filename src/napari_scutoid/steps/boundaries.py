"""Boundaries between labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps

BoundaryMode = Literal["inner", "outer", "thick"]


def find_boundaries(
    labels: NDArray[Any], *, mode: BoundaryMode = "outer", connectivity: Literal[1, 2, 3] = 3
) -> NDArray[np.bool_]:
    """Mark the voxels at which labels meet each other or the background.

    Results are those of `skimage.segmentation.find_boundaries`, which is fast enough to be called directly; only the
    defaults differ: they are those with which the laboratory separates touching cells in its training targets.

    Parameters
    ----------
    labels : ndarray of integers
        One id per cell, background 0; two or three axes.
    mode : {"inner", "outer", "thick"}
        Inner: the outermost voxels of each cell. Outer: the background voxels around cells, and the outermost voxels
        of cells that touch another cell. Thick: both sides of each boundary.
    connectivity : {1, 2, 3}
        Neighbours considered: through faces (1), also edges (2), also corners (3); at most the number of axes.

    Returns
    -------
    ndarray of bool, same shape

    Raises
    ------
    ValueError
        When the labels are not integer, or mode or connectivity is not one of the above.

    Examples
    --------
    >>> import numpy as np
    >>> find_boundaries(np.array([[0, 1, 1, 1, 2, 2, 2, 0]]), mode="inner", connectivity=1).astype(int)
    array([[0, 1, 0, 1, 1, 0, 1, 0]])
    """
    from skimage.segmentation import find_boundaries as reference

    array = np.asarray(labels)
    if array.dtype.kind not in "biu":
        raise ValueError(f"labels must be integer, not {array.dtype}")
    if mode not in ("inner", "outer", "thick"):
        raise ValueError(f"mode must be 'inner', 'outer' or 'thick', not {mode!r}")
    if connectivity not in range(1, array.ndim + 1):
        raise ValueError(f"connectivity must be 1 to {array.ndim} for shape {array.shape}, not {connectivity}")
    boundaries: NDArray[np.bool_] = reference(array, connectivity=connectivity, mode=mode, background=0)  # type: ignore[no-untyped-call]
    return boundaries


def finding_boundaries(labels: NDArray[Any], **how: Any) -> Steps[NDArray[np.bool_]]:
    """Do as `find_boundaries`, slab by slab: the same result with the memory of one slab.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
    **how
        As for `find_boundaries`.

    Yields
    ------
    Progress
        Once a slab.
    """
    found = np.empty(labels.shape, np.bool_)
    depth = labels.shape[0]
    for start in range(0, depth, _SLAB):
        yield Progress("Finding boundaries", start, depth)
        stop = min(start + _SLAB, depth)
        first = max(0, start - 1)  # a voxel's mark depends on the planes beside it
        found[start:stop] = find_boundaries(labels[first : stop + 1], **how)[start - first : stop - first]
    return found


_SLAB = 8

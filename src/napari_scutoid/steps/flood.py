"""Seeded watershed: the one place that knows the implementations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Backend = Literal["compiled", "bioimage-cpp", "scikit-image"]

_MOST_IDS = 1 << 31


def flood(
    height: NDArray[np.float32], seeds: NDArray[np.uint32], mask: NDArray[np.bool_], backend: Backend = "compiled"
) -> NDArray[np.uint32]:
    """Grow every seed uphill until it meets another, through faces and inside the mask only.

    Meyer's flooding [1]_. scikit-image is the reference. bioimage-cpp sorts heights into 65,536 levels and our compiled
    loops into 4,096, so voxels of nearly equal height may be taken in another order and a few voxels along a boundary
    can differ.

    Parameters
    ----------
    height : ndarray of float32, shape (z, y, x)
        High on the walls.
    seeds : ndarray of uint32, same shape
        Ids of the cells where they start, else 0. Seeds outside the mask are ignored.
    mask : ndarray of bool, same shape
        Where cells may grow.
    backend : {"compiled", "bioimage-cpp", "scikit-image"}
        Implementation. The compiled one has no room for ids from 2**31 on, and leaves them to bioimage-cpp.

    Returns
    -------
    ndarray of uint32, same shape
        0 outside the mask and where no seed can reach.

    References
    ----------
    .. [1] F. Meyer (1991), Un algorithme optimal pour la ligne de partage des eaux, 8me congrès RFIA.
    """
    if not height.shape == seeds.shape == mask.shape:
        raise ValueError(f"height, seeds and mask differ in shape: {height.shape}, {seeds.shape}, {mask.shape}")
    if backend == "compiled" and seeds.max(initial=0) < _MOST_IDS:
        from napari_scutoid.steps.flood_compiled import grown

        return grown(np.ascontiguousarray(height), np.ascontiguousarray(seeds), np.ascontiguousarray(mask))
    if backend != "scikit-image":
        from bioimage_cpp.segmentation import watershed

        cells: NDArray[np.uint32] = watershed(height, seeds, mask=mask)
        return cells
    from skimage.segmentation import watershed as reference

    found = reference(height, seeds.astype(np.int32), mask=mask, connectivity=1)  # type: ignore[no-untyped-call]
    return np.asarray(found, dtype=np.uint32)

"""Going through arrays too large to copy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

SLAB_VOXELS = 2**23


def slabs(shape: tuple[int, ...], halo: int = 0) -> Iterator[tuple[slice, slice]]:
    """Cut an array along its first axis into pieces of about `SLAB_VOXELS`.

    Parameters
    ----------
    shape : tuple of int
        Of the array.
    halo : int
        Planes of margin on either side, as far as the array reaches.

    Yields
    ------
    slab, core : slice
        Planes of a piece with its margin, and where the part without margin lies inside it.
    """
    length = shape[0] if shape else 0
    step = max(1, 4 * halo, SLAB_VOXELS // max(1, math.prod(shape[1:])))
    for start in range(0, length, step):
        low = max(0, start - halo)
        stop = min(length, start + step)
        yield slice(low, min(length, stop + halo)), slice(start - low, stop - low)

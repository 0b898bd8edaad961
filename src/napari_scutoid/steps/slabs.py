"""Reading a stack of any size piece by piece, along the chunks it is stored in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_scutoid.volume import ArrayLike

SLAB_BYTES = 16 * 2**20
LARGEST = 1e18
"""Largest intensity, whatever its sign, that is computed with: single precision holds its square and sums of such."""


def slabs(data: ArrayLike, max_bytes: int = SLAB_BYTES) -> Iterator[tuple[slice, slice]]:
    """Cut a stack into pieces of bounded size: ``data[z, y]`` holds whole rows along x.

    Pieces end where stored chunks end, so that no compressed chunk is decoded twice; a piece is therefore at least
    one row of chunks, even where that is larger than ``max_bytes``.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        The stack; a ``chunks`` attribute (h5py, zarr) is respected.
    max_bytes : int
        Upper bound for the bytes of a piece.

    Yields
    ------
    z, y : slice
        In order of increasing z, then y.
    """
    nz, ny, nx = data.shape
    chunk_z, chunk_y = _chunk_shape(data)
    row_bytes = nx * data.dtype.itemsize
    thickness = _multiple(chunk_z, max_bytes // (row_bytes * ny))
    height = ny
    if row_bytes * ny * min(thickness, nz) > max_bytes:
        height = _multiple(chunk_y, max_bytes // (row_bytes * min(thickness, nz)))
    for z in range(0, nz, thickness):
        for y in range(0, ny, height):
            yield slice(z, min(z + thickness, nz)), slice(y, min(y + height, ny))


def z_slabs(data: ArrayLike, max_bytes: int = SLAB_BYTES) -> Iterator[slice]:
    """Cut a stack into runs of whole z slices of bounded size, ending where stored chunks end.

    Parameters
    ----------
    data, max_bytes
        As for `slabs`; a run is at least one chunk thick.
    """
    nz, ny, nx = data.shape
    thickness = _multiple(_chunk_shape(data)[0], max_bytes // (ny * nx * data.dtype.itemsize))
    for z in range(0, nz, thickness):
        yield slice(z, min(z + thickness, nz))


def check_intensities(block: NDArray[Any], z: slice) -> None:
    """Refuse what cannot be computed with.

    Parameters
    ----------
    block : ndarray
        Intensities of some slices of a stack.
    z : slice
        Which slices these are.

    Raises
    ------
    ValueError
        When a voxel is NaN, infinite or beyond `LARGEST`.
    """
    if block.dtype.kind != "f" or max(-block.min(), block.max()) <= LARGEST:
        return
    what = f"intensities beyond {LARGEST:.0e}" if np.isfinite(block).all() else "NaN or infinite intensities"
    raise ValueError(f"data holds {what} (in slices {z.start} to {z.stop - 1})")


def _chunk_shape(data: ArrayLike) -> tuple[int, int]:
    chunks = getattr(data, "chunks", None)
    if isinstance(chunks, tuple) and len(chunks) == 3 and all(isinstance(n, int) and n > 0 for n in chunks):
        return min(chunks[0], data.shape[0]), min(chunks[1], data.shape[1])
    return 1, 1


def _multiple(unit: int, at_most: int) -> int:
    return unit * max(1, math.floor(at_most / unit))

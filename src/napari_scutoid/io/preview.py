"""Small grey pictures of a stack, from no more of its file than they need."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.io.local_copy import bytes_behind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.volume import ArrayLike

MOST_BYTES = 256 * 2**20
"""A picture that would cost more to read is not made."""

_MOST_SAMPLES = 64
_PRIME = 2_654_435_761


@dataclass(frozen=True, slots=True, eq=False)
class Sections:
    """Pictures of three planes through the middle of a stack, each None where it would cost too much.

    Parameters
    ----------
    xy, xz, yz : ndarray of uint8 or None
        Rows run along y, z and y; columns along x, x and z.
    """

    xy: NDArray[np.uint8] | None
    xz: NDArray[np.uint8] | None
    yz: NDArray[np.uint8] | None


def middle_slice(data: ArrayLike, side: int, *, labels: bool = False) -> NDArray[np.uint8] | None:
    """Return the middle slice as a picture.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        The stack; only this slice is read.
    side : int
        The picture's longest side, at most.
    labels : bool
        The numbers are ids: neighbouring ones get different greys.
    """
    z, y, x = data.shape
    return _picture(data, (z // 2, slice(None), slice(None)), max(1, math.ceil(max(y, x) / side)), labels=labels)


def sections(data: ArrayLike, side: int, *, labels: bool = False) -> Sections:
    """Return three planes through the middle, thinned along z where there are many slices; see `middle_slice`."""
    z, y, x = data.shape
    step = max(1, math.ceil(max(y, x) / side))
    # Of a stack stored slice by slice, each sample along z may cost a whole slice.
    along_z, every = slice(None, None, max(1, math.ceil(z / _MOST_SAMPLES))), slice(None)
    xz = _picture(data, (along_z, y // 2, every), (1, step), labels=labels)
    zy = _picture(data, (along_z, every, x // 2), (1, step), labels=labels)
    return Sections(middle_slice(data, side, labels=labels), xz, None if zy is None else zy.T)


def _picture(
    data: ArrayLike, key: tuple[int | slice, ...], step: int | tuple[int, int], *, labels: bool
) -> NDArray[np.uint8] | None:
    if bytes_behind(data, key) > MOST_BYTES:
        return None
    rows, columns = (step, step) if isinstance(step, int) else step
    plane = np.asarray(data[key])[::rows, ::columns]
    return _ids(plane) if labels else _greys(plane)


def _greys(plane: NDArray[Any]) -> NDArray[np.uint8]:
    numbers = plane.astype(np.float32)
    finite = numbers[np.isfinite(numbers)]
    low, high = np.percentile(finite, (1, 99.5)) if finite.size else (0.0, 0.0)
    if high <= low:
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    scaled = (np.nan_to_num(numbers) - low) / (high - low if high > low else 1.0)
    # The square root keeps membranes visible beside an apical line many times brighter.
    return (np.sqrt(np.clip(scaled, 0, 1)) * 255).astype(np.uint8)


def _ids(plane: NDArray[Any]) -> NDArray[np.uint8]:
    """Scatter ids over the greys; 0 stays black."""
    ids = np.nan_to_num(plane.astype(np.float64)).astype(np.int64)
    # Knuth's multiplicative hash.
    return np.where(ids == 0, 0, 64 + ids * _PRIME % 2**32 % 192).astype(np.uint8)

"""A piece of a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A piece of a grid; its slices are half-open, as NumPy's.

    Parameters
    ----------
    start, shape : tuple of 3 ints
        First voxel, and voxels along z, y, x.
    """

    start: tuple[int, int, int]
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, centre: Sequence[float], largest: Sequence[int], within: Sequence[int]) -> Box:
        """Return the box around a place, moved where it would leave a grid, and no larger than that."""
        z, y, x = (min(side, n) for side, n in zip(largest, within, strict=True))
        middle = zip(centre, (z, y, x), within, strict=True)
        first = [min(max(0, round(c - side / 2)), n - side) for c, side, n in middle]
        return cls((first[0], first[1], first[2]), (z, y, x))

    @classmethod
    def between(cls, start: Iterable[int], stop: Iterable[int]) -> Box:
        """Return the box from a first voxel to before another; a side that would be negative is 0."""
        z, y, x = (int(i) for i in start)
        depth, height, width = (max(0, int(j) - i) for i, j in zip((z, y, x), stop, strict=True))
        return cls((z, y, x), (depth, height, width))

    @classmethod
    def whole(cls, shape: Sequence[int]) -> Box:
        """Return all of a grid."""
        z, y, x = shape
        return cls((0, 0, 0), (int(z), int(y), int(x)))

    @classmethod
    def of(cls, mask: NDArray[Any]) -> Box | None:
        """Return the smallest box that holds all nonzero voxels; None where there is none."""
        first, last = [], []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            found = np.flatnonzero(mask.any(axis=others))
            if not len(found):
                return None
            first.append(int(found[0]))
            last.append(int(found[-1]) + 1)
        return cls.between(first, last)

    @property
    def stop(self) -> tuple[int, int, int]:
        """The voxel after the last, along z, y, x."""
        z, y, x = (first + n for first, n in zip(self.start, self.shape, strict=True))
        return z, y, x

    @property
    def size(self) -> int:
        """Voxels in it."""
        return math.prod(self.shape)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """What cuts it from an array."""
        z, y, x = (slice(first, stop) for first, stop in zip(self.start, self.stop, strict=True))
        return z, y, x

    def padded(self, by: int | Sequence[int], within: Sequence[int]) -> Box:
        """Return the box with that many voxels more on each side, as far as a grid goes."""
        more = np.broadcast_to(np.asarray(by, int), 3).tolist()
        start = (max(0, first - n) for first, n in zip(self.start, more, strict=True))
        stop = (min(end, last + n) for last, n, end in zip(self.stop, more, within, strict=True))
        return Box.between(start, stop)

    def union(self, other: Box) -> Box:
        """Return the smallest box that holds both."""
        start = map(min, self.start, other.start)
        return Box.between(start, map(max, self.stop, other.stop))

    def overlap(self, other: Box) -> Box:
        """Return what both hold; its size is 0 where that is nothing."""
        start = tuple(map(max, self.start, other.start))
        return Box.between(start, map(min, self.stop, other.stop))

    def shifted(self, by: Sequence[int]) -> Box:
        """Return the box moved by that many voxels along z, y, x."""
        z, y, x = (first + n for first, n in zip(self.start, by, strict=True))
        return Box((z, y, x), self.shape)

    def is_within(self, shape: Sequence[int]) -> bool:
        """Whether a grid holds all of it."""
        return all(first >= 0 and stop <= n for first, stop, n in zip(self.start, self.stop, shape, strict=True))

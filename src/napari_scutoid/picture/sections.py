"""Three sections through a stack, where there is most to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.volume import ArrayLike

Place: TypeAlias = tuple[int, int, int]

_RIGHT = "matched"


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Labels, and what is said about each of their cells.

    Parameters
    ----------
    labels : ndarray of uint32, shape (z, y, x)
        One id per cell, 0 elsewhere.
    verdicts : mapping of int to str
        For every id but 0, one of the names in `COLOURS`.
    """

    labels: NDArray[np.uint32]
    verdicts: Mapping[int, str]

    def count(self, verdict: str) -> int:
        """Return how many cells were judged so."""
        return sum(one == verdict for one in self.verdicts.values())


@dataclass(frozen=True, slots=True)
class Section:
    """A plane of a stack and how large it is drawn.

    Parameters
    ----------
    across, down, fixed : str
        The axes to the right and downwards, and the one that is cut: each of ``"z"``, ``"y"``, ``"x"``.
    index : int
        Where that one is cut.
    width, height : int
        Of the picture, in pixels.
    mark : tuple of float
        Pixel (across, down) at which the two other sections cut this one.
    """

    across: str
    down: str
    fixed: str
    index: int
    width: int
    height: int
    mark: tuple[float, float]

    @property
    def caption(self) -> str:
        """Say which plane it is, e.g. ``"XY at z = 4"``."""
        return f"{''.join(sorted((self.across, self.down))).upper()} at {self.fixed} = {self.index}"

    def cut(self, data: ArrayLike) -> NDArray[Any]:
        """Return the plane of a (z, y, x) array, in the array's own voxels, shape (down, across)."""
        key = tuple(self.index if axis == self.fixed else slice(None) for axis in "zyx")
        plane = np.asarray(data[key])
        return plane if "zyx".index(self.down) < "zyx".index(self.across) else plane.T

    def stretch(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return a plane in the picture's pixels, each that of the nearest voxel."""
        rows, columns = (
            np.minimum((np.arange(n) + 0.5) * length // n, length - 1).astype(np.intp)
            for n, length in zip((self.height, self.width), plane.shape[:2], strict=True)
        )
        wide: NDArray[Any] = plane[rows][:, columns]
        return wide


def sections(shape: Place, at: Place, spacing: Sequence[float], box: int) -> tuple[Section, Section, Section]:
    """Return the sections XY, XZ and YZ through a voxel, all to one scale.

    XZ is meant to lie under XY, YZ (with z to the right) beside it.

    Parameters
    ----------
    shape, at : tuple of int
        Voxels along z, y, x; the voxel.
    spacing : sequence of three numbers
        Its edges, of which only the ratio matters.
    box : int
        Pixels that the three need at most, down and across, if each has at least one.
    """
    lengths = [n * edge for n, edge in zip(shape, spacing, strict=True)]
    scale = box / (lengths[0] + max(lengths[1:]))
    pixels = {axis: max(1, round(length * scale)) for axis, length in zip("zyx", lengths, strict=True)}
    index = dict(zip("zyx", at, strict=True))
    marks = {axis: (index[axis] + 0.5) / n * pixels[axis] for axis, n in zip("zyx", shape, strict=True)}

    def section(across: str, down: str, fixed: str) -> Section:
        return Section(across, down, fixed, index[fixed], pixels[across], pixels[down], (marks[across], marks[down]))

    return section("x", "y", "z"), section("x", "z", "y"), section("z", "y", "x")


def telling_place(truth: Judged, prediction: Judged) -> Place:
    """Return for each axis the plane around which most voxels are wrong; where nothing is, most voxels of cells.

    Wrong is a voxel whose true or predicted cell is not matched. Of equal planes, the middle one.
    """
    judged = (truth, prediction)
    wrong = [np.array([i for i, one in side.verdicts.items() if one != _RIGHT], np.uint32) for side in judged]
    nothing_wrong = not any(ids.size for ids in wrong)
    counts = [np.zeros(length, np.int64) for length in truth.labels.shape]
    for z in range(truth.labels.shape[0]):
        marked = np.zeros(truth.labels.shape[1:], np.bool_)
        for side, ids in zip(judged, wrong, strict=True):
            marked |= side.labels[z] > 0 if nothing_wrong else np.isin(side.labels[z], ids)
        counts[0][z] = np.count_nonzero(marked)
        counts[1] += np.count_nonzero(marked, axis=1)
        counts[2] += np.count_nonzero(marked, axis=0)
    z, y, x = (_middle_of_most(count) for count in counts)
    return z, y, x


def _middle_of_most(count: NDArray[np.int64]) -> int:
    # With its neighbours, so that a stack's first plane, where cells are cut, wins only if the next are as wrong.
    window = count.size // 8 | 1
    around = np.convolve(count, np.ones(window, np.int64), mode="same")
    most = np.flatnonzero(around == around.max())
    return int(most[most.size // 2])

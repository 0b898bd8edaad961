"""What a cell's own voxels say of it, read from its box alone: what suspicion is made of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.proofread.inner_cut import NO_CUT, Cut, depth_in, strongest_cut, waist
from napari_scutoid.steps.walls import relative_spacing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.proofread.index import CellIndex
    from napari_scutoid.proofread.opinion import Opinion, Overlap
    from napari_scutoid.proofread.scene import Evidence, Scene
    from napari_scutoid.steps.walls import Unit

_ACROSS = 16
"""Voxels across a typical cell that are enough to judge it by."""
_MOST_VOXELS = 40**3
"""Larger boxes are looked at more coarsely still: what was left of the lumen, or ten cells merged into one."""
_LARGEST_READ = 2**22
_LITTLE = 0.25
_FREE_PATCH = 0.1
"""Share of a cell's free surface that a patch of it has at least."""

Step = tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a cell's own voxels say of it.

    Parameters
    ----------
    voxels : int
        On the labels' grid.
    mean : ndarray of float, shape (3,)
        Of its voxels' places, in equivalent voxels of the labels' grid.
    covariance : ndarray of float, shape (3, 3)
        Of these places, that of one voxel's extent included.
    cut, neck : Cut
        Where it would come apart by its inner walls, and by its shape.
    waist : float
        By how much two ellipsoids describe it better than one, in nat.
    seeds : tuple of two places, optional
        A voxel deep inside each side of the more probable cut, on the labels' grid.
    pieces : int
        Parts that do not touch, not even at corners.
    astray, holes : float
        Shares of its voxels outside the largest piece, and in spaces that it encloses.
    cap : float
        Area of its first or last slice, whichever is larger, over that of its widest; 0 where the stack ends there.
    inside, outline : float
        Mean boundary evidence deep inside and along its surface, 0 to 1.
    open : float
        Share of its surface where little speaks for a wall.
    faint : dict of int to float
        The evidence that a quarter of its face with each neighbour stays below: walls of other cells run along a face's
        rim, and would hide that its middle is none.
    free_patches : int
        Separate parts of its surface that look at no cell.
    apical, basal : bool
        Whether it looks at the lumen, and at what is neither cell nor lumen.
    brightness : float
        Mean intensity; NaN without an image.
    overlaps : tuple of Overlap
        What each second opinion has in its place.
    """

    voxels: int
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    cut: Cut
    neck: Cut
    waist: float
    seeds: tuple[tuple[int, int, int], tuple[int, int, int]] | None
    pieces: int
    astray: float
    holes: float
    cap: float
    inside: float
    outline: float
    open: float
    faint: dict[int, float]
    free_patches: int
    apical: bool
    basal: bool
    brightness: float
    overlaps: tuple[Overlap, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A cell's box on a coarser grid, with a margin of a voxel where the stack goes on: what edits may change of it.

    Parameters
    ----------
    cell, voxels : int
        Its id, and its voxels on the labels' grid.
    box, around : Box
        Where it lies, and what was read.
    step : tuple of 3 ints
        Voxels taken for one.
    labels, lumen : ndarray
        Copies; no lumen where there is none.
    picked : tuple of 3 slices
        Which voxels of `around` they are.
    """

    cell: int
    voxels: int
    box: Box
    around: Box
    step: Step
    labels: NDArray[np.uint32]
    lumen: NDArray[np.bool_] | None
    picked: tuple[slice, slice, slice]

    @property
    def inside(self) -> NDArray[np.bool_]:
        """Which voxels are the cell's."""
        inside: NDArray[np.bool_] = self.labels == self.cell
        return inside

    @property
    def places(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Where the voxels' middles lie on the labels' grid, by axis."""
        first, stop = self.around.start, self.around.stop
        z, y, x = (np.arange(a, b)[cut] for a, b, cut in zip(first, stop, self.picked, strict=True))
        return z, y, x


class _Piece(NamedTuple):
    """The same with what the image says."""

    labels: NDArray[np.uint32]
    boundary: NDArray[np.float32]
    image: NDArray[Any] | None
    lumen: NDArray[np.bool_] | None
    places: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]


def usual_step(index: CellIndex) -> Step:
    """Return how many voxels are taken for one, so that a typical cell is seen well enough and quickly."""
    if not len(index):
        return 1, 1, 1
    some = index.cells[:: max(1, len(index) // 500)].tolist()
    sides = np.median([index.box(cell).shape for cell in some], axis=0)
    z, y, x = (max(1, int(side / _ACROSS)) for side in sides)
    return z, y, x


def look_at(scene: Scene, cell: int, step: Step, opinions: tuple[Opinion, ...] = ()) -> Look:
    """Look at a cell; only its box is read.

    Parameters
    ----------
    scene : Scene
        The labels, what is known of them, and the evidence.
    cell : int
        One of the index.
    step : tuple of 3 ints
        From `usual_step`.
    opinions : tuple of Opinion
        What else was seen in the stack.
    """
    return look(see(scene, cell, step), scene, opinions)


def see(scene: Scene, cell: int, step: Step) -> Seen:
    """Copy what edits may change of a cell, quickly: they wait meanwhile. Parameters as for `look_at`."""
    box = scene.index.box(cell)
    seen = _seen(scene, cell, box, _coarse_enough(box, step))
    if seen.inside.any():
        return seen
    # So thin that the coarser grid misses it. Of stray voxels, as in other programs' labels, some are enough.
    return _seen(scene, cell, box if box.size <= _LARGEST_READ else _some_of(scene, cell, box), (1, 1, 1))


def look(seen: Seen, scene: Scene, opinions: tuple[Opinion, ...] = ()) -> Look:
    """Look at a cell as it was seen; of the scene, only what no edit changes counts."""
    inside, step = seen.inside, seen.step
    piece = _with_image(seen, scene.evidence)
    spacing = (scene.spacing[0] * step[0], scene.spacing[1] * step[1], scene.spacing[2] * step[2])
    unit = relative_spacing(spacing)
    mean, covariance = _moments(inside, piece, scene)
    largest, pieces, astray = _pieces(inside)
    if step == (1, 1, 1) and np.count_nonzero(inside) < seen.voxels:  # only some were seen
        pieces, astray = pieces + 1, 1.0 - float(np.count_nonzero(largest)) / seen.voxels
    cut = strongest_cut(largest, piece.boundary, unit)
    depth = depth_in(inside, unit)
    gain, neck = waist(largest, piece.boundary, unit, depth if largest is inside else None)
    better = cut if cut.evidence >= neck.evidence else neck
    apical, basal, patches = _free(inside, piece)
    deep, outline, open_ = _evidence(inside, piece, depth, unit)
    return Look(
        seen.voxels,
        mean,
        covariance,
        cut,
        neck,
        gain,
        _on_grid(better, piece),
        pieces,
        astray,
        _holes(inside),
        _cap(inside, seen.box, scene.shape[0]),
        deep,
        outline,
        open_,
        _faint(inside, piece),
        patches,
        apical,
        basal,
        math.nan if piece.image is None else float(piece.image[inside].mean()),
        tuple(opinion.under(inside, piece.places, math.prod(step)) for opinion in opinions),
    )


def _coarse_enough(box: Box, step: Step) -> Step:
    z, y, x = step
    while math.prod(-(-n // s) for n, s in zip(box.shape, (z, y, x), strict=True)) > _MOST_VOXELS:
        z, y, x = (2 * s if n // s > 8 else s for n, s in zip(box.shape, (z, y, x), strict=True))
    return z, y, x


def _some_of(scene: Scene, cell: int, box: Box) -> Box:
    """Return a small part of a cell's box that holds some of it, around the slice that has most."""
    planes = scene.labels[box.slices]
    z = int(np.argmax([np.count_nonzero(plane == cell) for plane in planes]))
    places = np.argwhere(planes[z] == cell)
    place = (z, *places[len(places) // 2].tolist())
    side = round(_MOST_VOXELS ** (1 / 3))
    return box.around(np.add(box.start, place).tolist(), (side,) * 3, scene.shape).overlap(box)


def _seen(scene: Scene, cell: int, box: Box, step: Step) -> Seen:
    around = box.padded(step, scene.shape)
    # Where an axis is too short for a middle, its first voxel stands for all.
    z, y, x = (slice(s // 2 if s // 2 < n else 0, None, s) for n, s in zip(around.shape, step, strict=True))
    labels = np.array(scene.labels[around.slices][z, y, x], order="C")
    lumen = None if scene.lumen is None else scene.lumen[around.slices][z, y, x].copy()
    return Seen(cell, scene.index.voxels(cell), box, around, step, labels, lumen, (z, y, x))


def _with_image(seen: Seen, evidence: Evidence) -> _Piece:
    image = evidence.image(seen.around) if seen.around.size <= _LARGEST_READ else None
    return _Piece(
        seen.labels,
        _boundary(evidence, seen.around, seen.step, seen.picked),
        None if image is None else image[seen.picked],
        seen.lumen,
        seen.places,
    )


def _boundary(evidence: Evidence, box: Box, step: Step, picked: tuple[slice, slice, slice]) -> NDArray[np.float32]:
    """Return the mean evidence in each coarse voxel, so that no thin wall falls between two; 0 to 1."""
    from scipy.ndimage import uniform_filter1d

    if box.size > _LARGEST_READ:  # as much as a cell can be wrong: single planes are enough to say so
        from napari_scutoid.box import Box as Piece

        planes = range(box.start[0] + (picked[0].start or 0), box.stop[0], step[0])
        rows = [Piece((z, *box.start[1:]), (1, *box.shape[1:])) for z in planes]
        found = np.concatenate([evidence.boundary(row)[(slice(None), *picked[1:])] for row in rows])
        return _as_share(found)
    found = evidence.boundary(box)
    for axis in (2, 1, 0):  # thinned out at once, so that the next axis has less to average
        along = tuple(picked[axis] if other == axis else slice(None) for other in range(3))
        found = found if step[axis] == 1 else uniform_filter1d(found, step[axis], axis, mode="nearest")
        found = found[along]
    return _as_share(found)


def _as_share(evidence: NDArray[np.uint8]) -> NDArray[np.float32]:
    share: NDArray[np.float32] = np.ascontiguousarray(evidence, np.float32)
    share /= np.float32(255)
    return share


def _moments(inside: NDArray[np.bool_], piece: _Piece, scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    unit = np.asarray(relative_spacing(scene.spacing))
    where = np.nonzero(inside)
    points = np.stack([axis[i] for axis, i in zip(piece.places, where, strict=True)], axis=1) * unit
    extent = [axis[1] - axis[0] if len(axis) > 1 else 1 for axis in piece.places]
    mean = points.mean(axis=0)
    centred = points - mean
    return mean, centred.T @ centred / len(points) + np.diag(np.square(extent * unit) / 12)


def _pieces(inside: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int, float]:
    """Return the largest piece, their number, and the share of the voxels in the others."""
    import cc3d

    found, n = cc3d.connected_components(inside.view(np.uint8), connectivity=26, return_N=True)
    if n < 2:
        return inside, 1, 0.0
    sizes = np.bincount(found.ravel())[1:]
    return found == 1 + int(np.argmax(sizes)), int(n), 1.0 - float(sizes.max() / sizes.sum())


def _holes(inside: NDArray[np.bool_]) -> float:
    """Return the share of what a cell holds and what it encloses that is not its own."""
    import cc3d

    outer = np.pad(~inside, 1, constant_values=True)
    found, n = cc3d.connected_components(outer.view(np.uint8), connectivity=6, return_N=True)
    if n < 2:
        return 0.0
    sizes = np.bincount(found.ravel())
    enclosed = int(sizes[1:].sum() - sizes[found[0, 0, 0]])
    return enclosed / (enclosed + int(np.count_nonzero(inside)))


def _cap(inside: NDArray[np.bool_], box: Box, depth: int) -> float:
    areas = inside.sum(axis=(1, 2))
    areas = areas[areas > 0]
    if len(areas) < 2:
        return 0.0
    ends = [areas[0] * (box.start[0] > 0), areas[-1] * (box.stop[0] < depth)]
    return float(max(ends) / areas.max())


def _free(inside: NDArray[np.bool_], piece: _Piece) -> tuple[bool, bool, int]:
    """Return whether a cell looks at the lumen and at the outside, and on how many separate patches at either."""
    import cc3d
    from scipy.ndimage import binary_dilation

    beside = binary_dilation(inside) & (piece.labels == 0)
    n = int(np.count_nonzero(beside))
    if not n:
        return False, False, 0
    found = cc3d.connected_components(beside.view(np.uint8), connectivity=26)
    sizes = np.bincount(found.ravel())[1:]
    patches = int(np.count_nonzero(sizes >= max(2, _FREE_PATCH * n)))
    if piece.lumen is None:
        return False, False, patches
    least = max(2, _FREE_PATCH * n)
    apical = int(np.count_nonzero(beside & piece.lumen))
    return apical >= least, n - apical >= least, patches


def _evidence(
    inside: NDArray[np.bool_], piece: _Piece, depth: NDArray[np.float32], unit: Unit
) -> tuple[float, float, float]:
    if not np.isfinite(depth).all():
        return float(piece.boundary.mean()), 0.0, 1.0
    surface = inside & (depth <= 1.01 * max(unit))
    deep = inside & (depth >= 0.5 * depth.max())
    along = piece.boundary[surface]
    return float(piece.boundary[deep].mean()), float(along.mean()), float((along < _LITTLE).mean())


def _faint(inside: NDArray[np.bool_], piece: _Piece) -> dict[int, float]:
    others, walls = [], []
    for axis in range(3):
        near = tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))
        far = tuple(slice(1, None) if i == axis else slice(None) for i in range(3))
        for here, there in ((near, far), (far, near)):
            meet = inside[here] & ~inside[there] & (piece.labels[there] > 0)
            others.append(piece.labels[there][meet])
            walls.append(0.5 * (piece.boundary[here][meet] + piece.boundary[there][meet]))
    other, wall = np.concatenate(others), np.concatenate(walls)
    order = np.lexsort((wall, other))
    ids, first, n = np.unique(other[order], return_index=True, return_counts=True)
    return dict(zip(ids.tolist(), wall[order][first + n // 4].tolist(), strict=True))


def _on_grid(cut: Cut, piece: _Piece) -> tuple[tuple[int, int, int], tuple[int, int, int]] | None:
    if cut is NO_CUT or cut.first is None or cut.second is None:
        return None
    first, second = (
        (int(piece.places[0][z]), int(piece.places[1][y]), int(piece.places[2][x]))
        for z, y, x in (cut.first, cut.second)
    )
    return first, second

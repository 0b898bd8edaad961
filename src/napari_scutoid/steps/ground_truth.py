"""What a network learns: targets made from labels, and where in a stack they are known.

Ignored voxels are those of which nobody has said what they are, as in a stack that is corrected only in part. A target
is valid where no ignored voxel, whatever it holds, could change it. The stack's own border is no boundary: a cell that
it cuts goes on behind it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_scutoid.steps.boundaries import find_boundaries
from napari_scutoid.steps.cell_table import numbered
from napari_scutoid.volume import VoxelSize, as_label_array

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Literal

    from numpy.typing import NDArray

    from napari_scutoid.steps.boundaries import BoundaryMode

    Ignore: TypeAlias = "int | NDArray[np.bool_] | None"
    """The id of ignored voxels, or a mask of them."""

ISOTROPIC = VoxelSize(1.0, 1.0, 1.0)
CUBE = (((True,) * 3,) * 3,) * 3
"""A voxel and its neighbours, corners included."""
SOFT = 1.0
"""Blur of the target ``soft_boundary``, in voxels of the finest axis."""
CORE = 0.5
"""Share of a cell's largest distance to other regions beyond which voxels are its core."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What one output of a network should be.

    Parameters
    ----------
    values : ndarray of bool or float32, shape (z, y, x)
        The right answer.
    valid : ndarray of bool, shape (z, y, x), or None
        Where it is known; None means everywhere. Elsewhere the values mean nothing.
    """

    values: NDArray[np.bool_] | NDArray[np.float32]
    valid: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Separation:
    """What becomes of cells when their boundaries are removed and the rest is taken apart into connected pieces.

    Parameters
    ----------
    n_before, n_after : int
        Connected pieces, corners included, before (of one id each) and after: the laboratory's check is their equality.
    vanished : tuple of int
        Ids of cells that are all boundary.
    merged : tuple of tuple of int
        Ids of cells that share a piece, for each piece that holds several.
    split : tuple of int
        Ids of cells in more pieces than before.
    """

    n_before: int
    n_after: int
    vanished: tuple[int, ...]
    merged: tuple[tuple[int, ...], ...]
    split: tuple[int, ...]


def foreground_target(labels: NDArray[Any], *, ignore: Ignore = None) -> Target:
    """Return all cells as one.

    Parameters
    ----------
    labels : ndarray of integers, shape (z, y, x)
        One id per cell, 0 elsewhere.
    ignore : int or ndarray of bool, shape (z, y, x), optional
        The id of ignored voxels, or a mask of them.

    Returns
    -------
    Target
        Values are bool.

    Raises
    ------
    ValueError
        When the labels have not three axes or are no whole, non-negative numbers (ignored voxels excepted), or the
        mask's shape differs.
    """
    cells, ignored = _known(labels, ignore)
    return Target(cells > 0, None if ignored is None else ~ignored)


def semantic_target(
    labels: NDArray[Any],
    mode: BoundaryMode = "outer",
    connectivity: Literal[1, 2, 3] = 3,
    *,
    ignore: Ignore = None,
) -> tuple[Target, Separation]:
    """Return the insides of cells, between which boundaries are left out, and check that each cell stays one piece.

    The target of the laboratory's first network. With its mode, "outer", only what divides touching cells is left out;
    "inner" and "thick" leave out each cell's outermost voxels everywhere.

    Parameters
    ----------
    labels, ignore
        As for `foreground_target`.
    mode, connectivity
        As for `boundaries.find_boundaries`.

    Returns
    -------
    target : Target
        Values are bool.
    separation : Separation
        What became of the cells.

    Raises
    ------
    ValueError
        As `foreground_target` and `boundaries.find_boundaries`.
    """
    from scipy.ndimage import binary_dilation

    cells, ignored = _known(labels, ignore)
    inside = (cells > 0) & ~find_boundaries(cells, mode=mode, connectivity=connectivity)
    valid = None if ignored is None else ~binary_dilation(ignored, CUBE)
    return Target(inside, valid), _separation(cells, inside)


def boundary_target(
    labels: NDArray[Any],
    thickness: int = 2,
    blur: float | None = None,
    spacing: Sequence[float] = ISOTROPIC,
    *,
    ignore: Ignore = None,
) -> Target:
    """Return the boundaries between cells, and between cells and background.

    The target of PlantSeg [1]_: the two voxels on both sides of each face between two regions, optionally blurred.

    Parameters
    ----------
    labels, ignore
        As for `foreground_target`.
    thickness : int
        Even number of voxels, half of them on either side. Beyond 2, boundaries are widened by Euclidean distance,
        counted in voxels of the finest axis.
    blur : float, optional
        Standard deviation of a Gaussian, in voxels of the finest axis; None leaves boundaries sharp.
    spacing : sequence of 3 floats
        Voxel edges; only their ratio matters.

    Returns
    -------
    Target
        Values are bool or, where blurred, float32 in 0..1.

    Raises
    ------
    ValueError
        As `foreground_target`, or when the thickness is no even, positive number, or the blur or an edge not positive.

    References
    ----------
    .. [1] A. Wolny et al. (2020), Accurate and versatile 3D segmentation of plant tissues at cellular resolution,
           eLife 9:e57613.
    """
    from scipy.ndimage import binary_dilation

    edges = _checked(spacing)
    if thickness < 2 or thickness % 2:
        raise ValueError(f"thickness must be an even number of voxels, 2 or more, not {thickness}")
    if blur is not None and not 0 < blur < np.inf:
        raise ValueError(f"blur must be positive, not {blur}")
    cells, ignored = _known(labels, ignore)

    def spread(mask: NDArray[np.bool_]) -> NDArray[np.bool_] | NDArray[np.float32]:
        wide = _widened(mask, (thickness - 2) / 2 * min(edges), edges)
        return wide if blur is None else _blurred(wide, [blur * min(edges) / edge for edge in edges])

    values = spread(find_boundaries(cells, mode="thick", connectivity=1))
    if ignored is None:
        return Target(values)
    # What is unknown spreads as boundaries do.
    return Target(values, spread(binary_dilation(ignored)) == 0)


def distance_target(
    labels: NDArray[Any], spacing: Sequence[float] = ISOTROPIC, *, per_cell: bool = False, ignore: Ignore = None
) -> Target:
    """Return how far each voxel of a cell is from the nearest voxel outside that cell [1]_.

    Parameters
    ----------
    labels, ignore
        As for `foreground_target`.
    spacing : sequence of 3 floats
        Voxel edges; distances, between voxel centres, have their unit.
    per_cell : bool
        Divide by the cell's largest distance, so that each cell rises to 1 whatever its size. A cell that touches
        an ignored voxel, which may be its own, is then not valid at all.

    Returns
    -------
    Target
        Values are float32, 0 outside cells. A cell that fills the whole stack has no boundary, and is not valid.

    Raises
    ------
    ValueError
        As `foreground_target`, or when an edge is not positive.

    References
    ----------
    .. [1] P. Naylor et al. (2019), Segmentation of nuclei in histopathology images by deep regression of the distance
           map, IEEE Trans. Med. Imaging 38, 448-459.
    """
    from scipy.ndimage import binary_dilation

    edges = _checked(spacing)
    cells, ignored = _known(labels, ignore)
    values = _distance(cells, edges)
    valid = np.isfinite(values)
    values[~valid] = 0
    if ignored is not None:
        # The margin is for rounding: where an ignored voxel is the nearest one, both distances are the same.
        valid &= values < _distance(~ignored, edges) * (1 - 1e-5)
    if per_cell:
        known = valid if ignored is None else valid & ~binary_dilation(ignored, CUBE)
        valid &= _divided_by_peak(values, cells, known)
    return Target(values, None if valid.all() else valid)


def seed_target(labels: NDArray[Any], spacing: Sequence[float] = ISOTROPIC, *, ignore: Ignore = None) -> Target:
    """Return the cores of cells: where the distance to other regions is more than half its largest in that cell.

    Parameters
    ----------
    labels, spacing, ignore
        As for `distance_target`.

    Returns
    -------
    Target
        Values are bool; valid where `distance_target` per cell is.

    Raises
    ------
    ValueError
        As `distance_target`.
    """
    depth = distance_target(labels, spacing, per_cell=True, ignore=ignore)
    return Target(depth.values > CORE, depth.valid)


TARGETS: Mapping[str, Callable[[NDArray[Any], Sequence[float], Ignore], Target]] = MappingProxyType(
    {
        "foreground": lambda labels, spacing, ignore: foreground_target(labels, ignore=ignore),
        "semantic": lambda labels, spacing, ignore: semantic_target(labels, ignore=ignore)[0],
        "boundary": lambda labels, spacing, ignore: boundary_target(labels, spacing=spacing, ignore=ignore),
        "soft_boundary": lambda labels, spacing, ignore: boundary_target(
            labels, blur=SOFT, spacing=spacing, ignore=ignore
        ),
        "distance": lambda labels, spacing, ignore: distance_target(labels, spacing, ignore=ignore),
        "relative_distance": lambda labels, spacing, ignore: distance_target(
            labels, spacing, per_cell=True, ignore=ignore
        ),
        "seeds": lambda labels, spacing, ignore: seed_target(labels, spacing, ignore=ignore),
    }
)
"""Targets by the name of the output that learns them."""


def make_target(
    name: str, labels: NDArray[Any], spacing: Sequence[float] = ISOTROPIC, *, ignore: Ignore = None
) -> Target:
    """Return the target of a name in `TARGETS`.

    Parameters
    ----------
    name : str
        Which one.
    labels, spacing, ignore
        As for the functions that make them.

    Raises
    ------
    ValueError
        When there is no target of that name, or as the functions that make them.

    Examples
    --------
    >>> labels = np.array([[[0, 0, 1, 1, 1, 2, 2, 2]]])
    >>> make_target("boundary", labels).values.astype(int)
    array([[[0, 1, 1, 0, 1, 1, 0, 0]]])
    >>> make_target("distance", labels).values
    array([[[0., 0., 1., 2., 1., 1., 2., 3.]]], dtype=float32)
    """
    if name not in TARGETS:
        raise ValueError(f"name must be one of {', '.join(TARGETS)}, not {name!r}")
    return TARGETS[name](labels, spacing, ignore)


def _known(labels: NDArray[Any], ignore: Ignore) -> tuple[NDArray[np.uint32], NDArray[np.bool_] | None]:
    """Return the cells, without ignored voxels, and the mask of these; None where there are none."""
    array = np.asarray(labels)
    if array.ndim != 3:
        raise ValueError(f"labels need three axes (z, y, x); got shape {array.shape}")
    if ignore is None:
        return as_label_array(array), None
    ignored = np.asarray(array == ignore if np.ndim(ignore) == 0 else ignore, dtype=np.bool_)
    if ignored.shape != array.shape:
        raise ValueError(f"ignore has shape {ignored.shape}, labels have {array.shape}")
    if not ignored.any():
        return as_label_array(array), None
    return as_label_array(np.where(ignored, array.dtype.type(0), array)), ignored


def _checked(spacing: Sequence[float]) -> VoxelSize:
    if len(spacing) != 3:
        raise ValueError(f"spacing must be three positive numbers (z, y, x), not {tuple(spacing)}")
    return VoxelSize.checked(*spacing)


def _distance(labels: NDArray[Any], edges: VoxelSize) -> NDArray[np.float32]:
    """Return each voxel's distance to the nearest one of another id, infinite where there is none, 0 where id is 0."""
    import edt

    distance: NDArray[np.float32] = edt.edt(labels, anisotropy=tuple(edges), black_border=False, parallel=0)
    return distance


def _divided_by_peak(
    values: NDArray[np.float32], cells: NDArray[np.uint32], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Divide in place by each cell's largest value; return where that is known, as it is of cells known throughout."""
    _, numbers = numbered(cells)
    size = int(numbers.max()) + 1
    peak, sure = np.zeros(size, np.float32), np.ones(size, np.bool_)
    for plane, number, here in zip(values, numbers, known, strict=True):
        np.maximum.at(peak, number, plane)
        sure[number[~here]] = False
    peak[peak == 0], sure[0] = 1, True  # background
    values /= peak[numbers]
    where: NDArray[np.bool_] = sure[numbers]
    return where


def _widened(mask: NDArray[np.bool_], reach: float, edges: VoxelSize) -> NDArray[np.bool_]:
    if reach == 0:
        return mask
    wide: NDArray[np.bool_] = _distance(~mask, edges) <= reach * (1 + 1e-6)
    return wide


def _blurred(mask: NDArray[np.bool_], sigma: list[float]) -> NDArray[np.float32]:
    from scipy.ndimage import gaussian_filter

    blurred: NDArray[np.float32] = gaussian_filter(mask.astype(np.float32), sigma, mode="nearest")
    return np.minimum(blurred, 1)


def _separation(cells: NDArray[np.uint32], inside: NDArray[np.bool_]) -> Separation:
    import cc3d

    before = cc3d.connected_components(cells, connectivity=26, out_dtype=np.uint32)
    # As integers: see `watershed.without_specks`.
    after = cc3d.connected_components(inside.view(np.uint8), connectivity=26, out_dtype=np.uint32)
    was, became = _pieces(before, cells), _pieces(after, cells)
    n_was, n_became = (Counter(cell for _, cell in pairs) for pairs in (was, became))
    together: dict[int, list[int]] = {}
    for piece, cell in became:
        together.setdefault(piece, []).append(cell)
    return Separation(
        n_before=len({piece for piece, _ in was}),
        n_after=len(together),
        vanished=tuple(sorted(n_was.keys() - n_became.keys())),
        merged=tuple(tuple(ids) for ids in together.values() if len(ids) > 1),
        split=tuple(sorted(cell for cell, number in n_became.items() if number > n_was[cell])),
    )


def _pieces(pieces: NDArray[np.unsignedinteger[Any]], cells: NDArray[np.uint32]) -> list[tuple[int, int]]:
    """Return each pair of a piece and a cell that share a voxel, sorted."""
    found = set()
    for piece, cell in zip(pieces, cells, strict=True):
        here = piece > 0
        pair = piece[here].astype(np.uint64) << np.uint64(32) | cell[here]
        # Pairs change rarely along a row: few are left to be sorted.
        runs = np.concatenate([pair[:1], pair[1:][pair[1:] != pair[:-1]]])
        found.update(np.unique(runs).tolist())
    return [(pair >> 32, pair & 0xFFFFFFFF) for pair in sorted(found)]

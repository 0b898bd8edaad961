"""Coarser and finer grids: images by splines after smoothing, labels without inventing any.

A grid and its resampled version cover exactly the same extent: the voxel size becomes ``voxel size * n / m`` for ``n``
old and ``m`` new voxels, and the first voxel's centre moves by half the difference. Where the voxel size is unknown it
stays None, and the origin is kept in voxels of the grid at hand, so that going back returns to where it was.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from napari_scutoid.progress import Progress, drain
from napari_scutoid.steps.crop import cropping
from napari_scutoid.steps.resampling import AlongZ, apply_along, coverage_matrix, interpolation_matrix, nearest_indices
from napari_scutoid.steps.slabs import SLAB_BYTES, slabs, z_slabs
from napari_scutoid.volume import Origin, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from scipy import sparse

    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Rescale
    from napari_scutoid.steps.cell_size import CellSize
    from napari_scutoid.steps.resampling import Order
    from napari_scutoid.volume import Labels, Volume

Shape = tuple[int, int, int]
Factors = tuple[float, float, float]
LabelMethod = Literal["nearest", "voting"]

DISTORTION_LIMIT = 2.0
"""Changes of anisotropy above this factor are worth a warning."""

LABEL_STEP = "Rescaling the labels"

_EQUAL_SHARES = 1e-5


def rescaled_shape(shape: Sequence[int], factors: Sequence[float]) -> Shape:
    """Return the number of voxels after rescaling: ``round(n * factor)``, at least 1.

    Raises
    ------
    ValueError
        When a factor is not finite and positive.
    """
    if len(factors) != 3 or not all(math.isfinite(factor) and factor > 0 for factor in factors):
        raise ValueError(f"factors must be three positive numbers (z, y, x), not {tuple(factors)}")
    z, y, x = (max(1, round(n * factor)) for n, factor in zip(shape, factors, strict=True))
    return z, y, x


def rescaled_voxel_size(size: VoxelSize, shape: Shape, target: Shape) -> VoxelSize:
    """Return the voxel edges, in micrometres, of an extent cut into another number of voxels (z, y, x)."""
    return VoxelSize(*(edge * n / m for edge, n, m in zip(size, shape, target, strict=True)))


def rescale_volume(volume: Volume, factors: Sequence[float], *, order: int = 1, anti_alias: bool = True) -> Volume:
    """Resample an image by new voxels per old voxel; 0.25 keeps a quarter of the slices.

    The factors in effect are those between the whole numbers of voxels; voxel size and origin follow them.

    Parameters
    ----------
    volume : Volume
        Lazy data is read once, slab by slab.
    factors : sequence of 3 floats
        New voxels per old voxel along z, y, x.
    order : int
        Degree of the interpolating spline, 1 to 3.
    anti_alias : bool
        Smooth first along axes that shrink, by a Gaussian of sigma ``(1 / factor - 1) / 2`` voxels.

    Returns
    -------
    Volume
        float32 data on the new grid; the volume itself where the shape stays.

    Raises
    ------
    ValueError
        When a factor is not positive or the order not 1 to 3.
    """
    return rescale_to_shape(volume, rescaled_shape(volume.shape, factors), order=order, anti_alias=anti_alias)


def rescale_to_shape(volume: Volume, shape: Sequence[int], *, order: int = 1, anti_alias: bool = True) -> Volume:
    """Resample an image to a given number of voxels; with the original shape, the inverse of `rescale_volume`.

    Parameters
    ----------
    shape : sequence of 3 ints
        Voxels along z, y, x.
    volume, order, anti_alias
        As for `rescale_volume`.
    """
    return drain(rescaling(volume, shape, order=order, anti_alias=anti_alias))


def rescaling(
    volume: Volume, shape: Sequence[int], *, order: int = 1, anti_alias: bool = True, out: Any = None
) -> Steps[Volume]:
    """Do the work of `rescale_to_shape` as a job that reports progress and can be cancelled.

    Parameters
    ----------
    out : array of floats, shape (z, y, x), optional
        Receives the result, slab by slab; by default a new float32 array. Not written where the shape stays.
    """
    target = _checked_shape(shape)
    degree = _checked_order(order)
    if target == volume.shape:
        return volume
    by_z, by_y, by_x = (
        None if n == m else interpolation_matrix(n, m, degree, anti_alias=anti_alias)
        for n, m in zip(volume.shape, target, strict=True)
    )
    data = np.empty(target, np.float32) if out is None else out
    along_z = AlongZ(by_z, data)
    for z in z_slabs(volume.data):
        block = np.asarray(volume.data[z])
        for matrix, axis in ((by_x, 2), (by_y, 1)):
            if matrix is not None:
                block = apply_along(matrix, block, axis)
        along_z.add(block.astype(np.float32, copy=False))
        yield Progress("Rescaling", z.stop, volume.shape[0])
    voxel_size, origin = grid_after(volume, target)
    note = f"rescaled from {volume.shape} to {target} voxels (order {order}{', smoothed' if anti_alias else ''})"
    return volume.with_data(data, note, voxel_size_um=voxel_size, origin_um=origin)


def rescale_labels(labels: Labels, factors: Sequence[float], *, method: LabelMethod = "nearest") -> Labels:
    """Resample labels by new voxels per old voxel; no id appears that was not there.

    Parameters
    ----------
    labels : Labels
        The cells; a lumen is resampled with them.
    factors : sequence of 3 floats
        New voxels per old voxel along z, y, x.
    method : {"nearest", "voting"}
        ``"nearest"``: the closest old voxel's cell. ``"voting"``: the cell that fills most of the new voxel; where an
        axis grows, the cell with most weight among the linearly interpolated ones, which gives smoother outlines.

    Raises
    ------
    ValueError
        When a factor is not positive or the method unknown.
    """
    return labels_to_shape(labels, rescaled_shape(labels.shape, factors), method=method)


def labels_to_shape(labels: Labels, shape: Sequence[int], *, method: LabelMethod = "nearest") -> Labels:
    """Resample labels to a given number of voxels, e.g. back to the shape of the stack they belong to.

    Parameters
    ----------
    shape : sequence of 3 ints
        Voxels along z, y, x.
    labels, method
        As for `rescale_labels`.
    """
    return drain(rescaling_labels(labels, shape, method=method))


def rescaling_labels(labels: Labels, shape: Sequence[int], *, method: LabelMethod = "nearest") -> Steps[Labels]:
    """Do the work of `labels_to_shape` as a job that reports progress and can be cancelled."""
    target = _checked_shape(shape)
    _check_method(method)
    if target == labels.shape:
        return labels
    voxel_size, origin = grid_after(labels, target)
    data = np.empty(target, np.uint32)
    yield from rescaling_labels_into(labels, data, method=method)
    lumen = labels.lumen
    if lumen is not None:
        cells = replace(labels, data=lumen.astype(np.uint32), lumen=None)
        lumen = np.empty(target, bool)
        yield from rescaling_labels_into(cells, lumen, method=method)
    return replace(
        labels,
        data=data,
        lumen=lumen,
        voxel_size_um=voxel_size,
        origin_um=origin,
        history=(*labels.history, f"rescaled from {labels.shape} to {target} voxels ({method})"),
    )


def rescaling_labels_into(labels: Labels, out: Any, *, method: LabelMethod = "nearest") -> Steps[None]:
    """Resample the ids of labels into an array, piece by piece: the whole need not be in memory at any time.

    Parameters
    ----------
    labels, method
        As for `rescale_labels`.
    out : array of a type that holds every id, shape (z, y, x)
        Receives them on its own grid; each voxel is written once, and none is read.
    """
    _check_method(method)
    if method == "voting" and out.shape != labels.shape:
        yield from _voting(labels.data, out)
    else:
        yield from _nearest(labels.data, out)


def crop(volume: Volume, slices: Sequence[slice]) -> Volume:
    """Cut a box out of a volume; the origin moves with it.

    Parameters
    ----------
    volume : Volume
        Lazy data is read inside the box only.
    slices : sequence of 3 slices
        Along z, y, x; open ends and negative numbers as in NumPy, no steps.

    Raises
    ------
    ValueError
        When there are not three slices, one has a step, or the box is empty.
    """
    return drain(cropping(volume, slices))


def target_factors(
    settings: Rescale,
    voxel_size_um: VoxelSize | None = None,
    cell_size: CellSize | None = None,
    *,
    cell_diameter_range: tuple[float, float] = (10.0, 28.0),
    anisotropy_range: tuple[float, float] = (0.4, 4.0),
) -> Factors:
    """Return the factors that the settings ask for.

    In mode ``"cell_size"``, z alone is resampled where the anisotropy (z step over xy step; from the voxel size where
    it is known, else as estimated) lies outside the model's range, as far as to the edge of that range. Then all axes
    are, by one factor, where cells are smaller or larger than the model sees best, also as far as to the edge: two
    stacks whose cells hardly differ, or whose diameters are estimated a little differently, are put on grids that
    hardly differ.

    Parameters
    ----------
    settings : Rescale
        What the user or the model chose.
    voxel_size_um : VoxelSize, optional
        Of the stack.
    cell_size : CellSize, optional
        Estimated from the stack; ``settings.cell_diameter`` wins over its diameter.
    cell_diameter_range, anisotropy_range
        What the model was trained for, see ``ModelConfig``.

    Returns
    -------
    tuple of 3 floats
        New voxels per old voxel along z, y, x.

    Raises
    ------
    ValueError
        When the mode needs a voxel size or a cell size that is not there.
    """
    if settings.mode == "none":
        return 1.0, 1.0, 1.0
    if settings.mode == "factors":
        if settings.factors is None:
            raise ValueError("settings of mode 'factors' need factors")
        return settings.factors
    if settings.mode == "voxel_size":
        if settings.voxel_size_um is None or voxel_size_um is None:
            raise ValueError("rescaling to a voxel size needs the stack's own voxel size, which is unknown")
        z, y, x = (old / new for old, new in zip(voxel_size_um, settings.voxel_size_um, strict=True))
        return z, y, x
    diameter = settings.cell_diameter or (cell_size.diameter if cell_size is not None else None)
    if diameter is None:
        raise ValueError("rescaling by cell size needs cell_size, or cell_diameter in the settings")
    anisotropy = _anisotropy(voxel_size_um, cell_size)
    by_z = anisotropy / min(max(anisotropy, anisotropy_range[0]), anisotropy_range[1])
    diameter *= by_z ** (1 / 3)
    smallest, largest = cell_diameter_range
    overall = min(max(diameter, smallest), largest) / diameter
    return by_z * overall, overall, overall


def distortion_warning(factors: Sequence[float], voxel_size_um: VoxelSize | None = None) -> str | None:
    """Return what to tell the user where factors stretch cells by more than 2x along one axis, else None.

    Parameters
    ----------
    factors : sequence of 3 floats
        New voxels per old voxel along z, y, x.
    voxel_size_um : VoxelSize, optional
        Of the stack; its new size is then told too.
    """
    stretch = max(factors) / min(factors)
    if stretch <= DISTORTION_LIMIT * (1 + 1e-9):
        return None
    text = (
        f"The factors {_numbers(factors)} (z, y, x) change the cells' proportions {stretch:.3g}x on the voxel grid: "
        f"a ball becomes {_numbers([factor / min(factors) for factor in factors])} in relative voxels"
    )
    if voxel_size_um is not None:
        new = [old / factor for old, factor in zip(voxel_size_um, factors, strict=True)]
        text += (
            f"; voxels of {_numbers(voxel_size_um)} µm become {_numbers(new)} µm, "
            f"z step over xy step {_z_over_xy(voxel_size_um):.3g} becomes {_z_over_xy(new):.3g}"
        )
    return text + "."


def _anisotropy(voxel_size_um: VoxelSize | None, cell_size: CellSize | None) -> float:
    if voxel_size_um is not None:
        return _z_over_xy(voxel_size_um)
    return cell_size.anisotropy if cell_size is not None else 1.0


def _z_over_xy(size: Sequence[float]) -> float:
    return float(size[0] / math.sqrt(size[1] * size[2]))


def _numbers(values: Sequence[float]) -> str:
    return " x ".join(f"{value:.3g}" for value in values)


def _checked_shape(shape: Sequence[int]) -> Shape:
    if len(shape) != 3 or any(int(n) != n or n < 1 for n in shape):
        raise ValueError(f"shape must be three whole positive numbers (z, y, x), not {tuple(shape)}")
    z, y, x = (int(n) for n in shape)
    return z, y, x


def _checked_order(order: int) -> Order:
    if order not in (1, 2, 3):
        raise ValueError(f"order must be 1, 2 or 3, not {order}")
    return cast("Order", order)


def grid_after(grid: Volume | Labels, shape: Shape) -> tuple[VoxelSize | None, Origin]:
    """Return voxel size and origin of the same extent cut into another number of voxels (z, y, x)."""
    ratios = [n / m for n, m in zip(grid.shape, shape, strict=True)]
    if grid.voxel_size_um is None:
        return None, Origin(*((o + (r - 1) / 2) / r for o, r in zip(grid.origin_um, ratios, strict=True)))
    size = rescaled_voxel_size(grid.voxel_size_um, grid.shape, shape)
    shift = [(new - old) / 2 for new, old in zip(size, grid.voxel_size_um, strict=True)]
    return size, Origin(*(o + s for o, s in zip(grid.origin_um, shift, strict=True)))


def _check_method(method: LabelMethod) -> None:
    if method not in ("nearest", "voting"):
        raise ValueError(f"method must be 'nearest' or 'voting', not {method!r}")


def _nearest(labels: NDArray[np.uint32], out: Any) -> Steps[None]:
    z, y, x = (nearest_indices(n, m) for n, m in zip(labels.shape, out.shape, strict=True))
    for slices, rows in slabs(out):
        yield Progress(LABEL_STEP, slices.start, out.shape[0])
        out[slices, rows] = labels[np.ix_(z[slices], y[rows], x)]


def _voting(labels: NDArray[np.uint32], out: Any) -> Steps[None]:
    """Vote in bands of new slices, so that memory stays bounded."""
    n_slices, *sides = out.shape
    by_z, by_y, by_x = (
        interpolation_matrix(n, m) if m > n else coverage_matrix(n, m)
        for n, m in zip(labels.shape, out.shape, strict=True)
    )
    operators = (by_y.tocsc(), by_x.tocsc())
    # Old slices count as well: few new ones may need the whole of a fine stack.
    new_bytes, old_bytes = math.prod(sides) * labels.itemsize, labels[0].nbytes * labels.shape[0] // n_slices
    thickness = max(1, SLAB_BYTES // max(new_bytes, old_bytes))
    for start in range(0, n_slices, thickness):
        yield Progress(LABEL_STEP, start, n_slices)
        band = by_z[start : start + thickness].tocsc()
        reached = np.flatnonzero(np.diff(band.indptr))
        part = slice(int(reached[0]), int(reached[-1]) + 1)
        out[start : min(start + thickness, n_slices), :] = _vote(labels[part], (band[:, part], *operators))


def _vote(labels: NDArray[np.uint32], operators: Sequence[sparse.csc_array]) -> NDArray[np.uint32]:
    """Each id's share of every new voxel, one bounding box at a time; the largest share wins, then the lowest id."""
    from scipy.ndimage import find_objects

    ids, compact = np.unique(labels, return_inverse=True)
    compact = compact.reshape(labels.shape).astype(np.int32)
    compact += 1  # find_objects skips 0
    shape = tuple(matrix.shape[0] for matrix in operators)
    winner = np.zeros(shape, dtype=np.uint32)
    most = np.zeros(shape, dtype=np.float32)
    for index, box in enumerate(find_objects(compact)):
        share: NDArray[Any] = compact[box] == index + 1
        place = []
        for axis, part in enumerate(box):
            matrix = operators[axis][:, part]
            if matrix.nnz == 0:
                break
            rows = slice(int(matrix.indices.min()), int(matrix.indices.max()) + 1)
            share = apply_along(matrix[rows].tocsr(), share, axis)
            place.append(rows)
        else:
            at = tuple(place)
            better = share > most[at] + _EQUAL_SHARES
            winner[at][better] = ids[index]
            most[at][better] = share[better]
    return winner

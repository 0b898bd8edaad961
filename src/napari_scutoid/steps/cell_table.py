"""Where each cell lies, how large it is, and whether the stack's border cuts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.volume import ZERO, Origin, VoxelSize, as_label_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """One row a cell, in rising order of ids; id 0 (lumen, outside) has none.

    Parameters
    ----------
    cell : ndarray of uint32, shape (n,)
        Ids.
    voxels : ndarray of int64, shape (n,)
        Voxels of each cell.
    centroid : ndarray of float64, shape (n, 3)
        Mean position of its voxels' centres, z, y, x, in voxels.
    first, last : ndarray of int64, shape (n, 3)
        Its bounding box: the first and the last voxel along z, y, x.
    touches_border : ndarray of bool, shape (n,)
        Whether it has a voxel in the outermost layer of the stack, which may then show only a part of it.
    voxel_size_um : VoxelSize or None
        None means unknown: there are no micrometres then.
    origin_um : Origin
        Position of voxel (0, 0, 0)'s centre.
    """

    cell: NDArray[np.uint32]
    voxels: NDArray[np.int64]
    centroid: NDArray[np.float64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    touches_border: NDArray[np.bool_]
    voxel_size_um: VoxelSize | None = None
    origin_um: Origin = ZERO

    def __len__(self) -> int:
        return len(self.cell)

    @property
    def volume_um3(self) -> NDArray[np.float64] | None:
        """Volumes in cubic micrometres, shape (n,); None where the voxel size is unknown."""
        return None if self.voxel_size_um is None else self.voxels * np.prod(self.voxel_size_um, dtype=np.float64)

    @property
    def centroid_um(self) -> NDArray[np.float64] | None:
        """Centroids in micrometres, shape (n, 3); None where the voxel size is unknown."""
        if self.voxel_size_um is None:
            return None
        centroid: NDArray[np.float64] = self.centroid * self.voxel_size_um + self.origin_um
        return centroid

    def columns(self) -> dict[str, NDArray[Any]]:
        """Return the table by columns whose names state their units, micrometres only where they are known."""
        table: dict[str, NDArray[Any]] = {"cell": self.cell, "voxels": self.voxels}
        if (volume := self.volume_um3) is not None:
            table["volume_um3"] = volume
        table |= _by_axis("{}_voxel", self.centroid)
        if (centroid := self.centroid_um) is not None:
            table |= _by_axis("{}_um", centroid)
        table |= _by_axis("{}_first_voxel", self.first) | _by_axis("{}_last_voxel", self.last)
        return table | {"touches_border": self.touches_border}


def cell_table(
    labels: NDArray[np.uint32], voxel_size_um: VoxelSize | None = None, origin_um: Origin = ZERO
) -> CellTable:
    """Measure where each cell lies, in one pass over the stack.

    Parameters
    ----------
    labels : ndarray of unsigned integers, shape (z, y, x)
        One id per cell, 0 elsewhere.
    voxel_size_um, origin_um
        As in `Labels`.

    Returns
    -------
    CellTable

    Raises
    ------
    ValueError
        When the labels have not three axes, or are not unsigned integers.

    Examples
    --------
    >>> labels = np.zeros((3, 4, 5), np.uint32)
    >>> labels[1, 1:3, 0:2] = 7
    >>> table = cell_table(labels, VoxelSize(2.0, 0.5, 0.5))
    >>> table.cell.tolist(), table.volume_um3.tolist(), table.centroid_um.tolist(), table.touches_border.tolist()
    ([7], [2.0], [[2.0, 0.75, 0.25]], [True])
    """
    import cc3d

    if labels.ndim != 3 or labels.dtype.kind != "u":
        raise ValueError(f"labels must be unsigned integers (z, y, x), not {labels.dtype} of shape {labels.shape}")
    if labels.size == 0:
        empty = np.zeros((0, 3))
        whole = empty.astype(np.int64)
        return CellTable(
            np.zeros(0, np.uint32), whole[:, 0], empty, whole, whole, np.zeros(0, np.bool_), voxel_size_um, origin_um
        )
    names, numbers = numbered(as_label_array(labels))
    found = cc3d.statistics(numbers, no_slice_conversion=True)
    voxels = found["voxel_counts"].astype(np.int64)
    rows = np.flatnonzero(voxels)
    rows = rows[rows > 0]
    box = found["bounding_boxes"].reshape(-1, 3, 2)[rows].astype(np.int64)
    first, last = box[..., 0], box[..., 1]
    touches_border = np.any((first == 0) | (last == np.subtract(labels.shape, 1)), axis=1)
    ids = rows.astype(np.uint32) if names is None else names[rows]
    return CellTable(ids, voxels[rows], found["centroids"][rows], first, last, touches_border, voxel_size_um, origin_um)


def numbered(labels: NDArray[np.unsignedinteger[Any]]) -> tuple[NDArray[np.uint32] | None, NDArray[Any]]:
    """Give cells consecutive numbers where their ids are large, for what needs a table of all ids up to the largest.

    Returns
    -------
    ids : ndarray of uint32 or None
        The id of each number, 0 first; None where the ids are small, and the numbers.
    numbers : ndarray of unsigned integers, same shape
    """
    if int(labels.max(initial=0)) < labels.size // 16:
        return None, labels
    ids = np.unique(np.concatenate([[0], *(np.unique(plane) for plane in labels)])).astype(np.uint32)
    numbers = np.empty(labels.shape, np.uint32)
    for plane, number in zip(labels, numbers, strict=True):
        number[...] = np.searchsorted(ids, plane)
    return ids, numbers


def _by_axis(name: str, values: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {name.format(axis): values[:, i] for i, axis in enumerate("zyx")}

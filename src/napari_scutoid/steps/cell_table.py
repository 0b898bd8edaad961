"""Where each cell lies, how large it is, and whether the stack's border cuts it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.steps.slabs import slabs
from napari_scutoid.volume import ZERO, Origin, VoxelSize, as_label_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.volume import ArrayLike


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


class _Rows(NamedTuple):
    """What was counted of some cells; a cell may have several rows.

    `total` holds the sums of the positions of its voxels, the others are as in `CellTable`.
    """

    cell: NDArray[np.uint32]
    voxels: NDArray[np.int64]
    total: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @classmethod
    def none(cls) -> _Rows:
        """Return those of no cell."""
        whole = np.zeros((0, 3), np.int64)
        return cls(np.zeros(0, np.uint32), whole[:, 0], whole, whole, whole)

    @classmethod
    def joined(cls, parts: Sequence[_Rows]) -> _Rows:
        """Return one row a cell, in rising order of ids."""
        cells = np.concatenate([part.cell for part in parts])
        order = np.argsort(cells, kind="stable")
        cell, at = np.unique(cells[order], return_index=True)
        voxels, total, first, last = (
            how.reduceat(np.concatenate(columns)[order], at, axis=0)
            for how, columns in zip(
                (np.add, np.add, np.minimum, np.maximum), list(zip(*parts, strict=True))[1:], strict=True
            )
        )
        return cls(cell, voxels, total, first, last)


class CellCounter:
    """Measures where each cell lies, piece by piece, for stacks that are in memory at no time.

    Parameters
    ----------
    shape : sequence of 3 ints
        Of the stack (z, y, x).
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._rows: list[_Rows] = [_Rows.none()]

    def add(self, piece: NDArray[np.unsignedinteger[Any]], start: Sequence[int]) -> None:
        """Count the cells of a piece (z, y, x) whose first voxel is `start`; each voxel has to be given once."""
        import cc3d

        names, numbers = numbered(as_label_array(piece))
        found = cc3d.statistics(numbers, no_slice_conversion=True)
        voxels = found["voxel_counts"].astype(np.int64)
        rows = np.flatnonzero(voxels)
        rows = rows[rows > 0]
        ids = rows.astype(np.uint32) if names is None else names[rows]
        voxels = voxels[rows]
        box = found["bounding_boxes"].reshape(-1, 3, 2)[rows].astype(np.int64)
        # Sums of whole numbers, divided at the end: the same means however the stack is cut.
        total = np.rint(found["centroids"][rows] * voxels[:, None]).astype(np.int64) + voxels[:, None] * start
        self._rows.append(_Rows(ids, voxels, total, box[..., 0] + start, box[..., 1] + start))

    def table(self, voxel_size_um: VoxelSize | None = None, origin_um: Origin = ZERO) -> CellTable:
        """Return what was counted; arguments are those of `Labels`."""
        cell, voxels, total, first, last = _Rows.joined(self._rows)
        touches_border = np.any((first == 0) | (last == np.subtract(self._shape, 1)), axis=1)
        centroid = total / voxels[:, None]
        return CellTable(cell, voxels, centroid, first, last, touches_border, voxel_size_um, origin_um)


class Counted:
    """Labels on their way into an array, counted as they pass.

    Parameters
    ----------
    room : array, shape (z, y, x)
        Receives what is written. Each voxel has to be written once.
    """

    def __init__(self, room: Any) -> None:
        self._room = room
        self._counter = CellCounter(room.shape)
        self.shape: tuple[int, ...] = room.shape
        self.dtype: np.dtype[Any] = room.dtype
        self.chunks: tuple[int, ...] | None = getattr(room, "chunks", None)

    def __setitem__(self, key: tuple[slice, ...], values: NDArray[np.uint32]) -> None:
        keys = (*key, *[slice(None)] * (3 - len(key)))
        self._counter.add(values, [one.indices(n)[0] for one, n in zip(keys, self.shape, strict=True)])
        self._room[keys] = values

    def table(self, voxel_size_um: VoxelSize | None = None, origin_um: Origin = ZERO) -> CellTable:
        """Return the table of the cells; arguments are those of `Labels`."""
        return self._counter.table(voxel_size_um, origin_um)


def cell_table(labels: ArrayLike, voxel_size_um: VoxelSize | None = None, origin_um: Origin = ZERO) -> CellTable:
    """Measure where each cell lies, in one pass over the stack.

    Parameters
    ----------
    labels : ArrayLike of unsigned integers, shape (z, y, x)
        One id per cell, 0 elsewhere; lazy ones are read piece by piece.
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
    if len(labels.shape) != 3 or labels.dtype.kind != "u":
        raise ValueError(f"labels must be unsigned integers (z, y, x), not {labels.dtype} of shape {labels.shape}")
    counter = CellCounter(labels.shape)
    for z, y in slabs(labels) if 0 not in labels.shape else ():
        counter.add(np.asarray(labels[z, y, :]), (z.start, y.start, 0))
    return counter.table(voxel_size_um, origin_um)


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

"""What the program passes around: a stack of one channel, its labels, and how big a voxel is.

Positions follow the pixel-centre convention: voxel ``i`` along an axis has its centre at
``origin_um + i * voxel_size_um``, as in napari's world coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNKNOWN = 2**32 - 1
"""Label of voxels of which nobody has said what they are; no cell has this id."""


@runtime_checkable
class ArrayLike(Protocol):
    """What NumPy arrays, h5py data sets and zarr arrays share: shape, dtype and slicing."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an element."""

    def __getitem__(self, key: Any, /) -> Any: ...


class VoxelSize(NamedTuple):
    """Edge lengths of a voxel in micrometres, in napari's order."""

    z: float
    y: float
    x: float

    @classmethod
    def checked(cls, z: float, y: float, x: float) -> VoxelSize:
        """Return the voxel size, or raise ValueError unless all three are finite and positive."""
        size = cls(float(z), float(y), float(x))
        if not all(math.isfinite(edge) and edge > 0 for edge in size):
            raise ValueError(f"voxel size must be three positive numbers in micrometres (z, y, x), not {tuple(size)}")
        return size


class Origin(NamedTuple):
    """Position of the first voxel's centre, in micrometres; in voxels of its own grid where the size is unknown."""

    z: float = 0.0
    y: float = 0.0
    x: float = 0.0


ZERO = Origin()


@dataclass(frozen=True, slots=True)
class Source:
    """Where data came from: the file and the data set inside it."""

    path: str
    dataset: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.dataset}" if self.dataset else self.path


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One channel of one time point, never mutated.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        The intensities; NumPy, or a lazy array that is read slice by slice.
    voxel_size_um : VoxelSize or None
        None means unknown; nothing ever fills in a silent 1.0.
    origin_um : Origin
        World position of voxel (0, 0, 0)'s centre.
    axes : str
        Always ``"ZYX"`` for now; kept so that files can state it.
    source : Source or None
        File and data set.
    history : tuple of str
        What was done to the data since it was read, oldest first.

    Raises
    ------
    ValueError
        When the data has not three axes, or an axis is empty.
    """

    data: ArrayLike
    voxel_size_um: VoxelSize | None = None
    origin_um: Origin = ZERO
    axes: str = "ZYX"
    source: Source | None = None
    history: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_grid(self.data, "a volume")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = self.data.shape
        return z, y, x

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel."""
        return self.data.dtype

    @property
    def spacing(self) -> VoxelSize:
        """Voxel edges for distances: micrometres where known, else (1, 1, 1)."""
        return self.voxel_size_um or VoxelSize(1.0, 1.0, 1.0)

    def with_data(
        self,
        data: ArrayLike,
        note: str,
        *,
        voxel_size_um: VoxelSize | None = None,
        origin_um: Origin | None = None,
    ) -> Volume:
        """Return a volume with new data (and grid), and the note added to its history."""
        return replace(
            self,
            data=data,
            voxel_size_um=self.voxel_size_um if voxel_size_um is None else voxel_size_um,
            origin_um=self.origin_um if origin_um is None else origin_um,
            history=(*self.history, note),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """One id per cell; 0 is everything that is no cell.

    Parameters
    ----------
    data : ndarray of uint32, shape (z, y, x)
        The ids. Other integer types are converted; ids are never renumbered here.
    voxel_size_um, origin_um, source, history
        As in `Volume`.
    lumen : ndarray of bool, shape (z, y, x), optional
        The lumen is a mask of its own, not a cell.

    Raises
    ------
    ValueError
        When the data is not integer, not three-dimensional, holds negative ids, or the lumen's shape differs.
    """

    data: NDArray[np.uint32]
    voxel_size_um: VoxelSize | None = None
    origin_um: Origin = ZERO
    source: Source | None = None
    history: tuple[str, ...] = ()
    lumen: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        _check_grid(self.data, "labels")
        if self.data.dtype != np.uint32:
            object.__setattr__(self, "data", as_label_array(self.data))
        if self.lumen is not None and self.lumen.shape != self.data.shape:
            raise ValueError(f"lumen has shape {self.lumen.shape}, labels have {self.data.shape}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = self.data.shape
        return z, y, x


def as_label_array(data: NDArray[Any]) -> NDArray[np.uint32]:
    """Return ids as uint32, refusing what would change them.

    Raises
    ------
    ValueError
        When a value is negative, above 2**32 - 1, or no whole number.
    """
    array = np.asarray(data)
    if array.dtype == np.bool_ or (array.dtype.kind == "u" and array.dtype.itemsize <= 4):
        return array.astype(np.uint32, copy=False)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"labels must be whole numbers, not {array.dtype}")
    if array.dtype.kind == "f" and not np.array_equal(array, np.trunc(array)):
        raise ValueError("labels must be whole numbers; these have fractions or NaN")
    if array.size and (array.min() < 0 or array.max() > np.iinfo(np.uint32).max):
        raise ValueError(f"labels must lie in 0..4294967295; these span {array.min()} to {array.max()}")
    return array.astype(np.uint32)


def _check_grid(data: ArrayLike, what: str) -> None:
    shape = tuple(data.shape)
    if len(shape) != 3:
        raise ValueError(f"{what} needs three axes (z, y, x); got shape {shape}")
    if 0 in shape:
        raise ValueError(f"{what} needs voxels along every axis; got shape {shape}")

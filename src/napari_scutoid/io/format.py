"""What every file format tells about its content, and what it has to be able to do.

A format lists the arrays of a file from their headers, and hands one of them over in the order it is stored in;
`StoredArray.order` says how that becomes napari's order. Everything else (guessing, choosing a channel, voxel sizes
given by hand, messages) is the same for all formats and lives in ``open.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from napari_scutoid.volume import ZERO, Origin, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_scutoid.volume import ArrayLike

Kind = Literal["image", "labels", "mask", "other"]

READABLE_KINDS = "biuf"
"""NumPy kinds of voxels that can be opened: logical, integer and real numbers."""

_LONGEST_CHAIN = 16


@dataclass(frozen=True, slots=True)
class StoredArray:
    """The header of one array in a file.

    Parameters
    ----------
    path : str
        Name inside the file, groups separated by ``/``.
    stored_shape : tuple of int
        Length of each axis in the order in which `Format.read` gives them.
    order : tuple of int
        Stored axis behind each axis in napari's order, as `numpy.transpose` takes it.
    axes : str
        One letter per axis in napari's order: T time, C channel, Z, Y, X, and Q for what has no name.
    dtype : numpy.dtype
        Type of a voxel.
    voxel_size_um : VoxelSize or None
        None means that the file does not say.
    origin_um : Origin
        Position of the first voxel's centre.
    axes_are_stated : bool
        Whether the file itself names the axes, so that nothing is guessed about them.
    cheap_to_sample : bool
        Whether a small part can be read without reading the rest.
    stated_kind : {"image", "labels", "mask", "other"} or None
        What the file itself says that it is; None where it does not.
    full_scale : int or None
        Stored number that stands for 1, for probabilities stored as whole numbers; None where numbers are themselves.
    notes : tuple of str
        What a person has to know about the numbers above, for the reason that `DatasetInfo` shows and for the history.
    """

    path: str
    stored_shape: tuple[int, ...]
    order: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    voxel_size_um: VoxelSize | None = None
    origin_um: Origin = ZERO
    axes_are_stated: bool = False
    cheap_to_sample: bool = True
    stated_kind: Kind | None = None
    full_scale: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis in napari's order."""
        return tuple(self.stored_shape[axis] for axis in self.order)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array in memory."""
        return math.prod(self.stored_shape) * self.dtype.itemsize

    def with_axes(self, axes: str) -> StoredArray:
        """Return the header with its axes named anew.

        Parameters
        ----------
        axes : str
            A letter for each axis in the order of `shape`: distinct, of T, C, Z, Y, X, and Y and X among them.

        Returns
        -------
        StoredArray
            Voxel size and position go along where y and x change places; where z becomes another axis they are
            forgotten, since nobody knows whether the file counted them by axis or by name.

        Raises
        ------
        ValueError
            When the letters do not fit.
        """
        if len(axes) != len(self.axes) or len(set(axes)) != len(axes) or not set("YX") <= set(axes) <= set("TCZYX"):
            raise ValueError(f"axes must name {len(self.axes)} axes, each by one of T, C, Z, Y, X; got {axes!r}")
        renamed = replace(self, axes=axes, axes_are_stated=True)
        places = _places(self.axes, axes)
        if places == "ZYX":
            return renamed
        origin = self.origin_um
        return replace(
            renamed,
            voxel_size_um=_size_with_axes(self.voxel_size_um, self.axes, axes),
            origin_um=Origin(origin.z, origin.x, origin.y) if places == "ZXY" else ZERO,
        )


def _places(before: str, after: str) -> str:
    """Return what the axes that are z, y and x now were called before."""
    named = dict(zip(after, before, strict=True))
    return named.get("Z", "Z") + named["Y"] + named["X"]


def _size_with_axes(size: VoxelSize | None, before: str, after: str) -> VoxelSize | None:
    """Return a voxel size after axes were named anew, as `StoredArray.with_axes` says."""
    places = _places(before, after)
    if size is None or places == "ZYX":
        return size
    return VoxelSize(size.z, size.x, size.y) if places == "ZXY" else None


@dataclass(frozen=True, slots=True)
class Listing:
    """What a file holds.

    Parameters
    ----------
    arrays : tuple of StoredArray
        Every numeric array with two or more axes that are longer than one.
    refused : dict
        Why a name in the file is not among them, for the names that a person may expect there.
    aliases : dict
        Second names of arrays or groups (HDF5's soft links), and the names that they stand for.
    provenance : mapping
        How the file says that its arrays were made, as `checked_provenance` lets it pass; empty where it does not.
    """

    arrays: tuple[StoredArray, ...]
    refused: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def real_name(self, name: str) -> str:
        """Return the name behind a second name; other names come back unchanged."""
        for _ in range(_LONGEST_CHAIN):
            alias = next((one for one in self.aliases if name == one or name.startswith(one + "/")), None)
            if alias is None:
                break
            name = self.aliases[alias] + name[len(alias) :]
        return name


class Format(Protocol):
    """A file format that can be read. It keeps no open file and no state."""

    @property
    def name(self) -> str:
        """What a person calls it, e.g. ``"MATLAB 7.3"``."""

    def recognises(self, file: Path, head: bytes) -> bool:
        """Whether the content is of this format; `head` is the file's beginning, empty for a folder."""

    def list(self, file: Path) -> Listing:
        """Read the headers. Raises ScutoidError for a damaged file."""

    def read(self, file: Path, array: StoredArray) -> ArrayLike:
        """Return the array in its stored order, unread where the format allows it.

        Raises ScutoidError for a damaged file, for text or complex numbers, and for what does not fit into memory.
        """


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """One array of a file, as ``scutoid info`` shows it.

    Parameters
    ----------
    path : str
        Name inside the file.
    shape : tuple of int
        In napari's order.
    axes : str
        One letter per axis, e.g. ``"CZYX"``.
    dtype : str
        NumPy's name of the type.
    voxel_size_um : VoxelSize or None
        (z, y, x); None where the file does not say.
    guess : {"image", "labels", "mask", "other"}
        What it probably is.
    reason : str
        Why, in words.
    axes_are_stated : bool
        Whether the file itself names the axes.
    full_scale : int or None
        As in `StoredArray`.
    """

    path: str
    shape: tuple[int, ...]
    axes: str
    dtype: str
    voxel_size_um: VoxelSize | None
    guess: Kind
    reason: str
    axes_are_stated: bool = True
    full_scale: int | None = None

    @property
    def in_words(self) -> str:
        """What a message says of it, with the reason where it is nothing that the program works with."""
        return f"`{self.path}` {self.shape}: {self.guess}" + (f", {self.reason}" if self.guess == "other" else "")

    @property
    def axes_hint(self) -> str | None:
        """Other names for the axes that are as likely, where the file names none: z is seldom the longest axis."""
        if self.axes_are_stated or self.axes[-3:] != "ZYX":
            return None
        z, y, x = self.shape[-3:]
        return self.axes[:-3] + "XYZ" if 1 < 2 * x < min(z, y) else None

    def voxel_size_with(self, axes: str) -> VoxelSize | None:
        """Return the voxel size where the axes are named otherwise, as `StoredArray.with_axes` does."""
        return _size_with_axes(self.voxel_size_um, self.axes, axes)


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What a file holds: its format, its arrays, and how it says that they were made (`Listing.provenance`)."""

    file: str
    format: str
    datasets: tuple[DatasetInfo, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the content as ``scutoid info --json`` prints it."""
        return {
            "file": self.file,
            "format": self.format,
            "datasets": [
                {
                    "path": dataset.path,
                    "shape": list(dataset.shape),
                    "axes": dataset.axes,
                    "dtype": dataset.dtype,
                    "voxel_size_um": None if dataset.voxel_size_um is None else list(dataset.voxel_size_um),
                    "guess": dataset.guess,
                    "reason": dataset.reason,
                }
                for dataset in self.datasets
            ],
        }


def is_picture(shape: tuple[int, ...]) -> bool:
    """Whether an array can be a picture at all: two or more axes that are not singletons."""
    return sum(length != 1 for length in shape) >= 2


def name_axes(shape: tuple[int, ...]) -> str:
    """Name the axes of an array whose file does not, from their number and lengths.

    Parameters
    ----------
    shape : tuple of int
        In napari's order, at least two axes.

    Returns
    -------
    str
        One letter per axis. Four axes are read as a stack with channels where one axis is as short as channels are
        (at most 5), in the place where MATLAB (``rows x columns x 3 x pages``), ImageJ or ilastik keep them; else as a
        stack over time.

    Examples
    --------
    >>> name_axes((16, 512, 512)), name_axes((3, 16, 512, 512)), name_axes((27, 1, 128, 128))
    ('ZYX', 'CZYX', 'ZCYX')
    """
    n = len(shape)
    if n <= 3:
        return "ZYX"[3 - n :]
    if n > 5:
        return "Q" * (n - 5) + name_axes(shape[n - 5 :])
    time = "T" * (n - 4)
    a, b, *_, last = shape[n - 4 :]
    if a != 1 and b in (1, 3):
        return time + "ZCYX"
    if a <= 5:
        return time + "CZYX"
    if last <= 4:
        return time + "ZYXC"
    return "TZYX" if n == 4 else "TCZYX"


def full_scale_of(dtype: np.dtype[Any], scale: Any) -> int | None:
    """Return the stored number that stands for 1 where a file says what to multiply bytes by to get probabilities.

    Parameters
    ----------
    dtype : numpy.dtype
        Of the stored numbers.
    scale : object
        What the file states. Only the one that makes 1 of the largest number of the type is believed: 1/255, 1/65535.
    """
    if dtype.kind != "u" or dtype.itemsize > 2:
        return None
    largest = int(np.iinfo(dtype).max)
    try:
        return largest if math.isclose(np.asarray(scale, dtype=float).item() * largest, 1, rel_tol=1e-6) else None
    except (TypeError, ValueError):
        return None


def checked_voxel_size(values: Any) -> VoxelSize | None:
    """Return a voxel size read from a file, or None where it is not three positive numbers."""
    try:
        z, y, x = np.asarray(values, dtype=float).ravel()
        return VoxelSize.checked(z, y, x)
    except (TypeError, ValueError):
        return None


def laboratory_voxel_size(pixel_scale: Any, z_scale: Any) -> VoxelSize | None:
    """Return the voxel size behind MATLAB's ``pixelScale`` (micrometres a pixel) and ``zScale`` (z step in pixels)."""
    try:
        xy, ratio = np.asarray(pixel_scale, dtype=float).item(), np.asarray(z_scale, dtype=float).item()
    except (TypeError, ValueError):
        return None
    return checked_voxel_size((xy * ratio, xy, xy))

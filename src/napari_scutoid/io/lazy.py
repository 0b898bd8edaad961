"""An array that stays on disk: axes in napari's order, slices read slices."""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.volume import ArrayLike


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB")
_LARGE_CLAIM = 2**40
_TIGHTEST_PACKING = 10_000
"""Real stacks are packed to a half or a tenth, labels to a hundredth, and nothing but zeros by gzip to a thousandth."""


class LazyArray:
    """A view of a stored array with its axes reordered, some of them fixed at one index.

    Parameters
    ----------
    source : ArrayLike
        NumPy, h5py or zarr array; read only where it is sliced.
    order : sequence of int or None
        Source axis behind each axis of the view; None adds an axis of length one.
    fixed : dict of int to int, optional
        Index at which each remaining source axis is held (a channel, a time point).
    name : str
        What messages call the array.
    logical : bool
        The numbers are truth values.
    full_scale : int, optional
        Stored number that stands for 1: the view holds single-precision numbers of 0 to 1.

    Raises
    ------
    ScutoidError
        From slicing, where the file is damaged or holds NaN or infinity.

    Notes
    -----
    Integers, slices of any step and ``...`` are understood. Blocks come in the machine's byte order.
    """

    def __init__(
        self,
        source: ArrayLike,
        order: Sequence[int | None],
        fixed: dict[int, int] | None = None,
        *,
        name: str,
        logical: bool = False,
        full_scale: int | None = None,
    ) -> None:
        fixed = fixed or {}
        kept = [axis for axis in order if axis is not None]
        if sorted([*kept, *fixed]) != list(range(len(source.shape))):
            raise ValueError(f"order {tuple(order)} and fixed {fixed} must name each axis of {source.shape} once")
        self._source = source
        self._order = tuple(order)
        self._fixed = dict(fixed)
        self._name = name
        self._full_scale = full_scale
        self.shape: tuple[int, ...] = tuple(1 if axis is None else int(source.shape[axis]) for axis in order)
        self.dtype: np.dtype[Any] = np.dtype(bool) if logical else np.dtype(source.dtype).newbyteorder("=")
        if full_scale is not None:
            self.dtype = np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array in memory."""
        return self.size * self.dtype.itemsize

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Lengths of a stored chunk along the axes of the view, or None."""
        chunks = getattr(self._source, "chunks", None)
        return None if chunks is None else tuple(1 if axis is None else chunks[axis] for axis in self._order)

    @property
    def is_locked_while_read(self) -> bool:
        """Whether nobody else can read meanwhile: HDF5 unpacks its chunks under the one lock that it has."""
        return getattr(self._source, "compression", None) is not None

    @property
    def view(self) -> tuple[Any, ...]:
        """What of the source this shows, and how: equal for views that hold the same numbers."""
        return self._order, tuple(sorted(self._fixed.items())), self._full_scale

    @property
    def nearest_first(self) -> tuple[int, ...]:
        """Axes of the view, first the one whose neighbours lie closest together in the file."""
        return tuple(sorted(range(self.ndim), key=lambda axis: 1 if (at := self._order[axis]) is None else -at))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<LazyArray {self._name}: shape {self.shape}, {self.dtype}>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("an array on disk cannot be used without reading it")
        return np.asarray(self[...], dtype=dtype)

    def __getitem__(self, key: Any) -> Any:
        keys = _one_key_per_axis(key, self.ndim)
        read: list[Any] = [self._fixed.get(axis) for axis in range(len(self._source.shape))]
        after: list[Any] = []
        for axis, length, one in zip(self._order, self.shape, keys, strict=True):
            span, then = _ascending(one, length)
            after.append(then if axis is not None else one)
            if axis is not None:
                read[axis] = span
        block = self._read(tuple(read))
        kept = [axis for axis in self._order if axis is not None]
        block = block.transpose([sorted(kept).index(axis) for axis in kept])
        block = np.expand_dims(block, tuple(i for i, axis in enumerate(self._order) if axis is None))
        return block[tuple(after)]

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        try:
            block = np.asarray(self._source[key])
        except (OSError, RuntimeError) as error:
            raise ScutoidError(
                f"`{self._name}` could not be read",
                str(error),
                "the file may be damaged; copy it again from its source",
            ) from error
        block = block.astype(self.dtype, copy=False)
        if self._full_scale is not None:
            block /= np.float32(self._full_scale)
        if block.dtype.kind == "f" and not np.isfinite(block).all():
            raise not_finite(self._name)
        return block


def not_finite(name: str) -> ScutoidError:
    """Return the message for voxels that are no numbers."""
    return ScutoidError(
        f"`{name}` could not be used",
        "some voxels are NaN or infinite",
        "give them a number and save again (in MATLAB: A(~isfinite(A)) = 0)",
    )


class DoesNotFit(ScutoidError):
    """More has to be read than there is memory now: the file may be whole."""


def check_memory(nbytes: int, name: str) -> None:
    """Refuse to load what does not fit, before anything is allocated.

    Raises
    ------
    DoesNotFit
        When `nbytes` exceed the memory that is available now.
    """
    available = _available_memory()
    if nbytes > available:
        raise DoesNotFit(
            f"`{name}` does not fit into memory",
            f"it needs {_size(nbytes)}, and {_size(available)} are free",
            "check that its size is what you expect, make it smaller, or use a computer with more memory",
        )


def check_claim(nbytes: int, file: Path, name: str) -> None:
    """Refuse an array whose header claims terabytes that its file cannot hold: going through it would never end.

    Parameters
    ----------
    nbytes : int
        What the header claims.
    file : Path
        File or folder with the array.
    name : str
        What messages call the array.

    Raises
    ------
    ScutoidError
        When an array of more than a tebibyte is not even packed in its file.
    """
    if nbytes <= _LARGE_CLAIM:
        return
    files = [file] if file.is_file() else [one for one in file.rglob("*") if one.is_file()]
    stored = sum(one.stat().st_size for one in files)
    if nbytes > _TIGHTEST_PACKING * stored:
        raise ScutoidError(
            f"`{name}` could not be opened",
            f"its header claims {_size(nbytes)}, and {file.name} has {_size(stored)}",
            "the file is damaged or was never filled; copy it again from its source",
        )


def _size(nbytes: int) -> str:
    """Return a number of bytes as a person reads it."""
    power = min(max(nbytes.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    return f"{nbytes / 2 ** (10 * power):.{1 if power else 0}f} {_UNITS[power]}"


def _available_memory() -> int:
    """Return the bytes that are free, or what a cluster's limit (``ulimit -v``) leaves of them to this process."""
    import psutil

    available = int(psutil.virtual_memory().available)
    try:
        import resource
    except ImportError:
        return available
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return available
    return max(0, min(available, limit - psutil.Process().memory_info().vms))


def _one_key_per_axis(key: Any, ndim: int) -> list[int | slice]:
    keys = list(key) if isinstance(key, tuple) else [key]
    ellipses = [i for i, one in enumerate(keys) if one is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index may hold one '...' only")
    at = ellipses[0] if ellipses else len(keys)
    given = keys[:at] + keys[at + 1 :]
    if len(given) > ndim:
        raise IndexError(f"{len(given)} indices for an array with {ndim} axes")
    given[at:at] = [slice(None)] * (ndim - len(given))
    return [one if isinstance(one, slice) else _integer(one) for one in given]


def _integer(key: Any) -> int:
    try:
        if not isinstance(key, bool | np.bool_):
            return operator.index(key)
    except TypeError:
        pass
    raise IndexError(f"an array on disk is indexed by integers and slices, not by {type(key).__name__}")


def _ascending(key: int | slice, length: int) -> tuple[slice, int | slice]:
    """Return the ascending slice to read, and the key that makes of it what was asked for."""
    if isinstance(key, int):
        index = key + length if key < 0 else key
        if not 0 <= index < length:
            raise IndexError(f"index {key} is outside an axis of length {length}")
        return slice(index, index + 1), 0
    wanted = range(length)[key]
    if wanted.step > 0:
        return slice(wanted.start, max(wanted.start, wanted.stop), wanted.step), slice(None)
    # h5py reads upwards only.
    rising = wanted[::-1]
    return slice(rising.start, max(rising.start, rising.stop), rising.step), slice(None, None, -1)

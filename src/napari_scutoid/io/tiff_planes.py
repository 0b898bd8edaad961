"""The arrays of a TIFF: how pages make up axes, and reading a slice from the pages that it crosses."""

from __future__ import annotations

import itertools
import logging
import math
import struct
import threading
import weakref
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.format import READABLE_KINDS, StoredArray, full_scale_of, is_picture, name_axes
from napari_scutoid.io.lazy import check_memory
from napari_scutoid.volume import ZERO, Origin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import tifffile
    from numpy.typing import NDArray

    from napari_scutoid.io.format import Kind
    from napari_scutoid.volume import VoxelSize

_SAMPLE_BYTES = 64 * 2**20
_KINDS: tuple[Kind, ...] = ("image", "labels", "mask", "other")
_LETTERS: Mapping[str, str] = {**{axis: axis for axis in "TCZYX"}, "S": "C"}


class Series:
    """One array of a file: pages in order, and what the file says about them.

    Parameters
    ----------
    name : str
        What the program calls it.
    pages : tifffile.TiffPageSeries
        The pages, slowest axis first.
    kept : sequence of int
        Which of its axes, not squeezed, are listed; the others have length one.
    voxel_size_um : VoxelSize or None
        None where the file does not say.
    stated : bool
        Whether the file names its axes.
    ours : mapping
        What this program wrote beside the array.
    problem : str or None
        Why it cannot be read.
    """

    def __init__(
        self,
        name: str,
        pages: tifffile.TiffPageSeries,
        kept: Sequence[int],
        voxel_size_um: VoxelSize | None,
        *,
        stated: bool,
        problem: str | None = None,
        ours: Mapping[str, Any],
    ) -> None:
        self.name, self.pages, self.voxel_size_um = name, pages, voxel_size_um
        full_shape, full_axes = tuple(map(int, pages.get_shape(squeeze=False))), pages.get_axes(squeeze=False)
        self.shape = tuple(full_shape[axis] for axis in kept)
        self.letters = "".join(full_axes[axis] for axis in kept)
        self.ours = ours
        self._stated = stated
        self.n_outer = _outer_axes(self.shape, pages.keyframe)
        self.problem = problem or self._problem()

    def header(self) -> StoredArray:
        """Return what the rest of the program sees."""
        order, axes, certain = _napari_axes(self.shape, self.letters)
        keyframe = self.pages.keyframe
        return StoredArray(
            path=self.name,
            stored_shape=self.shape,
            order=order,
            axes=axes,
            dtype=np.dtype(self.pages.dtype).newbyteorder("="),
            voxel_size_um=self.voxel_size_um,
            origin_um=_origin(self.ours),
            axes_are_stated=self._stated and certain,
            cheap_to_sample=keyframe.nbytes <= _SAMPLE_BYTES,
            stated_kind=next((kind for kind in _KINDS if kind == self.ours.get("kind")), None),
            full_scale=full_scale_of(np.dtype(self.pages.dtype), _attribute(self.ours, "scale")),
        )

    def _problem(self) -> str | None:
        dtype = self.pages.dtype
        if dtype is None or np.dtype(dtype).kind not in READABLE_KINDS + "c":
            return f"it holds no plain numbers ({dtype})"
        if 0 in self.shape:
            return f"it is empty, its shape is {self.shape}"
        if not is_picture(self.shape):
            return f"its shape is {self.shape}: no picture"
        if self.n_outer is None:
            return f"its planes of shape {self.pages.keyframe.shape} do not make up its shape {self.shape}"
        n_planes = math.prod(self.shape[: self.n_outer])
        if self.pages.dataoffset is None and n_planes != len(self.pages._pages):
            return f"its header speaks of {n_planes} planes, and the file holds {len(self.pages._pages)}"
        return None


class PlaneArray:
    """A series of a TIFF that stays on disk; a slice reads the planes that it crosses.

    Parameters
    ----------
    file : Path
        The file, for messages.
    tif : tifffile.TiffFile
        The same, open; it is closed when the array is no longer used.
    series : Series
        What to read.
    """

    def __init__(self, file: Path, tif: tifffile.TiffFile, series: Series) -> None:
        self._file, self._tif, self._series = file, tif, series
        weakref.finalize(self, tif.close)
        self.shape = series.shape
        self.dtype: np.dtype[Any] = np.dtype(series.pages.dtype).newbyteorder("=")
        self._n_outer = series.n_outer or 0
        self._inner = self.shape[self._n_outer :]
        self._start: int | None = series.pages.dataoffset
        # Slicing comes from several threads: the viewer's, and that of a running prediction.
        self._lock = threading.Lock()

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """One plane; None where rows can be read by themselves."""
        return None if self._start is not None else (*[1] * self._n_outer, *self._inner)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        keys = (*keys, *[slice(None)] * (len(self.shape) - len(keys)))
        spans = [
            range(length)[one] if isinstance(one, slice) else range(length)[one : one + 1 or None]
            for one, length in zip(keys, self.shape, strict=True)
        ]
        outer, inner = spans[: self._n_outer], spans[self._n_outer :]
        shape = tuple(map(len, spans))
        check_memory(math.prod(shape) * self.dtype.itemsize, self._series.name)
        block = np.empty(shape, self.dtype)
        if block.size == 0:
            outer = [range(0)]
        cut = tuple(slice(one.start, one.stop, one.step) for one in inner)
        for place in itertools.product(*[enumerate(span) for span in outer]):
            number = 0
            for length, (_, index) in zip(self.shape, place, strict=False):
                number = number * length + index
            block[tuple(at for at, _ in place)] = self._plane(number, cut)
        return block[tuple(slice(None) if isinstance(one, slice) else 0 for one in keys)]

    def _plane(self, number: int, cut: tuple[slice, ...]) -> NDArray[Any]:
        try:
            with self._lock:
                return self._rows(number, cut) if self._start is not None else self._page(number)[cut]
        except ImportError as error:
            # Some decoders are known by name only.
            raise _compressed(self._series.pages.keyframe, self._series.name) from error
        except tifffile_errors() as error:
            raise ScutoidError(
                f"`{self._series.name}` could not be read",
                f"plane {number} of {self._file} is damaged or incomplete ({error})",
                "copy the file again from its source",
            ) from error

    def _rows(self, number: int, cut: tuple[slice, ...]) -> NDArray[Any]:
        rows = cut[0]
        row_shape = self._inner[1:]
        row_bytes = math.prod(row_shape) * self.dtype.itemsize
        stream = self._tif.filehandle
        stream.seek((self._start or 0) + (number * self._inner[0] + rows.start) * row_bytes)
        content = stream.read((rows.stop - rows.start) * row_bytes)
        stored = self.dtype.newbyteorder("<" if self._tif.byteorder == "<" else ">")
        plane = np.frombuffer(content, stored).reshape(rows.stop - rows.start, *row_shape)
        return plane[(slice(None, None, rows.step), *cut[1:])]

    def _page(self, number: int) -> NDArray[Any]:
        page = self._series.pages._pages[number]
        if page is None:
            raise ValueError("it is missing")
        keyframe = self._series.pages.keyframe
        check_memory(keyframe.nbytes, self._series.name)
        if not keyframe.is_contiguous and len(page.dataoffsets) != math.prod(keyframe.chunked):
            raise ValueError("parts of it are missing")
        return np.asarray(page.asarray()).reshape(self._inner)


def load_tifffile() -> Any:
    """Return the module tifffile, which no longer writes to stderr."""
    import tifffile

    log = logging.getLogger("tifffile")
    if not log.handlers:
        # What it complains about is told as one message, or is nothing that a person could act on.
        log.addHandler(logging.NullHandler())
    return tifffile


def tifffile_errors() -> tuple[type[Exception], ...]:
    """Return what tifffile and its decoders raise for damaged files, depending on which structure is damaged."""
    return (
        OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, AssertionError, RuntimeError,
        ArithmeticError, MemoryError, struct.error, zlib.error,
    )  # fmt: skip


def _outer_axes(shape: tuple[int, ...], keyframe: tifffile.TiffPage) -> int | None:
    """Return how many axes lie in front of those of a page, or None where pages do not make up the shape."""
    for n_inner in range(1, len(shape) + 1):
        if math.prod(shape[-n_inner:]) == math.prod(keyframe.shape):
            return len(shape) - n_inner
    return None


def _napari_axes(shape: tuple[int, ...], letters: str) -> tuple[tuple[int, ...], str, bool]:
    """Return the stored axis behind each of napari's, their letters, and whether the file named them all."""
    axes = [_LETTERS.get(letter, "?") for letter in letters]
    unknown = [i for i, axis in enumerate(axes) if axis == "?" or axes.index(axis) != i]
    if len(unknown) == len(axes) - 2 and set(axes[-2:]) == {"Y", "X"}:
        # Nothing but planes in a row.
        order = tuple(range(len(axes)))
        return order, name_axes(shape), not unknown
    for i in unknown:
        axes[i] = next((axis for axis in "ZT" if axis not in axes), "Q")
    order = tuple(i for axis in "QTCZYX" for i in range(len(axes)) if axes[i] == axis)
    return order, "".join(axes[i] for i in order), not unknown


def check_compression(page: tifffile.TiffPage, name: str) -> None:
    """Raise ScutoidError when pages like this one cannot be unpacked."""
    tiff = load_tifffile().TIFF
    if page.compression not in tiff.DECOMPRESSORS or page.predictor not in tiff.UNPREDICTORS:
        raise _compressed(page, name)


def _compressed(page: tifffile.TiffPage, name: str) -> ScutoidError:
    how = getattr(page.compression, "name", page.compression)
    if page.predictor != 1:
        how = f"{how} and predictor {getattr(page.predictor, 'name', page.predictor)}"
    return ScutoidError(
        f"`{name}` could not be opened",
        f"its voxels are compressed with {how}, which cannot be read here",
        "open it in Fiji and save it as TIFF, or save it with LZW, ZIP or no compression",
    )


def _attribute(ours: Mapping[str, Any], name: str) -> Any:
    attributes = ours.get("attributes")
    return attributes.get(name) if isinstance(attributes, dict) else None


def _origin(ours: Mapping[str, Any]) -> Origin:
    try:
        z, y, x = (float(value) for value in ours["origin_um"])
    except (KeyError, TypeError, ValueError):
        return ZERO
    return Origin(z, y, x) if all(map(math.isfinite, (z, y, x))) else ZERO

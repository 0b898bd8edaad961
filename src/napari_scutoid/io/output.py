"""What every writer of a file gets, and what it has to be able to do.

A writer never holds an array whole: it asks an `Output` for the keys of blocks that fit its own chunks, and for one
block after the other.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from napari_scutoid.io.format import Kind
    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import ArrayLike, Labels, Volume

SCHEMA_VERSION = 1
"""Of what the writers write; raised when a reader of an older file would misunderstand a newer one."""

BLOCK_BYTES = 64 * 2**20
"""How much of an array is in memory at a time, three times as much where the file's own chunks need it.

A few temporary copies come on top.
"""

_MOST_CHUNKS = 4096

Key: TypeAlias = tuple[slice, slice, slice]
Chunk: TypeAlias = tuple[int, int, int]

_CHUNKS: tuple[Chunk, ...] = ((16, 64, 64), (4, 128, 128), (1, 256, 256))


@dataclass(frozen=True, slots=True)
class Output:
    """An array on its way to a file.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        NumPy, or a lazy array that is read block by block.
    dtype : numpy.dtype
        Type in the file: integer or real. Logical data become uint8 of kind ``"mask"``.
    grid : Volume or Labels
        Where voxel size, position (`origin_um`) and `history` are taken from.
    kind : {"image", "labels", "mask", "other"}
        What it is, for formats that keep images and labels apart.
    attributes : mapping
        More to be written beside the array, for formats that can: numbers and texts by name.
    convert : callable
        Turns a block of `data` into a block of `dtype`'s values, e.g. probabilities into bytes.
    """

    data: ArrayLike
    dtype: np.dtype[Any]
    grid: Volume | Labels
    kind: Kind = "image"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    convert: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y, x."""
        z, y, x = self.data.shape
        return z, y, x

    def block(self, key: Key) -> NDArray[Any]:
        """Read, convert and return one block, in the file's type."""
        return self.convert(np.asarray(self.data[key])).astype(self.dtype, copy=False)

    def chunk(self) -> Chunk:
        """Return a chunk for formats that may choose: 65536 voxels, flat where the source is read by large planes."""
        for chunk in _CHUNKS[:-1]:
            sides = _aligned(self.shape, chunk, _stored_chunk(self.data))
            if math.prod(sides) * max(self.data.dtype.itemsize, self.dtype.itemsize) <= 3 * BLOCK_BYTES:
                return chunk_for(self.shape, chunk)
        return chunk_for(self.shape, _CHUNKS[-1])

    def keys(self, chunk: Chunk) -> list[Key]:
        """Return keys of blocks that cover the array, each of whole chunks of the file to be written.

        Parameters
        ----------
        chunk : tuple of int
            Lengths of a chunk (tile, strip) along z, y, x.
        """
        return block_keys(self.data, chunk, itemsize=self.dtype.itemsize)


def block_keys(data: ArrayLike, chunk: Chunk = (1, 1, 1), *, itemsize: int = 1) -> list[Key]:
    """Return keys of blocks that cover a stack, of about `BLOCK_BYTES` each.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x)
        The stack. Where it is stored in chunks, a block holds whole ones if they fit, so that none is unpacked twice;
        where it lies on disk, blocks are longest along the axis that is stored closest together.
    chunk : tuple of int
        Blocks begin at multiples of these lengths.
    itemsize : int
        Bytes of a voxel after conversion, where they are more than before.
    """
    z, y, x = shape = tuple(data.shape)
    budget = BLOCK_BYTES // max(itemsize, data.dtype.itemsize)
    if getattr(data, "chunks", None) is not None:
        # Each stored chunk costs time of its own: of tiny ones, fewer bytes make a block, so that progress is seen.
        budget = min(budget, _MOST_CHUNKS * math.prod(_stored_chunk(data)))
    sides = _aligned((z, y, x), chunk, _stored_chunk(data))
    for axis, least in enumerate(chunk):
        if (voxels := math.prod(sides)) > 3 * budget:
            fits = 3 * budget * sides[axis] // voxels
            sides[axis] = min(sides[axis], max(least, fits // least * least))
    for axis in getattr(data, "nearest_first", (2, 1, 0)):
        sides[axis] = min(shape[axis], sides[axis] * max(1, budget // math.prod(sides)))
    spans = [[slice(at, min(at + side, n)) for at in range(0, n, side)] for n, side in zip(shape, sides, strict=True)]
    return [(z, y, x) for z, y, x in itertools.product(*spans)]


def _stored_chunk(data: ArrayLike) -> Chunk:
    # Dask lists all lengths along each axis under the usual name, and the largest under this one.
    return getattr(data, "chunksize", None) or getattr(data, "chunks", None) or (1, 1, 1)


def _aligned(shape: Chunk, chunk: Chunk, stored: Chunk) -> list[int]:
    """Return the least lengths of a block that is of whole chunks in both files."""
    return [min(n, math.ceil(s / c) * c) for n, c, s in zip(shape, chunk, stored, strict=True)]


def as_probabilities(data: ArrayLike, grid: Volume, kind: Kind = "other", full_scale: int = 255) -> Output:
    """Return numbers of 0 to 1 on their way to a file as whole numbers of 0 to `full_scale`, 255 or 65535.

    The attribute ``scale`` says what to multiply them by. What was read from such numbers becomes the same ones again.
    """
    convert = functools.partial(_as_whole, full_scale=full_scale)
    return Output(data, np.min_scalar_type(full_scale), grid, kind, {"scale": 1 / full_scale}, convert)


def _as_whole(block: NDArray[Any], full_scale: int) -> NDArray[Any]:
    if not np.isfinite(block).all():
        raise ValueError("probabilities must be numbers; some are NaN or infinite")
    whole: NDArray[Any] = np.rint(np.clip(block, 0, 1) * full_scale)
    return whole


class Writer(Protocol):
    """A file format that can be written. It keeps no open file and no state."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of its files' names in lower case, the usual one first, e.g. ``(".h5", ".hdf5")``."""

    @property
    def is_folder(self) -> bool:
        """Whether a "file" of this format is a folder."""

    def may_replace(self, path: Path) -> bool:
        """Whether no stack of this format that another program wrote is at `path`: it may be the only copy.

        `path` exists. What is damaged or of another format may be replaced as far as this writer is concerned.
        """

    def write(self, path: Path, outputs: Mapping[str, Output], provenance: Mapping[str, Any]) -> Steps[None]:
        """Write arrays by name, block by block; yields `Progress` after each block.

        The file appears whole or not at all, also when the generator is closed half-way.

        Parameters
        ----------
        path : Path
            File or folder to write or replace.
        outputs : mapping of str to Output
            The arrays. Grids may differ.
        provenance : mapping
            How they were made; `as_json` turns it into text.

        Raises
        ------
        ScutoidError
            When it cannot be written, or the format cannot hold what it is given.
        """


def as_json(provenance: Mapping[str, Any]) -> str:
    """Return provenance as JSON; NumPy's numbers and arrays and paths become what JSON can say."""
    return json.dumps(provenance, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def chunk_for(shape: Chunk, chunk: Chunk = _CHUNKS[0]) -> Chunk:
    """Return the chunk for a stack: `chunk`, or the stack where that is smaller."""
    z, y, x = (min(sides) for sides in zip(chunk, shape, strict=True))
    return z, y, x

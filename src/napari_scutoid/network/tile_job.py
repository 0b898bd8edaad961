"""Tiles of a stack on their way through a network: while it computes one, the next is read and the last written."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from napari_scutoid.network.tiles import Box, round_up
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from concurrent.futures import Future
    from typing import TypeAlias

    from numpy.typing import NDArray

    from napari_scutoid.network.backends import Backend
    from napari_scutoid.network.blend import Blend
    from napari_scutoid.network.config import Triple
    from napari_scutoid.network.tiles import Grid, Tile
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Predict

    Write: TypeAlias = Callable[[Tile, NDArray[np.float32]], None]

T = TypeVar("T")
R = TypeVar("R")

STEP = "Predicting"
_MIRRORINGS = tuple(axes for n in range(4) for axes in itertools.combinations((-3, -2, -1), n))
"""Axes of z, y, x along which a tile is mirrored, the tile as it is first."""


class Normaliser(Protocol):
    """What turns raw intensities into the network's input, the same way in every tile."""

    def apply(self, block: Any, /) -> NDArray[np.float32]:
        """Return the normalised block; called from another thread."""


def mirrorings_of(settings: Predict) -> tuple[tuple[int, ...], ...]:
    """Return the axes along which a tile is mirrored in each of its passes."""
    return _MIRRORINGS if settings.flips else _MIRRORINGS[:1]


@dataclass(slots=True, eq=False)
class TileJob:
    """What tiles are read from and written to, and how far this is.

    Parameters
    ----------
    data : ArrayLike, shape (z, y, x), or None
        What is read; None where nothing is.
    statistics : Normaliser or None
    grid : Grid
    wanted : ndarray of bool
        One element per cell of the grid.
    multiple : (int, int, int)
        The network's pooling.
    target : sequence of arrays, shape (z, y, x)
        One an output.
    empty : sequence of float
        What each holds where nothing is wanted.
    overlap : (int, int, int)
        Voxels by which tiles that are blended reach into each other.
    blend : Blend, optional
        Where such tiles are summed.
    passes, voxels : int
        Passes so far, and what went through the network.
    finished : list of Box
        Cores of the tiles that are written.
    """

    data: Any  # `read` is not asked where it is None
    statistics: Any
    grid: Grid
    wanted: NDArray[np.bool_]
    multiple: Triple
    target: Any = ()
    empty: Sequence[float] = ()
    overlap: Triple = (0, 0, 0)
    blend: Blend | None = None
    passes: int = 0
    voxels: int = 0
    finished: list[Box] = field(default_factory=list)

    def read(self, tile: Tile) -> NDArray[np.float32]:
        """Return a tile's normalised intensities (1, 1, z, y, x), completed by reflection beyond the stack."""
        inside = tile.read.grown((0, 0, 0), self.grid.shape)
        block: NDArray[np.float32] = self.statistics.apply(np.asarray(self.data[inside.slices]))
        missing = [b - a for a, b in zip(inside.shape, tile.read.shape, strict=True)]
        if any(missing):
            # As `blocks.pad_to_multiple` does for the whole stack.
            whole = round_up(self.grid.shape, self.multiple)
            thick = all(b - a < a for a, b in zip(self.grid.shape, whole, strict=True))
            block = np.pad(block, [(0, pad) for pad in missing], mode="reflect" if thick else "edge")
        return np.ascontiguousarray(block, dtype=np.float32)[None, None]

    def kept(self, tile: Tile) -> Box:
        """Return the voxels of which a tile's result counts."""
        return tile.core.grown(self.overlap, self.grid.shape)

    def write(self, tile: Tile, values: NDArray[np.float32]) -> None:
        """Keep a tile's probabilities (n, z, y, x), but not where the gate says that there is nothing."""
        box = self.kept(tile)
        skipped = ~self._wanted_in(box)
        if skipped.any():
            for channel, value in zip(values, self.empty, strict=True):
                channel[skipped] = value
        if self.blend is None:
            for index, channel in enumerate(values):
                self.target[index][box.slices] = channel
        else:
            self.blend.add(box, values)
        self.finished.append(tile.core)

    def missing(self) -> NDArray[np.bool_]:
        """Return the wanted cells of which not all voxels are finished."""
        missing = self.wanted.copy()
        for core in self.finished:
            # Cells that are cut by the core's far end are computed again, unless the stack ends there.
            ends = zip(core.start, core.stop, self.grid.tile, self.grid.shape, strict=True)
            cells = tuple(slice(-(-a // t), -(-b // t) if b == n else b // t) for a, b, t, n in ends)
            missing[cells] = False
        return missing

    def _wanted_in(self, box: Box) -> NDArray[np.bool_]:
        """Return what is wanted voxel by voxel."""
        cells = tuple(slice(a // t, -(-b // t)) for a, b, t in zip(box.start, box.stop, self.grid.tile, strict=True))
        wanted = self.wanted[cells]
        if wanted.all():
            return np.ones((1, 1, 1), dtype=bool)
        for axis, tile in enumerate(self.grid.tile):
            first = box.start[axis] - cells[axis].start * tile
            wanted = np.repeat(wanted, tile, axis=axis)
            wanted = wanted[(slice(None),) * axis + (slice(first, first + box.shape[axis]),)]
        return wanted


def run_tiles(
    job: TileJob, tiles: Sequence[Tile], backend: Backend, settings: Predict, write: Write | None = None
) -> Steps[None]:
    """Read, compute and write tiles one by one, each of the three while the others go on with their own tile.

    Leaving it for whatever reason waits for what is being read or written, at most a tile each.

    Parameters
    ----------
    job : TileJob
    tiles : sequence of Tile
    backend : Backend
    settings : Predict
    write : callable, optional
        What takes a tile and its probabilities (n, z, y, x), in a thread, in the order of the tiles; by default
        `TileJob.write`.
    """
    write, mirrorings = write or job.write, mirrorings_of(settings)
    total = job.passes + len(tiles) * len(mirrorings)
    yield Progress(STEP, job.passes, total)
    with ThreadPoolExecutor(1) as writer, closing(_one_ahead(job.read, tiles)) as blocks:
        behind: Future[None] | None = None
        for tile, block in blocks:
            kept = job.kept(tile).relative_to(tile.read)
            values: NDArray[np.float32] | None = None
            for axes in mirrorings:
                result = _mirrored_pass(backend, block, kept, axes)
                values = result if values is None else np.add(values, result, out=values)
                job.passes += 1
                job.voxels += tile.read.voxels
                if behind is not None:
                    behind.result()
                    behind = None
                if axes == mirrorings[-1]:
                    if len(mirrorings) > 1:
                        values /= len(mirrorings)
                    behind = writer.submit(write, tile, values)
                yield Progress(STEP, job.passes, total)
        if behind is not None:
            behind.result()


def _one_ahead(read: Callable[[T], R], items: Iterable[T]) -> Generator[tuple[T, R], None, None]:
    """Yield items with what is read for them, the next one being read in a thread meanwhile."""
    with ThreadPoolExecutor(1) as reader:
        coming: tuple[T, Future[R]] | None = None
        for item in items:
            before, coming = coming, (item, reader.submit(read, item))
            if before is not None:
                yield before[0], before[1].result()
        if coming is not None:
            yield coming[0], coming[1].result()


def _mirrored_pass(
    backend: Backend, block: NDArray[np.float32], kept: Box, axes: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the probabilities (n, z, y, x) of a part of a tile, computed from its mirror image."""
    if not axes:
        result: NDArray[np.float32] = backend(block, kept.slices)[0]
        return result
    spans = [
        slice(n - span.stop, n - span.start) if axis in axes else span
        for axis, span, n in zip((-3, -2, -1), kept.slices, block.shape[2:], strict=True)
    ]
    result = backend(np.ascontiguousarray(np.flip(block, axes)), (spans[0], spans[1], spans[2]))[0]
    mirrored_back: NDArray[np.float32] = np.flip(result, axes)
    return mirrored_back

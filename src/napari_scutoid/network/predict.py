"""Tiled prediction that equals an untiled one.

At the stack's own borders every convolution pads by zeros, tiled or not, so a tile there needs no margin on that
side; inside the stack a tile is computed with a margin of real voxels, at least as wide as the network's receptive
field, and only its core is kept. Tiles start at multiples of the network's pooling, so pooling groups the same voxels
in every tile; what is missing to a multiple at the far borders is reflected, which is also what an untiled pass does.
A tile therefore computes the same numbers as one pass over the whole stack, with less arithmetic than a reflected
margin around the stack would cost.

While the network computes a tile, the next one is read and the one before is written.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.backends import make_backend
from napari_scutoid.network.blend import BLENDED, Blend, sees_the_tile
from napari_scutoid.network.gate import find_tissue
from napari_scutoid.network.passes import SMALL_TILE as SMALL_TILE
from napari_scutoid.network.passes import blend_width, grid_for, halo_for, largest_pass, tiles_for
from napari_scutoid.network.tiles import Box, round_up
from napari_scutoid.network.tissue_classifier import classify_tissue, knows_cells_of
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from concurrent.futures import Future

    from numpy.typing import NDArray
    from torch import nn

    from napari_scutoid.network.backends import Backend
    from napari_scutoid.network.config import ModelConfig, Triple
    from napari_scutoid.network.device import BackendName, Precision
    from napari_scutoid.network.tiles import Grid, Tile
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Predict
    from napari_scutoid.volume import ArrayLike

T = TypeVar("T")
R = TypeVar("R")

STEP = "Predicting"
_FILLED_PLANES = 16
LARGE_CELL = 1.5
"""Diameter of a large cell, in typical cells."""
MIRRORINGS = tuple(axes for n in range(4) for axes in itertools.combinations((-3, -2, -1), n))
"""Axes of z, y, x along which a tile is mirrored, the tile as it is first."""


class Normaliser(Protocol):
    """What turns raw intensities into the network's input, the same way in every tile."""

    def apply(self, block: Any, /) -> NDArray[np.float32]:
        """Return the normalised block; called from another thread."""


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Probabilities of a stack, and how they were computed.

    Parameters
    ----------
    probabilities : ndarray of float32, shape (n_outputs, z, y, x), or the arrays that were given
        One an output.
    tiles, tiles_skipped : int
        Tiles that the gate decided on, and those of them that it left empty.
    tile : (int, int, int)
        Their size in voxels.
    passes : int
        Passes through the network; neighbouring tiles share one.
    pass_shape : (int, int, int)
        Voxels of the last pass, margins included; all have the same unless the memory did not suffice.
    voxels_computed : int
        Voxels that went through the network, margins included.
    pass_voxels : int
        The most that a pass might have had.
    halo : (int, int, int)
        Margin around a pass, in voxels.
    device, precision, backend : str
        Where and how it was computed, and by what.
    why : str
        Why there, so and by that.
    warnings : tuple of str
        What a person should know about the result.
    """

    probabilities: Any
    tiles: int
    tiles_skipped: int
    tile: Triple
    passes: int
    pass_shape: Triple
    voxels_computed: int
    pass_voxels: int
    halo: Triple
    device: str
    precision: Precision
    backend: BackendName
    why: str
    warnings: tuple[str, ...] = ()


def predict(
    module: nn.Module,
    config: ModelConfig,
    data: ArrayLike,
    statistics: Normaliser,
    settings: Predict,
    *,
    out: Any = None,
) -> Steps[Prediction]:
    """Run a network over a stack, tile by tile.

    Parameters
    ----------
    module : torch.nn.Module
        As `checkpoint.load_model` returns it; it is not changed.
    config : ModelConfig
        Its configuration.
    data : ArrayLike, shape (z, y, x)
        Raw intensities; lazy arrays are read a tile at a time, from a thread.
    statistics : object with ``apply``
        How to normalise a block, e.g. `steps.normalise.IntensityStatistics`.
    settings : Predict
        Device, backend, precision, tiles and the gate that skips what holds no tissue.
    out : sequence of arrays of floats, shape (z, y, x), optional
        NumPy arrays, HDF5 or zarr data sets, one an output, that receive the probabilities, from a thread; by default
        a new float32 array of all.

    Yields
    ------
    Progress
        Before and after every pass; closing the generator there cancels.

    Returns
    -------
    Prediction
        Skipped tiles hold 0, and 1 in an output called ``background``.

    Raises
    ------
    ScutoidError
        When the margin is smaller than the receptive field, the device does not exist, the backend cannot compute the
        network, or the memory does not suffice for the smallest tile.
    ValueError
        When an array has the wrong shape.
    """
    shape = _checked_shape(data, config, out)
    architecture = config.architecture
    halo = halo_for(architecture, settings.halo)
    backend, facts = make_backend(module, config, settings)
    largest = largest_pass(config, facts, settings)
    grid = grid_for(shape, architecture, settings)
    wanted = yield from wanted_tiles(data, grid, config, settings)

    target = np.zeros((len(config.outputs), *shape), dtype=np.float32) if out is None else out
    empty = [float(output.name == "background") for output in config.outputs]
    if out is not None or any(empty):
        _fill(target, empty)
    blended = sees_the_tile(module)
    job = _Job(data, statistics, target, grid, wanted, empty, architecture.multiple)
    tiles = tiles_for(wanted, grid, architecture, settings, largest, blended=blended)
    while tiles:
        if blended and job.blend is None and len(tiles) > 1:
            job.blend = Blend(len(config.outputs), shape, blend_width(halo, architecture.multiple))
        try:
            yield from _run(job, tiles, backend, MIRRORINGS if settings.flips else MIRRORINGS[:1])
            break
        except MemoryError:
            # What is finished stays; the rest is cut into tiles of half the size, whatever was stated.
            failed = tiles[0].read
            largest = min(largest, failed.voxels) // 2
            settings = settings.model_copy(update={"tile": None})
            tiles = tiles_for(job.missing(), grid, architecture, settings, largest, blended=blended)
            if tiles and tiles[0].read.voxels >= failed.voxels:
                raise _no_memory(failed.shape) from None
    if job.blend is not None:
        job.blend.write(target)
    return Prediction(
        probabilities=target,
        tiles=wanted.size,
        tiles_skipped=int((~wanted).sum()),
        tile=grid.tile,
        passes=job.passes,
        pass_shape=tiles[0].read.shape if tiles else (0, 0, 0),
        voxels_computed=job.voxels,
        pass_voxels=largest,
        halo=halo,
        device=facts.device,
        precision=facts.precision,
        backend=facts.backend,
        why=facts.why,
        warnings=() if job.blend is None else (BLENDED,),
    )


def wanted_tiles(data: ArrayLike, grid: Grid, config: ModelConfig, settings: Predict) -> Steps[NDArray[np.bool_]]:
    """Return which tiles of a stack may hold tissue, one element per tile."""
    found = []
    if settings.gate in ("auto", "threshold"):
        # The range says how stacks are scaled by their typical cell; single cells are larger than that.
        largest = max(config.cell_diameter_range[1], LARGE_CELL * config.cell_diameter)
        found.append((yield from find_tissue(data, largest, settings.gate_threshold)))
    if settings.gate == "classifier" or (settings.gate == "auto" and knows_cells_of(config)):
        found.append((yield from classify_tissue(data)))
    wanted = np.ones(grid.counts, dtype=bool)
    for index, box in grid.boxes():
        wanted[index] = all(tissue.touches(box) for tissue in found)
    return wanted


@dataclass(slots=True, eq=False)
class _Job:
    """What tiles are read from and written to, and how far this is."""

    data: ArrayLike
    statistics: Normaliser
    target: Any
    grid: Grid
    wanted: NDArray[np.bool_]
    empty: Sequence[float]
    multiple: Triple
    blend: Blend | None = None
    passes: int = 0
    voxels: int = 0
    finished: list[Box] = field(default_factory=list)

    def read(self, tile: Tile) -> NDArray[np.float32]:
        """Return a tile's normalised intensities (1, 1, z, y, x), completed by reflection beyond the stack."""
        inside = tile.read.grown((0, 0, 0), self.grid.shape)
        block = self.statistics.apply(np.asarray(self.data[inside.slices]))
        missing = [b - a for a, b in zip(inside.shape, tile.read.shape, strict=True)]
        if any(missing):
            # As `blocks.pad_to_multiple` does for the whole stack.
            whole = round_up(self.grid.shape, self.multiple)
            thick = all(b - a < a for a, b in zip(self.grid.shape, whole, strict=True))
            block = np.pad(block, [(0, pad) for pad in missing], mode="reflect" if thick else "edge")
        return np.ascontiguousarray(block, dtype=np.float32)[None, None]

    def kept(self, tile: Tile) -> Box:
        """Return the voxels of which a tile's result counts."""
        return tile.core if self.blend is None else tile.core.grown(self.blend.overlap, self.grid.shape)

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


def _run(job: _Job, tiles: Sequence[Tile], backend: Backend, mirrorings: Sequence[tuple[int, ...]]) -> Steps[None]:
    """Read, compute and write tiles one by one, each of the three while the others go on with their own tile.

    Leaving it for whatever reason waits for what is being read or written, at most a tile each.
    """
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
                    behind = writer.submit(job.write, tile, values)
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


def _checked_shape(data: ArrayLike, config: ModelConfig, out: Any) -> Triple:
    if len(data.shape) != 3 or 0 in data.shape:
        raise ValueError(f"data must have three non-empty axes (z, y, x); got shape {tuple(data.shape)}")
    if config.architecture.in_channels != 1:
        raise ScutoidError(
            f"The model {config.name} cannot segment this stack",
            f"it needs {config.architecture.in_channels} channels ({', '.join(config.inputs)}), the stack has one",
            "choose a model for one channel",
        )
    z, y, x = data.shape
    if out is not None:
        found = [(tuple(one.shape), np.dtype(one.dtype)) for one in out]
        if len(found) != len(config.outputs) or any(n != (z, y, x) or dtype.kind != "f" for n, dtype in found):
            raise ValueError(f"out must hold {len(config.outputs)} arrays of floats in shape {(z, y, x)}, not {found}")
    return z, y, x


def _fill(target: Iterable[Any], values: Sequence[float]) -> None:
    for channel, value in zip(target, values, strict=True):
        for z in range(0, channel.shape[0], _FILLED_PLANES):
            channel[z : z + _FILLED_PLANES] = value


def _no_memory(shape: Triple) -> ScutoidError:
    return ScutoidError(
        "The stack could not be segmented",
        f"the memory does not suffice even for a tile of {shape} voxels",
        "close other programs, rescale the stack to a coarser grid, or use a smaller model",
    )

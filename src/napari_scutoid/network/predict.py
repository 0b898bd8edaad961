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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.backends import make_backend
from napari_scutoid.network.blend import BLENDED, Blend, sees_the_tile
from napari_scutoid.network.gate import find_tissue
from napari_scutoid.network.passes import SMALL_TILE as SMALL_TILE
from napari_scutoid.network.passes import blend_width, grid_for, halo_for, largest_pass, tiles_for
from napari_scutoid.network.tile_job import STEP as STEP
from napari_scutoid.network.tile_job import TileJob, mirrorings_of, run_tiles
from napari_scutoid.network.tissue_classifier import classify_tissue, knows_cells_of
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from napari_scutoid.network.backends import Backend
    from napari_scutoid.network.config import ModelConfig, Triple
    from napari_scutoid.network.device import BackendName, Precision
    from napari_scutoid.network.tile_job import Normaliser, Write
    from napari_scutoid.network.tiles import Box, Grid, Tile
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Predict
    from napari_scutoid.volume import ArrayLike

_FILLED_PLANES = 16
LARGE_CELL = 1.5
"""Diameter of a large cell, in typical cells."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What is decided before a stack goes through a network, and all have to know who compute a part of it.

    Parameters
    ----------
    shape : (int, int, int)
        Of the stack.
    settings : Predict
        Device, backend and precision as they were chosen.
    why : str
        Why they were.
    largest : int
        The most voxels that a pass may have.
    wanted : ndarray of bool
        What the gate says, one element per cell of the grid.
    blended : bool
        Whether the tiles do not fit together exactly, see `blend`.
    warnings : tuple of str
        What a person should know about these choices.
    """

    shape: Triple
    settings: Predict
    why: str
    largest: int
    wanted: NDArray[np.bool_]
    blended: bool
    warnings: tuple[str, ...] = ()

    def grid(self, config: ModelConfig) -> Grid:
        """Return what the gate decided on."""
        return grid_for(self.shape, config.architecture, self.settings)

    def tiles(self, config: ModelConfig) -> list[Tile]:
        """Return the tiles that go through the network, in the order of their passes: the same ones every time."""
        grid, architecture = self.grid(config), config.architecture
        return tiles_for(self.wanted, grid, architecture, self.settings, self.largest, blended=self.blended)

    def overlap(self, config: ModelConfig, tiles: Sequence[Tile]) -> Triple:
        """Return by how much tiles reach into each other."""
        if not self.blended or len(tiles) <= 1:
            return 0, 0, 0
        return blend_width(halo_for(config.architecture, self.settings.halo), config.architecture.multiple)

    def kept(self, config: ModelConfig) -> list[Box]:
        """Return the voxels of which each tile's result counts."""
        tiles = self.tiles(config)
        overlap = self.overlap(config, tiles)
        return [tile.core.grown(overlap, self.shape) for tile in tiles]


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
    _check_shape(data, config, out)
    plan, backend = yield from _decided(module, config, data, settings)
    job = _job(config, plan, data, statistics)
    _give_target(job, config, out)
    tiles, largest, settings = plan.tiles(config), plan.largest, plan.settings
    while tiles:
        _blend_where_needed(job, config, plan, tiles)
        try:
            yield from run_tiles(job, tiles, backend, settings)
            break
        except MemoryError:
            # What is finished stays; the rest is cut into tiles of half the size, whatever was stated.
            failed = tiles[0].read
            largest = min(largest, failed.voxels) // 2
            settings = settings.model_copy(update={"tile": None})
            tiles = tiles_for(job.missing(), job.grid, config.architecture, settings, largest, blended=plan.blended)
            if tiles and tiles[0].read.voxels >= failed.voxels:
                raise _no_memory(failed.shape) from None
    return _finished(job, config, plan, tiles, largest)


def plan_passes(module: nn.Module, config: ModelConfig, data: ArrayLike, settings: Predict) -> Steps[Plan]:
    """Decide all that `predict` decides, and compute nothing yet; parameters and errors are those of `predict`."""
    _check_shape(data, config, None)
    plan, _ = yield from _decided(module, config, data, settings)
    return plan


def predict_part(
    module: nn.Module,
    config: ModelConfig,
    data: ArrayLike,
    statistics: Normaliser,
    plan: Plan,
    part: slice,
    write: Write,
) -> Steps[None]:
    """Compute some of a plan's tiles.

    Parameters
    ----------
    module, config, data, statistics
        As for `predict`.
    plan : Plan
    part : slice
        Which tiles.
    write : callable
        What takes each of them and its probabilities, of the voxels that `Plan.kept` names, in their order, in a
        thread.

    Raises
    ------
    ScutoidError
        When what was chosen for the plan is not there, or the memory does not suffice for a pass of its size.
    """
    tiles = plan.tiles(config)
    job = _job(config, plan, data, statistics)
    job.overlap = plan.overlap(config, tiles)
    backend, facts = make_backend(module, config, plan.settings)
    if facts.precision != plan.settings.precision:
        raise ScutoidError(
            "A part of the stack could not be computed",
            f"the other parts are computed in {plan.settings.precision}, which this computer has no instructions for",
            "state fp32 (predict.precision in the recipe), or use computers that are alike",
        )
    try:
        yield from run_tiles(job, tiles[part], backend, plan.settings, write)
    except MemoryError:
        # Tiles of another size would be others than those that the rest is computed in.
        raise ScutoidError(
            "A part of the stack could not be computed",
            f"the memory does not suffice for a pass of {tiles[0].read.shape} voxels",
            "state a smaller one (predict.pass_voxels in the recipe), or close other programs",
        ) from None


def gather(
    config: ModelConfig, plan: Plan, parts: Iterable[NDArray[np.floating]], *, out: Any = None
) -> Steps[Prediction]:
    """Put together what was computed in parts: the same as `predict` returns.

    Parameters
    ----------
    config : ModelConfig
    plan : Plan
    parts : iterable of ndarray
        What `predict_part` gave `write`, of all tiles in their order.
    out
        As for `predict`.

    Yields
    ------
    Progress
        After every tile.
    """
    tiles = plan.tiles(config)
    job = _job(config, plan)
    _give_target(job, config, out)
    _blend_where_needed(job, config, plan, tiles)
    for number, (tile, values) in enumerate(zip(tiles, parts, strict=True), start=1):
        job.write(tile, values)
        job.passes += len(mirrorings_of(plan.settings))
        job.voxels += len(mirrorings_of(plan.settings)) * tile.read.voxels
        yield Progress("Gathering the parts", number, len(tiles))
    return _finished(job, config, plan, tiles, plan.largest)


def _decided(module: nn.Module, config: ModelConfig, data: ArrayLike, settings: Predict) -> Steps[tuple[Plan, Backend]]:
    halo_for(config.architecture, settings.halo)  # one that is too small is told before anything is done
    backend, facts = make_backend(module, config, settings)
    largest = largest_pass(config, facts, settings)
    z, y, x = data.shape
    wanted = yield from wanted_tiles(data, grid_for((z, y, x), config.architecture, settings), config, settings)
    chosen = {"device": facts.device, "backend": facts.backend, "precision": facts.precision}
    settings = settings.model_copy(update=chosen)
    blended = sees_the_tile(module)
    return Plan((z, y, x), settings, facts.why, largest, wanted, blended, facts.warnings), backend


def _job(
    config: ModelConfig, plan: Plan, data: ArrayLike | None = None, statistics: Normaliser | None = None
) -> TileJob:
    return TileJob(data, statistics, plan.grid(config), plan.wanted, config.architecture.multiple)


def _give_target(job: TileJob, config: ModelConfig, out: Any) -> None:
    """Let a job write into arrays that hold everywhere what is true of nothing."""
    job.target = np.zeros((len(config.outputs), *job.grid.shape), dtype=np.float32) if out is None else out
    job.empty = [float(output.name == "background") for output in config.outputs]
    if out is not None or any(job.empty):
        _fill(job.target, job.empty)


def _blend_where_needed(job: TileJob, config: ModelConfig, plan: Plan, tiles: Sequence[Tile]) -> None:
    if job.blend is None and any(overlap := plan.overlap(config, tiles)):
        job.overlap, job.blend = overlap, Blend(len(config.outputs), plan.shape, overlap)


def _finished(job: TileJob, config: ModelConfig, plan: Plan, tiles: Sequence[Tile], largest: int) -> Prediction:
    if job.blend is not None:
        job.blend.write(job.target)
    used = plan.settings
    return Prediction(
        probabilities=job.target,
        tiles=plan.wanted.size,
        tiles_skipped=int((~plan.wanted).sum()),
        tile=job.grid.tile,
        passes=job.passes,
        pass_shape=tiles[0].read.shape if tiles else (0, 0, 0),
        voxels_computed=job.voxels,
        pass_voxels=largest,
        halo=halo_for(config.architecture, used.halo),
        device=used.device,
        precision=cast("Precision", used.precision),
        backend=cast("BackendName", used.backend),
        why=plan.why,
        warnings=plan.warnings if job.blend is None else (*plan.warnings, BLENDED),
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


def _check_shape(data: ArrayLike, config: ModelConfig, out: Any) -> None:
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

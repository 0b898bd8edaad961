"""How long a segmentation will take and how much memory, before it is run.

The network and the way from probabilities to cells are timed once per machine, on a small block each; the rest is
stated in units of the second of these, as it is the same kind of work. What is not known before is how much of the
stack is tissue: the rest is skipped, and most of the time with it.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.pace import Outlook, Parts
from napari_scutoid.pipeline import UNCERTAIN, settings_for
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.steps.cell_size import voxels_to_size
from napari_scutoid.steps.cells_blocks import MOST_WHOLE, memory_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_scutoid.network.config import ModelConfig, Triple
    from napari_scutoid.network.device import DeviceFacts
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Rescale
    from napari_scutoid.steps.cell_size import CellSize
    from napari_scutoid.volume import Volume, VoxelSize

TISSUE = 0.6
"""Share of the stack that is taken for tissue: all of it is 1.7 times as much, a third of it about half."""
GRID = 0.25
"""What a voxel of the working grid costs before the network, over what it costs after it: rescaling, finding tissue."""
STACK = 0.06
"""What a voxel of the stack costs, in the same unit: reading, hashing, rescaling, labels, the table of cells."""
SIZING = 2.0
"""What a voxel costs that the estimate of the cell size looks at, in the same unit."""
START = 0.5
"""Seconds to load the model."""
HELD = 100 * 2**20
"""Bytes that libraries take when they first compute."""
OWN_MEMORY = ("cpu", "xpu")
"""Devices that compute in the computer's own memory."""
NETWORK_STEP = "Predicting"
"""`napari_scutoid.network.predict.STEP`, which cannot be imported here without torch."""
BLOCK = (48, 64, 64)
"""Voxels of the block on which the way from probabilities to cells is timed."""
CELL = 16
"""Voxels across its cells."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What was timed on this machine.

    Parameters
    ----------
    prediction : float
        Seconds for a voxel of a pass through the network.
    cells : float
        Seconds from probabilities to cells for a voxel of the working grid.
    """

    prediction: float
    cells: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take.

    Parameters
    ----------
    parts : Parts
        Seconds before the network, in it, and after it, with a usual share of tissue.
    most_seconds : float
        In all, if tissue fills the stack.
    peak_bytes : int
        The most memory that it takes at once beyond the stack, and beyond what the program takes anyway.
    working_shape : (int, int, int)
        Voxels of the grid that the network sees.
    warnings : tuple of str
        What should be looked at before it is run.
    """

    parts: Parts
    most_seconds: float
    peak_bytes: int
    working_shape: Triple
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """In all, with a usual share of tissue."""
        return sum(self.parts)

    def outlook(self) -> Outlook:
        """Return what tells, while the run goes on, how long it still takes."""
        return Outlook(self.parts, NETWORK_STEP)

    def __str__(self) -> str:
        shape = " x ".join(map(str, self.working_shape))
        return (
            f"About {duration(self.seconds)} (at most {duration(self.most_seconds)}, if tissue fills the stack) and "
            f"{self.peak_bytes / 1e9:.1f} GB of memory, on {shape} voxels."
        )


@dataclass(frozen=True, slots=True)
class Forecast:
    """An estimate, with what it rests on.

    Parameters
    ----------
    estimate : Estimate
    device : DeviceFacts
    cell_size : CellSize or None
        What was estimated in the stack, as nobody states it.
    free_bytes : int
        Memory of the computer that can still be allocated.
    """

    estimate: Estimate
    device: DeviceFacts
    cell_size: CellSize | None
    free_bytes: int


def forecast(
    volume: Volume,
    recipe: Recipe,
    config: ModelConfig,
    *,
    cell_size: CellSize | None = None,
    cache: Path | None = None,
) -> Steps[Forecast]:
    """Estimate what the segmentation of a stack will take.

    Parameters
    ----------
    volume : Volume
        Read only where the size of its cells has to be estimated.
    recipe : Recipe
        As for `pipeline.run`.
    config : ModelConfig
        Of the model.
    cell_size : CellSize, optional
        Of this stack, where it was estimated before.
    cache : path, optional
        Folder that remembers what was timed; by default the user's.

    Yields
    ------
    Progress

    Raises
    ------
    ScutoidError
        When there is no such device.
    ValueError
        When the stack shows no cells, or the recipe does not fit it.
    """
    from napari_scutoid.network.device import choose_device, describe_device, free_memory
    from napari_scutoid.network.speed import seconds_per_voxel

    def kept(name: str) -> Path | None:
        return None if cache is None else cache / name

    yield Progress("Looking at the device")
    predict = recipe.predict
    facts = describe_device(predict.device, predict.precision, predict.backend, cache=kept("bf16_gain.json"))
    yield Progress("Timing the network")
    prediction = seconds_per_voxel(config, facts, cache=kept("seconds_per_voxel.json"))
    yield Progress("Timing the way to cells")
    speed = Speed(prediction, seconds_to_cells(cache=kept("seconds_to_cells.json")))
    settings = settings_for(recipe, config).rescale
    if cell_size is None and needs_cell_size(settings, volume.voxel_size_um):
        from napari_scutoid.steps.cell_size import estimating_cell_size

        cell_size = yield from estimating_cell_size(volume.data)
    found = estimate(volume.shape, volume.voxel_size_um, recipe, config, facts, speed, cell_size)
    return Forecast(found, facts, cell_size, free_memory(choose_device("cpu")))


def needs_cell_size(settings: Rescale, voxel_size_um: VoxelSize | None) -> bool:
    """Whether a run estimates the size of the cells: where the recipe or the file leaves something open."""
    return voxel_size_um is None or (settings.mode == "cell_size" and settings.cell_diameter is None)


def estimate(
    shape: Sequence[int],
    voxel_size_um: VoxelSize | None,
    recipe: Recipe,
    config: ModelConfig,
    facts: DeviceFacts,
    speed: Speed,
    cell_size: CellSize | None = None,
) -> Estimate:
    """Estimate what a run takes, from sizes alone.

    Parameters
    ----------
    shape : (int, int, int)
        Voxels of the stack.
    voxel_size_um : VoxelSize or None
    recipe : Recipe
        As for `pipeline.run`.
    config : ModelConfig
    facts : DeviceFacts
        What will compute.
    speed : Speed
    cell_size : CellSize, optional
        Where `needs_cell_size` says so.

    Raises
    ------
    ValueError
        When the recipe needs what is not known.
    """
    from napari_scutoid.network.passes import blending_bytes, bytes_per_voxel
    from napari_scutoid.steps.rescale import distortion_warning, rescaled_shape, target_factors

    recipe = settings_for(recipe, config)
    settings = recipe.rescale
    ranges = {"cell_diameter_range": config.cell_diameter_range, "anisotropy_range": config.anisotropy_range}
    factors = target_factors(settings, voxel_size_um, cell_size, **ranges)
    grid = rescaled_shape(shape, factors)
    stack, working = math.prod(shape), math.prod(grid)

    passes = _passes(grid, recipe, config, facts)
    # Of what each voxel of the stack costs, labels and their table are about half.
    before = START + speed.cells * (working * GRID + stack * STACK / 2)
    if needs_cell_size(settings, voxel_size_um):
        before += speed.cells * SIZING * voxels_to_size(shape)
    last = speed.cells * stack * STACK / 2
    in_network, in_cells = speed.prediction * sum(passes), speed.cells * working
    share = 1.0 if recipe.predict.gate == "off" else TISSUE
    parts = Parts(before, share * in_network, share * in_cells + last)
    most = before + in_network + in_cells + last

    on_disk = working > MOST_WHOLE  # see `pipeline`
    outputs = 0 if on_disk else 4 * len(config.outputs) * working
    at_once = max(passes) * bytes_per_voxel(config.architecture, len(config.outputs), facts)
    blended = blending_bytes(config, working)
    rescaled = 0 if on_disk or grid == tuple(shape) else 4 * working
    peak = HELD + max(
        rescaled + outputs + blended + (at_once if facts.device in OWN_MEMORY else 0),
        rescaled + memory_for(working, recipe.watershed),
        rescaled + outputs + 4 * working + 4 * stack,
    )
    warnings = [] if settings.mode == "cell_size" else [distortion_warning(factors, voxel_size_um)]
    warnings.append(_misfit(settings, factors, cell_size, config))
    return Estimate(parts, most, peak, grid, tuple(filter(None, warnings)))


def seconds_to_cells(*, cache: Path | None = None) -> float:
    """Return the seconds that a voxel takes from probabilities to cells, timed once per machine.

    Parameters
    ----------
    cache : path, optional
        File that remembers it; by default in the user's cache folder.
    """
    from napari_scutoid.network.device import choose_device
    from napari_scutoid.network.measured import TIMES_HOLD_S, cache_file, machine, remembered

    file = cache or cache_file("seconds_to_cells.json")
    return remembered(machine(choose_device("cpu")), _timed, file, again_after_s=TIMES_HOLD_S)


def duration(seconds: float) -> str:
    """Return a duration as one reads it: ``"3 min"``."""
    if seconds < 55:
        return f"{max(1, 5 * round(seconds / 5)) if seconds >= 8 else max(1, round(seconds))} s"
    return f"{max(1, round(seconds / 60))} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _timed() -> float:
    from napari_scutoid.steps.cells import cells_from_probabilities

    places = np.indices(BLOCK, np.float32)
    # Walls two voxels thick around cubes, as soft as a network draws them.
    away = np.minimum.reduce(np.abs((places + CELL / 2) % CELL - CELL / 2))
    boundary = np.clip(1.5 - away / 2, 0.0, 1.0).astype(np.float32)
    foreground = np.ones(BLOCK, np.float32)
    small = tuple(slice(0, CELL + 4) for _ in BLOCK)
    drain(cells_from_probabilities(foreground[small], boundary[small], Recipe()))  # libraries are loaded here
    start = time.perf_counter()
    drain(cells_from_probabilities(foreground, boundary, Recipe()))
    return (time.perf_counter() - start) / foreground.size


def _passes(grid: Triple, recipe: Recipe, config: ModelConfig, facts: DeviceFacts) -> list[int]:
    """Return the voxels of each pass, if tissue fills the stack."""
    from napari_scutoid.network.passes import MIRRORED, blending_bytes, grid_for, largest_pass, tiles_for

    settings, architecture = recipe.predict, config.architecture
    cells = grid_for(grid, architecture, settings)
    wanted = np.ones(cells.counts, dtype=bool)
    blended = blending_bytes(config, 1) > 0
    tiles = tiles_for(wanted, cells, architecture, settings, largest_pass(config, facts, settings), blended=blended)
    return [tile.read.voxels for tile in tiles] * (MIRRORED if settings.flips else 1)


def _misfit(settings: Rescale, factors: Sequence[float], cell_size: CellSize | None, config: ModelConfig) -> str | None:
    """Say where the cells are not what the model knows, or may not be."""
    if settings.cell_diameter is None and cell_size is not None and cell_size.uncertainty > UNCERTAIN:
        return (
            f"The cells seem to be {cell_size.diameter:.0f} voxels across, give or take {cell_size.uncertainty:.0%}: "
            "enter their diameter if you know it."
        )
    diameter = settings.cell_diameter or (None if cell_size is None else cell_size.diameter)
    if diameter is None:
        return None
    seen = diameter * math.prod(factors) ** (1 / 3)
    low, high = config.cell_diameter_range
    if settings.mode != "cell_size" and not 0.9 * low <= seen <= 1.1 * high:
        return (
            f"The network will see cells {seen:.0f} voxels across, and this model knows cells of {low:g} to {high:g}: "
            "let the stack be rescaled by cell size, or choose another model."
        )
    return None

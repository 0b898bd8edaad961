"""The whole way from a stack to one label per cell."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress
from napari_scutoid.recipe import Recipe
from napari_scutoid.result import FOREGROUND as FOREGROUND
from napari_scutoid.result import Begun, kept_of, typical_cell
from napari_scutoid.result import Kept as Kept
from napari_scutoid.result import Prepared as Prepared
from napari_scutoid.result import Result as Result
from napari_scutoid.steps.slabs import check_intensities, z_slabs
from napari_scutoid.volume import Labels, VoxelSize

if TYPE_CHECKING:
    from pathlib import Path

    from napari_scutoid.io.scratch import Scratch
    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Rescale, Watershed
    from napari_scutoid.steps.cell_size import CellSize
    from napari_scutoid.steps.normalise import IntensityStatistics
    from napari_scutoid.volume import ArrayLike, Volume

UNCERTAIN = 0.25
"""Relative uncertainty of the cell diameter above which the user is told."""
BOUNDARY = "boundary"
_MAP_BYTES = 2
"""Of a voxel of a map that lies in a file."""
NEEDED = (FOREGROUND, BOUNDARY)
"""Outputs of a model that cells are made from; without the first, everything is taken for tissue."""
SEEDS = "seeds"
"""Output that replaces the seeds found in the distance to walls, where a model has it."""


def run(volume: Volume, recipe: Recipe | None = None, model: str | Path = "builtin") -> Steps[Result]:
    """Segment a stack.

    Parameters
    ----------
    volume : Volume
        One channel of one time point; lazy data are read slab by slab.
    recipe : Recipe, optional
        Settings; what it leaves unset is taken from the model, then from the defaults.
    model : str or path
        Name of an installed model, or a model folder.

    Yields
    ------
    Progress
        At least once a slab, tile and stage; closing the generator cancels.

    Returns
    -------
    Result

    Raises
    ------
    ScutoidError
        When the stack, the recipe or the model does not allow it.
    """
    kept = yield from predicted(volume, recipe, model)
    return (yield from relabel(kept))


def predicted(volume: Volume, recipe: Recipe | None = None, model: str | Path = "builtin") -> Steps[Kept]:
    """Run the network over a stack: the part of `run` that need not be repeated to make other labels.

    Parameters, progress and errors are those of `run`.
    """
    # Imported in the worker's thread, when the job starts: opening a widget must not load torch.
    from napari_scutoid.network.checkpoint import load_model
    from napari_scutoid.network.predict import predict

    yield Progress("Loading the model")
    module, config = load_model(model)
    begun = yield from begin(volume, recipe or Recipe(), config)
    working, rooms = begun.ready.volume, rooms_for(begun, config)
    prediction = yield from predict(
        module, config, working.data, begun.ready.statistics, begun.recipe.predict, out=rooms
    )
    return kept_of(volume, begun, config, prediction)


def begin(volume: Volume, recipe: Recipe, config: ModelConfig) -> Steps[Begun]:
    """Do what comes before the network; progress and errors are those of `run`."""
    _check_outputs(config)
    base = settings_for(Recipe(), config)
    recipe = settings_for(recipe, config)
    _check_smallest_size(recipe, volume.voxel_size_um)
    source_hash = yield from _checked_hash(volume)
    return Begun(recipe, base, source_hash, (yield from prepare(volume, recipe, config)))


def rooms_for(begun: Begun, config: ModelConfig) -> list[Scratch] | None:
    """Return files for what the network will say of a large stack; None where that fits into memory."""
    shape, n = begun.ready.volume.shape, len(config.outputs)
    others = (n - 1) * _MAP_BYTES * math.prod(shape)
    return [_room(shape, np.float16, others) for _ in range(n)] if is_large(shape) else None


def relabel(kept: Kept, recipe: Recipe | None = None) -> Steps[Result]:
    """Make labels from what the network said, with other settings: the part of `run` that follows the network.

    Parameters
    ----------
    kept : Kept
        From `predicted`, or from an earlier result.
    recipe : Recipe, optional
        Its parts `watershed`, `partition` and `cleanup` count, and what they leave unset is taken from the model, then
        from the defaults. None: the settings as they are kept.

    Yields
    ------
    Progress
        At least once a stage; closing the generator cancels.

    Returns
    -------
    Result
        The same settings give the same labels as `run` with all of them would.

    Raises
    ------
    ScutoidError
        When the smallest cell is stated in cubic micrometres and the voxel size is unknown.
    """
    from napari_scutoid.steps.cell_table import cell_table
    from napari_scutoid.steps.cells_blocks import find_cells
    from napari_scutoid.steps.rescale import rescaling_labels
    from napari_scutoid.steps.resnap import resnapping

    settings = kept.recipe if recipe is None else kept.with_postprocessing(recipe)
    _check_smallest_size(settings, kept.voxel_size_um)
    working = kept.probabilities[BOUNDARY]
    foreground, boundary, seeds = maps_of(kept)
    found = yield from find_cells(
        foreground, boundary, settings, kept.spacing, seeds=seeds, voxel_volume_um3=voxel_volume(working)
    )
    coarse = Labels(found.labels, working.voxel_size_um, working.origin_um, source=kept.source)
    if settings.rescale.resnap and kept.image is not None and kept.shape != coarse.shape:
        labels = yield from resnapping(coarse, kept.image)
    else:
        labels = yield from rescaling_labels(coarse, kept.shape, method=settings.rescale.labels)
    # The last note is that of the network's output.
    labels = Labels(labels.data, kept.voxel_size_um, kept.origin_um, kept.source, history=working.history[:-1])
    warnings = list(kept.warnings)
    if not found.labels.any():
        warnings.append("No cell was found. Is this the membrane channel, and is the typical cell diameter right?")
    table = cell_table(labels.data)
    provenance = kept.facts | {
        "recipe": settings.model_dump(mode="json"),
        "cells": {"n": len(table), "touch_border": table.cell[table.touches_border].tolist()},
        "typical_cell": typical_cell(found.diameter, working.voxel_size_um),
        "warnings": warnings,
    }
    kept = replace(kept, recipe=settings, labels=labels, diameter=found.diameter)
    return Result(labels, kept.probabilities, provenance, kept)


def maps_of(kept: Kept) -> tuple[ArrayLike, ArrayLike, ArrayLike | None]:
    """Return the maps that cells are made from: foreground (all tissue, where the model has none), boundary, seeds."""
    boundary = kept.probabilities[BOUNDARY].data
    foreground, seeds = kept.probabilities.get(FOREGROUND), kept.probabilities.get(SEEDS)
    return (
        np.broadcast_to(np.float32(1), boundary.shape) if foreground is None else foreground.data,
        boundary,
        None if seeds is None else seeds.data,
    )


def is_large(shape: tuple[int, int, int]) -> bool:
    """Whether what is computed for each voxel of a working grid is kept on disk: where cells are found in blocks."""
    from napari_scutoid.steps.cells_blocks import MOST_WHOLE

    return math.prod(shape) > MOST_WHOLE


def _room(shape: tuple[int, int, int], dtype: Any, besides: int) -> Scratch:
    from napari_scutoid.io.scratch import Scratch

    return Scratch(shape, dtype, besides=besides)


def voxel_volume(working: Volume) -> float | None:
    """Return a voxel's volume in cubic micrometres; None where it is unknown."""
    return None if working.voxel_size_um is None else math.prod(working.voxel_size_um)


def prepare(volume: Volume, recipe: Recipe, config: ModelConfig) -> Steps[Prepared]:
    """Put a stack on the grid that a model works on, and find what normalises it.

    Parameters
    ----------
    volume : Volume
        As for `run`.
    recipe : Recipe
        With the model's own settings in, see `settings_for`.
    config : ModelConfig
        Of the model: sizes and anisotropies it was trained for.

    Yields
    ------
    Progress
        At least once a slab.

    Raises
    ------
    ScutoidError
        When the stack or the recipe does not allow it.
    """
    warnings: list[str] = []
    cell_size = yield from _cell_size(volume, recipe.rescale, warnings)
    working = yield from _rescaled(volume, recipe, cell_size, config, warnings)
    statistics = yield from _statistics(working, recipe)
    return Prepared(working, statistics, _spacing(working, volume, cell_size), cell_size, tuple(warnings))


def settings_for(recipe: Recipe, config: ModelConfig) -> Recipe:
    """Return the recipe with what the user left unset filled in from the model."""
    return recipe.over({"normalise": config.normalise.model_dump(), **config.recipe})


def _check_smallest_size(recipe: Recipe, voxel_size_um: VoxelSize | None) -> None:
    if recipe.cleanup.min_size_unit == "um3" and voxel_size_um is None:
        raise ScutoidError(
            "The smallest cell is not defined",
            "it is stated in cubic micrometres (cleanup.min_size_unit), and the voxel size of the stack is unknown",
            "give it with --voxel-size Z Y X, or state the smallest cell in typical cells",
        )


def _check_outputs(config: ModelConfig) -> None:
    """Say before the stack is read that a model predicts something else."""
    names = [output.name for output in config.outputs]
    if BOUNDARY not in names:
        lacking = [name for name in NEEDED if name not in names]
        raise ScutoidError(
            f"The model {config.name} cannot be used to segment cells",
            f"it has no output named {' or '.join(lacking)}, only {', '.join(names)}",
            "choose a model that predicts foreground and boundary",
        )


def _checked_hash(volume: Volume) -> Steps[str]:
    """Check that all intensities can be computed with, and return their SHA-256.

    In C order and little-endian, so that it ties a result to its stack in any format.
    """
    digest = hashlib.sha256()
    for slab in z_slabs(volume.data):
        voxels = np.ascontiguousarray(volume.data[slab])
        try:
            check_intensities(voxels, slab)
        except ValueError as error:
            raise _no_image(volume, error) from error
        digest.update(voxels.astype(voxels.dtype.newbyteorder("<"), copy=False).data)
        yield Progress("Reading the stack", slab.stop, volume.shape[0])
    return digest.hexdigest()


def _cell_size(volume: Volume, settings: Rescale, warnings: list[str]) -> Steps[CellSize | None]:
    """Estimate what the recipe and the file leave open: the cells' diameter, the voxels' anisotropy, or both."""
    by_diameter = settings.mode == "cell_size" and settings.cell_diameter is None
    if volume.voxel_size_um is not None and not by_diameter:
        return None
    from napari_scutoid.steps.cell_size import estimating_cell_size

    try:
        found = yield from estimating_cell_size(volume.data)
    except ValueError as error:
        if by_diameter:
            raise _no_image(volume, error) from error
        warnings.append(f"The z step could not be estimated ({error}) and is taken to equal the xy step.")
        return None
    if by_diameter and found.uncertainty > UNCERTAIN:
        warnings.append(
            f"The typical cell diameter is uncertain: {found.diameter:.0f} voxels, give or take "
            f"{found.uncertainty:.0%}. If the cells look wrong, give it yourself (rescale.cell_diameter in a recipe)."
        )
    return found


def _no_image(volume: Volume, error: ValueError) -> ScutoidError:
    return ScutoidError(
        f"{volume.source or 'The stack'} cannot be segmented",
        str(error),
        "check that the right data set and channel are chosen; a stack of which little is known can be run with a "
        "recipe that states rescale.cell_diameter",
    )


def _rescaled(
    volume: Volume, recipe: Recipe, cell_size: CellSize | None, config: ModelConfig, warnings: list[str]
) -> Steps[Volume]:
    from napari_scutoid.steps.rescale import distortion_warning, rescaled_shape, rescaling, target_factors

    settings = recipe.rescale
    if settings.mode == "voxel_size" and volume.voxel_size_um is None:
        raise ScutoidError(
            "The stack cannot be rescaled to a voxel size",
            "its own voxel size is unknown",
            "give it with --voxel-size Z Y X, or rescale by factors",
        )
    factors = target_factors(
        settings,
        volume.voxel_size_um,
        cell_size,
        cell_diameter_range=config.cell_diameter_range,
        anisotropy_range=config.anisotropy_range,
    )
    if settings.mode != "cell_size" and (warning := distortion_warning(factors, volume.voxel_size_um)):
        warnings.append(warning)
    shape = rescaled_shape(volume.shape, factors)
    _check_memory(volume, shape, recipe.watershed, config)
    if shape == volume.shape:
        return volume
    maps = len(config.outputs) * _MAP_BYTES * math.prod(shape)
    room = _room(shape, np.float32, maps) if is_large(shape) else None
    found = yield from rescaling(volume, shape, order=settings.order, anti_alias=settings.anti_alias, out=room)
    return found if room is None else replace(found, data=room.array("the rescaled stack"))


def _check_memory(volume: Volume, shape: tuple[int, int, int], settings: Watershed, config: ModelConfig) -> None:
    """Say now, and not when the system kills the program, that the memory does not suffice for a working grid."""
    from napari_scutoid.network.device import choose_device, free_memory
    from napari_scutoid.network.passes import blending_bytes
    from napari_scutoid.steps.cells_blocks import memory_for

    voxels, free = math.prod(shape), free_memory(choose_device("cpu"))
    needed = max(memory_for(voxels, settings), blending_bytes(config, voxels))
    if needed > free:
        raise ScutoidError(
            f"{volume.source or 'The stack'} cannot be segmented",
            f"{' x '.join(map(str, shape))} voxels take about {needed / 2**30:.1f} GiB of memory to segment, and "
            f"{free / 2**30:.1f} GiB are free",
            "close other programs, cut the stack, or put it on a coarser grid by rescale.factors in a recipe",
        )


def _statistics(working: Volume, recipe: Recipe) -> Steps[IntensityStatistics]:
    from napari_scutoid.steps.normalise import statistics

    try:
        return (yield from statistics(working.data, recipe.normalise))
    except ValueError as error:
        raise _no_image(working, error) from error


def _spacing(working: Volume, volume: Volume, cell_size: CellSize | None) -> VoxelSize:
    """Return the working grid's voxel edges: in micrometres or, where unknown, relative, as estimated."""
    if working.voxel_size_um is not None:
        return working.voxel_size_um
    z = 1.0 if cell_size is None else cell_size.anisotropy
    edges = (z, 1.0, 1.0)
    return VoxelSize(*(e * n / m for e, n, m in zip(edges, volume.shape, working.shape, strict=True)))

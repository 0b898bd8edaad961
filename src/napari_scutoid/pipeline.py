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
from napari_scutoid.result import Begun, kept_of, provenance_of
from napari_scutoid.result import Kept as Kept
from napari_scutoid.result import Prepared as Prepared
from napari_scutoid.result import Result as Result
from napari_scutoid.result import ResultOnDisk as ResultOnDisk
from napari_scutoid.steps.slabs import check_intensities, z_slabs
from napari_scutoid.volume import Labels, Volume, VoxelSize

if TYPE_CHECKING:
    from pathlib import Path

    from napari_scutoid.io.scratch import Scratch
    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Rescale, Watershed
    from napari_scutoid.steps.cell_size import CellSize
    from napari_scutoid.steps.normalise import IntensityStatistics
    from napari_scutoid.volume import ArrayLike

UNCERTAIN = 0.25
"""Relative uncertainty of the cell diameter above which the user is told."""
BOUNDARY = "boundary"
_MAP_BYTES, _LABEL_BYTES = 2, 4
"""Of a voxel in a file: of a map, and at most of labels."""
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


def run_on_disk(volume: Volume, recipe: Recipe | None = None, model: str | Path = "builtin") -> Steps[ResultOnDisk]:
    """Segment a stack whose labels are to be written: those that `run` makes, which are never in memory as a whole.

    Parameters, progress and errors are those of `run`; also ScutoidError when the disk has no room.
    """
    kept = yield from predicted(volume, recipe, model, besides=label_bytes(volume.shape))
    return (yield from relabel_on_disk(kept))


def predicted(
    volume: Volume, recipe: Recipe | None = None, model: str | Path = "builtin", *, besides: int = 0
) -> Steps[Kept]:
    """Run the network over a stack: the part of `run` that need not be repeated to make other labels.

    Parameters, progress and errors are those of `run`.

    Parameters
    ----------
    besides : int
        Bytes that the disk has to have for others.
    """
    # Imported in the worker's thread, when the job starts: opening a widget must not load torch.
    from napari_scutoid.network.checkpoint import load_model
    from napari_scutoid.network.predict import predict

    yield Progress("Loading the model")
    module, config = load_model(model)
    begun = yield from begin(volume, recipe or Recipe(), config, besides=besides)
    working, rooms = begun.ready.volume, rooms_for(begun, config, besides=besides)
    prediction = yield from predict(
        module, config, working.data, begun.ready.statistics, begun.recipe.predict, out=rooms
    )
    return kept_of(volume, begun, config, prediction)


def begin(volume: Volume, recipe: Recipe, config: ModelConfig, *, besides: int = 0) -> Steps[Begun]:
    """Do what comes before the network; progress and errors are those of `run`, `besides` is that of `predicted`."""
    _check_outputs(config)
    base = settings_for(Recipe(), config)
    recipe = settings_for(recipe, config)
    _check_smallest_size(recipe, volume.voxel_size_um)
    source_hash = yield from _checked_hash(volume)
    return Begun(recipe, base, source_hash, (yield from prepare(volume, recipe, config, besides=besides)))


def rooms_for(begun: Begun, config: ModelConfig, *, besides: int = 0) -> list[Scratch] | None:
    """Return files for what the network will say of a large stack; None where that fits into memory.

    `besides` is that of `predicted`.
    """
    shape, n = begun.ready.volume.shape, len(config.outputs)
    others = (n - 1) * _MAP_BYTES * math.prod(shape) + besides
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
    from napari_scutoid.steps.rescale import rescaling_labels
    from napari_scutoid.steps.resnap import resnapping

    settings = kept.recipe if recipe is None else kept.with_postprocessing(recipe)
    coarse, diameter = yield from _cells(kept, settings)
    if (image := _membranes(kept, coarse, settings)) is not None:
        labels = yield from resnapping(coarse, image)
    else:
        labels = yield from rescaling_labels(coarse, kept.shape, method=settings.rescale.labels)
    labels = Labels(labels.data, kept.voxel_size_um, kept.origin_um, kept.source, history=_history(kept))
    provenance = provenance_of(kept, settings, diameter, cell_table(labels.data))
    kept = replace(kept, recipe=settings, labels=labels, diameter=diameter)
    return Result(labels, kept.probabilities, provenance, kept)


def relabel_on_disk(kept: Kept) -> Steps[ResultOnDisk]:
    """Make the labels that `relabel` makes, in a file where the stack is large: no more than a piece is in memory.

    Progress and errors are those of `relabel`; also ScutoidError when the disk has no room.
    """
    from napari_scutoid.steps.cell_table import Counted
    from napari_scutoid.steps.rescale import rescaling_labels_into
    from napari_scutoid.steps.resnap import resnapping_into

    settings = kept.recipe
    coarse, diameter = yield from _cells(kept, settings)
    dtype = np.min_scalar_type(int(coarse.data.max()))
    room = _room(kept.shape, dtype, 0) if is_large(kept.shape) else None
    data = np.empty(kept.shape, dtype) if room is None else room.array("the labels")
    counted = Counted(data if room is None else room)
    if (image := _membranes(kept, coarse, settings)) is not None:
        yield from resnapping_into(coarse, image, counted)
    else:
        yield from rescaling_labels_into(coarse, counted, method=settings.rescale.labels)
    cells = counted.table(kept.voxel_size_um, kept.origin_um)
    labels = Volume(data, kept.voxel_size_um, kept.origin_um, source=kept.source, history=_history(kept))
    return ResultOnDisk(labels, kept.probabilities, provenance_of(kept, settings, diameter, cells), cells)


def _cells(kept: Kept, settings: Recipe) -> Steps[tuple[Labels, float]]:
    """Return the cells on the working grid, and the diameter of a typical one in its voxels."""
    from napari_scutoid.steps.cells_blocks import find_cells

    _check_smallest_size(settings, kept.voxel_size_um)
    working = kept.probabilities[BOUNDARY]
    foreground, boundary, seeds = maps_of(kept)
    found = yield from find_cells(
        foreground, boundary, settings, kept.spacing, seeds=seeds, voxel_volume_um3=voxel_volume(working)
    )
    return Labels(found.labels, working.voxel_size_um, working.origin_um, source=kept.source), found.diameter


def _membranes(kept: Kept, coarse: Labels, settings: Recipe) -> Volume | None:
    """Return the stack whose membranes boundaries are moved to; None where they are not."""
    return kept.image if settings.rescale.resnap and kept.shape != coarse.shape else None


def _history(kept: Kept) -> tuple[str, ...]:
    # The last note is that of the network's output.
    return kept.probabilities[BOUNDARY].history[:-1]


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
    """Whether what is computed for each voxel of a grid is kept on disk: where cells would be found in blocks.

    It counts for what is computed on the working grid, and for labels to be written on the stack's own.
    """
    from napari_scutoid.steps.cells_blocks import MOST_WHOLE

    return math.prod(shape) > MOST_WHOLE


def label_bytes(shape: tuple[int, int, int]) -> int:
    """Return what the labels of a stack of this shape take at most of the disk, beside the file they are written to."""
    return _LABEL_BYTES * math.prod(shape) if is_large(shape) else 0


def _room(shape: tuple[int, int, int], dtype: Any, besides: int) -> Scratch:
    from napari_scutoid.io.scratch import Scratch

    return Scratch(shape, dtype, besides=besides)


def voxel_volume(working: Volume) -> float | None:
    """Return a voxel's volume in cubic micrometres; None where it is unknown."""
    return None if working.voxel_size_um is None else math.prod(working.voxel_size_um)


def prepare(volume: Volume, recipe: Recipe, config: ModelConfig, *, besides: int = 0) -> Steps[Prepared]:
    """Put a stack on the grid that a model works on, and find what normalises it.

    Parameters
    ----------
    volume : Volume
        As for `run`.
    recipe : Recipe
        With the model's own settings in, see `settings_for`.
    config : ModelConfig
        Of the model: sizes and anisotropies it was trained for.
    besides : int
        As for `predicted`.

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
    working = yield from _rescaled(volume, recipe, cell_size, config, warnings, besides)
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
    volume: Volume,
    recipe: Recipe,
    cell_size: CellSize | None,
    config: ModelConfig,
    warnings: list[str],
    besides: int,
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
    room = _room(shape, np.float32, maps + besides) if is_large(shape) else None
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

"""What else could have been seen in a stack: where second opinions differ from the labels, a cell is suspect.

And another segmentation of a stack under correction, in which accepted cells are walls.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_scutoid.pipeline import BOUNDARY, FOREGROUND, maps_of, predicted, relabel, voxel_volume
from napari_scutoid.progress import Progress
from napari_scutoid.proofread.resegment import walled
from napari_scutoid.recipe import Recipe
from napari_scutoid.result import Kept, Result
from napari_scutoid.steps.resampling import nearest_indices
from napari_scutoid.volume import VoxelSize

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import Labels, Volume

OTHER = Recipe.model_validate({"watershed": {"seeds": "maxima"}, "partition": {"method": "multicut"}})
"""A post-processing that errs elsewhere than the default: walls alone decide, where the default asks shapes, too."""


OF_THE_COMPUTER = ("device", "backend", "precision", "memory_gb", "pass_voxels")
"""Settings of a prediction that say how it is computed, not what."""
_DEEPEST = 8
_SAME_EDGE = 0.75
"""Of a voxel: two grids whose edges are closer than this cover the same space."""


@dataclass(frozen=True, slots=True)
class HowFound:
    """With which settings and which model cells are found.

    Parameters
    ----------
    recipe : Recipe
        What it leaves unset is the model's own.
    model : str
        Name of an installed model, or a model folder.
    weights_sha256 : str
        Of that model; empty where it is not known.
    usual : Recipe
        What counts where the recipe sets nothing.
    problem : str, optional
        Why that model, or these settings, cannot be used.
    """

    recipe: Recipe
    model: str = "builtin"
    weights_sha256: str = ""
    usual: Recipe = field(default_factory=Recipe)
    problem: str | None = None

    def is_of(self, kept: Kept) -> bool:
        """Whether the network would say what it has said there: all that comes before cells is the same."""
        if not self.weights_sha256 or self.weights_sha256 != kept.facts.get("model", {}).get("weights_sha256"):
            return False
        return _of_network(self.recipe.over(kept.base.model_dump())) == _of_network(kept.recipe)


def how_found(provenance: Mapping[str, Any]) -> HowFound | None:
    """Return how a file says that its labels were found, before any corrections; None where it does not say it.

    Parameters
    ----------
    provenance : mapping
        As any file may state it; a model is believed to be one by its name only.
    """
    for _ in range(_DEEPEST):
        settings, model = provenance.get("recipe"), provenance.get("model")
        if isinstance(settings, dict) and isinstance(model, dict):
            try:
                recipe = Recipe.model_validate(settings)
            except ValidationError:
                return None
            kept = recipe.predict.model_dump(exclude=set(OF_THE_COMPUTER), exclude_unset=True)
            predict = type(recipe.predict).model_validate(kept)
            name, weights = (str(model.get(key, "")) for key in ("name", "weights_sha256"))
            return HowFound(recipe.model_copy(update={"predict": predict}), name, weights) if name else None
        before = provenance.get("source_provenance")
        if not isinstance(before, dict):
            return None
        provenance = before
    return None


def around_accepted(kept: Kept, grid: Labels, accepted: Collection[int], recipe: Recipe) -> Steps[Result]:
    """Make labels anew, with accepted cells as walls; what they leave open is segmented.

    Parameters
    ----------
    kept : Kept
        What the network said of the stack.
    grid : Labels
        The labels under correction, of the same extent.
    accepted : collection of int
        Their cells that are walls. They may change meanwhile only where no such cell is.
    recipe : Recipe
        As for `napari_scutoid.pipeline.relabel`.

    Returns
    -------
    Result
        On the grid of the labels under correction; 0 in accepted cells. What it keeps is without the walls.
    """
    probabilities = yield from walled(kept.probabilities, grid.data, accepted)
    around = replace(
        kept,
        probabilities=probabilities,
        shape=grid.shape,
        voxel_size_um=grid.voxel_size_um,
        origin_um=grid.origin_um,
        # Boundaries are moved to the membranes of a stack on whose grid the labels are.
        image=kept.image if kept.image is not None and kept.image.shape == grid.shape else None,
    )
    made = yield from relabel(around, recipe)
    cells = np.array(sorted(accepted), np.uint32)
    for z, plane in enumerate(made.labels.data):
        yield Progress("Keeping accepted cells", z, grid.shape[0])
        # What closes holes in the tissue has taken them for some.
        plane[np.isin(grid.data[z], cells)] = 0
    told = made.provenance | {"around_accepted_cells": len(accepted)}
    again = None if made.kept is None else replace(kept, recipe=made.kept.recipe, diameter=made.kept.diameter)
    return Result(made.labels, kept.probabilities, told, again)


def kept_of_maps(grid: Labels, boundary: Volume, foreground: Volume | None = None) -> Steps[Kept]:
    """Return maps of probabilities as if a network had just said them.

    Parameters
    ----------
    grid : Labels
        Labels of the same extent.
    boundary, foreground : Volume
        Floating point 0 to 1, or integers 0 to 255. Without a foreground, tissue is where the labels have cells.

    Raises
    ------
    ValueError
        When the two maps differ in shape.
    """
    if foreground is not None and foreground.shape != boundary.shape:
        raise ValueError(f"foreground has shape {foreground.shape}, boundary {boundary.shape}")
    probabilities = {}
    if foreground is not None:
        probabilities[FOREGROUND] = yield from _as_probability(foreground)
    probabilities[BOUNDARY] = yield from _as_probability(boundary)
    if foreground is None:
        tissue = np.empty(boundary.shape, np.float32)
        z, y, x = (nearest_indices(n, m) for n, m in zip(grid.shape, boundary.shape, strict=True))
        for number, plane in enumerate(tissue):
            yield Progress("Reading the maps", number, len(tissue))
            plane[:] = (grid.data[z[number]] > 0)[np.ix_(y, x)]
        probabilities[FOREGROUND] = boundary.with_data(tissue, "tissue where cells are")
    coarser = (n / m for n, m in zip(grid.shape, boundary.shape, strict=True))
    source = None if boundary.source is None else str(boundary.source)
    return Kept(
        probabilities,
        boundary.voxel_size_um or VoxelSize(*coarser),
        grid.shape,
        grid.voxel_size_um,
        grid.origin_um,
        boundary.source,
        Recipe(),
        Recipe(),
        {"maps": {"boundary": source}},
        (),
    )


def covers_the_same(volume: Volume, grid: Labels) -> bool:
    """Whether a volume lies on the same piece of the world as labels; where a size is unknown, it is taken to."""
    if volume.voxel_size_um is None or grid.voxel_size_um is None:
        return True
    for axis in range(3):
        edges, size = [], max(volume.voxel_size_um[axis], grid.voxel_size_um[axis])
        for item in (volume, grid):
            step = (item.voxel_size_um or VoxelSize(1.0, 1.0, 1.0))[axis]
            first = item.origin_um[axis] - step / 2
            edges.append((first, first + step * item.shape[axis]))
        if any(abs(a - b) > _SAME_EDGE * size for a, b in zip(*edges, strict=True)):
            return False
    return True


def other_partition(kept: Kept) -> Steps[NDArray[np.uint32]]:
    """Return the cells that another post-processing makes of what the network said.

    Parameters
    ----------
    kept : Kept
        From `napari_scutoid.pipeline.run`.

    Returns
    -------
    ndarray of uint32, shape of the working grid
        One id per cell; ids have nothing to do with those of the labels.
    """
    return (yield from _cells(kept, kept.with_postprocessing(OTHER)))


def flipped_prediction(volume: Volume, kept: Kept, model: str | Path = "builtin") -> Steps[NDArray[np.uint32]]:
    """Return the cells that are found when the network sees the stack back to front along all axes.

    Parameters
    ----------
    volume : Volume
        What was segmented.
    kept : Kept
        From `napari_scutoid.pipeline.run`: its settings count, the estimated cell size among them.
    model : str or path
        Name of an installed model, or a model folder.

    Returns
    -------
    ndarray of uint32, shape of the working grid
        As for `other_partition`.
    """
    size = kept.facts["cell_size"]
    recipe = kept.recipe
    if size is not None and recipe.rescale.cell_diameter is None:  # an estimate of its own could make another grid
        recipe = recipe.model_copy(
            update={"rescale": recipe.rescale.model_copy(update={"cell_diameter": size["diameter"]})}
        )
    turned = volume.with_data(np.asarray(volume.data[:])[::-1, ::-1, ::-1], "flipped")
    again = yield from predicted(turned, recipe, model)
    cells = yield from _cells(again, kept.recipe)
    return cells[::-1, ::-1, ::-1]


def _cells(kept: Kept, settings: Recipe) -> Steps[NDArray[np.uint32]]:
    from napari_scutoid.steps.cells_blocks import find_cells

    foreground, boundary, seeds = maps_of(kept)
    volume = voxel_volume(kept.probabilities["boundary"])
    found = yield from find_cells(foreground, boundary, settings, kept.spacing, seeds=seeds, voxel_volume_um3=volume)
    return found.labels


def _of_network(recipe: Recipe) -> dict[str, Any]:
    """Return the settings that decide what the network says."""
    settings = recipe.model_dump(include={"normalise", "rescale", "predict"})
    for name in OF_THE_COMPUTER:
        settings["predict"].pop(name)
    return settings


def _as_probability(volume: Volume) -> Steps[Volume]:
    data = np.empty(volume.shape, np.float32)
    scale = np.float32(1 if volume.dtype.kind == "f" else 255)
    for z, plane in enumerate(data):
        yield Progress("Reading the maps", z, len(data))
        plane[:] = np.clip(np.nan_to_num(np.asarray(volume.data[z], np.float32)) / scale, 0, 1)
    return volume.with_data(data, "as probabilities")

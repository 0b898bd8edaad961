"""What a segmentation gives back: labels, probabilities, how they were made, and what is needed to make them again."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.predict import Prediction
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.steps.cell_size import CellSize
    from napari_scutoid.steps.cell_table import CellTable
    from napari_scutoid.steps.normalise import IntensityStatistics
    from napari_scutoid.volume import Labels, Origin, Source, Volume, VoxelSize

PROVENANCE_VERSION = 1
FOREGROUND = "foreground"
POSTPROCESSING = ("watershed", "partition", "cleanup")
"""Parts of a recipe that say how probabilities become labels; the others say how probabilities are made."""
VERSIONED = ("napari-scutoid", "numpy", "scipy", "scikit-image", "torch", "openvino", "bioimage-cpp", "edt")


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A stack as a network sees it.

    Parameters
    ----------
    volume : Volume
        Intensities on the working grid.
    statistics : IntensityStatistics
        What normalises them.
    spacing : VoxelSize
        Voxel edges of that grid, in micrometres or, where unknown, relative to each other, as estimated.
    cell_size : CellSize or None
        What was estimated for want of being stated.
    warnings : tuple of str
        What a person should know.
    """

    volume: Volume
    statistics: IntensityStatistics
    spacing: VoxelSize
    cell_size: CellSize | None
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """All that is known of a stack before the network sees it.

    Parameters
    ----------
    recipe : Recipe
        All settings, with the model's own in.
    base : Recipe
        The model's own settings, then the defaults.
    source_hash : str
        SHA-256 of the intensities.
    ready : Prepared
        The stack as the network will see it.
    """

    recipe: Recipe
    base: Recipe
    source_hash: str
    ready: Prepared


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What the network said of a stack, and all else that labels are made from.

    Parameters
    ----------
    probabilities : dict of str to Volume
        The network's named outputs in 0..1, on the working grid; float32 or, where that is large, float16 in
        a file.
    spacing : VoxelSize
        Voxel edges of the working grid, in micrometres or, where unknown, relative to each other.
    shape : tuple of 3 ints
        Of the stack's own grid, on which labels are returned.
    voxel_size_um, origin_um, source
        Of the stack, as in `Volume`.
    recipe : Recipe
        All settings of the labels, with the model's own in.
    base : Recipe
        What counts where the user sets nothing: the model's own settings, then the defaults.
    facts : dict
        The part of the provenance that does not depend on the labels.
    warnings : tuple of str
        What a person should know, whatever the labels are.
    labels : Labels, optional
        The labels last made from it.
    diameter : float, optional
        Of a typical cell as they were made, in equivalent voxels of the working grid.
    image : Volume, optional
        The stack, lazy or in memory; its membranes are what boundaries of labels can be moved to.
    """

    probabilities: dict[str, Volume]
    spacing: VoxelSize
    shape: tuple[int, int, int]
    voxel_size_um: VoxelSize | None
    origin_um: Origin
    source: Source | None
    recipe: Recipe
    base: Recipe
    facts: dict[str, Any]
    warnings: tuple[str, ...]
    labels: Labels | None = None
    diameter: float | None = None
    image: Volume | None = None

    def with_postprocessing(self, recipe: Recipe) -> Recipe:
        """Return these settings with another post-processing; what it leaves unset is the model's own."""
        stated = recipe.over(self.base.model_dump())
        return self.recipe.model_copy(update={name: getattr(stated, name) for name in POSTPROCESSING})


class _Told:
    """What a person is told of a run, by how its labels were made."""

    __slots__ = ()
    provenance: dict[str, Any]

    @property
    def warnings(self) -> list[str]:
        """What the user should know about this run."""
        return list(self.provenance["warnings"])

    @property
    def facts(self) -> list[str]:
        """What the program decided by itself, in words, for a person to check."""
        lines = []
        if (size := self.provenance["cell_size"]) is not None:
            lines.append(
                f"Estimated cell diameter: {size['diameter']:.1f} voxels (give or take {size['uncertainty']:.0%}), "
                f"z step {size['anisotropy']:.2f} times the xy step."
            )
        cells, done = self.provenance["cells"], self.provenance["prediction"]
        lines.append(
            f"Predicted on {' x '.join(map(str, self.provenance['working_shape']))} voxels, {done['device']} in "
            f"{done['precision']}; {done['tiles_skipped']} of {done['tiles']} tiles held no tissue."
        )
        typical = self.provenance["typical_cell"]
        micrometres = "" if typical["diameter_um"] is None else f" ({typical['diameter_um']:.2g} µm)"
        lines.append(
            f"A typical cell is {typical['diameter_voxels']:.1f} voxels{micrometres} across on that grid, by its walls."
        )
        lines.append(f"{cells['n']} cells, {len(cells['touch_border'])} of them cut by the stack's border.")
        return lines


@dataclass(frozen=True, slots=True, eq=False)
class Result(_Told):
    """What a run gives back.

    Parameters
    ----------
    labels : Labels
        On the stack's own grid.
    probabilities : dict of str to Volume
        The network's named outputs in 0..1, on the working grid; float32 or, where that is large, float16 in
        a file.
    provenance : dict
        How it was made, in plain JSON types: recipe, source and model with their hashes, versions, warnings.
    kept : Kept, optional
        What `napari_scutoid.pipeline.relabel` needs to make labels again with other settings.
    """

    labels: Labels
    probabilities: dict[str, Volume]
    provenance: dict[str, Any]
    kept: Kept | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ResultOnDisk(_Told):
    """What a run gives back whose labels are to be written, and nothing else.

    Parameters
    ----------
    labels : Volume
        One id a voxel, on the stack's own grid, in the smallest unsigned type that holds every id. Those of a large
        stack lie in a file that vanishes with them, and are read piece by piece.
    probabilities, provenance
        As in `Result`.
    cells : CellTable
        Of the labels, counted as they were made.
    """

    labels: Volume
    probabilities: dict[str, Volume]
    provenance: dict[str, Any]
    cells: CellTable


def kept_of(volume: Volume, begun: Begun, config: ModelConfig, prediction: Prediction) -> Kept:
    """Return all that labels are made from, once the network has been run.

    Parameters
    ----------
    volume : Volume
        The stack.
    begun : Begun
        From `begin`, of this stack.
    config : ModelConfig
    prediction : Prediction
        Of the stack as it was made ready; its probabilities are an array, or what `rooms_for` gave.
    """
    ready, working = begun.ready, begun.ready.volume
    probabilities = {}
    for output, channel in zip(config.outputs, prediction.probabilities, strict=True):
        data = channel if isinstance(channel, np.ndarray) else channel.array(output.name)
        probabilities[output.name] = working.with_data(data, f"predicted {output.name} with {config.name}")
    warnings = [*ready.warnings, *prediction.warnings]
    if FOREGROUND not in probabilities:
        warnings.append(_NO_FOREGROUND)
    if volume.voxel_size_um is None:
        z_step = 1.0 if ready.cell_size is None else ready.cell_size.anisotropy
        warnings.append(f"The voxel size is unknown: a z step is taken to be {z_step:.2g} times an xy step.")
    facts = source_and_model(volume, begun.source_hash, begun.recipe, config) | {
        "cells": {},  # keeps its place for the labels'
        "cell_size": None if ready.cell_size is None else asdict(ready.cell_size),
        "working_shape": list(working.shape),
        "spacing": list(ready.spacing),
        "typical_cell": {},
        "statistics": asdict(ready.statistics),
        "prediction": prediction_facts(prediction),
    }
    return Kept(
        probabilities,
        ready.spacing,
        volume.shape,
        volume.voxel_size_um,
        volume.origin_um,
        volume.source,
        begun.recipe,
        begun.base,
        facts,
        tuple(warnings),
        image=volume,
    )


_NO_FOREGROUND = (
    "This model predicts no foreground, so the whole stack was taken for tissue and divided into cells. Where tissue "
    "does not fill it, cut the stack to the tissue, or use a model that predicts foreground too."
)


def source_and_model(volume: Volume, source_hash: str, recipe: Recipe, config: ModelConfig) -> dict[str, Any]:
    """Return the part of the provenance that is known before anything is computed."""
    return {
        "version": PROVENANCE_VERSION,
        "recipe": recipe.model_dump(mode="json"),
        "source": {
            "path": volume.source.path if volume.source else None,
            "dataset": volume.source.dataset if volume.source else None,
            "shape": list(volume.shape),
            "dtype": str(volume.dtype),
            "voxel_size_um": None if volume.voxel_size_um is None else list(volume.voxel_size_um),
            "sha256": source_hash,
            "history": list(volume.history),
        },
        "model": {"name": config.name, "weights_sha256": config.weights_sha256},
        "versions": {name: _version(name) for name in VERSIONED},
    }


def provenance_of(kept: Kept, recipe: Recipe, diameter: float, cells: CellTable) -> dict[str, Any]:
    """Return how labels were made, in plain JSON types.

    Parameters
    ----------
    kept : Kept
        What they were made from.
    recipe : Recipe
        All settings.
    diameter : float
        Of a typical cell, in equivalent voxels of the working grid.
    cells : CellTable
        Of the labels.
    """
    warnings = list(kept.warnings)
    if not len(cells):
        warnings.append("No cell was found. Is this the membrane channel, and is the typical cell diameter right?")
    working = next(iter(kept.probabilities.values()))
    return kept.facts | {
        "recipe": recipe.model_dump(mode="json"),
        "cells": {"n": len(cells), "touch_border": cells.cell[cells.touches_border].tolist()},
        "typical_cell": typical_cell(diameter, working.voxel_size_um),
        "warnings": warnings,
    }


def typical_cell(diameter: float, voxel_size_um: VoxelSize | None) -> dict[str, float | None]:
    """Return the diameter to which lengths in the recipe refer, in voxels of a cube's volume and in micrometres."""
    edge = None if voxel_size_um is None else math.prod(voxel_size_um) ** (1 / 3)
    return {"diameter_voxels": diameter, "diameter_um": None if edge is None else diameter * edge}


def prediction_facts(prediction: Prediction) -> dict[str, Any]:
    """Return everything the prediction says about itself but the arrays."""
    facts = {name: getattr(prediction, name) for name in prediction.__slots__ if name != "probabilities"}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in facts.items()}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

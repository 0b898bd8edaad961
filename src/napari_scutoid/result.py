"""What a segmentation gives back: labels, probabilities, how they were made, and what is needed to make them again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.network.predict import Prediction
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.volume import Labels, Origin, Source, Volume, VoxelSize

PROVENANCE_VERSION = 1
POSTPROCESSING = ("watershed", "partition", "cleanup")
"""Parts of a recipe that say how probabilities become labels; the others say how probabilities are made."""
VERSIONED = ("napari-scutoid", "numpy", "scipy", "scikit-image", "torch", "openvino", "bioimage-cpp", "edt")


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


@dataclass(frozen=True, slots=True, eq=False)
class Result:
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

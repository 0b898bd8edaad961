"""What is done with every stack of a batch, and how a result shows that this was done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_scutoid.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

MACHINE = ("device", "memory_gb")
"""Settings of the prediction that say where it runs and not what it does: another machine may go on with a batch."""


@dataclass(frozen=True, slots=True)
class BatchJob:
    """What is done with every stack; each value as `open_volume` and `pipeline.run` take it.

    Parameters
    ----------
    recipe : Recipe
        Settings; what it leaves unset is taken from the model.
    model : str
        Name of a model, or its folder.
    dataset : str, optional
        Name of the image in the files; without it, the only one that looks like an image.
    channel, time : int, optional
        Which one, counted from 0.
    voxel_size_um : tuple of three numbers, optional
        (z, y, x) in micrometres; wins over what the files say.
    axes : str, optional
        What the axes are, where the files do not say it.
    truth : str, optional
        Data set of the same files with the true cells, to score the result against.
    """

    recipe: Recipe = field(default_factory=Recipe)
    model: str = "builtin"
    dataset: str | None = None
    channel: int | None = None
    time: int | None = None
    voxel_size_um: tuple[float, float, float] | None = None
    axes: str | None = None
    truth: str | None = None

    @property
    def opening(self) -> dict[str, Any]:
        """What `open_volume` is given beside the file, in plain JSON types."""
        size = self.voxel_size_um
        return {
            "dataset": self.dataset,
            "channel": self.channel,
            "time": self.time,
            "voxel_size_um": None if size is None else [float(edge) for edge in size],
            "axes": self.axes,
        }


@dataclass(frozen=True, slots=True)
class Settled:
    """A job with the model's own settings in, and the hashes that results are recognised by.

    Parameters
    ----------
    recipe : Recipe
        As `pipeline.run` will use it.
    recipe_sha256 : str
        See `recipe_hash`.
    model : str
        The model's own name.
    model_sha256 : str
        Of its weights.
    """

    recipe: Recipe
    recipe_sha256: str
    model: str
    model_sha256: str


def settle(job: BatchJob) -> Settled:
    """Look the model up.

    Raises
    ------
    ScutoidError
        When there is no such model.
    """
    from napari_scutoid.network.checkpoint import find_model, read_config
    from napari_scutoid.pipeline import settings_for

    config = read_config(find_model(job.model))
    recipe = settings_for(job.recipe, config)
    return Settled(recipe, recipe_hash(recipe), config.name, config.weights_sha256)


def recipe_hash(recipe: Recipe) -> str:
    """Return the SHA-256 of all settings but those in `MACHINE`."""
    settings = recipe.model_dump(mode="json")
    for name in MACHINE:
        settings["predict"].pop(name)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def was_made_so(provenance: Mapping[str, Any], settled: Settled) -> bool:
    """Whether a result was made with this recipe and this model.

    Parameters
    ----------
    provenance : mapping
        As a file states it: anything may be in it.
    settled : Settled
    """
    model = provenance.get("model")
    if not isinstance(model, dict) or model.get("weights_sha256") != settled.model_sha256:
        return False
    try:
        # By way of `Recipe`, so that a setting that has been added since counts with its default.
        return recipe_hash(Recipe.model_validate(provenance.get("recipe"))) == settled.recipe_sha256
    except ValidationError:
        return False

"""What is done with every stack of a batch, and how a result shows that this was done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_scutoid.command_line import USED
from napari_scutoid.recipe import Predict, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

MACHINE = ("device", "backend", "memory_gb", "pass_voxels")
"""Settings of the prediction that say where it runs and not what it does: another machine may go on with a batch."""
SPARED = 0.2
"""Share of a pass's memory that a batch does without, so that all its stacks have it, whatever else is opened."""


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
        made = Recipe.model_validate(provenance.get("recipe"))
    except ValidationError:
        return False
    precision = settled.recipe.predict.precision
    if precision in ("auto", computed_with(provenance).get("precision")):
        # What is left to the machine may have been stated then, and what is stated now left to it.
        made = _with(made, precision=precision)
    return recipe_hash(made) == settled.recipe_sha256


def computed_with(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a result was really computed, by the names in `command_line.USED`; empty where that is not known.

    Parameters
    ----------
    provenance : mapping
        As a file states it: anything may be in it.
    """
    stated = provenance.get("prediction")
    if not isinstance(stated, dict):
        return {}
    try:
        known = Predict.model_validate({name: stated[name] for name in USED if name in stated})
    except ValidationError:
        return {}
    return known.model_dump(exclude_unset=True)


def with_even_passes(job: BatchJob) -> BatchJob:
    """Return the job with the memory of a pass stated, so that stacks are computed in passes of one size.

    Labels depend on that size in the last digits of the probabilities. A pass takes what is free when it is decided on,
    which is not the same for any two stacks; a part of what is free now is still so later, as a rule.

    Raises
    ------
    ScutoidError
        When there is no such device.
    """
    from napari_scutoid.network.device import choose_device, free_memory
    from napari_scutoid.network.passes import MEMORY_SHARE

    predict = job.recipe.predict
    if predict.pass_voxels is not None:
        return job
    free = (1 - SPARED) * MEMORY_SHARE * free_memory(choose_device(predict.device)) / 1e9
    memory = free if predict.memory_gb is None else min(free, predict.memory_gb)
    # Rounded down as the setting is, and as far as it allows.
    return replace(job, recipe=_with(job.recipe, memory_gb=max(0.01, int(100 * memory) / 100)))


def _with(recipe: Recipe, **predict: Any) -> Recipe:
    return recipe.model_copy(update={"predict": recipe.predict.model_copy(update=predict)})

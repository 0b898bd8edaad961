"""What a model says about itself, in words; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_scutoid.network.config import ModelConfig

NEEDED = "boundary"
"""Output without which there are no cells."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model that can be chosen.

    Parameters
    ----------
    value : str
        What ``--model`` takes: its name, or its folder.
    config : ModelConfig or None
        What it says about itself; None where it cannot be read.
    problem : str or None
        Why it cannot be used.
    """

    value: str
    config: ModelConfig | None
    problem: str | None


def model_cards(more: Iterable[str] = ()) -> list[ModelCard]:
    """Return the cards of the installed models, and of further folders.

    Parameters
    ----------
    more : iterable of str
        Names or folders; those that are installed are listed once.
    """
    from napari_scutoid.network.checkpoint import list_models

    installed = list(list_models())
    return [_card(value) for value in [*installed, *(one for one in dict.fromkeys(more) if one not in installed)]]


def _card(value: str) -> ModelCard:
    from napari_scutoid.network.checkpoint import find_model, read_config

    try:
        config = read_config(find_model(value))
    except ScutoidError as error:
        return ModelCard(value, None, str(error))
    return ModelCard(value, config, misfit(config))


def card_lines(config: ModelConfig) -> list[str]:
    """Return a model's card in a few lines: what it is for, what it was trained on, how well it does."""
    lines = [
        config.description or "Its card does not say what it is for.",
        f"Cells as it knows them: {cell_size(config)}.",
        f"Trained on: {config.training_data or 'not stated'}.",
    ]
    if config.scores:
        lines.append(f"Scores: {as_words(config.scores)}.")
    if config.recipe:
        lines.append(f"Its own settings: {as_words(config.recipe)}.")
    lines.append(f"Licence: {config.licence or 'not stated'}.")
    return lines


def cell_size(config: ModelConfig) -> str:
    """Return in words how large the cells of a stack should be, or are made."""
    rescale = config.recipe.get("rescale", {})
    if rescale.get("mode") == "none":
        return "unknown; stacks are taken as they are"
    if rescale.get("mode") == "voxel_size":
        return "voxels of {:g} x {:g} x {:g} µm (z, y, x); stacks are resampled to it".format(*rescale["voxel_size_um"])
    return "{:g} voxels ({:g} to {:g})".format(config.cell_diameter, *config.cell_diameter_range)


def misfit(config: ModelConfig) -> str | None:
    """Return why a model cannot segment a stack of one channel into cells, or None."""
    names = [output.name for output in config.outputs]
    if NEEDED not in names:
        return f"This model cannot find cells: it has no output named {NEEDED}, only {', '.join(names)}."
    if len(config.inputs) != 1:
        channels = ", ".join(config.inputs)
        return f"This model needs {len(config.inputs)} channels ({channels}); a stack here has one."
    return None


def as_words(facts: dict[str, Any]) -> str:
    """Return nested settings or scores as ``a.b 1, a.c 2``."""
    return ", ".join(_flat(facts))


def _flat(facts: dict[str, Any]) -> list[str]:
    words = []
    for name, value in facts.items():
        if isinstance(value, dict):
            words += [f"{name}.{word}" for word in _flat(value)]
        else:
            words.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
    return words

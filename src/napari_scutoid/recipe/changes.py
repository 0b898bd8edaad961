"""Single settings as text, ``part.name=value``: what ``scutoid segment --set`` reads and a copied command holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from napari_scutoid.errors import ScutoidError
from napari_scutoid.recipe.whole import Recipe, validation_message

if TYPE_CHECKING:
    from collections.abc import Iterable

LISTED = "docs/recipe.md lists all settings"


def with_changes(recipe: Recipe, changes: Iterable[str]) -> Recipe:
    """Return a recipe with some settings changed.

    Parameters
    ----------
    recipe : Recipe
    changes : iterable of str
        Each ``part.name=value``, the value as in a YAML recipe: ``"watershed.seed_sigma=0.1"``,
        ``"predict.tile=[32, 64, 64]"``. Of two that name the same setting the later one counts.

    Raises
    ------
    ScutoidError
        When one is not of this form, names a setting that does not exist, or states a value out of bounds.

    Examples
    --------
    >>> with_changes(Recipe(), ["watershed.seed_sigma=0.1"]).watershed.seed_sigma
    0.1
    """
    settings = recipe.model_dump(exclude_unset=True)
    told = list(changes)
    for change in told:
        part, name, value = _parsed(change)
        settings.setdefault(part, {})
        if not isinstance(settings[part], dict):
            raise _refused(change, f"{part} is no group of settings")
        settings[part][name] = value
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise _refused(", ".join(told), validation_message(error)) from error


def as_changes(recipe: Recipe) -> list[str]:
    """Return the settings that a recipe states, each as `with_changes` reads it."""
    stated = recipe.model_dump(mode="json", exclude_unset=True)
    return [
        f"{part}.{name}={_as_yaml(value)}"
        for part, settings in stated.items()
        if isinstance(settings, dict)
        for name, value in settings.items()
    ]


def _parsed(change: str) -> tuple[str, str, Any]:
    import yaml

    place, equals, text = change.partition("=")
    part, dot, name = place.strip().partition(".")
    if not (equals and dot and part and name):
        raise _refused(change, "it is not of the form part.name=value")
    try:
        return part, name, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _refused(change, f"{text!r} is not a value as YAML writes it") from error


def _refused(change: str, why: str) -> ScutoidError:
    return ScutoidError(
        f"The setting {change} was not understood", why, f"write e.g. --set watershed.seed_sigma=0.1; {LISTED}"
    )


def _as_yaml(value: Any) -> str:
    import yaml

    # YAML ends a document that is a single word by a line of its own.
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()

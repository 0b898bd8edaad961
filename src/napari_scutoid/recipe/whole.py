"""All settings together, and their file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from napari_scutoid.errors import ScutoidError
from napari_scutoid.recipe.cells import Cleanup, Partition, Watershed
from napari_scutoid.recipe.image import Normalise, Predict, Rescale
from napari_scutoid.recipe.part import P, Part

if TYPE_CHECKING:
    import yaml

    from napari_scutoid.recipe.train import TrainRecipe

RECIPE_VERSION: Literal[1] = 1


class Recipe(Part):
    """All settings of ``scutoid segment``."""

    version: Literal[1] = RECIPE_VERSION
    normalise: Normalise = Normalise()
    rescale: Rescale = Rescale()
    predict: Predict = Predict()
    watershed: Watershed = Watershed()
    partition: Partition = Partition()
    cleanup: Cleanup = Cleanup()


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe from YAML.

    Raises
    ------
    ScutoidError
        When the file is missing, no YAML, or holds a setting that does not exist or is out of bounds.
    """
    return read_settings(path, Recipe, "docs/recipe.md")


def read_settings(path: str | Path, kind: type[P], page: str) -> P:
    """Read a group of settings from YAML.

    Parameters
    ----------
    path : path
    kind : subclass of Part
        What the file holds.
    page : str
        The page of the documentation that lists the settings.

    Raises
    ------
    ScutoidError
        As `read_recipe`.
    """
    import yaml

    file = Path(path)
    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise ScutoidError(
            f"The recipe {file} could not be read", error.strerror or str(error), "check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise ScutoidError(f"The recipe {file} could not be read", "it is no text file", "check the path") from error
    except yaml.YAMLError as error:
        raise ScutoidError(
            f"The recipe {file} is not valid YAML",
            _yaml_message(error),
            f"compare it with the example in {page}",
        ) from error
    if not isinstance(settings, dict):
        raise ScutoidError(
            f"The recipe {file} holds no settings",
            f"its top level is a {type(settings).__name__}",
            f"start from the example in {page}",
        )
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        raise ScutoidError(
            f"The recipe {file} has a wrong setting",
            validation_message(error),
            f"correct or remove that line; {page} lists all settings",
        ) from error


def recipe_yaml(recipe: Recipe | TrainRecipe, *, only_set: bool = False) -> str:
    """Return a recipe as YAML text; with ``only_set``, without the settings left at their default."""
    import yaml

    settings = recipe.model_dump(mode="json", exclude_unset=only_set)
    settings["version"] = recipe.version
    return yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)


def validation_message(error: ValidationError) -> str:
    """Return pydantic's findings as one line a person can read: ``watershed.seed_sigma: ... (got -1)``."""
    lines = []
    for item in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in item["loc"]) or "recipe"
        got = "" if isinstance(item["input"], dict) else f" (got {item['input']!r})"
        told = "there is no setting of this name" if item["type"] == "extra_forbidden" else f"{item['msg']}{got}"
        lines.append(f"{place}: {told}")
    return "; ".join(lines)


def _yaml_message(error: yaml.YAMLError) -> str:
    """Return what YAML found wrong as one line, with its place as an editor counts it."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return problem if mark is None else f"{problem}, line {mark.line + 1}, column {mark.column + 1}"

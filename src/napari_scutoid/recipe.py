"""Every parameter of the program, stated once: title, meaning, unit, bounds and decimals.

The command line, the pipeline and the provenance written into results all read these models, so that a result's own
settings are what ``scutoid segment --recipe`` takes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    import yaml

RECIPE_VERSION: Literal[1] = 1

P = TypeVar("P", bound="Part")


def number(
    default: Any,
    title: str,
    description: str,
    *,
    ge: float,
    le: float,
    unit: str = "",
    decimals: int = 0,
) -> Any:
    """Return a pydantic field that carries all a form needs: bounds, unit and decimals."""
    return Field(
        default,
        title=title,
        description=description,
        ge=ge,
        le=le,
        json_schema_extra={"unit": unit, "decimals": decimals},
    )


class Part(BaseModel):
    """A frozen group of settings that refuses names it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @model_validator(mode="after")
    def _triples_within_bounds(self: P) -> P:
        # pydantic states bounds of single numbers only; a form reads those of a triple from the same place as this.
        for name, field in type(self).model_fields.items():
            stated, value = field.json_schema_extra, getattr(self, name)
            if isinstance(stated, dict) and "ge" in stated and value is not None:
                low, high = float(str(stated["ge"])), float(str(stated["le"]))
                if not all(low <= number <= high for number in value):
                    raise ValueError(f"{name} must lie between {low:g} and {high:g}, not {value}")
        return self

    def over(self: P, base: dict[str, Any]) -> P:
        """Return these settings laid over a base: what was set here wins, then the base, then the default.

        Parameters
        ----------
        base : dict
            Nested settings, e.g. a model's own; names as in this class.
        """
        return type(self).model_validate(_merged(base, self.model_dump(exclude_unset=True)))


class Normalise(Part):
    """Bring the intensities of any microscope to one range, with statistics of the whole stack."""

    method: Literal["zscore", "minmax", "percentile"] = Field(
        "percentile",
        title="Method",
        description="z-score: mean 0, standard deviation 1. min-max: darkest 0, brightest 1. "
        "Percentile: the low percentile becomes 0, the high one 1, so a few extreme voxels do not matter.",
    )
    low_percentile: float = number(
        1.0,
        "Low percentile",
        "Share of voxels darker than the new zero. Used by the percentile method.",
        ge=0.0,
        le=49.0,
        unit="%",
        decimals=2,
    )
    high_percentile: float = number(
        99.5,
        "High percentile",
        "Share of voxels darker than the new one. Used by the percentile method.",
        ge=51.0,
        le=100.0,
        unit="%",
        decimals=2,
    )
    stabilise: Literal["none", "sqrt", "log"] = Field(
        "none",
        title="Compress bright parts",
        description="Square root or logarithm of the intensity above the darkest voxel, before the method. Use it "
        "when one structure (an apical line, say) is many times brighter than the membranes.",
    )


class Rescale(Part):
    """Put the stack on a coarser or finer grid before the network sees it."""

    mode: Literal["none", "factors", "voxel_size", "cell_size"] = Field(
        "cell_size",
        title="Rescale",
        description="None: as it is. Factors: new voxels per old voxel along z, y, x. Voxel size: to a size in "
        "micrometres. Cell size: so that cells are as large as those the model was trained on.",
    )
    factors: tuple[float, float, float] | None = Field(
        None,
        title="Factors (z, y, x)",
        description="New voxels per old voxel; 0.25, 0.125, 0.125 keeps every 4th slice and every 8th row and column.",
        json_schema_extra={"unit": "", "decimals": 5, "ge": 0.01, "le": 16.0},
    )
    voxel_size_um: tuple[float, float, float] | None = Field(
        None,
        title="Target voxel size (z, y, x)",
        description="Edge lengths of the new voxels. Needs a stack whose own voxel size is known.",
        json_schema_extra={"unit": "µm", "decimals": 4, "ge": 0.001, "le": 1000.0},
    )
    cell_diameter: float | None = number(
        None,
        "Typical cell diameter",
        "Diameter of a ball with a typical cell's number of voxels, on the stack's own grid. Empty: estimated from "
        "the image.",
        ge=2.0,
        le=500.0,
        unit="voxels",
        decimals=1,
    )
    order: int = number(
        1,
        "Interpolation order",
        "1: linear, 2: quadratic, 3: cubic spline. Labels are never interpolated.",
        ge=1,
        le=3,
    )
    anti_alias: bool = Field(
        True,
        title="Smooth before shrinking",
        description="Blurs by half the shrinkage first, so thin membranes fade instead of breaking into dots.",
    )
    labels: Literal["nearest", "voting"] = Field(
        "nearest",
        title="How labels are rescaled",
        description="Nearest: the closest old voxel's cell. Voting: the cell that fills most of the new voxel.",
    )

    @model_validator(mode="after")
    def _target_is_stated(self) -> Rescale:
        for name, mode in (("factors", "factors"), ("voxel_size_um", "voxel_size")):
            if self.mode == mode and getattr(self, name) is None:
                raise ValueError(f"mode {mode!r} needs {name}")
        return self


class Predict(Part):
    """Run the network over the stack, tile by tile."""

    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", title="Device", description="Auto takes a graphics card when there is one, else the processor."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        title="Precision",
        description="bf16 halves memory and is several times faster where the device has it; auto measures that once "
        "per machine.",
    )
    tile: tuple[int, int, int] | None = Field(
        None,
        title="Tile (z, y, x)",
        description="Voxels per tile without its margin. Empty: from the free memory.",
        json_schema_extra={"unit": "voxels", "decimals": 0, "ge": 8, "le": 2048},
    )
    halo: tuple[int, int, int] | None = Field(
        None,
        title="Margin around a tile (z, y, x)",
        description="Must cover the network's receptive field, else tiles show as seams. Empty: exactly that.",
        json_schema_extra={"unit": "voxels", "decimals": 0, "ge": 0, "le": 512},
    )
    gate: bool = Field(
        True,
        title="Skip empty tiles",
        description="Tiles without any tissue are not sent through the network.",
    )
    gate_threshold: float = number(
        3.0,
        "Tissue threshold",
        "A place counts as empty when its brightness varies from spot to spot by less than this many times as much as "
        "in the quietest part of the stack (as variance, relative to the noise there). Lower is safer, higher skips "
        "more.",
        ge=1.0,
        le=20.0,
        decimals=1,
    )


class Watershed(Part):
    """Turn foreground and boundary probabilities into one label per cell."""

    method: Literal["watershed", "components"] = Field(
        "watershed",
        title="Method",
        description="Watershed: grow every seed until it meets a wall. Components: whatever the boundaries separate "
        "completely, as the seed project counted cells.",
    )
    backend: Literal["bioimage-cpp", "scikit-image"] = Field(
        "bioimage-cpp",
        title="Implementation",
        description="bioimage-cpp is several times faster; scikit-image is the reference.",
    )
    foreground_threshold: float = number(
        0.5,
        "Foreground threshold",
        "Voxels with a lower foreground probability belong to no cell.",
        ge=0.0,
        le=1.0,
        decimals=3,
    )
    boundary_threshold: float = number(
        0.5,
        "Boundary threshold",
        "Voxels with a higher boundary probability count as wall when seeds are placed. Lower closes gaps in weak "
        "membranes, but can lose thin cells.",
        ge=0.0,
        le=1.0,
        decimals=3,
    )
    smallest_wall: int = number(
        30,
        "Smallest piece of wall",
        "Walls are connected: smaller pieces, such as bright specks inside a cell, are overlooked when seeds are "
        "placed.",
        ge=0,
        le=100_000,
        unit="voxels of the working grid",
    )
    seed_sigma: float = number(
        1.0,
        "Seed smoothing",
        "Gaussian smoothing of the distance to the nearest wall. Higher gives fewer seeds: fewer split cells, more "
        "merged ones.",
        ge=0.0,
        le=20.0,
        unit="voxels of the working grid",
        decimals=2,
    )
    seed_distance: float = number(
        2.0,
        "Smallest distance from seed to wall",
        "Maxima closer to a wall than this become no cell of their own.",
        ge=0.0,
        le=50.0,
        unit="voxels of the working grid",
        decimals=2,
    )
    seed_prominence: float = number(
        0.1,
        "Waist between two cells",
        "Two maxima are two cells only if the tissue between them is narrower by this share than the smaller one. "
        "Higher: fewer split cells, more merged ones.",
        ge=0.0,
        le=1.0,
        decimals=3,
    )


class Cleanup(Part):
    """Remove what is too small to be a cell."""

    min_size: int = number(
        50,
        "Smallest cell",
        "Cells with fewer voxels are given to their neighbours, or removed when they have none.",
        ge=0,
        le=100_000_000,
        unit="voxels of the working grid",
    )
    fill_holes: bool = Field(True, title="Fill holes", description="Fill holes that lie completely inside one cell.")
    relabel: bool = Field(True, title="Number consecutively", description="Number the cells 1, 2, 3, ... without gaps.")


class Recipe(Part):
    """All settings of ``scutoid segment``."""

    version: Literal[1] = RECIPE_VERSION
    normalise: Normalise = Normalise()
    rescale: Rescale = Rescale()
    predict: Predict = Predict()
    watershed: Watershed = Watershed()
    cleanup: Cleanup = Cleanup()


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe from YAML.

    Raises
    ------
    ScutoidError
        When the file is missing, no YAML, or holds a setting that does not exist or is out of bounds.
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
            "compare it with the example in docs/recipe.md",
        ) from error
    if not isinstance(settings, dict):
        raise ScutoidError(
            f"The recipe {file} holds no settings",
            f"its top level is a {type(settings).__name__}",
            "start from the example in docs/recipe.md",
        )
    try:
        return Recipe.model_validate(settings)
    except ValidationError as error:
        raise ScutoidError(
            f"The recipe {file} has a wrong setting",
            validation_message(error),
            "correct or remove that line; docs/recipe.md lists all settings",
        ) from error


def recipe_yaml(recipe: Recipe, *, only_set: bool = False) -> str:
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


def _merged(base: dict[str, Any], top: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in top.items():
        below = merged.get(name)
        merged[name] = _merged(below, value) if isinstance(value, dict) and isinstance(below, dict) else value
    return merged

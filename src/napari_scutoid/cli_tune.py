"""What ``scutoid tune`` reads, writes and prints around the search.

Importing this module loads nothing heavy, as `cli` says of itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.recipe import Recipe
    from napari_scutoid.tune import Case, Trial, Tuning
    from napari_scutoid.volume import Labels, Volume, VoxelSize

PARTS = ("watershed", "partition", "cleanup")
"""What of a recipe makes cells from probabilities."""

_SAVE = "make the file by `scutoid segment STACK --save-probabilities -o FILE.h5`"


def check_wishes(files: Sequence[Path], output: Path, table: Path | None) -> None:
    """Refuse what cannot be done, before anything is read.

    Raises
    ------
    ScutoidError
        When files do not come in pairs, or one cannot be written.
    """
    from napari_scutoid.io.atomic import check_writable
    from napari_scutoid.io.table import check_table_path

    if len(files) % 2:
        raise ScutoidError(
            "The stacks cannot be told apart",
            f"{len(files)} files are no pairs of probabilities and true labels",
            "give PROBABILITIES TRUTH, then PROBABILITIES TRUTH of the next stack",
        )
    if output.suffix.lower() not in (".yaml", ".yml"):
        raise ScutoidError(f"{output} could not be written", "a recipe is YAML", "let the name end in .yaml")
    check_writable(output)
    if table is not None:
        check_table_path(table)


def base_recipe(file: Path, given: Recipe) -> Recipe:
    """Return the settings to start from: those given, then those that the probabilities' file was made with.

    What the file states at its default is left unset.
    """
    from pydantic import ValidationError

    from napari_scutoid.io.open import inspect
    from napari_scutoid.recipe import Recipe

    stated = inspect(file).provenance.get("recipe")
    try:
        made = Recipe.model_validate({part: stated[part] for part in PARTS if part in stated} if stated else {})
    except (ValidationError, TypeError, KeyError):  # of another version, or a stranger's
        made = Recipe()
    changed = {part: getattr(made, part).model_dump(exclude_defaults=True) for part in PARTS}
    return given.over({part: values for part, values in changed.items() if values})


def read_case(file: Path, truth: Labels, base: Recipe) -> tuple[Case, list[str]]:
    """Read a stack's probabilities, and bring its true cells to their grid.

    Parameters
    ----------
    file : Path
        With the data sets `foreground` and `boundary`, and perhaps `seeds`.
    truth : Labels
        On the same grid, or on that of the stack which the probabilities were predicted from.
    base : Recipe
        The settings to start from.

    Returns
    -------
    case : Case
    warnings : list of str

    Raises
    ------
    ScutoidError
        When probabilities are missing or are none, grids do not fit, there is no true cell, or the smallest cell of
        the recipe has no meaning.
    """
    import math

    from napari_scutoid.io.open import inspect, open_volume
    from napari_scutoid.pipeline import NEEDED, SEEDS
    from napari_scutoid.steps.rescale import labels_to_shape
    from napari_scutoid.tune import Case

    found = inspect(file)
    names = [one.path for one in found.datasets]
    if lacking := [name for name in NEEDED if name not in names]:
        raise ScutoidError(
            f"{file} holds no probabilities to tune with",
            f"it has no data set {' and no '.join(f'`{name}`' for name in lacking)}",
            _SAVE,
        )
    volumes = {name: open_volume(file, name) for name in (*NEEDED, SEEDS) if name in names}
    grid = volumes["boundary"]
    maps = {name: _probabilities(file, name, volume, grid) for name, volume in volumes.items()}
    if truth.shape not in (grid.shape, _stack_shape(found.provenance)):
        raise ScutoidError(
            f"{file} cannot be tuned to {truth.source}",
            f"the true labels have shape {truth.shape}, the probabilities {grid.shape}, and nothing says that they "
            "were predicted from a stack of the labels' shape",
            "give the true labels of the same stack",
        )
    true = labels_to_shape(truth, grid.shape).data
    if not true.any():
        raise ScutoidError(
            f"{truth.source} cannot be tuned to", "it has no cell", "name the data set with --truth-dataset"
        )
    if base.cleanup.min_size_unit == "um3" and grid.voxel_size_um is None:
        raise ScutoidError(
            "The smallest cell is not defined",
            f"the recipe states it in cubic micrometres, and the voxel size of {file} is unknown",
            "state it in typical cells (cleanup.min_size_unit)",
        )
    spacing, warnings = _spacing(file, grid, found.provenance)
    volume = None if grid.voxel_size_um is None else math.prod(grid.voxel_size_um)
    case = Case(maps["foreground"], maps["boundary"], true, spacing, maps.get(SEEDS), volume)
    return case, warnings


def save_recipe(file: Path, found: Tuning, n_stacks: int) -> None:
    """Write the settings found, with their scores as a comment; the file appears whole or not at all."""
    from napari_scutoid.io.atomic import replacing
    from napari_scutoid.recipe import recipe_yaml

    before, after = found.base_scores, found.scores
    text = (
        f"# scutoid tune, {n_stacks} stack{'s' if n_stacks > 1 else ''}: "
        f"panoptic quality {before.panoptic_quality:.4f} -> {after.panoptic_quality:.4f}, "
        f"ap50 {before.ap50:.4f} -> {after.ap50:.4f}\n"
    )
    with replacing(file) as part:
        part.write_text(text + recipe_yaml(found.recipe, only_set=True), encoding="utf-8")


def save_trials(file: Path, trials: Sequence[Trial]) -> None:
    """Write a row for all settings tried; what has no effect in a row is empty there."""
    from napari_scutoid.io.table import save_table
    from napari_scutoid.tune import SHAPES, WATERSHED, Scores

    names = [*WATERSHED, "method", "beta", *SHAPES, "min_size"]
    rows = []
    for trial in trials:
        values: dict[str, Any] = {}
        for part in trial.settings.values():
            values |= part
        rows.append([*map(values.get, names), *(round(score, 5) for score in trial.scores)])
    save_table(file, [*names, *Scores._fields], rows)


def as_dict(found: Tuning) -> dict[str, Any]:
    """Return what ``--json`` prints."""
    return {
        "base_scores": found.base_scores._asdict(),
        "scores": found.scores._asdict(),
        "predicted": None if found.predicted is None else found.predicted._asdict(),
        "n_settings": len(found.trials),
        "recipe": found.recipe.model_dump(mode="json", exclude_unset=True),
    }


def lines(found: Tuning) -> str:
    """Return the scores before and after."""
    rows = [("", "before", "after")]
    rows += [
        (name, f"{getattr(found.base_scores, name):.4f}", f"{getattr(found.scores, name):.4f}")
        for name in found.scores._fields
    ]
    return "\n".join(f"{name:<8}{before:>10}{after:>10}" for name, before, after in rows)


def _probabilities(file: Path, name: str, volume: Volume, grid: Volume) -> NDArray[Any]:
    import numpy as np

    if volume.shape != grid.shape:
        raise ScutoidError(
            f"The probabilities in {file} do not fit each other",
            f"`{name}` has shape {volume.shape}, `boundary` {grid.shape}",
            _SAVE,
        )
    data = np.asarray(volume.data[:])
    low, high = float(data.min()), float(data.max())
    if data.dtype.kind != "f" or not (low >= 0 and high <= 1):
        raise ScutoidError(
            f"`{name}` in {file} holds no probabilities",
            f"its numbers are {data.dtype} from {low:g} to {high:g}, not real numbers from 0 to 1",
            _SAVE,
        )
    return data


def _stack_shape(provenance: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the shape of the stack that was segmented, where the file says it."""
    source = provenance.get("source")
    shape = source.get("shape") if isinstance(source, dict) else None
    return tuple(shape) if isinstance(shape, list) else None


def _spacing(file: Path, grid: Volume, provenance: Mapping[str, Any]) -> tuple[VoxelSize, list[str]]:
    from napari_scutoid.volume import VoxelSize

    if grid.voxel_size_um is not None:
        return grid.voxel_size_um, []
    try:
        return VoxelSize.checked(*provenance["spacing"]), []
    except (KeyError, TypeError, ValueError):
        return grid.spacing, [f"The voxel size of {file} is unknown: a z step is taken to equal an xy step."]

"""The command that does without a window what was done in one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scutoid.recipe.changes import as_changes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_scutoid.recipe import Recipe
    from napari_scutoid.volume import Source

USED = ("device", "backend", "precision", "pass_voxels")
"""What a prediction decides by itself where the recipe does not say it, and two runs must share to be identical.

Not the tile: unless it was stated, tiles are only what the gate decides on, and passes are put together from them.
"""


def segment_command(
    source: Source,
    recipe: Recipe,
    *,
    model: str = "builtin",
    voxel_size_um: Sequence[float] | None = None,
    channel: int | None = None,
    time: int | None = None,
    axes: str | None = None,
    output: str | Path | None = None,
) -> str:
    """Return the ``scutoid segment`` command for a stack, ready for a shell.

    Parameters
    ----------
    source : Source
        File and data set.
    recipe : Recipe
        Settings; those that are set are written out, see `as_used`.
    model : str
        Name of a model, or its folder.
    voxel_size_um : sequence of three numbers, optional
        (z, y, x) edges in micrometres; without it what the file says counts.
    channel, time : int, optional
        Which one, counted from 0.
    axes : str, optional
        What the axes are, where the file does not say it.
    output : path, optional
        By default beside the stack, ``NAME_labels.h5``.
    """
    file = Path(source.path)
    words = ["scutoid", "segment", str(file)]
    if source.dataset:
        words += ["--dataset", source.dataset]
    if voxel_size_um is not None:
        words += ["--voxel-size", *(repr(float(edge)) for edge in voxel_size_um)]
    for option, number in (("--channel", channel), ("--time", time)):
        if number is not None:
            words += [option, str(number)]
    if axes is not None:
        words += ["--axes", axes]
    words += ["--model", model]
    for change in as_changes(recipe):
        words += ["--set", change]
    words += ["-o", str(output or file.with_name(f"{file.stem}_labels.h5"))]
    return shlex.join(words)


def as_used(recipe: Recipe, prediction: Mapping[str, Any]) -> Recipe:
    """Return the recipe with what a run decided by itself stated, so that another run gives the identical labels.

    Parameters
    ----------
    recipe : Recipe
    prediction : mapping
        The part ``prediction`` of a result's provenance.
    """
    used = {name: prediction[name] for name in USED if name in prediction}
    return recipe.model_copy(update={"predict": recipe.predict.model_copy(update=used)})

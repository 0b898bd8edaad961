"""The command that does without a window what a batch does in one."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

from napari_scutoid.command_line import USED, as_used
from napari_scutoid.recipe.changes import as_changes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from napari_scutoid.batch.job import BatchJob
    from napari_scutoid.batch.report import Row
    from napari_scutoid.recipe import Recipe


def batch_command(
    stacks: Sequence[Path],
    job: BatchJob,
    folder: str | Path,
    suffix: str = ".h5",
    *,
    folders: Mapping[Path, Sequence[Path]] | None = None,
    resume: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    share_stacks: bool = False,
) -> str:
    """Return the ``scutoid batch`` command for stacks, ready for a shell.

    Parameters
    ----------
    stacks : sequence of Path
        What to segment.
    job : BatchJob
        What to do with each; the settings that its recipe states are written out.
    folder : path
        Where the results go.
    suffix : str
        Ending of the results.
    folders : mapping of Path to sequence of Path, optional
        Folders, and all stacks in each: where none is left out, the folder is named in their place.
    resume : bool
        Keep what is done and fits.
    workers, scheduler, share_stacks
        As `run_batch` takes them.
    """
    places, left = [], list(stacks)
    for place, inside in (folders or {}).items():
        if inside and set(inside) <= set(left):
            places.append(place)
            left = [stack for stack in left if stack not in inside]
    words = ["scutoid", "batch", *map(str, places), *map(str, left), "-o", str(folder), "--model", job.model]
    for change in as_changes(job.recipe):
        words += ["--set", change]
    if job.voxel_size_um is not None:
        words += ["--voxel-size", *(repr(float(edge)) for edge in job.voxel_size_um)]
    options = {
        "--dataset": job.dataset,
        "--channel": job.channel,
        "--time": job.time,
        "--axes": job.axes,
        "--truth": job.truth,
        "--workers": workers if workers > 1 else None,
        "--scheduler": scheduler,
    }
    for option, value in options.items():
        if value is not None:
            words += [option, str(value)]
    flags = {"--share-stacks": share_stacks, "--resume": resume}
    return shlex.join([*words, "--format", suffix, *(flag for flag, is_set in flags.items() if is_set)])


def as_computed(recipe: Recipe, rows: Iterable[Row]) -> tuple[Recipe, tuple[str, ...]]:
    """Return the recipe with what a batch decided by itself stated, so that another gives the identical labels.

    Parameters
    ----------
    recipe : Recipe
    rows : iterable of Row
        What became of the stacks.

    Returns
    -------
    recipe : Recipe
        With what most of the stacks were computed with.
    others : tuple of str
        Stacks that were computed otherwise, because the memory or the machine was another: the recipe may give them
        labels that differ in single voxels.
    """
    ways = {row.stack: tuple((name, getattr(row, name)) for name in USED) for row in rows if row.device}
    if not ways:
        return recipe, ()
    ((most, _),) = Counter(ways.values()).most_common(1)
    stated = {name: value for name, value in most if value}
    return as_used(recipe, stated), tuple(stack for stack, way in ways.items() if way != most)

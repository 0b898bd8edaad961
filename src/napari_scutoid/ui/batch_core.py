"""What the Batch dock asks of the program, as jobs; a test may put its own in their place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_scutoid.progress import Progress
from napari_scutoid.ui import layers
from napari_scutoid.ui.core import Core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from napari_scutoid.batch import BatchItem, BatchJob, BatchReport
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.ui.layers import Shown
    from napari_scutoid.volume import Labels, Volume


def _find(places: Sequence[Path]) -> tuple[Path, ...]:
    from napari_scutoid.batch import find_stacks

    return find_stacks(places)


def _run(items: Sequence[BatchItem], job: BatchJob, folder: Path, *, resume: bool, **where: Any) -> Steps[BatchReport]:
    from napari_scutoid.batch import run_batch, with_even_passes

    # The memory of this computer says nothing about others.
    even = with_even_passes(job) if where["scheduler"] is None else job
    return run_batch(items, even, folder, resume=resume, **where)


def _open(stack: Path, output: Path, job: BatchJob) -> tuple[Volume, Labels]:
    from napari_scutoid.batch import read_result
    from napari_scutoid.io.open import open_volume

    return open_volume(stack, **job.opening), read_result(output)[1]


def _read_recipe(file: Path) -> Recipe:
    from napari_scutoid.recipe import read_recipe

    return read_recipe(file)


def _write_recipe(file: Path, recipe: Recipe) -> None:
    from napari_scutoid.ui.recipe_bar import write_recipe

    write_recipe(file, recipe)


@dataclass(frozen=True, slots=True)
class BatchCore:
    """What the window asks of the program; `program` is what all docks ask of it."""

    find: Callable[[Sequence[Path]], tuple[Path, ...]] = field(default=_find)
    run: Callable[..., Steps[BatchReport]] = field(default=_run)
    open: Callable[[Path, Path, BatchJob], tuple[Volume, Labels]] = field(default=_open)
    read_recipe: Callable[[Path], Recipe] = field(default=_read_recipe)
    write_recipe: Callable[[Path, Recipe], None] = field(default=_write_recipe)
    program: Core = field(default_factory=Core)


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A stack with its cells, ready to be shown."""

    name: str
    shown: Shown
    labels: Labels


def find(core: BatchCore, places: Sequence[Path]) -> Steps[dict[Path, tuple[Path, ...]]]:
    """Look for stacks at each place."""
    found = {}
    for number, place in enumerate(places):
        yield Progress("Looking for stacks", number, len(places))
        found[place] = core.find([place])
    return found


def segment_all(
    core: BatchCore,
    stacks: Sequence[Path],
    job: BatchJob,
    folder: Path,
    suffix: str,
    *,
    resume: bool,
    **where: Any,
) -> Steps[BatchReport]:
    """Plan a batch and run it; `where` is as `WorkersChoice` says it."""
    from napari_scutoid.batch import plan

    yield Progress("Preparing")
    items = plan(stacks, folder, suffix)
    return (yield from core.run(items, job, folder, resume=resume, **where))


def open_result(core: BatchCore, stack: Path, output: Path, job: BatchJob) -> Steps[Opened]:
    """Read a stack and its cells."""
    yield Progress("Opening the result")
    volume, labels = core.open(stack, output, job)
    shown = yield from layers.load(volume)
    return Opened(stack.stem, shown, labels)


def read_recipe(core: BatchCore, file: Path) -> Steps[Recipe]:
    """Read settings from a file."""
    yield Progress("Reading the recipe")
    return core.read_recipe(file)


def write_recipe(core: BatchCore, file: Path, recipe: Recipe) -> Steps[Path]:
    """Write settings to a file."""
    yield Progress("Writing the recipe")
    core.write_recipe(file, recipe)
    return file

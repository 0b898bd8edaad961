"""One stack divided over all workers: the network's passes; what comes before and after them is done by one.

Tasks of a stack are one that prepares it, several that compute a part each, and one that puts the parts together and
goes on to the cells as with any stack. They meet in files, see `parts`.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass, fields, replace
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from napari_scutoid import __version__
from napari_scutoid.batch.crew import Idle, News, Task, handed_out
from napari_scutoid.batch.parts import (
    RESCALED,
    Parts,
    StackPlan,
    clear,
    file_sha256,
    find_plan,
    folder_of,
    packed,
    part_file,
    read_plan,
    write_plan,
)
from napari_scutoid.batch.report import Piece, Row
from napari_scutoid.batch.stack import Stamp, changed_meanwhile, kept_row, measured, segment_stack
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.batch.crew import Crew, Turns
    from napari_scutoid.batch.job import BatchJob, Settled
    from napari_scutoid.batch.plan import BatchItem
    from napari_scutoid.pipeline import ResultOnDisk
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.result import Begun
    from napari_scutoid.volume import Volume

PARTS_A_WORKER = 3
"""So that a worker that is killed, or slower than the others, costs a part of its share only."""
FEWEST_PARTS = 12
"""Where there are tiles for them: more workers may come."""


@dataclass(frozen=True, slots=True)
class Preparing(Task):
    """Do what comes before the network, and write the plan."""

    parts: int = FEWEST_PARTS

    @property
    def is_alone(self) -> bool:
        """Nobody else has anything to do meanwhile."""
        return True

    def steps(self, job: BatchJob) -> Steps[Row | Piece]:
        """Return the plan, or the row of a result that is there already."""
        return measured(self.item, self.settled, prepare(self, job))


@dataclass(frozen=True, slots=True)
class Computing(Task):
    """Compute a part, unless it is there."""

    plan: str = ""
    parts: int = 1

    @property
    def target(self) -> Path:
        """The part's file."""
        return part_file(folder_of(self.item.output), self.plan, self.part, self.parts)

    def steps(self, job: BatchJob) -> Steps[Row | Piece]:
        """Write the part."""
        return measured(self.item, self.settled, compute(self, job))


@dataclass(frozen=True, slots=True)
class Gathering(Task):
    """Put the parts together, and do what comes after the network."""

    plan: str = ""

    @property
    def is_alone(self) -> bool:
        """Nobody else has anything to do meanwhile."""
        return True

    def steps(self, job: BatchJob) -> Steps[Row | Piece]:
        """Write the cells, as `segment_stack` does."""

        def segment(volume: Volume, recipe: Recipe, model: str) -> Steps[ResultOnDisk]:
            return gathered(self.item, volume, self.plan, model)

        return segment_stack(self.item, job, self.settled, segment, resume=self.resume, earlier=self.earlier)


def divided(tasks: Iterable[Task], crew: Crew) -> Turns:
    """Have stacks segmented one after the other, each by all of a crew, which is closed in the end."""
    try:
        for task in tasks:
            began = time.monotonic()
            row = yield from _divided(task, crew)
            if row.state != "failed":
                clear(folder_of(task.item.output))
            if row.state != "skipped":
                row = replace(row, seconds=round(time.monotonic() - began, 2))
            yield News(task.position, row)
    finally:
        crew.close()


def _divided(task: Task, crew: Crew) -> Generator[News, None, Row]:
    common = {one.name: getattr(task, one.name) for one in fields(Task)}
    parts = max(FEWEST_PARTS, PARTS_A_WORKER * len(crew.free()))
    (first,) = yield from _done([Preparing(**common, parts=parts)], crew)
    if isinstance(first, Row):
        return first
    plan, parts = first.plan, first.parts
    computed = yield from _done([Computing(**common | {"part": n}, plan=plan, parts=parts) for n in range(parts)], crew)
    last: Row | Piece | None = next((one for one in computed if isinstance(one, Row)), None)
    if last is None:
        (last,) = yield from _done([Gathering(**common, plan=plan)], crew)
    row = cast("Row", last)  # what is left when all is done
    peak = max(one.peak_memory_mib or 0 for one in (first, *computed, row))
    return row if row.state == "skipped" else replace(row, peak_memory_mib=peak)


def _done(tasks: list[Task], crew: Crew) -> Generator[News, None, list[Row | Piece]]:
    """Return what became of tasks at one stack; after one that failed, those that wait are left out."""
    waiting, found, n = deque(tasks), list[Row | Piece](), len(tasks)
    with closing(handed_out(waiting, crew)) as turns:
        for news in turns:
            about = news.about
            if isinstance(about, (Row, Piece)):
                found.append(about)
            if any(isinstance(one, Row) for one in found):
                waiting.clear()
            if n > 1 and not isinstance(about, Idle):
                about = Progress(f"Predicting in {n} parts", len(found), n)
            if isinstance(about, Progress):
                yield News(news.position, about)
    return found


def prepare(task: Preparing, job: BatchJob) -> Steps[Row | Piece]:
    """Do what comes before the network, unless a plan is there that fits."""
    from napari_scutoid.io.save import check_result_path
    from napari_scutoid.network.checkpoint import find_model, read_config

    item, folder = task.item, folder_of(task.item.output)
    if task.resume:
        kept = yield from kept_row(item, job, task.settled, task.earlier)
        if kept is not None:
            return kept
    check_result_path(item.output)
    stamp, asked = Stamp.of(item.stack), _asked(job, task.settled)
    if task.resume and (there := find_plan(folder)) is not None:
        plan, sha256 = there
        same = (plan.program, plan.asked, plan.stack) == (__version__, asked, stamp)
        is_whole = not plan.rescaled_sha256 or plan.rescaled_sha256 == file_sha256(folder / RESCALED)
        if same and is_whole and plan.is_sound(read_config(find_model(job.model))):
            return Piece(sha256, plan.parts)
    clear(folder)
    try:
        return (yield from _planned(task, job, folder, stamp, asked))
    except BaseException:
        clear(folder)
        raise


def _planned(task: Preparing, job: BatchJob, folder: Path, stamp: Stamp, asked: dict[str, Any]) -> Steps[Piece]:
    """Do what comes before the network, and write it into a folder."""
    from napari_scutoid.io.open import open_volume
    from napari_scutoid.network.checkpoint import load_model
    from napari_scutoid.network.predict import plan_passes
    from napari_scutoid.pipeline import begin

    yield Progress("Loading the model")
    module, config = load_model(job.model)
    yield Progress("Opening the stack")
    volume = open_volume(task.item.stack, **job.opening)
    folder.mkdir(exist_ok=True)
    begun = yield from begin(volume, job.recipe, config)
    rescaled = yield from _rescaled(begun, volume, folder)
    working = begun.ready.volume
    passes = yield from plan_passes(module, config, working.data, begun.recipe.predict)
    if Stamp.of(task.item.stack) != stamp:
        raise changed_meanwhile(task.item)
    plan = StackPlan(
        program=__version__,
        asked=asked,
        stack=stamp,
        recipe=begun.recipe,
        base=begun.base,
        source_sha256=begun.source_hash,
        statistics=begun.ready.statistics,
        spacing=begun.ready.spacing,
        cell_size=begun.ready.cell_size,
        warnings=(*begun.ready.warnings, *passes.warnings),
        shape=working.shape,
        voxel_size_um=working.voxel_size_um,
        origin_um=working.origin_um,
        history=working.history,
        rescaled_sha256=rescaled,
        settings=passes.settings,
        why=passes.why,
        largest=passes.largest,
        wanted=packed(passes.wanted),
        blended=passes.blended,
        parts=min(task.parts, len(passes.tiles(config))),
    )
    return Piece(write_plan(folder, plan), plan.parts)


def compute(task: Computing, job: BatchJob) -> Steps[Piece]:
    """Compute a part and write it, unless it is there."""
    from napari_scutoid.io.open import open_volume
    from napari_scutoid.network.checkpoint import find_model, load_model, read_config
    from napari_scutoid.network.predict import predict_part

    yield Progress("Loading the model")
    folder = folder_of(task.item.output)
    plan = read_plan(folder, task.plan)
    parts = Parts(folder, plan, task.plan, read_config(find_model(job.model)))
    if parts.is_intact(task.part):
        return Piece(task.plan)
    module, config = load_model(job.model)
    data = _working(plan, open_volume(task.item.stack, **job.opening), folder).data
    tiles, span = count(parts.span(task.part).start), parts.span(task.part)
    with replacing(parts.path(task.part)) as unfinished, unfinished.open("wb") as stream:

        def write(_: Any, values: NDArray[Any]) -> None:
            stream.write(parts.packed(next(tiles), values))

        part = slice(span.start, span.stop)
        yield from predict_part(module, config, data, plan.statistics, plan.passes(config), part, write)
    return Piece(task.plan)


def gathered(item: BatchItem, volume: Volume, sha256: str, model: str) -> Steps[ResultOnDisk]:
    """Put the parts of a stack together, and make labels from them."""
    from napari_scutoid.network.checkpoint import find_model, read_config
    from napari_scutoid.network.predict import gather
    from napari_scutoid.pipeline import label_bytes, relabel_on_disk, rooms_for
    from napari_scutoid.result import Begun, Prepared, kept_of

    folder, config = folder_of(item.output), read_config(find_model(model))
    plan = read_plan(folder, sha256)
    if Stamp.of(item.stack) != plan.stack:
        raise changed_meanwhile(item)
    working = _working(plan, volume, folder)
    ready = Prepared(working, plan.statistics, plan.spacing, plan.cell_size, plan.warnings)
    begun = Begun(plan.recipe, plan.base, plan.source_sha256, ready)
    parts = Parts(folder, plan, sha256, config)
    rooms = rooms_for(begun, config, besides=label_bytes(volume.shape))
    prediction = yield from gather(config, plan.passes(config), parts.read_all(), out=rooms)
    return (yield from relabel_on_disk(kept_of(volume, begun, config, prediction)))


def _asked(job: BatchJob, settled: Settled) -> dict[str, Any]:
    """Return what another plan is needed for where it is another: not the memory, which is that of a moment."""
    recipe = job.recipe.model_dump(mode="json")
    recipe["predict"].pop("memory_gb")
    return {"recipe": recipe, "settled": settled.recipe_sha256, "model": settled.model_sha256, "opening": job.opening}


def _rescaled(begun: Begun, volume: Volume, folder: Path) -> Steps[str]:
    """Write a stack that is on another grid than its own, and return the file's SHA-256; else nothing."""
    from napari_scutoid.io.save import write_image

    if begun.ready.volume.data is volume.data:
        return ""
    yield from write_image(folder / RESCALED, begun.ready.volume)
    return file_sha256(folder / RESCALED)


def _working(plan: StackPlan, volume: Volume, folder: Path) -> Volume:
    """Return a stack on its working grid."""
    from napari_scutoid.io.open import open_volume

    data = open_volume(folder / RESCALED, "raw").data if plan.rescaled_sha256 else volume.data
    if data.shape != plan.shape:
        raise ScutoidError(
            f"{volume.source or 'The stack'} could not be read",
            f"it has {data.shape} voxels on the working grid, and its plan says {plan.shape}",
            "resume without --share-stacks, and report this",
        )
    grid = {"voxel_size_um": plan.voxel_size_um, "origin_um": plan.origin_um, "history": plan.history}
    return replace(volume, data=data, **grid)  # type: ignore[arg-type]  # mypy takes all three for one type

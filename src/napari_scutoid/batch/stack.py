"""One stack of a batch, from its file to the file with its cells: the unit of work."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import time
import traceback
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_scutoid.batch.job import computed_with, was_made_so
from napari_scutoid.batch.memory import PeakMemory
from napari_scutoid.batch.report import Piece, Row
from napari_scutoid.errors import ScutoidError, as_problem
from napari_scutoid.progress import Progress
from napari_scutoid.steps.slabs import z_slabs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from napari_scutoid.batch.job import BatchJob, Settled
    from napari_scutoid.batch.plan import BatchItem
    from napari_scutoid.pipeline import Result, ResultOnDisk
    from napari_scutoid.progress import Steps
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.volume import ArrayLike, Labels, Volume

    Segment: TypeAlias = Callable[[Volume, Recipe, str], Steps[Result | ResultOnDisk]]

RECORD = "batch"
"""Key in the provenance of a result under which a batch says what it knows it by."""
CHANGED = (
    "The labels are not those that were written: corrected by hand since, or damaged. They were kept; to have the "
    "stack segmented again, move the file away."
)

T = TypeVar("T")
R = TypeVar("R", bound=Row | Piece)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a stack is the same as before without reading it."""

    path: str
    bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, stack: Path) -> Stamp:
        """Look at a file, or at all files of a folder."""
        real = Path(os.path.realpath(stack))
        files = [file for file in real.rglob("*") if file.is_file()] if real.is_dir() else [real]
        states = [file.stat() for file in files]
        return cls(str(real), sum(one.st_size for one in states), max((one.st_mtime_ns for one in states), default=0))

    def is_same(self, stated: Mapping[str, Any]) -> bool:
        """Whether size and time are those that a result states; the stack may have been moved since."""
        return (self.bytes, self.mtime_ns) == (stated.get("bytes"), stated.get("mtime_ns"))


def segment_stack(
    item: BatchItem,
    job: BatchJob,
    settled: Settled,
    segment: Segment,
    *,
    resume: bool = False,
    earlier: Row | None = None,
) -> Steps[Row]:
    """Segment a stack and write its cells, whatever happens; it needs no other stack, and the arguments can be pickled.

    Parameters
    ----------
    item : BatchItem
    job : BatchJob
    settled : Settled
        Of the job.
    segment : callable
        As `pipeline.run_on_disk`, or `pipeline.run`.
    resume : bool
        Keep a result that is there, whole, and made so from this stack.
    earlier : Row, optional
        What an earlier report says of that result.

    Yields
    ------
    Progress
        As `segment` does. Closing the generator cancels; the result is then not written, or whole.

    Returns
    -------
    Row
        Failed where the stack could not be segmented, for whatever reason.
    """

    def steps() -> Steps[Row]:
        found = None
        if resume:
            found = yield from kept_row(item, job, settled, earlier)
        return found or (yield from _segmented(item, job, segment, failed_row(item, settled)))

    return (yield from measured(item, settled, steps()))


def measured(item: BatchItem, settled: Settled, steps: Steps[R]) -> Steps[R | Row]:
    """Do what a stack needs, whatever happens, and note time and memory.

    Returns
    -------
    Row or Piece
        As it is returned there, but a row that says failed in place of an error.
    """
    began, memory = time.monotonic(), PeakMemory()
    found: R | Row
    try:
        found = yield from _watched(steps, memory)
        if isinstance(found, Row) and found.state == "skipped":
            return found
    except Exception as error:  # also for a bug of the program: it must not cost the other stacks
        found = failed_row(item, settled, in_words(error))
    seconds, peak = time.monotonic() - began, memory.value()
    return replace(found, seconds=round(seconds, 2), peak_memory_mib=round(peak / 2**20, 1))


def failed_row(item: BatchItem, settled: Settled, error: str = "") -> Row:
    """Return the row of a stack that has no result, or none yet."""
    return Row(
        str(item.stack),
        item.output.name,
        "failed",
        error=error,
        recipe_sha256=settled.recipe_sha256,
        model=settled.model,
        model_sha256=settled.model_sha256,
    )


def _watched(steps: Steps[T], memory: PeakMemory) -> Steps[T]:
    with contextlib.closing(steps):
        while True:
            try:
                progress = next(steps)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            memory.look()
            yield progress


def _segmented(item: BatchItem, job: BatchJob, segment: Segment, row: Row) -> Steps[Row]:
    from napari_scutoid.io.open import open_volume, save_result
    from napari_scutoid.io.save import check_result_path

    check_result_path(item.output)
    yield Progress("Opening the stack")
    stamp = Stamp.of(item.stack)
    result = yield from segment(open_volume(item.stack, **job.opening), job.recipe, job.model)
    if Stamp.of(item.stack) != stamp:
        raise changed_meanwhile(item)
    yield Progress("Writing the labels")
    record = {"source": asdict(stamp), "opening": job.opening, "labels_sha256": digest(result.labels.data)}
    save_result(item.output, result.labels, {}, {**result.provenance, RECORD: record})
    row = replace(row, state="done", cells=result.provenance["cells"]["n"], warnings=tuple(result.warnings))
    row = replace(row, **computed_with(result.provenance))
    return (yield from _scored(item, job, result.labels, row))


def changed_meanwhile(item: BatchItem) -> ScutoidError:
    """Return the message for a stack that is not what it was when it was begun."""
    return ScutoidError(
        f"{item.stack} was not segmented",
        "the file was changed meanwhile",
        "wait until it has been copied or written completely, then resume",
    )


def _scored(item: BatchItem, job: BatchJob, labels: Labels | Volume, row: Row) -> Steps[Row]:
    """Compare with the true cells, where they were asked for; that they do not fit is no failure of the result."""
    if job.truth is None:
        return row
    from napari_scutoid.io.pairs import Pair, open_pair
    from napari_scutoid.metrics import evaluate

    yield Progress("Comparing with the true cells")
    opening = job.opening
    dataset, size = opening.pop("dataset"), opening.pop("voxel_size_um")
    try:
        pair = Pair(item.stack.stem, item.stack, dataset, item.stack, job.truth)
        _, truth = open_pair(pair, voxel_size=size, **opening)
    except ScutoidError as problem:
        return replace(row, warnings=(*row.warnings, f"Not scored. {problem}"))
    return replace(row, scores=evaluate(np.asarray(labels.data), truth.data, spacing=truth.voxel_size_um))


def kept_row(item: BatchItem, job: BatchJob, settled: Settled, earlier: Row | None) -> Steps[Row | None]:
    """Return the row of a result that is there and need not be made again; None where it has to be.

    What a killed program has left of its attempts to write one is cleared away.

    Raises
    ------
    ScutoidError
        When another stack's result, or what no batch has written, is there: it is not for this batch to replace.
    """
    clear_away_parts(item.output)
    if not os.path.lexists(item.output):
        return None
    yield Progress("Checking the result that is there")
    read = _readable_result(item.output)
    if read is None:
        if earlier is not None and earlier.state != "failed":
            _move_aside(item.output)
        return None
    provenance, labels = read
    record, source = provenance.get(RECORD), None
    if isinstance(record, dict):
        source = record.get("source")
    if not isinstance(record, dict) or not isinstance(source, dict):
        raise ScutoidError(
            f"{item.stack} was not segmented",
            f"{item.output} is there already, and no batch has written it",
            "give another folder for the results, or move that file away",
        )
    stamp = Stamp.of(item.stack)
    if not stamp.is_same(source) and source.get("path") != stamp.path:
        raise ScutoidError(
            f"{item.stack} was not segmented",
            f"{item.output} holds the cells of another stack, {source.get('path')}",
            "give another folder for the results, or move that file away",
        )
    row = replace(failed_row(item, settled), state="skipped")
    if earlier is not None and earlier.state != "failed":
        row = replace(row, seconds=earlier.seconds, peak_memory_mib=earlier.peak_memory_mib)
    if digest(labels.data) != record.get("labels_sha256"):
        cells = int(np.count_nonzero(np.unique(labels.data)))
        row = replace(row, cells=cells, warnings=(CHANGED,), recipe_sha256="", model="", model_sha256="")
    elif stamp.is_same(source) and record.get("opening") == job.opening and was_made_so(provenance, settled):
        row = replace(row, cells=_cells(provenance), warnings=_warnings(provenance), **computed_with(provenance))
        if earlier is not None and earlier.scores:
            return replace(row, scores=earlier.scores)
    else:
        return None
    return (yield from _scored(item, job, labels, row))


def _readable_result(output: Path) -> tuple[Mapping[str, Any], Labels] | None:
    """Read a result whole; None where it is damaged, which it need not be where the memory does not suffice for it."""
    from napari_scutoid.io.lazy import DoesNotFit

    try:
        return read_result(output)
    except DoesNotFit:
        raise
    except (ScutoidError, OSError):
        return None


def read_result(output: Path) -> tuple[Mapping[str, Any], Labels]:
    """Read how a result was made, and its labels.

    Raises
    ------
    ScutoidError
        As `open_labels`.
    """
    from napari_scutoid.io.open import inspect, open_labels

    found = inspect(output)
    named = "label" in (one.path for one in found.datasets)
    return found.provenance, open_labels(output, "label" if named else None)


def _move_aside(output: Path) -> None:
    """Make room for a result in place of a damaged one, which may yet hold what somebody corrected."""
    number = 1
    while os.path.lexists(aside := output.with_name(f"{output.stem}.damaged{number}{output.suffix}")):
        number += 1
    os.rename(output, aside)


def _cells(provenance: Mapping[str, Any]) -> int | None:
    cells = provenance.get("cells")
    number = cells.get("n") if isinstance(cells, dict) else None
    return number if isinstance(number, int) else None


def _warnings(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    warnings = provenance.get("warnings")
    return tuple(str(one) for one in warnings) if isinstance(warnings, list) else ()


def digest(labels: ArrayLike) -> str:
    """Return the SHA-256 of labels: of their shape, and their ids as little-endian uint32 in C order."""
    total = hashlib.sha256(repr(tuple(int(length) for length in labels.shape)).encode())
    for z in z_slabs(labels):
        total.update(np.ascontiguousarray(labels[z], "<u4").data)
    return total.hexdigest()


def clear_away_parts(output: Path) -> None:
    """Remove what a program that was killed has left of its attempts to write this file."""
    for part in output.parent.glob(f".{glob.escape(output.name)}.????????.part"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                part.unlink()


def in_words(error: Exception) -> str:
    """Return an error as a person reads it, a mistake of the program too."""
    problem = as_problem(error)
    if problem is not None:
        return str(problem)
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(last.filename).name} line {last.lineno}"
    return (
        f"The program made a mistake ({type(error).__name__}: {error}, {place}). "
        "What to try: report this; the stack is unchanged."
    )

"""One stack after the other, with a report that is right at any moment."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scutoid import __version__
from napari_scutoid.batch.job import settle
from napari_scutoid.batch.report import REPORT_CSV, REPORT_JSON, BatchReport, read_report, write_report
from napari_scutoid.batch.stack import clear_away_parts, segment_stack
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_scutoid.batch.job import BatchJob
    from napari_scutoid.batch.plan import BatchItem
    from napari_scutoid.batch.report import Row
    from napari_scutoid.batch.stack import Segment
    from napari_scutoid.progress import Steps


@dataclass(frozen=True, slots=True)
class BatchProgress(Progress):
    """How far the present stack is, and the batch.

    Parameters
    ----------
    step, done, total
        Of the present stack.
    position : int
        Which stack that is, counted from 0; the number of stacks after the last one.
    report : BatchReport
        Rows so far.
    """

    position: int = 0
    report: BatchReport = field(default_factory=BatchReport)


def run_batch(
    items: Sequence[BatchItem],
    job: BatchJob,
    folder: str | Path,
    *,
    resume: bool = False,
    segment: Segment | None = None,
) -> Steps[BatchReport]:
    """Segment stacks, one after the other; one that cannot be segmented does not stop the others.

    Parameters
    ----------
    items : sequence of BatchItem
        As `plan` returns them.
    job : BatchJob
        What to do with each.
    folder : path
        Where the report goes; made where it is not there.
    resume : bool
        Keep results that are there, whole, and made so from these stacks. Without it there must be none.
    segment : callable, optional
        In place of `pipeline.run`.

    Yields
    ------
    BatchProgress
        At least once a slab, tile and stage. Closing the generator cancels: finished stacks stay, with their rows.

    Returns
    -------
    BatchReport
        A row for every stack.

    Raises
    ------
    ScutoidError
        When nothing can be begun (no such model or device, no folder to write to, results are there already), or the
        report could not be written in the end.
    """
    target = Path(folder)
    _make(target)
    if not resume:
        _refuse_results(items, target)
    yield BatchProgress("Looking at the model", report=BatchReport(total=len(items)))
    settled = settle(job)
    if segment is None:
        segment = _pipeline(job)
    earlier = read_report(target) if resume else {}
    about = {
        "napari-scutoid": __version__,
        "model": {"name": settled.model, "sha256": settled.model_sha256},
        "recipe_sha256": settled.recipe_sha256,
        "recipe": settled.recipe.model_dump(mode="json"),
        "opening": job.opening,
    }
    rows: dict[str, Row] = {}
    # Until its turn has come, a stack keeps the row of an earlier run: its result is still there.
    shown = {item.output.name: earlier[item.output.name] for item in items if item.output.name in earlier}
    for name in (REPORT_JSON, REPORT_CSV):
        clear_away_parts(target / name)
    write_report(target, _report(items, shown), about)
    unwritten: ScutoidError | None = None
    for position, item in enumerate(items):
        name = item.output.name
        stack = segment_stack(item, job, settled, segment, resume=resume, earlier=earlier.get(name))
        with closing(stack):
            so_far = _report(items, rows)
            while True:
                try:
                    part = next(stack)
                except StopIteration as stop:
                    shown[name] = rows[name] = stop.value
                    break
                yield BatchProgress(part.step, part.done, part.total, position, so_far)
        try:
            write_report(target, _report(items, shown), about)
            unwritten = None
        except ScutoidError as problem:
            # A spreadsheet that has the table open locks it on Windows: the next stack's turn may be luckier.
            unwritten = problem
    report = _report(items, rows)
    yield BatchProgress("Finished", position=len(items), report=report)
    if unwritten is not None:
        raise ScutoidError(
            f"The report could not be written, although {report.in_words}",
            unwritten.why,
            f"close {REPORT_CSV} in other programs, make room on the disk, then resume",
        )
    return report


def _report(items: Sequence[BatchItem], rows: dict[str, Row]) -> BatchReport:
    return BatchReport(tuple(rows[item.output.name] for item in items if item.output.name in rows), len(items))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScutoidError(
            f"The folder {folder} could not be made", error.strerror or str(error), "choose another for the results"
        ) from error


def _refuse_results(items: Sequence[BatchItem], folder: Path) -> None:
    there = [item.output.name for item in items if os.path.lexists(item.output)]
    if there:
        raise ScutoidError(
            "The batch was not started",
            f"{folder} holds results already ({', '.join(there[:3])}{', ...' if len(there) > 3 else ''})",
            "resume (--resume), which keeps what is done and fits, or give another folder",
        )


def _pipeline(job: BatchJob) -> Any:
    """Return the real thing, after making sure that there is the device that is asked for."""
    from napari_scutoid.network.device import choose_device
    from napari_scutoid.pipeline import run

    choose_device(job.recipe.predict.device)
    return run

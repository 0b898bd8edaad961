"""All stacks of a batch, with a report that is right at any moment."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scutoid import __version__
from napari_scutoid.batch.alone import alone_in
from napari_scutoid.batch.crew import Task, one_by_one, shared_out, starting
from napari_scutoid.batch.job import settle
from napari_scutoid.batch.report import (
    REPORT_CSV,
    REPORT_JSON,
    UNDER_WAY,
    BatchReport,
    Row,
    read_report,
    read_under_way,
    write_json,
    write_report,
)
from napari_scutoid.batch.stack import clear_away_parts
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress, within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from napari_scutoid.batch.crew import Crew, News, Turns
    from napari_scutoid.batch.job import BatchJob, Settled
    from napari_scutoid.batch.plan import BatchItem
    from napari_scutoid.batch.stack import Segment
    from napari_scutoid.progress import Steps


@dataclass(frozen=True, slots=True)
class BatchProgress(Progress):
    """How far a stack is, and the batch.

    Parameters
    ----------
    step, done, total
        Of a stack, where one is being segmented.
    position : int
        Which stack that is, counted from 0; the number of stacks after the last one.
    report : BatchReport
        Rows so far.
    under_way : mapping of int to Progress
        By their position, how far all stacks are that are being segmented: one, or one a worker.
    dashboard : str
        Address of Dask's own pages about the workers; empty where there are none.
    """

    position: int = 0
    report: BatchReport = field(default_factory=BatchReport)
    under_way: Mapping[int, Progress] = field(default_factory=dict)
    dashboard: str = ""


def run_batch(
    items: Sequence[BatchItem],
    job: BatchJob,
    folder: str | Path,
    *,
    resume: bool = False,
    segment: Segment | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    share_stacks: bool = False,
) -> Steps[BatchReport]:
    """Segment stacks; one that cannot be segmented does not stop the others.

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
        In place of `pipeline.run_on_disk`; other processes must be able to import it.
    workers : int
        How many stacks at once on this computer, each in a process of its own that has its part of the cores, the
        memory and the graphics cards. 1: one after the other in this process.
    scheduler : str, optional
        Instead, have all workers of this Dask scheduler segment a stack each; see `distant_crew`.
    share_stacks : bool
        Segment one stack after the other, and divide the network's passes over each among all workers; see `division`.
        They compute on processors unless the recipe says otherwise, or each worker of this computer has a card.

    Yields
    ------
    BatchProgress
        At least once a slab, tile and stage, or every half a second. Closing the generator cancels: finished stacks
        stay, with their rows.

    Returns
    -------
    BatchReport
        A row for every stack.

    Raises
    ------
    ScutoidError
        When nothing can be begun (no such model, device or scheduler, no folder to write to, results or another batch
        are there already), when the scheduler goes, or the report could not be written in the end.
    """
    if share_stacks:
        job = _shareable(job, segment, workers, scheduler)
    target = Path(folder)
    _make(target)
    with ExitStack() as opened:
        opened.enter_context(alone_in(target))
        if not resume:
            _refuse_results(items, target)
        yield BatchProgress("Looking at the model", report=BatchReport(total=len(items)))
        settled = settle(job)
        if segment is None:
            segment = _pipeline(job, here=scheduler is None)
        earlier = read_report(target) if resume else {}
        # What a batch was at when it was killed may have been the reason.
        suspects = read_under_way(target) if resume else frozenset()
        tasks = [
            Task(position, item, job, settled, segment, resume, earlier.get(item.output.name))
            for position, item in enumerate(items)
        ]
        tasks.sort(key=lambda task: task.item.output.name in suspects)
        book = _Book(items, target, job, settled)
        # Until its turn has come, a stack keeps the row of an earlier run: its result is still there.
        book.begin(earlier)
        opened.callback(book.end)
        turns, dashboard = one_by_one(tasks), ""
        at_once = workers if share_stacks else min(workers, len(items))
        if scheduler is not None or at_once > 1:
            start = partial(_crew, job.recipe.predict.device, at_once, scheduler)
            connecting = BatchProgress("Connecting to the workers", report=book.report)
            crew = yield from within(starting(start), connecting)
            turns, dashboard = _turns(tasks, crew, share_stacks=share_stacks), crew.dashboard
            opened.callback(crew.close)
        opened.enter_context(closing(turns))
        for news in turns:
            book.note(news)
            if isinstance(part := news.about, Progress):
                if (several := len(book.under_way)) > 1:
                    part = Progress(f"Segmenting {several} stacks at once")
                yield BatchProgress(
                    part.step, part.done, part.total, news.position, book.report, dict(book.under_way), dashboard
                )
    yield BatchProgress("Finished", position=len(items), report=book.report)
    book.check()
    return book.report


class _Book:
    """The report as it grows, on the disk at any moment.

    Parameters
    ----------
    items : sequence of BatchItem
    folder : Path
    job : BatchJob
    settled : Settled
    """

    def __init__(self, items: Sequence[BatchItem], folder: Path, job: BatchJob, settled: Settled) -> None:
        self._folder = folder
        self._about = {
            "napari-scutoid": __version__,
            "model": {"name": settled.model, "sha256": settled.model_sha256},
            "recipe_sha256": settled.recipe_sha256,
            "recipe": settled.recipe.model_dump(mode="json"),
            "opening": job.opening,
        }
        self._names = [item.output.name for item in items]
        self._rows: dict[str, Row] = {}
        self._shown: dict[str, Row] = {}
        self._unwritten: ScutoidError | None = None
        self._is_behind = False
        self.under_way: dict[int, Progress] = {}
        self.report = self._of(self._rows)

    def begin(self, earlier: Mapping[str, Row]) -> None:
        """Write the first report; that it cannot be is told before any work is done."""
        self._shown = dict(earlier)
        for name in (REPORT_JSON, REPORT_CSV):
            clear_away_parts(self._folder / name)
        self._write(write_report)

    def note(self, news: News) -> None:
        """Take in what is heard of a stack."""
        if isinstance(news.about, Row):
            name = self._names[news.position]
            self._shown[name] = self._rows[name] = news.about
            self.under_way.pop(news.position, None)
            self.report = self._of(self._rows)
            self._is_behind = True
            try:
                self._write(write_report)
                self._unwritten = None
            except ScutoidError as problem:
                # A spreadsheet that has the table open locks it on Windows: the next stack's turn may be luckier.
                self._unwritten = problem
            self._is_behind = False
        elif isinstance(news.about, Progress):
            begins = news.position not in self.under_way
            self.under_way[news.position] = news.about
            if begins:
                with suppress(ScutoidError):
                    self._write(write_json)

    def end(self) -> None:
        """Note that nothing is under way any more: a batch that is not killed leaves nothing to suspect.

        Ctrl-C may have come between the two files.
        """
        if self.under_way or self._is_behind:
            self.under_way.clear()
            with suppress(ScutoidError):
                self._write(write_report)

    def check(self) -> None:
        """Complain where the last report could not be written."""
        if self._unwritten is not None:
            raise ScutoidError(
                f"The report could not be written, although {self.report.in_words}",
                self._unwritten.why,
                f"close {REPORT_CSV} in other programs, make room on the disk, then resume",
            )

    def _write(self, write: Callable[[Path, BatchReport, Mapping[str, Any]], None]) -> None:
        under_way = [self._names[position] for position in self.under_way]
        write(self._folder, self._of(self._shown), {**self._about, UNDER_WAY: under_way})

    def _of(self, rows: Mapping[str, Row]) -> BatchReport:
        return BatchReport(tuple(rows[name] for name in self._names if name in rows), len(self._names))


def _turns(tasks: Sequence[Task], crew: Crew, *, share_stacks: bool) -> Turns:
    if not share_stacks:
        return shared_out(tasks, crew)
    from napari_scutoid.batch.division import divided

    return divided(tasks, crew)


def _shareable(job: BatchJob, segment: Segment | None, workers: int, scheduler: str | None) -> BatchJob:
    """Return the job with a device that all workers have, as parts that are computed otherwise do not fit together."""
    if segment is not None:
        raise ValueError("segment cannot be shared among workers: share_stacks divides the program's own")
    if scheduler is None and workers < 2:
        raise ScutoidError(
            "The batch was not started",
            "a stack is to be shared among workers (--share-stacks), and there is one only",
            "give their number (--workers), or a Dask scheduler's address (--scheduler)",
        )
    if job.recipe.predict.device != "auto":
        return job
    from napari_scutoid.network.cards import cards

    device = "cuda" if scheduler is None and len(cards()) >= workers else "cpu"
    predict = job.recipe.predict.model_copy(update={"device": device})
    return replace(job, recipe=job.recipe.model_copy(update={"predict": predict}))


def _crew(device: str, workers: int, scheduler: str | None) -> Crew:
    from napari_scutoid.batch.cluster import distant_crew, local_crew

    if scheduler is not None:
        return distant_crew(scheduler, on_card=device == "cuda")
    if device not in ("auto", "cuda"):
        return local_crew(workers)
    from napari_scutoid.network.cards import cards

    found = cards()
    return local_crew(min(workers, len(found)) if device == "cuda" else workers, cards=found)


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


def _pipeline(job: BatchJob, *, here: bool) -> Segment:
    """Return the real thing; where it runs here, after making sure that there is the device that is asked for."""
    from napari_scutoid.pipeline import run_on_disk

    if here:
        from napari_scutoid.network.device import choose_device

        choose_device(job.recipe.predict.device)
    return run_on_disk

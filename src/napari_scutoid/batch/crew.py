"""Tasks handed out to those who do them, one at a time to each, and given to another where one is lost."""

from __future__ import annotations

import os
from collections import Counter, deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from napari_scutoid.batch.plan import BatchItem
from napari_scutoid.batch.report import Piece
from napari_scutoid.batch.stack import clear_away_parts, failed_row, segment_stack
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from typing import TypeAlias

    from napari_scutoid.batch.job import BatchJob, Settled
    from napari_scutoid.batch.report import Row
    from napari_scutoid.batch.stack import Segment
    from napari_scutoid.progress import Steps

POLL_S = 0.25
"""How often whoever waits is asked whether to go on."""
ATTEMPTS = 3
"""How many processes a stack may take down with it; the last of a cluster's may have gone for reasons of their own."""


@dataclass(frozen=True, slots=True)
class Task:
    """All that has to be known to segment one stack, in values that can be pickled; see `segment_stack`.

    Parameters
    ----------
    position : int
        Which stack.
    item, job, settled, segment, resume, earlier
        As `segment_stack` takes them.
    part : int
        Which of several tasks at one stack, see `division`.
    """

    position: int
    item: BatchItem
    job: BatchJob
    settled: Settled
    segment: Segment
    resume: bool = False
    earlier: Row | None = None
    part: int = 0

    @property
    def target(self) -> Path:
        """The file that it writes."""
        return self.item.output

    @property
    def is_alone(self) -> bool:
        """Whether all others wait for it."""
        return False

    def steps(self, job: BatchJob) -> Steps[Row | Piece]:
        """Do it, with the job as it suits whoever has it."""
        return segment_stack(self.item, job, self.settled, self.segment, resume=self.resume, earlier=self.earlier)


@dataclass(frozen=True, slots=True)
class News:
    """What is heard of a stack.

    Parameters
    ----------
    position : int
        Which one.
    about : Progress, Row, Piece or None
        How far it is; what became of it, or of a task of several; None: whoever had it is gone.
    part : int
        Which of several tasks.
    """

    position: int
    about: Progress | Row | Piece | None
    part: int = 0


class Idle(Progress):
    """Nobody is free, and nobody has anything."""


Turns: TypeAlias = "Generator[News, None, None]"
"""What is heard of all stacks, as it is heard; each has a row in the end. Closing the generator cancels."""


class Crew(Protocol):
    """Those who do tasks, one at a time each."""

    dashboard: str
    """Address of pages about them; empty where there are none."""
    keeps_files: bool
    """Whether those who have a stack may still write its result after `close`, and see to their unfinished files."""

    def free(self) -> Sequence[str]:
        """Return who can be given a task now."""
        ...

    def give(self, who: str, task: Task) -> None:
        """Let one who is free do a task."""
        ...

    def wait(self) -> Iterable[News]:
        """Return what has been heard, after a part of a second at the latest.

        Raises
        ------
        ScutoidError
            When nothing will be heard any more.
        """
        ...

    def why_idle(self) -> str:
        """Return in a few words why nobody is free, while nobody has a stack."""
        ...

    def close(self) -> None:
        """Let all stop."""
        ...


def starting(start: Callable[[], Crew]) -> Steps[Crew]:
    """Start a crew in a thread of its own, so that whoever waits for it can cancel meanwhile.

    A cluster cannot be broken off while it starts: one that nobody waits for any more is closed once it is there.

    Parameters
    ----------
    start : callable
        Returns the crew.
    """
    executor = ThreadPoolExecutor(1, thread_name_prefix="scutoid-crew")
    crew = executor.submit(start)
    executor.shutdown(wait=False)
    try:
        yield (step := Progress("Starting the workers"))
        while not wait([crew], POLL_S).done:
            yield step
    except BaseException:
        crew.add_done_callback(_not_wanted)
        raise
    return crew.result()


def _not_wanted(crew: Future[Crew]) -> None:
    # Why it did not start need not be told any more.
    with suppress(Exception):
        crew.result().close()


def one_by_one(tasks: Iterable[Task]) -> Turns:
    """Segment stacks here, one after the other."""
    for task in tasks:
        with closing(steps := task.steps(task.job)):
            while True:
                try:
                    yield News(task.position, next(steps))
                except StopIteration as stop:
                    yield News(task.position, stop.value)
                    break


def shared_out(tasks: Iterable[Task], crew: Crew) -> Turns:
    """Have stacks segmented by a crew, which is closed in the end."""
    try:
        yield from handed_out(deque(tasks), crew)
    finally:
        crew.close()


def handed_out(waiting: deque[Task], crew: Crew) -> Turns:
    """Have tasks done by a crew, which is closed where this is left before all are done.

    One whose worker is gone goes to the end of the queue: where it took the worker down, and its neighbours with it for
    want of memory, they have then been done without it.

    Parameters
    ----------
    waiting : deque of Task
        Those that whoever listens takes out meanwhile are not done.
    crew : Crew
    """
    present, lost = dict[tuple[int, int], Task](), Counter[tuple[int, int]]()
    latest: dict[tuple[int, int], Progress] = {}
    try:
        while waiting or present:
            for who in crew.free():
                if not waiting:
                    break
                task = waiting.popleft()
                present[task.position, task.part] = task
                latest[task.position, task.part] = Progress("Handing over")
                crew.give(who, _for_elsewhere(task))
            if not present:
                yield News(waiting[0].position, Idle(crew.why_idle()))
            # Even where nothing is heard, so that whoever wants to cancel is.
            yield from (News(position, latest[position, part], part) for position, part in present)
            for news in crew.wait():
                key = news.position, news.part
                if key not in present:
                    continue
                task = present[key]
                if isinstance(news.about, Progress):
                    latest[key] = news.about
                    continue
                del present[key]
                if news.about is not None:
                    yield replace(news, about=_as_asked(news.about, task, again=key in lost))
                    continue
                lost[key] += 1
                clear_away_parts(task.target)
                if lost[key] == ATTEMPTS:
                    yield replace(news, about=failed_row(task.item, task.settled, str(_taken_down(task.item))))
                else:
                    # It may have been finished just before.
                    waiting.append(replace(task, resume=True))
                    yield replace(news, about=Progress("Waiting for another worker"))
    except BaseException:
        crew.close()
        if not crew.keeps_files:
            for task in present.values():
                clear_away_parts(task.target)
        raise


def _for_elsewhere(task: Task) -> Task:
    """Return the task with paths that mean the same in another folder."""
    item, job = task.item, task.job
    item = BatchItem(Path(os.path.abspath(item.stack)), Path(os.path.abspath(item.output)))
    if Path(job.model).is_dir():
        job = replace(job, model=os.path.abspath(job.model))
    return replace(task, item=item, job=job)


def _as_asked(row: Row | Piece, task: Task, *, again: bool) -> Row | Piece:
    if isinstance(row, Piece):
        return row
    # What was finished in the moment its worker was lost is no result of an earlier batch.
    state = "done" if again and row.state == "skipped" and task.earlier is None else row.state
    return replace(row, stack=str(task.item.stack), state=state)


def _taken_down(item: BatchItem) -> ScutoidError:
    return ScutoidError(
        f"{item.stack} was not segmented",
        f"the process that had it ended unexpectedly, {ATTEMPTS} times, as it does when the memory does not suffice",
        "resume with fewer workers, give each more memory, or cut the stack",
    )

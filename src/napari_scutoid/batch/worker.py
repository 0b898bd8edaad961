"""What a Dask worker does with a task, within the limits that it was started with."""

from __future__ import annotations

import os
import sys
import time
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_scutoid.batch.job import settle
from napari_scutoid.batch.stack import failed_row, in_words
from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_scutoid.batch.crew import Task
    from napari_scutoid.batch.job import BatchJob
    from napari_scutoid.batch.report import Piece, Row
    from napari_scutoid.progress import Progress

MEMORY, GPU = "MEMORY", "GPU"
"""Resources that a worker states: bytes of memory, and graphics cards (a worker uses one)."""
CORES = "SCUTOID_CORES"
"""Environment variable of a worker: which cores are its own, such as ``0,1,2,3``; else those it was started on."""
CORES_ALONE = "SCUTOID_CORES_ALONE"
"""The same for tasks that all other workers wait for: those of all, where one batch has started them."""
SHARE = 0.5
"""Of a worker's memory, what one pass of the network may take; the rest is for the stack and its labels."""
REPORT_EVERY_S = 0.3


def work(task: Task, topic: str) -> Row | Piece:
    """Do a task on the Dask worker that this is called on.

    Parameters
    ----------
    task : Task
    topic : str
        Where progress is told: stack and part of the task, step, done, total.

    Returns
    -------
    Row or Piece
        Failed where the stack could not be segmented, for whatever reason; one that nobody waits for, where the task
        was cancelled meanwhile.
    """
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    try:
        keep_to_cores(alone=task.is_alone)
        job = within_memory(task.job, worker.state.total_resources)
        _check_same(task)
        with closing(steps := task.steps(job)):
            step, next_report = "", 0.0
            while not _is_cancelled(worker, key):
                try:
                    part: Progress = next(steps)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return]
                now = time.monotonic()
                if part.step != step or now >= next_report:
                    step, next_report = part.step, now + REPORT_EVERY_S
                    worker.log_event(topic, (task.position, task.part, part.step, part.done, part.total))
    except Exception as error:  # Dask would print a traceback
        return failed_row(task.item, task.settled, in_words(error))
    return failed_row(task.item, task.settled, "Cancelled.")


def within_memory(job: BatchJob, resources: Mapping[str, float]) -> BatchJob:
    """Return the job with what a worker states as its memory respected; a graphics card has its own."""
    predict = job.recipe.predict
    if not resources.get(MEMORY) or resources.get(GPU) or predict.pass_voxels is not None:
        return job
    share = max(0.01, int(100 * SHARE * resources[MEMORY] / 1e9) / 100)
    memory = share if predict.memory_gb is None else min(share, predict.memory_gb)
    predict = predict.model_copy(update={"memory_gb": memory})
    return replace(job, recipe=job.recipe.model_copy(update={"predict": predict}))


def keep_to_cores(*, alone: bool = False) -> None:
    """Let this thread, and libraries that start threads from it, compute on the worker's own cores alone.

    Parameters
    ----------
    alone : bool
        While no other worker has anything to do.
    """
    own = _cores_in(os.environ.get(CORES, ""))
    cores = (_cores_in(os.environ.get(CORES_ALONE, "")) or own) if alone else own
    if hasattr(os, "sched_setaffinity"):
        if cores:
            with suppress(OSError):
                os.sched_setaffinity(0, cores)
        cores = os.sched_getaffinity(0)
    # Dask sets both to 1 unless it is told otherwise, for work that is of one thread each; PyTorch takes the lower one.
    if "torch" not in sys.modules:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            if os.environ.get(name, "1") == "1":
                os.environ[name] = str(len(own or cores) or os.cpu_count() or 1)  # for good: not those of others


def _cores_in(stated: str) -> set[int]:
    return {int(core) for core in stated.split(",") if core.strip().isdigit()}


def _check_same(task: Task) -> None:
    if settle(task.job) != task.settled:
        raise ScutoidError(
            f"{task.item.stack} was not segmented",
            f"the model {task.settled.model} of the worker is another than that of this computer",
            "install the same version on all workers, or name a model's folder that all can read",
        )


def _is_cancelled(worker: Any, key: object) -> bool:
    """Whether nobody waits for a task any more: it was cancelled, who asked for it is gone, or the scheduler."""
    task = worker.state.tasks.get(key)
    return task is None or task.state == "cancelled" or worker.status.name in ("closing", "closed", "failed")

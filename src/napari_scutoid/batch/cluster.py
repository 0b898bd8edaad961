"""Dask workers as a crew: a cluster of this computer's own, or one that somebody else has started.

Whoever is given a stack is chosen here, and not by Dask's scheduler: that hands out more tasks than there are workers,
and holds a worker's end against all that wait for it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import re
import signal
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from napari_scutoid.batch.crew import POLL_S, News, Task
from napari_scutoid.batch.stack import failed_row
from napari_scutoid.batch.worker import CORES, CORES_ALONE, GPU, MEMORY, work
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_scutoid.batch.report import Piece, Row

LOCAL = "127.0.0.1"
SILENT = logging.CRITICAL + 1
LOOK_EVERY_S = 1.0
"""How often the scheduler is asked which workers there are."""
CONNECT_S = 15
FETCH_S = 10
START_S = 120
"""How long workers of this computer may take to start."""
CLOSE_S = 20
"""How long they may take to end."""


class DaskCrew:
    """Workers of a Dask cluster, each given one task at a time, whatever number of threads it has.

    Parameters
    ----------
    client : distributed.Client
    on_card : bool
        Give stacks only to workers that state a graphics card (``--resources "GPU=1"``).
    is_own : bool
        The cluster is this computer's own, and ends with the crew.
    opened : ExitStack
        What has to be closed with the crew.
    """

    def __init__(self, client: Any, opened: ExitStack, *, is_own: bool, on_card: bool = False) -> None:
        self._client, self._opened, self._is_own, self._on_card = client, opened, is_own, on_card
        self.keeps_files, self.dashboard = not is_own, ""
        self._topic = f"scutoid-{uuid.uuid4().hex}"
        self._heard: queue.SimpleQueue[News | str] = queue.SimpleQueue()
        self._held: dict[str, tuple[Task, Any]] = {}
        self._workers: dict[str, dict[str, float]] = {}
        self._leaving: set[str] = set()
        self._looked, self._idle_since = 0.0, time.monotonic()
        client.subscribe_topic(self._topic, self._on_told)
        self._look()
        # A scheduler may have no such pages.
        with suppress(KeyError):
            self.dashboard = str(client.dashboard_link or "")

    def free(self) -> list[str]:
        """Return the workers that can be given a task now."""
        return [
            worker
            for worker, resources in self._workers.items()
            if worker not in self._held and worker not in self._leaving and (resources.get(GPU) or not self._on_card)
        ]

    def give(self, who: str, task: Task) -> None:
        """Let a worker do a task; it holds all that the worker states, so that nobody else's task joins it."""
        future = self._client.submit(
            work,
            task,
            self._topic,
            key=f"scutoid-{task.item.stack.name}-{uuid.uuid4().hex}",
            workers=[who],
            resources=self._workers[who],
            pure=False,
        )
        self._held[who] = task, future
        future.add_done_callback(lambda done: self._heard.put(done.key))

    def wait(self) -> list[News]:
        """Return what has been heard."""
        news: list[News] = []
        with suppress(queue.Empty):
            said = self._heard.get(timeout=POLL_S)
            while True:
                news += [said] if isinstance(said, News) else self._over(said)
                said = self._heard.get_nowait()
        if self._client.status != "running":
            raise _scheduler_is_gone()
        if time.monotonic() >= self._looked + LOOK_EVERY_S:
            self._look()
            for worker in self._held.keys() - self._workers.keys():
                task, future = self._held.pop(worker)
                future.cancel()
                news.append(News(task.position, None, task.part))
        return news

    def why_idle(self) -> str:
        """Return in a few words why nobody is free, while nobody has a stack."""
        if self._is_own and time.monotonic() > self._idle_since + START_S:
            raise _do_not_start(f"none has answered for {START_S} s")
        return "Waiting for a worker with a graphics card" if self._on_card and self._workers else "Waiting for workers"

    def close(self) -> None:
        """Cancel what is under way. Workers of this computer are ended, others stop at their next report."""
        for _, future in self._held.values():
            with suppress(Exception):
                future.cancel()
        self._held.clear()
        # A cluster that does not end in time raises; its processes end with this one.
        with suppress(Exception):
            self._opened.close()

    def _look(self) -> None:
        self._looked = time.monotonic()
        try:
            known = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, TimeoutError, RuntimeError) as error:
            raise _scheduler_is_gone() from error
        self._workers = {str(worker): dict(about["resources"]) for worker, about in known.items()}
        self._leaving = {str(worker) for worker, about in known.items() if about["status"] != "running"}
        if self._workers:
            self._idle_since = self._looked

    def _on_told(self, event: tuple[float, Sequence[Any]]) -> None:
        position, part, step, done, total = event[1]
        self._heard.put(News(int(position), Progress(str(step), int(done), int(total)), int(part)))

    def _over(self, key: str) -> list[News]:
        worker = next((worker for worker, (_, future) in self._held.items() if future.key == key), None)
        if worker is None:
            return []
        task, future = self._held.pop(worker)
        about: Row | Piece | None = None  # where it was cancelled, or the worker is gone
        if future.status == "finished":
            with suppress(Exception):
                about = future.result(timeout=FETCH_S)
        elif future.status == "error" and not isinstance(error := future.exception(), _killed()):
            about = failed_row(task.item, task.settled, str(_not_begun(task, worker, error)))
        return [News(task.position, about, task.part)]


def local_crew(workers: int, *, cards: Sequence[str] = ()) -> DaskCrew:
    """Start workers on this computer, which share its cores, memory and graphics cards.

    Only this computer can reach them, and only who has the key, which is made for them: other users of the computer
    cannot. Dask has to write it into a folder of this user's alone for a moment, as Python reads keys from files only.

    Parameters
    ----------
    workers : int
    cards : sequence of str
        Graphics cards, as ``CUDA_VISIBLE_DEVICES`` names them: a worker each. Workers beyond that use the processor.

    Raises
    ------
    ScutoidError
        When they do not start, or one of them not within `START_S`.
    """
    dask, distributed = _libraries()
    with ExitStack() as opened:
        opened.enter_context(_quiet())
        folder = opened.enter_context(TemporaryDirectory(prefix="scutoid-", ignore_cleanup_errors=True))
        key = distributed.Security.temporary()
        common = {"host": LOCAL, "protocol": "tls://", "security": key}
        limits = [
            {
                "cls": distributed.Nanny,
                "options": {
                    **common,
                    "nthreads": 1,
                    "memory_limit": 0,  # Dask would also count what is only mapped from files, and end the worker
                    "resources": one.resources,
                    "env": one.environment,
                    "dashboard": False,
                    "local_directory": folder,
                    "silence_logs": SILENT,
                    "death_timeout": START_S,
                },
            }
            for one in shares(workers, cards=cards)
        ]
        scheduler = {
            "cls": distributed.Scheduler,
            # A free port, as another Dask may have the usual one.
            "options": {**common, "port": 0, "dashboard": True, "dashboard_address": f"{LOCAL}:0"},
        }
        # Dask would set OMP_NUM_THREADS=1 and more in this very process, so as to hand it down.
        opened.enter_context(dask.config.set({"distributed.nanny.pre-spawn-environ": {}}))
        before, began = _processes(), time.monotonic()
        try:
            with _deaf_to_ctrl_c():
                cluster = distributed.SpecCluster(
                    workers=dict(enumerate(limits)), scheduler=scheduler, security=key, silence_logs=SILENT
                )
        # Dask has a process that hangs while it starts fail a check of its own, and leaves it running.
        except (OSError, RuntimeError, TimeoutError, AssertionError) as error:
            for process in _processes() - before:
                process.kill()
            took_long = time.monotonic() >= began + START_S
            why = f"one has not answered for {START_S} s" if took_long else str(error) or type(error).__name__
            raise _do_not_start(why) from error
        opened.callback(_end, cluster, before)
        client = opened.enter_context(distributed.Client(cluster, set_as_default=False))
        return _crew(client, opened, is_own=True, on_card=False)


def _end(cluster: Any, before: set[Any]) -> None:
    """End a cluster, by force where it does not end by itself: Dask would wait for ever for a process that hangs."""
    try:
        cluster.close(timeout=CLOSE_S)
    except TimeoutError:
        for process in _processes() - before:
            process.kill()


def _processes() -> set[Any]:
    """Return Dask's processes that this one has started."""
    return {process for process in multiprocessing.active_children() if process.name.startswith("Dask")}


def distant_crew(address: str, *, on_card: bool = False) -> DaskCrew:
    """Use the workers of a scheduler that somebody has started.

    Parameters
    ----------
    address : str
        Such as ``tcp://node:8786``, or the file that ``dask scheduler --scheduler-file`` has written. It is trusted:
        who runs a scheduler can run programs here.
    on_card : bool
        As for `DaskCrew`.

    Raises
    ------
    ScutoidError
        When nothing answers there.
    """
    _, distributed = _libraries()
    file = os.path.expanduser(address)
    where = {"scheduler_file": file} if os.path.isfile(file) else {"address": address}
    # Dask's client would notice too, but complains again for seconds when Python ends.
    if "address" in where and not re.search(r"[^/]:\d+$", address):
        raise _no_scheduler(address, "there is no such file, and it is no address such as tcp://node7:8786")
    with ExitStack() as opened:
        opened.enter_context(_quiet())
        try:
            client = distributed.Client(**where, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ImportError, RuntimeError, ValueError, TypeError, KeyError) as error:
            raise _no_scheduler(address, str(error) or type(error).__name__) from error
        opened.enter_context(client)
        return _crew(client, opened, is_own=False, on_card=on_card)


def _crew(client: Any, opened: ExitStack, *, is_own: bool, on_card: bool) -> DaskCrew:
    kept = ExitStack()
    crew = DaskCrew(client, kept, is_own=is_own, on_card=on_card)
    kept.push(opened.pop_all())
    return crew


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Keep Ctrl-C from processes that are started meanwhile, and by threads that are: a terminal sends it to all.

    They would end each with a traceback; whoever started them ends them in good order.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Else the first process that is started starts this one first, which lets signals through again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask from printing its own view of workers and schedulers that go, with tracebacks."""
    handlers = logging.getLogger("distributed").handlers
    before = [(handler, handler.level) for handler in handlers]
    for handler in handlers:
        handler.setLevel(SILENT)
    try:
        yield
    except KeyboardInterrupt:
        before.clear()  # a cluster that is broken off while it starts prints more until Python ends
        raise
    finally:
        for handler, level in before:
            handler.setLevel(level)


@dataclass(frozen=True, slots=True)
class Share:
    """What of this computer a worker has."""

    resources: dict[str, float]
    environment: dict[str, str]


def shares(workers: int, *, cards: Sequence[str] = ()) -> list[Share]:
    """Divide cores, free memory and graphics cards among workers."""
    from napari_scutoid.network.device import choose_device, free_memory

    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    memory = free_memory(choose_device("cpu")) // workers  # within the limit of a container or a cluster's job, too
    found = []
    for number in range(workers):
        own = cores[len(cores) * number // workers : len(cores) * (number + 1) // workers]
        own = own or [cores[number % len(cores)]]
        card = cards[number : number + 1]
        found.append(
            Share(
                {MEMORY: float(memory), **({GPU: 1.0} if card else {})},
                {
                    CORES: ",".join(map(str, own)),
                    CORES_ALONE: ",".join(map(str, cores)),
                    "OMP_NUM_THREADS": str(len(own)),
                    **({"CUDA_VISIBLE_DEVICES": "".join(card)} if cards else {}),
                },
            )
        )
    return found


def _libraries() -> tuple[Any, Any]:
    try:
        import cryptography  # noqa: F401 - for the key
        import dask
        import distributed
    except ImportError as error:
        raise ScutoidError(
            "Several workers cannot be used",
            f"{error.name} is not installed",
            "install it with `pip install 'napari-scutoid[cluster]'`, or segment one stack at a time: without "
            "--workers and --scheduler, or with 1 at `Stacks at once`",
        ) from error
    return dask, distributed


def _killed() -> Any:
    from distributed import KilledWorker

    return KilledWorker


def _no_scheduler(address: str, why: str) -> ScutoidError:
    return ScutoidError(
        f"No Dask scheduler answers at {address}",
        why,
        "check the address that `dask scheduler` has printed, and that this computer can reach it",
    )


def _do_not_start(why: str) -> ScutoidError:
    return ScutoidError(
        "The batch was stopped",
        f"the processes that should segment the stacks do not start: {why}",
        "segment one stack at a time: without --workers, or with 1 at `Stacks at once`",
    )


def _scheduler_is_gone() -> ScutoidError:
    return ScutoidError(
        "The batch was stopped",
        "the Dask scheduler does not answer any more; what is finished has been kept",
        "start scheduler and workers again, then resume (--resume)",
    )


def _not_begun(task: Task, worker: str, error: BaseException | None) -> ScutoidError:
    return ScutoidError(
        f"{task.item.stack} was not segmented",
        f"the worker {worker} could not begin ({type(error).__name__}: {error})",
        "install the same version of napari-scutoid on all workers, and start them where the stacks can be read",
    )

"""Open many damaged files, one after the other, in a process that may die of one of them.

Prints a line of JSON before and after each. A file that takes too long ends the process, with the place on stderr. Too
long is counted in the processor's time, since on a busy machine any file may take a minute.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from mutate import mutate

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.convert import convert
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.io.save import result_suffixes

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = float(os.environ.get("SECONDS", "10"))
_WAITING = 12
"""Times longer than `SECONDS` is too long by the clock, for what waits and does nothing."""
MEMORY = 2 * 2**30
_FIRST_ARRAYS = 3
_SIDE = 256


def main(samples: Path, work: Path, seed: int, first: int, last: int) -> None:
    """Go through cases `first` to `last`, the last not included."""
    warnings.simplefilter("ignore")
    limit_memory()
    files, suffixes = sorted(samples.iterdir()), result_suffixes()
    for case in range(first, last):
        sample = files[case % len(files)]
        folder = work / str(case)
        folder.mkdir(parents=True)
        damaged = folder / sample.name
        done = mutate(sample, damaged, f"{seed}/{case}")
        tell({"case": case, "sample": sample.name, "done": done})
        watch()
        outcome, detail = one_case(damaged, folder / "out", suffixes[case // len(files) % len(suffixes)], watch)
        rest()
        tell({"case": case, "sample": sample.name, "done": done, "outcome": outcome, "detail": detail})
        shutil.rmtree(folder)


def one_case(file: Path, out: Path, suffix: str, alive: Callable[[], None] = lambda: None) -> tuple[str, str]:
    """Do with a file what a person would; return how it went, and for what went wrong where.

    `alive` is called whenever the work goes on.
    """
    out.mkdir()
    target = out / f"out{suffix}"
    outcome = "refused"
    try:
        look(file)
        outcome = "opened"
        if converted(file, target, alive):
            outcome = "converted"
    except ScutoidError as error:
        if "\n" in str(error):
            return "message", repr(str(error))
    except MemoryError:
        return "memory", traceback.format_exc()
    except Exception:
        return "traceback", traceback.format_exc()
    if resident() > MEMORY:
        return "memory", f"{resident() / 2**30:.1f} GiB"
    # Where one file holds one array, the labels lie in another beside it.
    left = [path.name for path in out.iterdir()]
    if outcome == "converted":
        inspect(target)
        left = [name for name in left if not name.startswith("out")]
    return ("partial", f"left behind: {sorted(left)}") if left else (outcome, "")


def converted(file: Path, target: Path, alive: Callable[[], None]) -> bool:
    """Convert a file; where its header claims gigabytes, cancel, as a person would, as long as it goes on."""
    until = time.process_time() + SECONDS / 4
    with contextlib.closing(convert(file, target)) as steps:
        for _ in steps:
            if time.process_time() > until:
                return False
            alive()
    return True


def look(file: Path) -> None:
    """List a file, read a slice of its first arrays and the labels among them. One array may fail, the list may not."""
    found = inspect(file)
    json.dumps(found.as_dict())
    for dataset in found.datasets[:_FIRST_ARRAYS]:
        choice = {axis: 0 for axis, letter in (("channel", "C"), ("time", "T")) if letter in dataset.axes}
        with contextlib.suppress(ScutoidError):
            data = open_volume(file, dataset.path, **choice).data
            data[data.shape[0] // 2, :_SIDE, :_SIDE]
        if dataset.guess == "labels":
            with contextlib.suppress(ScutoidError):
                open_labels(file, dataset.path)


def limit_memory() -> None:
    """Let allocations beyond the limit fail, where the system can."""
    with contextlib.suppress(ImportError):
        import resource

        limit = psutil.Process().memory_info().vms + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def resident() -> int:
    """Return the most bytes that this process has ever had in memory."""
    try:
        import resource
    except ImportError:
        return int(psutil.Process().memory_info().peak_wset)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def watch() -> None:
    """End this process when it is not called again, or the watch taken off, in time."""
    if hasattr(signal, "setitimer"):
        faulthandler.register(signal.SIGPROF, chain=True)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        faulthandler.dump_traceback_later(_WAITING * SECONDS, exit=True)
    else:
        faulthandler.dump_traceback_later(SECONDS, exit=True)


def rest() -> None:
    """Take the watch off."""
    faulthandler.cancel_dump_traceback_later()
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, 0)


def tell(line: dict[str, object]) -> None:
    """Print one line of JSON at once: the process may be dead before the next."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    faulthandler.enable()
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6]))

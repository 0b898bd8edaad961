"""Open damaged files by the thousand: ``python tests/io/fuzz/run.py --cases 100000``.

Each case is a small valid file with some bytes changed, opened, read and written again in a child process. Allowed is
that it works, or that one message says why not. Anything else is printed, with how to repeat it, and the exit status
is 1. The children open files without trying them in a process of their own first (`napari_scutoid.io.probe`); where one
crashes or hangs inside a format's library, the file is tried again with it, and the program has to survive.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from samples import make_samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHILD = Path(__file__).with_name("child.py")
BATCH = 250
# How the system ends a child whose watch is not set again in time; Windows has no such signal.
_OUT_OF_TIME = getattr(signal, "SIGPROF", 0)
ALLOWED = ("converted", "opened", "refused", "crash told", "hang told")


@dataclass(frozen=True)
class Case:
    """One damaged file, what was done to it, and what became of it.

    ``converted``, ``opened`` and ``refused`` are as they should be; ``crash told`` and ``hang told`` are those of a
    library, and the program survives them; ``crash``, ``hang``, ``memory``, ``traceback``, ``message`` and ``partial``
    are faults.
    """

    case: int
    sample: str
    done: str
    outcome: str
    detail: str


def fuzz(samples: Path, work: Path, seed: int, cases: range, child: Path = CHILD) -> Iterator[Case]:
    """Try some cases in child processes, one after the other; a child that dies is replaced by the next.

    Parameters
    ----------
    samples, work : Path
        Folder of valid files; an empty folder to write to.
    seed : int
        The same seed and case damage a file in the same way.
    cases : range
        Their numbers.
    child : Path
        The program that opens the files.
    """
    first = cases.start
    while first < cases.stop:
        ended = _run(child, samples, work, seed, range(first, cases.stop), {"SCUTOID_PROBE": "off"})
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        yield from (Case(**line) for line in lines if "outcome" in line)
        if ended.returncode == 0:
            return
        if not lines or "outcome" in lines[-1]:
            raise RuntimeError(f"the child ended by itself, with status {ended.returncode}:\n{ended.stderr}")
        died = lines[-1]["case"]
        outcome = "hang" if ended.returncode == -_OUT_OF_TIME or "Timeout (" in ended.stderr else "crash"
        # Long enough for the process that the program itself starts, too.
        again = _run(child, samples, work, seed, range(died, died + 1), {"SECONDS": "60"})
        told = again.returncode == 0 and json.loads(again.stdout.splitlines()[-1])["outcome"] == "refused"
        detail = f"status {ended.returncode}\n{ended.stderr}"
        yield Case(**lines[-1], outcome=f"{outcome} told" if told else outcome, detail=detail)
        first = died + 1


def _run(
    child: Path, samples: Path, work: Path, seed: int, cases: range, variables: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(dir=work) as folder:
        command = [sys.executable, child, samples, folder, seed, cases.start, cases.stop]
        inherited = {name: value for name, value in os.environ.items() if name != "SCUTOID_PROBE"}
        environment = inherited | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | variables
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, env=environment)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 1 where a case went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case, to repeat one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--files", default="*", help="only the samples whose names fit, e.g. '*.h5'")
    parser.add_argument("--json", type=Path, help="write the counts there")
    wanted = parser.parse_args(arguments)
    started = time.monotonic()
    counts: collections.Counter[str] = collections.Counter()
    by_sample: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    kinds: set[str] = set()
    last = wanted.first + wanted.cases
    batches = [range(first, min(first + BATCH, last)) for first in range(wanted.first, last, BATCH)]
    with tempfile.TemporaryDirectory(prefix="scutoid-fuzz-") as name, ThreadPoolExecutor(wanted.jobs) as pool:
        samples, work = Path(name) / "samples", Path(name) / "work"
        samples.mkdir()
        work.mkdir()
        for sample in make_samples(samples):
            if not sample.match(wanted.files):
                shutil.rmtree(sample) if sample.is_dir() else sample.unlink()
        for found in pool.map(lambda cases: list(fuzz(samples, work, wanted.seed, cases)), batches):
            for case in found:
                counts[case.outcome] += 1
                by_sample[case.sample][case.outcome] += 1
                # The same fault is met again and again: once is enough to be told.
                kind = f"{case.outcome}: {_place_of(case.detail)}"
                if case.outcome not in ALLOWED and kind not in kinds:
                    kinds.add(kind)
                    print(
                        f"{case.outcome} in case {case.case} ({case.sample}: {case.done})\n{case.detail}",
                        file=sys.stderr,
                    )
                    print(
                        f"repeat: {Path(__file__).name} --seed {wanted.seed} --first {case.case} --cases 1",
                        file=sys.stderr,
                    )
    outcomes = sorted(counts)
    print(f"{'file':<16}" + "".join(f"{outcome:>10}" for outcome in outcomes))
    for sample, row in sorted(by_sample.items()):
        print(f"{sample:<16}" + "".join(f"{row[outcome]:>10}" for outcome in outcomes))
    print(f"{'all':<16}" + "".join(f"{counts[outcome]:>10}" for outcome in outcomes))
    print(f"{counts.total()} cases in {time.monotonic() - started:.0f} s, {len(kinds)} kinds of fault")
    if wanted.json:
        wanted.json.write_text(json.dumps({"cases": counts.total(), "files": by_sample, "kinds": sorted(kinds)}))
    return int(bool(kinds))


def _place_of(detail: str) -> str:
    """Return the innermost place that a traceback, or a dump of all threads with the main one last, names."""
    places = [line.strip() for line in detail.splitlines() if line.strip().startswith("File ")]
    if "Traceback" in detail:
        return f"{places[-1]} {detail.strip().splitlines()[-1].split(':')[0]}"
    main = detail.rpartition("(most recent call first):")[2].strip().splitlines()
    return main[0].strip() if main else detail


if __name__ == "__main__":
    sys.exit(main())

"""What a batch costs beside the plain runs of the same stacks, and what several workers gain.

    python benchmarks/batch.py [--quick] [--json FILE]

Ten glands of 64 x 128 x 128 voxels. Each way starts with its processes not yet started, so that every row has what it
takes to load the program and the model, to start workers, and to write report and results.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _common import Row, parser, show, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TITLE = "A batch beside plain runs of its stacks"
COLUMNS = {
    "way": "",
    "stacks": "d",
    "seconds": ".1f",
    "over_one_process": "+.1%",
    "over_commands": "+.1%",
    "least_over_one_process": "+.1%",
}
REPEATS = 5
SCUTOID = [sys.executable, "-m", "napari_scutoid.cli"]
# What a person would write who has to segment ten stacks and has no batch.
PLAIN = """
import sys
from pathlib import Path
from napari_scutoid.io.open import open_volume, save_result
from napari_scutoid.pipeline import run
from napari_scutoid.progress import drain

for stack in sys.argv[2:]:
    result = drain(run(open_volume(stack)))
    save_result(Path(sys.argv[1]) / (Path(stack).stem + "_labels.h5"), result.labels, {}, result.provenance)
"""


def main() -> None:
    """Time all ways in turn, so that what else the computer does is shared by all."""
    options = parser(__doc__ or "").parse_args()
    number, repeats, shape = (2, 1, (32, 64, 64)) if options.quick else (10, REPEATS, (64, 128, 128))
    with tempfile.TemporaryDirectory() as folder:
        stacks = _made(Path(folder), number, shape)
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(repeats):
            for way, commands in WAYS.items():
                with tempfile.TemporaryDirectory() as out:
                    seconds[way].append(_timed(commands(stacks, out)))
                    assert len(list(Path(out).glob("*_labels.h5"))) == number
    rows = [_row(way, number, seconds) for way in WAYS]
    show(TITLE, rows, COLUMNS)
    write_json(options.json, TITLE, rows)


def _row(way: str, number: int, seconds: dict[str, list[float]]) -> Row:
    own = statistics.median(seconds[way])
    one, commands = (statistics.median(seconds[name]) for name in (ONE_PROCESS, COMMANDS))
    return {
        "way": way,
        "stacks": number,
        "seconds": own,
        "over_one_process": own / one - 1,
        "over_commands": own / commands - 1,
        # Of the quickest of each: what else the computer did has the least part in it.
        "least_over_one_process": min(seconds[way]) / min(seconds[ONE_PROCESS]) - 1,
    }


def _made(folder: Path, number: int, shape: Sequence[int]) -> list[str]:
    stacks = [str(folder / f"gland{seed}.h5") for seed in range(1, number + 1)]
    for seed, stack in enumerate(stacks, 1):
        words = ["synth", stack, "--seed", str(seed), "--shape", *map(str, shape)]
        subprocess.run([*SCUTOID, *words], check=True, stderr=subprocess.DEVNULL)
    return stacks


def _timed(commands: Sequence[Sequence[str]]) -> float:
    started = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def _one_process(stacks: Sequence[str], out: str) -> list[list[str]]:
    return [[sys.executable, "-c", PLAIN, out, *stacks]]


def _commands(stacks: Sequence[str], out: str) -> list[list[str]]:
    return [[*SCUTOID, "segment", stack, "-o", f"{out}/{Path(stack).stem}_labels.h5"] for stack in stacks]


def _batch(*options: str) -> Callable[[Sequence[str], str], list[list[str]]]:
    return lambda stacks, out: [[*SCUTOID, "batch", *stacks, "-o", out, *options]]


ONE_PROCESS, COMMANDS = "plain runs in one process", "scutoid segment for each"
WAYS = {
    ONE_PROCESS: _one_process,
    COMMANDS: _commands,
    "scutoid batch": _batch(),
    "scutoid batch --workers 2": _batch("--workers", "2"),
}

if __name__ == "__main__":
    os.environ.setdefault("SCUTOID_PROBE", "off")  # it is the same for all ways, and no part of what is asked
    main()

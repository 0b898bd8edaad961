"""Score a model on the shared real stacks, through the command line as a user would, and say which targets are met.

    SCUTOID_DATA=folder python benchmarks/quality.py [--model M] [--recipe R.yaml] [--targets fine_tuned] [--json FILE]

needs the shared stacks (``glands/*.h5``, ``plants/*.h5``: an image ``raw``, the truth ``label``). Beside the model
stand two classical chains (benchmarks/classical.py): one with the same setting for all stacks, and an oracle that is
given the true foreground and the best of six settings for each stack. ``{stack}`` in the name of the model stands for
the stack, as where each fold of leave-one-out has its own; the targets of fine-tuned models are about glands only.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from _common import Row, parser, show, write_json
from _stacks import Stack, model_for, shared_stacks
from classical import ORACLE, classical

from napari_scutoid.metrics import count_overlaps, match_cells

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

TITLE = "Real stacks, nothing tuned per stack"
COLUMNS = {
    "stack": "",
    "foreground_iou": ".3f",
    "ap50": ".3f",
    "ap75": ".3f",
    "arand": ".3f",
    "n_true": "d",
    "n_pred": "d",
    "wrong_cells": "d",
    "semantic_iou": ".3f",
    "semantic_ceiling": ".3f",
    "classical_ap50": ".3f",
    "oracle_ap50": ".3f",
    "seconds": ".1f",
}
AVERAGED = ("foreground_iou", "ap50", "ap75", "arand", "classical_ap50", "oracle_ap50", "seconds")


class Target(NamedTuple):
    """What a table must reach: a value computed from its rows, and its bound."""

    name: str
    value: Callable[[Sequence[Row]], float]
    bound: float
    at_least: bool = True

    def line(self, rows: Sequence[Row]) -> Row:
        """Return the row of the table of targets."""
        value = self.value(rows)
        met = value >= self.bound if self.at_least else value <= self.bound
        wanted = f"{'at least' if self.at_least else 'at most'} {self.bound:g}"
        return {"target": self.name, "value": value, "wanted": wanted, "met": "yes" if met else "NO"}


def mean(rows: Sequence[Row], key: str) -> float:
    """Return the mean over the stacks that have a value."""
    return float(np.mean([row[key] for row in rows if row.get(key) is not None] or [np.nan]))


def wrong_share(rows: Sequence[Row]) -> float:
    """Return the sum over the glands of the errors in the number of cells, over that of their true cells."""
    glands = [row for row in rows if row["is_gland"]]
    return sum(row["wrong_cells"] for row in glands) / max(1, sum(row["n_true"] for row in glands))


def not_ahead(rows: Sequence[Row]) -> float:
    """Return on how many stacks the classical chain is as good or better."""
    return sum(row["ap50"] <= row["classical_ap50"] for row in rows)


TARGETS = {
    "builtin": (
        Target("mean AP50", lambda rows: mean(rows, "ap50"), 0.75),
        Target("lowest AP50", lambda rows: min(row["ap50"] for row in rows), 0.5),
        Target("mean foreground IoU", lambda rows: mean(rows, "foreground_iou"), 0.85),
        Target("wrong cells of the glands", wrong_share, 0.1, at_least=False),
        Target("stacks not ahead of the classical chain", not_ahead, 0, at_least=False),
    ),
    "fine_tuned": (
        Target("mean AP50", lambda rows: mean(rows, "ap50"), 0.9),
        Target("wrong cells of the glands", wrong_share, 0.03, at_least=False),
    ),
}


def measured(stack: Stack, model: str, recipe: str | None) -> Row:
    """Return the row of a stack."""
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels.h5"
        extra = ["--recipe", recipe] if recipe else []
        started = time.perf_counter()
        _scutoid("segment", str(stack.file), "--dataset", "raw", "--model", model, *extra, "-o", str(labels))
        seconds = time.perf_counter() - started
        scores = _scores(labels, stack.file)
    # The laboratory made its semantic target from resized labels: not even the true cells fit it.
    ceiling = _scores(stack.file, stack.file, "--pred-dataset", "label")["semantic_iou"]
    row: Row = {"stack": stack.name, "is_gland": stack.is_gland, **scores, "semantic_ceiling": ceiling}
    return row | {"wrong_cells": scores["cell_count_error"], "seconds": seconds, **_classical_scores(stack)}


def _classical_scores(stack: Stack) -> Row:
    volume, truth = stack.read()
    image, foreground = np.asarray(volume.data), truth > 0
    oracle = max(_ap50(classical(image, setting, foreground), truth) for setting in ORACLE)
    return {"classical_ap50": _ap50(classical(image), truth), "oracle_ap50": oracle}


def _ap50(labels: NDArray[Any], truth: NDArray[Any]) -> float:
    matched = len(match_cells(count_overlaps(labels, truth)))
    cells = sum(int(np.count_nonzero(np.unique(side))) for side in (labels, truth))
    return matched / max(1, cells - matched)


def _scores(prediction: Path, truth: Path, *more: str) -> dict[str, Any]:
    told = _scutoid("evaluate", str(prediction), str(truth), "--truth-dataset", "label", "--json", *more)
    scores: dict[str, Any] = json.loads(told)
    return scores


def _scutoid(*arguments: str) -> str:
    command = [sys.executable, "-m", "napari_scutoid.cli", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def main() -> None:
    """Segment and score every stack, then print the table of scores and that of targets."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--model", default="builtin", help="a name or a folder; {stack} stands for the stack")
    arguments.add_argument("--recipe", help="settings other than the default")
    arguments.add_argument("--stacks", nargs="+", metavar="NAME", help="only stacks whose name contains one of these")
    arguments.add_argument("--targets", choices=TARGETS, default="builtin")
    options = arguments.parse_args()
    stacks = [stack for stack in shared_stacks(options.stacks) if stack.is_gland or options.targets == "builtin"]
    rows: list[Row] = []
    for stack in stacks[: 1 if options.quick else None]:
        rows.append(measured(stack, model_for(stack, options.model), options.recipe))
        write_json(options.json, TITLE, rows)  # after each: what an interrupted run has measured is not lost
    averages: Row = {"stack": "mean", **{key: mean(rows, key) for key in AVERAGED}}
    averages |= {f"semantic_{key}": mean(rows, f"semantic_{key}") for key in ("iou", "ceiling")}
    targets = [target.line(rows) for target in TARGETS[options.targets]]
    show(f"{TITLE}: {options.model}", [*rows, averages], COLUMNS)
    behind = [row["stack"] for row in rows if row["ap50"] <= row["classical_ap50"]]
    print(f"\nNot ahead of the classical chain on: {', '.join(behind) or 'none'}\n")
    show("Targets", targets, {"target": "", "value": ".3f", "wanted": "", "met": ""})
    write_json(options.json, TITLE, [*rows, averages, *targets])


if __name__ == "__main__":
    main()

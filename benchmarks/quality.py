"""Score the built-in model on real stacks it has never seen, through the command line as a user would.

    SCUTOID_DATA=folder python benchmarks/quality.py [--recipe R.yaml] [--json FILE]

needs the shared stacks (``glands/*.h5``, ``plants/*.h5``: an image ``raw``, the truth ``label``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _common import Row, parser, show, write_json

TITLE = "Built-in model, nothing tuned per stack"
COLUMNS = {
    "stack": "",
    "foreground_iou": ".3f",
    "ap50": ".3f",
    "ap75": ".3f",
    "arand": ".3f",
    "voi_split": ".3f",
    "voi_merge": ".3f",
    "n_true": "d",
    "n_pred": "d",
    "semantic_iou": ".3f",
    "semantic_ceiling": ".3f",
    "seconds": ".1f",
}


def main() -> None:
    """Segment and score every stack, then print one table."""
    arguments = parser(__doc__ or "")
    arguments.add_argument("--recipe", help="settings other than the default")
    arguments.add_argument("--model", default="builtin")
    options = arguments.parse_args()
    root = Path(os.environ.get("SCUTOID_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    stacks = [*sorted((root / "glands").glob("*.h5")), *sorted((root / "plants").glob("*.h5"))]
    if not stacks:
        sys.exit(f"no stacks in {root}: set SCUTOID_DATA to the folder that holds glands/ and plants/")
    if options.quick:
        stacks = stacks[:1]
    rows = [_row(stack, options.model, options.recipe) for stack in stacks]
    means = {key: sum(row[key] for row in rows) / len(rows) for key in ("foreground_iou", "ap50", "ap75", "arand")}
    show(TITLE, [*rows, {"stack": "mean", **means}], COLUMNS)
    write_json(options.json, TITLE, rows)


def _row(stack: Path, model: str, recipe: str | None) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels.h5"
        extra = ["--recipe", recipe] if recipe else []
        started = time.perf_counter()
        _scutoid("segment", str(stack), "--dataset", "raw", "--model", model, *extra, "-o", str(labels))
        seconds = time.perf_counter() - started
        scores = _scores(labels, stack)
    # The laboratory made its semantic target from resized labels: not even the true cells fit it.
    ceiling = _scores(stack, stack, "--pred-dataset", "label")["semantic_iou"]
    return {"stack": stack.stem, **scores, "semantic_ceiling": ceiling, "seconds": seconds}


def _scores(prediction: Path, truth: Path, *more: str) -> dict[str, Any]:
    told = _scutoid("evaluate", str(prediction), str(truth), "--truth-dataset", "label", "--json", *more)
    scores: dict[str, Any] = json.loads(told)
    return scores


def _scutoid(*arguments: str) -> str:
    command = [sys.executable, "-m", "napari_scutoid.cli", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


if __name__ == "__main__":
    main()

"""Train on the shared stacks and score what comes of it: a queue of long runs that resumes.

    SCUTOID_DATA=folder python benchmarks/training.py --work FOLDER [--only finetune ...]

=========  ===========================================================================================================
finetune   leave one gland out, five folds: three train, one validates, from the built-in model; then the fifth, as it
           is and degraded (see benchmarks/degrade.py)
single     the same with one gland to train on
semantic   a head trained on the laboratory's own semantic target, five folds
ladder     the steps of the first system of the kind, each on top of the last, then ours: three glands train, two test
ablation   the synthetic generator with one factor switched off, from random weights, scored on all real stacks
=========  ===========================================================================================================

Each run ends as a row of ``results/training.jsonl``; runs that have their row are not repeated, and one that was
interrupted goes on from its last epoch (``--work`` holds the models). ``--table`` prints the rows that there are.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _common import Row, answer, in_fresh_process, machine, peak_rss, show
from _stacks import Stack, shared_stacks

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "training.jsonl"
KINDS = ("finetune", "single", "semantic", "ladder", "ablation")
FOLD_MINUTES, SINGLE_MINUTES, SEMANTIC_MINUTES, LADDER_MINUTES = 14.0, 10.0, 8.0, 10.0
ABLATION_EPOCHS, ABLATION_STEPS = 4, 100
"""Of each network of the ablation, so that all see as many samples, whatever else the machine does."""
ABLATED = ("", "apical", "anisotropy", "noise", "unequal_sizes", "real_geometry")
"""Factors of the generator that are switched off, one a run; the empty one is the whole generator."""
CHANGES = "flip turn rotate tilt zoom shift shear elastic brightness contrast gamma noise blur slices cutout".split()
NOTHING = dict.fromkeys(CHANGES, 0.0)
MINMAX = {"method": "minmax"}
ZSCORE = {"method": "zscore"}
FIRST = {
    "outputs": ["foreground"],
    "network": "small",
    "normalise": MINMAX,
    "transfer": {"strategy": "scratch"},
    "loss": {"name": "cross_entropy"},
    "augment": NOTHING,
    "sampling": {"batch": 1},
    "optimise": {"optimiser": "adam", "learning_rate": 1e-3, "decay": "none", "average": 0.0, "precision": "fp32"},
}
LADDER: dict[str, Row] = {
    "small U-Net, cross-entropy": {},
    "+ Dice": {"loss": {"name": "dice"}},
    "+ flips": {"augment": NOTHING | {"flip": 0.5}},
    "+ full U-Net": {"network": "full"},
    "+ z-score": {"normalise": ZSCORE},
    "+ mixed precision": {"optimise": FIRST["optimise"] | {"precision": "bf16"}},
}
"""Settings that each step of the first system changes; those of the steps before stay."""
OURS: dict[str, Row] = {
    "ours, from random weights": {"transfer": {"strategy": "scratch"}},
    "ours, weighted targets": {"transfer": {"strategy": "scratch"}, "loss": {"name": "falk"}},
    "ours, from synthetic tissue": {},
    "ours, half the samples synthetic": {"sampling": {"synthetic_share": 0.5}},
}


@dataclass(frozen=True, slots=True)
class Job:
    """One run; `key` is what its row is known by. The ablation has no time budget."""

    kind: str
    name: str
    minutes: float
    train: tuple[int, ...] = ()
    valid: tuple[int, ...] = ()
    test: tuple[int, ...] = ()
    recipe: Row = field(default_factory=dict)
    truth: str = "label"

    @property
    def key(self) -> str:
        """Kind and name."""
        return f"{self.kind}: {self.name}"


def jobs(kinds: Sequence[str], n_glands: int) -> list[Job]:
    """Return all runs, in the order in which they are done."""
    queue: list[Job] = []
    for test in range(n_glands):
        # The validation stack follows from the fold, and the test stack has no say in anything.
        valid, *train = ((test + step) % n_glands for step in range(1, n_glands))
        roles = {"valid": (valid,), "test": (test,)}
        queue.append(Job("finetune", f"fold {test}", FOLD_MINUTES, tuple(train), **roles))
        queue.append(Job("single", f"fold {test}", SINGLE_MINUTES, (train[0],), **roles))
        semantic = {"outputs": ["foreground"], "optimise": {"learning_rate": 5e-3}}
        queue.append(
            Job(
                "semantic",
                f"fold {test}",
                SEMANTIC_MINUTES,
                tuple(train),
                **roles,
                recipe=semantic,
                truth="semantic_target",
            )
        )
    split: dict[str, Any] = {"train": (0, 1, 2), "test": (3, 4)}
    steps = FIRST
    for name, change in LADDER.items():
        steps = steps | change
        queue.append(Job("ladder", name, LADDER_MINUTES, **split, recipe=steps, truth="semantic_target"))
    queue += [Job("ladder", name, LADDER_MINUTES, **split, recipe=recipe) for name, recipe in OURS.items()]
    queue += [Job("ablation", f"without {name}" if name else "whole", 0.0) for name in ABLATED]
    return sorted((job for job in queue if job.kind in kinds), key=lambda job: kinds.index(job.kind))


def main() -> None:
    """Run what has no row yet."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    arguments.add_argument("--work", type=Path, default=Path("build/training"), help="folder for models and runs")
    arguments.add_argument("--results", type=Path, default=RESULTS)
    arguments.add_argument("--minutes", type=float, help="of each run with a time budget, instead of its own")
    arguments.add_argument("--table", action="store_true", help="only print what there is")
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.case:
        answer(_done(**json.loads(options.case)))
        return
    glands = [stack for stack in shared_stacks() if stack.is_gland]
    queue = jobs(options.only, len(glands))
    known = _rows(options.results)
    for number, job in enumerate(queue):
        if options.table or job.key in known:
            continue
        if job.recipe.get("optimise", {}).get("precision") == "bf16" and not _has_bf16():
            print(f"left out, as this processor has no bf16: {job.key}", file=sys.stderr, flush=True)
            continue
        print(f"{number + 1} of {len(queue)}: {job.key}, {time.strftime('%H:%M')}", file=sys.stderr, flush=True)
        minutes = options.minutes or job.minutes
        case = {"kinds": options.only, "key": job.key, "work": str(options.work.resolve()), "minutes": minutes}
        row = in_fresh_process(__file__, case) | {"minutes": minutes, "model": _hash(), "machine": machine()}
        known[job.key] = row
        options.results.parent.mkdir(parents=True, exist_ok=True)
        with options.results.open("a") as file:
            file.write(json.dumps(row) + "\n")
    for kind in options.only:
        rows = [row for key, row in known.items() if key.startswith(f"{kind}:")]
        if rows:
            show(kind, rows, {key: _format(key, rows) for key in dict.fromkeys(name for row in rows for name in row)})
            print()


def _has_bf16() -> bool:
    import torch

    from napari_scutoid.network.device import HOPELESS, known_gain

    return known_gain(torch.device("cpu")) >= HOPELESS


def _done(kinds: list[str], key: str, work: str, minutes: float) -> Row:
    """Do one run in this process."""
    glands = [stack for stack in shared_stacks() if stack.is_gland]
    job = next(job for job in jobs(kinds, len(glands)) if job.key == key)
    folder = Path(work) / "".join(letter if letter.isalnum() else "_" for letter in key)
    if job.kind == "ablation":
        return {"key": key} | _ablation(job, folder)
    return {"key": key} | _trained(job, glands, folder, minutes)


def _trained(job: Job, glands: Sequence[Stack], folder: Path, minutes: float) -> Row:
    from napari_scutoid.progress import drain
    from napari_scutoid.recipe import TrainRecipe
    from napari_scutoid.training.run import RUN, TRAINING, train_model

    recipe = job.recipe | {"optimise": {"epochs": 100_000} | job.recipe.get("optimise", {}) | {"minutes": minutes}}
    found = drain(
        train_model(
            [material_of(glands[index], job.truth) for index in job.train],
            TrainRecipe.model_validate({"split": {"valid_share": 0.0}} | recipe),
            folder,
            valid_on=[material_of(glands[index], job.truth) for index in job.valid],
            resume=(folder / TRAINING / RUN).is_file(),
        ),
        _report(),
    )
    row: Row = {
        "test": ", ".join(glands[index].name for index in job.test),
        "best_epoch": found.trained.best_epoch,
        "steps": found.trained.steps,
        "train_seconds": found.trained.seconds,
        "peak_gb": peak_rss() / 1e9,
    }
    tests = [glands[index] for index in job.test]
    if job.truth == "semantic_target":
        return row | _semantic_scores(tests, folder)
    return row | _cell_scores(tests, folder, degraded=job.kind == "finetune")


def material_of(stack: Stack, truth: str) -> Any:
    from napari_scutoid.io.open import open_labels
    from napari_scutoid.training.stacks import Material

    return Material(stack.name, stack.read()[0], open_labels(stack.file, truth))


def _cell_scores(stacks: Sequence[Stack], model: Path, *, degraded: bool) -> Row:
    """Score whole cells, through the pipeline; also of degraded stacks."""
    import numpy as np
    from degrade import DEGRADATIONS, degrade
    from robustness import scores

    from napari_scutoid.io.open import open_labels
    from napari_scutoid.metrics import semantic_iou
    from napari_scutoid.pipeline import run
    from napari_scutoid.progress import drain
    from napari_scutoid.recipe import Recipe

    rows = []
    for stack in stacks:
        volume, truth = stack.read()
        labels = drain(run(volume, Recipe(), model)).labels.data
        target = np.asarray(open_labels(stack.file, "semantic_target").data[:])
        row = scores(volume, truth, str(model), Recipe()) | {"semantic_iou": semantic_iou(labels, target)}
        for name in DEGRADATIONS if degraded else ():
            worse = degrade(name, volume, truth, 0)
            row[f"ap50_{name}"] = scores(worse.volume, worse.labels, str(model), Recipe())["ap50"]
        rows.append(row)
    names = [
        "foreground_iou",
        "ap50",
        "ap75",
        "arand",
        "semantic_iou",
        *(key for key in rows[0] if key.startswith("ap50_")),
    ]
    mean = {name: float(np.mean([row[name] for row in rows])) for name in names}
    n_true = sum(row["n_true"] for row in rows)
    wrong = sum(abs(row["n_true"] - row["n_pred"]) for row in rows)
    return mean | {"n_true": n_true, "wrong_cells": wrong}


def _semantic_scores(stacks: Sequence[Stack], model: Path) -> Row:
    """Score the insides of cells, and count their connected components, as the laboratory did."""
    import cc3d
    import numpy as np

    from napari_scutoid.network.checkpoint import load_model
    from napari_scutoid.network.validate import Validator
    from napari_scutoid.pipeline import settings_for
    from napari_scutoid.progress import drain
    from napari_scutoid.recipe import Recipe, TrainRecipe
    from napari_scutoid.training.stacks import training_stack

    module, config = load_model(model)
    recipe = settings_for(Recipe(), config)
    both = np.zeros((2, 2))
    n_true = wrong = 0
    for stack in stacks:
        material = material_of(stack, "semantic_target")
        ready = drain(training_stack(material, recipe, config))
        found = drain(Validator([ready], config, TrainRecipe()).probabilities(module, ready))[0] > 0.5
        true = ready.labels > 0
        for row in (0, 1):
            for column in (0, 1):
                both[row, column] += np.count_nonzero((true == row) & (found == column))
        cells = int(np.unique(stack.read()[1]).size - 1)
        n_true += cells
        wrong += abs(cells - int(cc3d.connected_components(found.view(np.uint8), connectivity=26).max()))
    iou = [both[i, i] / (both[i].sum() + both[:, i].sum() - both[i, i]) for i in (0, 1)]
    return {"iou_background": iou[0], "iou_cells": iou[1], "n_true": n_true, "wrong_cells": wrong}


def _ablation(job: Job, folder: Path) -> Row:
    """Train from random weights on what the generator makes, and score on all real stacks."""
    from robustness import scores

    from napari_scutoid.recipe import Recipe

    without = job.name.removeprefix("without ") if job.name != "whole" else ""
    command = [sys.executable, str(HERE.parent / "scripts" / "train_builtin.py")]
    command += ["--epochs", str(ABLATION_EPOCHS), "--steps-per-epoch", str(ABLATION_STEPS), "--untuned"]
    command += ["--cache", str(folder / "run"), "-o", str(folder / "model"), "--validation", "4"]
    root = shared_stacks()[0].file.parents[1] / "geometry"
    command += ["--real", *(str(file) for file in sorted(root.glob("*.h5")))]
    subprocess.run([*command, *(["--without", without] if without else [])], check=True, stdout=sys.stderr)
    row: Row = {}
    for stack in shared_stacks():
        row[stack.name] = scores(*stack.read(), str(folder / "model"), Recipe())["ap50"]
    return row | {"mean_ap50": sum(row.values()) / len(row), "steps": ABLATION_EPOCHS * ABLATION_STEPS}


def _report() -> Any:
    last = ""

    def report(progress: Any) -> None:
        nonlocal last
        if progress.step != last:
            last = progress.step
            print(f"  {time.strftime('%H:%M:%S')} {last}", file=sys.stderr, flush=True)

    return report


def _rows(file: Path) -> dict[str, Row]:
    lines = file.read_text().splitlines() if file.is_file() else []
    return {row["key"]: row for row in map(json.loads, lines)}


def _hash() -> str:
    from napari_scutoid.network.checkpoint import find_model, read_config

    return read_config(find_model("builtin")).weights_sha256[:8]


def _format(key: str, rows: Sequence[Row]) -> str:
    kind = type(next(row[key] for row in rows if key in row))
    return {float: ".3f", int: "d"}.get(kind, "")


if __name__ == "__main__":
    main()

"""What a model loses on real stacks that are made worse by a seeded program (see benchmarks/degrade.py).

    SCUTOID_DATA=folder python benchmarks/robustness.py [--model M] [--recipe R.yaml] [--json FILE]

Every stack is segmented as it is and after each degradation, in one process; ``scutoid segment`` gives the same labels.
``{stack}`` in the name of the model stands for the stack, as where each fold of leave-one-out has its own.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from _common import Row, parser, show, write_json
from _stacks import Stack, model_for, shared_stacks
from degrade import DEGRADATIONS, degrade, flat_tissue, signal_to_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.recipe import Recipe
    from napari_scutoid.volume import Volume

TITLE = "Real stacks made worse"
CLEAN = "as it is"
MOST_LOST = 0.12
"""Mean AP50 that a degradation may cost."""
COLUMNS = {
    "stack": "",
    "degradation": "",
    "snr": ".1f",
    "diameter": ".1f",
    "anisotropy": ".2f",
    "foreground_iou": ".3f",
    "ap50": ".3f",
    "ap75": ".3f",
    "n_true": "d",
    "n_pred": "d",
    "n_split": "d",
    "n_merged": "d",
    "n_missed": "d",
    "n_invented": "d",
}
SUMMARY = {
    "degradation": "",
    "stacks": "d",
    "ap50": ".3f",
    "cost": ".3f",
    "most_allowed": ".2f",
    "met": "",
    "lowest_ap50": ".3f",
    "foreground_iou": ".3f",
    "n_split": "d",
    "n_merged": "d",
    "n_missed": "d",
    "n_invented": "d",
}


def measured(stack: Stack, degradation: str, seed: int, model: str, recipe: Recipe) -> Row:
    """Return the scores of one stack after one degradation."""
    volume, truth = stack.read()
    row: Row = {"stack": stack.name, "degradation": degradation}
    flat = flat_tissue(volume.data)
    if degradation != CLEAN:
        volume, truth = degrade(degradation, volume, truth, seed)
    if degradation in (CLEAN, "noise"):  # else there is another grid, or no noise left to compare
        row["snr"] = signal_to_noise(volume.data, flat).ratio
    return row | scores(volume, truth, model, recipe)


def scores(volume: Volume, truth: NDArray[Any], model: str, recipe: Recipe) -> Row:
    """Return the scores of a model on a stack, with what tells why they are so."""
    from napari_scutoid.metrics import evaluate
    from napari_scutoid.pipeline import run
    from napari_scutoid.progress import drain

    result = drain(run(volume, recipe, model))
    size = result.provenance["cell_size"] or {}
    return {
        "diameter": size.get("diameter"),
        "anisotropy": size.get("anisotropy"),
        "working_shape": result.provenance["working_shape"],
        **evaluate(result.labels.data, truth, spacing=volume.voxel_size_um),
    }


def summary(rows: Sequence[Row]) -> list[Row]:
    """Return, for each degradation, the means over the stacks and what it costs."""
    lines: list[Row] = []
    for degradation in dict.fromkeys(row["degradation"] for row in rows):
        of_it = [row for row in rows if row["degradation"] == degradation]
        line: Row = {"degradation": degradation, "stacks": len(of_it), "lowest_ap50": min(row["ap50"] for row in of_it)}
        line |= {key: sum(row[key] for row in of_it) / len(of_it) for key in ("ap50", "foreground_iou")}
        line |= {key: sum(row[key] for row in of_it) for key in ("n_split", "n_merged", "n_missed", "n_invented")}
        if degradation != CLEAN:
            cost = lines[0]["ap50"] - line["ap50"]
            line |= {"cost": cost, "most_allowed": MOST_LOST, "met": "yes" if cost <= MOST_LOST else "NO"}
        lines.append(line)
    return lines


def main() -> None:
    """Segment and score every stack in every state, then print both tables."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--model", default="builtin", help="a name or a folder; {stack} stands for the stack")
    arguments.add_argument("--recipe", help="settings other than the default")
    arguments.add_argument("--stacks", nargs="+", metavar="NAME", help="only stacks whose name contains one of these")
    arguments.add_argument("--only", nargs="+", choices=DEGRADATIONS, default=DEGRADATIONS)
    options = arguments.parse_args()
    from napari_scutoid.recipe import Recipe, read_recipe

    recipe = read_recipe(options.recipe) if options.recipe else Recipe()
    stacks = shared_stacks(options.stacks)[: 1 if options.quick else None]
    seeds = {stack: seed for seed, stack in enumerate(shared_stacks())}  # the same whichever stacks are chosen
    rows: list[Row] = []
    for degradation in (CLEAN, *options.only):
        for stack in stacks:
            rows.append(measured(stack, degradation, seeds[stack], model_for(stack, options.model), recipe))
            print(f"{stack.name}, {degradation}: AP50 {rows[-1]['ap50']:.3f}", file=sys.stderr)
            write_json(options.json, TITLE, rows)  # after each: what an interrupted run has measured is not lost
    show(f"{TITLE}: {options.model}", rows, COLUMNS)
    print()
    lines = summary(rows)
    show("Mean over the stacks", lines, SUMMARY)
    write_json(options.json, TITLE, [*rows, *({"stack": "mean", **line} for line in lines)])


if __name__ == "__main__":
    main()

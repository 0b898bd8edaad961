"""At which scale a model sees cells best: synthetic stacks of several cell sizes, each put on several grids.

    python benchmarks/scale.py [--model M] [--json FILE]

The range in which stacks are left as they are, and the size that others are resampled to (`cell_diameter_range` in a
model's config.json), follow from this table and not from any real stack.
"""

from __future__ import annotations

import sys

from _common import Row, parser, show, write_json

TITLE = "Mean AP50 by cell diameter, as it is and resampled to a diameter"
DIAMETERS = (10.0, 13.0, 16.0, 20.0, 24.0, 28.0)
GRIDS = (0.0, 14.0, 16.0, 18.0, 20.0)
"""Diameters that stacks are resampled to; 0 leaves them."""
KINDS = ("gland", "packed", "packed", "sheet")
Z_STEPS = (1.0, 1.6, 0.6, 2.0)


def main() -> None:
    """Make the stacks, segment each on every grid, print the means."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--model", default="builtin")
    arguments.add_argument("--diameters", type=float, nargs="+", default=DIAMETERS)
    arguments.add_argument("--grids", type=float, nargs="+", default=GRIDS)
    options = arguments.parse_args()
    rows = []
    for diameter in options.diameters[:1] if options.quick else options.diameters:
        row: Row = {"diameter": diameter}
        for grid in options.grids:
            scores = [_ap50(options.model, diameter, grid, number) for number in range(len(KINDS))]
            row[f"to_{grid:g}" if grid else "as_it_is"] = sum(scores) / len(scores)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
        write_json(options.json, TITLE, rows)
    show(f"{TITLE}: {options.model}", rows, dict.fromkeys(rows[0], ".3f"))


def _ap50(model: str, diameter: float, grid: float, number: int) -> float:
    from napari_scutoid.metrics import evaluate
    from napari_scutoid.pipeline import run
    from napari_scutoid.progress import drain
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.synth.tissue import synthesise

    z_step = Z_STEPS[number]
    wide = int(8 * round(4.2 * diameter / 8)) + 32
    shape = (max(24, round(2.8 * diameter / z_step ** (2 / 3))), wide, wide)
    tissue = synthesise(KINDS[number], shape, 77_000 + number, cell_diameter=diameter, z_step=z_step)
    factor = grid / diameter if grid else 1.0
    recipe = Recipe.model_validate({"rescale": {"mode": "factors", "factors": [factor] * 3}})
    result = drain(run(tissue.image, recipe, model))
    return float(evaluate(result.labels.data, tissue.labels.data)["ap50"])


if __name__ == "__main__":
    main()

"""What working at a smaller scale costs, and what moving boundaries to the membranes brings back.

    [SCUTOID_DATA=folder] python benchmarks/resnap.py [--shared NAME...] [--quick] [--json FILE]

Synthetic stacks are segmented on coarser grids; the labels are brought back to the stack's own grid by nearest voxels,
by voting, and by the re-snap of `steps/resnap.py`, and compared with the true cells. Beside the built-in model's labels
stand the true cells as each grid shows them, which only the grid has spoilt. `--shared` adds stacks of the shared
folder whose name contains one of these. The seeds are none of those that the re-snap's constants were chosen with.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import Row, answer, in_fresh_process, measure, parser, show, write_json
from _stacks import shared_stacks

from napari_scutoid.metrics import evaluate
from napari_scutoid.progress import drain
from napari_scutoid.steps.rescale import labels_to_shape, rescaled_shape
from napari_scutoid.steps.resnap import resnapping
from napari_scutoid.volume import Labels, Volume, VoxelSize

if TYPE_CHECKING:
    from numpy.typing import NDArray

TITLE = "Working at a smaller scale and returning to the stack's grid"
SCALES = {"1": (1.0, 1.0, 1.0), "1/2": (0.5, 0.5, 0.5), "1/4": (0.25, 0.25, 0.25), "1/4 1/8 1/8": (0.25, 0.125, 0.125)}
SYNTHETIC = (("gland", 101), ("packed", 102), ("sheet", 103))
WAYS = ("nearest", "voting", "resnap")
COLUMNS = {
    "stack": "",
    "scale": "",
    "labels": "",
    "n_true": "d",
    **{f"ap75_{way}": ".3f" for way in WAYS},
    **{f"f1_{way}": ".3f" for way in WAYS},
    **{f"f1_exact_{way}": ".3f" for way in WAYS},
    "segment_s": ".1f",
    "resnap_s": ".2f",
    "resnap_mb": ".0f",
}


def run_case(case: Row) -> Row:
    """Return the row of a stack at a scale, from the arrays in the case's folder."""
    saved = np.load(Path(case["folder"]) / f"{case['stack']}.npz")
    size = VoxelSize(*saved["size"]) if saved["size"].size else None
    image, truth = Volume(saved["image"], size), saved["truth"]
    row = {key: case[key] for key in ("stack", "scale", "labels")}
    started = time.perf_counter()
    if case["labels"] == "true":
        shape = rescaled_shape(truth.shape, SCALES[case["scale"]])
        coarse = labels_to_shape(Labels(truth, size), shape, method="voting")
    else:
        coarse = segmented(image, SCALES[case["scale"]])
        row["segment_s"] = time.perf_counter() - started
    tiny = Labels(np.ones((2, 2, 2), np.uint32))
    drain(resnapping(tiny, Volume(np.zeros((4, 4, 4), np.float32))))  # compiling counts neither as time nor as memory
    made = {way: labels_to_shape(coarse, image.shape, method=way).data for way in ("nearest", "voting")}
    if coarse.shape == image.shape:
        made["resnap"] = coarse.data
    else:
        cost = measure(lambda: made.update(resnap=drain(resnapping(coarse, image)).data), case["repeats"])
        row |= {"resnap_s": cost["seconds"], "resnap_mb": cost["rise"] / 1e6}
    for way, labels in made.items():
        scores = evaluate(labels, truth, spacing=image.spacing)
        exact = evaluate(labels, truth, spacing=image.spacing, boundary_tolerance=0.5)
        row |= {"n_true": scores["n_true"], f"ap75_{way}": scores["ap75"], f"f1_{way}": scores["boundary_f1"]}
        row[f"f1_exact_{way}"] = exact["boundary_f1"]
    return row


def segmented(image: Volume, factors: tuple[float, float, float]) -> Labels:
    """Return the built-in model's labels on the grid of these factors."""
    from napari_scutoid.pipeline import BOUNDARY, maps_of, predicted
    from napari_scutoid.recipe import Recipe, Rescale
    from napari_scutoid.steps.cells import cells_from_probabilities

    kept = drain(predicted(image, Recipe(rescale=Rescale(mode="factors", factors=factors))))
    foreground, boundary, seeds = maps_of(kept)
    found = drain(cells_from_probabilities(foreground, boundary, kept.recipe, kept.spacing, seeds=seeds))
    grid = kept.probabilities[BOUNDARY]
    return Labels(found.labels, grid.voxel_size_um, grid.origin_um)


def write_stacks(folder: Path, shared: list[str] | None, *, quick: bool) -> list[str]:
    """Save what the fresh processes load; return the names."""
    from napari_scutoid.synth.tissue import synthesise

    names = []
    shape, diameter = ((48, 128, 128), 32.0) if quick else ((96, 256, 256), 44.0)
    for kind, seed in SYNTHETIC[: 2 if quick else None]:
        tissue = synthesise(kind, shape, seed, cell_diameter=diameter)
        names.append(kind)
        _save(folder / f"{kind}.npz", tissue.image, tissue.labels.data)
    for stack in shared_stacks(shared) if shared else []:
        volume, truth = stack.read()
        names.append(stack.name)
        _save(folder / f"{stack.name}.npz", volume, truth)
    return names


def _save(file: Path, image: Volume, truth: NDArray[Any]) -> None:
    size = image.voxel_size_um
    np.savez(file, image=image.data, truth=truth.astype(np.uint32), size=[] if size is None else size)


def main() -> None:
    """Measure every stack at every scale in a process of its own, and print the table."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--shared", nargs="+", metavar="NAME", help="also these of the shared stacks")
    options = arguments.parse_args()
    if options.case:
        answer(run_case(json.loads(options.case)))
        return
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        for stack in write_stacks(Path(name), options.shared, quick=options.quick):
            for scale in SCALES:
                for labels in ("true", "predicted"):
                    if scale == "1" and labels == "true":
                        continue
                    case = {"folder": name, "stack": stack, "scale": scale, "labels": labels}
                    rows.append(in_fresh_process(__file__, case | {"repeats": 1 if options.quick else 5}))
                    write_json(options.json, TITLE, rows)
    show(TITLE, rows, COLUMNS)


if __name__ == "__main__":
    main()

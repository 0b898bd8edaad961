"""Where a head that learns the laboratory's semantic target goes wrong, and what could be gained without training.

    SCUTOID_DATA=folder python benchmarks/semantic_errors.py --work FOLDER [--json FILE]

`--work` is the folder of ``training.py``, after ``--only semantic``. For each gland, by the network that never saw it:
the IoU of cells as it is, with the mean over all mirror images, and with the threshold that is best for this very stack
(no method: it needs the truth); the share of wrong voxels that touch the true surface, on either side; and the IoU of
the true cells without their outermost voxels, which is about the most that perfect labels on this grid reach.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import Row, parser, show, write_json
from _stacks import shared_stacks

from training import jobs, material_of

if TYPE_CHECKING:
    from _stacks import Stack
    from numpy.typing import NDArray

TITLE = "The laboratory's semantic target"
THRESHOLDS = tuple(np.linspace(0.3, 0.7, 9).tolist())
COLUMNS = {
    "stack": "s",
    "iou": ".3f",
    "mirrored": ".3f",
    "best_threshold": ".2f",
    "at_best": ".3f",
    "wrong_at_surface": ".0%",
    "perfect_labels": ".3f",
}


def measured(stack: Stack, model: Path) -> Row:
    """Return a stack's row."""
    from skimage.segmentation import find_boundaries

    from napari_scutoid.network.checkpoint import load_model
    from napari_scutoid.network.validate import Validator
    from napari_scutoid.pipeline import settings_for
    from napari_scutoid.progress import drain
    from napari_scutoid.recipe import Predict, Recipe, TrainRecipe
    from napari_scutoid.training.stacks import training_stack

    module, config = load_model(model)
    ready = drain(training_stack(material_of(stack, "semantic_target"), settings_for(Recipe(), config), config))
    true = ready.labels > 0

    def probability(settings: Predict) -> NDArray[Any]:
        return drain(Validator([ready], config, TrainRecipe(), settings=settings).probabilities(module, ready))[0]

    plain = probability(Predict())
    by_threshold = {threshold: iou(plain > threshold, true) for threshold in THRESHOLDS}
    best = max(by_threshold, key=lambda threshold: by_threshold[threshold])
    surface = find_boundaries(true, connectivity=3, mode="thick")
    cells = stack.read()[1]
    inside = (cells > 0) & ~find_boundaries(cells, connectivity=3, mode="thick")
    wrong = (plain > 0.5) != true
    return {
        "stack": stack.name,
        "iou": iou(plain > 0.5, true),
        "mirrored": iou(probability(Predict(flips=True)) > 0.5, true),
        "best_threshold": best,
        "at_best": by_threshold[best],
        "wrong_at_surface": np.count_nonzero(wrong & surface) / max(1, np.count_nonzero(wrong)),
        "perfect_labels": iou(inside, material_of(stack, "semantic_target").labels.data[:] > 0),
    }


def iou(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two masks."""
    return np.count_nonzero(found & true) / max(1, np.count_nonzero(found | true))


def main() -> None:
    """Measure, print, write."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--work", type=Path, required=True, help="folder with the models of training.py")
    options = arguments.parse_args()
    glands = [stack for stack in shared_stacks() if stack.is_gland]
    rows = []
    for job in jobs(["semantic"], len(glands)):
        folder = options.work / "".join(letter if letter.isalnum() else "_" for letter in job.key)
        rows.append(measured(glands[job.test[0]], folder))
        if options.quick:
            break
    rows.append(
        {"stack": "mean"} | {key: float(np.mean([row[key] for row in rows])) for key in COLUMNS if key != "stack"}
    )
    show(TITLE, rows, COLUMNS)
    write_json(options.json, TITLE, rows)


if __name__ == "__main__":
    main()

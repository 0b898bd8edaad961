"""``scutoid demo``: the whole chain on the sample stack, with scores and a picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from napari_scutoid.pipeline import Result
    from napari_scutoid.progress import Steps
    from napari_scutoid.volume import Labels, Volume

SAMPLE = "gland.mat"
IMAGE, TRUTH = "imageSequenceInterpolated", "labelledImage3D"


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo made.

    Parameters
    ----------
    files : dict of str to Path
        ``labels``, ``picture`` and ``scores``.
    scores : dict
        As `metrics.evaluate` returns them.
    tiles, tiles_skipped : int
        Tiles of the stack, and those that held no tissue.
    """

    files: dict[str, Path]
    scores: dict[str, Any]
    tiles: int
    tiles_skipped: int


def run_demo(folder: str | Path) -> Steps[Demo]:
    """Segment the sample gland, score it against its true labels, draw it.

    Parameters
    ----------
    folder : path
        Where to write ``gland_labels.h5``, ``gland_scores.json`` and ``gland.png``; made if it is not there.
    """
    from napari_scutoid.io.atomic import check_writable, replacing
    from napari_scutoid.io.open import open_labels, open_volume, save_result
    from napari_scutoid.metrics import evaluate
    from napari_scutoid.pipeline import run
    from napari_scutoid.resources import sample_data_dir

    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScutoidError(
            f"The folder {target} could not be made", error.strerror or str(error), "choose another with -o"
        ) from error
    files = {
        name: target / f"gland{end}"
        for name, end in (("labels", "_labels.h5"), ("scores", "_scores.json"), ("picture", ".png"))
    }
    for file in files.values():
        check_writable(file)
    sample = sample_data_dir() / SAMPLE
    yield Progress("Opening the sample")
    volume = open_volume(sample, IMAGE)
    truth = open_labels(sample, TRUTH)
    result = yield from run(volume)
    yield Progress("Comparing with the true cells")
    scores = evaluate(result.labels.data, truth.data, spacing=truth.voxel_size_um)
    save_result(files["labels"], result.labels, result.probabilities, result.provenance)
    with replacing(files["scores"]) as part:
        part.write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    yield Progress("Drawing the picture")
    with replacing(files["picture"]) as part:
        draw(volume, result, truth).save(part, format="PNG")
    facts = result.provenance["prediction"]
    return Demo(files, scores, facts["tiles"], facts["tiles_skipped"])


def draw(volume: Volume, result: Result, truth: Labels) -> Any:
    """Draw raw, boundary probability, labels and errors, each as an XY slice and an XZ section.

    Returns
    -------
    PIL.Image.Image
    """
    from napari_scutoid.metrics import matches
    from napari_scutoid.picture import coloured, errors, grey, sheet
    from napari_scutoid.steps.rescale import rescale_to_shape

    boundary = np.asarray(rescale_to_shape(result.probabilities["boundary"], volume.shape).data)
    found = matches(result.labels.data, truth.data)
    z_step = 1.0 if volume.voxel_size_um is None else volume.voxel_size_um.z / volume.voxel_size_um.x
    y = int(np.argmax((truth.data > 0).sum(axis=(0, 2))))
    return sheet(
        [
            ("raw", grey(np.asarray(volume.data[:]))),
            ("boundary probability", grey(boundary, 0, 100)),
            (f"{len(np.unique(result.labels.data)) - 1} cells found", coloured(result.labels.data)),
            ("green right, red missed, blue invented", errors(result.labels.data, truth.data, found)),
        ],
        z=volume.shape[0] // 2,
        y=y,
        z_step=z_step,
    )

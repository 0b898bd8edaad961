"""From the distance transform to final labels, beside the same chain written with SciPy and scikit-image.

    python benchmarks/postprocessing_speed.py [--quick] [--json FILE]

On the noisy, blurred boundaries of Voronoi cells that ``watershed.py`` makes. Both sides threshold the maps, measure
the distance to walls, smooth it, find its maxima, grow them over the same height map inside the tissue, give small
cells away, fill holes and renumber; both keep the maxima that stand out by the same share. Ours is measured with these
steps alone, and with all: then it closes holes in the tissue and divides by shape besides; each also in blocks, as
large grids are. Each chain runs in a process of its own; memory is what it needs on top of the two maps, per voxel.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _common import Row, answer, in_fresh_process, measure, parser, show, write_json
from watershed import probabilities, voronoi

from napari_scutoid.metrics import adapted_rand_error, count_overlaps
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Partition, Recipe, Watershed
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.steps.cells_blocks import cells_in_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

PEER, SAME, DEFAULT = "SciPy and scikit-image", "ours, the same steps", "ours, all defaults"
SAME_BLOCKS, BLOCKS = "ours, the same steps, in blocks", "ours, all defaults, in blocks"
STEPS = Recipe(watershed=Watershed(closing=1.0), partition=Partition(method="none"))
RECIPES = {SAME: STEPS, SAME_BLOCKS: STEPS, DEFAULT: Recipe(), BLOCKS: Recipe()}
COLUMNS = {
    "chain": "s",
    "seconds": ".2f",
    "times_faster": ".1f",
    "bytes_per_voxel": ".1f",
    "peak_rss_mb": ".0f",
    "cells": "d",
    "arand_to_truth": ".4f",
    "arand_to_peer": ".1e",
    "arand_to_whole": ".1e",
}


def peer(foreground: NDArray[np.float32], boundary: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Return the cells of the same steps and settings, as one writes them with SciPy and scikit-image."""
    from scipy import ndimage
    from skimage.measure import label
    from skimage.morphology import local_maxima, reconstruction, remove_small_objects
    from skimage.segmentation import relabel_sequential, watershed

    settings, cleanup = Watershed(), Recipe().cleanup
    mask = foreground >= settings.foreground_threshold
    interior = mask & (boundary <= settings.boundary_threshold)
    diameter = min(8 * ndimage.distance_transform_edt(interior)[interior].mean(), np.cbrt(interior.size))
    volume = np.pi / 6 * diameter**3
    walls = remove_small_objects(~interior, max_size=max(0, round(settings.smallest_wall * volume) - 1), connectivity=3)
    distance = ndimage.distance_transform_edt(~walls).astype(np.float32)
    smooth = ndimage.gaussian_filter(distance, settings.seed_sigma * diameter, mode="nearest")
    # Maxima that sink by a share: those of the logarithm by a height.
    logarithm = np.log(np.maximum(smooth, 1e-3))
    prominent = reconstruction(logarithm + np.log(1 - settings.seed_prominence), logarithm)
    peaks = local_maxima(prominent, connectivity=1) & (distance >= settings.seed_distance * diameter)
    height = 0.9 * boundary + 0.1 * (1 - distance / distance.max())
    cells = watershed(height, label(peaks, connectivity=3), mask=mask)
    small = np.bincount(cells.ravel()) < round(cleanup.min_size * volume)
    small[0] = False
    if small.any():
        cells = watershed(height, np.where(small[cells], 0, cells), mask=cells > 0)
    for number, box in enumerate(ndimage.find_objects(cells), start=1):
        if box is not None:
            inside = ndimage.binary_fill_holes(cells[box] == number)
            cells[box][inside & (cells[box] == 0)] = number
    return relabel_sequential(cells)[0].astype(np.uint32)


def run_case(case: Row) -> Row:
    """Measure one chain, in this process, on the arrays in the case's folder."""
    folder, chain = Path(case["folder"]), case["chain"]
    foreground, boundary = np.load(folder / "foreground.npy"), np.load(folder / "boundary.npy")

    def cells(foreground: NDArray[np.float32], boundary: NDArray[np.float32]) -> NDArray[np.uint32]:
        if chain == PEER:
            return peer(foreground, boundary)
        work = cells_in_blocks if chain in (SAME_BLOCKS, BLOCKS) else cells_from_probabilities
        return drain(work(foreground, boundary, RECIPES[chain])).labels

    cells(
        foreground[:16, :48, :48].copy(), boundary[:16, :48, :48].copy()
    )  # imports count neither as time nor as memory
    result = measure(lambda: cells(foreground, boundary), case["repeats"])
    np.save(folder / f"{chain}.npy", cells(foreground, boundary))
    return {
        "chain": chain,
        "seconds": result["seconds"],
        "bytes_per_voxel": result["rise"] / foreground.size,
        "peak_rss_mb": result["peak_rss"] / 1e6,
    }


def main() -> None:
    """Print the table."""
    arguments = parser((__doc__ or "").splitlines()[0]).parse_args()
    if arguments.case:
        answer(run_case(json.loads(arguments.case)))
        return
    shape, repeats = ((32, 128, 128), 3) if arguments.quick else ((128, 512, 512), 5)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = voronoi(shape)
        for one, array in zip(("foreground", "boundary"), probabilities(truth), strict=True):
            np.save(folder / f"{one}.npy", array)
        for chain in (PEER, *RECIPES):
            row = in_fresh_process(__file__, {"folder": name, "chain": chain, "repeats": repeats})
            found, reference = np.load(folder / f"{chain}.npy"), np.load(folder / f"{PEER}.npy")
            row["cells"] = int(found.max())
            row["arand_to_truth"] = adapted_rand_error(count_overlaps(found, truth))
            if chain in (SAME_BLOCKS, BLOCKS):
                whole = np.load(folder / f"{SAME if chain == SAME_BLOCKS else DEFAULT}.npy")
                row["arand_to_whole"] = adapted_rand_error(count_overlaps(found, whole))
            row["arand_to_peer"] = adapted_rand_error(count_overlaps(found, reference))
            rows.append(row)
            row["times_faster"] = rows[0]["seconds"] / row["seconds"]
    n_true = int(np.count_nonzero(np.unique(truth)))
    title = f"{' x '.join(map(str, shape))} voxels, {n_true} true cells, medians of {repeats}"
    show(title, rows, COLUMNS)
    write_json(arguments.json, title, rows)


if __name__ == "__main__":
    main()

"""Seeded watershed and the whole way from probabilities to cells: bioimage-cpp beside scikit-image.

On noisy, blurred boundaries of Voronoi cells made here. Times are medians; memory is what a fresh process needs on top
of its inputs, per voxel; the adapted Rand errors are to the true cells and to the reference implementation.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import Row, answer, in_fresh_process, measure, parser, show, write_json

from napari_scutoid.metrics import adapted_rand_error, count_overlaps, matches
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe, Watershed
from napari_scutoid.steps.boundaries import find_boundaries
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.steps.flood import flood
from napari_scutoid.steps.seeds import place_seeds
from napari_scutoid.steps.walls import height_map, typical_diameter, wall_distance

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKENDS = ("scikit-image", "bioimage-cpp")
STEPS = ("seeded watershed", "probabilities to cells")
VOXELS_PER_CELL = 21_000
COLUMNS = {
    "step": "s",
    "backend": "s",
    "seconds": ".2f",
    "times_faster": ".1f",
    "bytes_per_voxel": ".0f",
    "peak_rss_mb": ".0f",
    "cells": "d",
    "ap50": ".3f",
    "arand_to_truth": ".4f",
    "arand_to_scikit_image": ".1e",
}


def voronoi(shape: tuple[int, ...]) -> NDArray[np.uint32]:
    """Return Voronoi cells of random points, with an empty margin in y and x."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(0)
    points = rng.uniform(0, shape, (int(np.prod(shape)) // VOXELS_PER_CELL, 3))
    nearest, plane = cKDTree(points), np.indices(shape[1:]).reshape(2, -1).T
    labels = np.empty(shape, np.uint32)
    for z in range(shape[0]):  # the places of all voxels at once would fill the memory
        places = np.concatenate([np.full((len(plane), 1), z), plane], axis=1)
        labels[z] = nearest.query(places, workers=-1)[1].reshape(shape[1:]) + 1
    labels[:, :4] = labels[:, -4:] = labels[:, :, :4] = labels[:, :, -4:] = 0
    return labels


def probabilities(labels: NDArray[np.uint32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return foreground and boundary, blurred and with correlated noise."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng(1)
    noise = gaussian_filter(rng.standard_normal(labels.shape).astype(np.float32), 0.7)
    boundary = gaussian_filter(find_boundaries(labels, mode="thick", connectivity=1).astype(np.float32), 0.7)
    foreground = gaussian_filter((labels > 0).astype(np.float32), 0.7)
    return np.clip(foreground, 0, 1), np.clip(boundary + 0.3 * noise, 0, 1)


def run_case(case: Row) -> Row:
    """Measure one step with one backend, in this process, on the arrays in the case's folder."""
    folder = Path(case["folder"])
    backend: Any = case["backend"]
    recipe = Recipe(watershed=Watershed(backend=backend))
    foreground, boundary = np.load(folder / "foreground.npy"), np.load(folder / "boundary.npy")
    if case["step"] == "seeded watershed":
        height, seeds, mask = (np.load(folder / f"{name}.npy") for name in ("height", "seeds", "mask"))

        def job() -> NDArray[np.uint32]:
            return flood(height, seeds, mask, backend)
    else:

        def job() -> NDArray[np.uint32]:
            return drain(cells_from_probabilities(foreground, boundary, recipe)).labels

    tiny = np.zeros((4, 4, 4), np.float32)
    drain(cells_from_probabilities(tiny + 1, tiny, recipe))  # imports count neither as time nor as memory
    result = measure(job, case["repeats"])
    np.save(folder / f"{case['step']} {backend}.npy", job())
    return {
        "step": case["step"],
        "backend": backend,
        "seconds": result["seconds"],
        "bytes_per_voxel": result["rise"] / foreground.size,
        "peak_rss_mb": result["peak_rss"] / 1e6,
    }


def write_inputs(folder: Path, shape: tuple[int, ...]) -> None:
    """Save what the fresh processes load."""
    labels = voronoi(shape)
    foreground, boundary = probabilities(labels)
    settings = Watershed()
    mask = foreground >= settings.foreground_threshold
    distance = wall_distance(mask & (boundary <= settings.boundary_threshold), (1.0, 1.0, 1.0))
    diameter = typical_diameter(distance)
    seeds = place_seeds(
        distance,
        sigma=settings.seed_sigma * diameter,
        smallest_distance=settings.seed_distance * diameter,
        prominence=settings.seed_prominence,
    )
    arrays = {"truth": labels, "foreground": foreground, "boundary": boundary, "mask": mask, "seeds": seeds}
    for name, array in {**arrays, "height": height_map(boundary, distance)}.items():
        np.save(folder / f"{name}.npy", array)


def main() -> None:
    arguments = parser(__doc__.splitlines()[0] if __doc__ else "").parse_args()
    if arguments.case:
        answer(run_case(json.loads(arguments.case)))
        return
    shape = (64, 128, 128) if arguments.quick else (128, 256, 256)
    repeats = 3 if arguments.quick else 5
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, shape)
        truth = np.load(folder / "truth.npy")
        for step in STEPS:
            for backend in BACKENDS:
                case = {"folder": name, "step": step, "backend": backend, "repeats": repeats}
                row = in_fresh_process(__file__, case)
                reference, cells = (np.load(folder / f"{step} {b}.npy") for b in (BACKENDS[0], backend))
                row["cells"] = int(cells.max())
                found, n_true = len(matches(cells, truth)), np.unique(truth[truth > 0]).size
                row["ap50"] = found / (n_true + np.unique(cells[cells > 0]).size - found)
                row["arand_to_truth"] = adapted_rand_error(count_overlaps(cells, truth))
                row["arand_to_scikit_image"] = adapted_rand_error(count_overlaps(cells, reference))
                row["times_faster"] = rows[-1]["seconds"] / row["seconds"] if backend != BACKENDS[0] else 1.0
                rows.append(row)
        n_true = np.unique(truth[truth > 0]).size
    title = f"{' x '.join(map(str, shape))} voxels, {n_true} true cells, medians of {repeats}"
    show(title, rows, COLUMNS)
    write_json(arguments.json, title, rows)


if __name__ == "__main__":
    main()

"""How well the cell size of a raw stack is estimated, against the true cells.

``python benchmarks/cell_size.py [--quick] [--json FILE]`` reads the stacks under ``SCUTOID_DATA`` (default
``../shared/data``): those with a raw image and labels as they are, also with noise added, and the label volumes
without an image as rendered membranes, subsampled to several sizes and anisotropies.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from _common import parser, show, write_json
from scipy import ndimage

from napari_scutoid.steps.cell_size import estimate_cell_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _common import Row
    from numpy.typing import NDArray

Case = tuple[str, "NDArray[Any]", "NDArray[Any]"]

STEPS = ((1, 1, 1), (2, 1, 1), (4, 1, 1), (6, 1, 1), (1, 2, 2), (2, 2, 2), (3, 2, 2), (3, 3, 3), (4, 4, 4))
BOX = (72, 160, 160)
TITLE = "Typical cell diameter in voxels, estimated from the image"
COLUMNS = {
    "stack": "s",
    "cells": "d",
    "true_diameter": ".1f",
    "estimate": ".1f",
    "error_%": "+.0f",
    "uncertainty_%": ".0f",
    "true_z/xy": ".2f",
    "estimated_z/xy": ".2f",
    "seconds": ".1f",
    "cpu_seconds": ".1f",
}


def real(data: Path, noise_factors: tuple[float, ...]) -> Iterator[Case]:
    """Yield the stacks with labels, as recorded and with their noise multiplied."""
    rng = np.random.default_rng(0)
    for path in (*sorted((data / "glands").glob("*.h5")), *sorted((data / "plants").glob("*.h5"))):
        with h5py.File(path) as file:
            image, labels = file["raw"][:], file["label"][:]
        yield path.stem, image, labels
        for factor in noise_factors:
            yield f"{path.stem}, noise x{factor:g}", noisier(image.astype(np.float32), factor, rng), labels


def noisier(image: NDArray[np.float32], factor: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Add photon-like noise so that its standard deviation grows by a factor; the dark half tells its size."""
    step = np.diff(image, axis=2)
    noise = float(np.median(np.abs(step - np.median(step)))) * 1.4826 / np.sqrt(2)
    above = np.maximum(image - np.percentile(image, 1), noise)
    scale = noise * np.sqrt(factor**2 - 1) * np.sqrt(above / np.median(above))
    return (image + rng.normal(size=image.shape) * scale).astype(np.float32)


def rendered(data: Path, steps: tuple[tuple[int, int, int], ...]) -> Iterator[Case]:
    """Yield membrane images made from true cells."""
    rng = np.random.default_rng(0)
    for path in sorted((data / "geometry").glob("*.h5")):
        with h5py.File(path) as file:
            whole = file["label"][:]
        if "meristem" in path.stem:
            whole = np.where(whole == 1, 0, whole)  # 1 is outside
        for step in steps:
            grid = whole[tuple(slice(None, None, s) for s in step)]
            start = [(n - min(n, m)) // 2 for n, m in zip(grid.shape, BOX, strict=True)]
            labels = grid[tuple(slice(s, s + m) for s, m in zip(start, BOX, strict=True))]
            yield f"{path.stem}, every {step}", membranes(labels, step, rng), labels


def membranes(labels: NDArray[Any], step: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Blurred bright walls over dim cytoplasm, with photon and camera noise and light lost in depth."""
    walls = np.zeros(labels.shape)
    for axis in range(3):
        between = np.diff(labels.astype(np.int64), axis=axis) != 0
        walls[tuple(slice(None, -1) if i == axis else slice(None) for i in range(3))] += between
        walls[tuple(slice(1, None) if i == axis else slice(None) for i in range(3))] += between
    photons = 100 * ndimage.gaussian_filter(np.minimum(walls, 1), (max(1.6 / step[0], 0.4), 0.7, 0.7))
    photons += 8 * (labels > 0) + 5
    photons *= np.exp(-0.6 * np.arange(len(labels)) / len(labels))[:, None, None]
    return (rng.poisson(photons / 3) * 3 + rng.normal(0, 9, labels.shape)).astype(np.float32)


def true_size(labels: NDArray[Any]) -> tuple[int, float, float]:
    """Return the number of cells, their median equivalent diameter and their median anisotropy."""
    _, compact = np.unique(labels, return_inverse=True)
    compact = compact.reshape(labels.shape) + (0 if (labels == 0).any() else 1)
    n_voxels, ratios = [], []
    for index, box in enumerate(ndimage.find_objects(compact), start=1):
        if box is None:
            continue
        z, y, x = np.nonzero(compact[box] == index)
        n_voxels.append(z.size)
        ratios.append(np.sqrt((y.var() + x.var() + 1 / 6) / 2 / (z.var() + 1 / 12)))
    return len(n_voxels), float(np.cbrt(6 / np.pi * np.median(n_voxels))), float(np.median(ratios))


def measured(case: Case) -> Row:
    name, image, labels = case
    cells, diameter, anisotropy = true_size(labels)
    start, start_cpu = time.perf_counter(), time.process_time()
    found = estimate_cell_size(image)
    return {
        "stack": name,
        "cells": cells,
        "true_diameter": diameter,
        "estimate": found.diameter,
        "error_%": 100 * (found.diameter / diameter - 1),
        "uncertainty_%": 100 * found.uncertainty,
        "true_z/xy": anisotropy,
        "estimated_z/xy": found.anisotropy,
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - start_cpu,
    }


def main() -> None:
    arguments = parser(TITLE).parse_args()
    data = Path(os.environ.get("SCUTOID_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not data.is_dir():
        sys.exit(f"{data} is not there: set SCUTOID_DATA to the folder with the stacks")
    sources = [real(data, ())] if arguments.quick else [real(data, (3.0,)), rendered(data, STEPS)]
    rows = [measured(case) for source in sources for case in source]
    show(TITLE, rows, COLUMNS)
    errors = np.abs([row["error_%"] for row in rows])
    print(
        f"\n{len(rows)} stacks: median error {np.median(errors):.0f} %, largest {errors.max():.0f} %, "
        f"within 35 %: {(errors <= 35).sum()}"
    )
    write_json(arguments.json, TITLE, rows)


if __name__ == "__main__":
    main()

"""Prediction beside MONAI's sliding window, on the processor, and beside what the processor can compute at all.

    python benchmarks/predict.py [--quick] [--json FILE]

MONAI as it is usually used: single precision, the network as it was trained, windows blended by a Gaussian. Network,
tile and overlap are the same; the time is from normalised intensities in memory to probabilities in memory, with all
that is prepared for it. Labels are made from both and compared. *Share of matrix product* is the network's arithmetic,
margins included, per second over that of a product of two large matrices in the same precision in the same process.
The rows in bf16 are there where the processor has instructions for it. Each row has a process of its own. With
``--quick``, labels are also compared with those of one pass over the whole stack, without any tiles.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import Row, answer, in_fresh_process, measure, parser, show, write_json

from napari_scutoid.box import Box
from napari_scutoid.metrics import adapted_rand_error, count_overlaps
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Predict, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from napari_scutoid.network.config import Architecture, ModelConfig, Triple
    from napari_scutoid.network.tiles import Tile

PEER, ONE_PASS = "MONAI", "one pass"
MATRIX = {"fp32": 4096, "bf16": 8192}
"""Rows of the square matrices: large enough that their product runs at the machine's full rate."""
COLUMNS = {
    "who": "",
    "precision": "",
    "seconds": ".2f",
    "times_faster": ".2f",
    "share_of_matrix_product": ".0%",
    "gflop_per_second": ".0f",
    "peak_rss_MiB": ".0f",
    "cells": "d",
    "arand_to_MONAI": ".5f",
    "arand_to_one_pass": ".5f",
    "largest_difference": ".1e",
}


def main() -> None:
    options = parser((__doc__ or "").splitlines()[0]).parse_args()
    if options.case:
        answer(_measured(**json.loads(options.case)))
        return
    shape, largest, repeats = ((32, 96, 144), 250_000, 1) if options.quick else ((128, 512, 512), 8 * 2**20, 5)
    with tempfile.TemporaryDirectory() as folder:
        tiles, overlap = _made(Path(folder), shape, largest)
        rows: list[Row] = []
        references = [PEER, ONE_PASS] if options.quick else [PEER]
        for who, precision in [*_cases(), *((one, "fp32") for one in references[1:])]:
            case = {"folder": folder, "who": who, "precision": precision, "largest": largest, "repeats": repeats}
            row = in_fresh_process(__file__, case)
            rows.append(row)
            row["times_faster"] = rows[0]["seconds"] / row["seconds"]
        names = [row["who"] + row["precision"] for row in rows]
        maps = {name: np.load(Path(folder) / f"{name}.npy") for name in names}
        labels = {name: _cells(found) for name, found in maps.items()}
        for name, row in zip(names, rows, strict=True):
            row["cells"] = int(labels[name].max())
            row["largest_difference"] = float(np.abs(maps[name] - maps[f"{PEER}fp32"]).max())
            for one in references:
                overlaps = count_overlaps(labels[name], labels[f"{one}fp32"])
                row[f"arand_to_{one.replace(' ', '_')}"] = adapted_rand_error(overlaps)
    tile = " x ".join(map(str, tiles[0].read.shape))
    title = (
        f"{' x '.join(map(str, shape))} voxels in {len(tiles)} tiles of {tile}, overlapping by "
        f"{' x '.join(f'{part:.0%}' for part in overlap)}, medians of {repeats}"
    )
    show(title, rows, COLUMNS)
    write_json(options.json, title, rows)


def _cases() -> list[tuple[str, str]]:
    import torch

    from napari_scutoid.network.openvino_backend import has_bf16

    precisions = ["fp32", "bf16"] if has_bf16(torch.device("cpu")) else ["fp32"]
    return [(PEER, "fp32"), *((backend, precision) for precision in precisions for backend in ("torch", "openvino"))]


def _made(folder: Path, shape: Triple, largest: int) -> tuple[list[Tile], list[float]]:
    """Write a normalised stack of packed cells, and return how it is cut."""
    from napari_scutoid.network.checkpoint import load_model
    from napari_scutoid.steps.normalise import statistics
    from napari_scutoid.synth.tissue import synthesise

    _, config = load_model("builtin")
    image = synthesise("packed", shape, seed=1, cell_diameter=config.cell_diameter).image.data
    np.save(folder / "stack.npy", drain(statistics(image, config.normalise)).apply(image))
    tiles = _tiles(shape, config, largest)
    return tiles, _overlap(shape, config.architecture, tiles)


def _tiles(shape: Triple, config: ModelConfig, largest: int) -> list[Tile]:
    from napari_scutoid.network.passes import grid_for, tiles_for

    settings = Predict()
    grid = grid_for(shape, config.architecture, settings)
    wanted = np.ones(grid.counts, dtype=bool)
    return tiles_for(wanted, grid, config.architecture, settings, largest, blended=False)


def _overlap(shape: Triple, architecture: Architecture, tiles: list[Tile]) -> list[float]:
    """Return by which share of itself a tile overlaps with the next one along each axis."""
    from napari_scutoid.network.passes import halo_for

    sizes = zip(halo_for(architecture), tiles[0].read.shape, shape, strict=True)
    return [0.0 if size >= n else 2 * margin / size for margin, size, n in sizes]


def _measured(folder: str, who: str, precision: str, largest: int, repeats: int) -> Row:
    import torch

    from napari_scutoid.network.checkpoint import load_model

    module, config = load_model("builtin")
    stack = np.load(Path(folder) / "stack.npy")
    tiles = _tiles(stack.shape, config, largest)
    rate = _matrix_rate(torch.bfloat16 if precision == "bf16" else torch.float32, MATRIX[precision])
    run: Callable[[Any], NDArray[np.float32]]
    if who == ONE_PASS:
        run, tiles = _one_pass(module, config), [replace(tiles[0], read=Box.whole(stack.shape))]
    else:
        run = _monai(module, config, tiles) if who == PEER else _ours(module, config, who, precision, largest)
    run(stack[:16, :32, :32])  # what libraries load counts neither as time nor as memory
    kept: list[NDArray[np.float32]] = []

    def job() -> None:
        kept[:] = [run(stack)]

    result = measure(job, repeats)
    np.save(Path(folder) / f"{who}{precision}.npy", kept[0])
    speed = len(tiles) * _operations(module, tiles[0].read.shape) / result["seconds"]
    return {
        "who": who,
        "precision": precision,
        "seconds": result["seconds"],
        "share_of_matrix_product": speed / rate,
        "gflop_per_second": speed / 1e9,
        "peak_rss_MiB": result["peak_rss"] / 2**20,
    }


def _monai(module: nn.Module, config: ModelConfig, tiles: list[Tile]) -> Callable[[Any], NDArray[np.float32]]:
    import torch
    from monai.inferers import sliding_window_inference

    from napari_scutoid.network.unet import activate

    size = tiles[0].read.shape

    def run(stack: NDArray[np.float32]) -> NDArray[np.float32]:
        overlap = _overlap(stack.shape, config.architecture, tiles)
        with torch.inference_mode():
            logits = sliding_window_inference(
                torch.from_numpy(stack)[None, None], size, 1, module, overlap=overlap, mode="gaussian"
            )
            return activate(logits, config.outputs)[0].numpy()

    return run


def _one_pass(module: nn.Module, config: ModelConfig) -> Callable[[Any], NDArray[np.float32]]:
    import torch

    from napari_scutoid.network.unet import activate

    def run(stack: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return activate(module(torch.from_numpy(stack)[None, None]), config.outputs)[0].numpy()

    return run


def _ours(
    module: nn.Module, config: ModelConfig, backend: str, precision: str, largest: int
) -> Callable[[Any], NDArray[np.float32]]:
    from napari_scutoid.network.predict import predict
    from napari_scutoid.network.validate import AsItIs

    settings = Predict.model_validate(
        {"device": "cpu", "backend": backend, "precision": precision, "pass_voxels": largest, "gate": "off"}
    )
    return lambda stack: drain(predict(module, config, stack, AsItIs(), settings)).probabilities


def _matrix_rate(dtype: Any, rows: int) -> float:
    """Return the floating point operations per second of a product of two large matrices."""
    import torch

    a, b = (torch.randn(rows, rows, generator=torch.Generator().manual_seed(n)).to(dtype) for n in range(2))
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * rows**3 / min(seconds)


def _operations(module: nn.Module, shape: Triple) -> int:
    """Return the floating point operations of all convolutions of a tile."""
    import torch
    from torch import nn

    def count(layer: Any, _: Any, result: Any) -> None:
        each = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
        if isinstance(layer, nn.ConvTranspose3d):  # each voxel that comes in, and not each that goes out
            each //= math.prod(layer.stride)
        total.append(2 * result.numel() * each)

    total: list[int] = []
    hooks = [
        layer.register_forward_hook(count)
        for layer in module.modules()
        if isinstance(layer, nn.Conv3d | nn.ConvTranspose3d)
    ]
    with torch.inference_mode():
        small = [16, 16, 16]
        module(torch.zeros(1, 1, *small))
    for hook in hooks:
        hook.remove()
    return sum(total) * math.prod(shape) // math.prod(small)


def _cells(probabilities: NDArray[np.float32]) -> NDArray[np.uint32]:
    from napari_scutoid.steps.cells import cells_from_probabilities

    foreground, boundary = probabilities
    return drain(cells_from_probabilities(foreground, boundary, Recipe())).labels


if __name__ == "__main__":
    main()

"""How large tiles should be: arithmetic that margins add, tiles skipped, memory, time.

    python benchmarks/tiles.py [--quick] [--json FILE]

The first table needs no network: what the built-in model computes for a voxel of a stack, by the largest pass that is
allowed. The second times one pass of the sizes that the first names, each in a process of its own, and says what the
whole stack would take, and what `bytes_per_voxel` expects. In bf16, where the processor has it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import Row, answer, in_fresh_process, measure, parser, show, write_json

from napari_scutoid.recipe import Predict

if TYPE_CHECKING:
    from napari_scutoid.network.config import Triple
    from napari_scutoid.network.tiles import Tile

TILES = "Tiles of a stack by the largest pass"
TILES_COLUMNS = {
    "stack": "",
    "tissue": "",
    "skipped": ".0%",
    "largest_Mvoxels": "g",
    "pass": "",
    "passes": "d",
    "computed_per_voxel": ".2f",
}
PASS = "One pass of the built-in model's network"
PASS_COLUMNS = {
    "backend": "",
    "precision": "",
    "pass": "",
    "seconds": ".2f",
    "us_per_voxel": ".2f",
    "stack_seconds": ".0f",
    "bytes_per_voxel": ".0f",
    "expected_bytes": "d",
    "peak_rss_MiB": ".0f",
}
LARGEST = (0.25, 0.5, 1, 2, 4, 8, 16)
STACK = (128, 512, 512)


def main() -> None:
    options = parser((__doc__ or "").splitlines()[0]).parse_args()
    if options.case:
        answer(_pass(**json.loads(options.case)))
        return
    stacks = [STACK] if options.quick else [STACK, (234, 1024, 1024)]
    rows = [_tiles(stack, million, tube) for stack in stacks for tube in (False, True) for million in LARGEST[2:]]
    show(TILES, rows, TILES_COLUMNS)
    print()
    passes: list[Row] = []
    for backend, precision in _cases():
        for million in LARGEST[:1] if options.quick else LARGEST:
            case = {"backend": backend, "precision": precision, "million": million, "repeats": 3}
            passes.append(in_fresh_process(__file__, case))
            write_json(options.json, PASS, [*rows, *passes])
    show(f"{PASS}; the stack has {' x '.join(map(str, STACK))} voxels", passes, PASS_COLUMNS)
    write_json(options.json, PASS, [*rows, *passes])


def _cases() -> list[tuple[str, str]]:
    import torch

    from napari_scutoid.network.openvino_backend import has_bf16

    precisions = ["fp32", "bf16"] if has_bf16(torch.device("cpu")) else ["fp32"]
    return [(backend, precision) for precision in precisions for backend in ("torch", "openvino")]


def _tiles(stack: Triple, million: float, tube: bool) -> Row:
    from napari_scutoid.network.passes import SMALL_TILE
    from napari_scutoid.network.tiles import Grid

    counts = Grid(stack, (SMALL_TILE,) * 3).counts
    wanted = np.ones(counts, dtype=bool)
    if tube:  # along the diagonal of y and x, a third of the stack wide
        _, y, x = np.indices(counts)
        wanted = np.abs(y - x) <= max(counts) / 6
    tiles = _placed(stack, wanted, million)
    return {
        "stack": _words(stack),
        "tissue": "a diagonal tube" if tube else "everywhere",
        "skipped": 1 - wanted.mean(),
        "largest_Mvoxels": million,
        "pass": _words(tiles[0].read.shape),
        "passes": len(tiles),
        "computed_per_voxel": sum(tile.read.voxels for tile in tiles) / np.prod(stack),
    }


def _placed(stack: Triple, wanted: Any, million: float) -> list[Tile]:
    from napari_scutoid.network.checkpoint import find_model, read_config
    from napari_scutoid.network.passes import grid_for, tiles_for

    architecture = read_config(find_model("builtin")).architecture
    grid = grid_for(stack, architecture, Predict())
    return tiles_for(wanted, grid, architecture, Predict(), round(million * 2**20), blended=False)


def _words(shape: Triple) -> str:
    return " x ".join(map(str, shape))


def _pass(backend: str, precision: str, million: float, repeats: int) -> Row:
    from napari_scutoid.network.backends import make_backend
    from napari_scutoid.network.checkpoint import load_model
    from napari_scutoid.network.passes import bytes_per_voxel, grid_for

    module, config = load_model("builtin")
    settings = {"device": "cpu", "backend": backend, "precision": precision}
    computes, facts = make_backend(module, config, Predict.model_validate(settings))
    wanted = np.ones(grid_for(STACK, config.architecture, Predict()).counts, dtype=bool)
    tiles = _placed(STACK, wanted, million)
    whole = (slice(None), slice(None), slice(None))
    computes(np.zeros((1, 1, 8, 8, 8), np.float32), whole)  # what libraries load counts neither as time nor as memory
    block = np.random.default_rng(0).normal(size=(1, 1, *tiles[0].read.shape)).astype(np.float32)
    first = measure(lambda: computes(block, whole), 1)
    result = measure(lambda: computes(block, whole), repeats)
    return {
        "backend": backend,
        "precision": precision,
        "pass": _words(tiles[0].read.shape),
        "seconds": result["seconds"],
        "us_per_voxel": 1e6 * result["seconds"] / block.size,
        "stack_seconds": len(tiles) * result["seconds"],
        "bytes_per_voxel": (first["rise"] + result["rise"]) / block.size,
        "expected_bytes": bytes_per_voxel(config.architecture, len(config.outputs), facts),
        "peak_rss_MiB": result["peak_rss"] / 2**20,
    }


if __name__ == "__main__":
    main()

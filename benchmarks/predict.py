"""The network alone: seconds and memory of one pass by precision and preparation, and what tiles cost in arithmetic.

    python benchmarks/predict.py [--quick] [--json FILE]

Weights are random, as neither time nor memory depends on them.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import Row, answer, in_fresh_process, measure, parser, show, write_json

if TYPE_CHECKING:
    from napari_scutoid.network.config import Triple

PASS = "One pass of a 32-64-128 U-Net with batch norm"
PASS_COLUMNS = {
    "network": "",
    "precision": "",
    "voxels": "",
    "seconds": ".2f",
    "us_per_voxel": ".2f",
    "times_faster": ".1f",
    "bytes_per_voxel": ".0f",
    "expected_bytes": ".0f",
    "peak_rss_MiB": ".0f",
}
TILES = "Tiles of a stack, by the largest pass that fits"
TILES_COLUMNS = {
    "stack": "",
    "tissue": "",
    "largest_pass_Mvoxels": "d",
    "passes": "d",
    "computed_per_voxel": ".2f",
}


def main() -> None:
    options = parser((__doc__ or "").splitlines()[0]).parse_args()
    if options.case:
        answer(_pass(**json.loads(options.case)))
        return
    shape, repeats = ((32, 64, 64), 3) if options.quick else ((64, 128, 128), 5)
    passes = []
    for network in ("as trained", "folded, channels last"):
        for precision in ("fp32", "bf16"):
            case = {"network": network, "precision": precision, "shape": shape, "repeats": repeats}
            row = in_fresh_process(__file__, case)
            row["times_faster"] = passes[0]["seconds"] / row["seconds"] if passes else 1.0
            passes.append(row)
    show(PASS, passes, PASS_COLUMNS)
    print()
    tiles = [
        _tiles(stack, largest, tube)
        for stack in ((64, 128, 128), (128, 512, 512))
        for tube in (False, True)
        for largest in (1, 2, 4, 8, 16)
    ]
    show(TILES, tiles, TILES_COLUMNS)
    write_json(options.json, PASS, [*passes, *tiles])


def _pass(network: str, precision: Any, shape: list[int], repeats: int) -> Row:
    import torch

    from napari_scutoid.network.config import Architecture
    from napari_scutoid.network.device import channels_last
    from napari_scutoid.network.predict import bytes_per_voxel, fold_batch_norm
    from napari_scutoid.network.unet import build

    architecture = Architecture(plan=((16, 32), (32, 64), (64, 128)), norm="batch")
    torch.manual_seed(0)
    module = build(architecture, 2).eval()
    x = torch.rand(1, 1, *shape)
    if network != "as trained":
        module = fold_batch_norm(module)
        channels_last(module)
        x = x.to(memory_format=torch.channels_last_3d)

    def job() -> None:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            module(x)

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        module(x[..., :8, :8, :8])  # what the library loads counts neither as time nor as memory
    result = measure(job, repeats)
    return {
        "network": network,
        "precision": precision,
        "voxels": "x".join(map(str, shape)),
        "seconds": result["seconds"],
        "us_per_voxel": 1e6 * result["seconds"] / x.numel(),
        "bytes_per_voxel": result["rise"] / x.numel(),
        "expected_bytes": bytes_per_voxel(architecture, 2, precision),
        "peak_rss_MiB": result["peak_rss"] / 2**20,
    }


def _tiles(stack: Triple, largest: int, tube: bool) -> Row:
    from napari_scutoid.network.config import Architecture
    from napari_scutoid.network.predict import SMALL_TILE, halo_for
    from napari_scutoid.network.tiles import Grid, gather

    halo = halo_for(Architecture())
    grid = Grid(stack, (SMALL_TILE,) * 3)
    wanted = np.ones(grid.counts, dtype=bool)
    if tube:  # along the diagonal of y and x, a third of the stack wide
        _, y, x = np.indices(grid.counts)
        wanted = np.abs(y - x) <= max(grid.counts) / 6
    boxes = gather(wanted, grid, halo, largest * 2**20)
    return {
        "stack": "x".join(map(str, stack)),
        "tissue": "a diagonal tube" if tube else "everywhere",
        "largest_pass_Mvoxels": largest,
        "passes": len(boxes),
        "computed_per_voxel": sum(box.grown(halo, stack).voxels for box in boxes) / np.prod(stack),
    }


if __name__ == "__main__":
    main()

"""What the two gates skip and what they lose, on stacks whose tissue is known.

    SCUTOID_DATA=folder python benchmarks/gate.py [--quick] [--json FILE]

Synthetic stacks that neither was made with, the shared glands and the ovule, and an embryo whose tissue nobody drew:
there the ungated model's own foreground stands for it. The last column compares the cells that follow from the
ungated probabilities with those after every skipped tile was emptied; background counts as one more cell in it, so
that a lost cell shows.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import Row, parser, show, write_json
from _stacks import shared_stacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_scutoid.network.config import ModelConfig
    from napari_scutoid.pipeline import Prepared
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.volume import Volume

TITLE = "Gates before the network"
HELD_OUT = 30_000_000
"""Number of the first synthetic stack; the classifier was made with others."""
N_SYNTHETIC, N_SEGMENTED = 40, 4
EMBRYO = "tiff/Dub-WilliamMohler-Tp33-Half.tif"
COLUMNS = {
    "stack": "",
    "gate": "",
    "tiles": "d",
    "with_tissue": "d",
    "skipped": "d",
    "lost_tiles": "d",
    "lost_voxels_ppm": ".0f",
    "seconds": ".2f",
    "model_seconds": ".2f",
    "are_to_ungated": ".5f",
}


def cases(n_synthetic: int, n_shared: int | None) -> Iterator[tuple[str, Volume, NDArray[Any] | None, bool]]:
    """Yield each stack's name, image and true cells, and whether its cells are compared too."""
    from napari_scutoid.io.open import open_volume
    from napari_scutoid.synth.tissue import training_tissue

    for number in range(n_synthetic):
        made = training_tissue(HELD_OUT + number)
        yield f"synthetic {number}", made.image, np.asarray(made.labels.data), number < N_SEGMENTED
    for stack in shared_stacks()[:n_shared]:
        yield stack.name, *stack.read(), True
    root = Path(os.environ.get("SCUTOID_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if n_shared is None and (root / EMBRYO).is_file():
        yield Path(EMBRYO).stem, open_volume(root / EMBRYO), None, True


def measured(name: str, volume: Volume, truth: NDArray[Any] | None, *, cells: bool) -> list[Row]:
    """Return a row for each gate."""
    from napari_scutoid.network.checkpoint import load_model
    from napari_scutoid.network.predict import SMALL_TILE, predict, wanted_tiles
    from napari_scutoid.network.tiles import Grid
    from napari_scutoid.pipeline import prepare, settings_for
    from napari_scutoid.progress import drain
    from napari_scutoid.recipe import Recipe

    module, config = load_model("builtin")
    recipe = settings_for(Recipe(), config)
    ready = drain(prepare(volume, recipe, config))
    data = ready.volume.data
    grid = Grid(ready.volume.shape, (SMALL_TILE,) * 3)
    probabilities, model_seconds = None, None
    if cells or truth is None:
        started = time.perf_counter()
        ungated = recipe.predict.model_copy(update={"gate": "off"})
        probabilities = drain(predict(module, config, data, ready.statistics, ungated)).probabilities
        model_seconds = time.perf_counter() - started
    tissue = probabilities[_foreground(config)] > 0.5 if truth is None else _on_working_grid(volume, truth, ready)
    per_tile = {index: int(np.count_nonzero(tissue[box.slices])) for index, box in grid.boxes()}
    wanted, seconds = {}, {}
    for gate in ("threshold", "classifier", "auto"):
        settings = recipe.predict.model_copy(update={"gate": gate})
        started = time.perf_counter()
        wanted[gate] = drain(wanted_tiles(data, grid, config, settings))
        seconds[gate] = time.perf_counter() - started
    reference = None if probabilities is None else _cells(probabilities, ready, recipe, config)
    rows: list[Row] = []
    for gate, keep in wanted.items():
        lost = [per_tile[index] for index in zip(*np.nonzero(~keep), strict=True)]
        row: Row = {
            "stack": name,
            "gate": gate,
            "tiles": keep.size,
            "with_tissue": sum(count > 0 for count in per_tile.values()),
            "skipped": int((~keep).sum()),
            "lost_tiles": sum(count > 0 for count in lost),
            "lost_voxels_ppm": 1e6 * sum(lost) / max(1, int(np.count_nonzero(tissue))),
            "seconds": seconds[gate],
            "model_seconds": model_seconds,
        }
        if probabilities is not None and reference is not None:
            emptied = probabilities.copy()
            for index, box in grid.boxes():
                if not keep[index]:
                    emptied[(slice(None), *box.slices)] = 0
            row["are_to_ungated"] = _are(_cells(emptied, ready, recipe, config), reference)
        rows.append(row)
    return rows


def _foreground(config: ModelConfig) -> int:
    return [output.name for output in config.outputs].index("foreground")


def _on_working_grid(volume: Volume, truth: NDArray[Any], ready: Prepared) -> NDArray[np.bool_]:
    from napari_scutoid.progress import drain
    from napari_scutoid.steps.rescale import rescaling_labels
    from napari_scutoid.volume import Labels

    labels = Labels(truth.astype(np.uint32), volume.voxel_size_um, volume.origin_um)
    return np.asarray(drain(rescaling_labels(labels, ready.volume.shape)).data) > 0


def _cells(probabilities: NDArray[Any], ready: Prepared, recipe: Recipe, config: ModelConfig) -> NDArray[Any]:
    from napari_scutoid.progress import drain
    from napari_scutoid.steps.cells import cells_from_probabilities

    maps = {output.name: channel for output, channel in zip(config.outputs, probabilities, strict=True)}
    found = cells_from_probabilities(
        maps["foreground"], maps["boundary"], recipe, ready.spacing, seeds=maps.get("seeds")
    )
    return np.asarray(drain(found).labels)


def _are(labels: NDArray[Any], reference: NDArray[Any]) -> float:
    from napari_scutoid.metrics import adapted_rand_error, count_overlaps

    return float(adapted_rand_error(count_overlaps(labels + 1, reference + 1)))


def summary(rows: list[Row]) -> list[Row]:
    """Return, for the synthetic and the real stacks and each gate, the sums."""
    lines: list[Row] = []
    for kind in ("synthetic", "real"):
        for gate in dict.fromkeys(row["gate"] for row in rows):
            of_it = [
                row for row in rows if row["gate"] == gate and row["stack"].startswith("synthetic") == (kind != "real")
            ]
            if not of_it:
                continue
            line: Row = {"stack": f"all {len(of_it)} {kind}", "gate": gate}
            line |= {key: sum(row[key] for row in of_it) for key in ("tiles", "with_tissue", "skipped", "lost_tiles")}
            line["lost_voxels_ppm"] = max(row["lost_voxels_ppm"] for row in of_it)
            line["seconds"] = sum(row["seconds"] for row in of_it)
            line["are_to_ungated"] = max(row["are_to_ungated"] for row in of_it if "are_to_ungated" in row)
            lines.append(line)
    return lines


def main() -> None:
    """Run both gates on every stack, then print the table and its sums."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--threads", type=int, help="of the processor; its own choice where not given")
    options = arguments.parse_args()
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    rows: list[Row] = []
    for name, volume, truth, cells in cases(2 if options.quick else N_SYNTHETIC, 1 if options.quick else None):
        rows += measured(name, volume, truth, cells=cells)
        print(f"{name}: done", file=sys.stderr)
        write_json(options.json, TITLE, rows)  # after each: what an interrupted run has measured is not lost
    show(TITLE, rows, COLUMNS)
    print()
    lines = summary(rows)
    show("All together; lost voxels and ARE: the worst stack's", lines, COLUMNS)
    write_json(options.json, TITLE, [*rows, *lines])


if __name__ == "__main__":
    main()

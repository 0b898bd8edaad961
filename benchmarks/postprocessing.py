"""From probabilities to cells where walls are missing: our methods beside each other and beside PanSeg's chain.

    SCUTOID_DATA=folder python benchmarks/postprocessing.py [--full] [--json FILE]
    python benchmarks/postprocessing.py --scaling [--json FILE]

The first takes the true cells of the shared stacks, makes boundary maps of them from which a share of the faces is gone
(see benchmarks/damage.py), and scores what each method makes of these maps. The large geometry volumes are cropped
unless ``--full`` is given. PanSeg's chain is what PanSeg calls of python-elf; it gets the foreground as a mask, without
which it would make cells of the background. The second measures time and memory of each stage on synthetic tissue.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import Row, parser, show, write_json
from damage import damaged
from stages import scaling

from napari_scutoid.metrics import adapted_rand_error, count_overlaps, match_cells, variation_of_information
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.steps.cells import cells_from_probabilities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from damage import Maps
    from numpy.typing import NDArray

TITLE = "Cells from true boundaries with faces erased"
SHARES = (0.0, 0.1, 0.2, 0.3)
DECISIVE = 0.2
"""Share of erased faces at which methods are compared volume by volume."""
CROP = (128, 256, 256)
QUICK_CROP = (48, 96, 96)
COLUMNS = {
    "volume": "",
    "erased": ".0%",
    "method": "",
    "ap50": ".3f",
    "arand": ".4f",
    "voi_split": ".3f",
    "voi_merge": ".3f",
    "found": "d",
    "true": "d",
    "seconds": ".1f",
}

# A graph needs all maxima as seeds: it can merge regions but divide none.
_GRAPH = {"seeds": "maxima"}
OURS: dict[str, dict[str, Any]] = {
    "components": {"watershed": {"method": "components"}, "partition": {"method": "none"}},
    "watershed": {"partition": {"method": "none"}},
    "multicut": {"watershed": _GRAPH, "partition": {"method": "multicut"}},
    "gasp": {"watershed": _GRAPH, "partition": {"method": "gasp"}},
    "mutex": {"watershed": _GRAPH, "partition": {"method": "mutex"}},
    "shape (default)": {},
}
DEFAULT = "shape (default)"


@dataclass(frozen=True, slots=True)
class PanSeg:
    """Settings of PanSeg's chain, in voxels."""

    threshold: float
    seed_sigma: float
    weight_sigma: float
    min_size: int
    beta: float


PEERS = {
    "PanSeg, GUI": PanSeg(0.5, 0.2, 2.0, 100, 0.6),
    # The paper names no smoothing of the weights: without any, and with that of the GUI and of elf's default.
    "PanSeg, paper": PanSeg(0.4, 2.0, 0.0, 50, 0.6),
    "PanSeg, paper, smoothed": PanSeg(0.4, 2.0, 2.0, 50, 0.6),
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where true cells lie: one data set `label` of a file, with what the file does not say."""

    file: str
    spacing: tuple[float, float, float]
    outside: int = 0
    """Label that is no cell."""
    large: bool = False

    @property
    def name(self) -> str:
        """What rows call it."""
        return Path(self.file).stem

    def labels(self, root: Path, crop: Sequence[int] | None) -> NDArray[np.uint32]:
        """Return the cells, of the middle of the stack only where a size is given."""
        import h5py

        with h5py.File(root / self.file) as file:
            stored = file["label"]
            crop = crop or stored.shape
            starts = [max(0, (n - size) // 2) for n, size in zip(stored.shape, crop, strict=True)]
            box = tuple(slice(start, start + size) for start, size in zip(starts, crop, strict=True))
            labels: NDArray[np.uint32] = stored[box].astype(np.uint32)
        labels[labels == self.outside] = 0
        return labels


def sources(root: Path) -> list[Source]:
    """Return the stacks with true cells."""
    glands = sorted((root / "glands").glob("*.h5"))
    return [
        *(Source(f"glands/{file.name}", (0.5, 1.0, 1.0)) for file in glands),
        Source("plants/ovule_plantseg_sample.h5", (0.235, 0.15, 0.15)),
        Source("geometry/folded_tissue_labels.h5", (1.0, 1.0, 1.0), large=True),
        Source("geometry/meristem_p194_labels.h5", (1.0, 1.0, 1.0), outside=1, large=True),
    ]


def panseg(boundary: NDArray[np.float32], mask: NDArray[np.bool_], settings: PanSeg) -> NDArray[np.uint32]:
    """Return what PanSeg's watershed and multicut make of a boundary map inside a mask."""
    from elf.segmentation.features import compute_boundary_mean_and_length, compute_rag, project_node_labels_to_pixels
    from elf.segmentation.multicut import multicut_kernighan_lin, transform_probabilities_to_costs
    from elf.segmentation.watershed import distance_transform_watershed

    regions, _ = distance_transform_watershed(
        boundary, settings.threshold, settings.seed_sigma, settings.weight_sigma, settings.min_size, mask=mask
    )
    regions = regions.astype(np.uint32)
    graph = compute_rag(regions)
    wall, size = compute_boundary_mean_and_length(graph, regions, boundary).T[:2]
    costs = transform_probabilities_to_costs(wall, edge_sizes=size, beta=settings.beta)
    costs[(graph.uv_ids() == 0).any(axis=1)] = _NEVER  # else what the mask leaves out would be merged with cells
    node = multicut_kernighan_lin(graph, costs)
    cells: NDArray[np.uint32] = project_node_labels_to_pixels(graph, regions, node).astype(np.uint32) + 1
    cells[~mask] = 0
    return cells


_NEVER = -100.0


def segmented(method: str, maps: Maps, spacing: Sequence[float]) -> NDArray[np.uint32]:
    """Return the cells that a method of `OURS` or `PEERS` finds."""
    if method in PEERS:
        return panseg(maps.boundary, maps.foreground >= 0.5, PEERS[method])
    recipe = Recipe.model_validate(OURS[method])
    return drain(cells_from_probabilities(maps.foreground, maps.boundary, recipe, spacing)).labels


def measured(source: Source, labels: NDArray[np.uint32], share: float) -> Iterator[Row]:
    """Yield one row per method."""
    maps = damaged(labels, share)
    n_true = int(np.count_nonzero(np.unique(labels)))
    for method in (*OURS, *PEERS):
        started = time.perf_counter()
        cells = segmented(method, maps, source.spacing)
        seconds = time.perf_counter() - started
        overlaps = count_overlaps(cells, labels)
        matched, n_pred = len(match_cells(overlaps)), int(np.count_nonzero(np.unique(cells)))
        split, merge = variation_of_information(overlaps)
        yield {
            "volume": source.name,
            "shape": labels.shape,
            "erased": share,
            "method": method,
            "ap50": matched / max(1, n_true + n_pred - matched),
            "arand": adapted_rand_error(overlaps),
            "voi_split": split,
            "voi_merge": merge,
            "found": n_pred,
            "true": n_true,
            "seconds": seconds,
        }


def show_means(rows: Sequence[Row]) -> None:
    """Print the mean error over all volumes, by method and share."""
    shares = sorted({row["erased"] for row in rows})
    lines: list[Row] = []
    for method in dict.fromkeys(row["method"] for row in rows):
        line: Row = {"method": method}
        for share in shares:
            errors = [row["arand"] for row in rows if (row["method"], row["erased"]) == (method, share)]
            line[f"{share:.0%}"] = sum(errors) / len(errors)
        lines.append(line)
    show("\nMean arand by share of erased faces", lines, {"method": "", **{f"{share:.0%}": ".4f" for share in shares}})


def show_ratios(rows: Sequence[Row]) -> None:
    """Print, for each volume at the decisive share, our error over that of the best of PanSeg's settings."""
    lines: list[Row] = []
    for volume in dict.fromkeys(row["volume"] for row in rows):
        error = {row["method"]: row["arand"] for row in rows if (row["volume"], row["erased"]) == (volume, DECISIVE)}
        peer = min(PEERS, key=lambda name: error[name])
        lines.append(
            {"volume": volume, "ours": error[DEFAULT], "peer": error[peer], "best": peer}
            | {"ratio": error[DEFAULT] / error[peer] if error[peer] else None}
        )
    ours, peers = (sum(line[key] for line in lines) / len(lines) for key in ("ours", "peer"))
    lines.append({"volume": "mean", "ours": ours, "peer": peers, "best": "", "ratio": ours / peers})
    columns = {"volume": "", "ours": ".4f", "peer": ".4f", "best": "", "ratio": ".2f"}
    show(f"\narand with {DECISIVE:.0%} of the faces erased, beside PanSeg's best settings", lines, columns)
    behind = [line["volume"] for line in lines if line["ours"] > line["peer"]]
    print(f"\nMean reduction {1 - ours / peers:.0%}; behind on: {', '.join(behind) or 'none'}")


def _warm_up() -> None:
    """Use every method once, so that imports do not count as time."""
    cubes = np.kron(np.arange(1, 9, dtype=np.uint32).reshape(2, 2, 2), np.ones((8, 8, 8), np.uint32))
    maps = damaged(cubes, 0.0)
    for method in (*OURS, *PEERS):
        segmented(method, maps, (1.0, 1.0, 1.0))


def main() -> None:
    """Print the table of methods, or that of stages."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--scaling", action="store_true", help="time and memory of each stage instead")
    arguments.add_argument("--volumes", nargs="+", metavar="NAME", help="only stacks whose name contains one of these")
    arguments.add_argument("--shares", nargs="+", type=float, default=SHARES, metavar="S", help="of faces, 0 to 1")
    arguments.add_argument("--full", action="store_true", help=f"large volumes whole, not their middle {CROP}")
    options = arguments.parse_args()
    if options.scaling:
        scaling(options.quick, options.json)
        return
    root = Path(os.environ.get("SCUTOID_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (root / "glands").is_dir():
        sys.exit(f"no stacks in {root}: set SCUTOID_DATA to the folder that holds glands/, plants/ and geometry/")
    _warm_up()
    shares = [DECISIVE] if options.quick else options.shares
    rows: list[Row] = []
    for source in sources(root):
        if options.volumes and not any(part in source.name for part in options.volumes):
            continue
        crop = QUICK_CROP if options.quick else CROP if source.large and not options.full else None
        labels = source.labels(root, crop)
        for share in shares:
            for row in measured(source, labels, share):
                rows.append(row)
                # After each: what an interrupted run has measured is not lost.
                write_json(options.json, TITLE, rows)
                print(f"{source.name} {share:.0%} {row['method']}: {row['arand']:.4f}", file=sys.stderr)
    show(TITLE, rows, COLUMNS)
    show_means(rows)
    if DECISIVE in shares:
        show_ratios(rows)


if __name__ == "__main__":
    main()

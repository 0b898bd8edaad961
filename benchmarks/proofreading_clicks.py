"""How much work a correction is: an automatic proofreader that knows the truth, and the order of the suspects.

    SCUTOID_DATA=folder python benchmarks/proofreading_clicks.py --cache build/clicks [--json FILE]

The built-in model segments the shared glands, the ovule and three synthetic glands (kept in the cache, with two second
opinions each). The first table compares orders in which cells may be looked at, none of them changing as edits are
made: the suspects', ids as they come, by rising and by falling size, and at random (the mean of many). The area lies
under the curve of wrong cells found over looks, as a share of that of the ideal order. The second table tells what the
proofreader of benchmarks/_proofreader.py needs until every true cell is matched at an IoU of 0.5 and no cell is
invented, and how far the corrected boundaries lie from the true ones.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from _common import Row, parser, show, write_json
from _proofreader import Proofreader
from _stacks import shared_stacks

from napari_scutoid.io.atomic import replacing
from napari_scutoid.metrics import count_overlaps, judge
from napari_scutoid.progress import drain
from napari_scutoid.proofread.evidence import GridEvidence
from napari_scutoid.proofread.review import Review
from napari_scutoid.proofread.session import Session
from napari_scutoid.proofread.suspects import Suspects
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

TITLE = "Proofreading the built-in model's cells"
SYNTHETIC, N_SYNTHETIC = 80_000_001, 3
"""Seed of the first synthetic gland, from which nothing was learnt, and how many there are."""
MOST_WRONG = 0.6
"""A synthetic gland with a larger share of wrong cells is left out: it would be segmented again, not corrected."""
SHAPE, DIAMETER = (64, 128, 128), 15.0
FOUND = 0.8
"""Share of the wrong cells up to which looks are counted."""
FEW = 0.3
"""Share of wrong cells below which the suspects' order has to halve the looks of all others."""
AREA, LOOKS = 0.8, 0.5
RANDOM_ORDERS = 200
ORDERS = {
    "stack": "",
    "cells": "d",
    "true": "d",
    "wrong": ".1%",
    "area": ".3f",
    "id": ".3f",
    "small_first": ".3f",
    "large_first": ".3f",
    "random": ".3f",
    "ideal_80": "d",
    "looks_80": "d",
    "best_other": "d",
    "looks_ratio": ".2f",
    "area_met": "",
    "looks_met": "",
}
WORK = {
    "stack": "",
    "true": "d",
    "operations": "d",
    "per_100": ".1f",
    "proposals_taken": "d",
    "looks": "d",
    "accepted": "d",
    "unmatched": "d",
    "invented": "d",
    "distance": ".2f",
    "distance_before": ".2f",
    "seconds": ".1f",
}


class Segmented(NamedTuple):
    """What the built-in model made of a stack, and the truth."""

    labels: NDArray[np.uint32]
    truth: NDArray[Any]
    image: Volume
    boundary: Volume
    others: tuple[NDArray[Any], ...]


def segmented(volume: Volume, truth: NDArray[Any], cache: Path) -> Segmented:
    """Return a stack's cells, its boundary probability and two second opinions; made once, and kept in a file."""
    if not cache.is_file():
        from napari_scutoid.opinions import flipped_prediction, other_partition
        from napari_scutoid.pipeline import run

        result = drain(run(volume))
        if (kept := result.kept) is None:
            raise RuntimeError("a run keeps what it needs to make labels again")
        probability = kept.probabilities["boundary"]
        size = probability.voxel_size_um
        with replacing(cache) as part, part.open("wb") as handle:
            np.savez_compressed(
                handle,
                labels=result.labels.data,
                boundary=np.round(255 * np.clip(np.asarray(probability.data), 0, 1)).astype(np.uint8),
                size=np.zeros(0) if size is None else np.array(size),
                origin=np.array(probability.origin_um),
                partition=drain(other_partition(kept)),
                flipped=drain(flipped_prediction(volume, kept)),
            )
    with np.load(cache, allow_pickle=False) as arrays:
        size = VoxelSize(*arrays["size"].tolist()) if len(arrays["size"]) else None
        boundary = Volume(arrays["boundary"], size, Origin(*arrays["origin"].tolist()))
        return Segmented(arrays["labels"], truth, volume, boundary, (arrays["partition"], arrays["flipped"]))


def cases(cache: Path, quick: bool, names: Sequence[str] | None) -> Iterator[tuple[str, Segmented]]:
    """Yield each stack's name and segmentation: the synthetic glands, then the shared stacks."""
    from napari_scutoid.synth.tissue import synthesise

    if not names or any(part in "synthetic_gland" for part in names):
        found = 0
        for number in itertools.count():
            name = f"synthetic_gland_{number + 1}"
            made = synthesise("gland", SHAPE, SYNTHETIC + number, cell_diameter=DIAMETER)
            stack = segmented(made.image, np.asarray(made.labels.data), cache / f"{name}.npz")
            if len(wrong_cells(stack)) > MOST_WRONG * max(1, np.count_nonzero(np.unique(stack.labels))):
                print(f"{name} is left out: most of its cells are wrong", file=sys.stderr)
                continue
            yield name, stack
            found += 1
            if quick or found == N_SYNTHETIC:
                break
    if quick:
        return
    shared = [name for name in names or () if name not in "synthetic_gland"]
    for one in shared_stacks(shared) if shared or not names else ():
        volume, truth = one.read()
        yield one.name, segmented(volume, truth, cache / f"{one.name}.npz")


def wrong_cells(stack: Segmented) -> set[int]:
    """Return the cells that match no true one."""
    verdicts = judge(count_overlaps(stack.labels, stack.truth)).prediction.by_id()
    return {cell for cell, verdict in verdicts.items() if verdict != "matched"}


def begun(stack: Segmented) -> Session:
    """Return a session on a copy of a stack's labels."""
    labels = Labels(stack.labels.copy(), stack.image.voxel_size_um, stack.image.origin_um)
    return drain(Session.begin(labels, GridEvidence.of(labels, stack.boundary, stack.image)))


def orders_of(name: str, stack: Segmented, session: Session, suspects: Suspects) -> Row:
    """Return how soon each order finds the wrong cells."""
    index = session.index
    wrong, cells = wrong_cells(stack), index.cells.tolist()
    by_size = sorted(cells, key=lambda cell: (index.voxels(cell), cell))
    orders = {"area": suspects.cells, "id": cells, "small_first": by_size, "large_first": by_size[::-1]}
    curves = {key: discovery(order, wrong) for key, order in orders.items()}
    rng = np.random.default_rng(0)
    curves["random"] = np.mean([discovery(rng.permutation(by_size), wrong) for _ in range(RANDOM_ORDERS)], axis=0)
    ideal = discovery(sorted(cells, key=lambda cell: cell not in wrong), wrong)
    areas = {key: area(curve) / (area(ideal) or 1.0) for key, curve in curves.items()}
    looks = {key: looks_to(curve, FOUND) for key, curve in curves.items()}
    best = round(min(n for key, n in looks.items() if key != "area"))
    share = len(wrong) / max(1, len(cells))
    return {
        "stack": name,
        "cells": len(cells),
        "true": int(np.count_nonzero(np.unique(stack.truth))),
        "wrong": share,
        **areas,
        "ideal_80": looks_to(ideal, FOUND),
        "looks_80": looks["area"],
        "best_other": best,
        "looks_ratio": looks["area"] / max(1, best),
        "area_met": "yes" if areas["area"] >= AREA else "NO",
        "looks_met": "-" if share >= FEW else "yes" if looks["area"] <= LOOKS * best else "NO",
    }


def discovery(order: Sequence[int], wrong: set[int]) -> NDArray[np.float64]:
    """Return the share of the wrong cells that was found after 0, 1, 2, ... looks."""
    found = np.cumsum([0, *(int(cell) in wrong for cell in order)])
    return found / max(1, len(wrong))


def area(curve: NDArray[np.float64]) -> float:
    """Return the area under a discovery curve, 0 to 1."""
    return float(np.mean((curve[1:] + curve[:-1]) / 2)) if len(curve) > 1 else 1.0


def looks_to(curve: NDArray[np.float64], share: float) -> int:
    """Return after how many looks a share of the wrong cells is found."""
    return int(np.argmax(curve >= share - 1e-9))


def work_on(name: str, stack: Segmented, session: Session, suspects: Suspects) -> Row:
    """Return what it takes to correct a stack."""
    before = distance(session.labels, stack.truth, session.spacing)
    started = time.perf_counter()
    reader = Proofreader(Review(session, suspects), np.asarray(stack.truth))
    reader.work()
    seconds = time.perf_counter() - started
    n_true, operations = int(np.count_nonzero(np.unique(stack.truth))), reader.operations.total()
    print(f"{name}: {dict(reader.operations.most_common())}", file=sys.stderr)
    return {
        "stack": name,
        "true": n_true,
        "operations": operations,
        "per_100": 100 * operations / max(1, n_true),
        "proposals_taken": reader.taken,
        "looks": reader.looks,
        "accepted": reader.accepted,
        "unmatched": len(reader.missing()),
        "invented": len(reader.invented()),
        "distance": distance(session.labels, stack.truth, session.spacing),
        "distance_before": before,
        "seconds": seconds,
        "by_kind": dict(reader.operations),
    }


def distance(labels: NDArray[Any], truth: NDArray[Any], spacing: Sequence[float]) -> float:
    """Return the mean distance between two segmentations' boundaries, both ways, in edges of a cube of a voxel."""
    import edt
    from skimage.segmentation import find_boundaries

    edge = math.prod(spacing) ** (1 / 3)
    unit = tuple(side / edge for side in spacing)
    marks = [find_boundaries(side, mode="inner", connectivity=1) for side in (labels, truth)]
    if not all(mark.any() for mark in marks):
        return math.nan
    away: list[float] = []
    for own, other in (marks, marks[::-1]):
        away.append(float(edt.edt(np.ascontiguousarray(~other), anisotropy=unit, black_border=False)[own].mean()))
    return float(np.mean(away))


def main() -> None:
    """Print both tables."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--cache", type=Path, required=True, help="folder that keeps the segmentations")
    arguments.add_argument("--stacks", nargs="+", metavar="NAME", help="only stacks whose name contains one of these")
    arguments.add_argument("--without-opinions", action="store_true", help="judge cells without second opinions")
    options = arguments.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    orders: list[Row] = []
    work: list[Row] = []
    for name, stack in cases(options.cache, options.quick, options.stacks):
        session = begun(stack)
        others = () if options.without_opinions else stack.others
        suspects = drain(Suspects.build(session.scene(), others))
        orders.append(orders_of(name, stack, session, suspects))
        work.append(work_on(name, stack, session, suspects))
        write_json(options.json, TITLE, [*orders, *work])  # after each: an interrupted run loses nothing
    show("Orders of looking at cells, and looks until 80 % of the wrong ones are found", orders, ORDERS)
    print()
    show(f"{TITLE} until all are right", work, WORK)


if __name__ == "__main__":
    main()

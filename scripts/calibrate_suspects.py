"""Learn on synthetic tissue how probable each cell's and each face's error is, and print how far that holds.

    python scripts/calibrate_suspects.py --cache build/suspects            # learn, write the weights, check
    python scripts/calibrate_suspects.py --cache build/suspects --check    # only check the packaged weights

The errors are those of the built-in model and its post-processing on stacks from the generator, with two second
opinions each; a few cells are merged and divided on top, so that gross errors are known too. The check is on stacks of
other numbers: the expected calibration error (Naeini et al. 2015, AAAI, ten bins of equal width) of cells and faces.
Each stack takes some seconds once, and is kept in the cache. The same cache gives the same weights.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_scutoid.io.atomic import replacing
from napari_scutoid.metrics import count_overlaps
from napari_scutoid.metrics import judge as judge_cells
from napari_scutoid.opinions import flipped_prediction, other_partition
from napari_scutoid.pipeline import run
from napari_scutoid.progress import drain
from napari_scutoid.proofread.additive import AdditiveModel, Curve, expected_calibration_error, probability
from napari_scutoid.proofread.evidence import GridEvidence
from napari_scutoid.proofread.index import CellIndex
from napari_scutoid.proofread.judge import WEIGHTS, Judge, as_json, features_of
from napari_scutoid.proofread.scene import Scene
from napari_scutoid.proofread.suspects import Suspects
from napari_scutoid.recipe import Recipe
from napari_scutoid.synth.tissue import synthesise
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.metrics import Verdict
    from napari_scutoid.synth.forms import Kind
    from napari_scutoid.synth.tissue import SyntheticTissue

TRAINING, CHECKING = 50_000_000, 60_000_000
"""Numbers of the first stack to learn from and of the first to check on: nothing else was made with either."""
FEWEST_CELLS = 12
"""Stacks with fewer true cells say little."""
DIAMETER_SPREAD = 0.1
"""Standard deviation of the logarithm of the cell diameter that the pipeline is told: nobody knows it exactly."""
VOXELS = 400_000
KINDS: dict[Kind, float] = {"gland": 0.4, "cyst": 0.2, "sheet": 0.15, "packed": 0.25}


CHANGED = 0.04
"""Share of the cells that are merged with a neighbour, and of those that are cut in two."""
MOST_WRONG = 0.6
"""A stack with a larger share of wrong cells is segmented again, not corrected."""
WEIGHT_CELLS = 150
"""Stacks with more cells count as much as one with so many."""


class Made(NamedTuple):
    """A synthetic stack, what the pipeline made of it, and the truth."""

    image: NDArray[Any]
    truth: NDArray[np.uint32]
    lumen: NDArray[np.bool_]
    labels: NDArray[np.uint32]
    boundary: NDArray[np.uint8]
    """On the working grid, 0 to 255."""
    others: tuple[NDArray[np.uint32], ...]
    """Second opinions, on the working grid."""
    voxel_size: tuple[float, float, float]


def made(number: int, cache: Path) -> Made | None:
    """Return the stack of a number; None where it has too few cells."""
    file = cache / f"{number:08d}.npz"
    if not file.is_file():
        with replacing(file) as part, part.open("wb") as handle:
            np.savez_compressed(handle, **_segmented(number))
    with np.load(file, allow_pickle=False) as arrays:
        if "labels" not in arrays:
            return None
        others = tuple(arrays[name] for name in ("other_partition", "flipped"))
        size = tuple(arrays["voxel_size"].tolist())
        return Made(*(arrays[name] for name in ("image", "truth", "lumen", "labels", "boundary")), others, size)


def _tissue(number: int) -> SyntheticTissue:
    rng = np.random.default_rng(number)
    kind = list(KINDS)[int(rng.choice(len(KINDS), p=list(KINDS.values())))]
    diameter, z_step = np.exp(rng.uniform(np.log((11, 0.5)), np.log((20, 3))))
    deep = int(np.clip(round(52 / z_step), 20, 64))
    wide = 8 * round((VOXELS / deep) ** 0.5 / 8)
    return synthesise(kind, (deep, wide, wide), number, cell_diameter=diameter, z_step=z_step)


def _segmented(number: int) -> dict[str, NDArray[Any]]:
    tissue = _tissue(number)
    volume, truth = tissue.image, np.asarray(tissue.labels.data)
    voxels = np.bincount(truth.ravel())[1:]
    voxels = voxels[voxels > 0]
    if len(voxels) < FEWEST_CELLS:
        return {"too_few": np.zeros(0)}
    known = np.cbrt(6 / np.pi * np.median(voxels)) * np.exp(np.random.default_rng(number).normal(0, DIAMETER_SPREAD))
    recipe = Recipe.model_validate({"rescale": {"cell_diameter": float(np.clip(known, 2, 500))}})
    result = drain(run(volume, recipe))
    kept = result.kept
    if kept is None:
        raise RuntimeError("a run keeps what it needs to make labels again")
    boundary = np.asarray(kept.probabilities["boundary"].data)
    image = np.asarray(volume.data)
    return {
        "image": image.astype(np.float16) if image.dtype.kind == "f" else image,
        "truth": truth.astype(np.uint16),
        "lumen": np.asarray(tissue.labels.lumen),
        "labels": result.labels.data.astype(np.uint16),
        "boundary": np.round(255 * np.clip(boundary, 0, 1)).astype(np.uint8),
        "other_partition": drain(other_partition(kept)).astype(np.uint16),
        "flipped": drain(flipped_prediction(volume, kept)).astype(np.uint16),
        "voxel_size": np.array(volume.voxel_size_um),
    }


def with_errors(labels: NDArray[np.uint32], rng: np.random.Generator) -> NDArray[np.uint32]:
    """Return labels in which some cells are merged, and others cut by a plane through their middle."""
    from napari_scutoid.steps.graph import region_graph

    changed = labels.copy()
    ids = np.unique(labels)[1:]
    graph = region_graph(labels, np.zeros(labels.shape, np.float32))
    large = graph.between_cells & (graph.area > np.median(graph.area))
    some = max(1, round(CHANGED * len(ids)))
    used: set[int] = set()
    for a, b in rng.permutation(graph.pairs[large])[:some].tolist():
        if used.isdisjoint((a, b)):
            changed[labels == b] = a
            used |= {a, b}
    highest = int(ids.max())
    for cell in rng.permutation(ids)[:some].tolist():
        if cell not in used:
            places = np.argwhere(labels == cell)
            beyond = (places - places.mean(axis=0)) @ rng.normal(size=3) > 0
            highest += 1
            changed[tuple(places[beyond].T)] = highest
    return changed


class Case(NamedTuple):
    """A stack's cells and faces: what they are judged by is asked of `suspects`, the truth is here."""

    scene: Scene
    suspects: Suspects
    verdicts: dict[int, Verdict]
    main: dict[int, int]
    """The true cell in which each cell lies mainly; 0 where it is none."""


def case_of(stack: Made, number: int) -> Case | None:
    """Return a stack ready to be judged; None where too much is wrong."""
    labels = with_errors(stack.labels.astype(np.uint32), np.random.default_rng(number))
    overlaps = count_overlaps(labels, stack.truth)
    verdicts = judge_cells(overlaps).prediction.by_id()
    wrong = sum(verdict != "matched" for verdict in verdicts.values())
    if wrong > MOST_WRONG * len(verdicts):
        return None
    size = VoxelSize(*stack.voxel_size)
    grid = Labels(labels, size)
    step = [e * n / m for e, n, m in zip(size, labels.shape, stack.boundary.shape, strict=True)]
    origin = Origin(*(0.5 * (s - e) for s, e in zip(step, size, strict=True)))
    evidence = GridEvidence.of(
        grid, Volume(stack.boundary, VoxelSize(*step), origin), Volume(stack.image.astype(np.float32), size)
    )
    index = drain(CellIndex.build(labels, evidence))
    scene = Scene(labels, index, size, evidence)
    suspects = drain(Suspects.build(scene, stack.others, _impartial(opinions=True)))
    triples = zip(overlaps.truth.tolist(), overlaps.prediction.tolist(), overlaps.voxels.tolist(), strict=True)
    main = {cell: true for true, cell, n in triples if cell and 2 * n > index.voxels(cell)}
    return Case(scene, suspects, verdicts, main)


def _impartial(*, opinions: bool) -> Judge:
    models = (
        AdditiveModel(0.0, tuple(Curve(name, (0.0,), (0.0,)) for name in names))
        for names in features_of(opinions=opinions)
    )
    face, cell = models
    return Judge(face, cell, cell, cell)


def learnt(cases: list[Case], *, opinions: bool) -> Judge:
    """Return the judge that fits best what is known of all cells and faces."""
    faces, cells = features_of(opinions=opinions)
    judge = _impartial(opinions=opinions)
    cases = [_judged(case, judge, opinions=opinions) for case in cases]
    judge = replace(judge, face=fitted(faces, *_joined([face_rows(case) for case in cases])))
    cases = [_judged(case, judge, opinions=opinions) for case in cases]
    rows, _, weights = _joined([cell_rows(case, "matched") for case in cases])
    for name, verdict in (("wrong", "matched"), ("merged", "merged"), ("invented", "invented")):
        happened = np.concatenate([cell_rows(case, verdict)[1] for case in cases])
        judge = replace(judge, **{name: fitted(cells, rows, ~happened if name == "wrong" else happened, weights)})
    return judge


def _judged(case: Case, judge: Judge, *, opinions: bool) -> Case:
    return case._replace(suspects=case.suspects.judged_by(case.scene, judge, opinions=opinions))


Rows = tuple["NDArray[np.float64]", "NDArray[np.bool_]", "NDArray[np.float64]"]


def face_rows(case: Case) -> Rows:
    """Return what the faces of a stack are judged by, which of them are false, and what each counts."""
    pairs, rows = case.suspects.faces(case.scene, case.suspects.cells)
    main = case.main
    false = np.array([main.get(a, 0) == main.get(b, -1) > 0 for a, b in pairs], np.bool_)
    return rows, false, _weights(len(rows), 6 * WEIGHT_CELLS)


def cell_rows(case: Case, verdict: Verdict) -> Rows:
    """Return what the cells of a stack are judged by, on which this is the verdict, and what each counts."""
    cells = case.suspects.cells
    rows = np.array([case.suspects.features(case.scene, cell) for cell in cells])
    return rows, np.array([case.verdicts[cell] == verdict for cell in cells]), _weights(len(cells), WEIGHT_CELLS)


def _weights(n: int, most: int) -> NDArray[np.float64]:
    return np.full(n, min(1.0, most / max(1, n)))


def _joined(parts: list[Rows]) -> Rows:
    rows, happened, weights = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, happened, weights


KNOTS, ROUGHNESS, RIDGE = 8, 4.0, 0.5


def fitted(
    names: Sequence[str], rows: NDArray[np.float64], happened: NDArray[np.bool_], weights: NDArray[np.float64]
) -> AdditiveModel:
    """Return the smooth curves under which what happened is most probable: penalised logistic regression."""
    from scipy.optimize import minimize

    knots = [_knots(column) for column in rows.T]
    basis = [_hats(column, places) for column, places in zip(rows.T, knots, strict=True)]
    design = np.concatenate([np.ones((len(rows), 1)), *basis], axis=1)
    penalty = [np.zeros((1, 1))]
    for places in knots:
        bends = np.diff(np.eye(len(places)), 2, axis=0)
        penalty.append(ROUGHNESS * bends.T @ bends + RIDGE * np.eye(len(places)))
    starts = np.cumsum([0, *(len(part) for part in penalty)])

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = design @ values
        total = float(weights @ (np.logaddexp(0, odds) - happened * odds))
        slope = design.T @ (weights * (probability(odds) - happened))
        for part, first in zip(penalty, starts, strict=False):
            own = slice(first, first + len(part))
            bent = part @ values[own]
            total += 0.5 * float(values[own] @ bent)
            slope[own] += bent
        return total, slope

    found = minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    intercept, curves = float(found[0]), []
    for name, places, hats, first in zip(names, knots, basis, starts[1:], strict=False):
        values = found[first : first + len(places)]
        usual = float(np.average(hats @ values, weights=weights))
        intercept += usual
        curves.append(Curve(name, tuple(places.round(5).tolist()), tuple((values - usual).round(4).tolist())))
    return AdditiveModel(round(intercept, 4), tuple(curves))


def _knots(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where a curve may bend: quantiles that differ, as stored."""
    places = np.unique(np.quantile(column, np.linspace(0.01, 0.99, KNOTS)).round(5))
    if len(places) < 3:  # rarely other than one value: what is rare counts, too
        places = np.unique(np.concatenate([places, np.quantile(np.unique(column), (0.0, 0.5, 1.0)).round(5)]))
    return places


def _hats(column: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.interp(column, places, unit) for unit in np.eye(len(places))], axis=1)


def ranking(p: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    """Return the probability that of two cases the one in which it happened has the higher odds."""
    from scipy.stats import rankdata

    n = int(happened.sum())
    rest = happened.size - n
    if not n or not rest:
        return float("nan")
    return float((rankdata(p)[happened].sum() - n * (n + 1) / 2) / (n * rest))


def check(cases: list[Case], judge: Judge, *, opinions: bool) -> None:
    """Print how far probabilities hold on these stacks."""
    judged = [_judged(case, judge, opinions=opinions) for case in cases]
    print(f"{'With' if opinions else 'Without'} second opinions, {len(cases)} unseen stacks")
    for name in ("face", "wrong", "merged", "invented"):
        verdict = "matched" if name == "wrong" else name
        parts = [face_rows(case) if name == "face" else cell_rows(case, verdict) for case in judged]
        rows, happened, _ = _joined(parts)
        happened = ~happened if name == "wrong" else happened
        p = probability(getattr(judge, name).log_odds(rows))
        error = expected_calibration_error(p, happened)
        print(
            f"  {name:9s} {len(p):6d} of which {happened.mean():6.1%}  expected calibration error {error:.3f}"
            f"  ranking {ranking(p, happened):.3f}"
        )


def main() -> None:
    """Learn, write and check, or only check."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--cache", type=Path, required=True, help="folder that keeps the stacks")
    arguments.add_argument("--stacks", type=int, default=38, help="stacks to learn from; half as many to check on")
    arguments.add_argument("--check", action="store_true", help="do not learn: check the packaged weights")
    options = arguments.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    if not options.check:
        cases = _cases(TRAINING, options.stacks, options.cache)
        alone, with_opinions = (learnt(cases, opinions=opinions) for opinions in (False, True))
        with replacing(WEIGHTS) as part:
            part.write_text(_written(as_json(alone, with_opinions)), encoding="utf-8")
    unseen = _cases(CHECKING, options.stacks // 2, options.cache)
    for opinions in (False, True):
        check(unseen, Judge.packaged(opinions=opinions), opinions=opinions)


def _written(weights: dict[str, Any]) -> str:
    """Return JSON with each list of numbers on one line."""
    text = json.dumps(weights, indent=1)
    return (
        re.sub(r"\[[^\[\]]*\]", lambda found: "[" + ", ".join(map(str.strip, found[0][1:-1].split(","))) + "]", text)
        + "\n"
    )


def _cases(first: int, count: int, cache: Path) -> list[Case]:
    found = []
    for number in range(first, first + count):
        stack = made(number, cache)
        case = None if stack is None else case_of(stack, number)
        if case is not None:
            found.append(case)
    return found


if __name__ == "__main__":
    main()

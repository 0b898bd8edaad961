"""The search for settings: known best ones are found, and what it promises is what the whole way gives."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from napari_scutoid.metrics import evaluate
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Partition, Recipe, Watershed, read_recipe
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.steps.rescale import labels_to_shape
from napari_scutoid.tune import Case, Scores, Trial, recipe_of, tune
from napari_scutoid.tune.confirm import confirmed
from napari_scutoid.volume import Labels
from told import assert_is_message, scutoid

if TYPE_CHECKING:
    from pathlib import Path

# Nothing but the boundary threshold decides here: shapes are no help, and nothing is overlooked.
PLAIN = Recipe(partition=Partition(method="none"), watershed=Watershed(closing=1.0))


def bricks() -> np.ndarray:
    """Eight cells of 12 x 12 x 12 voxels."""
    z, y, x = np.indices((24, 24, 24)) // 12
    return (1 + 4 * z + 2 * y + x).astype(np.uint32)


def weak_walls(strength: float = 0.35) -> Case:
    """Walls two voxels thick, all below the usual threshold, so that eight cells are seen as one."""
    truth = bricks()
    near = np.indices(truth.shape) % 12
    wall = ((near == 11) | (near == 0)) & (np.indices(truth.shape) > 0) & (np.indices(truth.shape) < 23)
    boundary = np.where(wall.any(axis=0), strength, 0.05).astype(np.float32)
    return Case(np.ones(truth.shape, np.float32), boundary, truth)


def scores_of(case: Case, recipe: Recipe) -> Scores:
    cells = drain(cells_from_probabilities(case.foreground, case.boundary, recipe, case.spacing)).labels
    scores = evaluate(cells, case.truth)
    return Scores(scores["ap50"], scores["arand"], scores["panoptic_quality"])


@pytest.fixture(scope="module")
def tuning() -> Any:
    return drain(tune([weak_walls()], PLAIN, n_watersheds=8))


def test_a_threshold_that_the_walls_reach_is_found(tuning):
    assert tuning.base_scores.ap50 == 0
    assert tuning.scores.ap50 == 1
    assert tuning.scores.arand < 0.05  # who gets the walls is up to the flooding
    assert tuning.recipe.watershed.boundary_threshold < 0.35


def test_what_is_promised_is_what_the_whole_way_gives(tuning):
    assert scores_of(weak_walls(), tuning.recipe) == pytest.approx(tuning.scores)
    assert tuning.predicted == pytest.approx(tuning.scores)


@pytest.mark.parametrize("method", ["none", "multicut", "gasp", "mutex", "shape"])
def test_each_method_is_promised_what_it_gives(tuning, method: str):
    of_method = [trial for trial in tuning.trials if trial.settings["partition"]["method"] == method]
    assert of_method
    for trial in (of_method[0], max(of_method, key=lambda one: one.scores.objective)):
        assert scores_of(weak_walls(), recipe_of(trial, PLAIN)) == pytest.approx(trial.scores, abs=1e-9)


def test_only_what_was_tuned_or_given_is_set(tuning):
    given = Recipe(watershed=Watershed(smallest_wall=0.5))
    stated = recipe_of(tuning.trials[0], given).model_dump(exclude_unset=True)
    assert set(stated) == {"watershed", "partition", "cleanup"}
    assert stated["watershed"]["smallest_wall"] == 0.5
    assert "backend" not in stated["watershed"] and "seed_height" not in stated["watershed"]
    assert stated["cleanup"] == {"min_size": 0.03, "min_size_unit": "cells"}


def test_the_same_seed_tries_the_same(tuning):
    again = drain(tune([weak_walls()], PLAIN, n_watersheds=8))
    assert (again.recipe, again.trials) == (tuning.recipe, tuning.trials)
    other = drain(tune([weak_walls()], PLAIN, n_watersheds=2, seed=1))
    n = len(other.trials) // 2
    assert [trial.settings for trial in other.trials[:n]] != [trial.settings for trial in tuning.trials[:n]]


def test_nothing_better_leaves_the_base():
    case = weak_walls(0.9)
    case = replace(case, truth=drain(cells_from_probabilities(case.foreground, case.boundary, PLAIN)).labels)
    found = drain(tune([case], PLAIN, n_watersheds=2))
    assert (found.recipe, found.predicted) == (PLAIN, None)
    assert found.scores == found.base_scores == (1, 0, 1)


@pytest.mark.parametrize("method", ["none", "gasp", "shape"])
def test_methods_can_be_kept(method: str):
    base = Recipe(partition=Partition(method=method), watershed=Watershed(closing=1.0, seeds="h-maxima"))
    found = drain(tune([weak_walls()], base, n_watersheds=4, keep_methods=True))
    tried = [recipe_of(trial, base) for trial in found.trials]
    assert tried and {one.partition.method for one in tried} == {method}
    assert {one.watershed.seeds for one in [found.recipe, *tried]} == {"h-maxima"}
    assert found.scores.objective >= found.base_scores.objective


def test_a_gain_that_chance_explains_leaves_the_base():
    case = weak_walls(0.55)
    # One cell of eight is split by a wall that is not there; all settings find the others.
    truth = case.truth.copy()
    truth[:6, :12, :12] = 9
    found = drain(tune([replace(case, truth=truth)], PLAIN, n_watersheds=4))
    careful = drain(tune([replace(case, truth=truth)], PLAIN, n_watersheds=4, standard_errors=1000.0))
    assert (careful.recipe, careful.scores) == (PLAIN, careful.base_scores)
    assert found.scores.objective >= careful.scores.objective


def test_settings_that_gain_nothing_are_put_back():
    case = weak_walls()
    # Found together: a threshold that the walls reach, and two settings that make no difference here.
    settings = {"watershed": {"boundary_threshold": 0.3, "closing": 0.7}, "cleanup": {"min_size": 0.1}}
    trial = Trial(settings, Scores(1.0, 0.0, 1.0))
    plain = drain(confirmed([case], PLAIN, [trial], 0.0)).recipe
    assert plain.watershed.closing == 0.7 and plain.cleanup.min_size == 0.1
    found = drain(confirmed([case], PLAIN, [trial], 2.0))
    assert found.recipe.watershed == PLAIN.watershed.model_copy(update={"boundary_threshold": 0.3})
    assert found.recipe.cleanup == PLAIN.cleanup and found.scores.ap50 == 1


def test_a_gain_of_all_cells_is_no_chance(tuning):
    careful = drain(tune([weak_walls()], PLAIN, n_watersheds=8, standard_errors=2.0))
    assert careful.scores.ap50 == tuning.scores.ap50 == 1
    assert careful.recipe.watershed.boundary_threshold == tuning.recipe.watershed.boundary_threshold


def test_scores_are_the_mean_of_the_stacks():
    cases = [weak_walls(), weak_walls(0.9)]
    found = drain(tune(cases, PLAIN, n_watersheds=4))
    each = [scores_of(case, found.recipe) for case in cases]
    assert found.scores == pytest.approx(np.mean(each, axis=0))


def test_seeds_that_a_model_predicts_are_not_searched():
    case = weak_walls()
    seeds = (np.indices(case.truth.shape) % 12 == 6).all(axis=0).astype(np.float32)
    found = drain(tune([replace(case, seeds=seeds)], n_watersheds=2))
    assert found.trials[0].scores.ap50 == 1
    tried = {name for trial in found.trials for name in trial.settings["watershed"]}
    assert tried == {"foreground_threshold", "closing", "boundary_threshold"}


def test_small_regions_go_where_the_wall_is_weakest():
    from napari_scutoid.tune.pieces import Pieces

    labels = np.zeros((2, 4, 12), np.uint32)
    labels[..., :4], labels[..., 4:5], labels[..., 5:9], labels[..., 11] = 1, 2, 3, 4
    boundary = np.zeros(labels.shape, np.float32)
    boundary[..., 3] = 0.9
    truth = np.where(labels == 2, np.uint32(3), labels)
    pieces = Pieces.of(labels, Case(np.ones_like(boundary), boundary, truth), 10.0)
    of = np.arange(5, dtype=np.uint32)
    assert pieces.without_small(of, 0).tolist() == [0, 1, 2, 3, 4]
    assert pieces.without_small(of, 9).tolist() == [0, 1, 3, 3, 0]  # the last has no neighbour


def test_wrong_arguments_are_named():
    case = weak_walls()
    with pytest.raises(ValueError, match="at least one stack"):
        drain(tune([]))
    with pytest.raises(ValueError, match="n_watersheds must be at least 1, not 0"):
        drain(tune([case], n_watersheds=0))
    with pytest.raises(ValueError, match=r"truth has shape \(12, 24, 24\), boundary \(24, 24, 24\)"):
        drain(tune([Case(case.foreground, case.boundary, case.truth[:12])]))
    with pytest.raises(ValueError, match="truth has no cell"):
        drain(tune([Case(case.foreground, case.boundary, np.zeros_like(case.truth))]))


# The command


def write(file: Path, provenance: dict[str, Any] | None = None, **arrays: np.ndarray) -> Path:
    with h5py.File(file, "w") as stream:
        for name, array in arrays.items():
            stream[name] = array
            if array.dtype == np.uint8:
                stream[name].attrs["scale"] = 1 / 255
        if provenance is not None:
            stream.attrs["provenance"] = json.dumps(provenance)
    return file


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    case = weak_walls()
    maps = {name: np.rint(getattr(case, name) * 255).astype(np.uint8) for name in ("foreground", "boundary")}
    # The stack was twice as fine across, and its own settings had no closing.
    stack = labels_to_shape(Labels(case.truth), (24, 48, 48)).data
    made = {
        "recipe": Recipe(watershed=Watershed(closing=1.0)).model_dump(mode="json"),
        "source": {"shape": [24, 48, 48]},
        "spacing": [1.0, 1.0, 1.0],
    }
    return write(tmp_path / "p.h5", made, **maps), write(tmp_path / "truth.h5", label=stack)


def test_the_command_writes_a_recipe_that_segment_reads(files, tmp_path: Path, capsys):
    recipe, table = tmp_path / "r.yaml", tmp_path / "t.csv"
    assert scutoid("tune", *files, "-o", recipe, "--watersheds", 6, "--table", table, "--json") == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["scores"]["ap50"] == 1 > told["base_scores"]["ap50"]
    assert "Warning" not in printed.err and "Trying watersheds" in printed.err
    written = read_recipe(recipe)
    assert written.model_dump(mode="json", exclude_unset=True) == told["recipe"] | {"version": 1}
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == told["n_settings"]
    assert rows[0]["closing"] == "1.0"  # the search starts from the settings of PROBABILITIES
    assert max(float(row["ap50"]) for row in rows) == 1


def test_an_unknown_voxel_size_is_told(files, tmp_path: Path, capsys):
    with h5py.File(files[0], "r+") as file:
        del file.attrs["provenance"]
    truth = write(tmp_path / "same.h5", label=bricks())
    assert scutoid("tune", files[0], truth, "-o", tmp_path / "r.yaml", "--watersheds", 1) == 0
    printed = capsys.readouterr()
    assert "z step is taken to equal an xy step" in printed.err
    assert [line.split()[0] for line in printed.out.splitlines()] == ["before", "ap50", "arand", "panoptic_quality"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"p": {"label": bricks()}}, "no data set `foreground`"),
        ({"truth": {"label": bricks()[:, :, :20]}}, r"(24, 24, 20)"),
        ({"truth": {"label": np.zeros((24, 24, 24), np.uint16)}}, "it has no cell"),
        ({"p": {"foreground": bricks().astype(np.uint16), "boundary": bricks().astype(np.uint16)}}, "no probabilities"),
    ],
)
def test_what_cannot_be_tuned_is_told(files, change, why: str, tmp_path: Path, capsys):
    for name, arrays in change.items():
        write(tmp_path / f"{name}.h5", **arrays)
    assert scutoid("tune", *files, "-o", tmp_path / "r.yaml") == 2
    assert_is_message(capsys.readouterr().err, why)
    assert not (tmp_path / "r.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("p.h5", "-o", "r.yaml"), "no pairs"),
        (("p.h5", "truth.h5", "-o", "r.h5"), "a recipe is YAML"),
        (("p.h5", "truth.h5", "-o", "nowhere/r.yaml"), "there is no folder"),
        (("p.h5", "truth.h5", "-o", "r.yaml", "--table", "t.txt"), "comma-separated"),
        (("p.h5", "truth.h5", "-o", "r.yaml", "--recipe", "um3.yaml"), "cubic micrometres"),
    ],
)
def test_wishes_that_cannot_be_met_are_told(files, arguments, why, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "um3.yaml").write_text("cleanup: {min_size_unit: um3}", encoding="utf-8")
    assert scutoid("tune", *arguments) == 2
    assert_is_message(capsys.readouterr().err, why)

"""Cells made again from the same probabilities with other settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.steps import partition, seeds, tissue, watershed
from napari_scutoid.steps.cells import cells_from_probabilities
from napari_scutoid.steps.memo import Remembering
from napari_scutoid.steps.staged import StagedCells
from napari_scutoid.steps.tissue import Stack
from napari_scutoid.steps.walls import typical_diameter

SPACING = (2.0, 1.0, 1.0)
CHANGES: dict[str, tuple[Any, ...]] = {
    "watershed.method": ("watershed", "components"),
    "watershed.foreground_threshold": (0.3, 0.5, 0.7),
    "watershed.closing": (0.3, 0.5, 1.0),
    "watershed.boundary_threshold": (0.3, 0.5, 0.8),
    "watershed.smallest_wall": (0.0, 0.02, 0.5),
    "watershed.seeds": ("prominent", "h-maxima", "maxima"),
    "watershed.seed_sigma": (0.0, 0.07, 0.2),
    "watershed.seed_distance": (0.0, 0.14),
    "watershed.seed_prominence": (0.0, 0.1, 0.4),
    "watershed.seed_height": (0.0, 0.1),
    "partition.method": ("shape", "multicut", "none"),
    "partition.beta": (0.3, 0.6),
    "partition.weak_wall": (0.1, 0.6),
    "partition.split_gain": (0.01, 0.1),
    "cleanup.min_size": (0.0, 0.03, 0.5),
    "cleanup.fill_holes": (True, False),
}
change = st.sampled_from([(name, value) for name, values in CHANGES.items() for value in values])


def rooms() -> tuple[np.ndarray, np.ndarray]:
    """Return maps of twelve cells with weak walls, a dark middle, a gap and a speck."""
    rng = np.random.default_rng(0)
    boundary = np.zeros((14, 24, 32), np.float32)
    boundary[:, 8::8], boundary[:, :, 8::8] = 0.9, 0.9
    boundary[5:9, 2:6, 8] = 0.0
    boundary[7, 12, 12] = 1.0
    boundary[:, 17:, 16] = 0.35
    boundary = np.clip(gaussian_filter(boundary, 0.4) + 0.1 * rng.random(boundary.shape, np.float32), 0, 1)
    foreground = np.ones_like(boundary)
    foreground[4:10, 10:14, 18:22] = 0.4
    foreground[:, :, 28:] = 0.1
    return foreground, boundary


def changed(recipe: Recipe, name: str, value: Any) -> Recipe:
    part, field = name.split(".")
    return recipe.model_copy(update={part: getattr(recipe, part).model_copy(update={field: value})})


def anew(recipe: Recipe) -> np.ndarray:
    return drain(cells_from_probabilities(*rooms(), recipe, SPACING)).labels


@settings(deadline=None, max_examples=15)
@given(st.lists(change, min_size=2, max_size=4))
def test_every_change_gives_what_a_new_start_gives(changes):
    staged, recipe = StagedCells(*rooms(), SPACING), Recipe()
    drain(staged.cells(recipe))
    for name, value in changes:
        recipe = changed(recipe, name, value)
        np.testing.assert_array_equal(drain(staged.cells(recipe)).labels, anew(recipe))


def test_the_rooms_are_worth_dividing():
    assert {int(anew(changed(Recipe(), "partition.method", method)).max()) for method in ("shape", "none")} != {0}
    assert anew(Recipe()).max() >= 6


@pytest.fixture
def work(monkeypatch):
    """Return the names of the costly functions as they are called."""
    calls: list[str] = []

    def note(module, name):
        function = getattr(module, name)

        def called(*given: Any, **named: Any) -> Any:
            calls.append(name)
            return function(*given, **named)

        monkeypatch.setattr(module, name, called)

    for module, name in (
        (tissue, "wall_distance"),
        (tissue, "find_maxima"),
        (tissue, "flood"),
        (watershed, "flood"),
        (seeds, "flood"),
        (partition, "region_graph"),
        (partition, "Divisions"),
    ):
        note(module, name)
    return calls


@pytest.mark.parametrize(
    ("name", "value", "runs"),
    [
        ("cleanup.min_size", 0.2, set()),
        ("partition.split_gain", 0.2, set()),
        ("partition.method", "multicut", set()),
        ("watershed.seed_prominence", 0.9, {"flood", "region_graph", "Divisions"}),
        ("watershed.seed_distance", 0.3, {"find_maxima", "flood", "region_graph", "Divisions"}),
        (
            "watershed.boundary_threshold",
            0.45,
            {"wall_distance", "find_maxima", "flood", "region_graph", "Divisions"},
        ),
    ],
)
def test_only_what_a_change_reaches_runs_again(work, name, value, runs):
    staged = StagedCells(*rooms(), SPACING)
    without_closing = changed(Recipe(), "watershed.closing", 1.0)  # closing may pass any change on to the tissue
    drain(staged.cells(without_closing))
    work.clear()
    drain(staged.cells(changed(without_closing, name, value)))
    assert set(work) <= runs
    assert bool(work) == bool(runs)


def test_the_same_settings_again_run_nothing(work):
    staged = StagedCells(*rooms(), SPACING)
    first = drain(staged.cells(Recipe())).labels
    work.clear()
    np.testing.assert_array_equal(drain(staged.cells(Recipe())).labels, first)
    assert work == []


def test_a_cancelled_job_leaves_nothing_wrong_behind():
    staged = StagedCells(*rooms(), SPACING)
    drain(staged.cells(Recipe()))
    other = changed(changed(Recipe(), "watershed.boundary_threshold", 0.4), "partition.weak_wall", 0.5)
    for n_reports in (1, 3, 5, 6, 9):
        job = staged.cells(other)
        for _, _ in zip(range(n_reports), job, strict=False):
            pass
        job.close()
        np.testing.assert_array_equal(drain(staged.cells(Recipe())).labels, anew(Recipe()))
    np.testing.assert_array_equal(drain(staged.cells(other)).labels, anew(other))


def test_a_stage_that_fails_is_run_again():
    memo, made = Remembering(), object()
    with pytest.raises(ZeroDivisionError):
        memo.stage("one", (), (1,), lambda: 1 // 0)
    assert memo.stage("one", (), (1,), lambda: made) is made
    assert memo.stage("one", (), (1,), lambda: 1 // 0) is made  # not run
    assert memo.stage("one", (made,), (1,), lambda: 2) == 2


def test_a_piece_takes_the_typical_size_from_its_stack():
    foreground, boundary = rooms()
    whole = drain(cells_from_probabilities(foreground, boundary, Recipe(), SPACING)).diameter
    piece = foreground[:, :12, :16].copy(), boundary[:, :12, :16].copy()
    alone = drain(cells_from_probabilities(*piece, Recipe(), SPACING)).diameter
    assert alone != pytest.approx(whole)
    stack = Stack(whole / alone, foreground.shape)
    assert drain(StagedCells(*piece, SPACING, stack=stack).cells(Recipe())).diameter == pytest.approx(whole, rel=0.05)
    assert typical_diameter(np.ones((2, 2, 2), np.float32)) == 2.0

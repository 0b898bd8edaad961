"""Which cells a new model gets right that an old one got wrong, and the other way round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.metrics import evaluate
from napari_scutoid.progress import Progress, drain
from napari_scutoid.training import compare
from napari_scutoid.training.compare import ChangedCell, Comparison, compare_labels, compare_models, only_changed
from napari_scutoid.training.stacks import Material
from napari_scutoid.volume import UNKNOWN, Labels, Volume


def four_cells() -> np.ndarray:
    """Return cells 1, 2, 3 and 70000 of 2 x 4 x 4 voxels side by side."""
    labels = np.zeros((4, 4, 16), np.uint32)
    labels[1:3] = np.repeat([1, 2, 3, 70000], 4)
    return labels


def merged(labels: np.ndarray, one: int, other: int) -> np.ndarray:
    return np.where(labels == one, other, labels)


def test_fixed_and_broken_cells_are_named_with_their_place():
    truth = four_cells()
    old, new = merged(truth, 1, 2), np.where(truth == 70000, 0, truth)
    found = compare_labels("gland", truth, old, new)
    assert (found.n_true, found.n_old, found.n_new, found.n_both) == (4, 3, 3, 1)
    assert found.fixed == (ChangedCell(1, (1.5, 1.5, 1.5)), ChangedCell(2, (1.5, 1.5, 5.5)))
    assert found.broken == (ChangedCell(70000, (1.5, 1.5, 13.5)),)
    assert found.ap50_old == pytest.approx(2 / 5) and found.ap50_new == pytest.approx(3 / 4)


def test_only_changed_cells_keep_their_labels():
    truth = four_cells()
    ids = sorted(set(np.unique(truth)) - {0})
    found = compare_labels("stack", truth, merged(truth, ids[0], ids[1]), truth)
    kept = only_changed(truth, found)
    changed = [cell.id for cell in found.fixed]
    assert changed and kept.dtype == np.uint32
    np.testing.assert_array_equal(kept, np.where(np.isin(truth, changed), truth, 0))


def test_the_same_segmentation_changes_nothing():
    truth = four_cells()
    found = compare_labels("gland", truth, truth, truth + np.uint32(1) * (truth > 0))
    assert found.fixed == found.broken == () and found.n_both == 4
    assert found.ap50_old == found.ap50_new == 1.0
    nothing = compare_labels("empty", truth * 0, truth * 0, truth * 0)
    assert nothing.ap50_old is None and nothing.ap50_new is None


@given(seed=st.integers(0, 10_000))
def test_the_scores_are_those_of_evaluate_and_no_cell_is_counted_twice(seed):
    rng = np.random.default_rng(seed)
    truth, old, new = (rng.integers(0, 5, (3, 4, 2)).repeat(2, 2).astype(np.uint32) for _ in range(3))
    old = np.where(rng.random() < 0.5, old, truth)
    found = compare_labels("random", truth, old, new)
    for made, score in ((old, found.ap50_old), (new, found.ap50_new)):
        assert (0.0 if score is None else score) == pytest.approx(evaluate(made, truth)["ap50"] or 0.0)
    assert not {cell.id for cell in found.fixed} & {cell.id for cell in found.broken}
    assert found.n_both + len(found.fixed) + len(found.broken) <= found.n_true
    swapped = compare_labels("random", truth, new, old)
    assert (swapped.fixed, swapped.broken) == (found.broken, found.fixed)


def test_the_total_counts_cells_of_all_stacks_alike():
    truth = four_cells()
    one = compare_labels("one", truth, merged(truth, 1, 2), truth)
    other = compare_labels("other", truth[:, :, :4], truth[:, :, :4], truth[:, :, :4] * 0)
    total = Comparison("old", "new", (one, other)).total
    assert (total.n_true, total.n_old, total.n_new, total.n_both) == (5, 4, 4, 2)
    assert [cell.id for cell in total.fixed] == [1, 2] and [cell.id for cell in total.broken] == [1]
    assert total.ap50_old == pytest.approx(3 / 6) and total.ap50_new == pytest.approx(4 / 5)


@pytest.mark.parametrize("mark", [9, UNKNOWN])
def test_both_models_segment_each_stack_and_unknown_voxels_do_not_count(monkeypatch, mark):
    truth = four_cells()
    unknown = np.where(truth == 70000, np.uint32(mark), truth)
    asked = []

    def run(volume, recipe, model):
        asked.append((volume.source, model))
        yield Progress("Predicting", 1, 2)
        made = merged(truth, 1, 2) if model == "before" else truth
        return type("Result", (), {"labels": Labels(made)})

    monkeypatch.setattr(compare, "run", run)
    material = Material("gland", Volume(np.zeros(truth.shape)), Labels(unknown))
    told = []
    steps = compare_models("before", "after", [lambda: material], ignore=9)
    found = drain(steps, lambda progress: told.append(progress.step))
    assert [model for _, model in asked] == ["before", "after"]
    (one,) = found.stacks
    assert (one.name, one.n_true, one.n_old, one.n_new) == ("gland", 3, 2, 3)
    assert [cell.id for cell in one.fixed] == [1, 2] and (found.old, found.new) == ("before", "after")
    assert "Stack 1 of 1, new model: Predicting" in told

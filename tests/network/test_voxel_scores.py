"""Agreement of outputs voxel by voxel: known counts, and that it does not matter in which parts they are counted."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid.metrics.classes import compare_classes
from napari_scutoid.network.voxel_scores import VoxelCounts, count_voxels

NAMES = ("foreground", "boundary")
PREDICTED = np.array([[0.9, 0.9, 0.1, 0.1], [0.2, 0.8, 0.8, 0.5]], np.float32).reshape(2, 1, 2, 2)
TRUE = np.array([[1, 1, 1, 0], [0, 1, 0, 0]], np.float32).reshape(2, 1, 2, 2)


def test_known_counts_of_independent_outputs():
    counts = count_voxels(NAMES, PREDICTED, TRUE)
    assert counts.confusion_matrix() == [[[1, 0], [1, 2]], [[2, 1], [0, 1]]]
    assert counts.iou() == pytest.approx({"foreground": 2 / 3, "boundary": 1 / 2})
    assert counts.dice() == pytest.approx({"foreground": 4 / 5, "boundary": 2 / 3})
    assert counts.mean_iou() == pytest.approx(7 / 12)
    assert counts.mean_dice() == pytest.approx(11 / 15)
    assert counts.precision_recall_f1("boundary") == pytest.approx((1 / 2, 1, 2 / 3))


def test_known_counts_of_outputs_that_exclude_each_other():
    names = ("background", "cell", "boundary")
    predicted = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.1, 0.2, 0.7], [0.4, 0.35, 0.25]]).T.reshape(3, 1, 2, 2)
    true = np.eye(3)[[0, 1, 1, 2]].T.reshape(3, 1, 2, 2)
    counts = count_voxels(names, predicted, true, exclusive=True)
    assert counts.confusion_matrix() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]
    assert counts.iou() == pytest.approx({"background": 1 / 2, "cell": 1 / 2, "boundary": 0})
    assert counts.mean_iou() == pytest.approx(1 / 3)
    assert counts.precision_recall_f1("boundary") == (0, 0, 0)
    assert counts.precision_recall_f1("cell") == pytest.approx((1, 1 / 2, 2 / 3))


def test_soft_targets_are_yes_above_one_half():
    counts = count_voxels(("soft_boundary",), np.full((1, 4), 0.6), np.array([[0.0, 0.5, 0.51, 1.0]]))
    assert counts.confusion_matrix() == [[[0, 2], [0, 2]]]


def test_what_never_occurs_has_no_score():
    counts = count_voxels(NAMES, PREDICTED, TRUE, np.array([[[1, 0], [0, 0]]]))
    assert counts.iou() == {"foreground": 1.0, "boundary": None}
    assert counts.mean_iou() == 1.0
    assert counts.precision_recall_f1("boundary") == (None, None, None)
    nothing = VoxelCounts.none(NAMES)
    assert nothing.iou() == {"foreground": None, "boundary": None}
    assert nothing.mean_iou() is None and nothing.mean_dice() is None


def test_a_side_without_the_output_leaves_one_ratio_undefined():
    none, some = np.zeros((1, 3)), np.ones((1, 3))
    assert count_voxels(("boundary",), none, some).precision_recall_f1("boundary") == (None, 0, 0)
    assert count_voxels(("boundary",), some, none).precision_recall_f1("boundary") == (0, None, 0)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize(
    "valid",
    [
        np.array([[[True, True], [False, True]]]),
        np.array([[[[0.5, 3], [0, 1]]]], np.float32),
        np.broadcast_to(np.array([[1, 1], [0, 1]]), (2, 1, 2, 2)),
    ],
)
def test_voxels_of_no_weight_are_not_counted(valid, exclusive):
    counts = count_voxels(NAMES, PREDICTED, TRUE, valid, exclusive=exclusive)
    kept = np.array([0, 1, 3])
    assert (
        counts.confusion_matrix()
        == count_voxels(
            NAMES, PREDICTED.reshape(2, 4)[:, kept], TRUE.reshape(2, 4)[:, kept], exclusive=exclusive
        ).confusion_matrix()
    )
    assert counts.matrices[0].sum() == 3


def test_each_output_may_have_its_own_mask():
    valid = np.ones((2, 1, 2, 2))
    valid[1, 0, 0] = 0
    assert count_voxels(NAMES, PREDICTED, TRUE, valid).matrices.sum(axis=(1, 2)).tolist() == [4, 2]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tensors_count_as_arrays_do(dtype, exclusive):
    arrays = count_voxels(NAMES, PREDICTED, TRUE.astype(bool), TRUE[:1] >= 0, exclusive=exclusive)
    tensors = count_voxels(
        NAMES,
        torch.from_numpy(PREDICTED).to(dtype),
        torch.from_numpy(TRUE).to(dtype),
        torch.ones(1, 1, 2, 2),
        exclusive=exclusive,
    )
    assert tensors.confusion_matrix() == arrays.confusion_matrix()


def test_arrays_may_be_read_only_or_reversed():
    predicted, true = PREDICTED.copy(), TRUE[..., ::-1]
    predicted.flags.writeable = False
    counts = count_voxels(NAMES, predicted[..., ::-1], true)
    assert counts.confusion_matrix() == count_voxels(NAMES, PREDICTED, TRUE).confusion_matrix()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    outputs=st.integers(1, 4),
    length=st.integers(0, 30),
    cut=st.integers(0, 30),
    exclusive=st.booleans(),
)
def test_parts_add_up_to_the_whole(seed, outputs, length, cut, exclusive):
    rng = np.random.default_rng(seed)
    names = [f"output {index}" for index in range(outputs)]
    predicted, true = rng.random((2, outputs, length))
    valid = rng.random(length) < 0.8
    whole = count_voxels(names, predicted, true, valid, exclusive=exclusive)
    parts = VoxelCounts.none(names, exclusive=exclusive)
    for part in (slice(None, cut), slice(cut, None)):
        parts += count_voxels(names, predicted[:, part], true[:, part], valid[part], exclusive=exclusive)
    np.testing.assert_array_equal(parts.matrices, whole.matrices)
    assert (whole.matrices.sum(axis=(1, 2)) == valid.sum()).all()
    swapped = count_voxels(names, true, predicted, valid, exclusive=exclusive)
    np.testing.assert_array_equal(swapped.matrices, whole.matrices.swapaxes(1, 2))
    assert swapped.iou() == whole.iou()
    for name in names:
        precision, recall, f1 = whole.precision_recall_f1(name)
        assert swapped.precision_recall_f1(name) == (recall, precision, f1)
        assert f1 == whole.dice()[name]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_exclusive_outputs_score_as_classes_of_an_image(seed):
    rng = np.random.default_rng(seed)
    predicted, true = rng.integers(0, 3, (2, 40))
    one_hot = [np.eye(3)[classes].T for classes in (predicted, true)]
    counts = count_voxels("abc", *one_hot, exclusive=True)
    classes = compare_classes(predicted, true)
    assert [score for score in counts.iou().values() if score is not None] == list(classes["iou_per_class"].values())
    assert counts.mean_iou() == pytest.approx(classes["mean_iou_all"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((NAMES, PREDICTED, TRUE[:1]), r"probabilities have shape \(2, 1, 2, 2\), target \(1, 1, 2, 2\)"),
        ((NAMES[:1], PREDICTED, TRUE), "of 1 outputs"),
        ((NAMES, PREDICTED, TRUE, np.ones((2, 2))), r"valid has shape \(2, 2\), target \(2, 1, 2, 2\)"),
    ],
)
def test_shapes_that_differ_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        count_voxels(*arguments)


def test_counts_of_other_outputs_do_not_add():
    with pytest.raises(ValueError, match="do not add"):
        VoxelCounts.none(NAMES) + VoxelCounts.none(("foreground", "lumen"))
    with pytest.raises(ValueError, match="do not add"):
        VoxelCounts.none(NAMES) + VoxelCounts.none(NAMES, exclusive=True)
    with pytest.raises(ValueError, match=r"matrices must have shape .*not \(2, 3, 3\)"):
        VoxelCounts(NAMES, np.zeros((2, 3, 3), np.int64))
    with pytest.raises(ValueError, match="name must be one of foreground, boundary, not 'lumen'"):
        VoxelCounts.none(NAMES).precision_recall_f1("lumen")

"""Separation weights: the formula by hand, distances against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_scutoid.network.loss_weights import separation_weights, two_nearest_cells
from napari_scutoid.recipe.train import Loss

EDGES = st.sampled_from([0.25, 0.3, 1.0, 1.7, 4.0])
LABELS = arrays(
    np.uint32, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.sampled_from([0, 0, 1, 2, 3, 9])
)


def _by_brute_force(labels, spacing):
    voxels = np.stack(np.nonzero(np.ones(labels.shape)), axis=1) * (np.array(spacing) / min(spacing))
    distances = [np.full(labels.size, np.inf)] * 2
    for cell in np.unique(labels[labels > 0]):
        there = voxels[labels.ravel() == cell]
        distances.append(np.linalg.norm(voxels[:, None] - there[None], axis=2).min(axis=1))
    nearest, second = np.sort(np.stack(distances), axis=0)[:2]
    return nearest.reshape(labels.shape), second.reshape(labels.shape)


@given(LABELS, st.tuples(EDGES, EDGES, EDGES))
def test_distances_are_those_to_the_two_nearest_cells(labels, spacing):
    nearest, second = two_nearest_cells(labels, spacing)
    expected = _by_brute_force(labels, spacing)
    np.testing.assert_allclose(nearest, expected[0], rtol=1e-5)
    np.testing.assert_allclose(second, expected[1], rtol=1e-5)
    assert nearest.dtype == second.dtype == np.float32


def test_distances_among_many_cells():
    labels = np.random.default_rng(0).integers(0, 3000, (6, 9, 10)).astype(np.uint32)
    labels[labels > 200] = 0
    expected = _by_brute_force(labels, (2, 1, 1))
    np.testing.assert_allclose(two_nearest_cells(labels, (2, 1, 1)), expected, rtol=1e-5)


def _weight(nearest, second, *, in_cell):
    balance = 1 if in_cell else 0.2 + 0.8 * math.exp(-(nearest**2) / (2 * 3**2))
    return balance + 10 * math.exp(-((nearest + second) ** 2) / (2 * 2**2))


SETTINGS = Loss(separation=10, separation_sigma=2, background_sigma=3, background_weight=0.2)


def test_weights_by_hand_in_a_gap_and_along_a_contact():
    labels = np.array([5, 5, 0, 0, 7, 8, 0, 0], np.uint32).reshape(1, 1, -1)
    expected = [
        1.0,  # nothing is to be parted inside a cell
        _weight(0, 3, in_cell=True),
        _weight(1, 2, in_cell=False),
        _weight(1, 2, in_cell=False),
        _weight(0, 1, in_cell=True),
        _weight(0, 1, in_cell=True),
        _weight(1, 2, in_cell=False),
        _weight(2, 3, in_cell=False),
    ]
    weights = separation_weights(labels, SETTINGS, (1, 1, 1))
    assert weights.dtype == np.float32
    assert weights.ravel().tolist() == pytest.approx(expected)


def test_distances_along_z_count_in_voxels_of_the_finest_axis():
    labels = np.array([1, 0, 2], np.uint32).reshape(3, 1, 1)
    expected = [_weight(0, 8, in_cell=True), _weight(4, 4, in_cell=False), _weight(0, 8, in_cell=True)]
    assert separation_weights(labels, SETTINGS, (2, 0.5, 0.5)).ravel().tolist() == pytest.approx(expected)


def test_weights_around_one_cell_and_in_an_empty_patch():
    one = np.array([1, 0, 0], np.uint32).reshape(1, 1, 3)
    expected = [1, *(0.2 + 0.8 * math.exp(-(distance**2) / 18) for distance in (1, 2))]
    assert separation_weights(one, SETTINGS, (1, 1, 1)).ravel().tolist() == pytest.approx(expected)
    assert separation_weights(0 * one, SETTINGS, (1, 1, 1)).ravel().tolist() == pytest.approx([0.2] * 3)


@given(LABELS, st.permutations([4, 11, 2_000_000_000]))
def test_weights_do_not_depend_on_ids(labels, ids):
    renamed = labels.copy()
    for old, new in zip((1, 2, 3), ids, strict=True):
        renamed[labels == old] = new
    np.testing.assert_allclose(
        separation_weights(labels, SETTINGS, (2, 1, 1)), separation_weights(renamed, SETTINGS, (2, 1, 1)), rtol=1e-6
    )


@pytest.mark.parametrize(
    ("labels", "spacing", "message"),
    [
        (np.zeros((2, 2), np.uint32), (1, 1, 1), r"three axes .* \(2, 2\)"),
        (np.zeros((1, 2, 2), np.uint32), (1, 1), "spacing must be three"),
        (np.zeros((1, 2, 2), np.uint32), (1, 0, 1), "positive"),
        (np.full((1, 2, 2), 0.5), (1, 1, 1), "whole numbers"),
    ],
)
def test_what_makes_no_sense_is_refused(labels, spacing, message):
    with pytest.raises(ValueError, match=message):
        separation_weights(labels, SETTINGS, spacing)

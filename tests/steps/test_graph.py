"""The graph of regions, and partitions of it by walls alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_scutoid.steps.graph import merge_costs, partitioned, region_graph

METHODS = ("multicut", "gasp", "mutex")


def row_of_rooms(*walls):
    """Return labels 1, 2, 3, ... in a row, with these boundary probabilities on the contacts between them."""
    n = len(walls) + 1
    labels = np.zeros((3, 3, 4 * n + 2), np.uint32)
    boundary = np.full(labels.shape, 0.1, np.float32)
    for i in range(n):
        labels[:, :, 1 + 4 * i : 5 + 4 * i] = i + 1
    for i, wall in enumerate(walls):
        boundary[:, :, 4 + 4 * i : 6 + 4 * i] = wall
    return labels, boundary


def test_contacts_know_their_wall_and_area():
    graph = region_graph(*row_of_rooms(0.9, 0.3))
    inner = graph.between_cells
    assert graph.pairs[inner].tolist() == [[1, 2], [2, 3]]
    assert graph.wall[inner] == pytest.approx([0.9, 0.3])
    assert len(set(graph.area[inner])) == 1
    assert graph.n_nodes == 4


def test_a_wall_at_beta_speaks_neither_for_nor_against():
    walls = np.array([0.1, 0.5, 0.9])
    assert merge_costs(walls, 0.5) == pytest.approx([2.188, 0.0, -2.188], abs=1e-3)
    assert np.all(merge_costs(walls, 0.7) < merge_costs(walls, 0.5))


def test_probabilities_that_overshoot_have_a_cost_too():
    assert merge_costs(np.array([-0.005, 1.005]), 0.5) == pytest.approx(merge_costs(np.array([0.0, 1.0]), 0.5))


@pytest.mark.parametrize("method", METHODS)
def test_weak_walls_merge_and_strong_ones_do_not(method):
    graph = region_graph(*row_of_rooms(0.9, 0.1, 0.8))
    assert partitioned(graph, method, 0.5).tolist() == [0, 1, 2, 2, 3]


@pytest.mark.parametrize("method", METHODS)
def test_beta_decides_about_walls_in_between(method):
    graph = region_graph(*row_of_rooms(0.4))
    assert partitioned(graph, method, 0.3).tolist() == [0, 1, 1]
    assert partitioned(graph, method, 0.8).tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", METHODS)
def test_nothing_merges_with_the_background(method):
    labels, boundary = row_of_rooms(0.9)
    graph = region_graph(labels, np.where(labels == 0, 0.0, boundary))
    assert partitioned(graph, method, 0.5).tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", METHODS)
def test_a_single_region_without_contacts_stays(method):
    ones = np.ones((2, 3, 4), np.uint32)
    assert partitioned(region_graph(ones, ones.astype(np.float32)), method, 0.5).tolist() == [0, 1]


@pytest.mark.parametrize("method", METHODS)
@given(
    labels=hnp.arrays(np.uint32, (3, 4, 5), elements=st.integers(0, 5)),
    boundary=hnp.arrays(np.float32, (3, 4, 5), elements=st.floats(0, 1, width=32)),
)
def test_regions_are_merged_never_cut(method, labels, boundary):
    new = partitioned(region_graph(labels, boundary), method, 0.5)
    assert new[0] == 0
    assert np.array_equal(new[labels] == 0, labels == 0)

"""Maxima of the distance to the wall become seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.steps import seeds_compiled
from napari_scutoid.steps.seeds import find_maxima, place_seeds, standing_out
from napari_scutoid.steps.walls import wall_distance


def profile(*distances):
    return np.asarray(distances, np.float32).reshape(1, 1, -1)


def seeds_of(distance, *, sigma=0.0, smallest_distance=0.0, prominence=0.0, **others):
    return place_seeds(distance, sigma=sigma, smallest_distance=smallest_distance, prominence=prominence, **others)


def places(seeds):
    return np.nonzero(seeds[0, 0])[0].tolist()


def test_a_plateau_is_one_seed():
    distance = np.zeros((3, 9, 9), np.float32)
    distance[1, 1:8, 1:3] = 3
    distance[1, 1:8, 5:8] = 4
    assert [seeds_of(distance, smallest_distance=d).max() for d in (2.0, 3.5, 4.5)] == [2, 1, 0]


def test_a_shoulder_is_no_seed():
    assert places(seeds_of(profile(0, 1, 1, 1, 2, 3, 1, 0))) == [5]


def test_smoothing_removes_small_maxima():
    ridge = profile(0, 2, 4, 5, 4.9, 5, 4.9, 5, 4, 2, 0)
    assert seeds_of(ridge).max() == 3
    assert seeds_of(ridge, sigma=1.0).max() == 1


@pytest.mark.parametrize("backend", ["compiled", "bioimage-cpp", "scikit-image"])
def test_prominence_is_relative_to_the_lower_maximum(backend):
    for scale in (1.0, 10.0):
        waist = profile(0, 4, 8, 10, 7, 9, 3, 0) * np.float32(scale)  # 7 is 22 % less than 9
        assert places(seeds_of(waist, prominence=0.2, backend=backend)) == [3, 5]
        assert places(seeds_of(waist, prominence=0.25, backend=backend)) == [3]


def test_of_equal_maxima_one_stays():
    assert places(seeds_of(profile(0, 5, 4.9, 5, 4.8, 5, 0), prominence=0.1)) == [1]


def test_a_chain_of_maxima_is_one_seed():
    assert places(seeds_of(profile(0, 5, 4.8, 5.2, 5, 5.4, 5.2, 5.6, 0), prominence=0.1)) == [7]


def test_maxima_behind_a_wall_both_stay():
    assert places(seeds_of(profile(0, 5, 0, 6, 0), prominence=1.0)) == [1, 3]


@given(st.lists(st.integers(0, 30), min_size=3, max_size=20, unique=True), st.sampled_from([0.1, 0.3, 0.6]))
def test_equals_the_definition_on_a_line(heights, prominence):
    line = [0, *(h + 1 for h in heights), 0]
    peaks = [i for i in range(1, len(line) - 1) if line[i - 1] < line[i] > line[i + 1]]

    def narrowest_way_to_a_higher_one(i):
        return max((min(line[min(i, j) : max(i, j) + 1]) for j in peaks if line[j] > line[i]), default=-1)

    expected = [i for i in peaks if narrowest_way_to_a_higher_one(i) < np.float32(1 - prominence) * line[i]]
    assert places(seeds_of(profile(*line), prominence=prominence)) == expected


def test_no_interior_gives_no_seed():
    assert not seeds_of(np.zeros((3, 4, 5), np.float32), sigma=1.0, prominence=0.1).any()


def test_smoothing_honours_the_voxel_edges():
    ridge = np.zeros((1, 3, 11), np.float32)
    ridge[0, 1] = [0, 2, 4, 5, 4.9, 5, 4.9, 5, 4, 2, 0]
    assert seeds_of(ridge, sigma=1.0, unit=(1, 1, 1)).max() < seeds_of(ridge, sigma=1.0, unit=(1, 1, 10)).max()


@pytest.mark.parametrize("sigma", [0.0, 0.8])
@pytest.mark.parametrize("worth_a_thread", [1, 10**9])
def test_compiled_maxima_and_passes_are_those_of_flooding(monkeypatch, sigma, worth_a_thread):
    monkeypatch.setattr(seeds_compiled, "_WORTH_A_THREAD", worth_a_thread)
    distance = wall_distance(np.random.default_rng(0).random((12, 30, 40)) > 0.02, (1.0, 1.0, 1.0))
    for smallest in (0.0, 3.0):
        compiled, reference = (
            find_maxima(distance, sigma=sigma, smallest_distance=smallest, with_passes=True, backend=backend)
            for backend in ("compiled", "scikit-image")
        )
        assert reference.seeds.max() > 20
        np.testing.assert_array_equal(compiled.seeds, reference.seeds)
        np.testing.assert_array_equal(compiled.heights, reference.heights)
        if (
            sigma == 0
        ):  # many passes are equally high: floods meet beyond them, and so take them for higher than they are
            continue
        for prominence in (0.05, 0.2):
            kept = [standing_out(found, prominence=prominence) for found in (compiled, reference)]
            assert 0 < kept[1].max() < reference.seeds.max()
            np.testing.assert_array_equal(*kept)


def test_a_wall_as_high_as_the_maximum_beside_it_ends_the_way():
    smooth, distance = np.array([[[2, 2, 1]]], np.float32), np.array([[[1, 0, 1]]], np.float32)
    seeds, pairs, passes = seeds_compiled.maxima_and_passes(smooth, distance, 0.0, with_passes=True)
    assert seeds.tolist() == [[[1, 0, 0]]]
    assert pairs.size == passes.size == 0


@given(st.integers(0, 2**32 - 1), st.integers(2, 4))
def test_maxima_of_coarse_heights_are_those_of_the_definition(seed, levels):
    from skimage.morphology import local_maxima

    rng = np.random.default_rng(seed)
    smooth = rng.integers(1, levels + 1, (3, 4, 5)).astype(np.float32)
    distance = (rng.random(smooth.shape) > 0.3).astype(np.float32)
    smooth[0, 0, 0] = levels + 1  # scikit-image finds no maximum in a constant image
    expected = local_maxima(smooth, connectivity=3) & (distance > 0)
    seeds, _, _ = seeds_compiled.maxima_and_passes(smooth, distance, 0.0, with_passes=True)
    np.testing.assert_array_equal(seeds > 0, expected)

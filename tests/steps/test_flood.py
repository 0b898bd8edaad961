"""Seeded watershed: all implementations beside each other, and beside what flooding means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.metrics import adapted_rand_error

from napari_scutoid.steps.flood import flood

BACKENDS = ["compiled", "bioimage-cpp", "scikit-image"]


def relief(seed, shape, share_open=0.9, share_of_seeds=0.02):
    """Return distinct heights in random order, a few seeds, and a mask with holes."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    heights = (rng.permutation(n) / n).astype(np.float32).reshape(shape)
    sown = rng.random(shape) < share_of_seeds
    seeds = np.zeros(shape, np.uint32)
    seeds[sown] = rng.permutation(np.count_nonzero(sown)) + 1
    return heights, seeds, rng.random(shape) < share_open


def first_to_arrive(height, seeds, mask):
    """Return for every voxel the seeds that the lowest water reaching it can come from, by trying every level."""
    arrived = np.empty(height.shape, object)
    for level in np.unique(height[mask]):
        pieces, n = ndimage.label(mask & (height <= level))
        for piece in range(1, n + 1):
            there = pieces == piece
            own = frozenset(np.unique(seeds[there]).tolist()) - {0}
            for place in np.argwhere(there):
                if arrived[tuple(place)] is None and own:
                    arrived[tuple(place)] = own
    return arrived


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from([(3, 5, 6), (1, 7, 9), (4, 4, 4)]))
def test_every_voxel_goes_to_a_seed_that_reaches_it_first(seed, shape):
    height, seeds, mask = relief(seed, shape, share_of_seeds=0.08)
    cells = flood(height, seeds, mask)
    for found, possible in zip(cells.ravel(), first_to_arrive(height, seeds, mask).ravel(), strict=True):
        assert found in possible if possible else found == 0


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6))
def test_without_ties_it_equals_scikit_image(seed):
    from napari_scutoid.steps.flood_compiled import grown

    height, seeds, mask = relief(seed, (6, 14, 17))  # fewer voxels than levels
    reference = flood(height, seeds, mask, "scikit-image")
    np.testing.assert_array_equal(grown(height, seeds, mask, sure=0.0), reference)
    cells = flood(height, seeds, mask)
    np.testing.assert_array_equal(cells > 0, reference > 0)


@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_smooth_relief_agrees_with_scikit_image(backend):
    rng = np.random.default_rng(0)
    height = ndimage.gaussian_filter(rng.standard_normal((20, 40, 40)), 2).astype(np.float32)
    minima = height == ndimage.minimum_filter(height, 5)
    seeds = ndimage.label(minima)[0].astype(np.uint32)
    mask = ndimage.gaussian_filter(rng.standard_normal(height.shape), 3) > -0.02
    found = flood(height, seeds, mask, backend)
    reference = flood(height, seeds, mask, "scikit-image")
    np.testing.assert_array_equal(found > 0, reference > 0)
    assert adapted_rand_error(reference, found)[0] < 1e-3


@pytest.mark.parametrize("backend", ["compiled", "scikit-image"])
def test_cells_meet_on_the_wall_and_in_the_middle_of_a_plain(backend):
    height, seeds = np.zeros((1, 3, 9), np.float32), np.zeros((1, 3, 9), np.uint32)
    height[..., 6] = 1.0
    seeds[0, 1, 1], seeds[0, 1, 8] = 5, 9
    everywhere = np.ones(seeds.shape, bool)
    assert flood(height, seeds, everywhere, backend)[0, 1].tolist()[:6] == [5] * 6
    assert flood(height, seeds, everywhere, backend)[0, 1, 7] == 9
    flat = flood(np.zeros_like(height), seeds, everywhere, backend)[0, 1]
    assert (flat[:4] == 5).all() and (flat[6:] == 9).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_passes_a_corner_or_the_mask(backend):
    mask = np.zeros((1, 4, 4), bool)
    mask[0, :2, :2] = mask[0, 2:, 2:] = True
    seeds = np.zeros(mask.shape, np.uint32)
    seeds[0, 0, 0] = seeds[0, 0, 3] = 7  # the second lies outside
    cells = flood(np.zeros(mask.shape, np.float32), seeds, mask, backend)
    assert (cells[0, :2, :2] == 7).all() and np.count_nonzero(cells) == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_seeds_there_are_no_cells(backend):
    nothing = np.zeros((2, 3, 4), np.uint32)
    assert not flood(np.ones(nothing.shape, np.float32), nothing, np.ones(nothing.shape, bool), backend).any()


def test_inputs_stay_as_they_are_and_may_be_views():
    height, seeds, mask = (array[:, ::2, :] for array in relief(3, (4, 12, 9)))
    before = [array.copy() for array in (height, seeds, mask)]
    for array in (height, seeds, mask):
        array.setflags(write=False)
    found = flood(height, seeds, mask)
    np.testing.assert_array_equal(found, flood(*before))
    for array, was in zip((height, seeds, mask), before, strict=True):
        np.testing.assert_array_equal(array, was)


def test_very_large_ids_are_kept():
    seeds = np.zeros((1, 1, 3), np.uint32)
    seeds[0, 0, 0] = 2**32 - 1
    assert (flood(np.zeros(seeds.shape, np.float32), seeds, np.ones(seeds.shape, bool)) == 2**32 - 1).all()


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        flood(np.zeros((1, 2, 2), np.float32), np.zeros((1, 2, 2), np.uint32), np.zeros((1, 2, 3), bool))

"""Changed intensities keep within their bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_scutoid.network.intensities import changed_intensities, up_or_down, with_gamma
from napari_scutoid.recipe.train import Augment

NEVER = dict.fromkeys((name for name in Augment.model_fields if "_" not in name), 0.0)


def image():
    return np.random.default_rng(0).normal(0.5, 0.3, (8, 16, 16)).astype(np.float32)


def changes(name, n=30, given=None, **bounds):
    """What n draws of one change make of an image, and how they call it."""
    given = image() if given is None else given
    stated = Augment(**{**NEVER, name: 1.0}, **bounds)
    rng = np.random.default_rng(1)
    for _ in range(n):
        before = given.copy()
        changed, words = changed_intensities(given, stated, rng)
        np.testing.assert_array_equal(given, before, "the image was changed in place")
        assert changed.dtype == np.float32
        assert len(words) == 1
        yield changed, words[0]


def test_nothing_drawn_gives_the_same_array():
    one = image()
    changed, words = changed_intensities(one, Augment(**NEVER), np.random.default_rng(0))
    assert changed is one
    assert words == []


def test_brightness_adds_a_constant():
    added = [changed - image() for changed, _ in changes("brightness", brightness_range=0.2)]
    assert max(np.ptp(one) for one in added) < 1e-6
    assert 0.1 < max(abs(one.mean()) for one in added) <= 0.2 + 1e-6


def test_contrast_multiplies():
    factors = [np.median(changed / image()) for changed, _ in changes("contrast", contrast_range=2.0)]
    assert 0.5 <= min(factors) < 0.7 < 1.5 < max(factors) <= 2.0


@given(
    one=arrays.arrays(np.float32, (2, 3, 4), elements=st.floats(-2, 5, width=32)),
    power=st.floats(0.25, 4),
)
@settings(deadline=None)
def test_gamma_keeps_the_range_and_the_order(one, power):
    changed = with_gamma(one, power)
    np.testing.assert_allclose([changed.min(), changed.max()], [one.min(), one.max()], atol=1e-5)
    assert (np.diff(changed.ravel()[np.argsort(one, axis=None)]) >= -1e-5).all()


def test_gamma_is_the_power_of_the_share_of_the_range():
    one = np.array([[[-1.0, 0.0, 1.0, 3.0]]], np.float32)
    np.testing.assert_allclose(with_gamma(one, 2.0), [[[-1, -0.75, 0, 3]]], atol=1e-6)
    assert {word.split()[0] for _, word in changes("gamma")} == {"gamma"}


def test_noise_has_no_mean_and_at_most_its_bound():
    sigmas = [(changed - image()).std() for changed, _ in changes("noise", noise_sigma=0.2)]
    assert 0.15 < max(sigmas) < 0.21
    assert min(sigmas) < 0.05


def test_noise_is_as_strong_as_its_words_say():
    for changed, word in changes("noise", n=5, noise_sigma=1.0):
        assert (changed - image()).std() == pytest.approx(float(word.split()[1]), rel=0.1, abs=0.02)


def test_blur_spreads_a_point_by_at_most_its_bound_and_less_across_thick_slices():
    point = np.zeros((31, 31, 31), np.float32)
    point[15, 15, 15] = 1
    squared = (np.indices(point.shape) - 15.0) ** 2
    spreads = [
        [np.sqrt((changed * axis).sum()) for axis in squared]
        for changed, _ in changes("blur", given=point, blur_sigma=2.0)
    ]
    assert 1.5 < np.max(spreads) < 2.05
    stated = Augment(**{**NEVER, "blur": 1.0}, blur_sigma=3.0)
    changed, _ = changed_intensities(point, stated, np.random.default_rng(1), (3.0, 1.0, 1.0))
    z, y, x = (np.sqrt((changed * axis).sum()) for axis in squared)
    assert x == pytest.approx(y)
    assert z < 0.5 * x
    assert changed.sum() == pytest.approx(1, abs=1e-4)


def test_each_slice_gets_its_own_factor():
    for changed, _ in changes("slices", n=5, slices_range=0.3):
        factors = (changed / image()).reshape(8, -1)
        np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1], factors.shape), rtol=1e-4)
        assert np.abs(factors[:, 0] - 1).max() <= 0.3 + 1e-5
        assert np.ptp(factors[:, 0]) > 0.1


def test_cutout_hides_one_box_within_its_bound():
    for changed, word in changes("cutout", cutout_share=0.5):
        where = np.nonzero(changed != image())
        lengths = [int(np.ptp(index)) + 1 for index in where]
        assert word == "cut-out " + "x".join(map(str, lengths))
        assert len(where[0]) == np.prod(lengths)
        assert all(length <= n / 2 for length, n in zip(lengths, image().shape, strict=True))
        np.testing.assert_allclose(changed[where], image().mean(), rtol=1e-5)


def test_cutout_of_less_than_a_voxel_is_none():
    changed, words = changed_intensities(
        image(), Augment(**{**NEVER, "cutout": 1.0}, cutout_share=0.1), np.random.default_rng(0)
    )
    np.testing.assert_array_equal(changed, image())
    assert words == []


@given(bound=st.floats(1, 4), seed=st.integers(0, 1000))
def test_factors_keep_their_bound(bound, seed):
    assert 1 / bound * (1 - 1e-9) <= up_or_down(bound, np.random.default_rng(seed)) <= bound * (1 + 1e-9)

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_scutoid.progress import drain
from napari_scutoid.recipe import Normalise
from napari_scutoid.steps.histogram import BINS, LAZY_SLICES, before_and_after, sampling

BOX = (slice(1, 5), slice(2, 8), slice(0, 3))


class Lazy:
    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype, self.read = data, data.shape, data.dtype, 0

    def __getitem__(self, key: Any) -> Any:
        self.read += 1
        return self.data[key]


def test_a_small_stack_is_its_own_sample() -> None:
    data = np.arange(6 * 8 * 4).reshape(6, 8, 4)
    np.testing.assert_array_equal(drain(sampling(data)), data)
    np.testing.assert_array_equal(drain(sampling(data, BOX)), data[BOX])


@given(st.integers(1, 40), st.integers(1, 30), st.integers(10, 3000))
def test_a_sample_is_bounded_and_comes_from_the_stack(depth: int, width: int, voxels: int) -> None:
    lazy = Lazy(np.arange(depth * width * width).reshape(depth, width, width))
    sample = drain(sampling(lazy, voxels=voxels))
    # Strides are whole numbers, and the first voxel of each row counts too.
    assert 0 < sample.size <= (math.sqrt(voxels) + math.sqrt(LAZY_SLICES)) ** 2
    assert lazy.read == sample.shape[0] <= LAZY_SLICES
    assert np.unique(sample).size == sample.size


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
@pytest.mark.parametrize("stabilise", ["none", "sqrt", "log"])
@pytest.mark.parametrize("method", ["zscore", "minmax", "percentile"])
def test_every_voxel_is_counted_before_and_after(dtype: Any, stabilise: Any, method: Any) -> None:
    values = np.random.default_rng(0).gamma(2.0, 30.0, (4, 20, 20)).astype(np.uint8)
    sample = (values > 80 if dtype is bool else values).astype(dtype)
    settings = Normalise(method=method, stabilise=stabilise, low_percentile=10, high_percentile=90)
    before, after = drain(before_and_after(sample, settings))
    for histogram in (before, after):
        assert histogram.counts.sum() == sample.size
        assert np.all(np.diff(histogram.edges) > 0)
        assert 0 < histogram.counts.size <= BINS + 2
        assert histogram.edges[0] <= histogram.zero < histogram.one <= histogram.edges[-1]
    assert (after.zero, after.one) == (0.0, 1.0)


def test_the_marks_are_the_intensities_that_become_0_and_1() -> None:
    sample = np.arange(1000, dtype=np.uint16).reshape(10, 10, 10)
    before, _ = drain(before_and_after(sample, Normalise(low_percentile=10, high_percentile=90)))
    assert (before.zero, before.one) == pytest.approx((99.9, 899.1))
    before, after = drain(before_and_after(sample, Normalise(method="minmax", stabilise="sqrt")))
    assert (before.zero, before.one) == pytest.approx((0, 999))
    # The root of a flat distribution rises in a straight line.
    rise = after.counts[after.counts.size // 2 :].mean() / after.counts[: after.counts.size // 2].mean()
    assert rise == pytest.approx(3, rel=0.1)


def test_whole_numbers_fill_bins_evenly() -> None:
    sample = np.tile(np.arange(250, dtype=np.uint8), 40).reshape(10, 20, 50)
    for histogram in drain(before_and_after(sample, Normalise())):
        assert np.unique(histogram.counts[1:-1]).size == 1


def test_one_hot_pixel_does_not_squeeze_the_others() -> None:
    sample = np.random.default_rng(1).normal(100, 10, (10, 40, 40)).astype(np.float32)
    sample[0, 0, 0] = 60_000
    before, _ = drain(before_and_after(sample, Normalise()))
    assert before.edges[-1] < 1000
    assert np.count_nonzero(before.counts) > BINS / 2


@given(arrays(np.uint16, (2, 3, 4), elements=st.integers(0, 65535)))
def test_any_stack_with_contrast_has_a_histogram(data: np.ndarray) -> None:
    if data.min() == data.max():
        with pytest.raises(ValueError, match="no contrast"):
            drain(before_and_after(data, Normalise(method="minmax")))
    else:
        before, _ = drain(before_and_after(data, Normalise(method="minmax")))
        assert before.counts.sum() == data.size

"""Filters along one axis after another, beside SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt, gaussian_filter

from napari_scutoid.steps import lines
from napari_scutoid.steps.lines import distance_inside, smoothed
from napari_scutoid.steps.threads import in_parts

shapes = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 70))


@settings(deadline=None, max_examples=20)
@given(shapes, st.tuples(*[st.sampled_from([0.0, 0.4, 1.7, 3.0])] * 3), st.integers(0, 99))
def test_smoothing_is_that_of_scipy(shape, sigmas, seed):
    volume = np.random.default_rng(seed).random(shape, np.float32)
    expected = gaussian_filter(volume, sigmas, mode="nearest")
    np.testing.assert_allclose(smoothed(volume, sigmas), expected, atol=1e-5)


@settings(deadline=None, max_examples=30)
@given(shapes, st.sampled_from([(1.0, 1.0, 1.0), (3.1, 0.5, 0.7)]), st.integers(0, 99), st.sampled_from([0.02, 0.3]))
def test_distances_are_those_of_scipy(shape, unit, seed, share):
    interior = np.random.default_rng(seed).random(shape) > share
    interior[0, 0, 0] = False
    expected = distance_transform_edt(interior, sampling=unit)
    np.testing.assert_allclose(distance_inside(interior, unit), expected, rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_far_walls_are_found_too(axis):
    shape = [2, 2, 2]
    shape[axis] = 200
    interior = np.ones(shape, bool)
    np.moveaxis(interior, axis, 0)[0] = False
    far = np.moveaxis(distance_inside(interior, (1.0, 1.0, 1.0)), axis, 0)
    np.testing.assert_allclose(far[:, 0, 0], np.arange(200), rtol=1e-5)


def test_threads_change_nothing(monkeypatch):
    volume = np.random.default_rng(0).random((5, 6, 40), np.float32)
    alone = smoothed(volume, (1, 1, 1)), distance_inside(volume > 0.1, (1, 1, 1))
    monkeypatch.setattr(lines, "_WORTH_A_THREAD", 1)
    np.testing.assert_array_equal(smoothed(volume, (1, 1, 1)), alone[0])
    np.testing.assert_array_equal(distance_inside(volume > 0.1, (1, 1, 1)), alone[1])


@pytest.mark.parametrize(("n", "at_least"), [(1, 1), (7, 1), (7, 4), (7, 100)])
def test_parts_hold_every_row_once(n, at_least):
    parts = in_parts(lambda first, last: list(range(first, last)), n, at_least=at_least)
    assert [row for part in parts for row in part] == list(range(n))
    assert len(parts) <= max(1, n // at_least)


def test_an_error_in_a_part_is_raised():
    def fail(_first: int, _last: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_parts(fail, 9)

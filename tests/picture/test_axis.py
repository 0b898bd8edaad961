"""Axes end where they should and carry round numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.picture.axis import fitted_axis, linear_axis, round_axis


def test_numbers_of_a_linear_axis():
    axis = linear_axis(0, 37, most=7, whole=True)
    assert (axis.low, axis.high, axis.ticks) == (0, 37, (0, 10, 20, 30))
    assert axis.share(37 / 4) == pytest.approx(1 / 4)
    assert linear_axis(0, 2, most=7, whole=True).ticks == (0, 1, 2)
    assert linear_axis(3, 3).ticks == pytest.approx((3, 3.2, 3.4, 3.6, 3.8, 4))


def test_numbers_of_a_fitted_axis():
    assert fitted_axis([2, 7]).ticks == (0, 2, 4, 6, 8)
    assert fitted_axis([-1, 2]).ticks == (-1, -0.5, 0, 0.5, 1, 1.5, 2)
    wide = fitted_axis([0.03, 1.2])
    assert wide.log and wide.ticks == pytest.approx((0.02, 0.05, 0.1, 0.2, 0.5, 1, 2))
    assert wide.share(0.2) == pytest.approx(1 / 2)
    assert fitted_axis([1e-5, 3]).ticks == pytest.approx((1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10))
    assert fitted_axis([]) == fitted_axis([1])
    assert round_axis(5).ticks == (0, 1, 2, 3, 4, 5)


def test_what_lies_outside_is_put_at_the_end():
    assert linear_axis(0, 1).share(7) == 1 and linear_axis(0, 1).share(-7) == 0


@given(st.lists(st.floats(-1e6, 1e6) | st.floats(1e-6, 1e6), min_size=1, max_size=5))
def test_a_fitted_axis_holds_its_values_and_ends_at_numbers(values):
    axis = fitted_axis(values)
    near = (axis.high - axis.low) * 1e-6
    assert (
        axis.low - near <= max(min(values), max(values) * 1e-10 if axis.log else -math.inf)
        and max(values) <= axis.high + near
    )
    assert axis.ticks[0] == pytest.approx(axis.low, abs=near) and axis.ticks[-1] == pytest.approx(axis.high, abs=near)
    assert 2 <= len(axis.ticks) <= 14
    shares = [axis.share(value) for value in sorted(values)]
    assert shares == sorted(shares) and all(0 <= share <= 1 and math.isfinite(share) for share in shares)

"""Long work told in steps, alone and as a part of larger work."""

from __future__ import annotations

import pytest

from napari_scutoid.progress import Progress, drain, one_of, within

AT = Progress("The whole", 2, 5)


def part(closed: list[str], fails: bool = False):
    try:
        yield Progress("A part", 1, 2)
        if fails:
            raise ValueError("no")
        yield Progress("A part", 2, 2)
        return 42
    finally:
        closed.append("closed")


def test_a_part_is_shown_as_the_whole_and_gives_its_result():
    shown: list[Progress] = []
    assert drain(within(part([]), AT), shown.append) == 42
    assert shown == [AT, AT]


def test_closing_the_whole_closes_the_part():
    closed: list[str] = []
    steps = within(part(closed), AT)
    assert next(steps) == AT and not closed
    steps.close()
    assert closed == ["closed"]


def test_errors_of_the_part_come_through():
    closed: list[str] = []
    with pytest.raises(ValueError, match="no"):
        drain(within(part(closed, fails=True), AT))
    assert closed == ["closed"]


def test_a_step_that_comes_again_is_counted_over_all_runs():
    shown: list[Progress] = []
    closed: list[str] = []
    assert drain(one_of(part(closed), 1, 3, step="A part", words="All parts"), shown.append) == 42
    assert shown == [Progress("All parts", 3, 6), Progress("All parts", 4, 6)] and closed == ["closed"]
    assert next(one_of(part([]), 1, 3, step="Another part", words="All parts")) == Progress("A part", 1, 2)


@pytest.mark.parametrize(("done", "total", "fraction"), [(0, 0, 0.0), (3, 0, 0.0), (1, 4, 0.25), (9, 4, 1.0)])
def test_the_fraction_is_bounded(done, total, fraction):
    assert Progress("x", done, total).fraction == fraction

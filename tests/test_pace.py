"""How long a job will still take."""

from __future__ import annotations

import pytest

from napari_scutoid.estimate import NETWORK_STEP
from napari_scutoid.network.predict import STEP
from napari_scutoid.pace import Outlook, Parts, Stopwatch, describe
from napari_scutoid.progress import Progress


def test_remaining_time_follows_the_pace_of_the_step():
    watch = Stopwatch()
    assert watch.remaining(Progress("Predicting", 0, 10), 100.0) is None
    assert watch.remaining(Progress("Predicting", 2, 10), 104.0) == pytest.approx(16.0)
    assert watch.remaining(Progress("Watershed", 0, 10), 200.0) is None
    assert watch.remaining(Progress("Watershed", 0, 10), 201.0) is None
    assert watch.remaining(Progress("Watershed", 10, 10), 210.0) == 0.0


def test_unknown_totals_have_no_remaining_time():
    watch = Stopwatch()
    watch.remaining(Progress("Opening", 0, 0), 0.0)
    assert watch.remaining(Progress("Opening", 5, 0), 1.0) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1, "a few seconds left"),
        (31, "about 30 s left"),
        (58, "about 1 min left"),
        (600, "about 10 min left"),
        (7200, "about 2.0 h left"),
    ],
)
def test_durations_read_like_speech(seconds, text):
    assert describe(seconds) == text


def test_the_whole_job_is_its_main_step_by_its_pace_and_the_rest_as_expected():
    watch = Outlook(Parts(10.0, 60.0, 20.0), "Predicting")
    assert watch.remaining(Progress("Reading", 0, 4), 100.0) == pytest.approx(90.0)
    assert watch.remaining(Progress("Reading", 1, 4), 104.0) == pytest.approx(12.0 + 80.0)
    assert watch.remaining(Progress("Predicting", 0, 10), 110.0) == pytest.approx(80.0)
    assert watch.remaining(Progress("Predicting", 5, 10), 150.0) == pytest.approx(40.0 + 20.0)
    assert watch.remaining(Progress("Growing cells", 4, 5), 200.0) == pytest.approx(20.0)
    assert watch.remaining(Progress("Growing cells", 4, 5), 215.0) == pytest.approx(5.0)
    assert watch.remaining(Progress("Growing cells", 4, 5), 290.0) == 0.0


def test_a_part_that_takes_longer_than_expected_lasts_as_long_as_its_step():
    watch = Outlook(Parts(1.0, 60.0, 20.0), "Predicting")
    watch.remaining(Progress("Rescaling", 0, 10), 0.0)
    assert watch.remaining(Progress("Rescaling", 5, 10), 50.0) == pytest.approx(50.0 + 80.0)


def test_the_main_step_is_the_networks():
    assert NETWORK_STEP == STEP

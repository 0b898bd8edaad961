"""What was measured once is remembered, and a time that was too long is mended later."""

from __future__ import annotations

import os
import time

import pytest

from napari_scutoid.network.measured import remembered


@pytest.fixture
def file(tmp_path):
    return tmp_path / "numbers.json"


def grow_old(file, seconds):
    then = time.time() - seconds
    os.utime(file, (then, then))


def test_it_is_measured_once(file):
    assert remembered("a", lambda: 2.0, file) == 2.0
    assert remembered("a", lambda: 1.0, file) == 2.0
    assert remembered("b", lambda: 3.0, file) == 3.0
    grow_old(file, 1e6)
    assert remembered("a", lambda: 1.0, file) == 2.0


def test_a_time_is_measured_again_and_the_shorter_one_kept(file):
    assert remembered("a", lambda: 2.0, file, again_after_s=100) == 2.0
    assert remembered("a", lambda: 1.0, file, again_after_s=100) == 2.0
    grow_old(file, 200)
    assert remembered("a", lambda: 1.0, file, again_after_s=100) == 1.0
    grow_old(file, 200)
    assert remembered("a", lambda: 5.0, file, again_after_s=100) == 1.0


def test_a_damaged_file_only_costs_measuring_again(file):
    file.write_text("[1, 2")
    assert remembered("a", lambda: 2.0, file, again_after_s=100) == 2.0
    assert remembered("a", lambda: 1.0, file, again_after_s=100) == 2.0

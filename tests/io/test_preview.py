from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.io import preview
from napari_scutoid.io.preview import middle_slice, sections


@pytest.fixture
def ramp():
    """A stack that grows along x, with a bright slice in the middle."""
    data = np.broadcast_to(np.arange(40, dtype=np.uint16), (9, 20, 40)).copy()
    data[4] += 100
    return data


def test_the_middle_slice_is_the_picture(ramp):
    picture = middle_slice(ramp, 20)
    assert picture.shape == (10, 20)
    assert picture.dtype == np.uint8
    assert (picture[:, 0] == 0).all()
    assert (picture[:, -1] == 255).all()


def test_three_planes_lie_through_the_middle(ramp):
    made = sections(ramp, 40)
    assert (made.xy.shape, made.xz.shape, made.yz.shape) == ((20, 40), (9, 40), (20, 9))
    assert made.xz[4].min() > made.xz[3].max()
    assert made.yz[:, 4].min() > made.yz[:, 3].max()


def test_ids_are_told_apart_and_background_is_black():
    labels = np.repeat(np.arange(5, dtype=np.uint32), 4).reshape(1, 1, 20)
    picture = middle_slice(labels, 64, labels=True)
    assert picture[0, 0] == 0
    assert len(np.unique(picture)) == 5
    assert picture[0, 4:].min() >= 64


@pytest.mark.parametrize("data", [np.full((2, 3, 4), 7), np.full((2, 3, 4), np.nan), np.full((2, 3, 4), 1e30)])
def test_an_even_stack_is_black(data):
    assert not middle_slice(data, 64).any()


def test_what_costs_too_much_is_not_read(ramp, monkeypatch):
    monkeypatch.setattr(preview, "MOST_BYTES", 20 * 40 * 2 - 1)
    made = sections(ramp, 40)
    assert made.xy is None
    assert made.xz is not None

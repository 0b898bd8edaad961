"""Volumes side by side."""

from __future__ import annotations

import numpy as np

from napari_scutoid.picture import sheet


def test_a_sheet_shows_the_slice_above_and_the_stretched_section_below():
    volume = np.zeros((4, 10, 20, 3), np.uint8)
    volume[1] = 50
    volume[:, 3] = 200
    picture = np.asarray(sheet([("one", volume), ("two", volume)], z=1, y=3, z_step=3.0, zoom=2))
    assert picture.shape[1] == 2 * (40 + 6) + 6
    assert picture.shape[0] == 16 + 20 + 6 + 24 + 6
    assert picture[17, 10, 0] == 50
    assert picture[16 + 20 + 6 + 12, 10, 0] == 200

"""Colours that mean something."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.picture import HIT, INVENTED, MISSED, coloured, errors, grey


def test_grey_is_not_hidden_by_one_bright_voxel():
    image = np.linspace(0, 1, 1000).reshape(10, 10, 10)
    image[0, 0, 0] = 1e6
    assert 100 < grey(image)[5, 5, 5, 0] < 255


def test_a_constant_image_is_drawn():
    assert grey(np.full((2, 2, 2), 3)).shape == (2, 2, 2, 3)


def test_cells_have_their_own_bright_colours_and_nothing_is_black():
    colours = coloured(np.arange(50))
    assert colours[0].tolist() == [0, 0, 0]
    assert len({tuple(colour) for colour in colours[1:]}) == 49
    assert colours[1:].max(axis=1).min() > 150


def test_errors_are_coloured_by_kind():
    truth = np.zeros((1, 12, 3), int)
    prediction = np.zeros((1, 12, 3), int)
    truth[0, 1:4], prediction[0, 1:4] = 1, 7  # found
    truth[0, 5:8] = 2  # missed
    prediction[0, 9:12] = 8  # invented
    picture = errors(prediction, truth, {7: 1})
    assert tuple(picture[0, 2, 1]) == HIT
    assert tuple(picture[0, 6, 1]) == MISSED
    assert tuple(picture[0, 10, 1]) == INVENTED
    assert tuple(picture[0, 0, 1]) == (255, 255, 255)


def test_errors_need_one_shape():
    with pytest.raises(ValueError, match="shape"):
        errors(np.zeros((1, 2, 2), int), np.zeros((1, 2, 3), int), {})

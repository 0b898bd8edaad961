"""The picture of a slice that a person sees after each epoch."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.picture.look import COLOURS, look_picture


def test_image_truth_and_prediction_lie_side_by_side():
    labels = np.zeros((6, 5), np.uint32)
    labels[:, 2:] = 70000
    foreground, boundary = (labels > 0).astype(np.float32), np.zeros((6, 5), np.float32)
    boundary[:, 2] = 1
    image = np.arange(30, dtype=np.float16).reshape(6, 5)
    picture = look_picture(
        image, labels, {"background": 1 - foreground, "foreground": foreground, "boundary": boundary}
    )
    assert picture.shape == (6, 3 * 5 + 2 * 4, 3) and picture.dtype == np.uint8
    raw, truth, prediction = picture[:, :5], picture[:, 9:14], picture[:, 18:]
    assert (np.diff(raw[..., 0].ravel().astype(int)) >= 0).all() and raw.min() == 0 and raw.max() == 255
    assert np.array_equal(truth.any(axis=-1), labels > 0)
    assert (prediction[:, :2] == 0).all() and (prediction[:, 3:] == COLOURS[0]).all()
    both = np.minimum(np.array(COLOURS[0]) + COLOURS[1], 255)
    assert (prediction[:, 2] == both).all()


def test_planes_must_be_of_one_slice():
    plane = np.zeros((4, 4), np.float32)
    with pytest.raises(ValueError, match=r"wall has shape \(3, 4\), image \(4, 4\)"):
        look_picture(plane, np.zeros((4, 4), np.uint32), {"wall": plane[1:]})

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_scutoid.proofread.additive import AdditiveModel, Curve, expected_calibration_error, probability

MODEL = AdditiveModel(-1.0, (Curve("size", (0.0, 1.0), (0.0, 2.0)), Curve("holes", (0.0, 0.5, 1.0), (0.0, 1.0, 0.0))))


def test_curves_are_straight_between_knots_and_level_beyond():
    features = np.array([[0.5, 0.25], [9.0, -9.0]])
    assert MODEL.contributions(features).tolist() == [[1.0, 0.5], [2.0, 0.0]]
    assert MODEL.log_odds(features).tolist() == [0.5, 1.0]
    assert MODEL.contributions(np.zeros((0, 2))).shape == (0, 2)


def test_a_model_survives_json():
    stored = json.loads(json.dumps(MODEL.as_json()))
    assert AdditiveModel.from_json(stored, ("size", "holes")) == MODEL


@pytest.mark.parametrize(
    ("curve", "features"),
    [
        ({"knots": [0, 1], "values": [0, 1]}, ("holes",)),
        ({"knots": [0, 1], "values": [0]}, ("size",)),
        ({"knots": [1, 0], "values": [0, 1]}, ("size",)),
        ({"knots": [], "values": []}, ("size",)),
    ],
)
def test_another_model_is_refused(curve, features):
    with pytest.raises(ValueError, match=r"the model is one of|the curve of size"):
        AdditiveModel.from_json({"intercept": 0, "curves": {"size": curve}}, features)


def test_probabilities_of_odds():
    assert probability(np.array([0.0, np.log(3), -1e9])).round(6).tolist() == [0.5, 0.75, 0.0]


def test_calibration_error_is_the_mean_gap_between_probability_and_frequency():
    p = np.array([0.25, 0.25, 0.25, 0.25, 1.0])
    assert expected_calibration_error(p, np.array([True, False, False, False, True])) == 0.0
    assert expected_calibration_error(p, np.array([False] * 4 + [True])) == pytest.approx(0.2)
    assert expected_calibration_error(np.zeros(0), np.zeros(0, np.bool_)) == 0.0
    with pytest.raises(ValueError, match="one length"):
        expected_calibration_error(p, np.zeros(3, np.bool_))

"""What became of each cell: each verdict by hand, and what holds for any two segmentations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_samples import any_labels, row_of_cells

from napari_scutoid.metrics import count_overlaps, evaluate, judge, matches


def judged(prediction, truth):
    """The verdicts on true and predicted cells, by id."""
    verdicts = judge(count_overlaps(prediction, truth))
    return verdicts.truth.by_id(), verdicts.prediction.by_id()


def line(*runs):
    """Labels in a row: (id, length), (id, length), ..."""
    return np.repeat([run[0] for run in runs], [run[1] for run in runs]).astype(np.uint32)


def test_halves_are_the_pieces_of_a_split_cell():
    truth = line((0, 5), (1, 20), (2, 20))
    assert judged(line((0, 5), (7, 10), (8, 10), (9, 20)), truth) == (
        {1: "split", 2: "matched"},
        {7: "split", 8: "split", 9: "matched"},
    )


def test_a_shattered_cell_is_split():
    assert judged(np.arange(1, 21), line((1, 20)))[0] == {1: "split"}


@pytest.mark.parametrize(("second", "verdict"), [(9, "missed"), (10, "split")])
def test_a_speck_beside_a_piece_splits_nothing(second, verdict):
    # The larger piece covers half of the cell, which is not enough for a match.
    truth, prediction = line((1, 100)), line((7, 50), (8, second), (0, 50 - second))
    assert judged(prediction, truth)[0] == {1: verdict}


def test_pieces_have_to_cover_more_than_half():
    truth = line((1, 40), (0, 10))
    assert judged(line((7, 10), (8, 10), (0, 30)), truth) == ({1: "missed"}, {7: "invented", 8: "invented"})
    assert judged(line((7, 10), (8, 11), (0, 29)), truth)[0] == {1: "split"}


def test_a_cell_that_lies_mainly_elsewhere_is_no_piece():
    truth, prediction = line((1, 20), (0, 40)), line((7, 10), (8, 30), (0, 20))
    assert judged(prediction, truth) == ({1: "missed"}, {7: "invented", 8: "invented"})


def test_two_cells_in_one_are_merged():
    assert judged(line((0, 4), (7, 20)), line((0, 4), (1, 10), (2, 10))) == (
        {1: "merged", 2: "merged"},
        {7: "merged"},
    )


def test_a_cell_swallowed_by_a_found_one_is_merged():
    assert judged(line((7, 24)), line((1, 20), (2, 4))) == ({1: "matched", 2: "merged"}, {7: "matched"})


def test_one_cell_in_a_large_one_is_missed_not_merged():
    assert judged(line((7, 50)), line((0, 30), (1, 20))) == ({1: "missed"}, {7: "invented"})


def test_what_lies_on_background_or_fits_no_cell_is_invented():
    truth, prediction = line((0, 20), (1, 20), (2, 20)), line((7, 20), (8, 16), (9, 4), (0, 20))
    assert judged(prediction, truth) == (
        {1: "matched", 2: "missed"},
        {7: "invented", 8: "matched", 9: "invented"},
    )


def test_partners_share_most_voxels_and_of_equals_fit_best():
    truth = line((1, 20), (2, 20), (3, 6))
    side = judge(count_overlaps(line((7, 10), (8, 5), (9, 25), (0, 6)), truth)).truth
    assert side.partners.tolist() == [7, 9, 0]
    assert side.iou.tolist() == [10 / 20, 20 / 25, 0.0]
    assert judge(count_overlaps(line((7, 10), (8, 10)), line((1, 20)))).truth.partners.tolist() == [7]
    tied = judge(count_overlaps(line((7, 10), (8, 30)), line((1, 20), (0, 20)))).truth
    assert (tied.partners.tolist(), tied.iou.tolist()) == ([7], [0.5])


@given(prediction=any_labels, truth=any_labels)
def test_every_cell_gets_one_verdict_of_its_side(prediction, truth):
    verdicts = judge(count_overlaps(prediction, truth))
    for side, labels, never in ((verdicts.truth, truth, "invented"), (verdicts.prediction, prediction, "missed")):
        np.testing.assert_array_equal(side.ids, np.unique(labels[labels > 0]))
        assert len(side.verdicts) == side.ids.size
        assert side.count(never) == 0
    found = matches(prediction, truth)
    assert {i for i, verdict in verdicts.truth.by_id().items() if verdict == "matched"} == set(found.values())
    assert {i for i, verdict in verdicts.prediction.by_id().items() if verdict == "matched"} == set(found)
    scores = evaluate(prediction, truth)
    assert scores["n_true"] == sum(scores[f"n_{one}"] for one in ("matched", "split", "merged", "missed"))


@given(prediction=any_labels, truth=any_labels)
def test_errors_come_with_a_cause(prediction, truth):
    of_true, of_predicted = judged(prediction, truth)
    assert ("split" in of_true.values()) == ("split" in of_predicted.values())
    pieces = [verdict for verdict in of_predicted.values() if verdict == "split"]
    assert len(pieces) >= 2 * list(of_true.values()).count("split")
    if "merged" in of_predicted.values():
        assert "merged" in of_true.values()


@given(prediction=any_labels, truth=any_labels, orders=st.tuples(*[st.permutations(range(1, 5))] * 2))
def test_the_names_of_cells_change_nothing(prediction, truth, orders):
    renamed = [np.array([0, *order]) for order in orders]
    of_true, of_predicted = judged(prediction, truth)
    again = judged(renamed[0][prediction], renamed[1][truth])
    assert again[0] == {renamed[1][i]: verdict for i, verdict in of_true.items()}
    assert again[1] == {renamed[0][i]: verdict for i, verdict in of_predicted.items()}


@given(truth=any_labels)
def test_identical_cells_are_all_matched(truth):
    verdicts = judge(count_overlaps(truth, truth))
    for side in (verdicts.truth, verdicts.prediction):
        assert set(side.verdicts) <= {"matched"}
        assert side.iou.tolist() == [1.0] * side.ids.size
        np.testing.assert_array_equal(side.partners, side.ids)


def test_nothing_predicted_is_all_missed():
    truth = row_of_cells([3, 6, 6])
    assert judged(np.zeros_like(truth), truth) == ({1: "missed", 2: "missed"}, {})
    assert judged(truth, np.zeros_like(truth)) == ({}, {1: "invented", 2: "invented"})

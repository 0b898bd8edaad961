"""The picture of learning curves: the right colours at the right places."""

from __future__ import annotations

import math

import numpy as np
import pytest

from napari_scutoid.picture.curves import BLUE, GREEN, GRID, INK, ORANGE, PURPLE, RED, learning_curves_picture

EPOCHS = 40
LEFT, TOP, WIDTH, HEIGHT, APART = 52, 104, 340, 250, 436


def columns(**curves):
    return {"epoch": list(range(1, EPOCHS + 1)), "train_loss": [0.7] * EPOCHS, **curves}


def plot(picture, panel):
    """The inside of a panel's axes."""
    left = LEFT + panel * APART
    return np.asarray(picture)[TOP + 1 : TOP + HEIGHT, left + 1 : left + WIDTH]


def places(pixels, colour):
    """Rows and columns, as shares upwards and to the right, of the pixels of a colour."""
    rows, across = np.nonzero((pixels == colour).all(axis=-1))
    return 1 - (rows + 1.5) / HEIGHT, (across + 1.5) / WIDTH


def test_a_flat_curve_is_at_its_value():
    flat = learning_curves_picture(columns(iou_foreground=[0.7] * EPOCHS, iou_boundary=[0.3] * EPOCHS))
    for colour, value in ((BLUE, 0.7), (GREEN, 0.3)):
        up, across = places(plot(flat, 1), colour)
        np.testing.assert_allclose(up, value, atol=0.01)
        assert across.min() == pytest.approx(1 / EPOCHS, abs=0.01)
        assert across.max() == pytest.approx(1, abs=0.01)


def test_a_rising_curve_rises():
    rising = [epoch / EPOCHS for epoch in range(1, EPOCHS + 1)]
    up, across = places(plot(learning_curves_picture(columns(iou_foreground=rising)), 1), BLUE)
    assert up.size > 100
    np.testing.assert_allclose(up, across, atol=0.02)


def test_losses_over_more_than_tenfold_are_logarithmic():
    falling = [10.0 ** (-2 * epoch / EPOCHS) for epoch in range(1, EPOCHS + 1)]
    up, across = places(plot(learning_curves_picture(columns(train_loss=falling)), 0), BLUE)
    assert up.size > 100
    np.testing.assert_allclose(up, 1 - across, atol=0.02)


def test_epochs_between_two_scorings_are_crossed_by_a_line():
    some = [0.5 if epoch % 10 == 0 else None for epoch in range(1, EPOCHS + 1)]
    pixels = plot(learning_curves_picture(columns(ap50=some)), 2)
    up, across = places(pixels, BLUE)
    assert (np.abs(up - 0.5) < 0.02).all()
    assert np.histogram(across, 30, (0.25, 1))[0].all()


def test_errors_of_cells_are_dashed_and_counts_have_their_own_axis():
    half, nine = [0.5] * EPOCHS, [9.0] * EPOCHS
    pixels = np.asarray(learning_curves_picture(columns(ap50=half, voi_merge=[0.25] * EPOCHS, wrong_cells=nine)))
    inside = pixels[TOP + 1 : TOP + HEIGHT, LEFT + 2 * APART :]
    _, solid = places(inside, BLUE)
    _, dashed = places(inside, PURPLE)
    gaps = [np.diff(np.unique(np.rint(across * WIDTH - 1.5))).max() for across in (solid, dashed)]
    assert gaps[0] == 1 and gaps[1] >= 3
    assert (inside[:, WIDTH + 8 :] != 255).any()  # the numbers of the right axis
    up, across = places(inside[:, : WIDTH - 4], RED)
    np.testing.assert_allclose(up, 0.9, atol=0.01)  # nine of ten
    assert across.min() < 0.05


def line_of_best(picture, panel):
    """Where the dotted line is: the column with most pixels darker than the grid and without colour."""
    pixels = plot(picture, panel).astype(int)
    dark = (np.ptp(pixels, axis=-1) < 10) & (pixels[..., 0] < min(GRID) - 20) & (pixels[..., 0] > max(INK))
    column = int(dark.sum(axis=0).argmax())
    assert dark[:, column].sum() > HEIGHT / 4
    return (column + 1.5) / WIDTH


@pytest.mark.parametrize(
    ("curves", "best", "expected"),
    [
        ({"valid_loss": [2 + abs(epoch - 12) for epoch in range(1, EPOCHS + 1)]}, None, 12),
        (
            {
                "valid_loss": [2 + abs(epoch - 12) for epoch in range(1, EPOCHS + 1)],
                "panoptic_quality": [None, 0.3, 0.2, math.nan] + [None] * 15 + [0.8] + [0.8] * 20,
            },
            None,
            20,
        ),
        ({"valid_loss": [2.0] * EPOCHS, "panoptic_quality": [0.5] * EPOCHS}, 30, 30),
    ],
)
def test_the_best_epoch_is_marked_in_every_panel_with_curves(curves, best, expected):
    picture = learning_curves_picture(columns(**curves, dice=[0.9] * EPOCHS), best_epoch=best)
    for panel in (0, 1):
        assert line_of_best(picture, panel) == pytest.approx(expected / EPOCHS, abs=0.01)


def test_what_is_not_scored_says_so():
    picture = learning_curves_picture(columns(ap50=[None] * EPOCHS))
    for panel in (1, 2):
        middle = plot(picture, panel)[HEIGHT // 2 - 12 : HEIGHT // 2 + 12]
        assert (middle < 200).any()
        assert (plot(picture, panel)[: HEIGHT // 2 - 12] == 255).all()
    up, _ = places(plot(picture, 0), BLUE)
    assert up.size > 100
    nothing = learning_curves_picture({"epoch": [], "train_loss": []})
    assert nothing.size[0] == picture.size[0]
    assert (plot(nothing, 0)[: HEIGHT // 2 - 12] == 255).all()


def test_losses_that_are_no_numbers_are_passed_over():
    loss = [0.5] * 10 + [math.nan, math.inf, -math.inf] + [0.5] * (EPOCHS - 13)
    up, _ = places(plot(learning_curves_picture(columns(valid_loss=loss)), 0), ORANGE)
    assert up.size > 100 and np.ptp(up) < 0.02


def test_time_is_drawn_in_minutes():
    seconds = [90.0 * epoch for epoch in range(1, EPOCHS + 1)]
    by_time, by_epoch = (
        learning_curves_picture(columns(seconds=seconds, dice=[0.5] * EPOCHS), x) for x in ("seconds", "epoch")
    )
    np.testing.assert_array_equal(plot(by_time, 1), plot(by_epoch, 1))
    assert (np.asarray(by_time) != np.asarray(by_epoch)).any()


def test_few_scores_have_dots_and_a_single_one_is_seen():
    picture = learning_curves_picture({"epoch": [1], "train_loss": [0.45]})
    up, across = places(plot(picture, 0), BLUE)
    assert up.size > 5 and across.min() > 0.98


@pytest.mark.parametrize(
    ("table", "x", "best", "words"),
    [
        (columns(), "learning_rate", None, "x must be one of epoch, steps, seconds"),
        (columns(), "steps", None, "columns must hold 'steps'"),
        (columns(dice=[0.5]), "epoch", None, r"of one length, not \[40, 40, 1\]"),
        (columns(), "epoch", 41, "best_epoch must be one that columns hold, not 41"),
    ],
)
def test_what_cannot_be_drawn_is_refused(table, x, best, words):
    with pytest.raises(ValueError, match=words):
        learning_curves_picture(table, x, best_epoch=best)

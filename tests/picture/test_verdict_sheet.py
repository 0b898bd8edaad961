"""The picture of verdicts: colours that everybody can tell apart, in the right places."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from skimage.color import rgb2lab

from napari_scutoid.picture import Judged, draw_verdicts
from napari_scutoid.picture.verdict_sheet import COLOURS, EMPTY

# Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
SIGHT = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_can_be_told_apart(sight):
    shares = np.array(list(COLOURS.values())) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.transpose(SIGHT[sight]), 0, 1)
    seen = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(seen[None])[0]
    # A difference of 2.3 is just noticeable; ten times that is another colour, also in small patches.
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(lab, 2)) > 20


def pair():
    """Four cells of which one each was found, split, merged into the found one, and missed; and an invented one."""
    truth, prediction = np.zeros((2, 8, 20, 24), np.uint32)
    truth[:, :8, :8], prediction[:, :8, :10] = 1, 1
    truth[:, :8, 8:10] = 2
    truth[:, :8, 12:20], prediction[:, :8, 12:16], prediction[:, :8, 16:20] = 3, 3, 4
    truth[:, 10:18, :8] = 4
    prediction[:, 10:18, 12:20] = 5
    return (
        Judged(truth, {1: "matched", 2: "merged", 3: "split", 4: "missed"}),
        Judged(prediction, {1: "matched", 3: "split", 4: "split", 5: "invented"}),
    )


def shares(pixels):
    """How many pixels have each verdict's colour."""
    return {verdict: int((pixels == colour).all(axis=-1).sum()) for verdict, colour in COLOURS.items()}


def test_each_side_shows_its_verdicts():
    picture = np.asarray(draw_verdicts(*pair(), spacing=(2.0, 0.5, 0.5), title="one compared with another"))
    middle = picture.shape[1] // 2
    left, right = shares(picture[:, :middle]), shares(picture[:, middle:])
    legend = 14 * 14
    assert {verdict for verdict, n in left.items() if n > 2 * legend} == {"matched", "split", "merged", "missed"}
    assert {verdict for verdict, n in right.items() if n > 2 * legend} == {"matched", "split", "invented"}


def test_sections_are_not_squashed():
    flat, deep = (draw_verdicts(*pair(), spacing=spacing) for spacing in ((0.5, 0.5, 0.5), (2.0, 0.5, 0.5)))
    share = [
        np.count_nonzero((np.asarray(one) == COLOURS["missed"]).all(axis=-1)) / (one.width * one.height)
        for one in (flat, deep)
    ]
    assert share[1] < share[0]  # more of the page goes to the two sections along z


def test_an_image_is_seen_under_the_colours_and_where_there_are_none():
    image = np.broadcast_to(np.linspace(0, 255, 24).astype(np.uint8), (8, 20, 24))
    plain, shown = (np.asarray(draw_verdicts(*pair(), image=one)) for one in (None, image))
    assert plain.shape == shown.shape
    chroma = [np.unique(one[np.ptp(one, axis=-1) > 0], axis=0) for one in (plain, shown)]
    assert len(chroma[0]) == len(COLOURS)
    assert len(chroma[1]) > 20  # the colours have the image's shades
    changed = np.ptp(shown, axis=-1)[(plain == EMPTY).all(axis=-1)]
    assert changed.size and not changed.any()  # where there is no cell, it is grey


def test_empty_labels_are_drawn():
    empty = Judged(np.zeros((1, 9, 300), np.uint32), {})
    drawn = shares(np.asarray(draw_verdicts(empty, empty)))
    assert all(0 < n < 500 for n in drawn.values())  # only the legend


@pytest.mark.parametrize("name", ["prediction", "image"])
def test_all_lie_on_one_grid(name):
    truth, prediction = pair()
    image = np.zeros(truth.labels.shape)
    if name == "image":
        image = image[1:]
    else:
        prediction = Judged(prediction.labels[1:], prediction.verdicts)
    with pytest.raises(ValueError, match=rf"{name} has shape \(7, 20, 24\), truth \(8, 20, 24\)"):
        draw_verdicts(truth, prediction, image=image)

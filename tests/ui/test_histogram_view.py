from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtGui import QColor

from napari_scutoid.steps.histogram import Histogram
from napari_scutoid.ui.histogram import BARS, ONE, ZERO, HistogramPair, HistogramView

LEFT_HALF = Histogram(np.linspace(0, 100, 11), np.array([1000] * 5 + [0] * 5), 20.0, 80.0)


def pixels(view, colour):
    """Return where in the picture of a widget a colour is, as columns and rows."""
    picture = view.grab().toImage()
    wanted = QColor(colour).rgb()
    found = [(x, y) for x in range(picture.width()) for y in range(picture.height()) if picture.pixel(x, y) == wanted]
    return np.array(found, int).reshape(-1, 2).T


@pytest.fixture
def view(qtbot):
    made = HistogramView("Intensities")
    qtbot.addWidget(made)
    made.resize(200, 96)
    return made


def test_bars_and_marks_are_painted_where_they_belong(view):
    view.setValue(LEFT_HALF)
    assert view.value() is LEFT_HALF
    columns, _ = pixels(view, BARS)
    assert 0 <= columns.min() < 4 and 94 < columns.max() < 106
    for colour, share in ((ZERO, 0.2), (ONE, 0.8)):
        columns, _ = pixels(view, colour)
        assert np.median(columns) == pytest.approx(200 * share, abs=4)
    assert view.accessibleDescription() == "20 becomes 0, 80 becomes 1."


def test_counts_are_logarithmic(view):
    view.setValue(Histogram(np.array([0.0, 1.0, 2.0]), np.array([999, 31]), 0.0, 2.0))
    columns, rows = pixels(view, BARS)
    tall, low = (np.ptp(rows[(columns > at) & (columns < at + 20)]) for at in (40, 140))
    assert low / tall == pytest.approx(0.5, abs=0.1)


def test_without_counts_there_is_an_empty_frame(view):
    view.setValue(LEFT_HALF)
    view.setValue(None)
    assert pixels(view, BARS).size == 0
    assert view.value() is None


def test_a_pair_tells_in_words_what_becomes_0_and_1_or_why_nothing_does(qtbot):
    pair = HistogramPair()
    qtbot.addWidget(pair)
    after = Histogram(LEFT_HALF.edges / 60 - 1 / 3, LEFT_HALF.counts, 0.0, 1.0)
    pair.setValue((LEFT_HALF, after))
    assert pair.value() == (LEFT_HALF, after)
    assert pair.note.text() == "20 becomes 0, 80 becomes 1."
    pair.setValue(None, "There is no contrast.")
    assert pair.value() is None
    assert pair.note.text() == "There is no contrast."

from __future__ import annotations

import pytest
from qtpy.QtWidgets import QApplication

from napari_scutoid.ui.session_card import SessionCard, SessionFacts, duration

FACTS = SessionFacts("gland cells", ("Ana", "Ben"), 4800, {"merge": 12, "fill_holes": 3, "split": 12}, 60, 41, "g.db")


@pytest.fixture
def card(qtbot):
    made = SessionCard()
    qtbot.addWidget(made)
    return made


def test_the_card_says_who_what_how_long_and_by_which_edits(card):
    card.setValue(FACTS)
    assert card.words.text().splitlines() == [
        "What: gland cells, 60 cells, 41 accepted",
        "Who: Ana, Ben",
        "At work: 1 h 20 min",
        "27 edits: 12 × merge, 12 × split, 3 × fill holes",
        "Journal: g.db",
    ]
    card.copy_button.click()
    assert "12 × merge" in QApplication.clipboard().text()


def test_a_session_without_edits_has_a_card_too(card):
    assert not card.copy_button.isEnabled()
    card.setValue(SessionFacts("gland"))
    assert "0 edits" in card.words.text()
    card.setValue(None)
    assert card.words.text() == "" and card.value() is None


@pytest.mark.parametrize(("seconds", "words"), [(10, "less than a minute"), (600, "10 min"), (7260, "2 h 1 min")])
def test_durations_are_read_as_people_say_them(seconds, words):
    assert duration(seconds) == words

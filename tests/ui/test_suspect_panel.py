"""The suspect panel says why, and every decision is one signal."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_scutoid.ui.suspect_panel import FILTERS, SuspectCard, SuspectPanel

CARD = SuspectCard("Cell 217", 0.824, ("weak wall to cell 218: 0.18", "two pieces"), "Merge 217 and 218", "look again")


@pytest.fixture
def panel(qtbot):
    made = SuspectPanel()
    qtbot.addWidget(made)
    made.show()
    return made


def test_reasons_proposal_and_note_are_read_in_words(panel):
    panel.setValue(CARD)
    assert panel.title.text() == "Cell 217: 82% likely to be wrong"
    assert panel.reasons.text().splitlines() == [
        "• weak wall to cell 218: 0.18",
        "• two pieces",
        "Proposed: Merge 217 and 218",
        "Note: look again",
    ]
    assert panel.value() == CARD


def test_there_is_nothing_to_decide_without_a_suspect(panel):
    decisions = (panel.accept_button, panel.fix_button, panel.skip_button, panel.flag_button)
    panel.setValue(None, "Nothing is left: every cell was looked at.")
    assert not any(button.isEnabled() for button in decisions)
    assert panel.next_button.isEnabled() and "Nothing is left" in panel.reasons.text()
    panel.setValue(SuspectCard("Cell 3", 0.5))
    assert [button.isEnabled() for button in decisions] == [True, False, True, True]


def test_each_button_is_one_decision(panel, qtbot):
    panel.setValue(CARD)
    for button, signal in (
        (panel.next_button, panel.nextAsked),
        (panel.previous_button, panel.previousAsked),
        (panel.accept_button, panel.acceptAsked),
        (panel.fix_button, panel.fixAsked),
        (panel.skip_button, panel.skipAsked),
    ):
        with qtbot.waitSignal(signal):
            button.click()


def test_a_flag_takes_a_note_and_esc_takes_it_back(panel, qtbot):
    flags = []
    panel.flagAsked.connect(flags.append)
    panel.setValue(CARD)
    panel.flag_button.click()
    assert panel.note.isVisible() and panel.note.text() == "look again"
    qtbot.keyClick(panel.note, Qt.Key.Key_Escape)
    assert not panel.note.isVisible() and flags == []
    panel.flag_button.click()
    panel.note.setText(" is it dividing? ")
    qtbot.keyClick(panel.note, Qt.Key.Key_Return)
    assert flags == ["is it dividing?"] and not panel.note.isVisible()
    panel.setValue(None)
    panel.ask_for_note()
    assert not panel.note.isVisible()


def test_filters_are_told_by_hand_and_set_silently(panel):
    changes = []
    panel.filterChanged.connect(lambda: changes.append(panel.filter()))
    assert panel.filter() == "unseen"
    panel.box.setCurrentIndex(list(FILTERS).index("flagged"))
    panel.setFilter("near")
    assert changes == ["flagged"] and panel.filter() == "near"


def test_progress_is_words_and_a_bar(panel):
    assert panel.progress.isHidden() and panel.bar.isHidden()
    panel.setProgress("412 of 2310 cells accepted, 61 an hour, about 31 h left", 412, 2310)
    assert "31 h left" in panel.progress.text() and panel.bar.value() == 412


def test_keys_are_named_on_the_buttons(panel):
    assert panel.next_button.text() == "Next suspect"
    panel.setKeys({"next": "Space", "accept": "A"})
    panel.setKeys({"accept": ""})
    assert (panel.next_button.text(), panel.accept_button.text()) == ("Next suspect (Space)", "Accept")

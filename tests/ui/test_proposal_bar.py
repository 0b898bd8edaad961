from __future__ import annotations

import pytest

from napari_scutoid.ui.proposal_bar import ProposalBar


@pytest.fixture
def bar(qtbot):
    made = ProposalBar()
    qtbot.addWidget(made)
    return made


def test_proposals_are_looked_at_before_one_is_taken(bar, qtbot):
    assert bar.isHidden() and bar.value() is None
    bar.setValue(["two halves", "three parts"])
    assert not bar.isHidden() and bar.value() == 0
    assert [button.isHidden() for button in bar.choices] == [False, False, True]
    with qtbot.waitSignal(bar.valueChanged):
        bar.choices[1].click()
    assert bar.value() == 1 and bar.words.text() == "Proposal 2: three parts"
    assert [button.isChecked() for button in bar.choices[:2]] == [False, True]
    for button, signal in ((bar.take_button, bar.taken), (bar.drop_button, bar.dropped)):
        with qtbot.waitSignal(signal):
            button.click()
    bar.setValue([])
    assert bar.isHidden() and bar.value() is None

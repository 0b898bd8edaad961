"""The tree of steps: ways through it, branches that stay, and what a correction took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.proofread.history import History, Move, Step

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


def at(minutes):
    return START + timedelta(minutes=minutes)


def do(history, kind="paint", minutes=0.0, author="Ana"):
    step = Step(history.next_id, history.head, kind, f"{kind} {history.next_id}", author, at(minutes))
    history.add(step)
    history.move_to(Move(step.id, "do", author, step.made_at))
    return step.id


def go(history, step, action="jump"):
    history.move_to(Move(step, action, "Ana", at(0)))


@given(st.lists(st.integers(-3, 12), max_size=25))
def test_ways_lead_from_any_step_to_any_other(moves):
    history = History()
    for move in moves:
        if move < 0:
            do(history)
        else:
            go(history, move % (len(history) + 1))
        line = history.line()
        assert history.head == (line[-1] if line else 0)
        for step in range(len(history) + 1):
            undone, done = history.way(step)
            there = history.line(step)
            assert [*line[: len(line) - len(undone)], *done] == there
            assert undone == line[len(line) - len(undone) :][::-1]
        for earlier, later in zip((0, *line), line, strict=False):
            assert history.redo_step is None or history[history.redo_step].parent == history.head
            assert history[later].parent == earlier


def test_redo_goes_where_one_was_last():
    history = History()
    for _ in range(2):
        do(history)
    go(history, 0, "undo")
    do(history)
    assert history.line() == [3]
    assert len(history) == 3
    go(history, 0, "undo")
    assert history.redo_step == 3
    go(history, 2)
    assert history.line() == [1, 2]
    go(history, 0)
    assert history.ahead() == [1, 2]
    assert (history.undo_step, history.redo_step) == (None, 1)


def test_steps_that_cannot_be():
    history = History()
    do(history)
    for step, parent in ((1, 0), (0, 0), (5, 4), (2, 2)):
        with pytest.raises(ValueError, match="cannot follow"):
            history.add(Step(step, parent, "a", "A", "", START))
    with pytest.raises(ValueError, match="no step 9"):
        go(history, 9)


def test_the_card_says_who_worked_how_long_on_what():
    history = History()
    do(history, "split", 0)
    do(history, "merge", 4, "Ben")
    do(history, "split", 3)
    do(history, "paint", 60)
    go(history, 3, "undo")
    history.moves[-1] = Move(3, "undo", "Ana", at(61))
    card = history.card()
    assert card.authors == ("Ana", "Ben")
    assert (card.began, card.ended) == (at(0), at(61))
    assert card.worked == timedelta(minutes=4)
    assert (card.n_edits, card.n_undone) == (3, 1)
    assert list(card.by_kind.items()) == [("split", 2), ("merge", 1)]
    assert card.as_dict()["worked_minutes"] == 4.0


def test_the_card_counts_all_branches_and_bears_a_clock_that_was_set_back():
    history = History()
    for minutes in (20, 21, 10):
        do(history, minutes=minutes)
        go(history, 0, "undo")
        history.moves[-1] = Move(0, "undo", "Ana", at(minutes))
    go(history, 1)
    history.moves[-1] = Move(1, "jump", "Ana", at(12))
    card = history.card()
    assert (card.began, card.ended, card.worked) == (at(10), at(21), timedelta(minutes=3))
    assert (card.n_edits, card.n_undone) == (1, 2)


def test_the_card_of_nothing():
    card = History().card()
    assert (card.authors, card.began, card.n_edits, card.worked) == ((), None, 0, timedelta())
    assert card.as_dict()["began"] is None

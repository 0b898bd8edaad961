"""Two journals of the same labels: what fits together is made, what collides is listed, nothing is dropped unsaid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import EDITS, Fill, act, base, begin

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread.edits.states import Accept, Flag, Note
from napari_scutoid.proofread.journal import Journal
from napari_scutoid.proofread.replay import replay

LEFT, RIGHT = Box((0, 2, 0), (1, 1, 2)), Box((0, 2, 3), (1, 1, 2))


def done(*edits, author="Ana", path=None):
    session = begin(path, author=author)
    for edit in edits:
        act(session, edit)
    return session


def merged(first, second, keep=None):
    return first.merged_with(second._journal, keep)


def replayed(found, session):
    journal = found.journal(session.base)
    return drain(replay(base(), journal)), journal


def titles(entries):
    return [entry.step.title for entry in entries]


def test_two_halves_become_one():
    one = done(Fill(LEFT), Accept((1,)))
    other = done(Fill(RIGHT), Accept((2,)), author="Ben")
    found = merged(one, other)
    assert found.collisions == found.left_out == ()
    made, journal = replayed(found, one)
    assert (made.labels[LEFT.slices] == 41).all()
    assert (made.labels[RIGHT.slices] == 42).all()
    assert {cell for cell, state in made.states.items() if state.accepted} == {1, 2}
    assert journal.history.card().authors == ("Ana", "Ben")
    assert "Fill with cell 41 (41 is now 42)" in [step.title for step in journal.history]
    assert journal.change(3).parameters["renumbered"] == {"41": 42}
    assert journal.largest == 42


def test_no_id_of_an_undone_edit_is_given_to_another_cell():
    one = done(Fill(LEFT), "undo", Fill(LEFT))
    other = done(Fill(RIGHT), Fill(Box((1, 2, 3), (1, 1, 2))), author="Ben")
    made, _ = replayed(merged(one, other), one)
    assert set(np.unique(made.labels)) == {0, 1, 2, 3, 40, 42, 43, 44}


@pytest.mark.parametrize(
    ("mine", "theirs", "cells"),
    [
        (Fill(LEFT, 1), Fill(LEFT, 2), ()),
        (Fill(LEFT, 1), Fill(Box((1, 2, 0), (1, 1, 2)), 1), (1,)),
        (Accept((1,)), Fill(Box((0, 0, 0), (1, 1, 1)), 0), (1,)),
        (Note((3,), "a"), Note((3,), "b"), (3,)),
        (Fill(LEFT, lumen=True), Fill(LEFT, 0, lumen=True), ()),
    ],
)
def test_the_same_voxels_or_cells_collide(mine, theirs, cells):
    one, other = done(mine, Flag((40,))), done(theirs, author="Ben")
    found = merged(one, other)
    (collision,) = found.collisions
    assert collision.cells == cells
    assert (len(collision.first), len(collision.second)) == (1, 1)
    assert "Ana" in str(collision) and "Ben" in str(collision)
    assert titles(found.entries) == ["Flag cell 40"]
    assert len(found.left_out) == 2
    for keep, session in (("first", one), ("second", other)):
        chosen = merged(one, other, keep)
        assert chosen.collisions == found.collisions
        assert len(chosen.left_out) == 1
        made, _ = replayed(chosen, one)
        assert (made.labels == session.labels).all()


def test_what_builds_on_a_collision_goes_with_it():
    new = Fill(Box((1, 2, 2), (1, 1, 1)))
    one = done(Fill(LEFT, 1))
    other = done(Fill(LEFT, 2), Accept((2,)), new, author="Ben")
    found = merged(one, other)
    (collision,) = found.collisions
    assert titles(collision.second) == ["Fill with cell 2", "Accept cell 2"]
    assert titles(found.entries) == ["Fill with cell 41"]
    assert titles(merged(one, other, "first").entries) == ["Fill with cell 1", "Fill with cell 41"]


def test_two_places_are_two_collisions():
    one = done(Note((1,), "a"), Note((2,), "a"))
    other = done(Note((2,), "b"), Note((1,), "b"), author="Ben")
    assert sorted(collision.cells for collision in merged(one, other).collisions) == [(1,), (2,)]


def test_each_collision_may_have_a_choice_of_its_own():
    one = done(Note((1,), "a"), Note((2,), "a"), Fill(LEFT, 3))
    other = done(Note((2,), "b"), Note((1,), "b"), author="Ben")
    cells = [collision.cells for collision in merged(one, other).collisions]
    found = merged(one, other, ["first" if which == (1,) else "second" for which in cells])
    made, _ = replayed(found, one)
    assert (made.states[1].note, made.states[2].note) == ("a", "b")
    assert len(found.left_out) == 2 and (made.labels[LEFT.slices] == 3).all()
    assert titles(merged(one, other, [None, None]).entries) == ["Fill with cell 3"]
    with pytest.raises(ValueError, match="3 times"):
        merged(one, other, ["first"] * 3)


def test_both_versions_are_told():
    one, other = done(Note((1,), "a")), done(Note((1,), "b"), Accept((1,)), author="Ben")
    (collision,) = merged(one, other).collisions
    mine, theirs = collision.versions
    assert collision.what == "cell 1 at z 1, y 0, x 0" and mine.startswith("Note on cell 1 (Ana, 20")
    assert theirs.count("(Ben, 20") == 2 and "Accept cell 1" in theirs


def test_copies_of_one_journal_share_their_beginning(tmp_path):
    path = tmp_path / "a.sqlite"
    done(Fill(LEFT), Accept((1,)), path=path).close()
    copy = tmp_path / "b.sqlite"
    copy.write_bytes(path.read_bytes())
    one, other = begin(path), begin(copy, author="Ben")
    one.do(Note((41,), "a"))
    other.do(Fill(RIGHT))
    found = merged(one, other)
    assert found.collisions == ()
    assert titles(found.entries) == [
        "Fill with cell 41",
        "Accept cell 1",
        "Note on cell 41",
        "Fill with cell 42",
    ]


def test_a_merged_journal_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "gland.corrections.sqlite"
    one, other = done(Fill(LEFT)), done(Fill(RIGHT), Accept((2,)), author="Ben")
    found = merged(one, other)
    writing = found.write(path, one.base)
    for _ in range(2):
        next(writing)
    writing.close()
    assert not list(tmp_path.iterdir())
    drain(found.write(path, one.base))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    with Journal.read(path) as written:
        assert titles(found.entries) == [step.title for step in written.history]
        assert [step.author for step in written.history] == ["Ana", "Ben", "Ben"]
    before = path.read_bytes()
    with pytest.raises(ScutoidError, match="already"):
        drain(found.write(path, one.base))
    assert path.read_bytes() == before


def joined(one, other, path):
    drain(merged(one, other).write(path, one.base))
    return begin(path)


def test_a_colleague_whose_edits_were_added_before_goes_on(tmp_path):
    one, other = done(Fill(LEFT)), done(Fill(RIGHT), Accept((2,)), author="Ben")
    both = joined(one, other, tmp_path / "both.sqlite")
    other.do(Note((41,), "b"))
    other.do(Fill(Box((1, 2, 3), (1, 1, 2)), 41))
    other.do(Fill(Box((2, 2, 3), (1, 1, 2))))
    found = merged(both, other)
    assert found.collisions == found.left_out == ()
    assert len(found.entries) == 6
    made, _ = replayed(found, one)
    assert (made.labels[LEFT.slices] == 41).all()
    assert (made.labels[:2, 2:3, 3:5] == 42).all()
    assert made.states[42].note == "b"
    assert set(np.unique(made.labels[2])) == {0, 1, 2, 3, 40, 43}
    again = merged(joined(both, other, tmp_path / "again.sqlite"), other)
    assert [entry.change for entry in again.entries] == [entry.change for entry in found.entries]


@pytest.mark.parametrize(("keep", "note"), [("first", "a"), ("second", "b"), (None, "")])
def test_of_a_colleague_who_goes_on_only_new_edits_collide(tmp_path, keep, note):
    one, other = done(Fill(LEFT)), done(Fill(RIGHT), author="Ben")
    both = joined(one, other, tmp_path / "both.sqlite")
    both.do(Note((42,), "a"))
    both.do(Note((1,), "mine"))
    other.do(Note((41,), "b"))
    found = merged(both, other, keep)
    (collision,) = found.collisions
    assert collision.cells == (42,)
    assert [len(version) for version in (collision.first, collision.second)] == [1, 1]
    made, _ = replayed(found, one)
    assert ("" if 42 not in made.states else made.states[42].note) == note
    assert made.states[1].note == "mine"


def test_answers_that_only_the_other_has_are_counted():
    one, other = done(Fill(LEFT)), done(author="Ben")
    one.tell_no_cell((1, 2, 3))
    assert merged(one, other).n_answers == 0
    other.tell_no_cell((1, 2, 3))
    other.tell_no_cell((0, 0, 1))
    assert merged(one, other).n_answers == 1 and merged(other, one).n_answers == 0


def test_other_labels_are_refused():
    one, other = begin(), begin(labels=base(lumen=True))
    with pytest.raises(ScutoidError, match="another lumen"):
        merged(one, other)


@given(st.lists(EDITS, max_size=5), st.lists(EDITS, max_size=5), st.data())
@settings(max_examples=25)
def test_whatever_is_merged_can_be_made_and_nothing_is_dropped_unsaid(mine, theirs, data):
    one, other = done(*mine), done(*theirs, author="Ben")
    n = len(one.history) + len(other.history)
    collisions = len(merged(one, other).collisions)
    each = data.draw(st.lists(st.sampled_from(["first", "second", None]), min_size=collisions, max_size=collisions))
    for keep, session in (("first", one), ("second", other), (None, None), (each, None)):
        found = merged(one, other, keep)
        assert len(found.entries) + len(found.left_out) == n
        listed = [id(entry.change) for collision in found.collisions for entry in (*collision.first, *collision.second)]
        assert {id(entry.change) for entry in found.left_out} <= set(listed)
        made, _ = replayed(found, one)
        if session is not None:
            own = [entry for entry in found.entries if entry.step.author == session.author]
            assert len(own) == len(session.history)
        if not theirs:
            assert (made.labels == one.labels).all()

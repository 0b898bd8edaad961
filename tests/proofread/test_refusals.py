"""What was refused of another segmentation is not offered again, but what differs from it is."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from scripted import Fill, begin

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread.differences import Take, differences
from napari_scutoid.proofread.edits.states import Accept
from napari_scutoid.proofread.journal import Journal
from napari_scutoid.proofread.journal_merge import merge_journals
from napari_scutoid.proofread.journal_rows import checksum
from napari_scutoid.proofread.refusals import KIND, Refusal, refusals_in
from napari_scutoid.proofread.resegment import kept_accepted
from napari_scutoid.volume import Labels

WIDE = (2, 6, 40)


def wide():
    """Two cells, one beside the other."""
    data = np.ones(WIDE, np.uint32)
    data[:, :, 30:] = 2
    return Labels(data)


def cut(at, cells=2):
    """The same with the first cell cut in two, or more, at x."""
    data = wide().data.copy()
    for cell in range(1, cells):
        data[:, :, at * cell : 30] = 10 + cell
    return data


def compared(session, other):
    """Return what is offered, and what was refused, as the window asks for it."""
    accepted = [cell for cell, state in session.states.items() if state.accepted]
    kept = drain(kept_accepted(other, session.labels, accepted, session.next_id))
    found = drain(differences(session.labels, kept, session.index, accepted))
    return [[one.words for one in some] for some in session.parted(found)]


def refused(session, other):
    """Refuse all that labels would change."""
    for one in drain(differences(session.labels, other, session.index)):
        session.refuse(one)


TWO, THREE = "cell 1 becomes 2 cells", "cell 1 becomes 3 cells"


def test_what_was_refused_stays_so_after_a_restart(tmp_path):
    path = tmp_path / "gland.corrections.sqlite"
    session = begin(path, wide())
    assert compared(session, cut(15)) == [[TWO], []]
    refused(session, cut(15))
    assert len(session.history) == 0
    session.close()
    session = begin(path, wide())
    assert compared(session, cut(15)) == [[], [TWO]]
    session.close()


@pytest.mark.parametrize(
    ("other", "found"),
    [
        (cut(15) * 7, [[], [TWO]]),
        (cut(16), [[], [TWO]]),
        (cut(14), [[], [TWO]]),
        (cut(19), [[TWO], []]),
        (cut(10, 3), [[THREE], []]),
    ],
    ids=["other numbers", "a little more", "a little less", "elsewhere", "in three"],
)
def test_another_proposal_for_the_same_cell_is_offered(other, found):
    session = begin(labels=wide())
    refused(session, cut(15))
    assert compared(session, other) == found


def test_cells_accepted_beside_it_change_nothing():
    other = cut(15)
    other[0, :, 30] = 11
    session = begin(labels=wide())
    refused(session, other)
    assert compared(session, other) == [[], [TWO]]
    session.do(Accept((2,)))
    assert compared(session, other) == [[], [TWO]]


def test_a_cell_changed_into_others_since_is_another_matter():
    session = begin(labels=wide())
    refused(session, cut(15))
    session.do(Fill(Box((0, 0, 0), (2, 6, 8))))
    assert compared(session, cut(15)) == [["cells 1 and 3 are divided elsewhere"], []]
    session.undo()
    assert compared(session, cut(15)) == [[], [TWO]]


@pytest.mark.parametrize("gone", [(1,), (2,)])
def test_what_disappears_and_what_is_new(gone):
    less = wide().data.copy()
    less[np.isin(less, gone)] = 0
    session = begin(labels=wide())
    refused(session, less)
    assert compared(session, less) == [[], [f"cell {gone[0]} disappears"]]
    session = begin(labels=Labels(less))
    refused(session, wide().data)
    offered, known = compared(session, wide().data)
    assert offered == [] and [words.startswith("a new cell of") for words in known] == [True]


def test_a_refusal_can_be_taken_back():
    session = begin(labels=wide())
    refused(session, cut(15))
    (one,) = drain(differences(session.labels, cut(16), session.index))
    session.reconsider(one)
    assert compared(session, cut(15)) == [[TWO], []]
    session.do(Take(one))
    assert compared(session, cut(16)) == [[], []]


def test_two_journals_become_one_with_what_either_refused():
    one, other = (begin(author=name) for name in ("Ana", "Ben"))
    for session, box in ((one, Box((0, 0, 0), (3, 2, 2))), (other, Box((0, 0, 3), (3, 2, 3)))):
        session.do(Fill(box))
        refused(session, np.where(session.labels == 41, 0, session.labels).astype(np.uint32))
    merged = merge_journals(one.base, one._journal, other._journal)
    assert [refusal.old for refusal in merged.refused] == [(41,), (42,)]
    assert set(refusals_in(merged.journal(one.base))) == set(merged.refused)
    assert merge_journals(one.base, one._journal, one._journal).refused == merged.refused[:1]


# Journals may come from strangers.


def rewritten(path, change):
    """Change what a journal says was refused, with or without another checksum."""
    session = begin(path, wide())
    refused(session, cut(15))
    session.close()
    with closing(sqlite3.connect(path)) as db, db:
        ((key, value),) = db.execute("SELECT key, value FROM meta WHERE key LIKE 'refused:%'").fetchall()
        db.execute("UPDATE meta SET value = ? WHERE key = ?", (change(key, value), key))
    return begin(path, wide())


def signed(key, text):
    return f"{checksum(key, text)} {text}"


def other_box(key, value):
    stated = json.loads(value.split(" ", 1)[1])
    return signed(key, json.dumps(stated | {"box": [0, 0, 0, 2, 6, 41]}))


@pytest.mark.parametrize(
    "change",
    [
        lambda _, value: value.replace("1", "2"),
        lambda *_: "",
        lambda *_: b"\0",
        lambda key, _: signed(key, "3"),
        lambda key, _: signed(key, '{"old": [1], "box": [0, 0, 0, 1, 1, 1], "packed": "?"}'),
        other_box,
    ],
    ids=["changed", "empty", "bytes", "a number", "not packed", "too large a box"],
)
def test_a_damaged_refusal_is_told(tmp_path, change):
    session = rewritten(tmp_path / "a.sqlite", change)
    with pytest.raises(ScutoidError, match="damaged"):
        compared(session, cut(15))
    session.close()


def test_a_bomb_is_not_unpacked_and_has_refused_nothing():
    session = begin(labels=wide())
    (one,) = drain(differences(session.labels, cut(15), session.index))
    bomb = replace(Refusal.of(one), packed=zlib.compress(bytes(10**7)))
    session._journal.tell(KIND, {bomb.name: bomb.text})
    assert compared(session, cut(15)) == [[TWO], []]


def test_a_journal_with_refusals_keeps_its_form(tmp_path):
    session = rewritten(tmp_path / "a.sqlite", lambda _, value: value)
    session.close()
    with Journal.read(tmp_path / "a.sqlite") as journal:
        assert len(refusals_in(journal)) == 1
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")} == {
            *("meta", "edits", "differences", "moves")
        }

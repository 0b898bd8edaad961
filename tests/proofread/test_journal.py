"""The journal: what it keeps, what it refuses without touching it, and one process at a time."""

from __future__ import annotations

import gc
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from scripted import NO_WALLS, Fill, base, begin, now

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread import journal_file
from napari_scutoid.proofread.base import Base
from napari_scutoid.proofread.change import CellState, Change, Difference, StateChange
from napari_scutoid.proofread.edits.states import Accept
from napari_scutoid.proofread.journal import Journal, free_path, journals_beside
from napari_scutoid.proofread.journal_rows import checksum
from napari_scutoid.volume import Labels

MIDDLE = Box((0, 2, 0), (1, 1, 2))
EDITS = (Fill(MIDDLE, 1), Fill(Box((1, 0, 0), (1, 1, 1)), 3, lumen=True), Accept((40,)), Fill(MIDDLE))


@pytest.fixture
def path(tmp_path):
    """A closed journal of four edits, of which the last is undone."""
    file = tmp_path / "gland.corrections.sqlite"
    session = begin(file)
    for edit in EDITS:
        session.do(edit)
    session.undo()
    session.close()
    return file


def bytes_in(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def refuse(path, match, labels=None):
    """Check that a journal is refused, and neither it nor what lies beside it changed."""
    before = bytes_in(path.parent)
    with pytest.raises(ScutoidError, match=match):
        begin(path, labels)
    assert bytes_in(path.parent) == before


def base_of(labels=None):
    return drain(Base.of(labels or base()))


def test_a_session_continues_where_it_stopped(path):
    session = begin(path, author="Ben")
    assert session.labels[MIDDLE.slices].tolist() == [[[1, 1]]]
    assert session.lumen[1, 0, 0]
    assert session.states[40].accepted
    assert session.next_id == 42
    session.redo()
    assert (session.labels[MIDDLE.slices] == 41).all()
    session.jump(0)
    session.redo()
    assert session.history.card().authors == ("Ana", "Ben")
    at_end = now(session)
    session.close()
    assert now(begin(path)) == at_end
    assert [file.name for file in path.parent.iterdir() if not file.name.endswith("-wal")] == [path.name]


def test_a_change_is_read_back_as_it_was(tmp_path):
    change = Change(
        "paint",
        "Zellen ä ✓",
        {"radius": np.float32(1.5), "cells": np.array([1, 2]), "other": {3}},
        Difference.between(MIDDLE, np.zeros(MIDDLE.shape, np.uint32), np.ones(MIDDLE.shape, np.uint32)),
        None,
        (StateChange(1, CellState(), CellState(note="new\nline \ud800 ä", valid=False)),),
        (1.0, 2.5, 3.0),
    )
    journal = Journal.begin(tmp_path / "a.sqlite", base_of())
    step = journal.append(change, "Ana", datetime(2026, 3, 1, tzinfo=UTC))
    assert journal.change(1) == replace(change, parameters={"radius": 1.5, "cells": [1, 2], "other": [3]})
    journal.close()
    with Journal.read(tmp_path / "a.sqlite") as again:
        assert list(again.history) == [step]


def test_what_is_no_json_is_not_written(tmp_path):
    journal = Journal.begin(tmp_path / "a.sqlite", base_of())
    with pytest.raises(ValueError, match="JSON"):
        journal.append(Change("a", "A", {"x": float("nan")}), "")
    with pytest.raises(TypeError, match="no form in JSON"):
        journal.append(Change("a", "A", {"x": object()}), "")
    assert len(journal.history) == 0
    journal.close()


def test_each_edit_is_in_the_file_before_it_is_made(tmp_path):
    session = begin(tmp_path / "a.sqlite")

    def look(change):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for file in tmp_path.glob("a.sqlite*"):
            shutil.copyfile(file, copy / file.name)
        with Journal.read(copy / "a.sqlite") as found:
            assert found.history.head == session.history.head
            assert len(found.history) == len(session.history)

    session.heard.append(look)
    for edit in EDITS:
        session.do(edit)
    session.undo()
    assert len(session.history) == 4
    session.close()


def test_a_full_disk_loses_nothing(tmp_path):
    session = begin(tmp_path / "a.sqlite")
    session.do(Fill(MIDDLE, 1))
    before, head = now(session), session.history.head
    full = session._journal._db
    (pages,) = full.execute("PRAGMA page_count").fetchone()
    full.execute(f"PRAGMA max_page_count={pages}").fetchone()
    noise = np.random.default_rng(0).bytes(20000).hex()

    class Large(Fill):
        def plan(self, scene):
            return replace(super().plan(scene), parameters={"noise": noise})

    with pytest.raises(ScutoidError, match=r"full.*nothing was changed"):
        session.do(Large(MIDDLE, 2))
    assert now(session) == before
    assert session.history.head == head
    assert len(session.history) == 1
    full.execute("PRAGMA max_page_count=1000000").fetchone()
    session.do(Large(MIDDLE, 2))
    at_end = now(session)
    session.close()
    assert now(begin(tmp_path / "a.sqlite")) == at_end


def test_other_labels_are_refused(path):
    other = base()
    other.data[2, 5, 5] = 3
    refuse(path, "about other labels", other)
    refuse(path, "another lumen", base(lumen=True))
    refuse(path, "of shape", Labels(np.ones((2, 2, 2), np.uint32)))


def test_what_is_no_journal_is_refused(tmp_path):
    other = tmp_path / "other.sqlite"
    for content in (b"", b"labels" * 300):
        other.write_bytes(content)
        refuse(other, "no journal|not a journal")
    other.unlink()
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE meta (key, value)")
    db.close()
    refuse(other, "not a journal of corrections")
    with pytest.raises(ScutoidError, match="no such file"):
        Journal.resume(tmp_path / "none.sqlite", base_of())


def meddle(path, change, *, sign=False):
    """Change a journal behind its back, as one who knows the checksums where asked."""
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute(change)
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in ("edits", "differences", "moves") if sign else ():
            for number, *values, _ in db.execute(f"SELECT rowid, * FROM {table}").fetchall() if table in tables else ():
                signed = (checksum(*values), number)
                db.execute(f"UPDATE {table} SET checksum = ? WHERE rowid = ?", signed)
        (told,) = db.execute("SELECT value FROM meta WHERE key = 'base'").fetchone() or ("",)
        if sign:
            db.execute("UPDATE meta SET value = ? WHERE key = 'checksum'", (checksum(told),))
    db.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE edits SET title = 'Other' WHERE id = 1",
        "UPDATE edits SET parent = 1 WHERE id = 3",
        "UPDATE moves SET head = 1 WHERE id = 2",
        "UPDATE differences SET n = n + 1 WHERE edit = 1",
        "UPDATE meta SET value = replace(value, '40', '30') WHERE key = 'base'",
        "DELETE FROM edits WHERE id = 4",
        "DELETE FROM moves WHERE id = 2",
        "DELETE FROM differences WHERE edit = 1",
    ],
)
def test_a_value_that_was_changed_is_noticed(path, change):
    meddle(path, change)
    with pytest.raises(ScutoidError, match="damaged"):
        begin(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("PRAGMA user_version=99", "newer version"),
        ("DROP TABLE moves", "tables"),
        ("CREATE VIEW v AS SELECT 1", "tables"),
        ("CREATE TRIGGER t AFTER INSERT ON edits BEGIN DELETE FROM edits; END", "tables"),
        ("DELETE FROM meta", "damaged"),
        ("UPDATE meta SET value = '{' WHERE key = 'base'", "damaged"),
        ("UPDATE edits SET parent = 9", "cannot follow"),
        ("UPDATE edits SET box = NULL WHERE id = 1", "does not change what it says"),
        ("UPDATE edits SET title = x'00'", "step 1 is none"),
        ("UPDATE edits SET id = 1.5 WHERE id = 1", "step 1.5 is none"),
        ("UPDATE moves SET id = 9 WHERE id = 1", "a move"),
        ("UPDATE moves SET action = x'00'", "a move"),
        ("UPDATE edits SET made_at = 'today'", "damaged"),
        ("UPDATE edits SET made_at = '2026-03-01'", "no zone"),
        ("UPDATE edits SET box = '[1, 2]' WHERE id = 1", "damaged"),
        ("UPDATE moves SET head = 9", "no step 9"),
        ("DELETE FROM moves", "no move"),
        ("UPDATE edits SET parameters = '[]'", "parameters"),
        ("UPDATE edits SET states = '[[1, {}, {\"accepted\": 1}]]'", "no state"),
        ("UPDATE edits SET states = '[[0, {}, {}]]'", "no cell"),
        ("UPDATE edits SET states = '[[1, {}, {\"other\": 1}]]'", "damaged"),
        ("UPDATE edits SET focus = '[1, 2, NaN]'", "no place"),
        ("UPDATE differences SET box = '[0, 0, 0, 99, 99, 99]'", "does not fit"),
        ("UPDATE differences SET box = '[0, 0, 0, 1.5, 1, 1]'", "whole numbers"),
        ("UPDATE differences SET n = 99999", "does not fit"),
        ("UPDATE differences SET after = 'text'", "does not fit"),
        ("UPDATE differences SET target = 'other' WHERE target = 'lumen'", "changes"),
        ("UPDATE differences SET before = after", "does not start from"),
        ("UPDATE differences SET mask = zeroblob(10)", "damaged"),
    ],
)
def test_a_damaged_journal_is_refused_and_the_labels_stay(path, change, match):
    meddle(path, change, sign=True)
    labels = base()
    if "differences" not in change and "states" not in change and "parameters" not in change:
        refuse(path, match, labels)
    with pytest.raises(ScutoidError, match=match):
        begin(path, labels)
    assert (labels.data == base().data).all()


def test_broken_pages_are_found_before_anything_is_opened_for_writing(path):
    content = bytearray(path.read_bytes())
    for page in range(4096, len(content), 4096):
        content[page : page + 100] = b"\x5a" * 100
    path.write_bytes(content)
    refuse(path, "damaged")
    path.write_bytes(content[:5000])
    refuse(path, "damaged")


def test_leftovers_of_a_killed_program_are_used_and_stay_when_refused(path):
    live = begin(path)
    live.do(Fill(MIDDLE, 2))
    killed = path.parent / "killed"
    killed.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copyfile(file, killed / file.name)
    live.close()
    copy = killed / path.name
    assert (killed / f"{path.name}-wal").stat().st_size
    refuse(copy, "another lumen", base(lumen=True))
    assert (begin(copy).labels[MIDDLE.slices] == 2).all()


def test_two_cannot_edit_at_once(path):
    session = begin(path)
    with pytest.raises(ScutoidError, match="another window or program"):
        begin(path)
    code = f"""
from pathlib import Path
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread.journal import Journal
try:
    with Journal.read(Path({str(path)!r})):
        pass
except ScutoidError as error:
    print(error)
"""
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "another window or program has it open" in other.stdout
    session.do(Fill(MIDDLE, 2))
    session.close()
    begin(path).close()


def test_a_journal_that_is_dropped_keeps_nobody_out(path):
    begin(path).do(Fill(MIDDLE, 2))
    gc.collect()
    assert begin(path).history.head == 5


def test_journals_are_found_beside_their_labels(path):
    folder = path.parent
    second = free_path(folder / "gland.h5")
    assert second.name == "gland.corrections-2.sqlite"
    begin(second).close()
    (folder / "gland.corrections-3.sqlite").write_bytes(b"")
    (folder / "gland.other.sqlite").write_bytes(b"")
    assert free_path(folder / "leaf.h5").name == "leaf.corrections.sqlite"
    (folder / "gland.corrections-4.sqlite").symlink_to(folder / "gone.sqlite")
    os.utime(second, (1e9, 1e9))
    listed = journals_beside(folder / "gland.h5")
    in_order = [one.path for one in listed]
    assert in_order.index(path) < in_order.index(second)
    found = {one.path.name: one for one in listed}
    assert sorted(found) == [f"gland.corrections{end}.sqlite" for end in ("-2", "-3", "-4", "")]
    assert found[path.name].base.is_same(base_of())
    assert found[path.name].card.n_edits == 3
    assert found["gland.corrections-3.sqlite"].problem is not None
    assert "no such file" in str(found["gland.corrections-4.sqlite"].problem)


def test_the_key_has_a_time_axis(path):
    with sqlite3.connect(path) as db:
        for table in ("edits", "differences"):
            keys = [row[1] for row in db.execute(f"PRAGMA table_info({table})") if row[5]]
            assert keys[0] == "time_point"
        assert db.execute("PRAGMA application_id").fetchone()[0] == journal_file.APPLICATION_ID
        meta = dict(db.execute("SELECT key, value FROM meta"))
    db.close()
    assert json.loads(meta["base"])["sha256"] == base_of().labels_sha256


def test_the_base_is_known_by_its_voxels():
    first = base_of()
    swapped = base()
    assert first == base_of(Labels(np.asfortranarray(swapped.data), swapped.voxel_size_um))
    swapped.data[0, 0, 0] = 7
    assert not first.is_same(base_of(swapped))
    assert first.largest == 40
    assert NO_WALLS.image(MIDDLE) is None

"""The journal as a file: made whole, on any drive, and what is said where a drive fails."""

from __future__ import annotations

import errno
import shutil
import sqlite3

import pytest
from scripted import Fill, base, begin, now

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread import journal, journal_file
from napari_scutoid.proofread.base import Base
from napari_scutoid.proofread.journal import Journal

MIDDLE = Box((0, 2, 0), (1, 1, 2))
FULL = 2
SETTINGS = {"synchronous": FULL, "fullfsync": 1, "locking_mode": "exclusive", "journal_mode": "wal"}


@pytest.fixture
def path(tmp_path):
    """A closed journal of one edit."""
    file = tmp_path / "gland.corrections.sqlite"
    session = begin(file)
    session.do(Fill(MIDDLE, 1))
    session.close()
    return file


def base_of():
    return drain(Base.of(base()))


def test_network_drives_get_a_rollback_journal(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_file, "is_on_network", lambda path: True)
    session = begin(tmp_path / "a.sqlite")
    session.do(Fill(MIDDLE, 2))
    assert not (tmp_path / "a.sqlite-wal").exists()
    killed = tmp_path / "killed"
    killed.mkdir()
    for file in tmp_path.glob("a.sqlite*"):
        shutil.copyfile(file, killed / file.name)
    session.close()
    assert (begin(killed / "a.sqlite").labels[MIDDLE.slices] == 2).all()


def test_a_journal_moved_to_a_network_drive_changes_its_way(path, monkeypatch):
    monkeypatch.setattr(journal_file, "is_on_network", lambda path: True)
    session = begin(path)
    session.do(Fill(MIDDLE, 2))
    assert not path.with_name(f"{path.name}-wal").exists()
    session.close()


def test_what_cannot_be_written(path, tmp_path, monkeypatch):
    with pytest.raises(ScutoidError, match=r"there is gland\.corrections\.sqlite already"):
        Journal.begin(path, base_of())
    with pytest.raises(ScutoidError, match="no folder"):
        Journal.begin(tmp_path / "none" / "a.sqlite", base_of())
    (tmp_path / "b.sqlite-wal").write_bytes(b"of a journal that was moved")
    with pytest.raises(ScutoidError, match=r"there is b\.sqlite-wal already"):
        Journal.begin(tmp_path / "b.sqlite", base_of())

    def fail(path, how):
        raise sqlite3.OperationalError("unable to open database file")

    with Journal.read(path):
        monkeypatch.setattr(journal_file, "_connect", fail)
        with pytest.raises(ScutoidError, match="cannot be written"):
            journal_file.open_to_edit(path)


def test_nothing_is_left_where_a_journal_could_not_begin(tmp_path, monkeypatch):
    def fail(part, path):
        raise OSError("the drive was pulled out")

    monkeypatch.setattr(journal_file, "put_in_place", fail)
    with pytest.raises(ScutoidError, match="pulled out"):
        Journal.begin(tmp_path / "a.sqlite", base_of())
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_another_began_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "a.sqlite"
    monkeypatch.setattr(journal_file, "is_on_network", lambda _: bool(path.write_bytes(b"theirs")))
    with pytest.raises(ScutoidError, match="already"):
        Journal.begin(path, base_of())
    assert path.read_bytes() == b"theirs"
    assert [file.name for file in tmp_path.iterdir()] == ["a.sqlite"]


@pytest.mark.parametrize("name", ["a b#c?%41.sqlite", "größe.sqlite"])
def test_any_name_will_do(tmp_path, name):
    begin(tmp_path / name).close()
    assert [file.name for file in tmp_path.iterdir()] == [name]
    begin(tmp_path / name).close()


def bytes_in(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def lost_drive(*_):
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    raise error


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("where", "fail"), [("_copy", full_disk), ("_fixed", lost_drive)])
def test_a_full_disk_or_a_lost_drive_is_not_called_damage(path, monkeypatch, where, fail):
    path.with_name(f"{path.name}-wal").write_bytes(b"left by a killed program")
    before = bytes_in(path.parent)
    monkeypatch.setattr(journal_file, where, fail)
    with pytest.raises(ScutoidError, match=r"could not be read.*(space|I/O).*nothing says that the journal is damaged"):
        begin(path)
    assert bytes_in(path.parent) == before


def test_a_drive_that_fails_under_an_open_journal_is_not_called_damage(path, monkeypatch):
    session = begin(path)
    monkeypatch.setattr(journal, "unsigned", lost_drive)
    before = now(session)
    with pytest.raises(ScutoidError, match="could not be read"):
        session.undo()
    assert now(session) == before


def test_a_drive_that_cannot_flush_folders_holds_journals_all_the_same(tmp_path, monkeypatch):
    def fail(_):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(journal_file.os, "fsync", fail)
    session = begin(tmp_path / "a.sqlite")
    session.do(Fill(MIDDLE, 1))
    session.close()
    assert (begin(tmp_path / "a.sqlite").labels[MIDDLE.slices] == 1).all()


def test_no_edit_is_written_into_a_file_that_was_deleted(path, tmp_path):
    session = begin(path)
    aside = path.rename(tmp_path / "aside")
    before = now(session)
    for act in (lambda: session.do(Fill(MIDDLE, 2)), session.undo):
        with pytest.raises(ScutoidError, match="not there any more"):
            act()
    assert now(session) == before
    aside.rename(path)
    session.do(Fill(MIDDLE, 2))


@pytest.mark.parametrize("remote", [False, True])
def test_an_edit_waits_for_the_disk(tmp_path, monkeypatch, remote):
    monkeypatch.setattr(journal_file, "is_on_network", lambda _: remote)
    session = begin(tmp_path / "a.sqlite")
    answers = {name: session._journal._db.execute(f"PRAGMA {name}").fetchone()[0] for name in SETTINGS}
    assert answers == SETTINGS | {"journal_mode": "delete" if remote else "wal"}

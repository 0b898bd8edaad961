"""A journal as a file: made whole, recognised before it is opened, held by one process at a time.

SQLite changes a file as soon as it is opened for writing, and so do its leftovers after a crash. What may be a
stranger's is therefore read as a fixed file, or from a copy where there are leftovers.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import check_writable, not_written
from napari_scutoid.proofread.drives import is_on_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

APPLICATION_ID = 0x53637574
SCHEMA_VERSION = 1

# SQLite notices a page that is no page; what is wrong inside of a value is noticed by the checksums.
SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE edits (
    time_point INTEGER NOT NULL DEFAULT 0, id INTEGER NOT NULL, parent INTEGER NOT NULL,
    kind TEXT NOT NULL, title TEXT NOT NULL, parameters TEXT NOT NULL, author TEXT NOT NULL, made_at TEXT NOT NULL,
    box TEXT, focus TEXT, states TEXT NOT NULL, largest INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (time_point, id)
);
CREATE TABLE differences (
    time_point INTEGER NOT NULL DEFAULT 0, edit INTEGER NOT NULL, target TEXT NOT NULL,
    box TEXT NOT NULL, n INTEGER NOT NULL, mask BLOB NOT NULL, before BLOB NOT NULL, after BLOB NOT NULL,
    checksum TEXT NOT NULL,
    PRIMARY KEY (time_point, edit, target)
);
CREATE TABLE moves (
    id INTEGER PRIMARY KEY, time_point INTEGER NOT NULL DEFAULT 0, head INTEGER NOT NULL,
    action TEXT NOT NULL, author TEXT NOT NULL, made_at TEXT NOT NULL, checksum TEXT NOT NULL
);
"""

LEFTOVERS = ("-wal", "-journal")
"""What SQLite leaves beside a file whose writer was killed; it belongs to the file."""

_LONGEST_VALUE = 2**28
_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_OF_THE_SYSTEM = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)


def create(path: Path, meta: Mapping[str, str]) -> None:
    """Make an empty journal; it appears whole or not at all, and never over a file.

    Raises
    ------
    ScutoidError
        When the file, or what another journal left beside it, is there, or it cannot be written.
    """
    refuse_taken(path)
    check_writable(path)
    part = part_of(path)
    try:
        with contextlib.closing(_connect(part, "mode=rwc")) as db:
            _fill(db, meta)
            if not is_on_network(path):
                # Answers with the mode that is in effect: a drive that cannot do it keeps the usual one.
                db.execute("PRAGMA journal_mode=WAL").fetchone()
        put_in_place(part, path)
    except (OSError, sqlite3.Error) as error:
        raise not_written(path, error) from error
    finally:
        remove(part)


def part_of(path: Path) -> Path:
    """Return a name beside a journal's, for as long as it is not whole."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def refuse_taken(path: Path) -> None:
    """Refuse a name at which a journal cannot begin."""
    taken = [name for end in ("", *LEFTOVERS) if (name := path.with_name(path.name + end)).exists()]
    if taken:
        raise ScutoidError(
            f"The journal {path} could not be begun", f"there is {taken[0].name} already", "give another name"
        )


def temporary(meta: Mapping[str, str]) -> sqlite3.Connection:
    """Return a journal that lasts as long as its connection, in a file that only SQLite knows."""
    db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    _fill(db, meta)
    return db


def open_to_edit(path: Path) -> sqlite3.Connection:
    """Open a journal that `reading` found good, and keep all others away from it until it is closed.

    Raises
    ------
    ScutoidError
        When another window or program has it open, or it cannot be written.
    """
    try:
        db = _connect(path, "mode=rw")
        try:
            # Each commit is on the disk before the next edit is accepted; one process alone needs no shared memory.
            for setting in ("locking_mode=EXCLUSIVE", "synchronous=FULL", "fullfsync=ON", "checkpoint_fullfsync=ON"):
                db.execute(f"PRAGMA {setting}").fetchone()
            if is_on_network(path):
                db.execute("PRAGMA journal_mode=DELETE").fetchone()
            db.execute("BEGIN EXCLUSIVE")
            db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        if _code(error) in _IN_USE:
            raise _in_use(path) from error
        raise ScutoidError(
            f"The journal {path} cannot be continued",
            f"it cannot be written ({error})",
            "check that you may write to the file and its folder",
        ) from error
    return db


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a journal to read, and change neither it nor what lies beside it.

    Raises
    ------
    ScutoidError
        When it is missing, damaged, of another program or of a newer version of this one, or in use.
    """
    _check_kind(path)
    with contextlib.ExitStack() as stack:
        try:
            if _is_in_use(path):
                raise _in_use(path)
            db = _fixed(path) if not _leftovers(path) else _connect(_copy(path, stack), "mode=rw")
            stack.enter_context(contextlib.closing(db))
            found = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if found != "ok":
                raise damaged(path, str(found))
            if _schema_of(db) != _own_schema():
                raise damaged(path, "its tables are not those of a journal")
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # SQLite quotes what it cannot read
            raise not_read(path, error) from error
        yield db


def not_read(path: Path | None, error: Exception) -> ScutoidError:
    """Return the message for what reading a journal failed with: a drive that is gone or full is no damage."""
    if not isinstance(error, OSError) and _code(error) not in _OF_THE_SYSTEM:
        return damaged(path, str(error))
    return ScutoidError(
        f"The journal {path or 'of these labels'} could not be read",
        f"the system says: {error}",
        "see that its drive is there, that you may read the file, and that the disk has space left, then try again; "
        "nothing says that the journal is damaged",
    )


def damaged(path: Path | None, why: str) -> ScutoidError:
    """Return the message for a journal that cannot be trusted."""
    return ScutoidError(
        f"The journal {path or 'of these labels'} cannot be continued",
        f"it is damaged: {why}",
        "restore it from a backup, or begin a new one under another name; this one is left as it is",
    )


def _check_kind(path: Path) -> None:
    """Refuse what is no journal, without a lock and without reading more than its first page."""
    what = f"The journal {path} cannot be continued"
    if not path.is_file():
        raise ScutoidError(what, "there is no such file", "check the path")
    try:
        with contextlib.closing(_fixed(path)) as db:
            application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in _STAMPS)
    except sqlite3.Error as error:
        if _code(error) != sqlite3.SQLITE_NOTADB:
            raise not_read(path, error) from error
        raise ScutoidError(what, f"it is no journal of corrections ({error})", "choose another file") from error
    if application != APPLICATION_ID:
        raise ScutoidError(what, "it is a database, but not a journal of corrections", "choose another file")
    if version > SCHEMA_VERSION:
        raise ScutoidError(
            what,
            f"a newer version of this program wrote it (form {version}, known here: {SCHEMA_VERSION})",
            "update napari-scutoid",
        )


_STAMPS = ("application_id", "user_version")


def _fill(db: sqlite3.Connection, meta: Mapping[str, str]) -> None:
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
    db.execute("BEGIN")
    for statement in SCHEMA.split(";"):
        db.execute(statement)
    db.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
    db.execute("COMMIT")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    posix = Path(os.path.realpath(path)).as_posix()
    uri = f"file://{'' if posix.startswith('/') else '/'}{quote(posix)}?{how}"
    # A session begins in one thread and lives in another; SQLite takes care of both.
    db = sqlite3.connect(uri, uri=True, timeout=0, isolation_level=None, check_same_thread=False)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    db.execute("PRAGMA trusted_schema=OFF")
    return db


def _fixed(path: Path) -> sqlite3.Connection:
    # Not by Python's `open`: closing it would drop the locks of a connection that this process has to the same file.
    return _connect(path, "mode=ro&immutable=1")


def _copy(path: Path, stack: contextlib.ExitStack) -> Path:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scutoid-", ignore_cleanup_errors=True)))
    for file in (path, *_leftovers(path)):
        shutil.copyfile(file, folder / f"journal{file.name.removeprefix(path.name)}")
    return folder / "journal"


def _leftovers(path: Path) -> list[Path]:
    beside = (path.with_name(path.name + end) for end in LEFTOVERS)
    return [file for file in beside if file.is_file() and file.stat().st_size]


def _is_in_use(path: Path) -> bool:
    """Whether a connection, of this process too, holds the file; one that may only read is told, and changes nothing.

    In the exclusive mode it asks for no shared memory, which it would have to make.
    """
    with contextlib.closing(_connect(path, "mode=ro")) as db:
        try:
            db.execute("PRAGMA locking_mode=EXCLUSIVE").fetchone()
            db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.Error as error:
            return _code(error) in _IN_USE
    return False


def _in_use(path: Path) -> ScutoidError:
    return ScutoidError(
        f"The journal {path} cannot be opened",
        "another window or program has it open",
        "close the stack there first: two cannot correct with one journal at the same time",
    )


def _code(error: Exception) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _schema_of(db: sqlite3.Connection) -> list[tuple[str, ...]]:
    return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").fetchall()


def _own_schema() -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        return _schema_of(db)


def put_in_place(part: Path, path: Path) -> None:
    """Rename a journal that is closed; raises ScutoidError where another file has come to be there."""
    try:
        _rename(part, path)
    except FileExistsError:
        refuse_taken(path)
        raise


def remove(path: Path) -> None:
    """Remove a journal that nobody has seen yet, with what lies beside it."""
    for end in ("", *LEFTOVERS):
        with contextlib.suppress(OSError):
            path.with_name(path.name + end).unlink(missing_ok=True)


def _rename(part: Path, path: Path) -> None:
    if os.name == "nt":
        part.rename(path)  # refuses to replace
        return
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        part.rename(path)
    with contextlib.suppress(OSError):  # some drives of other computers know no such thing, and the file is there
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

"""The journal of a correction: every edit is on the disk before the next one is accepted.

Beside the labels lies one SQLite file with all edits ever made, undone ones too, and where their author was last. An
edit is stored as what it changed, so that nothing has to be computed again: not after a crash, not by `replay`.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import sqlite3
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_scutoid import __version__
from napari_scutoid.errors import ScutoidError
from napari_scutoid.proofread import journal_file
from napari_scutoid.proofread.base import Base
from napari_scutoid.proofread.change import Change
from napari_scutoid.proofread.history import BASE, Card, History, Move, Step
from napari_scutoid.proofread.journal_rows import (
    as_json,
    box_as_json,
    box_from,
    checksum,
    difference_from,
    id_from,
    numbers_from,
    states_as_json,
    states_from,
    unsigned,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from napari_scutoid.proofread.change import Difference

T = TypeVar("T")

ENDING = ".corrections.sqlite"
_NOW = 0
"""The time point that is edited: the keys have an axis for others."""


class Journal:
    """The edits of a correction, and which of them are in effect; made by `begin`, `resume` or `read`."""

    def __init__(self, db: sqlite3.Connection, path: Path | None) -> None:
        self._db = db
        # Who drops a journal without closing it must not keep others out.
        self._close = weakref.finalize(self, db.close)
        self.path = path
        with self._trusting_nothing():
            self.base = _base_from(dict(db.execute("SELECT key, value FROM meta WHERE key IN ('base', 'checksum')")))
            self.history = _history_from(db)
            used = db.execute("SELECT largest FROM edits WHERE time_point = ?", (_NOW,))
            self.largest = max([self.base.largest, *(id_from(largest) for (largest,) in used)])
        """The largest id that was ever used, by edits that are undone too."""

    @classmethod
    def begin(cls, path: str | Path | None, base: Base) -> Journal:
        """Begin an empty journal.

        Parameters
        ----------
        path : path or None
            Where it is to lie; None for one that is forgotten when it is closed.
        base : Base
            The labels it is about.

        Raises
        ------
        ScutoidError
            When a file is there already, or it cannot be written.
        """
        meta = _meta_of(base)
        if path is None:
            return cls(journal_file.temporary(meta), None)
        journal_file.create(Path(path), meta)
        return cls(journal_file.open_to_edit(Path(path)), Path(path))

    @classmethod
    def resume(cls, path: str | Path, base: Base) -> Journal:
        """Continue a journal where it stopped.

        Raises
        ------
        ScutoidError
            When it is of another program, of other labels, damaged, of a newer version, or in use: it is left as it
            is then.
        """
        file = Path(path)
        with cls.read(file) as found:
            found.check_base(base)
        db = journal_file.open_to_edit(file)
        try:
            return cls(db, file)
        except BaseException:
            db.close()
            raise

    @classmethod
    @contextlib.contextmanager
    def read(cls, path: str | Path) -> Iterator[Journal]:
        """Give a journal to look at, changing nothing; raises as `resume`."""
        file = Path(path)
        with journal_file.reading(file) as db:
            yield cls(db, file)

    def check_base(self, base: Base) -> None:
        """Raise ScutoidError unless the journal is about these labels, voxel by voxel."""
        if self.base.is_same(base):
            return
        if self.base.shape != base.shape:
            why = f"it is about labels of shape {self.base.shape}, these have {base.shape}"
        elif self.base.labels_sha256 != base.labels_sha256:
            why = f"it is about other labels{f', of {self.base.file}' if self.base.file else ''}"
        else:
            why = "it is about these labels with another lumen"
        raise ScutoidError(
            f"The journal {self.path} does not belong to these labels",
            why,
            "open the labels as they were before the first correction, or begin a new journal",
        )

    def append(self, change: Change, author: str, made_at: datetime | None = None) -> Step:
        """Write an edit on top of the head, and make it the head.

        Raises
        ------
        ScutoidError
            When it cannot be written: nothing is changed then.
        """
        made_at = made_at or datetime.now(UTC)
        step = Step(self.history.next_id, self.history.head, change.kind, change.title, author, made_at, change.centre)
        largest = 0 if change.labels is None else int(change.labels.values()[1].max())
        edit = (
            *(_NOW, step.id, step.parent, step.kind, step.title, as_json(dict(change.parameters))),
            *(author, made_at.isoformat(), None if change.box is None else box_as_json(change.box)),
            *(None if change.focus is None else as_json(change.focus), states_as_json(change.states), largest),
        )
        with self._transaction():
            self._insert("edits", edit)
            for target, part in (("labels", change.labels), ("lumen", change.lumen)):
                if part is not None:
                    row = (_NOW, step.id, target, box_as_json(part.box), part.n, part.mask, part.before, part.after)
                    self._insert("differences", row)
            move = self._write_move(step.id, "do", author, made_at)
        self.history.add(step)
        self.history.move_to(move)
        self.largest = max(self.largest, largest)
        return step

    def move(self, head: int, action: str, author: str) -> None:
        """Write that another step is the head now, by ``"undo"``, ``"redo"`` or ``"jump"``; raises as `append`."""
        with self._transaction():
            move = self._write_move(head, action, author, datetime.now(UTC))
        self.history.move_to(move)

    def change(self, step: int) -> Change:
        """Read what an edit did.

        Raises
        ------
        ScutoidError
            When the journal is damaged.
        """
        key = (_NOW, step)
        with self._trusting_nothing():
            row = self._db.execute("SELECT * FROM edits WHERE time_point = ? AND id = ?", key).fetchone()
            _, _, _, kind, title, parameters, _, _, box, focus, states, _ = unsigned(row)
            parts: dict[str, Difference] = {}
            for row in self._db.execute("SELECT * FROM differences WHERE time_point = ? AND edit = ?", key):
                _, _, target, *packed = unsigned(row)
                parts[target] = difference_from(*packed, shape=self.base.shape)
            told = json.loads(parameters)
            if not isinstance(told, dict) or parts.keys() - {"labels", "lumen"}:
                raise ValueError(f"step {step} changes {', '.join(parts)}, its parameters are {parameters[:40]}")
            place = None if focus is None else numbers_from(focus)
            change = Change(kind, title, told, parts.get("labels"), parts.get("lumen"), states_from(states), place)
            if change.box != (None if box is None else box_from(box)):
                raise ValueError(f"step {step} does not change what it says")
            return change

    def facts(self, kind: str, read: Callable[[str], T]) -> list[T]:
        """Return what was told of a kind, as `read` understands it.

        Raises
        ------
        ScutoidError
            When the journal is damaged.
        """
        with self._trusting_nothing():
            rows = self._db.execute("SELECT key, value FROM meta WHERE key > ? AND key < ?", (f"{kind}:", f"{kind};"))
            found = []
            for key, value in rows:
                stated, _, text = value.partition(" ")
                unsigned((key, text, stated))
                found.append(read(text))
            return found

    def tell(self, kind: str, facts: Mapping[str, str]) -> None:
        """Write facts beside the edits, by their names; they are no steps of the history. Raises as `append`."""
        named = {f"{kind}:{name}": text for name, text in facts.items()}
        rows = [(key, f"{checksum(key, text)} {text}") for key, text in named.items()]
        with self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)

    def forget(self, kind: str, names: Iterable[str]) -> None:
        """Take facts back; raises as `append`."""
        with self._transaction():
            self._db.executemany("DELETE FROM meta WHERE key = ?", [(f"{kind}:{name}",) for name in names])

    def close(self) -> None:
        """Let others open it; more edits are not possible then."""
        self._close()

    def _insert(self, table: str, values: Sequence[Any]) -> None:
        row = (*values, checksum(*values))
        self._db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)

    def _write_move(self, head: int, action: str, author: str, made_at: datetime) -> Move:
        number = len(self.history.moves) + 1
        self._insert("moves", (number, _NOW, head, action, author, made_at.isoformat()))
        return Move(head, action, author, made_at)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        if self.path is not None and not os.path.exists(self.path):
            # The system lets a file be written that has no name any more, and forgets it when it is closed.
            raise ScutoidError(
                "The edit was not made",
                f"the journal {self.path} is not there any more: it was moved or deleted, or its drive is gone",
                "bring it back; or save the labels under another name, and go on with those",
            )
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk makes SQLite roll back by itself.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise ScutoidError(
                "The edit was not made",
                f"the journal {self.path or ''} could not be written ({error}), and nothing was changed",
                "make room on its disk, or see why it cannot be written, then do it again; no earlier edit is lost",
            ) from error

    @contextlib.contextmanager
    def _trusting_nothing(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
            raise journal_file.not_read(self.path, error) from error


@dataclass(frozen=True, slots=True)
class Found:
    """A journal that lies beside labels.

    Parameters
    ----------
    path : Path
        The file.
    base : Base, optional
        What it is about; None where it cannot be used.
    card : Card, optional
        What was done; None where it cannot be used.
    problem : ScutoidError, optional
        Why it cannot be used.
    """

    path: Path
    base: Base | None = None
    card: Card | None = None
    problem: ScutoidError | None = None


def journals_beside(file: str | Path) -> list[Found]:
    """Look at the journals that lie beside a file of labels, the last changed first; changes nothing."""
    labels = Path(file)
    pattern = f"{glob.escape(labels.stem)}.*sqlite"
    found = [one for one in labels.parent.glob(pattern) if _is_named(one, labels.stem)]
    return [_look_at(one) for one in sorted(found, key=_changed_at, reverse=True)]


def free_path(file: str | Path) -> Path:
    """Return where a new journal of a file of labels can begin: ``STEM.corrections.sqlite``, or with a number."""
    labels = Path(file)
    number = 1
    while True:
        end = ENDING if number == 1 else f".corrections-{number}.sqlite"
        path = labels.with_name(labels.stem + end)
        if not any(path.with_name(path.name + more).exists() for more in ("", *journal_file.LEFTOVERS)):
            return path
        number += 1


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # a link to what is not there any more
        return 0.0


def _is_named(path: Path, stem: str) -> bool:
    return path.name.removeprefix(stem).startswith(".corrections")


def _look_at(path: Path) -> Found:
    try:
        with Journal.read(path) as journal:
            return Found(path, journal.base, journal.history.card())
    except ScutoidError as problem:
        return Found(path, problem=problem)


def _meta_of(base: Base) -> dict[str, str]:
    told = json.dumps(base.as_dict() | {"largest": base.largest})
    return {
        "base": told,
        "checksum": checksum(told),
        "created": datetime.now(UTC).isoformat(),
        "program": f"napari-scutoid {__version__}",
    }


def _base_from(meta: dict[str, str]) -> Base:
    if checksum(meta["base"]) != meta["checksum"]:
        raise ValueError("what it says of its labels was changed after it was written")
    stated = json.loads(meta["base"])
    z, y, x = (int(n) for n in stated["shape"])
    if min(z, y, x) < 1:
        raise ValueError(f"its labels have shape {(z, y, x)}")
    labels, lumen, file, dataset = (str(stated[name]) for name in ("sha256", "lumen_sha256", "path", "dataset"))
    return Base((z, y, x), labels, lumen, int(stated["largest"]), file, dataset)


def _history_from(db: sqlite3.Connection) -> History:
    history = History()
    rows = db.execute("SELECT * FROM edits WHERE time_point = ? ORDER BY id", (_NOW,))
    for number, row in enumerate(rows, 1):
        _, step, parent, kind, title, _, author, made_at, box, focus, _, _ = unsigned(row)
        if step != number or not all(isinstance(text, str) for text in (kind, title, author)):
            raise ValueError(f"step {step!r} is none")
        centre = numbers_from(focus) if focus is not None else _middle(box)
        history.add(Step(number, parent, kind, title, author, _time(made_at), centre))
    rows = db.execute("SELECT * FROM moves WHERE time_point = ? ORDER BY id", (_NOW,))
    for number, row in enumerate(rows, 1):
        move, _, head, action, author, made_at = unsigned(row)
        if move != number or not all(isinstance(text, str) for text in (action, author)):
            raise ValueError(f"a move to step {head} is none")
        history.move_to(Move(head, action, author, _time(made_at)))
    if history.head == BASE and len(history) and not history.moves:
        raise ValueError("no move says where the head is")
    return history


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"the time {text} has no zone")
    return time


def _middle(box: str | None) -> tuple[float, float, float] | None:
    if box is None:
        return None
    found = box_from(box)
    z, y, x = (first + (n - 1) / 2 for first, n in zip(found.start, found.shape, strict=True))
    return z, y, x

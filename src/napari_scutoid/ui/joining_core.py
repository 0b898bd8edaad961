"""Adding another person's corrections to a session's, as jobs; neither journal is changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.journal_merge import Collision, Entry, Keep
    from napari_scutoid.proofread.session import Session

WHAT = "The corrections cannot be added"


@dataclass(frozen=True, slots=True, eq=False)
class Met:
    """What another journal would add.

    Parameters
    ----------
    path : Path
        That journal.
    words : str
        How much it is, and whose.
    collisions : tuple of Collision
        What both have changed; the session's version is the first.
    is_new : bool
        Whether it has anything that the session has not.
    """

    path: Path
    words: str
    collisions: tuple[Collision, ...]
    is_new: bool


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """A journal that holds the corrections of two.

    Parameters
    ----------
    path : Path
        The new journal.
    words : str
        What was added.
    left_out : tuple of str
        Edits that are not in it, in words; their own journals have them.
    """

    path: Path
    words: str
    left_out: tuple[str, ...]


def meet(session: Session, path: Path) -> Steps[Met]:
    """Compare another journal with a session's edits; no edit is possible meanwhile.

    Raises
    ------
    ScutoidError
        When it is the session's own, about other labels, damaged, or open elsewhere.
    """
    from napari_scutoid.proofread.journal import Journal

    yield Progress("Reading the corrections")
    _refuse_own(session, path)
    with Journal.read(path) as other:
        merged = session.merged_with(other)
    added, collisions = _added(session, merged.entries), merged.collisions
    n = len(added) + merged.n_answers
    words = f"{_in_words(added, merged.n_answers)} can be added as {'it is' if n == 1 else 'they are'}." if n else ""
    if collisions:
        n = len(collisions)
        words += f" {n} place{'' if n == 1 else 's'} you have both changed: choose for each."
    words = words.strip() or f"Nothing is in {path.name} that you have not."
    return Met(path, words, collisions, bool(n or collisions))


def join(
    session: Session, path: Path, collisions: Sequence[Collision], choices: Sequence[Keep | None]
) -> Steps[Joined]:
    """Write both people's edits into a new journal beside the labels; no edit is possible meanwhile.

    Parameters
    ----------
    session : Session
    path : Path
        The other journal.
    collisions : sequence of Collision
        Those that were decided on.
    choices : sequence of {"first", "second", None}
        Whose version of each to make, the session's or the other one; None for neither.

    Raises
    ------
    ScutoidError
        As `meet`; and when other edits collide by now, or the new journal cannot be written.
    """
    from napari_scutoid.proofread.journal import Journal, free_path

    yield Progress("Reading the corrections")
    _refuse_own(session, path)
    with Journal.read(path) as other:
        merged = session.merged_with(other)
        if merged.collisions != tuple(collisions):
            raise ScutoidError(
                WHAT, "other edits collide by now, as there are new ones", "add the corrections again, and choose anew"
            )
        if merged.collisions:
            merged = session.merged_with(other, choices)
    target = free_path(session.base.file)
    yield from merged.write(target, session.base)
    n = len(merged.left_out)
    added = _added(session, merged.entries)
    were = "was" if len(added) + merged.n_answers == 1 else "were"
    words = f"{_in_words(added, merged.n_answers) or 'No edits'} {were} added; both journals are as they were."
    if n:
        words += f" {n} that collided {'is' if n == 1 else 'are'} left out, and listed below the history."
    return Joined(target, words, tuple(_told(one) for one in merged.left_out))


def _added(session: Session, entries: Sequence[Entry]) -> list[Entry]:
    mine = {(step.author, step.made_at, step.kind) for step in session.history}
    return [one for one in entries if (one.step.author, one.step.made_at, one.step.kind) not in mine]


def _counted(entries: Sequence[Entry]) -> str:
    who = " and ".join(dict.fromkeys(one.step.author for one in entries if one.step.author))
    return f"{len(entries)} edit{'' if len(entries) == 1 else 's'}{f' by {who}' if who else ''}"


def _in_words(added: Sequence[Entry], n_answers: int) -> str:
    """Say how many edits and answers there are; an answer says that no cell is missing, or refuses a change."""
    answers = f"{n_answers} answer{'' if n_answers == 1 else 's'} to what the program had offered" if n_answers else ""
    return " and ".join(filter(None, (_counted(added) if added else "", answers)))


def _told(entry: Entry) -> str:
    return f"{entry.step.title} ({entry.step.author}, {entry.step.made_at.astimezone():%d %b %Y, %H:%M})"


def _refuse_own(session: Session, path: Path) -> None:
    own = session.journal
    if own is not None and os.path.realpath(own) == os.path.realpath(path):
        raise ScutoidError(WHAT, f"{path.name} is the journal you are working with", "choose your colleague's")

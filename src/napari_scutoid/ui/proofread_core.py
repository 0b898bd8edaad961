"""The doors from the Correct dock to the program, as jobs; a test may put its own in their place.

What a door needs is imported when its job starts, in the worker's thread.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress, within
from napari_scutoid.ui.again_core import how_made, second_opinions, segment_again
from napari_scutoid.ui.joining_core import join, meet
from napari_scutoid.volume import Labels, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_scutoid.opinions import HowFound
    from napari_scutoid.progress import Steps
    from napari_scutoid.proofread.change import Change
    from napari_scutoid.proofread.differences import Proposal
    from napari_scutoid.proofread.journal import Found
    from napari_scutoid.proofread.journal_merge import Collision, Keep
    from napari_scutoid.proofread.review import Review
    from napari_scutoid.proofread.session import Session
    from napari_scutoid.result import Kept, Result
    from napari_scutoid.ui.again_core import Offered, Plan
    from napari_scutoid.ui.joining_core import Joined, Met
    from napari_scutoid.volume import ArrayLike, Volume

SAVED_DATASET = "label"
LUMEN_NAMES = ("lumen", "lumenImage")
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What is to be corrected.

    Parameters
    ----------
    labels : Volume
        The cells as they are shown. Their array becomes the session's own, and is changed from then on, where it is in
        memory and holds what was there before the first edit.
    name : str
        Of what is shown.
    author : str
    folder : Path
        Where labels that are in no file are saved before the first edit: without them no journal can be continued.
    image, walls : Volume, optional
        What the program may look at to help.
    file : Path, optional
        The one the labels were read from; None where they are in none.
    dataset, axes : str, optional
        Of that file, as for `open_labels`.
    journal : Path, optional
        The one to continue; None to begin another.
    kept : Kept, optional
        What the labels were made from, where they were made in this window.
    is_corrected : bool
        Whether what is shown holds corrections already, so that only the file has the labels from before them.
    provenance : mapping, optional
        How the labels were made, where they were made in this window.
    """

    labels: Volume
    name: str
    author: str
    folder: Path
    image: Volume | None = None
    walls: Volume | None = None
    file: Path | None = None
    dataset: str | None = None
    axes: str | None = None
    journal: Path | None = None
    kept: Kept | None = None
    is_corrected: bool = False
    provenance: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A session that has begun.

    Parameters
    ----------
    session : Session
    base : Labels
        What it started from: voxel size, position, and the file that holds it. Its array is the session's.
    told : str
        What the user should know; empty for nothing.
    kept : Kept, optional
        As in `Asked`.
    how : HowFound, optional
        How the labels were found; None where nothing says it.
    """

    session: Session
    base: Labels
    told: str = ""
    kept: Kept | None = None
    how: HowFound | None = None


class Compared(NamedTuple):
    """What other labels would change.

    Parameters
    ----------
    labels : ndarray of uint32
        The labels, were all of it taken but for the smallest differences.
    proposals : list of Proposal
    refused : list of Proposal
        Those that were refused before.
    """

    labels: NDArray[Any]
    proposals: list[Proposal]
    refused: list[Proposal]


def look_beside(file: Path) -> Steps[list[Found]]:
    """Look for journals beside a file of labels, the last changed first."""
    from napari_scutoid.proofread.journal import journals_beside

    yield Progress("Looking for a journal")
    return journals_beside(file)


def begin(asked: Asked) -> Steps[Begun]:
    """Begin to correct labels, or continue.

    Raises
    ------
    ScutoidError
        When the labels are none, their place cannot be written to, or the journal to continue does not fit.
    """
    from napari_scutoid.io.open import inspect
    from napari_scutoid.proofread.evidence import GridEvidence
    from napari_scutoid.proofread.journal import free_path
    from napari_scutoid.proofread.session import Session

    base, told = yield from _base(asked)
    if base.source is None:
        raise ValueError("labels to be corrected need a file")
    evidence = GridEvidence.of(base, asked.walls, asked.image)
    journal = asked.journal or free_path(base.source.path)
    how = how_made(asked.provenance or inspect(base.source.path).provenance)
    session = yield from Session.begin(base, evidence, journal, asked.author)
    with contextlib.suppress(OSError):
        # Of several journals, the one that was worked with last is offered first.
        os.utime(journal)
    return Begun(session, base, told, asked.kept, how)


def find_suspects(session: Session, kept: Kept | None = None) -> Steps[Review]:
    """Look at every cell; edits may go on meanwhile.

    Parameters
    ----------
    session : Session
    kept : Kept, optional
        What the network said: cells that another post-processing makes of it are a second opinion.
    """
    opinions = []
    if kept is not None:
        from napari_scutoid.opinions import other_partition

        opinions.append((yield from within(other_partition(kept), Progress("Asking for a second opinion"))))
    return (yield from _reviewed(session, opinions))


def find_again(session: Session, offered: Offered, chosen: Plan) -> Steps[tuple[Review, Kept]]:
    """Look at every cell again, with what the network says of the stack mirrored; edits may go on meanwhile.

    Parameters
    ----------
    session : Session
    offered, chosen
        As for `second_opinions`.
    """
    kept, opinions = yield from second_opinions(offered, chosen)
    return (yield from _reviewed(session, opinions)), kept


def _reviewed(session: Session, opinions: Sequence[ArrayLike]) -> Steps[Review]:
    from napari_scutoid.proofread.gaps import find_gaps
    from napari_scutoid.proofread.review import Review
    from napari_scutoid.proofread.suspects import Suspects

    with session.watched() as watch:
        gaps = yield from find_gaps(watch)
        suspects = yield from Suspects.build(watch, opinions)
        with watch.still():  # of later edits the review hears
            return Review(session, suspects, watch.changes(), gaps=gaps)


def propose_lumen(session: Session) -> Steps[Change]:
    """Look for the lumen; the session must not change meanwhile."""
    from napari_scutoid.proofread.edits.propose_lumen import propose_lumen as find

    return (yield from find(session.scene()))


def compare(session: Session, other: ArrayLike) -> Steps[Compared]:
    """List what other labels of the same grid would change; the session must not change meanwhile."""
    from napari_scutoid.proofread.differences import differences
    from napari_scutoid.proofread.resegment import kept_accepted

    accepted = [cell for cell, state in session.states.items() if state.accepted]
    new = _in_memory(other)
    kept = yield from kept_accepted(new, session.labels, accepted, session.next_id, session.lumen)
    found = yield from differences(session.labels, kept, session.index, accepted)
    return Compared(kept, *session.parted(found))


def save(begun: Begun, path: Path, stack: Volume | None = None) -> Steps[Path]:
    """Write the corrected labels; the session must not change meanwhile.

    Parameters
    ----------
    begun : Begun
    path : Path
        Its ending is the format; a ``.mat`` holds what the laboratory's scripts load.
    stack : Volume, optional
        Write on its grid instead, with boundaries on its membranes.
    """
    from napari_scutoid.io.suffixes import MATLAB

    if stack is None and path.suffix.lower() not in MATLAB:
        yield from begun.session.save(path)
    else:
        yield from begun.session.export(path, stack)
    return path


def save_truth(begun: Begun, path: Path, image: Volume) -> Steps[Path]:
    """Write the image with its accepted cells, to train with; the session must not change meanwhile."""
    yield from begun.session.save_truth(path, image)
    return path


@dataclass(frozen=True, slots=True)
class ProofreadCore:
    """What the Correct dock asks of the program."""

    look_beside: Callable[[Path], Steps[list[Found]]] = field(default=look_beside)
    begin: Callable[[Asked], Steps[Begun]] = field(default=begin)
    find_suspects: Callable[[Session, Kept | None], Steps[Review]] = field(default=find_suspects)
    find_again: Callable[[Session, Offered, Plan], Steps[tuple[Review, Kept]]] = field(default=find_again)
    propose_lumen: Callable[[Session], Steps[Change]] = field(default=propose_lumen)
    compare: Callable[[Session, ArrayLike], Steps[Compared]] = field(default=compare)
    segment_again: Callable[[Offered, Plan], Steps[Result]] = field(default=segment_again)
    meet: Callable[[Session, Path], Steps[Met]] = field(default=meet)
    join: Callable[[Session, Path, Sequence[Collision], Sequence[Keep | None]], Steps[Joined]] = field(default=join)
    save: Callable[[Begun, Path, Volume | None], Steps[Path]] = field(default=save)
    save_truth: Callable[[Begun, Path, Volume], Steps[Path]] = field(default=save_truth)


def _base(asked: Asked) -> Steps[tuple[Labels, str]]:
    """Return the labels from before the first edit, which a file holds, and what to tell the user."""
    grid: dict[str, Any] = {"voxel_size_um": asked.labels.voxel_size_um, "origin_um": asked.labels.origin_um}
    own = yield from _in_file(asked)
    if own is not None:
        return replace(own, **grid), ""
    if asked.journal is not None:
        raise ScutoidError(
            "The corrections were not continued",
            f"“{asked.name}” is not what is in {asked.file}, where they began",
            "open the file again, and continue with the layer that comes of it; or begin anew with this one",
        )
    labels = Labels(_in_memory(asked.labels.data), history=asked.labels.history, **grid)
    file = yield from _save_base(labels, asked)
    return replace(labels, source=Source(str(file), SAVED_DATASET)), f"The labels were saved to {file} first."


def _in_file(asked: Asked) -> Steps[Labels | None]:
    """Return the labels in their file, with its lumen; None where there is none, or it does not hold what is shown."""
    yield Progress("Reading the labels")
    if asked.file is None:
        return None
    try:
        return (yield from _read(asked.file, asked))
    except ScutoidError:
        if asked.journal is not None:
            raise
        return None


def _read(file: Path, asked: Asked) -> Steps[Labels | None]:
    from napari_scutoid.io.open import find_labels, inspect, open_volume
    from napari_scutoid.proofread.base import read_labels

    found = find_labels(file, asked.dataset, axes=asked.axes)
    labels = yield from read_labels(found, None if asked.is_corrected else asked.labels.data)
    if labels is None or labels.shape != asked.labels.shape:
        return None
    for other in inspect(file).datasets:
        if other.path.split("/")[-1] in LUMEN_NAMES and sorted(other.shape) == sorted(labels.shape):
            lumen = open_volume(file, other.path, axes=asked.axes).data[:]
            if lumen.shape == labels.shape:
                labels = replace(labels, lumen=lumen != 0)
    return labels


def _in_memory(data: ArrayLike) -> NDArray[Any]:
    """Return whole numbers that may be changed in place."""
    import numpy as np

    from napari_scutoid.volume import as_label_array

    try:
        array = as_label_array(np.asarray(data))
    except ValueError as error:
        raise ScutoidError(
            "These labels cannot be corrected", str(error), "choose labels: one number per cell"
        ) from error
    return array if array.flags.writeable else np.array(array)


def _save_base(labels: Labels, asked: Asked) -> Steps[Path]:
    from napari_scutoid.io.open import save_result

    yield Progress("Saving the labels first")
    try:
        asked.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ScutoidError(
            f"The folder {asked.folder} could not be made", str(error), "choose another one in napari's preferences"
        ) from error
    stem = re.sub(r"[^\w .-]+", "_", asked.name).strip(" .")[:LONGEST_NAME] or "cells"
    number, file = 1, asked.folder / f"{stem}.h5"
    while file.exists():
        number += 1
        file = asked.folder / f"{stem} {number}.h5"
    made = {"source_provenance": asked.provenance} if asked.provenance else {}
    save_result(file, labels, {}, {"saved_before_corrections_of": asked.name} | made)
    return file

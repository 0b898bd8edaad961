"""What a person has refused of another segmentation: it is kept in the journal, and not offered again."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.proofread.change import unpacked
from napari_scutoid.proofread.differences import LEAST, OTHER
from napari_scutoid.proofread.journal_rows import box_as_json, box_from, checksum, id_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from napari_scutoid.box import Box
    from napari_scutoid.proofread.differences import Proposal
    from napari_scutoid.proofread.journal import Journal

KIND = "refused"
"""Under which facts of a journal they are."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused, as far as it is needed to know it again.

    Parameters
    ----------
    old : tuple of int
        Cells that would have been replaced.
    box : Box
    packed : bytes
        As a `Proposal` has them.
    """

    old: tuple[int, ...]
    box: Box
    packed: bytes

    @classmethod
    def of(cls, proposal: Proposal) -> Refusal:
        """Return the refusal of a proposal."""
        return cls(proposal.old, proposal.box, proposal.packed)

    @classmethod
    def read(cls, text: str, shape: tuple[int, int, int]) -> Refusal:
        """Return the refusal behind `text`, of a stack of that shape; ValueError or the like where it is none."""
        stated = json.loads(text)
        box = box_from(json.dumps(stated["box"]))
        if not box.is_within(shape):
            raise ValueError(f"what was refused at {box.start} of shape {box.shape} leaves {shape}")
        return cls(tuple(map(id_from, stated["old"])), box, base64.b64decode(stated["packed"], validate=True))

    @property
    def name(self) -> str:
        """What tells it from others."""
        return checksum(*self.old, box_as_json(self.box), self.packed)

    @property
    def text(self) -> str:
        """How a journal holds it."""
        packed = base64.b64encode(self.packed).decode("ascii")
        return json.dumps({"old": self.old, "box": json.loads(box_as_json(self.box)), "packed": packed})

    def is_of(self, proposal: Proposal) -> bool:
        """Whether a proposal is the one that was refused.

        It is where it replaces the same cells, and each of the new ones is the same up to the part of a cell that
        `differences` takes for none: cells that are accepted meanwhile cut a little from those beside them.
        """
        common = self.box.overlap(proposal.box)
        if self.old != proposal.old or not common.size:
            return False
        n = len(proposal.new)
        try:
            mine = _cells(np.frombuffer(unpacked(self.packed, 2 * self.box.size), "<u2").reshape(self.box.shape))
        except ValueError:  # a stranger's; what it means is not known, so that it has refused nothing
            return False
        theirs = _cells(proposal.wanted())
        sizes = np.bincount(mine.ravel())[1:], np.bincount(theirs.ravel(), minlength=n + 1)[1:]
        if len(sizes[0]) != n:
            return False
        here, there = (
            cells[common.shifted([-first for first in box.start]).slices]
            for cells, box in ((mine, self.box), (theirs, proposal.box))
        )
        both = (here > 0) & (there > 0)
        pairs = here[both].astype(np.int64) * (n + 1) + there[both]
        shared = np.bincount(pairs, minlength=(n + 1) ** 2).reshape(n + 1, n + 1)[1:, 1:]
        # More than half of both: no cell has two such partners.
        return bool((shared >= (1 - LEAST) * np.maximum.outer(*sizes)).any(axis=1).all())


def refusals_in(journal: Journal) -> list[Refusal]:
    """Read what was refused; ScutoidError where the journal is damaged."""
    return journal.facts(KIND, partial(Refusal.read, shape=journal.base.shape))


def refuse(journal: Journal, refusals: Iterable[Refusal]) -> None:
    """Write what is refused; raises as `Journal.append`."""
    journal.tell(KIND, {one.name: one.text for one in refusals})


def reconsider(journal: Journal, proposal: Proposal) -> None:
    """Let the journal forget that a proposal was refused; raises as `Journal.append`."""
    journal.forget(KIND, [one.name for one in refusals_in(journal) if one.is_of(proposal)])


def parted(journal: Journal, proposals: Iterable[Proposal]) -> tuple[list[Proposal], list[Proposal]]:
    """Return what was not refused, and what was, each in its order; ScutoidError where the journal is damaged."""
    refusals: dict[tuple[int, ...], list[Refusal]] = defaultdict(list)
    for one in refusals_in(journal):
        refusals[one.old].append(one)
    offered: list[Proposal] = []
    refused: list[Proposal] = []
    for proposal in proposals:
        is_refused = any(one.is_of(proposal) for one in refusals.get(proposal.old, ()))
        (refused if is_refused else offered).append(proposal)
    return offered, refused


def joined(first: Journal, second: Journal, ids: Mapping[int, int]) -> tuple[Refusal, ...]:
    """Return what either of two journals refuses; `ids` says what cells of the second are called in the first."""
    theirs = (replace(one, old=tuple(sorted(ids.get(cell, cell) for cell in one.old))) for one in refusals_in(second))
    return tuple(dict.fromkeys((*refusals_in(first), *theirs)))


def _cells(codes: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Return the new cells alone."""
    return np.where(codes == OTHER, np.uint16(0), codes)

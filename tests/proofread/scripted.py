"""Small labels, and edits whose outcome is known, for the tests of sessions and journals."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from hypothesis import strategies as st

from napari_scutoid.box import Box
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import drain
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.edits.states import Accept, Flag, MarkSeen, Note, SetValid, Unlock
from napari_scutoid.proofread.session import Session
from napari_scutoid.volume import Labels, VoxelSize

SHAPE = (3, 6, 6)
NO_WALLS = SimpleNamespace(boundary=lambda box: np.full(box.shape, 51, np.uint8), image=lambda box: None)


def base(lumen: bool = False) -> Labels:
    """Four cells in the corners, one voxel of background between them."""
    data = np.zeros(SHAPE, np.uint32)
    data[:, :2, :2], data[:, :2, 3:], data[:, 3:, :2], data[:, 3:, 3:] = 1, 2, 3, 40
    hole = np.zeros(SHAPE, np.bool_)
    hole[1, 2, 2] = True
    return Labels(data, VoxelSize(2.0, 0.5, 0.5), lumen=hole if lumen else None)


def begin(journal=None, labels=None, author="Ana"):
    return drain(Session.begin(labels or base(), NO_WALLS, journal, author))


@dataclass(frozen=True)
class Fill:
    """Give a box to a cell, or to a new one where `cell` is None; to the lumen as well where asked."""

    box: Box
    cell: int | None = None
    lumen: bool | None = None

    def plan(self, scene):
        cell = scene.next_id if self.cell is None else self.cell
        old = scene.labels[self.box.slices]
        labels = Difference.between(self.box, old, np.full(self.box.shape, cell, np.uint32))
        lumen = None
        if self.lumen is not None:
            there = np.zeros(self.box.shape, np.bool_) if scene.lumen is None else scene.lumen[self.box.slices]
            lumen = Difference.between(self.box, there, np.full(self.box.shape, self.lumen))
        return Change("fill", f"Fill with cell {cell}", {"cell": cell}, labels, lumen)


def boxes(shape=SHAPE):
    """Draw boxes of up to 4 voxels a side."""
    starts = st.tuples(*(st.integers(0, n - 1) for n in shape))
    sides = st.tuples(*(st.integers(1, 4) for _ in shape))
    return st.builds(lambda start, side: Box(start, side).overlap(Box.whole(shape)), starts, sides)


CELLS = st.sampled_from([1, 2, 3, 40])
EDITS = st.one_of(
    st.builds(Fill, boxes(), st.one_of(st.none(), st.just(0), CELLS), st.sampled_from([None, True, False])),
    st.builds(Fill, boxes()),
    st.builds(lambda cell: Accept((cell,)), CELLS),
    st.builds(lambda cell: Unlock((cell,)), CELLS),
    st.builds(lambda cell, flagged: Flag((cell,), flagged), CELLS, st.booleans()),
    st.builds(lambda cell, text: Note((cell,), text), CELLS, st.text(max_size=3)),
    st.builds(lambda cell, valid: SetValid((cell,), valid), CELLS, st.booleans()),
    st.builds(lambda cell: MarkSeen((cell,)), CELLS),
)
WAYS = st.one_of(st.sampled_from(["undo", "redo"]), st.integers(0, 20))
ACTIONS = st.lists(st.one_of(EDITS, EDITS, WAYS), max_size=14)


def act(session, action):
    """Do an edit or go through the history; tell whether it was refused."""
    try:
        if action == "undo":
            session.undo()
        elif action == "redo":
            session.redo()
        elif isinstance(action, int):
            session.jump(action % (len(session.history) + 1))
        else:
            session.do(action)
    except ScutoidError:
        return False
    return True


def now(session):
    """Return all that edits change, to be compared."""
    lumen = np.zeros(session.labels.shape, np.bool_) if session.lumen is None else session.lumen
    return session.labels.tobytes(), lumen.tobytes(), dict(session.states)

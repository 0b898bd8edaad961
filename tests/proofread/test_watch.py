"""Suspects are found while edits go on, and what comes of it is what a look at the final labels gives."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
from judged_tissue import MERGED, PIECE, REST, judge, session

from napari_scutoid.box import Box
from napari_scutoid.progress import drain
from napari_scutoid.proofread import look as look_module
from napari_scutoid.proofread.change import Change, Difference
from napari_scutoid.proofread.edits.delete import Delete
from napari_scutoid.proofread.edits.merge import Merge
from napari_scutoid.proofread.suspects import Suspects, cells_of


class Hollow:
    """Make a part of a cell lumen."""

    def plan(self, scene):
        box = Box((4, 4, 4), (3, 4, 5))
        before = scene.labels[box.slices]
        there = np.zeros(box.shape, bool) if scene.lumen is None else scene.lumen[box.slices]
        return Change(
            "lumen",
            "Hollow",
            labels=Difference.between(box, before, np.zeros_like(before)),
            lumen=Difference.between(box, there, np.ones(box.shape, bool)),
        )


class Reach:
    """Give the far corner of one cell to another one, which then has two pieces."""

    def plan(self, scene):
        box = Box((2, 2, 2), (2, 3, 3))
        before = scene.labels[box.slices]
        return Change("paint", "Reach", labels=Difference.between(box, before, np.full_like(before, 26)))


def equal(one, other):
    assert one.cells == other.cells
    assert one.tissue == other.tissue
    for cell in other.cells:
        assert one.weakest_faces(cell) == other.weakest_faces(cell)
        for a, b in zip(one.odds(cell), other.odds(cell), strict=True):
            np.testing.assert_array_equal(a, b)
        for field in dataclasses.fields(one.look(cell)):
            if field.name != "overlaps":
                a, b = (getattr(each.look(cell), field.name) for each in (one, other))
                np.testing.assert_equal(a, b, field.name)
    assert set(one._looks) == set(one._odds) == set(one._faces) | {c for c in one.cells if not one.weakest_faces(c)}


def built_beside(work, edits):
    """Build suspects while edits are made: by number of the report after which each is made."""
    with work.watched() as watch:
        job, number = Suspects.build(watch, judge=judge()), 0
        while True:
            try:
                step = next(job)
            except StopIteration as stop:
                assert not watch.changes()
                return stop.value
            for edit in edits.pop(step.step if step.step in edits else number, ()):
                work.undo() if edit is None else work.do(edit)
            number += 1


@pytest.mark.parametrize("across", [16, 4])
def test_suspects_found_beside_edits_are_those_of_the_final_labels(across, monkeypatch):
    monkeypatch.setattr(look_module, "_ACROSS", across)
    work = session()
    edits = {
        0: [Delete((13,))],
        9: [Merge((REST, PIECE)), Reach()],
        12: [Hollow()],
        20: [Merge((2, 3)), Merge((MERGED, 17)), None],
        "Judging cells": [Delete((2,)), Merge((5, 6))],
    }
    found = built_beside(work, edits)
    assert not edits and 3 not in found and work.index.voxels(26) > 500
    equal(found, drain(Suspects.build(work.scene(), judge=judge())))


def test_a_cell_that_goes_and_comes_back_is_judged(monkeypatch):
    monkeypatch.setattr(look_module, "_ACROSS", 4)
    work = session()
    found = built_beside(work, {3: [Merge((1, 2))], 5: [None, Delete((1,)), None], 25: [Delete((1,))]})
    assert 1 not in found and 2 in found
    equal(found, drain(Suspects.build(work.scene(), judge=judge())))


def test_an_edit_waits_while_a_job_copies_and_is_noted():
    work, made = session(), threading.Event()

    def edit():
        work.do(Merge((1, 2)))
        made.set()

    with work.watched() as watch:
        with watch.still() as scene:
            thread = threading.Thread(target=edit)
            thread.start()
            assert not made.wait(0.05) and not watch.changes()
            assert (scene.labels == 2).any() and 2 in scene.index
        thread.join()
        assert made.is_set() and 2 not in work.index
        assert cells_of(watch.changes()) == {1, 2} and watch.changes() == []
    work.undo()
    assert watch.changes() == []


def test_a_copy_of_the_index_stays_as_it_is():
    work = session()
    before = work.index.copy()
    assert before == work.index
    work.do(Merge((REST, PIECE)))
    assert before != work.index and PIECE in before and before.contact(REST, PIECE) is not None
    work.undo()
    assert before == work.index

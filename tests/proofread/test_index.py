"""The index is what a scan of the whole stack would find, before and after any change."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_scutoid.box import Box
from napari_scutoid.progress import drain
from napari_scutoid.proofread import index as module
from napari_scutoid.proofread.index import CellIndex, Contact

SHAPE = (4, 5, 6)
IDS = st.sampled_from([0, 1, 2, 7, 2**32 - 1])


def evidence_of(walls):
    return SimpleNamespace(boundary=lambda box: walls[box.slices], image=lambda box: None)


def test_two_cells_in_a_row():
    labels = np.array([[[0, 5, 5, 9]]], np.uint32)
    walls = np.array([[[0, 10, 50, 205]]], np.uint8)
    index = drain(CellIndex.build(labels, evidence_of(walls)))
    assert index.cells.tolist() == [5, 9]
    assert (len(index), 5 in index, 0 in index) == (2, True, False)
    assert (index.voxels(5), index.box(5), index.centroid(5)) == (2, Box((0, 0, 1), (1, 1, 2)), (0, 0, 1.5))
    assert index.neighbours(5) == {9: Contact(1, 0.5)}
    assert index.contact(9, 5) == Contact(1, 0.5)
    assert (index.exposed(5), index.exposed(9)) == (1, 0)


def test_only_cells_at_the_border_touch_it():
    labels = np.zeros((3, 3, 4), np.uint32)
    labels[1, 1, 1], labels[1, 1, 2:] = 1, 2
    index = drain(CellIndex.build(labels))
    assert not index.touches_border(1)
    assert index.touches_border(2)


def test_a_cell_that_is_not_there():
    index = drain(CellIndex.build(np.ones((1, 1, 1), np.uint32)))
    assert index.neighbours(1) == {}
    assert index.contact(1, 2) is None
    for ask in (index.voxels, index.box, index.centroid, index.touches_border, index.neighbours, index.exposed):
        with pytest.raises(KeyError):
            ask(2)


def test_many_cells_outgrow_the_first_tables():
    labels = np.arange(1, 12 * 12 * 12 + 1, dtype=np.uint32).reshape(12, 12, 12)
    index = drain(CellIndex.build(labels))
    assert len(index) == labels.size
    assert len(index.neighbours(int(labels[6, 6, 6]))) == 6


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="uint32"):
        drain(CellIndex.build(np.zeros((2, 2, 2), np.int64)))
    index = drain(CellIndex.build(np.zeros((2, 2, 2), np.uint32)))
    with pytest.raises(ValueError, match="do not fit"):
        index.update(np.zeros((2, 2, 2), np.uint32), Box((1, 1, 1), (2, 2, 2)), np.zeros((2, 2, 2), np.uint32))


@settings(max_examples=30)
@given(arrays.arrays(np.uint32, SHAPE, elements=IDS), arrays.arrays(np.uint8, SHAPE))
def test_every_number_is_that_of_a_scan(labels, walls):
    index = drain(CellIndex.build(labels, evidence_of(walls)))
    ids = [int(i) for i in np.unique(labels) if i]
    assert index.cells.tolist() == ids
    for cell in ids:
        mask = labels == cell
        assert index.voxels(cell) == np.count_nonzero(mask)
        assert index.box(cell) == Box.of(mask)
        np.testing.assert_allclose(index.centroid(cell), np.argwhere(mask).mean(0))
        found = {0: index.exposed(cell), **{other: met.faces for other, met in index.neighbours(cell).items()}}
        evidence = {other: met.evidence for other, met in index.neighbours(cell).items()}
        for other in [0, *ids]:
            faces = scanned(labels, walls, cell, other)
            assert found.get(other, 0) == len(faces)
            if other and faces:
                assert evidence[other] == pytest.approx(np.mean(faces))


def scanned(labels, walls, a, b):
    found = []
    for axis in range(3):
        low, high = np.moveaxis(labels, axis, 0)[:-1], np.moveaxis(labels, axis, 0)[1:]
        there = ((low == a) & (high == b)) | ((low == b) & (high == a))
        pair = np.moveaxis(walls, axis, 0).astype(float)
        found += ((pair[:-1] + pair[1:])[there] / 510).tolist() if a != b else []
    return found


@settings(max_examples=40)
@given(st.data(), st.sampled_from([1, 70, 2**23]))
def test_an_updated_index_equals_one_from_scratch(data, slab):
    labels = data.draw(arrays.arrays(np.uint32, SHAPE, elements=IDS))
    evidence = evidence_of(data.draw(arrays.arrays(np.uint8, SHAPE)))
    index = drain(CellIndex.build(labels, evidence))
    for _ in range(3):
        start = [data.draw(st.integers(0, n - 1)) for n in SHAPE]
        stop = [data.draw(st.integers(first + 1, n)) for first, n in zip(start, SHAPE, strict=True)]
        box = Box.between(start, stop)
        before = labels[box.slices].copy()
        labels[box.slices] = data.draw(arrays.arrays(np.uint32, box.shape, elements=IDS) | IDS)
        with patch.object(module, "_SLAB_VOXELS", slab):
            index.update(labels, box, before, evidence)
        assert index == drain(CellIndex.build(labels, evidence))
        assert index.cells.tolist() == [int(i) for i in np.unique(labels) if i]


def test_slabs_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (7, 4, 4)).astype(np.uint32)
    evidence = evidence_of(rng.integers(0, 256, labels.shape).astype(np.uint8))
    whole = drain(CellIndex.build(labels, evidence))
    monkeypatch.setattr(module, "_SLAB_VOXELS", 32)
    assert drain(CellIndex.build(labels, evidence)) == whole

"""A stack cut into overlapping blocks, and work on them in their order."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.progress import drain
from napari_scutoid.steps.blocks import cut, each, shared

sides = st.tuples(*[st.integers(1, 24)] * 3)
halos = st.tuples(*[st.integers(0, 4)] * 3)


@given(sides, halos, st.integers(20, 5_000))
def test_cores_make_up_the_stack_and_lie_in_their_surroundings(shape, halo, most):
    counted = np.zeros(shape, int)
    for block in cut(shape, halo, most):
        counted[block.core.slices] += 1
        assert block.outer == block.core.padded(list(halo), shape)
        np.testing.assert_array_equal(
            np.arange(np.prod(shape)).reshape(shape)[block.outer.slices][block.inner],
            np.arange(np.prod(shape)).reshape(shape)[block.core.slices],
        )
    assert (counted == 1).all()


def test_blocks_are_as_large_as_they_may_be():
    assert len(cut((20, 30, 40), (2, 2, 2), 24_000)) == 1
    blocks = cut((20, 30, 40), (2, 2, 2), 8_000)
    assert 4 < len(blocks) and max(block.outer.size for block in blocks) <= 8_000
    # Cores smaller than what is around them would be more work than memory saved.
    assert min(min(block.core.shape) for block in cut((64, 64, 64), (16, 16, 16), 1)) >= 16 / 2


def test_where_blocks_are_large_fewer_are_worked_on_at_a_time(monkeypatch):
    monkeypatch.setattr("napari_scutoid.steps.blocks.cores", lambda: 16)
    at_work = []
    for halo in (2, 8, 12, 30):
        blocks, at_once = shared((96, 96, 96), (halo,) * 3, 16_000)
        at_work.append(at_once)
        assert at_once == 1 or at_once * max(block.outer.size for block in blocks) <= 4 * 16_000
    assert at_work == [4, 4, 1, 1]


def test_every_computer_cuts_the_same_blocks(monkeypatch):
    found = []
    for n in (1, 2, 16):
        monkeypatch.setattr("napari_scutoid.steps.blocks.cores", lambda n=n: n)
        found.append(shared((96, 96, 96), (4, 4, 4), 64_000))
    assert found[0][0] == found[1][0] == found[2][0]
    assert [at_once for _, at_once in found] == [1, 2, 4]


def test_results_come_in_the_order_of_the_blocks():
    blocks, came = cut((8, 8, 8), (0, 0, 0), 64), []
    last_first = threading.Event()

    def work(block):
        if block is blocks[1]:
            last_first.set()
        if block is blocks[0]:
            last_first.wait(5)
        return block.core.start

    steps = []
    drain(each(blocks, 2, work, lambda block, start: came.append((block.core.start, start)), "Trying"), steps.append)
    assert came == [(block.core.start,) * 2 for block in blocks]
    assert [step.done for step in steps] == list(range(len(blocks) + 1))


def test_what_fails_in_a_thread_comes_out_and_a_cancelled_job_leaves_none_running():
    blocks = cut((8, 8, 8), (0, 0, 0), 64)

    def fail(_block):
        raise MemoryError("too much")

    with pytest.raises(MemoryError, match="too much"):
        drain(each(blocks, 2, fail, lambda *_: None, "Trying"))
    before = threading.active_count()
    job = each(blocks, 2, lambda block: block.core, lambda *_: None, "Trying")
    next(job), next(job)
    job.close()
    assert threading.active_count() == before

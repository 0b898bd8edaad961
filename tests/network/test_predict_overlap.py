"""Reading, computing and writing go on at once, one tile each, and end together."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.predict import predict
from napari_scutoid.network.validate import AsItIs
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Predict

CONFIG = ModelConfig(name="tiny", architecture=Architecture(plan=((2, 3), (3, 4))))
SETTINGS = Predict(device="cpu", backend="torch", precision="fp32", gate="off", tile=(8, 16, 16))
SHAPE = (8, 16, 96)
TILES = 6
SOON = 60
"""Seconds after which what should have happened has not; never waited for otherwise."""


class Passing(nn.Module):
    """A network that says 0.5 everywhere, after doing something."""

    def __init__(self, job=lambda: None):
        super().__init__()
        self.job = job

    def __deepcopy__(self, memo):
        return self

    def forward(self, x):
        self.job()
        return torch.zeros(1, 2, *x.shape[2:])


class Stack:
    """A stack that does something before each tile that is read of it."""

    shape, dtype, ndim = SHAPE, np.dtype("f4"), 3

    def __init__(self, job=lambda n: None):
        self.job, self.read = job, 0

    def __getitem__(self, key):
        self.read += 1
        self.job(self.read)
        return np.zeros(SHAPE, np.float32)[key]


class Target(np.ndarray):
    """Probabilities that do something before each tile that is written to them."""

    @classmethod
    def made(cls, job):
        target = np.zeros((2, *SHAPE), np.float32).view(cls)
        target.job = job
        return target

    def __array_finalize__(self, whole):
        self.job = getattr(whole, "job", None)

    def __setitem__(self, key, value):
        if np.ndim(value):
            self.job()
        super().__setitem__(key, value)


def run(stack=None, module=None, out=None, settings=SETTINGS):
    return predict(module or Passing(), CONFIG, stack or Stack(), AsItIs(), settings, out=out)


def threads():
    return [thread.name for thread in threading.enumerate() if "ThreadPoolExecutor" in thread.name]


def test_the_next_tile_is_read_and_the_last_one_written_while_the_network_computes():
    read, written, meanwhile = threading.Event(), threading.Event(), []

    def compute():
        meanwhile.append(read.wait(SOON) if len(meanwhile) == 0 else written.wait(SOON))

    stack = Stack(lambda n: read.set() if n == 2 else None)
    found = drain(run(stack, Passing(compute), Target.made(written.set)))
    assert found.passes == len(meanwhile) == TILES
    assert all(meanwhile)


def test_one_tile_is_read_ahead_and_no_more():
    ahead = []
    stack = Stack()
    drain(run(stack, Passing(lambda: ahead.append(stack.read))))
    assert max(read - done for done, read in enumerate(ahead)) <= 2
    assert stack.read == TILES


def test_cancelling_ends_the_threads_and_what_they_do():
    before = threads()
    stack = Stack()
    steps = run(stack)
    next(steps)
    next(steps)
    assert len(threads()) > len(before)
    steps.close()
    assert threads() == before
    assert stack.read <= 3


@pytest.mark.parametrize("where", ["read", "compute", "write"])
def test_an_error_anywhere_comes_out_and_ends_the_threads(where):
    before = threads()

    def fail(*_):
        raise OSError("the drive is gone")

    jobs = {
        "read": {"stack": Stack(lambda n: fail() if n == 3 else None)},
        "compute": {"module": Passing(fail)},
        "write": {"out": Target.made(fail)},
    }
    with pytest.raises(OSError, match="the drive is gone"):
        drain(run(**jobs[where]))
    assert threads() == before


def test_the_last_tile_that_cannot_be_written_is_told_too():
    written = []

    def fail_at_last():
        written.append(1)
        if len(written) == 2 * TILES:  # two outputs each
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        drain(run(out=Target.made(fail_at_last)))


@pytest.mark.parametrize("where", ["read", "write"])
def test_memory_that_runs_out_beside_the_network_makes_tiles_smaller(where):
    failed = []

    def fail_once(*_):
        if not failed:
            failed.append(1)
            raise MemoryError

    job = {"stack": Stack(fail_once)} if where == "read" else {"out": Target.made(fail_once)}
    found = drain(run(**job, settings=SETTINGS.model_copy(update={"tile": None})))
    assert failed and found.passes > 1
    assert found.pass_voxels < np.prod(SHAPE)
    np.testing.assert_array_equal(np.asarray(found.probabilities), 0.5)

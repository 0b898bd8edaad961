"""Several processes: the same loss curve as one with a larger batch, and one of them only that writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_processes
from hypothesis import given
from hypothesis import strategies as st

import tiny_training
from napari_scutoid.io.learning_curves import read_curves
from napari_scutoid.network.checkpoint import load_model
from napari_scutoid.network.processes import ALONE, Processes, joined
from napari_scutoid.progress import drain
from tiny_training import a_model, a_network, a_run


def test_alone_there_is_nobody_to_ask(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined() as processes:
        assert processes is ALONE
    module = a_network()
    assert ALONE.first and ALONE.mean(3.5) == ALONE.first_says(3.5) == 3.5
    assert ALONE.together(module) is module
    assert not torch.distributed.is_initialized()


@given(count=st.integers(1, 5), each=st.integers(1, 4), first=st.integers(0, 100))
def test_a_steps_samples_are_shared_out(count, each, first):
    numbers = range(first, first + count * each)
    parts = [Processes(rank, count).share(numbers) for rank in range(count)]
    assert [number for part in parts for number in part] == list(numbers)
    assert {len(part) for part in parts} == {each}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What two processes left behind."""
    folder = tmp_path_factory.mktemp("two")
    a_model(folder / "start")
    places = [Path(tiny_training.__file__).parent, Path(two_processes.__file__).parent]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places)), "OMP_NUM_THREADS": "1"}
    # `--standalone` takes a free port by itself.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, two_processes.__file__, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_two_processes_learn_as_one_with_the_doubled_batch(folder):
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    alone = drain(a_run(two_processes.recipe_for(4), module=a_network("none"), judge=two_processes.judge()))
    assert first["count"] == second["count"] == 2
    assert first["steps"] == second["steps"] == alone.steps == 12
    assert first["losses"][1:] == pytest.approx([record["train_loss"] for record in alone.records[1:]], abs=1e-4)
    pairs = zip(first["weights"], alone.module.parameters(), strict=True)
    apart = torch.cat([(torch.tensor(mine) - single.detach()).abs().ravel() for mine, single in pairs])
    assert apart.max() < 1e-3 and (apart < 2e-4).double().mean() > 0.99


def test_only_the_first_process_is_told_and_writes(folder):
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["told"] == [0, 1, 2, 3, 4]
    assert second["told"] == second["losses"] == []
    assert (folder / "0.pt").is_file() and not (folder / "1.pt").exists()


def test_two_processes_make_one_model(folder):
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first["valid"] == second["valid"]
    assert "ap50" in first["scores"] and second["scores"] == []
    assert sorted(load_model(folder / "model")[1].scores) == first["scores"]
    assert [row.epoch for row in read_curves(folder / "model" / "training" / "curves.csv")] == [0, 1, 2]

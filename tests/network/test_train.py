"""Training: the same run twice, interrupted or not; what is best, when it ends, and what it survives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import tiny_training
from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.dataset import Samples
from napari_scutoid.network.training_file import load_training
from napari_scutoid.network.transfer import freeze_encoder
from napari_scutoid.network.validate import Validator
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Predict
from tiny_training import OUTPUTS, PLAN, FakeJudge, a_network, a_recipe, a_run, a_stack


def same(one, other) -> bool:
    return all(torch.equal(mine, other[name]) for name, mine in one.items()) and one.keys() == other.keys()


def without_time(records):
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


class Stop(Exception):
    pass


def stopped_after(epochs: int, recipe, file: Path, **more) -> dict:
    """Run until an epoch is saved, and end in the middle of the next one's scores."""

    def on_epoch(epoch):
        if epoch.number == epochs + 1:
            raise Stop

    with pytest.raises(Stop):
        drain(a_run(recipe, file=file, on_epoch=on_epoch, **more))
    return load_training(file)


def test_training_lowers_the_loss_and_is_reproducible():
    recipe = a_recipe(optimise={"epochs": 10, "steps_per_epoch": 4})
    one, again = drain(a_run(recipe)), drain(a_run(recipe))
    losses = [record["train_loss"] for record in one.records]
    assert losses[0] is None and [record["epoch"] for record in one.records] == list(range(11))
    assert losses[-1] < 0.8 * losses[1]
    assert one.steps == 40 and one.best_epoch == 10 and one.patch == (8, 8, 8)
    assert not one.module.training
    assert without_time(one.records) == without_time(again.records)
    assert same(one.module.state_dict(), again.module.state_dict())


@pytest.mark.parametrize("case", ["plain", "scored", "frozen", "accumulated", "bf16"])
def test_resuming_changes_no_bit(case, tmp_path):
    recipe = a_recipe(
        sampling={"accumulate": 2 if case == "accumulated" else 1},
        optimise={"average": 0.9 if case == "scored" else 0.0, "decay": "late", "precision": "fp32"},
    )

    def options():
        module = a_network()
        config = ModelConfig(name="tiny", architecture=Architecture(plan=PLAN))
        judge = Validator([a_stack()], config, recipe, settings=Predict(device="cpu", precision="fp32"))
        return {
            "module": module,
            "judge": judge if case == "scored" else None,
            "frozen": freeze_encoder(module) if case == "frozen" else (),
            "precision": "bf16" if case == "bf16" else "fp32",
        }

    straight = drain(a_run(recipe, file=tmp_path / "straight.pt", **options()))
    saved = stopped_after(2, recipe, tmp_path / "run.pt", **options())
    assert saved["epochs"] == 2
    resumed = drain(a_run(recipe, file=tmp_path / "run.pt", resume=saved, **options()))
    assert without_time(resumed.records) == without_time(straight.records)
    assert same(resumed.module.state_dict(), straight.module.state_dict())
    one, other = (load_training(tmp_path / name) for name in ("straight.pt", "run.pt"))
    for name in ("model_state_dict", "best_model_state_dict", "averaged_state_dict"):
        assert same(one[name], other[name])


@pytest.mark.parametrize("reports", [1, 4, 5, 7])
def test_a_run_paused_within_an_epoch_loses_no_step(reports, tmp_path):
    recipe = a_recipe(optimise={"average": 0.9})
    straight = drain(a_run(recipe, judge=FakeJudge([0.1, 0.3, 0.2])))
    file = tmp_path / "run.pt"
    run = a_run(recipe, judge=FakeJudge([0.1, 0.3, 0.2]), file=file)
    for _ in range(1 + reports):  # the first is of the scoring of epoch 0; an epoch has three steps and a scoring
        next(run)
    run.close()
    saved = load_training(file)
    epochs = (reports - 1) // 4
    assert (saved["epochs"], len(saved["state"]["losses"])) == (epochs, min(reports - 4 * epochs, 3))
    judge = FakeJudge([0.3, 0.2] if epochs == 0 else [0.2])
    resumed = drain(a_run(recipe, judge=judge, resume=saved))
    assert without_time(resumed.records) == without_time(straight.records)
    assert resumed.steps == straight.steps and resumed.best_epoch == straight.best_epoch == 1
    assert same(resumed.module.state_dict(), straight.module.state_dict())


CHILD = """
import sys
from pathlib import Path
import torch
from tiny_training import a_recipe, a_run
from napari_scutoid.network.training_file import load_training
from napari_scutoid.progress import drain
torch.set_num_threads(1)
file, last = Path(sys.argv[1]), int(sys.argv[2])
def on_epoch(epoch):
    print(epoch.number, flush=True)
    if epoch.number > last:
        sys.exit()
resume = load_training(file) if file.is_file() else None
drain(a_run(a_recipe(optimise={"epochs": 5000}), file=file, resume=resume, on_epoch=on_epoch))
"""


def a_child(file: Path, last: int = 10_000) -> subprocess.Popen:
    """Train in a process of its own, as a run that goes on after a kill does, until an epoch was saved.

    This process has run other tests, whose libraries may round in another way.
    """
    environment = os.environ | {"PYTHONPATH": str(Path(tiny_training.__file__).parent)}
    command = [sys.executable, "-c", CHILD, str(file), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def test_a_killed_run_loses_an_epoch_at_most(tmp_path):
    file = tmp_path / "run.pt"
    child = a_child(file)
    while child.poll() is None and not (file.is_file() and load_training(file)["epochs"] >= 2):
        time.sleep(0.01)
    child.kill()
    printed = child.communicate()[0]
    saved = load_training(file)
    epochs = saved["epochs"]
    assert 2 <= epochs <= int(printed.split()[-1]) <= epochs + 1

    for other in (file, tmp_path / "straight.pt"):
        with a_child(other, epochs + 1) as again:
            again.communicate()
        assert again.returncode == 0
    resumed, straight = load_training(file), load_training(tmp_path / "straight.pt")
    assert resumed["epochs"] == straight["epochs"] == epochs + 1
    assert same(resumed["model_state_dict"], straight["model_state_dict"])
    assert resumed["train_losses"] == straight["train_losses"]


def test_the_start_is_saved_at_once_and_rows_come_before_files(tmp_path):
    file = tmp_path / "run.pt"
    seen = []

    def on_epoch(epoch):
        seen.append((epoch.number, load_training(file)["epochs"] if file.is_file() else None))

    drain(a_run(a_recipe(optimise={"epochs": 2}), file=file, on_epoch=on_epoch))
    assert seen == [(0, None), (1, 0), (2, 1)]


def test_a_run_of_another_network_is_not_resumed(tmp_path):
    drain(a_run(a_recipe(optimise={"epochs": 1}), file=tmp_path / "run.pt"))
    saved = load_training(tmp_path / "run.pt")
    others = [a_network("group"), a_network()]
    freeze_encoder(others[1])
    for module in others:
        with pytest.raises(ScutoidError, match="of another network, or other parts"):
            drain(a_run(a_recipe(), module=module, resume=saved))


def test_the_best_is_chosen_by_the_score_and_not_by_the_loss():
    judge = FakeJudge([0.1, 0.5, 0.9, 0.3, 0.2], losses=[5, 4, 3, 2, 1])
    told = []
    trained = drain(a_run(a_recipe(), judge=judge, on_epoch=told.append))
    assert trained.best_epoch == 2
    assert [epoch.best for epoch in told] == [True, True, True, False, False]
    assert [record["valid_loss"] for record in trained.records] == [5, 4, 3, 2, 1]
    assert same(trained.module.state_dict(), judge.seen[2])
    assert not same(trained.module.state_dict(), judge.seen[4])


def test_nothing_worse_than_the_start_is_returned():
    module = a_network()
    start = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    judge = FakeJudge([0.9, 0.1])
    trained = drain(a_run(a_recipe(), module=module, judge=judge))
    assert trained.best_epoch == 0 and trained.steps == 12
    assert same(trained.module.state_dict(), start) and same(judge.seen[0], start)


def test_until_there_is_a_score_the_latest_is_best():
    judge = FakeJudge([None])
    trained = drain(a_run(a_recipe(), judge=judge))
    assert trained.best_epoch == 4
    assert same(trained.module.state_dict(), judge.seen[-1])


def test_cells_are_scored_now_and_then_and_at_both_ends():
    judge = FakeJudge([0.5])
    drain(a_run(a_recipe(optimise={"epochs": 5, "steps_per_epoch": 1}, scoring={"every": 2}), judge=judge))
    assert judge.asked == [True, False, True, False, True, True]


def test_random_weights_are_not_asked_for_cells():
    judge = FakeJudge([None, 0.5])
    settings = {"optimise": {"epochs": 3, "steps_per_epoch": 1}, "scoring": {"every": 2}}
    drain(a_run(a_recipe(transfer={"strategy": "scratch"}, **settings), judge=judge))
    assert judge.asked == [False, False, True, True]


def test_training_ends_when_it_gets_no_better():
    recipe = a_recipe(optimise={"epochs": 50, "steps_per_epoch": 1, "patience": 2})
    trained = drain(a_run(recipe, judge=FakeJudge([0.1, 0.5, None, 0.5, None, 0.4, 0.9])))
    assert trained.records[-1]["epoch"] == 5
    assert trained.best_epoch == 1


def test_average_zero_keeps_the_weights_themselves():
    module, judge = a_network(), FakeJudge([0.1, 0.2, 0.3])
    learnt = []
    recipe = a_recipe(optimise={"average": 0.0, "epochs": 2})

    def remember(epoch):
        learnt.append({name: tensor.clone() for name, tensor in module.state_dict().items()})

    drain(a_run(recipe, module=module, judge=judge, on_epoch=remember))
    assert all(map(same, judge.seen, learnt))
    averaged = FakeJudge([0.1, 0.2, 0.3])
    drain(a_run(a_recipe(optimise={"average": 0.999, "epochs": 2}), judge=averaged))
    assert not same(averaged.seen[2], judge.seen[2])


@pytest.mark.parametrize("norm", ["none", "group"])
def test_accumulated_gradients_equal_those_of_a_larger_batch(norm):
    once, twice = (
        drain(a_run(a_recipe(sampling={"batch": batch, "accumulate": 4 // batch}), module=a_network(norm)))
        for batch in (4, 2)
    )
    assert once.steps == twice.steps == 12
    for one, other in zip(once.records[1:], twice.records[1:], strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], abs=1e-5)
    for one, other in zip(once.module.parameters(), twice.module.parameters(), strict=True):
        # Adam's steps are as long where a gradient is all but rounding.
        torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


class Clock:
    """Goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("napari_scutoid.network.learner.monotonic", clock)
    return clock


def test_the_schedule_fits_the_time(clock):
    recipe = a_recipe(optimise={"epochs": 1000, "minutes": 2.0, "warm_up": 0.1})
    trained = drain(a_run(recipe, judge=FakeJudge([0.5])))
    rates = [record["learning_rate"] for record in trained.records]
    assert 120 <= trained.seconds <= 130 and 5 < trained.steps < 120
    assert rates[-1] < 0.1 * max(rates) and max(rates) == pytest.approx(1e-2, rel=0.05)
    assert trained.records[-1]["seconds"] <= trained.seconds


def test_time_that_is_over_at_once_leaves_the_start(clock, tmp_path):
    judge = FakeJudge([0.5])
    trained = drain(a_run(a_recipe(optimise={"minutes": 1e-6}), judge=judge, file=tmp_path / "run.pt"))
    assert trained.steps == 0 and len(trained.records) == 1
    assert same(trained.module.state_dict(), judge.seen[0])


class Hungry(torch.nn.Module):
    """A network that needs more memory than there is for patches of more than so many voxels."""

    def __init__(self, limit: int, message: str = "DefaultCPUAllocator: can't allocate memory") -> None:
        super().__init__()
        self.inner = a_network()
        self.limit, self.message = limit, message

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x[0, 0].numel() > self.limit:
            raise RuntimeError(self.message)
        logits: torch.Tensor = self.inner(x)
        return logits


def test_for_want_of_memory_patches_shrink_and_it_is_told(tmp_path):
    recipe = a_recipe(sampling={"patch": (8, 24, 24)})
    told = []
    run = a_run(recipe, module=Hungry(8 * 16 * 16), multiple=(1, 16, 16), file=tmp_path / "run.pt")
    trained = drain(run, lambda progress: told.append(progress.step))
    assert trained.patch == (8, 16, 16) and trained.steps == 12
    messages = [step for step in told if "memory" in step]
    assert messages == [f"Not enough memory: patches are now {size} voxels" for size in ("8 x 16 x 24", "8 x 16 x 16")]
    saved = load_training(tmp_path / "run.pt")
    assert saved["state"]["patch"] == (8, 16, 16)


def test_too_little_memory_for_any_patch_is_told():
    with pytest.raises(ScutoidError, match=r"does not suffice even for patches of \(8, 8, 8\) voxels"):
        drain(a_run(a_recipe(sampling={"patch": (8, 16, 16)}), module=Hungry(0)))


def test_other_errors_are_not_taken_for_want_of_memory():
    with pytest.raises(RuntimeError, match="a bug"):
        drain(a_run(a_recipe(), module=Hungry(0, "a bug")))


def test_a_loss_that_is_no_number_ends_the_run(tmp_path):
    class Broken(Samples):
        def batch(self, numbers, patch):
            batch = super().batch(numbers, patch)
            return batch._replace(image=batch.image * (float("nan") if max(numbers) > 8 else 1.0))

    recipe = a_recipe()
    file = tmp_path / "run.pt"
    with pytest.raises(ScutoidError, match="no longer a number after 4 steps"):
        drain(a_run(recipe, source=Broken([a_stack()], OUTPUTS, recipe), file=file))
    saved = load_training(file)
    assert saved["epochs"] == 1
    assert all(tensor.isfinite().all() for tensor in saved["model_state_dict"].values())

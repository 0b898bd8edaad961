"""What each of two processes does that `torchrun` starts for test_processes: train, and train a whole model.

Writes what this process saw to ``FOLDER/RANK.json``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from napari_scutoid.network.processes import joined
from napari_scutoid.progress import drain
from napari_scutoid.training.run import train_model
from tiny_training import AS_IT_IS, FakeJudge, a_material, a_model_recipe, a_network, a_recipe, a_run

# Time and patience, of which only the first process knows: the others must hear of them.
BUDGET = {"epochs": 6, "minutes": 10_000.0, "patience": 3, "average": 0.9, "learning_rate": 1e-3}
"""Adam takes a step of nearly the learning rate also where a gradient is all but rounding; a small one keeps the two
runs together, which differ in the order of their sums."""


def recipe_for(batch: int):
    """Return the settings of the run that is compared."""
    return a_recipe(sampling={"batch": batch, "accumulate": 2}, optimise=BUDGET)


def judge() -> FakeJudge:
    """Return a judge that has patience run out after the fourth epoch."""
    return FakeJudge([0.5, 0.9, 0.1, 0.1, 0.1])


def main(folder: Path) -> None:
    """Train in this process and its neighbour."""
    torch.set_num_threads(1)
    told: list[int] = []
    with joined("cpu") as processes:
        name = str(processes.rank)
        trained = drain(
            a_run(
                recipe_for(2),
                module=a_network("none"),
                judge=judge(),
                file=folder / f"{name}.pt",
                on_epoch=lambda epoch: told.append(epoch.number),
                processes=processes,
            )
        )
        model = drain(
            train_model(
                [a_material("one"), a_material("two", 2)],
                a_model_recipe(folder / "start"),
                folder / "model",
                segmentation=AS_IT_IS,
                device="cpu",
                processes=processes,
            )
        )
    seen = {
        "count": processes.count,
        "told": told,
        "losses": [record["train_loss"] for record in trained.records],
        "steps": trained.steps,
        "weights": [weight.tolist() for weight in trained.module.parameters()],
        "scores": sorted(model.config.scores),
        "valid": model.roles.valid,
    }
    (folder / f"{name}.json").write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

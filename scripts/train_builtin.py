"""Train the built-in model on synthetic tissue, from nothing but this repository.

    python scripts/train_builtin.py --cache build/builtin

makes the stacks as training needs them (each from a number; those already in the cache are kept), scores the network on
synthetic stacks that it does not learn from, and writes the model folder. An interrupted run goes on where it stopped
when the same command is given again. `--real FILE.h5` shows the cells of segmented volumes (labels on isotropic grids)
in a part of the stacks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_scutoid.cli_progress import follow
from napari_scutoid.io.atomic import replacing
from napari_scutoid.network.checkpoint import save_model
from napari_scutoid.network.dataset import Samples, TrainingStack
from napari_scutoid.network.device import choose_device
from napari_scutoid.network.train import train
from napari_scutoid.network.training_file import load_training
from napari_scutoid.network.validate import Validator
from napari_scutoid.pipeline import settings_for
from napari_scutoid.recipe import Predict, Recipe, TrainRecipe, read_train_recipe
from napari_scutoid.training.curves import Curves
from napari_scutoid.training.run import training_precision
from napari_scutoid.training.score import cell_scorer, tuned
from napari_scutoid.training.start import starting_point
from napari_scutoid.training.synthetic import synthetic_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_scutoid.network.train import Epoch

RECIPE = Path(__file__).with_name("builtin.yaml")
VALIDATION = 10_000_000
"""Number of the first stack that is not learnt from."""
N_VALIDATION = 12
CELL_DIAMETER, DIAMETERS, Z_STEPS = 16.0, (14.0, 18.0), (0.4, 4.0)
"""What the network sees best (`benchmarks/scale.py`); stacks outside are resampled to the nearest edge."""
VALIDATED = (11.0, 24.0)
"""Diameters of the cells in validation stacks."""


def stack_maker(
    cache: Path, recipe: TrainRecipe, real: Sequence[NDArray[Any]], without: Sequence[str]
) -> Callable[[int], TrainingStack]:
    """Return what makes, or reads from the cache, the synthetic stack of a number."""
    normalise = starting_point(recipe, "builtin").config.normalise
    cache.mkdir(parents=True, exist_ok=True)

    def stack(number: int) -> TrainingStack:
        file = cache / f"{number:08d}.npz"
        if not file.is_file():
            made = synthetic_stack(number, normalise, real=real, without=without)
            with replacing(file) as part, part.open("wb") as handle:
                np.savez(handle, image=made.image, labels=made.labels.astype(np.uint16), spacing=made.spacing)
        with np.load(file, allow_pickle=False) as arrays:
            image, labels, spacing = arrays["image"], arrays["labels"], arrays["spacing"]
        return TrainingStack.from_labels(image, labels, spacing=spacing.tolist(), name=file.stem)

    return stack


def validation_stacks(make: Callable[[int], TrainingStack], count: int) -> list[TrainingStack]:
    """Return stacks whose cells are as large as those that the model will be used on."""
    found: list[TrainingStack] = []
    number = VALIDATION
    while len(found) < count:
        stack = make(number)
        voxels = np.bincount(stack.labels.ravel())[1:]
        diameter = (6 / np.pi * np.median(voxels)) ** (1 / 3) if voxels.size else 0.0
        if VALIDATED[0] <= diameter <= VALIDATED[1]:
            found.append(stack)
        number += 1
    return found


def main() -> None:
    """Train, tune, save."""
    options = _options()
    budget = {"minutes": options.minutes, "epochs": options.epochs, "steps_per_epoch": options.steps_per_epoch}
    given: dict[str, Any] = {"optimise": {name: value for name, value in budget.items() if value is not None}}
    if options.init is not None:
        given["transfer"] = {"strategy": "all", "start": options.init}
    recipe = TrainRecipe.model_validate(given).over(read_train_recipe(options.recipe).model_dump(exclude_unset=True))
    make = stack_maker(options.cache / "stacks", recipe, [_labels(file) for file in options.real], options.without)
    run_file = options.cache / "run.pt"
    saved = load_training(run_file) if run_file.is_file() else None
    start = starting_point(recipe, "builtin")
    config = start.config.model_copy(
        update={"cell_diameter": CELL_DIAMETER, "cell_diameter_range": DIAMETERS, "anisotropy_range": Z_STEPS}
    )
    device = choose_device("auto")
    precision = training_precision(recipe, device)
    settings = settings_for(Recipe(), config)
    predicting = Predict(device=device.type, precision="fp32" if precision == "fp32" else "bf16")
    judge = Validator(
        validation_stacks(make, options.validation),
        config,
        recipe,
        cell_scorer(settings),
        predicting,
    )
    curves = Curves(options.cache, recipe.outputs, None if saved is None else int(saved["epochs"]))

    def report(epoch: Epoch) -> None:
        curves.add(epoch)
        print(
            json.dumps({name: round(value, 4) for name, value in epoch.record.items() if value is not None}), flush=True
        )

    trained = follow(
        train(
            start.module,
            config.outputs,
            Samples([], config.outputs, recipe, make),
            recipe,
            device=str(device),
            precision=precision,
            rate=start.rate,
            multiple=config.architecture.multiple,
            judge=judge,
            file=run_file,
            resume=saved,
            on_epoch=report,
            workers=options.workers,
        )
    )
    if not options.untuned:
        config, told = follow(tuned(trained.module, config, judge, recipe, settings))
        print(told)
    config = config.model_copy(
        update={
            "description": "Foreground and boundary of epithelial cells in membrane-stained confocal stacks.",
            "licence": "BSD-3-Clause",
            "training_data": f"synthetic stacks made by scripts/train_builtin.py, {trained.steps} steps "
            f"(best weights after epoch {trained.best_epoch}), {trained.seconds / 60:.0f} min in {precision}",
        }
    )
    save_model(options.output, trained.module.cpu(), config)
    print(f"saved {options.output}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--cache", type=Path, default=Path("build/builtin"), help="folder for stacks and the run")
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="HDF5 files with a data set `label`")
    parser.add_argument("--without", nargs="*", default=[], help="factors of the generator to switch off")
    parser.add_argument("--validation", type=int, default=N_VALIDATION, help="synthetic stacks to score on")
    parser.add_argument("--init", help="start from the weights of this model instead of random ones")
    parser.add_argument("--minutes", type=float, help="time budget instead of the recipe's")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--steps-per-epoch", type=int, help="instead of the recipe's")
    parser.add_argument("--untuned", action="store_true", help="keep the default settings of the post-processing")
    parser.add_argument("--workers", type=int, default=1, help="processes that make samples ahead")
    parser.add_argument("-o", "--output", type=Path, default=Path("src/napari_scutoid/models/builtin"))
    return parser.parse_args()


def _labels(file: Path) -> NDArray[Any]:
    from napari_scutoid.io.open import open_labels

    return np.asarray(open_labels(file, "label").data[:])


if __name__ == "__main__":
    main()

"""``scutoid train``: from stacks with true cells to a model of one's own.

Importing this module loads nothing heavy, as `cli` says of itself.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from napari_scutoid.cli_progress import follow, tell
from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from napari_scutoid.network.train import Epoch
    from napari_scutoid.recipe import TrainRecipe
    from napari_scutoid.training.run import NewModel
    from napari_scutoid.training.stacks import Material

SEVERAL = ("--train", "--valid", "--test")
"""Options that take several values."""
SHOWN = ("train_loss", "valid_loss", "miou", "ap50", "arand", "wrong_cells")
"""Columns of the learning curves that are told after each epoch."""
MANY_EPOCHS = 100_000


class Several(TyperCommand):
    """A command whose options in `SEVERAL` take all values up to the next option: ``--train A B --valid C``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option's name before each of its values, which is what click understands."""
        return super().parse_args(ctx, repeated(args))


def repeated(args: Sequence[str]) -> list[str]:
    """Return arguments with the name of an option in `SEVERAL` before each of its values.

    Examples
    --------
    >>> repeated(["--train", "a", "b", "--minutes", "5"])
    ['--train', 'a', '--train', 'b', '--minutes', '5']
    """
    found: list[str] = []
    option, values = "", 0
    for argument in args:
        if argument.startswith("-"):
            option, values = (argument if argument in SEVERAL else ""), 0
        elif option:
            values += 1
            if values > 1:
                found.append(option)
        found.append(argument)
    return found


def train(
    train_on: Annotated[
        list[Path],
        typer.Option(
            "--train",
            metavar="DIR...",
            help="Folders or files of images with their true cells; several may follow.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="MODELDIR", help="Folder of the new model.")],
    valid_on: Annotated[
        list[Path] | None,
        typer.Option(
            "--valid",
            metavar="DIR...",
            help="The same, to choose the best weights by; without it, some of --train are kept for that.",
        ),
    ] = None,
    test_on: Annotated[
        list[Path] | None,
        typer.Option("--test", metavar="DIR...", help="The same, kept for the final scores only."),
    ] = None,
    recipe: Annotated[Path | None, typer.Option(help="Settings, as YAML; docs/train.md lists them.")] = None,
    init: Annotated[
        str | None, typer.Option(help="Model to start from, name or folder; without it the recipe's, or builtin.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="all, freeze (keep the encoder) or scratch; wins over the recipe.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time to train; the learning rate's schedule is fitted to it.")
    ] = None,
    segmentation: Annotated[
        Path | None, typer.Option(help="Recipe of `segment`: how stacks are rescaled and cells are made.")
    ] = None,
    image_dataset: Annotated[str | None, typer.Option(help="Data set of the images, where it is not clear.")] = None,
    labels_dataset: Annotated[str | None, typer.Option(help="Data set of the labels.")] = None,
    voxel_size: Annotated[
        tuple[float, float, float] | None, typer.Option(metavar="Z Y X", help="Voxel size in micrometres.")
    ] = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    axes: Annotated[str | None, typer.Option(help="Order of the axes in the files, such as ZYX.")] = None,
    ignore: Annotated[
        int | None, typer.Option(help="Label of voxels that nobody has labelled yet; they are not learnt from.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run that MODELDIR holds.")] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Start anew although MODELDIR holds a model or a run; that is lost.")
    ] = False,
    show_samples: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Only draw what the network would be shown, to check it, and stop."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Train a model on stacks with true cells.

    Every epoch is saved: a run that was ended goes on with --resume. MODELDIR/training holds its learning curves.
    """
    settings = _settings(recipe, init, strategy, minutes, output if resume else None)
    if show_samples is not None:
        from napari_scutoid.io.atomic import check_writable

        check_writable(show_samples)
    options = {"image_dataset": image_dataset, "labels_dataset": labels_dataset}
    opening = {"voxel_size": voxel_size, "channel": channel, "axes": axes}
    train_materials = _materials(train_on, options, opening)
    valid_materials, test_materials = (_materials(some or [], options, opening) for some in (valid_on, test_on))

    from napari_scutoid.recipe import Recipe, read_recipe

    segmenting = read_recipe(segmentation) if segmentation else Recipe()
    if show_samples is not None:
        _draw_samples(show_samples, train_materials, settings, segmenting, ignore)
        return

    from napari_scutoid.network.processes import joined
    from napari_scutoid.training.run import train_model

    with joined(device) as processes:
        found = follow(
            train_model(
                train_materials,
                settings,
                output,
                valid_on=valid_materials,
                test_on=test_materials,
                segmentation=segmenting,
                ignore=ignore,
                device=device,
                resume=resume,
                replace=replace,
                on_epoch=_tell_epoch,
                processes=processes,
            )
        )
        if not processes.first:
            return
    for message in found.messages:
        tell(message)
    print(json.dumps(_as_dict(found, output)) if as_json else _lines(found))
    tell(f"Model in {output}: use it with `scutoid segment --model {output}`")


def _settings(
    recipe: Path | None, init: str | None, strategy: str | None, minutes: float | None, resumed: Path | None
) -> "TrainRecipe":
    """Return the recipe, or that of the run that is resumed, with what was given on the command line set."""
    from pydantic import ValidationError

    from napari_scutoid.recipe import TrainRecipe, read_train_recipe, validation_message

    given: dict[str, Any] = {"transfer": {}, "optimise": {}}
    if init is not None:
        given["transfer"]["start"] = init
    if strategy is not None:
        given["transfer"]["strategy"] = strategy
    stated = _recipe_of_run(resumed) if recipe is None and resumed is not None else TrainRecipe()
    if recipe is not None:
        stated = read_train_recipe(recipe)
    if minutes is not None:
        given["optimise"]["minutes"] = minutes
        if "epochs" not in stated.optimise.model_fields_set:
            given["optimise"]["epochs"] = MANY_EPOCHS
    try:
        return TrainRecipe.model_validate(given).over(stated.model_dump(exclude_unset=True))
    except ValidationError as error:
        raise ScutoidError(
            "A setting of the training is wrong", validation_message(error), "`scutoid train --help` lists the options"
        ) from error


def _recipe_of_run(folder: Path) -> "TrainRecipe":
    from napari_scutoid.network.checkpoint import TRAINING
    from napari_scutoid.network.training_file import load_training
    from napari_scutoid.recipe import TrainRecipe
    from napari_scutoid.training.run import RUN

    return TrainRecipe.model_validate(load_training(folder / TRAINING / RUN)["recipe"])


def _materials(places: Sequence[Path], options: dict[str, Any], opening: dict[str, Any]) -> "list[Material]":
    from napari_scutoid.io.pairs import find_pairs, open_pair
    from napari_scutoid.training.stacks import Material

    materials = []
    for place in places:
        found = find_pairs(place, **options)
        for file, why in found.left_out:
            tell(f"Left out: {file} ({why})")
        materials += [Material(pair.name, *open_pair(pair, **opening)) for pair in found.pairs]
    return materials


def _draw_samples(
    file: Path, materials: "Sequence[Material]", recipe: "TrainRecipe", segmenting: Any, ignore: int | None
) -> None:
    from napari_scutoid.io.atomic import replacing
    from napari_scutoid.pipeline import settings_for
    from napari_scutoid.training.preview import preview
    from napari_scutoid.training.stacks import training_stack, typical_diameter
    from napari_scutoid.training.start import starting_point

    config = starting_point(recipe, file.stem, cell_diameter=typical_diameter(materials)).config
    settings = settings_for(segmenting, config)
    stacks = [follow(training_stack(one, settings, config, ignore=ignore)) for one in materials]
    with replacing(file) as part:
        preview(stacks, recipe).save(part, format="PNG")
    tell(f"Samples in {file}")


def _tell_epoch(epoch: "Epoch") -> None:
    known = [f"{name} {value:.4g}" for name in SHOWN if (value := epoch.record.get(name)) is not None]
    tell(f"Epoch {epoch.number}: {', '.join(known)}{' (the best so far)' if epoch.best else ''}")


def _as_dict(found: "NewModel", output: Path) -> dict[str, Any]:
    return {
        "model": str(output),
        "best_epoch": found.trained.best_epoch,
        "epochs": len(found.trained.records) - 1,
        "steps": found.trained.steps,
        "seconds": found.trained.seconds,
        "scores": found.config.scores,
        "recipe": found.config.recipe,
        "roles": {name: list(getattr(found.roles, name)) for name in ("train", "valid", "test")},
        "messages": list(found.messages),
    }


def _lines(found: "NewModel") -> str:
    lines = [f"Best epoch {found.trained.best_epoch} of {len(found.trained.records) - 1}"]
    for name, value in found.config.scores.items():
        if isinstance(value, float):
            lines.append(f"{name:<20}{value:>10.4f}")
    return "\n".join(lines)

"""``scutoid models``: the models that are there, what each is for, and the way in and out.

Importing this module loads nothing heavy, as `cli` says of itself.
"""

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_scutoid.errors import ScutoidError

if TYPE_CHECKING:
    from napari_scutoid.network.config import ModelConfig


class Normalisation(StrEnum):
    """How intensities were normalised in training."""

    zscore = "zscore"
    minmax = "minmax"
    percentile = "percentile"


app = typer.Typer(
    help="List, show, import and export models. docs/models.md explains them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Model = Annotated[str, typer.Argument(metavar="NAME", help="Name of a model, or its folder.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """List the models that `segment --model` and `train --init` know by name."""
    from napari_scutoid.network.checkpoint import list_models, read_config

    rows: list[dict[str, Any]] = []
    for name, folder in list_models().items():
        try:
            config = read_config(folder)
        except ScutoidError as error:  # one damaged folder must not hide the others
            rows.append({"name": name, "folder": str(folder), "problem": error.why})
        else:
            rows.append({"name": name, "folder": str(folder), "problem": None, **_main_facts(config)})
    print(json.dumps({"models": rows}) if as_json else "\n".join(_lines(rows)))


@app.command()
def show(model: Model, as_json: AsJson = False) -> None:
    """Show a model's card: what it was trained for, its scores and its licence."""
    from napari_scutoid.network.checkpoint import find_model, read_config

    folder = find_model(model)
    config = read_config(folder)
    if as_json:
        print(json.dumps({"folder": str(folder), "config": config.model_dump(mode="json")}))
    else:
        print("\n".join(f"{what + ':':<21} {value}" for what, value in card(folder, config).items()))


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="Checkpoint (*.pytorch, *.pt, *.pth), or a folder that `models export` wrote.")
    ],
    config: Annotated[
        Path | None, typer.Option(help="Its settings (YAML); without it config_train.yml beside the checkpoint.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name to keep it under; without it the file's, or its folder's.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Model folder; without it among your models.")
    ] = None,
    outputs: Annotated[
        str | None, typer.Option(metavar="A,B", help="Names of its outputs in order, e.g. foreground,boundary.")
    ] = None,
    normalise: Annotated[
        Normalisation | None, typer.Option(help="How intensities were normalised in training; wins over its settings.")
    ] = None,
    cell_diameter: Annotated[
        float | None, typer.Option(min=2.0, max=500.0, help="Diameter, in voxels, of the cells it was trained on.")
    ] = None,
    voxel_size: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            metavar="Z Y X", help="Voxel edges in micrometres that it was trained on; or say --cell-diameter."
        ),
    ] = None,
    licence: Annotated[str, typer.Option(help="Licence of the weights, e.g. CC-BY-4.0.")] = "",
    description: Annotated[str, typer.Option(help="What it is for, for its card.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Replace a model of that name.")] = False,
) -> None:
    """Make a model that another program trained one of your own.

    The weights and the network stay exactly as they are; docs/models.md lists which networks are known.
    """
    from napari_scutoid.network.checkpoint import save_model
    from napari_scutoid.network.export import copy_model
    from napari_scutoid.network.foreign import Told, read_foreign_model

    if cell_diameter is not None and voxel_size is not None:
        raise ScutoidError(
            f"The model {file} could not be imported", "both --cell-diameter and --voxel-size are given", "give one"
        )
    name = name or (output.name if output else file.name if file.is_dir() else _usual_name(file))
    folder = _free_folder(name, output, replace=replace)
    if file.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        copy_model(file, folder)
        typer.echo(f"Written: {folder}", err=True)
        return
    told = Told(
        outputs=None if outputs is None else [one.strip() for one in outputs.split(",")],
        normalise=None if normalise is None else normalise.value,
        cell_diameter=cell_diameter,
        voxel_size_um=voxel_size,
        licence=licence,
        description=description,
    )
    found = read_foreign_model(file, name, told, config)
    save_model(folder, found.module, found.config)
    for note in found.notes:
        typer.echo(f"Note: {note}", err=True)
    typer.echo(f"Written: {folder}; `scutoid models show {folder if output else name}` shows its card", err=True)


@app.command()
def export(
    model: Model,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR|FILE.zip", help="Folder or zip file to write.")
    ],
    bioimageio: Annotated[
        bool, typer.Option("--bioimageio", help="A BioImage.IO package (.zip), which other programs run.")
    ] = False,
) -> None:
    """Write a model as a folder, which `models import` reads, as that folder zipped, or for other programs."""
    from napari_scutoid.network.checkpoint import find_model
    from napari_scutoid.network.export import copy_model, zip_model

    folder = find_model(model)
    zipped = output.suffix.lower() == ".zip"
    if bioimageio:
        if not zipped:
            raise ScutoidError(f"{output} could not be written", "a package is a zip file", "let the name end in .zip")
        from napari_scutoid.network.bioimageio import export_bioimageio

        export_bioimageio(folder, output)
    elif zipped:
        zip_model(folder, output)
    else:
        _refuse_taken(output, replace=False)
        copy_model(folder, output)
    typer.echo(f"Written: {output}", err=True)


def _usual_name(file: Path) -> str:
    """Return a checkpoint's name, or its folder's where all checkpoints are named alike."""
    alike = re.fullmatch(r"(best|last)_checkpoint|checkpoint|model", file.stem)
    return re.sub(r"[^\w.-]+", "_", file.resolve().parent.name if alike else file.stem, flags=re.ASCII).strip("._-")


def _free_folder(name: str, output: Path | None, *, replace: bool) -> Path:
    """Return the folder for a model that is new here, or may be replaced."""
    from napari_scutoid.network.checkpoint import list_models, name_problem, user_models

    if (problem := name_problem(name)) is not None:
        raise ScutoidError(f"The model cannot be named {name!r}", problem, "give another with --name")
    folder = user_models() / name if output is None else output
    own = list_models().get(name, folder)
    if output is None and own != folder:
        raise ScutoidError(
            f"The model cannot be named {name}", "a built-in model has this name", "give another with --name"
        )
    _refuse_taken(folder, replace=replace)
    return folder


def _refuse_taken(folder: Path, *, replace: bool) -> None:
    """Refuse to write over what is no model, and over a model unasked."""
    from napari_scutoid.network.checkpoint import may_become_a_model

    if not may_become_a_model(folder) or (folder.exists() and any(folder.iterdir()) and not replace):
        raise ScutoidError(
            f"The model could not be saved as {folder}",
            "that exists",
            "give another name, or --replace a model that you import",
        )


def card(folder: Path, config: "ModelConfig") -> dict[str, str]:
    """Return what a model says about itself, in words, as heading -> text."""
    from napari_scutoid.network.card import as_words, cell_size

    return {
        "name": config.name,
        "folder": str(folder),
        "description": config.description or "none",
        "input": ", ".join(config.inputs),
        "outputs": ", ".join(f"{output.name} ({output.activation})" for output in config.outputs),
        "cell size": cell_size(config),
        "z step over xy step": "{:g} to {:g}".format(*config.anisotropy_range),
        "intensities": _intensities(config),
        "network": _network(config),
        "trained on": config.training_data or "not stated",
        "scores": as_words(config.scores) or "none",
        "tuned settings": as_words(config.recipe) or "none",
        "licence": config.licence or "not stated",
        "weights, SHA-256": config.weights_sha256,
    }


def _main_facts(config: "ModelConfig") -> dict[str, Any]:
    from napari_scutoid.network.card import cell_size

    return {
        "outputs": [output.name for output in config.outputs],
        "cell_diameter": config.cell_diameter,
        "cell_diameter_range": list(config.cell_diameter_range),
        "cell_size": cell_size(config),
        "description": config.description,
    }


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    table = [("model", "outputs", "cells", "folder")]
    for row in rows:
        if row["problem"] is None:
            table.append((row["name"], ", ".join(row["outputs"]), row["cell_size"], row["folder"]))
        else:
            table.append((row["name"], "damaged", row["problem"], row["folder"]))
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]


def _intensities(config: "ModelConfig") -> str:
    normalise = config.normalise
    method = {
        "zscore": "mean 0, standard deviation 1",
        "minmax": "darkest voxel 0, brightest 1",
        "percentile": f"{normalise.low_percentile:g} % of the voxels below 0, {normalise.high_percentile:g} % below 1",
    }[normalise.method]
    first = {"none": "", "sqrt": "square root, then ", "log": "logarithm, then "}[normalise.stabilise]
    return f"{first}{method}"


def _network(config: "ModelConfig") -> str:
    architecture = config.architecture
    widths = ", ".join(str(second) for _, second in architecture.plan)
    norm = {"none": "no norm", "batch": "batch norm", "group": "group norm"}[architecture.norm]
    return f"{architecture.name}, {len(architecture.plan)} levels of {widths} channels, {norm}"

"""The ``scutoid`` command: a thin door to the same functions that the window uses.

Importing this module loads nothing heavy, so that ``--help`` answers at once: each command imports what it needs.
"""

import json
import math
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_scutoid import __version__, cli_batch, cli_models, cli_replay, cli_train
from napari_scutoid.cli_progress import follow as _follow
from napari_scutoid.cli_progress import tell as _tell
from napari_scutoid.cli_settings import Device, settings_of
from napari_scutoid.errors import ScutoidError, as_problem
from napari_scutoid.io.suffixes import USUAL

if TYPE_CHECKING:
    from napari_scutoid.io.format import FileInfo, Kind
    from napari_scutoid.steps.cell_table import CellTable
    from napari_scutoid.volume import Labels

app = typer.Typer(
    name="scutoid",
    help="Segment epithelial cells in 3D confocal stacks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_models.app, name="models")
app.command(cls=cli_train.Several)(cli_train.train)
app.command()(cli_batch.batch)
app.command()(cli_replay.replay)


class TissueKind(StrEnum):
    """Forms of synthetic tissue."""

    gland = "gland"
    cyst = "cyst"
    sheet = "sheet"
    packed = "packed"


class Content(StrEnum):
    """What a data set is."""

    image = "image"
    labels = "labels"


_TO_WRITE = f"File to write; its ending is the format: {USUAL}."
Output = Annotated[Path, typer.Option("--output", "-o", help=_TO_WRITE)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Channel = Annotated[int | None, typer.Option(help="Channel, counted from 0.")]
TimePoint = Annotated[int | None, typer.Option(help="Time point, counted from 0.")]
VoxelSizes = Annotated[
    tuple[float, float, float] | None,
    typer.Option(metavar="Z Y X", help="Voxel edges in micrometres; wins over what the file says."),
]
Axes = Annotated[
    str | None,
    typer.Option(metavar="ORDER", help="What the axes are, in the order that `info` shows, e.g. ZXY or CXYZ."),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 the input is at fault, 130 cancelled, 1 (with a traceback) a bug."""
    try:
        app(args=None if arguments is None else list(arguments), prog_name="scutoid")
    except (ScutoidError, OSError, MemoryError) as error:
        _tell(f"Error: {as_problem(error)}")
        sys.exit(2)
    except SystemExit as stop:
        if stop.code == 130:
            _tell("Cancelled.")
        raise


def _version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _scutoid(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def info(
    file: Annotated[Path, typer.Argument(help=f"Any file that can be opened: {USUAL}.")], as_json: AsJson = False
) -> None:
    """List the data sets of a file and what each probably is."""
    from napari_scutoid.io.open import inspect

    found = inspect(file)
    print(json.dumps(found.as_dict()) if as_json else _table_of(found))


@app.command()
def segment(
    stack: Annotated[Path, typer.Argument(metavar="IN", help=f"The stack: {USUAL}.")],
    output: Output,
    dataset: Annotated[
        str | None, typer.Option(help="Data set in the file; without it, the only one that looks like an image.")
    ] = None,
    voxel_size: VoxelSizes = None,
    channel: Channel = None,
    time: TimePoint = None,
    axes: Axes = None,
    recipe: Annotated[Path | None, typer.Option(help="Settings, as YAML; docs/recipe.md lists them.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PART.NAME=VALUE", help="One setting; wins over the recipe. Can be repeated."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a model, or its folder.")] = "builtin",
    device: Annotated[Device | None, typer.Option(help="Where the network runs; wins over the recipe.")] = None,
    save_probabilities: Annotated[
        bool, typer.Option("--save-probabilities", help="Also write the network's foreground and boundary.")
    ] = False,
    cells: Annotated[
        Path | None, typer.Option(metavar="TABLE.csv", help="Also write a row for every cell: place, size, cut or not.")
    ] = None,
) -> None:
    """Give every cell of a stack a number.

    OUT gets the data set `label` on the stack's own grid, with how it was made.
    """
    from napari_scutoid.io.open import open_volume, save_result
    from napari_scutoid.io.save import check_result_path

    _refuse_same_file(stack, output)
    check_result_path(output)
    if cells is not None:
        from napari_scutoid.io.table import check_table_path

        check_table_path(cells)
    settings = settings_of(recipe, device, changes or ())
    volume = open_volume(stack, dataset, channel=channel, time=time, voxel_size_um=voxel_size, axes=axes)

    from napari_scutoid.pipeline import run_on_disk

    result = _follow(run_on_disk(volume, settings, model))
    for line in result.facts:
        _tell(line)
    for warning in result.warnings:
        _tell(f"Warning: {warning}")
    save_result(output, result.labels, result.probabilities if save_probabilities else {}, result.provenance)
    _tell(f"Written: {output}")
    if cells is not None:
        _save_cells(cells, result.cells)
        _tell(f"Table of cells in {cells}")


@app.command()
def evaluate(
    prediction: Annotated[Path, typer.Argument(metavar="PRED", help=f"File with the labels to score: {USUAL}.")],
    truth: Annotated[Path, typer.Argument(metavar="TRUTH", help="File with the true labels, as PRED.")],
    pred_dataset: Annotated[
        str | None, typer.Option(help="Data set in PRED; without it `label`, or the only one that looks like labels.")
    ] = None,
    truth_dataset: Annotated[str | None, typer.Option(help="Data set in TRUTH; as for PRED.")] = None,
    pred_axes: Axes = None,
    truth_axes: Axes = None,
    classes: Annotated[
        bool, typer.Option("--classes", help="PRED and TRUTH hold classes such as background and cell, not cells.")
    ] = False,
    boundary_tolerance: Annotated[
        float | None, typer.Option(help="Voxels by which boundaries may differ and count as the same; without it, 2.")
    ] = None,
    cells: Annotated[
        Path | None, typer.Option(metavar="TABLE.csv", help="Also write a row for every cell: its match, its verdict.")
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Also draw three sections, cells coloured by verdict.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(help="Image under the colours; without it the one in TRUTH, where it holds one.")
    ] = None,
    image_dataset: Annotated[str | None, typer.Option(help="Data set of that image.")] = None,
    image_axes: Axes = None,
    channel: Annotated[int | None, typer.Option(help="Channel of that image, counted from 0.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score labels against the truth. docs/evaluate.md explains each score.

    Where TRUTH also holds `semantic_target`, the insides of the cells are scored against that.
    """
    from napari_scutoid import cli_scores as about

    background = about.Background(image, image_dataset, image_axes, channel)
    about.check_wishes(
        classes=classes, cells=cells, picture=picture, background=background, tolerance=boundary_tolerance
    )
    predicted = about.read_labels(prediction, pred_dataset, pred_axes)
    true = about.read_labels(truth, truth_dataset, truth_axes)
    about.check_grids(prediction, predicted, truth, true)
    if classes:
        scores = about.score_classes(predicted, true)
        print(json.dumps(scores) if as_json else about.class_lines(scores))
        return
    target = about.read_target(truth, true, truth_axes)
    shown = None if picture is None else about.open_background(background, truth, true, truth_axes)
    scores = about.score_cells(predicted, true, target, boundary_tolerance, cells, picture, shown)
    for what, file in (("Table of cells", cells), ("Picture", picture)):
        if file is not None:
            _tell(f"{what} in {file}")
    if as_json:
        print(json.dumps(scores))
        return
    print(about.score_lines(scores))
    if target is not None:
        from napari_scutoid.metrics import semantic_iou

        # The laboratory made its target from resized labels: not even the true cells fit it.
        print(about.score_lines({"semantic_iou of TRUTH": semantic_iou(true.data, target)}))


@app.command()
def tune(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="PROBABILITIES TRUTH...",
            help="What `segment --save-probabilities` wrote, and the stack's true labels; better several such pairs.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="RECIPE.yaml", help="Recipe to write.")],
    truth_dataset: Annotated[
        str | None, typer.Option(help="Data set in TRUTH; without it `label`, or the only one that looks like labels.")
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="Settings to start from; without it those PROBABILITIES was made with.")
    ] = None,
    watersheds: Annotated[
        int, typer.Option(min=1, help="Settings of the watershed to try, with some 100 partitions and sizes each.")
    ] = 60,
    seed: Annotated[int, typer.Option(min=0, help="The same seed tries the same settings.")] = 0,
    table: Annotated[
        Path | None, typer.Option(metavar="TABLE.csv", help="Also write a row for all settings tried.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find the settings that turn a network's output into the true cells, and write them as a recipe.

    The recipe is for `segment --recipe`. docs/tune.md says what is tried.
    """
    from napari_scutoid import cli_tune as about
    from napari_scutoid.cli_scores import read_labels

    about.check_wishes(files, output, table)
    base = about.base_recipe(files[0], settings_of(recipe, None))
    cases = []
    for probabilities, truth in zip(files[::2], files[1::2], strict=True):
        case, warnings = about.read_case(probabilities, read_labels(truth, truth_dataset, None), base)
        cases.append(case)
        for warning in warnings:
            _tell(f"Warning: {warning}")

    from napari_scutoid.tune import tune

    found = _follow(tune(cases, base, n_watersheds=watersheds, seed=seed))
    about.save_recipe(output, found, len(cases))
    if table is not None:
        about.save_trials(table, found.trials)
        _tell(f"Table of {len(found.trials)} settings in {table}")
    print(json.dumps(about.as_dict(found)) if as_json else about.lines(found))
    if found.predicted is None:
        _tell(f"None of {len(found.trials)} settings was better than those to start from, which are in {output}")
    else:
        _tell(f"The best of {len(found.trials)} settings in {output}")
    if len(cases) == 1:
        _tell("Found on one stack, they may fit no other: score them on another, or tune on several at once.")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help=f"The file to convert: {USUAL}.")],
    output: Output,
    dataset: Annotated[
        str | None, typer.Option(help="Data set in the file; without it, its image, labels and mask.")
    ] = None,
    channel: Channel = None,
    time: TimePoint = None,
    voxel_size: VoxelSizes = None,
    axes: Axes = None,
    content: Annotated[
        Content | None, typer.Option("--as", help="What the data set is, where `info` guesses wrong; or which to take.")
    ] = None,
    keep_type: Annotated[
        bool, typer.Option("--keep-type", help="Keep an image's type even where a smaller one holds every number.")
    ] = False,
    single: Annotated[
        bool, typer.Option("--single", help="Round double-precision images to 7 digits: half the size.")
    ] = False,
) -> None:
    """Write a stack, its labels, or both in another format.

    Numbers get the smallest type that holds each of them unchanged, and are packed.
    """
    from napari_scutoid.io.convert import Choice, convert

    _refuse_same_file(source, output)
    kind: Kind | None = None if content is None else "labels" if content is Content.labels else "image"
    choice = Choice(dataset, channel, time, voxel_size, axes, kind)
    done = _follow(convert(source, output, choice, narrow=not keep_type, single=single))
    for one in done.written:
        notes = "".join(f"; {note}" for note in one.notes)
        _tell(f"`{one.dataset}` is {one.kind} `{one.name}`, {' x '.join(map(str, one.shape))} {one.after}{notes}")
    if done.left_out:
        _tell(f"Left out, as nobody named them: {', '.join(f'`{name}`' for name in done.left_out)}")
    _tell(f"{_bytes(source)} in {source}, {_bytes(output)} in {output}")


@app.command()
def synth(
    output: Annotated[Path, typer.Argument(metavar="OUT", help=_TO_WRITE)],
    kind: Annotated[TissueKind, typer.Option(help="Form of the tissue.")] = TissueKind.gland,
    shape: Annotated[tuple[int, int, int], typer.Option(metavar="Z Y X", help="Voxels.")] = (64, 128, 128),
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same tissue.")] = 0,
    cell_diameter: Annotated[float, typer.Option(help="Typical cell diameter in voxels, 4 or more.")] = 16.0,
    z_step: Annotated[float, typer.Option(help="Length of a voxel along z over its length along x, 0.1 to 20.")] = 1.0,
) -> None:
    """Make a synthetic epithelium with true labels."""
    from napari_scutoid.io.lazy import check_memory
    from napari_scutoid.io.save import check_result_path, save_stack

    check_result_path(output)
    from napari_scutoid.synth.tissue import BYTES_PER_VOXEL, synthesise

    what, change = "The tissue could not be made", "change the numbers, e.g. --shape 64 128 128 --cell-diameter 16"
    check_memory(math.prod(shape) * BYTES_PER_VOXEL, str(output))
    try:
        tissue = synthesise(kind.value, shape, seed, cell_diameter=cell_diameter, z_step=z_step)
    except ValueError as error:
        raise ScutoidError(what, str(error), change) from error
    if not (cells := _count(tissue.labels)):
        raise ScutoidError(what, f"no cell of diameter {cell_diameter:g} came to lie in {shape} voxels", change)
    made = {"kind": kind.value, "shape": shape, "seed": seed, "cell_diameter": cell_diameter, "z_step": z_step}
    save_stack(output, tissue.image, tissue.labels, {"synth": made | {"napari-scutoid": __version__}})
    _tell(f"{cells} cells in {output}")


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("demo_output"),
) -> None:
    """Run the whole chain on the sample stack.

    Writes labels, scores and a picture.
    """
    from napari_scutoid.cli_scores import score_lines
    from napari_scutoid.demo import run_demo

    made = _follow(run_demo(output))
    print(score_lines(made.scores))
    print(f"{made.tiles_skipped} of {made.tiles} tiles held no tissue and were skipped")
    for name, file in made.files.items():
        print(f"{name}: {file}")


def _save_cells(file: Path, cells: "CellTable") -> None:
    from napari_scutoid.io.table import save_table

    columns = cells.columns()
    save_table(file, list(columns), zip(*(column.tolist() for column in columns.values()), strict=True))


def _refuse_same_file(source: Path, target: Path) -> None:
    if os.path.realpath(source) == os.path.realpath(target) or (
        source.exists() and target.exists() and source.samefile(target)
    ):
        raise ScutoidError(
            f"{target} could not be written", "it is the stack itself, which is never overwritten", "give another name"
        )


def _bytes(file: Path) -> str:
    size = sum(part.stat().st_size for part in (file.rglob("*") if file.is_dir() else (file,)) if part.is_file())
    return f"{size / 2**20:.1f} MiB"


def _count(labels: "Labels") -> int:
    import numpy as np

    return int(np.count_nonzero(np.unique(labels.data)))


def _table_of(found: "FileInfo") -> str:
    rows = [("data set", "shape", "axes", "type", "voxel size µm", "guess", "why")]
    for one in found.datasets:
        size = "unknown" if one.voxel_size_um is None else " x ".join(f"{edge:g}" for edge in one.voxel_size_um)
        rows.append((one.path, " x ".join(map(str, one.shape)), one.axes, one.dtype, size, one.guess, one.reason))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    if not found.datasets:
        lines = ["no data set with two or more axes"]
    lines += [
        f"`{one.path}`: if its last axis is z, say --axes {hint}"
        for one in found.datasets
        if one.guess in ("image", "labels") and (hint := one.axes_hint) is not None
    ]
    return "\n".join([f"{found.file}: {found.format}", *lines])


if __name__ == "__main__":
    main()

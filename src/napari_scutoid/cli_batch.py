"""``scutoid batch``: the cells of many stacks with one recipe.

Importing this module loads nothing heavy, as `cli` says of itself.
"""

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_scutoid.cli_progress import tell
from napari_scutoid.cli_settings import Device, settings_of
from napari_scutoid.errors import ScutoidError
from napari_scutoid.progress import Progress, drain

if TYPE_CHECKING:
    from napari_scutoid.batch import BatchReport, Row
    from napari_scutoid.progress import Steps


class Format(StrEnum):
    """How results are written."""

    h5 = ".h5"
    mat = ".mat"
    tif = ".tif"
    zarr = ".zarr"


def batch(
    stacks: Annotated[
        list[str],
        typer.Argument(metavar="GLOB", help="Files, folders, or patterns in quotes such as 'study/*.h5'."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the results and their report.")
    ],
    recipe: Annotated[Path | None, typer.Option(help="Settings, as YAML; docs/recipe.md lists them.")] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PART.NAME=VALUE", help="One setting, as in a recipe; wins over it."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a model, or its folder.")] = "builtin",
    device: Annotated[Device | None, typer.Option(help="Where the network runs; wins over the recipe.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Data set in the files; without it, the only one that looks like an image.")
    ] = None,
    voxel_size: Annotated[
        tuple[float, float, float] | None,
        typer.Option(metavar="Z Y X", help="Voxel edges in micrometres; wins over what the files say."),
    ] = None,
    channel: Annotated[int | None, typer.Option(help="Channel, counted from 0.")] = None,
    time: Annotated[int | None, typer.Option(help="Time point, counted from 0.")] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="ORDER", help="What the axes are, in the order that `info` shows, e.g. ZXY or CXYZ."),
    ] = None,
    truth: Annotated[
        str | None,
        typer.Option(metavar="DATASET", help="Data set of true cells in the same files, to score the results against."),
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="Ending, and thereby format, of the results.")
    ] = Format.h5,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep results in DIR that are whole and were made so; make the others.")
    ] = False,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=1024,
            metavar="N",
            help="How many stacks at once on this computer, each in a process with its part of cores and memory.",
        ),
    ] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Dask scheduler whose workers segment a stack each, or the file it has written; it is trusted.",
        ),
    ] = None,
    share_stacks: Annotated[
        bool,
        typer.Option("--share-stacks", help="One stack after the other, the network's part of each on all workers."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")] = False,
) -> None:
    """Segment many stacks with one recipe.

    DIR gets NAME_labels.h5 for each stack, and report.csv and report.json: what became of it. One stack that cannot be
    segmented does not stop the others. docs/batch.md explains the report, docs/cluster.md several computers.
    """
    if scheduler is not None and workers > 1:
        raise ScutoidError(
            "The batch was not started",
            "--workers starts workers on this computer, and --scheduler uses those that are there",
            "give one of the two",
        )
    from napari_scutoid.batch import REPORT_CSV, BatchJob, find_stacks, plan, run_batch

    job = BatchJob(settings_of(recipe, device, changes or []), model, dataset, channel, time, voxel_size, axes, truth)
    items = plan(find_stacks(stacks, leave_out=output), output, format_.value)
    steps = run_batch(
        items, job, output, resume=resume, workers=workers, scheduler=scheduler, share_stacks=share_stacks
    )
    report = _follow(steps, [item.stack.name for item in items])
    if as_json:
        print(json.dumps({"folder": str(output), **report.as_dict()}))
    else:
        print(f"{report.in_words}. What became of each: {output / REPORT_CSV}")
    if failed := [Path(row.stack).name for row in report.rows if row.state == "failed"]:
        raise ScutoidError(
            f"{len(failed)} of {report.total} stacks could not be segmented",
            f"{', '.join(failed[:3])}{', ...' if len(failed) > 3 else ''}; the column `error` of "
            f"{output / REPORT_CSV} tells why",
            "do what it says, then run the same command with --resume",
        )


def _follow(steps: "Steps[BatchReport]", names: Sequence[str]) -> "BatchReport":
    """Run the batch to its end, showing how far it is: a table on a terminal, and a line for each stack that is over.

    Closed, and thereby cancelled, on Ctrl-C.
    """
    with contextlib.closing(steps):
        if not sys.stderr.isatty():
            return drain(steps, _line_per_stack(tell))
        return _with_table(steps, names)


def _line_per_stack(write: Callable[[str], object]) -> Callable[[Progress], None]:
    told, at = set[str](), ""

    def report(progress: Progress) -> None:
        nonlocal at
        dashboard: str = progress.dashboard  # type: ignore[attr-defined]
        if dashboard not in ("", at):
            at = dashboard
            write(f"Dask's dashboard: {dashboard}")
        so_far: BatchReport = progress.report  # type: ignore[attr-defined]
        for row in so_far.rows:
            if row.output not in told:
                told.add(row.output)
                write(f"{len(told)} of {so_far.total}: {_line(row)}")

    return report


def _line(row: "Row") -> str:
    if row.state == "failed":
        return f"{row.stack} failed. {row.error}"
    cells = "" if row.cells is None else f", {row.cells} cell{'' if row.cells == 1 else 's'}"
    seconds = f" in {row.seconds:.0f} s" if row.state == "done" and row.seconds is not None else ""
    warnings = "".join(f"\n  Warning: {warning}" for warning in row.warnings)
    return f"{row.stack} {row.state}{cells}{seconds}{warnings}"


def _with_table(steps: "Steps[BatchReport]", names: Sequence[str]) -> "BatchReport":
    """Show a line for each stack that is being segmented, below one for all."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Table

    columns = (
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[step]:<26}", markup=False),
        BarColumn(20),
        TextColumn("{task.fields[count]:>9}"),
        TimeElapsedColumn(),
    )
    with Table(*columns, console=Console(stderr=True, highlight=False), transient=True) as table:
        stacks, lines = table.add_task("All stacks", step="", count=""), dict[int, TaskID]()
        tell_rows = _line_per_stack(lambda line: table.console.print(line, markup=False))

        def show(line: TaskID, step: str, done: int, total: int) -> None:
            # A step of unknown length has an empty bar: rich takes a missing total for the one of the step before.
            count = f"{done}/{total}" if total else ""
            table.update(line, step=step, completed=done if total else 0, total=total or 1, count=count)

        def report(progress: Progress) -> None:
            tell_rows(progress)
            so_far: BatchReport = progress.report  # type: ignore[attr-defined]
            under_way: Mapping[int, Progress] = progress.under_way  # type: ignore[attr-defined]
            step = "" if under_way else progress.step
            show(stacks, step, len(so_far.rows), so_far.total)
            for position in lines.keys() - under_way.keys():
                table.remove_task(lines.pop(position))
            for position, part in under_way.items():
                if position not in lines:
                    lines[position] = table.add_task(names[position], step="", count="")
                show(lines[position], part.step, part.done, part.total)

        return drain(steps, report)

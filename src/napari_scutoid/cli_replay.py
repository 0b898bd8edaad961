"""``scutoid replay``: the edits of a journal, or of two people's journals, done again without a screen.

Importing this module loads nothing heavy, as `cli` says of itself.
"""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_scutoid.cli_progress import follow, tell
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.suffixes import USUAL

if TYPE_CHECKING:
    from napari_scutoid.proofread.base import Base
    from napari_scutoid.proofread.journal import Journal
    from napari_scutoid.proofread.journal_merge import Merged
    from napari_scutoid.volume import Labels


class Version(StrEnum):
    """Whose edits are made where two journals collide."""

    first = "first"
    second = "second"


def replay(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help=f"The labels as they were before the first edit: {USUAL}.")
    ],
    journals: Annotated[
        list[Path], typer.Argument(metavar="JOURNAL [JOURNAL2]", help="What the Correct window wrote beside them.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help=f"File to write; its ending is the format: {USUAL}.")],
    dataset: Annotated[
        str | None, typer.Option(help="Data set in LABELS; without it the one that JOURNAL names.")
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(metavar="ORDER", help="What the axes of LABELS are, in the order that `info` shows, e.g. ZXY."),
    ] = None,
    keep: Annotated[
        Version | None, typer.Option(help="Whose edits to make where two journals change the same cells or voxels.")
    ] = None,
    merged: Annotated[
        Path | None, typer.Option(metavar="FILE.sqlite", help="Also write the two journals as one, to go on with.")
    ] = None,
) -> None:
    """Correct labels as a journal says, from what it stored: nothing is computed, so that no voxel differs.

    Beside OUT comes a table of its cells. Two journals of the same labels are merged; where they collide, both versions
    are listed, and nothing is written unless --keep says which to make.
    """
    from contextlib import ExitStack

    from napari_scutoid.io.save import check_result_path
    from napari_scutoid.proofread.base import Base
    from napari_scutoid.proofread.journal import Journal
    from napari_scutoid.proofread.replay import replay, with_lumen
    from napari_scutoid.proofread.saving import refuse_base, save_corrected, table_path

    _check_wishes(journals, keep, merged)
    check_result_path(output)
    with ExitStack() as stack:
        opened = [stack.enter_context(Journal.read(path)) for path in journals]
        stated = opened[0].base
        grid = with_lumen(_read(labels, dataset, axes, stated), stated, axes)
        base = follow(Base.of(grid))
        refuse_base(output, base)
        journal = opened[0]
        if len(opened) == 2:
            journal = _merge(base, opened, keep, merged)
            stack.callback(journal.close)
        made = follow(replay(grid, journal, journals))
        n = len(journal.history.line())
    follow(save_corrected(output, made))
    tell(f"{n} edit{'' if n == 1 else 's'} made again")
    tell(f"Written: {output}")
    tell(f"Table of cells in {table_path(output)}")


def _check_wishes(journals: list[Path], keep: Version | None, merged: Path | None) -> None:
    what = "The journals cannot be replayed"
    if len(journals) > 2:
        raise ScutoidError(
            what, f"{len(journals)} are given", "merge two at a time, with --merged, and that with the next one"
        )
    if len(journals) == 1 and (keep is not None or merged is not None):
        raise ScutoidError(what, "--keep and --merged are for two journals", "give JOURNAL2 as well, or leave them out")


def _read(file: Path, dataset: str | None, axes: str | None, stated: "Base") -> "Labels":
    """Read the labels that a journal is about: the data set named, else the journal's, else the only labels."""
    from napari_scutoid.io.open import inspect, open_labels

    if dataset is None:
        names = [found.path for found in inspect(file).datasets]
        dataset = next((name for name in (stated.dataset, "label") if name in names), None)
    return open_labels(file, dataset, axes=axes)


def _merge(base: "Base", opened: "list[Journal]", keep: Version | None, target: Path | None) -> "Journal":
    from napari_scutoid.proofread.journal_merge import merge_journals

    first, second = opened
    found = merge_journals(
        base, first, second, None if keep is None else "first" if keep is Version.first else "second"
    )
    for number, collision in enumerate(found.collisions, 1):
        print(f"Collision {number}: {collision}")
    if found.collisions and keep is None:
        raise _undecided(found)
    if target is not None:
        follow(found.write(target, base))
        tell(f"Merged journal: {target}")
    return found.journal(base)


def _undecided(found: "Merged") -> ScutoidError:
    n = len(found.collisions)
    return ScutoidError(
        "The journals cannot both be replayed",
        f"they collide in {n} place{'' if n == 1 else 's'}, listed above with both versions; nothing was written",
        "say --keep first or --keep second; the other version stays in its journal",
    )

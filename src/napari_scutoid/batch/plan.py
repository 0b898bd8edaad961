"""Which stacks a batch has, and where the cells of each go."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.suffixes import OME_ZARR, READ_FILES, USUAL, WRITTEN
from napari_scutoid.io.zarr_files import is_folder_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True)
class BatchItem:
    """One stack of a batch.

    Parameters
    ----------
    stack : Path
        File, or Zarr folder, to segment.
    output : Path
        File to write, which no other stack of the batch has.
    """

    stack: Path
    output: Path


def find_stacks(places: Iterable[str | Path], *, leave_out: str | Path | None = None) -> tuple[Path, ...]:
    """Return the stacks that files, folders and patterns stand for, each once.

    Parameters
    ----------
    places : iterable of str or path
        Files, taken as they are; folders, of which all files are taken whose names end as those of stacks do; patterns
        such as ``"study/*.h5"`` or ``"study/**/*.tif"``.
    leave_out : path, optional
        Folder of results: what lies in it is no stack, unless it is named itself.

    Raises
    ------
    ScutoidError
        When one of the places stands for nothing, or there is none.
    """
    found: dict[str, Path] = {}
    results = None if leave_out is None else Path(os.path.realpath(leave_out))
    for place in places:
        for stack in _stacks_at(place, results):
            found.setdefault(os.path.realpath(stack), stack)
    if not found:
        raise ScutoidError("There is nothing to segment", "no stack was given", "name files, a folder, or a pattern")
    return tuple(found.values())


def _stacks_at(place: str | Path, results: Path | None) -> list[Path]:
    path = Path(place).expanduser()
    if path.is_file() or is_folder_store(path):
        return [path]
    if path.is_dir():
        entries = [entry for entry in path.iterdir() if _is_named_as_a_stack(entry)]
        why, try_this = "no file in it is named as a stack is", f"name the files themselves; usual are {USUAL}"
    else:
        entries = [Path(name) for name in glob.glob(str(path), recursive=True)]
        entries = [entry for entry in entries if not _is_inside_a_store(entry)]
        why, try_this = "no file is there", "check the path or the pattern; in a shell, put a pattern into quotes"
    stacks = sorted(
        entry
        for entry in entries
        if not entry.name.startswith(".")
        and (entry.is_file() or is_folder_store(entry))
        and (results is None or not Path(os.path.realpath(entry)).is_relative_to(results))
    )
    if not stacks:
        if entries and results is not None:
            why, try_this = f"all there is lies in {results}, where the results go", "give another folder for them"
        raise ScutoidError(f"{place} holds no stack", why, try_this)
    return stacks


def _is_named_as_a_stack(entry: Path) -> bool:
    return entry.suffix.lower() in (OME_ZARR if entry.is_dir() else READ_FILES)


def _is_inside_a_store(entry: Path) -> bool:
    return any(parent.suffix.lower() in OME_ZARR for parent in entry.parents)


def plan(stacks: Sequence[Path], folder: str | Path, suffix: str = ".h5") -> tuple[BatchItem, ...]:
    """Return where the cells of each stack go: ``NAME_labels.h5``, longer where two stacks have one name.

    Stacks ``a.h5`` and ``a.mat`` become ``a_h5`` and ``a_mat``, ``x/a.h5`` and ``y/a.h5`` become ``x_a`` and ``y_a``.
    Capitals make no difference, as on Windows.

    Parameters
    ----------
    stacks : sequence of Path
        Each once, as `find_stacks` returns them.
    folder : path
        For the results.
    suffix : str
        Ending, and thereby format, of the results.

    Raises
    ------
    ScutoidError
        When no format has this ending, or a result would take a stack's place.
    """
    if suffix not in (known := [one for endings in WRITTEN.values() for one in endings]):
        raise ScutoidError(
            f"Results cannot be written as {suffix or 'files without an ending'}",
            "no format has this ending",
            f"choose one of: {', '.join(known)}",
        )
    items = tuple(
        BatchItem(stack, Path(folder) / f"{name}_labels{suffix}")
        for stack, name in zip(stacks, _names(stacks), strict=True)
    )
    originals = {os.path.realpath(stack) for stack in stacks}
    for item in items:
        if os.path.realpath(item.output) in originals:
            raise ScutoidError(
                f"The cells of {item.stack} cannot be written to {item.output}",
                "that is one of the stacks, which are never overwritten",
                "give a folder of its own for the results",
            )
    return items


def _names(stacks: Sequence[Path]) -> list[str]:
    """Return a name for each, as short as tells it from all others; which that is does not depend on their order."""
    spellings = [_spellings(stack) for stack in stacks]
    names = [next(spelling) for spelling in spellings]
    while clashes := {name for name, times in Counter(name.casefold() for name in names).items() if times > 1}:
        names = [
            next(spelling) if name.casefold() in clashes else name
            for name, spelling in zip(names, spellings, strict=True)
        ]
    return names


def _spellings(stack: Path) -> Iterator[str]:
    """Yield names for a stack: with its ending, with more and more of its folders; the last is of this stack alone."""
    path = Path(os.path.realpath(stack))
    name = re.sub(r"(\.ome)?(\.zarr)?$", "", stack.stem, flags=re.IGNORECASE)
    ending = stack.name[len(name) :].replace(".", "_")
    folders = path.parts[1:-1]
    for depth in range(len(folders) + 1):
        longer = "_".join([*folders[len(folders) - depth :], name])
        yield longer
        yield longer + ending
    yield f"{name}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"

"""napari's *File > Open* and drag and drop: every file goes to the Open stack dock, which reads it in a job.

napari calls readers in the window's own thread, where looking into a file alone may take a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.suffixes import OME_ZARR, READ_FILES
from napari_scutoid.ui.preferences import PLUGIN

if TYPE_CHECKING:
    from napari_scutoid.volume import Volume

LayerData = tuple[Any, ...]
Reader = Callable[[str | list[str]], list[LayerData]]

DOCK = "Open stack"
NOTHING: list[LayerData] = [(None,)]
"""What napari takes for "read, and no layer came of it"."""


def get_reader(path: str | list[str]) -> Reader | None:
    """Return `read` for what this program may read, judged by the name alone; None for all else."""
    paths = [path] if isinstance(path, str) else path
    return read if paths and all(_is_ours(one) for one in paths) else None


def read(path: str | list[str]) -> list[LayerData]:
    """Open files in the Open stack dock of the present window; without a window, read them here.

    Parameters
    ----------
    path : str or list of str
        A file, or the folder of an OME-Zarr stack. napari asks for each by itself; with more than one, it wants them as
        slices of one stack.

    Returns
    -------
    list of tuple
        No layers where the dock is going to add them.

    Raises
    ------
    ScutoidError
        For slices of a stack; without a window, as `open_volume` does, too.
    """
    from napari import current_viewer

    paths = [path] if isinstance(path, str) else path
    if len(paths) > 1:
        raise ScutoidError(
            f"{len(paths)} files were not opened as one stack",
            "Scutoid reads stacks that are one file each",
            "for several stacks, use File > Open File(s); to put slices on each other, choose napari builtins",
        )
    (file,) = paths
    viewer = current_viewer()
    if viewer is None:
        return read_here(Path(file))
    _dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    widget.receive(file)
    return NOTHING


def read_here(file: Path) -> list[LayerData]:
    """Return a file's only image, and its labels where there are some, as napari's layers.

    Raises
    ------
    ScutoidError
        When it cannot be opened, or does not tell which data set is meant.
    """
    from napari_scutoid.io.open import inspect, open_labels, open_volume
    from napari_scutoid.progress import drain
    from napari_scutoid.ui import layers
    from napari_scutoid.ui.dataset_choice import guess

    opened = guess(inspect(file))
    found: list[LayerData] = []
    grid: Volume | None = None
    if opened.image is not None or opened.labels is None:
        shown = drain(layers.load(open_volume(file)))
        grid = shown.volume
        found.append((grid.data, layers.image_options(shown, file.stem), "image"))
    if opened.labels is not None:
        labels = open_labels(file, opened.labels)
        if grid is not None:
            labels = replace(labels, voxel_size_um=grid.voxel_size_um, origin_um=grid.origin_um)
        found.append((labels.data, layers.labels_options(labels, f"{file.stem} labels"), "labels"))
    return found


def _is_ours(path: str) -> bool:
    suffix = Path(path).suffix.lower()
    return suffix in (OME_ZARR if Path(path).is_dir() else READ_FILES)

"""Models on their way to other people: as a folder, or packed. `bioimageio` writes them for other programs."""

from __future__ import annotations

import shutil
import zipfile
from typing import TYPE_CHECKING

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing, replacing_folder
from napari_scutoid.network.checkpoint import CONFIG, WEIGHTS, load_model, may_become_a_model

if TYPE_CHECKING:
    from pathlib import Path

FILES = (CONFIG, WEIGHTS)
"""What makes a model; a training run beside it stays at home."""


def copy_model(folder: Path, target: Path) -> None:
    """Copy a model folder, after it was checked that it can be loaded.

    Raises
    ------
    ScutoidError
        When the model is damaged, or the target is something else than a model, or cannot be written.
    """
    load_model(folder)
    if not may_become_a_model(target):
        raise ScutoidError(f"{target} could not be written", "it exists and is not a model folder", "give another name")
    with replacing_folder(target) as part:
        for name in FILES:
            shutil.copyfile(folder / name, part / name)


def zip_model(folder: Path, target: Path) -> None:
    """Pack a model folder into a zip file whose one folder has the file's name.

    Raises
    ------
    ScutoidError
        When the model is damaged, or the file cannot be written.
    """
    load_model(folder)
    with replacing(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in FILES:
            archive.write(folder / name, f"{target.stem}/{name}")

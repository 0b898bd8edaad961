"""The file a training run is resumed from. It is written whole at every epoch, and never unpickled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILE_VERSION = 1
NEEDED = (
    "epochs",
    "best_model_state_dict",
    "model_state_dict",
    "optimizer_state_dict",
    "scaler_state_dict",
    "train_losses",
    "valid_losses",
    "test_conf_matrix",
    "test_miou",
)
"""What other programs expect in a training checkpoint; what resuming needs besides is the run's own affair."""


def save_training(file: Path, content: Mapping[str, Any]) -> None:
    """Write a training run; whoever looks sees the old file or the new one.

    Parameters
    ----------
    file : Path
    content : mapping
        Tensors, numbers, strings, None, and lists and dicts of them.

    Raises
    ------
    ScutoidError
        When it cannot be written.
    """
    try:
        with replacing(file) as part:
            torch.save({"version": FILE_VERSION, **content}, part)
    except RuntimeError as error:  # torch says so of a full disk
        raise ScutoidError(
            f"The training run could not be saved as {file}",
            str(error).splitlines()[0],
            "make room on the disk, then go on with --resume",
        ) from error


def add_test_scores(file: Path, confusion: list[Any] | None, miou: float | None) -> None:
    """Write the final scores into the file of a run that is over.

    Parameters
    ----------
    file : Path
    confusion : nested list of int, or None
        Of the classes, rows by truth.
    miou : float or None
        Mean intersection over union of the classes.

    Raises
    ------
    ScutoidError
        As `load_training` and `save_training`.
    """
    save_training(file, load_training(file) | {"test_conf_matrix": confusion, "test_miou": miou})


def load_training(file: Path) -> dict[str, Any]:
    """Read a training run.

    Raises
    ------
    ScutoidError
        When there is none, or it is damaged or of another version.
    """
    what = f"The training run {file} could not be resumed"
    if not file.is_file():
        raise ScutoidError(what, "there is no such file", "start it without --resume")
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # what torch raises about a damaged file is of any kind
        raise ScutoidError(what, "it is damaged, or holds more than numbers", "start again without --resume") from error
    if not isinstance(content, dict) or content.get("version") != FILE_VERSION:
        raise ScutoidError(what, "it comes from another version of the program", "start again without --resume")
    if lacking := [name for name in NEEDED if name not in content]:
        raise ScutoidError(what, f"it lacks {', '.join(lacking)}", "start again without --resume")
    return content

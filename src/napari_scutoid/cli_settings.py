"""What several commands take: a recipe, changes to it, and a device."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_scutoid.recipe import Recipe


class Device(StrEnum):
    """Where the network runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"
    xpu = "xpu"


def settings_of(file: Path | None, device: Device | None, changes: Sequence[str] = ()) -> Recipe:
    """Return a recipe's settings, or none, as changed; a device wins over both."""
    from napari_scutoid.recipe import Recipe, read_recipe
    from napari_scutoid.recipe.changes import with_changes

    recipe = with_changes(Recipe() if file is None else read_recipe(file), changes)
    return recipe if device is None else with_changes(recipe, [f"predict.device={device.value}"])

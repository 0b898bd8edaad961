"""Which part of which file a layer is, so that a command line can name it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_scutoid.ui.layers import METADATA

if TYPE_CHECKING:
    from napari.layers import Layer

AXES = re.compile(r"axes ([A-Z]+) given by hand")
CHANGED = ("rescaled", "cropped", "normalised")
"""How the notes of steps begin; those of reading a file begin otherwise."""


def part_of(layer: Layer) -> tuple[int | None, int | None]:
    """Return channel and time point, each None where the file has only one."""
    channel, time = _about(layer).get("part") or (None, None)
    return channel, time


def axes_given(layer: Layer) -> str | None:
    """Return the order of the axes that was given when the file was opened, or None."""
    found = (AXES.match(note) for note in _about(layer).get("history") or ())
    return next((match.group(1) for match in found if match), None)


def changes_of(layer: Layer) -> list[str]:
    """Return what was done to the layer since it was read from its file."""
    return [note for note in _about(layer).get("history") or () if note.startswith(CHANGED)]


def _about(layer: Layer) -> dict[str, Any]:
    return layer.metadata.get(METADATA) or {}

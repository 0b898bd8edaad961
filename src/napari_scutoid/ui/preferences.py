"""What the user set in napari's preferences, under Plugins > Scutoid; the manifest states the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLUGIN = "napari-scutoid"


@dataclass(frozen=True, slots=True)
class Preferences:
    """Preferences of this user.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    memory_gb : float
        What prediction may take; 0: as much as is free.
    model : str
        Name of a model, or its folder.
    autosave_folder : Path or None
        Where work in progress is saved; None: beside the stack.
    """

    device: str = "auto"
    memory_gb: float = 0.0
    model: str = "builtin"
    autosave_folder: Path | None = None


def preferences() -> Preferences:
    """Return the preferences as they are now; the defaults where napari does not know the plugin."""
    from napari.settings import get_plugin_settings

    try:
        stated: Any = get_plugin_settings(PLUGIN).segmentation
    except (KeyError, AttributeError):
        return Preferences()
    folder = str(stated.autosave_folder).strip()
    return Preferences(
        str(stated.device),
        float(stated.memory_gb),
        str(stated.model).strip() or "builtin",
        Path(folder).expanduser() if folder else None,
    )

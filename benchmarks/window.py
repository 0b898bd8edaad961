"""How long napari takes to start with the plugin, and each window of the plugin to appear.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/window.py [--quick] [--json FILE]

Each case is a fresh process, as libraries are loaded once per process. `start` is from the first import to a painted
viewer; `first paint` from the click in the menu to the first time that the window draws itself.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _common import Row, answer, in_fresh_process, parser, peak_rss, show, write_json

if TYPE_CHECKING:
    from qtpy.QtCore import QEvent, QObject

PLUGIN = "napari-scutoid"
WINDOWS = ("Open stack", "Prepare", "Segment", "Train", "Batch")


def main() -> None:
    """Print the table, or measure one case for the process that asked for it."""
    options = parser(__doc__).parse_args()
    if options.case:
        case = json.loads(options.case)
        with tempfile.TemporaryDirectory() as folder:  # nobody's own settings count, or change
            os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
            answer(_start(**case) if "plugin" in case else _first_paint(**case))
        return
    repeats = 1 if options.quick else 5
    rows = [
        {"what": f"napari {'with' if plugin else 'without'} the plugin"} | _middle(found)
        for plugin, found in _in_turn(repeats).items()
    ]
    rows += [{"what": f"{window}, first paint"} | _median({"window": window}, repeats) for window in WINDOWS]
    rows[1]["rise"] = rows[1]["seconds"] - rows[0]["seconds"]
    show("Starting", rows, {"what": "", "seconds": ".2f", "rise": ".2f", "peak_mb": ".0f", "torch": ""})
    write_json(options.json, "Starting", rows)


def _in_turn(repeats: int) -> dict[bool, list[Row]]:
    """Return starts without and with the plugin, one after the other: what the machine does meanwhile meets both."""
    found: dict[bool, list[Row]] = {False: [], True: []}
    for _ in range(repeats):
        for plugin, rows in found.items():
            rows.append(in_fresh_process(__file__, {"plugin": plugin}))
    return found


def _median(case: Row, repeats: int) -> Row:
    return _middle([in_fresh_process(__file__, case) for _ in range(repeats)])


def _middle(found: list[Row]) -> Row:
    return found[0] | {"seconds": statistics.median(row["seconds"] for row in found)}


def _start(plugin: bool) -> Row:
    began = time.perf_counter()
    import napari
    from napari.settings import get_settings

    if not plugin:
        get_settings().plugins.disabled_plugins = {PLUGIN}
    viewer = napari.Viewer(show_welcome_screen=False)
    _settle()
    seconds = time.perf_counter() - began
    viewer.close()
    return {"seconds": seconds, "peak_mb": peak_rss() / 1e6}


def _first_paint(window: str) -> Row:
    import sys

    import napari
    from qtpy.QtCore import QEvent, QObject
    from qtpy.QtWidgets import QApplication

    class Painted(QObject):
        at = 0.0

        def eventFilter(self, _: QObject | None, event: QEvent | None) -> bool:
            if event is not None and event.type() == QEvent.Type.Paint and not self.at:
                self.at = time.perf_counter()
            return False

    viewer = napari.Viewer(show_welcome_screen=False)
    _settle()
    painted = Painted()
    began = time.perf_counter()
    _dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, window)
    widget.installEventFilter(painted)
    while not painted.at:
        QApplication.processEvents()
    torch = "loaded" if "torch" in sys.modules else ""
    viewer.close()
    return {"seconds": painted.at - began, "peak_mb": peak_rss() / 1e6, "torch": torch}


def _settle() -> None:
    from qtpy.QtWidgets import QApplication

    for _ in range(5):
        QApplication.processEvents()


if __name__ == "__main__":
    main()

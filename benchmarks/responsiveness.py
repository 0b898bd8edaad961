"""Does the window ever stand still? Every event of a real session is timed, and the slow ones are named.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/responsiveness.py [--quick] [--json FILE]

A stack of 234 x 1024 x 1024 uint16 in a gzip-packed HDF5 file (--quick: 60 x 512 x 512) is opened in memory and left in
its file, looked through slice by slice, prepared and segmented, with the windows of the plugin open. `ours` is the
worst event during which a function of this project ran in the window's thread, with its name; `napari` the worst of all
others, such as drawing.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _common import Row, answer, in_fresh_process, parser, show, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

FULL, QUICK = (234, 1024, 1024), (60, 512, 512)
PLUGIN = "napari-scutoid"
LIMIT_S = 0.1
SEGMENT_S = 20.0
"""How long the network runs before it is cancelled."""


def main() -> None:
    """Print the table, or run one session for the process that asked for it."""
    options = parser(__doc__).parse_args()
    if options.case:
        answer(_session(**json.loads(options.case)))
        return
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "stack.h5"
        _write(file, QUICK if options.quick else FULL)
        for lazily in (False, True):
            rows += in_fresh_process(__file__, {"file": str(file), "lazily": lazily, "folder": folder})["steps"]
    title = f"The longest that the window stood still, in seconds; at most {LIMIT_S} is wanted of ours"
    columns = {"stack": "", "step": "", "ours": ".3f", "by": "", "napari": ".3f", "in": "", "events": "d", "slow": "d"}
    show(title, rows, columns)
    write_json(options.json, title, rows)


def _write(file: Path, shape: tuple[int, int, int]) -> None:
    """Write a stack that looks like tissue everywhere, from a small one put side by side."""
    import h5py
    import numpy as np

    from napari_scutoid.synth.tissue import synthesise

    small = np.asarray(synthesise("packed", (30, 128, 128), 0, cell_diameter=16).image.data)
    repeats = [-(-length // part) for length, part in zip(shape, small.shape, strict=True)]
    data = np.tile(small, repeats)[tuple(slice(length) for length in shape)].astype(np.uint16)
    with h5py.File(file, "w") as target:
        raw = target.create_dataset("raw", data=data, chunks=(16, 128, 128), compression="gzip", compression_opts=1)
        raw.attrs["element_size_um"] = (0.5, 0.25, 0.25)


def _session(file: str, lazily: bool, folder: str) -> Row:
    os.environ |= {
        "NAPARI_CONFIG": str(Path(folder) / "settings.yaml"),
        "XDG_CONFIG_HOME": folder,
        "XDG_CACHE_HOME": folder,
    }
    from _event_loop import TimedApplication

    application = TimedApplication()
    import napari

    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1500, 950)
    session = _Steps(application, "left in the file" if lazily else "in memory")
    docks: dict[str, Any] = {}

    def dock(title: str) -> None:
        docks[title] = viewer.window.add_plugin_dock_widget(PLUGIN, title)[1]

    def idle(title: str) -> Callable[[], bool]:
        return lambda: not docks[title].is_busy

    session.run("opening the windows", lambda: [dock(title) for title in ("Open stack", "Prepare", "Segment")])
    session.run("choosing the file", lambda: docks["Open stack"].choose_file(file), idle("Open stack"), 2.0)
    docks["Open stack"].memory.setValue(not lazily)
    session.run("opening the stack", docks["Open stack"].start, lambda: bool(viewer.layers), 2.0)
    low, high = viewer.layers[0].extent.world[:, 0]
    for number in range(40):
        session.run("looking through", lambda z=low + number * (high - low) / 40: viewer.dims.set_point(0, z))
    session.run("preparing", docks["Prepare"].start, idle("Prepare"))
    session.run("segmenting", docks["Segment"].start, seconds=SEGMENT_S)
    session.run("cancelling", docks["Segment"].panel.cancel, idle("Segment"))
    application.stop()
    viewer.close()
    return {"steps": session.rows()}


class _Steps:
    """Runs steps of a session and keeps what was slow in each."""

    def __init__(self, application: Any, stack: str) -> None:
        self._application, self._stack = application, stack
        self._calls: dict[str, list[Any]] = {}
        self._events: dict[str, int] = {}

    def run(
        self, step: str, action: Callable[[], object], done: Callable[[], bool] = lambda: True, seconds: float = 0.5
    ) -> None:
        """Do something from within the event loop, as a click does, and wait until it is done, or for some time."""
        from qtpy.QtCore import QEventLoop, QTimer

        self._application.calls.clear()
        loop = QEventLoop()
        end = time.monotonic() + seconds
        timer = QTimer()
        timer.timeout.connect(lambda: loop.quit() if done() and time.monotonic() > end else None)
        QTimer.singleShot(0, action)
        timer.start(10)
        loop.exec()
        timer.stop()
        self._calls.setdefault(step, []).extend(self._application.calls)

    def rows(self) -> list[Row]:
        """Return a row for each step."""
        rows = []
        for step, calls in self._calls.items():
            ours = max((call for call in calls if call.ours), key=lambda call: call.seconds, default=None)
            others = max((call for call in calls if not call.ours), key=lambda call: call.seconds, default=None)
            row: Row = {"stack": self._stack, "step": step, "events": len(calls)}
            row["slow"] = sum(call.seconds > LIMIT_S for call in calls if call.ours)
            if ours is not None:
                row |= {"ours": ours.seconds, "by": f"{ours.ours.removeprefix('napari_scutoid.')} > {ours.innermost}"}
            if others is not None:
                row |= {"napari": others.seconds, "in": others.innermost}
            rows.append(row)
        return rows


if __name__ == "__main__":
    sys.exit(main())

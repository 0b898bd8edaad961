"""From dropping a file on napari to cells over the volume: the sample, and a gland of 234 x 512 x 512 voxels.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/drop_to_labels.py [--quick] [--json FILE]

A real window: the file is opened as a drop opens it, *Segment* is opened, *Run* pressed as soon as it may be, and the
clock stops when the labels are a layer and have been drawn. *Waiting* is what the window asks for before Run may be
pressed: the estimate of time and memory. Nothing is chosen by hand. Each stack has a process of its own.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from _common import Row, answer, in_fresh_process, parser, peak_rss, show, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

PLUGIN = "napari-scutoid"
SAMPLE = "gland.mat"
PATIENCE_S = 1800.0
COLUMNS = {
    "stack": "",
    "opening": ".1f",
    "waiting": ".1f",
    "segmenting": ".1f",
    "all": ".1f",
    "cells": "d",
    "peak_mb": ".0f",
}


def main() -> None:
    """Print the table, or measure one stack for the process that asked for it."""
    options = parser(__doc__ or "").parse_args()
    if options.case:
        answer(_measured(**json.loads(options.case)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, file in _files(Path(folder), quick=options.quick).items():
            rows.append({"stack": name} | in_fresh_process(__file__, {"file": str(file), "folder": folder}))
    title = "From dropping a file to labels, in seconds"
    show(title, rows, COLUMNS)
    write_json(options.json, title, rows)


def _files(folder: Path, *, quick: bool) -> dict[str, Path]:
    """Write the stacks, images only, as a microscope's are."""
    from napari_scutoid.io.open import open_volume
    from napari_scutoid.io.save import write_image
    from napari_scutoid.progress import drain
    from napari_scutoid.resources import sample_data_dir

    made = folder / "with_labels.h5"
    shape = [58, 128, 128] if quick else [234, 512, 512]
    script = str(Path(__file__).with_name("full_resolution.py"))
    in_fresh_process(script, {"job": "make", "file": str(made), "kind": "gland", "shape": shape})
    stacks = {
        "the sample gland": open_volume(sample_data_dir() / SAMPLE, "imageSequenceInterpolated"),
        f"a gland of {' x '.join(map(str, shape))}": open_volume(made, "raw"),
    }
    files = {}
    for number, (name, volume) in enumerate(stacks.items()):
        files[name] = folder / f"stack_{number}.h5"
        drain(write_image(files[name], volume))
    return files


def _measured(file: str, folder: str) -> Row:
    os.environ |= {
        "NAPARI_CONFIG": str(Path(folder) / "settings.yaml"),
        "XDG_CONFIG_HOME": folder,
        "XDG_CACHE_HOME": folder,
    }
    import napari
    import numpy as np
    from napari.layers import Labels

    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(1500, 950)
    _wait(lambda: True)

    def labels() -> list[Labels]:
        return [layer for layer in viewer.layers if isinstance(layer, Labels)]

    times = [time.perf_counter()]
    viewer.open(file, plugin=PLUGIN)
    _wait(lambda: bool(viewer.layers))
    times.append(time.perf_counter())
    _dock, segment = viewer.window.add_plugin_dock_widget(PLUGIN, "Segment")
    _wait(lambda: segment.problem() is None and not segment.is_busy)
    times.append(time.perf_counter())
    segment.start()
    _wait(lambda: not segment.is_busy)
    if not labels():
        raise SystemExit(f"no labels came of {file}")
    times.append(time.perf_counter())
    opening, waiting, segmenting = np.diff(times).tolist()
    cells = len(np.unique(labels()[0].data)) - 1
    peak = peak_rss() / 1e6
    viewer.close()
    return {
        "opening": opening,
        "waiting": waiting,
        "segmenting": segmenting,
        "all": times[-1] - times[0],
        "cells": cells,
        "peak_mb": peak,
    }


def _wait(done: Callable[[], bool]) -> None:
    """Let the window work until something is so, and has been drawn."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > end:
            raise SystemExit("the window did not come to an end")
        QApplication.processEvents()
        time.sleep(0.005)
    for _ in range(5):
        QApplication.processEvents()


if __name__ == "__main__":
    main()

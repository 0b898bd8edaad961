"""Segment a stack with the dock widget in a real napari window, and save a picture of that window.

Usage: ``python scripts/screenshot_widget.py [STACK] [-o PICTURE.png]``; without a screen, under
``xvfb-run -a -s "-screen 0 1600x1000x24"``. The documentation's pictures are made
with it, of the project's own sample only.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW = (1400, 900)


def main() -> int:
    """Run the script; the exit status is 1 when no cells came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("stack", nargs="?", type=Path, help="the stack; by default the project's sample")
    parser.add_argument("-o", "--output", type=Path, default=Path("segment.png"), help="the picture")
    parser.add_argument("--before", type=Path, help="a second picture, of the window with the stack just chosen")
    parser.add_argument("--during", type=Path, help="a third picture, in the middle of the work")
    given = parser.parse_args()
    stack = given.stack or _sample()

    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window.resize(*WINDOW)
    _dock, widget = viewer.window.add_plugin_dock_widget("napari-scutoid", "Segment")

    def settle(is_done: Callable[[], bool]) -> None:
        while not is_done():
            QApplication.processEvents()
            time.sleep(0.01)
        # Twice, because the first round of events resizes what the second one paints.
        for _ in range(2):
            QApplication.processEvents()

    widget.choose_file(stack)
    settle(lambda: not widget.is_busy)
    if given.before:
        viewer.window.screenshot(given.before, flash=False)
    widget.start()
    if given.during:
        settle(lambda: not widget.is_busy or "Predicting" in widget.status.text())
        viewer.window.screenshot(given.during, flash=False)
    settle(lambda: not widget.is_busy)
    viewer.reset_view()
    viewer.screenshot(str(given.output), canvas_only=False, flash=False)
    print(widget.status.text())
    found = widget.save_button.isEnabled()
    viewer.close()
    return 0 if found else 1


def _sample() -> Path:
    from napari_scutoid.resources import sample_data_dir

    stacks = sorted(sample_data_dir().glob("*.mat"))
    if not stacks:
        sys.exit(f"{sample_data_dir()} holds no .mat file; name a stack")
    return stacks[0]


if __name__ == "__main__":
    sys.exit(main())

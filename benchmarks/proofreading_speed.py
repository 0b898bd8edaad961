"""How long corrections take in the real window, on a stack as large as a laboratory's.

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/proofreading_speed.py [--quick] [--json FILE]

A synthetic stack (cells with wavy walls, bright in the image) is opened, a correction begun, and each kind of edit done
some hundred times: through the session, its journal on the disk, the index, the colours, and a canvas that has drawn.
Beside it the same done the usual way: a copy of the labels for undo, and a scan of the whole volume.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from _common import Row, answer, in_fresh_process, parser, peak_rss, show, write_json

from napari_scutoid.volume import VoxelSize

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SHAPE, CELL, LARGE = (234, 1024, 1024), 44, 80
QUICK_SHAPE, QUICK_CELL, QUICK_LARGE = (60, 256, 256), 20, 30
VOXEL_SIZE = VoxelSize(1.0, 0.5, 0.5)
WAVE = 0.08
"""How far walls wave, as a share of a cell."""
KINDS = ("merge", "delete", "undo", "redo", "split", "next suspect", "next suspect, at once after an edit")
COLUMNS = {"what": "s", "times": "d", "median_ms": ".0f", "p95_ms": ".0f", "usual_way_ms": ".0f", "ratio": ".1f"}
FACTS = {"what": "s", "value": ".2f", "unit": "s"}


class _Stack(NamedTuple):
    """What is opened, its image, and what edits of it take in the usual way."""

    file: Path
    image: NDArray[np.uint16]
    usual: dict[str, float]
    about: str


def main() -> None:
    """Print two tables."""
    arguments = parser(__doc__ or "").parse_args()
    if arguments.case:
        answer(_measured(arguments.quick))
        return
    case = {"quick": arguments.quick}
    found = in_fresh_process(__file__, case) if not arguments.quick else _measured(quick=True)
    show(f"Edits of {found['about']}, the canvas drawn", found["edits"], COLUMNS)
    print()
    show("What a correction takes", found["facts"], FACTS)
    write_json(arguments.json, "proofreading speed", [*found["edits"], *found["facts"]])


def wavy_blocks(shape: tuple[int, int, int], cell: int, large: int) -> NDArray[np.uint32]:
    """Return cells of about `cell` voxels across with wavy walls, those of one corner of `large`."""
    z, y, x = (np.arange(n, dtype=np.float32) for n in shape)
    labels = np.empty(shape, np.uint32)
    corner = [min(n, k * large) for n, k in zip(shape, (2, 6, 6), strict=True)]
    counts = [-(-n // cell) for n in shape]
    for plane, at in enumerate(z):
        wave = WAVE * cell * np.sin(2 * np.pi * at / (2.3 * cell))
        rows = y[:, None] + wave * np.cos(2 * np.pi * x[None] / (3.1 * cell))
        columns = x[None] + wave * np.sin(2 * np.pi * y[:, None] / (2.7 * cell))
        index = [
            np.clip(part // cell, 0, n - 1).astype(np.uint32)
            for part, n in zip((rows, columns), counts[1:], strict=True)
        ]
        labels[plane] = 1 + (np.uint32(at // cell) * counts[1] + index[0]) * counts[2] + index[1]
        if at < corner[0]:
            big = (int(at) // large, y[: corner[1]].astype(int) // large, x[: corner[2]].astype(int) // large)
            labels[plane, : corner[1], : corner[2]] = 1_000_000 + (big[0] * 6 + big[1][:, None]) * 6 + big[2][None]
    labels[:, :2] = labels[:, -2:] = 0
    return labels


def walls_of(labels: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """Return an image of the walls with some noise; also inside of the large cells, where they are to be split."""
    rng = np.random.default_rng(0)
    image = np.empty(labels.shape, np.uint16)
    for z, plane in enumerate(labels):
        differs = np.zeros(plane.shape, bool)
        differs[1:] |= plane[1:] != plane[:-1]
        differs[:, 1:] |= plane[:, 1:] != plane[:, :-1]
        if z:
            differs |= plane != labels[z - 1]
        image[z] = 200 + 3000 * differs + rng.integers(0, 200, plane.shape, np.uint16)
    return image


def _measured(quick: bool) -> Row:
    shape, cell, large = (QUICK_SHAPE, QUICK_CELL, QUICK_LARGE) if quick else (SHAPE, CELL, LARGE)
    with tempfile.TemporaryDirectory() as folder:
        stack = _made(Path(folder), shape, cell, large)
        return _in_the_window(Path(folder), stack, large, 20 if quick else 200, 100 if quick else 1000)


def _made(folder: Path, shape: tuple[int, int, int], cell: int, large: int) -> _Stack:
    """Save the labels, and keep no array of them: their memory would be taken for the correction's."""
    from napari_scutoid.io.save import save_result
    from napari_scutoid.volume import Labels

    labels = wavy_blocks(shape, cell, large)
    save_result(folder / "labels.h5", Labels(labels, VOXEL_SIZE), {}, {})
    about = f"{len(np.unique(labels)) - 1} cells in {' x '.join(map(str, shape))} voxels"
    return _Stack(folder / "labels.h5", walls_of(labels), _usual_way(labels), about)


def _in_the_window(folder: Path, stack: _Stack, large: int, times: int, many: int) -> Row:
    import napari
    from qtpy.QtWidgets import QApplication

    from napari_scutoid.io.open import open_labels
    from napari_scutoid.progress import drain
    from napari_scutoid.ui import layers
    from napari_scutoid.ui.proofread import ProofreadWidget
    from napari_scutoid.volume import Source, Volume

    file, image, usual, about = stack
    viewer = napari.Viewer(show=True)
    application = QApplication.instance()
    shown = layers.Shown(Volume(image, VOXEL_SIZE, source=Source(str(folder / "stack.h5"), "raw")), (0.0, 3000.0))
    layers.add_image(viewer, shown, "stack")
    viewer.dims.set_point(0, 20 * VOXEL_SIZE.z)
    application.processEvents()

    def wait(busy: Callable[[], bool]) -> None:
        while busy():
            application.processEvents()
            time.sleep(0.002)

    start = time.perf_counter()
    opened = drain(_loaded(open_labels(file, "label")))
    layer = layers.unwrapped(layers.add_labels(viewer, opened, "cells", {}))
    del opened
    widget = ProofreadWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Correct", area="right")
    wait(lambda: widget._looking.is_busy)
    widget.begin_button.click()
    wait(lambda: not widget.is_correcting)
    application.processEvents()
    opening = time.perf_counter() - start
    wait(lambda: widget.is_busy)
    looking = time.perf_counter() - start - opening
    correction = widget.correction
    session, editing = correction.session, correction._editing
    before = _memory()

    canvas = viewer.window._qt_viewer.canvas
    drawn: list[Any] = []
    canvas._scene_canvas.events.draw.connect(drawn.append, position="last")

    def timed(act: Callable[[], Any]) -> float:
        start = time.perf_counter()
        done = act()
        wait(lambda: editing.is_planning)
        drawn.clear()
        canvas.native.update()
        while not drawn:
            application.processEvents()
        if done is False:
            raise RuntimeError("an edit was refused")
        return time.perf_counter() - start

    def settle() -> None:
        wait(correction.reviewing.is_looking_again)

    rows = _edits(session, editing, widget, timed, settle, times, large)
    for row in rows:
        usually = usual.get(row["what"])
        if usually is not None:
            row |= {"usual_way_ms": 1e3 * usually, "ratio": usually / (row["median_ms"] / 1e3)}
    done = sum(1 for _ in session.history)
    rng = np.random.default_rng(1)
    while done < many:
        a = int(rng.choice(session.index.cells))
        if near := list(session.index.neighbours(a)):
            correction_done = editing.do(_merge(a, int(rng.choice(near))))
            done += correction_done is not None
            editing.undo()
        application.processEvents()
    after = _memory()
    journal = sum(part.stat().st_size for part in folder.glob("*.sqlite*"))
    facts = [
        {"what": "opening, with the index", "value": opening, "unit": "s"},
        {"what": "finding the suspects, beside the work", "value": looking, "unit": "s"},
        {
            "what": "memory over labels and image at the beginning",
            "value": (before - _held(layer, image)) / 1e9,
            "unit": "GB",
        },
        {"what": f"the same after {done} edits", "value": (after - _held(layer, image)) / 1e9, "unit": "GB"},
        {"what": "peak of the process, with making the stack", "value": peak_rss() / 1e9, "unit": "GB"},
        {"what": "journal, an edit", "value": journal / done / 1e3, "unit": "KB"},
    ]
    widget.stop_button.click()
    wait(lambda: widget.is_busy or widget._looking.is_busy)
    viewer.close()
    return {"about": about, "edits": rows, "facts": facts}


def _edits(
    session: Any,
    editing: Any,
    widget: Any,
    timed: Callable[[Callable[[], Any]], float],
    settle: Callable[[], None],
    times: int,
    large: int,
) -> list[Row]:
    from napari_scutoid.proofread.edits.delete import Delete
    from napari_scutoid.proofread.edits.split import Split

    rng = np.random.default_rng(0)

    def go_to(cell: int) -> None:
        timed(lambda: widget.correction._sights.look(session.index.centroid(cell), (cell,)))

    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    small = [int(one) for one in session.index.cells if one < 1_000_000]
    for cell in rng.permutation(small)[: 2 * times].tolist():
        if cell not in session.index or len(seconds["merge"]) >= times:
            continue
        near = [other for other in session.index.neighbours(cell) if other < 1_000_000]
        if near:
            go_to(cell)
            seconds["merge"].append(timed(lambda cell=cell, near=near: editing.do(_merge(cell, near[0]))))
            seconds["undo"].append(timed(editing.undo))
            seconds["redo"].append(timed(editing.redo))
    left = [cell for cell in small if cell in session.index]
    for cell in rng.permutation(left)[:times].tolist():
        go_to(cell)
        seconds["delete"].append(timed(lambda cell=cell: editing.do(Delete((cell,)))))
        timed(editing.undo)
    big = [int(one) for one in session.index.cells if one >= 1_000_000]
    for number in range(times):
        cell = big[number % len(big)]
        z, y, x = session.index.centroid(cell)
        axis = number % 3
        away = np.eye(3)[axis] * large / 4
        marks = tuple((tuple(float(c) for c in np.array((z, y, x)) + side * away),) for side in (-1, 1))
        go_to(cell)
        seconds["split"].append(timed(lambda cell=cell, marks=marks: editing.do_later(Split(cell, marks))))
        timed(editing.undo)
    reviewing = widget.correction.reviewing
    if reviewing.review is not None:
        settle()  # what hundreds of edits without a pause have changed is looked at again while nobody does anything
        for _ in range(times):
            seconds["next suspect"].append(timed(reviewing.next))
        left = [cell for cell in small if cell in session.index]
        for cell in rng.permutation(left)[:times].tolist():
            timed(lambda cell=cell: editing.do(Delete((cell,))))
            seconds["next suspect, at once after an edit"].append(timed(reviewing.next))
    return [
        {
            "what": what,
            "times": len(taken),
            "median_ms": 1e3 * float(np.median(taken)),
            "p95_ms": 1e3 * float(np.percentile(taken, 95)),
        }
        for what, taken in seconds.items()
        if taken
    ]


def _usual_way(labels: NDArray[np.uint32]) -> dict[str, float]:
    """Time what copies the volume for undo and scans it for each edit."""
    a, b = (int(one) for one in np.unique(labels[labels.shape[0] // 2])[1:3])
    work = labels.copy()

    def merge() -> None:
        kept.append(work.copy())
        work[work == b] = a

    def delete() -> None:
        kept.append(work.copy())
        work[work == a] = 0

    def undo() -> None:
        work[...] = kept.pop()

    kept: list[NDArray[np.uint32]] = []
    seconds: dict[str, list[float]] = {"merge": [], "delete": [], "undo": []}
    for act in (merge, undo, delete, undo) * 3:
        start = time.perf_counter()
        act()
        seconds[act.__name__].append(time.perf_counter() - start)
    found = {name: float(np.median(taken)) for name, taken in seconds.items()}
    return found | {"redo": found["undo"]}


def _merge(a: int, b: int) -> Any:
    from napari_scutoid.proofread.edits.merge import Merge

    return Merge((a, b))


def _loaded(labels: Any) -> Any:
    from dataclasses import replace

    from napari_scutoid.progress import Progress

    yield Progress("Reading")
    return replace(labels, data=np.ascontiguousarray(labels.data))


def _held(layer: Any, image: NDArray[Any]) -> int:
    return int(layer.data.nbytes + image.nbytes)


def _memory() -> int:
    import psutil

    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()

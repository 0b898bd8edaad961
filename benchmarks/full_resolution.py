"""Stacks of 234 x 1024 x 1024 voxels from a file to labels: time and memory of each stage, in a process of its own.

    python benchmarks/full_resolution.py [--only packed gland fine scale linear] [--work FOLDER] [--quick] [--json FILE]

======  ================================================================================================================
packed  tissue that fills the stack, more than 20 000 cells
gland   a gland of more than 300 cells
fine    packed tissue of cells so small that the network works on the stack's own grid
scale   the gland at half of its slices and a quarter of its rows and columns, where the first system of the kind failed
linear  time for a voxel of 1/16, 1/4 and all of the packed stack
======  ================================================================================================================

The stacks are synthetic ones, enlarged, with the camera's noise added after that; they are made once in ``--work``.
Memory is what the process held at the peak of a stage, less what an interpreter holds that has imported what the
program imports. A stage is a step that ``scutoid segment`` reports. Linux only: memory is read from ``/proc``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _common import Row, answer, in_fresh_process, peak_rss, show, write_json
from segment import CLEAR

TITLE = "Full resolution: from a file to labels"
KINDS = ("packed", "gland", "fine", "scale", "linear")
SHAPE, QUICK = (234, 1024, 1024), (58, 256, 256)
DIAMETERS = {"packed": 14.0, "gland": 20.0, "fine": 8.0}
"""Of cells, in voxels of the stack before it is enlarged."""
SEEDS = {"packed": 1, "gland": 1, "fine": 1}
STILL = ("cell_height", "irregular", "unequal_sizes")
"""Factors of the generator that are switched off in packed tissue: its cells are roundish, as in an embryo."""
PHOTONS, BRIGHTEST = 200, 40_000
"""Of the brightest voxels, and their intensity."""
SHORTEST = 0.01
"""Share of the whole time from which on a stage is worth a row."""
LINEAR = {"1/16": 0.397, "1/4": 0.63, "1/1": 1.0}
"""Length of a piece's edges, in those of the stack."""
COLUMNS = {
    "case": "",
    "stage": "",
    "seconds": ".1f",
    "peak_GiB": ".2f",
    "cells": "d",
    "true_cells": "d",
    "Mvoxels": ".1f",
    "us_per_voxel": ".2f",
}
IMPORTS = """
import numba, torch, h5py, scipy.ndimage, scipy.spatial, cc3d, edt, fastremap, bioimage_cpp, pandas
import napari_scutoid.cli, napari_scutoid.pipeline, napari_scutoid.network.predict, napari_scutoid.io.open
try:
    import openvino
except ImportError:
    pass
"""
GIB = 2**30


def main() -> None:
    """Make what stacks are missing, and segment them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    arguments.add_argument("--work", type=Path, default=Path("build/full_resolution"), help="folder for the stacks")
    arguments.add_argument("--quick", action="store_true", help="stacks of a 64th of the size")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    arguments.add_argument("--case", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.case:
        case = json.loads(options.case)
        answer(JOBS[case.pop("job")](**case))
        return
    work = options.work.resolve() / ("quick" if options.quick else "")
    work.mkdir(parents=True, exist_ok=True)
    imports = in_fresh_process(__file__, {"job": "imports"})["peak"]
    shape = list(QUICK if options.quick else SHAPE)
    rows: list[Row] = []
    for kind in options.only:
        if kind in DIAMETERS:
            rows += _segmented(kind, _stack(work, kind, shape), imports, [])
        elif kind == "scale":
            factors = ["--set", "rescale.mode=factors", "--set", "rescale.factors=[0.5, 0.25, 0.25]"]
            rows += _segmented("gland at 1/2, 1/4, 1/4", _stack(work, "gland", shape), imports, factors)
        else:
            whole = _stack(work, "packed", shape)
            for name, edge in LINEAR.items():
                piece = [round(edge * n) for n in shape]
                stages = _segmented(f"packed, {name}", _piece(work, whole, piece), imports, [])
                rows += stages if name == "1/1" else stages[-1:]
    print(f"interpreter and libraries: {imports / GIB:.2f} GiB\n")
    show(TITLE, rows, COLUMNS)
    write_json(options.json, TITLE, rows)


def _segmented(name: str, stack: Path, imports: int, changes: list[str]) -> list[Row]:
    """Run ``scutoid segment``; return a row a stage, and one of all."""
    labels = stack.with_name(f"labels_{stack.name}")
    command = [sys.executable, "-m", "napari_scutoid.cli", "segment", str(stack), "-o", str(labels), *changes]
    print(" ".join(command[2:]), file=sys.stderr, flush=True)
    seconds: dict[str, float] = {}
    peaks: dict[str, int] = {}
    told: list[str] = []
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as run:
        stage, began = "Starting", time.perf_counter()
        assert run.stderr is not None
        for line in run.stderr:
            now = time.perf_counter()
            seconds[stage] = seconds.get(stage, 0.0) + now - began
            peaks[stage] = max(peaks.get(stage, 0), _peak_since(run.pid))
            told.append(line.strip())
            stage, began = "Writing" if "of them cut by" in line else line.strip(), now
    if run.returncode:
        sys.exit("\n".join(told))
    facts = in_fresh_process(__file__, {"job": "facts", "stack": str(stack)})
    voxels, total = facts["voxels"], sum(seconds.values())
    cells = next(int(found[1]) for line in told if (found := re.match(r"(\d+) cells, ", line)))
    rows: list[Row] = [
        {"case": name, "stage": stage, "seconds": took, "peak_GiB": (peaks[stage] - imports) / GIB}
        for stage, took in seconds.items()
        if took > SHORTEST * total
    ]
    whole = {"case": name, "stage": "all", "seconds": total, "peak_GiB": (max(peaks.values()) - imports) / GIB}
    counts = {"cells": cells, "true_cells": facts["cells"]}
    return [*rows, whole | counts | {"Mvoxels": voxels / 1e6, "us_per_voxel": total / voxels * 1e6}]


def _peak_since(pid: int) -> int:
    """Return the most memory that a process held since it was asked last, in bytes; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")  # the kernel's way to begin anew
    except (ProcessLookupError, FileNotFoundError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+)", status)
    return int(found[1]) * 1024 if found else 0


def _stack(work: Path, kind: str, shape: list[int]) -> Path:
    file = work / f"{kind}.h5"
    if not file.exists():
        print(f"making {file}", file=sys.stderr, flush=True)
        in_fresh_process(__file__, {"job": "make", "file": str(file), "kind": kind, "shape": shape})
    return file


def _piece(work: Path, whole: Path, shape: list[int]) -> Path:
    file = work / f"piece_{'x'.join(map(str, shape))}.h5"
    if not file.exists():
        in_fresh_process(__file__, {"job": "piece", "file": str(file), "whole": str(whole), "shape": shape})
    return file


def _make(file: str, kind: str, shape: list[int]) -> Row:
    """Write a synthetic stack of twice the size in which it was made, and its cells."""
    import numpy as np

    from napari_scutoid.io.save import save_stack
    from napari_scutoid.steps.rescale import labels_to_shape, rescale_to_shape
    from napari_scutoid.synth.tissue import synthesise

    form: Any = {"packed": "packed", "gland": "gland", "fine": "packed"}[kind]
    half = tuple(n // 2 for n in shape)
    still = STILL if form == "packed" else ()
    options: Any = {"cell_diameter": DIAMETERS[kind], "optics": CLEAR, "without": still}
    tissue = synthesise(form, half, SEEDS[kind], **options)  # type: ignore[arg-type]
    image = rescale_to_shape(tissue.image, shape)
    rng = np.random.default_rng(0)
    light = np.asarray(image.data)
    data = np.empty(image.shape, np.uint16)
    for z, plane in enumerate(light / light.max()):
        data[z] = np.minimum(rng.poisson(np.maximum(plane, 0) * PHOTONS) * (BRIGHTEST // PHOTONS), 65_535)
    labels = labels_to_shape(tissue.labels, shape)
    save_stack(file, image.with_data(data, "with the camera's noise"), labels)
    return {}


def _cut(file: str, whole: str, shape: list[int]) -> Row:
    """Write the first corner of a stack."""
    import numpy as np

    from napari_scutoid.io.open import open_labels, open_volume
    from napari_scutoid.io.save import save_stack
    from napari_scutoid.volume import Labels

    corner = tuple(slice(n) for n in shape)
    image, labels = open_volume(whole, "raw"), open_labels(whole, "label")
    cells = Labels(np.asarray(labels.data[corner]), image.voxel_size_um)
    save_stack(file, image.with_data(np.asarray(image.data[corner]), "a corner"), cells)
    return {}


def _facts(stack: str) -> Row:
    import fastremap

    from napari_scutoid.io.open import open_labels

    labels = open_labels(stack, "label").data[:]
    return {"cells": int((fastremap.unique(labels) > 0).sum()), "voxels": int(labels.size)}


def _imports() -> Row:
    exec(compile(IMPORTS, "imports", "exec"), {})
    return {"peak": peak_rss()}


JOBS = {"make": _make, "piece": _cut, "facts": _facts, "imports": _imports}

if __name__ == "__main__":
    main()

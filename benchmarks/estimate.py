"""Time and memory of a segmentation: what was estimated before, and what it took, in fresh processes.

    python benchmarks/estimate.py [--quick] [--json FILE] [--device auto|cpu|cuda]

What this machine needs for a voxel is timed anew, as on a computer on which the program has never run. Memory is what
the run takes beyond the stack and the libraries.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from _common import Row, answer, in_fresh_process, parser, peak_rss, show, write_json

TITLE = "Time and memory of a segmentation, estimated and measured"
COLUMNS = {
    "stack": "",
    "cell_diameter": "",
    "device": "",
    "grid": "",
    "tissue": ".0%",
    "estimated_s": ".1f",
    "most_s": ".1f",
    "measured_s": ".1f",
    "time_ratio": ".2f",
    "estimated_MB": ".0f",
    "measured_MB": ".0f",
    "memory_ratio": ".2f",
}
QUICK = (("gland", (32, 96, 96), 16.0, True), ("sheet", (32, 128, 128), 20.0, True))
STACKS = (
    ("gland", (64, 128, 128), 16.0, False),
    ("gland", (64, 128, 128), 16.0, True),
    ("packed", (64, 160, 160), 16.0, True),
    ("sheet", (64, 256, 256), 20.0, True),
    ("cyst", (96, 192, 192), 24.0, True),
    ("gland", (128, 512, 512), 40.0, False),
    ("gland", (128, 512, 512), 40.0, True),
)
"""Kind, shape, cell diameter, and whether the diameter is stated in the recipe."""
FACTOR = 2.0
"""How far an estimate may be off."""


def main() -> None:
    """Run every case in a process of its own."""
    arguments = parser((__doc__ or "").splitlines()[0])
    arguments.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    options = arguments.parse_args()
    if options.case:
        answer(_case(**json.loads(options.case)))
        return
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as cache:
        for kind, shape, diameter, stated in QUICK if options.quick else STACKS:
            case = {"kind": kind, "shape": shape, "diameter": diameter, "stated": stated}
            rows.append(in_fresh_process(__file__, case | {"cache": cache, "device": options.device}))
            write_json(options.json, TITLE, rows)
    show(TITLE, rows, COLUMNS)
    for what in ("time", "memory"):
        within = sum(1 / FACTOR <= row[f"{what}_ratio"] <= FACTOR for row in rows)
        print(f"\n{what}: {within} of {len(rows)} estimates within a factor of {FACTOR:g}")


def _case(kind: Any, shape: Any, diameter: float, stated: bool, cache: str, device: str) -> Row:
    import time

    import psutil

    from napari_scutoid.estimate import forecast
    from napari_scutoid.network.checkpoint import find_model, read_config
    from napari_scutoid.pipeline import run
    from napari_scutoid.progress import drain
    from napari_scutoid.recipe import Recipe
    from napari_scutoid.synth.tissue import synthesise

    settings = {"rescale": {"cell_diameter": diameter} if stated else {}, "predict": {"device": device}}
    recipe = Recipe.model_validate(settings)
    # What the libraries load when they are first used is not the stack's.
    small = synthesise("packed", (16, 32, 32), 1, cell_diameter=12).image
    drain(run(small, Recipe.model_validate({**settings, "rescale": {"mode": "none"}})))

    volume = synthesise(kind, tuple(shape), 1, cell_diameter=diameter).image
    config = read_config(find_model("builtin"))
    expected = drain(forecast(volume, recipe, config, cache=Path(cache)))
    before = _forget_peak(psutil.Process())
    start = time.perf_counter()
    result = drain(run(volume, recipe))
    seconds = time.perf_counter() - start
    rise = peak_rss() - before
    done = result.provenance["prediction"]
    estimate = expected.estimate
    return {
        "stack": f"{kind} {'x'.join(map(str, shape))}",
        "cell_diameter": "stated" if stated else "estimated",
        "device": f"{expected.device.device} {expected.device.precision}",
        "grid": "x".join(map(str, estimate.working_shape)),
        "tissue": 1 - done["tiles_skipped"] / done["tiles"],
        "estimated_s": estimate.seconds,
        "most_s": estimate.most_seconds,
        "measured_s": seconds,
        "time_ratio": estimate.seconds / seconds,
        "estimated_MB": estimate.peak_bytes / 1e6,
        "measured_MB": rise / 1e6,
        "memory_ratio": estimate.peak_bytes / max(1, rise),
        "peak_rss_MB": peak_rss() / 1e6,
    }


def _forget_peak(process: Any) -> int:
    """Let the peak of memory count anew (only Linux can), and return what is held now."""
    import ctypes
    import gc

    gc.collect()
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)(0)
        switch.write_text("5", encoding="ascii")
    return int(process.memory_info().rss)


if __name__ == "__main__":
    main()

"""The whole chain: time from file to labels, what skipping empty tiles costs, what bf16 changes.

    python benchmarks/segment.py [--quick] [--json FILE]

The rows on real stacks need SCUTOID_DATA (see benchmarks/quality.py) and are left out without it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _common import Row, answer, in_fresh_process, parser, peak_rss, show, write_json

TITLE = "Segmenting: file to labels, empty tiles, precision"
COLUMNS = {
    "case": "",
    "seconds": ".1f",
    "peak_MiB": ".0f",
    "tiles": "d",
    "skipped": ".0%",
    "cells": "d",
    "are_to_reference": ".5f",
    "ap50": ".3f",
    "ap50_of_reference": ".3f",
    "worst_change": "+.3f",
}
BETTER = {"foreground_iou": 1, "ap50": 1, "ap75": 1, "f1_50": 1, "arand": -1, "voi_split": -1, "voi_merge": -1}
"""Scores that must not fall, and the sign of getting better."""
REPEATS = 5
# A stack as a laboratory would accept it: what is drawn at random may show no cells at all.
CLEAR = {
    "thickness": 0.6,
    "blur": 0.6,
    "axial": 1.5,
    "apical": 4.0,
    "lumen_fill": 3.0,
    "basal": 1.0,
    "missing": 0.01,
    "attenuation": 0.6,
    "photons": 40.0,
    "read_noise": 0.03,
    "gamma": 1.0,
    "saturation": 0.002,
    "nuclei": 1.0,
}


def main() -> None:
    """Run every case in a process of its own."""
    options = parser(__doc__ or "").parse_args()
    if options.case:
        answer(CASES[json.loads(options.case)["job"]](**json.loads(options.case)))
        return
    rows: list[Row] = [_file_to_labels(1 if options.quick else REPEATS)]
    big = [64, 256, 256] if options.quick else [128, 512, 512]
    rows.append(in_fresh_process(__file__, {"job": "gate", "shape": big}))
    for stack in _real_stacks()[: 1 if options.quick else None]:
        for job in ("real_gate", "real_bf16"):
            rows.append(in_fresh_process(__file__, {"job": job, "stack": str(stack)}))
    show(TITLE, rows, COLUMNS)
    write_json(options.json, TITLE, rows)


def _file_to_labels(repeats: int) -> Row:
    """``scutoid segment`` on a gland of 64 x 128 x 128 voxels, imports included; the median of some runs."""
    with tempfile.TemporaryDirectory() as folder:
        stack, labels = Path(folder) / "gland.h5", Path(folder) / "labels.h5"
        command = [sys.executable, "-m", "napari_scutoid.cli"]
        subprocess.run([*command, "synth", str(stack), "--seed", "1"], check=True, stderr=subprocess.DEVNULL)
        seconds = []
        for _ in range(repeats):
            started = time.perf_counter()
            subprocess.run([*command, "segment", str(stack), "-o", str(labels)], check=True, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - started)
    return {"case": "scutoid segment, 64x128x128 gland, median", "seconds": float(np.median(seconds))}


def _gate(shape: list[int], **_: Any) -> Row:
    from napari_scutoid.synth.tissue import synthesise

    tissue = synthesise("gland", tuple(shape), 3, cell_diameter=22, optics=CLEAR)  # type: ignore[arg-type]
    name = f"skip empty tiles, synthetic gland {'x'.join(map(str, shape))}"
    return _compared(name, tissue.image, tissue.labels.data, {}, {"gate": False})


def _real_gate(stack: str, **_: Any) -> Row:
    image, truth = _opened(stack)
    return _compared(f"skip empty tiles, {Path(stack).stem}", image, truth, {}, {"gate": False})


def _real_bf16(stack: str, **_: Any) -> Row:
    image, truth = _opened(stack)
    return _compared(
        f"bf16 against fp32, {Path(stack).stem}", image, truth, {"precision": "bf16"}, {"precision": "fp32"}
    )


def _compared(name: str, image: Any, truth: Any, ours: dict[str, Any], reference: dict[str, Any]) -> Row:
    """Segment with our settings and with the reference's, and compare the labels with each other and the truth."""
    from napari_scutoid.metrics import adapted_rand_error, count_overlaps, evaluate
    from napari_scutoid.pipeline import run
    from napari_scutoid.progress import drain
    from napari_scutoid.recipe import Recipe

    started = time.perf_counter()
    result = drain(run(image, Recipe.model_validate({"predict": ours})))
    seconds, peak = time.perf_counter() - started, peak_rss()
    other = drain(run(image, Recipe.model_validate({"predict": reference})))
    facts = result.provenance["prediction"]
    scores, of_reference = (evaluate(each.labels.data, truth) for each in (result, other))
    return {
        "case": name,
        "seconds": seconds,
        "peak_MiB": peak / 2**20,
        "tiles": facts["tiles"],
        "skipped": facts["tiles_skipped"] / facts["tiles"],
        "cells": int(result.labels.data.max()),
        # Background counts here as one more region, so that a cell lost to a skipped tile shows.
        "are_to_reference": adapted_rand_error(count_overlaps(result.labels.data + 1, other.labels.data + 1)),
        "ap50": scores["ap50"],
        "ap50_of_reference": of_reference["ap50"],
        # Of all scores the one that loses most; 0 and more: none falls.
        "worst_change": min(sign * (scores[name] - of_reference[name]) for name, sign in BETTER.items()),
    }


def _opened(stack: str) -> tuple[Any, Any]:
    from napari_scutoid.io.open import open_labels, open_volume

    return open_volume(stack, "raw"), open_labels(stack, "label").data


def _real_stacks() -> list[Path]:
    root = Path(os.environ.get("SCUTOID_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    return [*sorted((root / "glands").glob("*.h5")), *sorted((root / "plants").glob("*.h5"))]


CASES = {"gate": _gate, "real_gate": _real_gate, "real_bf16": _real_bf16}

if __name__ == "__main__":
    main()

"""A segmentation that stops where it is told to, for batches in processes of their own.

``python standin.py`` takes what ``scutoid batch`` does.

Beside a stack ``a.h5``, a file ``a.hold`` keeps its segmentation in the network, and ``a.hold-write`` in the middle of
writing. What has a stack says so in ``a.at``; ``a.left`` appears when it was stopped.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tiny_batch
from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_scutoid.recipe import Recipe
    from napari_scutoid.volume import Volume

LONGEST_S = 100
"""Nothing is held longer, lest a test that fails leaves processes behind."""


def segment(volume: Volume, recipe: Recipe, model: str) -> Iterator[Progress]:
    from napari_scutoid.io import hdf5_write

    stack, write = Path(volume.source.path), hdf5_write._write_dataset

    def held(root: Any, name: str, output: Any) -> Any:
        hdf5_write._write_dataset = write
        root.flush()
        for _ in _while_there(stack.with_suffix(".hold-write")):
            pass
        return write(root, name, output)

    result = yield from tiny_batch.segment(volume, recipe, model)
    stack.with_suffix(".at").write_text(f"{os.getpid()}")
    try:
        for _ in _while_there(stack.with_suffix(".hold")):
            yield Progress("Predicting", 1, 2)
    except GeneratorExit:
        stack.with_suffix(".left").touch()
        raise
    hdf5_write._write_dataset = held
    return result


def _while_there(file: Path) -> Iterator[None]:
    until = time.monotonic() + LONGEST_S
    while file.exists() and time.monotonic() < until:
        yield
        time.sleep(0.02)


if __name__ == "__main__":
    import signal

    import standin

    from napari_scutoid import cli
    from napari_scutoid.batch import run

    # A shell has what it starts in the background ignore Ctrl-C, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run._pipeline = lambda job, here: standin.segment
    # As `tiny_batch.JOB` has it.
    sys.argv[1:1] = ["batch", "--set", "watershed.seed_sigma=0.7", "--voxel-size", "1", "0.5", "0.5"]
    sys.exit(cli.main())

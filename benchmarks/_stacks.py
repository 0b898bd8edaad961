"""The shared stacks with true cells, as the benchmarks of quality read them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_scutoid.volume import Volume


class Stack(NamedTuple):
    """A file with an image ``raw`` and the true cells ``label``."""

    file: Path
    is_gland: bool

    @property
    def name(self) -> str:
        """What rows call it."""
        return self.file.stem

    def read(self) -> tuple[Volume, NDArray[Any]]:
        """Return the image, as the command line opens it, and the true cells."""
        import numpy as np

        from napari_scutoid.io.open import open_labels, open_volume

        volume = open_volume(self.file, "raw")
        return volume.with_data(np.asarray(volume.data[:]), "read"), np.asarray(open_labels(self.file, "label").data[:])


def shared_stacks(names: Sequence[str] | None = None) -> list[Stack]:
    """Return the glands and the plants of the folder ``SCUTOID_DATA``, or those whose name contains one of `names`."""
    root = Path(os.environ.get("SCUTOID_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    found = [
        Stack(file, kind == "glands") for kind in ("glands", "plants") for file in sorted(root.glob(f"{kind}/*.h5"))
    ]
    chosen = [stack for stack in found if not names or any(part in stack.name for part in names)]
    if not chosen:
        sys.exit(f"no such stack in {root}: set SCUTOID_DATA to the folder that holds glands/ and plants/")
    return chosen


def model_for(stack: Stack, model: str) -> str:
    """Return the model of a stack: ``{stack}`` in its name stands for the stack, as where each fold has its own."""
    return model.replace("{stack}", stack.name)

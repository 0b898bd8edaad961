"""The learning curves of a run, kept as a table and as a picture while it goes on."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from napari_scutoid.io.atomic import replacing
from napari_scutoid.io.learning_curves import EpochRecord, append_epoch, curve_columns, start_curves
from napari_scutoid.picture.curves import learning_curves_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_scutoid.network.train import Epoch

TABLE, PICTURE = "curves.csv", "curves.png"
_KNOWN = {field.name for field in fields(EpochRecord)} - {"iou"}


class Curves:
    """Writes a row and draws the curves anew after each epoch.

    Parameters
    ----------
    folder : Path
        Of the run.
    outputs : sequence of str
        What the network learns.
    epoch : int
        The last one of a run that is resumed; rows after it are dropped.
    """

    def __init__(self, folder: Path, outputs: Sequence[str], epoch: int | None = None) -> None:
        self.folder = folder
        self.outputs = tuple(outputs)
        folder.mkdir(parents=True, exist_ok=True)
        self.records = list(start_curves(folder / TABLE, outputs, epoch=-1 if epoch is None else epoch))

    def add(self, epoch: Epoch) -> None:
        """Write an epoch's row, and the picture with it."""
        values = {name: value for name, value in epoch.record.items() if name in _KNOWN}
        iou = {name: epoch.record.get(f"iou_{name}") for name in self.outputs}
        record = EpochRecord(**values, iou=iou)  # type: ignore[arg-type]
        append_epoch(self.folder / TABLE, record)
        self.records.append(record)
        picture = learning_curves_picture(curve_columns(self.records))
        with replacing(self.folder / PICTURE) as part:
            picture.save(part, format="PNG")

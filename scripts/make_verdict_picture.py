"""Draw ``docs/images/verdicts.png``: a synthetic cyst with one error of each kind, as ``scutoid evaluate`` shows it.

python scripts/make_verdict_picture.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.cli import main
from napari_scutoid.io.save import save_result, save_stack
from napari_scutoid.synth.tissue import SyntheticTissue, synthesise
from napari_scutoid.volume import Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "images" / "verdicts.png"
SHAPE = (56, 96, 96)
SEED = 6


def spoiled(tissue: SyntheticTissue) -> Labels:
    """Return the true labels with three cells merged, one cut in three, one lost, and one made up in the lumen."""
    true, lumen = tissue.labels.data, tissue.labels.lumen
    if lumen is None:
        raise SystemExit("a synthetic cyst states its lumen")
    around = _ring(true[SHAPE[0] // 2])
    found = true.copy()
    found[np.isin(true, around[:3])] = around[0]
    z, y, x = np.nonzero(true == around[4])
    third = np.argsort(np.argsort(y)) * 3 // y.size
    found[z, y, x] = np.where(third == 0, around[4], true.max() + third)
    found[true == around[6]] = 0
    centre = np.mean(np.nonzero(lumen), axis=1)[:, None, None, None]
    ball = ((np.indices(SHAPE) - centre) ** 2).sum(axis=0) < 7**2
    found[ball & lumen] = true.max() + 3
    return Labels(found, tissue.labels.voxel_size_um)


def _ring(plane: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the cells of a slice in their order around its middle."""
    ids = np.unique(plane[plane > 0])
    y, x = np.transpose([np.mean(np.nonzero(plane == i), axis=1) for i in ids])
    ring: NDArray[np.uint32] = ids[np.argsort(np.arctan2(y - y.mean(), x - x.mean()))]
    return ring


if __name__ == "__main__":
    tissue = synthesise("cyst", SHAPE, SEED, cell_diameter=20)
    with tempfile.TemporaryDirectory() as folder:
        truth, prediction = Path(folder, "truth.h5"), Path(folder, "prediction.h5")
        save_stack(truth, tissue.image, tissue.labels)
        save_result(prediction, spoiled(tissue), {}, {})
        main(["evaluate", str(prediction), str(truth), "--picture", str(PICTURE)])

"""Make ``sample_data/gland.mat``: a synthetic gland as the laboratory stores one, MATLAB v7.3, image and true labels.

python scripts/make_sample_data.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_scutoid.io.mat_write import write_mat73
from napari_scutoid.synth.tissue import synthesise

SEED = 26
FOLDER = Path(__file__).resolve().parents[1] / "sample_data"
OPTICS = {
    "apical": 6.0,
    "lumen_fill": 5.0,
    "basal": 0.9,
    "blur": 0.5,
    "axial": 1.8,
    "thickness": 0.5,
    "photons": 40.0,
    "read_noise": 0.03,
    "attenuation": 0.6,
    "background": 0.03,
    "cytoplasm": 0.08,
    "cell_spread": 0.2,
    "full_scale": 4095,
    "saturation": 0.002,
    "gamma": 1.0,
    "nuclei": 1.0,
    "missing": 0.02,
}


def main() -> None:
    """Write the sample."""
    tissue = synthesise("gland", (64, 128, 128), SEED, cell_diameter=16, z_step=0.6, optics=OPTICS)
    voxel = tissue.image.voxel_size_um
    if voxel is None or tissue.labels.lumen is None:
        raise SystemExit("a synthetic tissue states its voxel size and lumen")
    target = FOLDER / "gland.mat"
    write_mat73(
        target,
        {
            "imageSequenceInterpolated": np.asarray(tissue.image.data).astype(np.uint16),
            "labelledImage3D": tissue.labels.data.astype(np.uint16),
            "lumenImage": tissue.labels.lumen,
        },
        {"pixelScale": voxel.x, "zScale": voxel.z / voxel.x},
    )
    print(f"{target}: {tissue.labels.data.max()} cells, {target.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()

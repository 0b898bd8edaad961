"""Draw ``docs/images/synthetic.png``: real stacks, then random synthetic ones, each as a slice and a section along z.

    python scripts/make_synthetic_picture.py
    python scripts/make_synthetic_picture.py --stacks stacks/*.h5 --count 30 -o /tmp/beside.png

All are shown at the contrast the built-in model sees: percentiles 1 and 99.5 of the whole stack, then the square root.
Printed beside it: where each real stack lies among the synthetic ones, in percent of them (0 or 100: outside).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from PIL import Image, ImageDraw

from napari_scutoid.io.open import open_volume
from napari_scutoid.synth.tissue import training_tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SCUTOID_DATA") or ROOT.parent / "shared" / "data")
# The two real stacks whose licences allow a picture, and the step along z over that along x.
SHOWN = {"tiff/Dub-WilliamMohler-Tp33-Half.tif": 4.0, "plants/ovule_plantseg_sample.h5": 1.57}
COLUMNS, BOX, GAP = 4, 200, 6


def normalised(image: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return a stack as the model sees it."""
    low, high = np.percentile(image, [1, 99.5])
    return np.asarray(np.sqrt(np.clip((image - low) / max(high - low, 1e-6), 0, None)), np.float32)


def features(image: NDArray[np.float32]) -> dict[str, float]:
    """Return numbers of a normalised stack that need no labels."""
    # Mixed differences cancel what is smooth; their median is blind to the few at edges.
    mixed = image[:, 1:, 1:] - image[:, :-1, 1:] - image[:, 1:, :-1] + image[:, :-1, :-1]
    along_z = np.diff(image, axis=0)
    plane = np.diff(image, axis=2)
    dark, middle, bright = np.percentile(image, [10, 50, 90])
    return {
        "10 %": float(dark),
        "50 %": float(middle),
        "90 %": float(bright),
        "noise": float(np.median(np.abs(mixed)) / 1.35),
        "z/x change": float(np.abs(along_z).mean() / np.abs(plane).mean()),
    }


def tile(image: NDArray[np.float32], z_step: float, name: str) -> Image.Image:
    """Return the middle slice and, right of it, the middle section along z."""
    canvas = Image.new("L", (2 * BOX + GAP, BOX + 14), 255)
    section = image[:, image.shape[1] // 2]
    for left, plane, aspect in ((0, image[len(image) // 2], 1.0), (BOX + GAP, section, z_step)):
        height, width = plane.shape[0] * aspect, plane.shape[1]
        scale = BOX / max(height, width)
        grey = Image.fromarray((plane.clip(0, 1) * 255).astype(np.uint8))
        grey = grey.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR)
        canvas.paste(grey, (left, 14))
    ImageDraw.Draw(canvas).text((0, 1), name, fill=0)
    return canvas


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", type=Path, nargs="*", help="real stacks; the embryo and the ovule where not given")
    parser.add_argument("--real", type=Path, nargs="*", default=[], help="HDF5 files whose `label` lends real cells")
    parser.add_argument("--count", type=int, default=14, help="synthetic stacks")
    parser.add_argument("--seed", type=int, default=500, help="of the first synthetic stack")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "images" / "synthetic.png")
    options = parser.parse_args()

    found = options.stacks or [DATA / name for name in SHOWN]
    tiles, measured = [], {}
    for file in found:
        volume = open_volume(file)
        voxel = volume.voxel_size_um
        z_step = voxel.z / voxel.x if voxel else next((s for n, s in SHOWN.items() if file.match(n)), 1.0)
        image = normalised(np.asarray(volume.data, np.float32))
        measured[file.stem] = features(image)
        tiles.append(tile(image, z_step, f"real: {file.stem[:40]}"))
    cells = []
    for file in options.real:
        with h5py.File(file) as handle:
            cells.append(np.asarray(handle["label"]))
    synthetic = []
    for seed in range(options.seed, options.seed + options.count):
        made = training_tissue(seed, real=cells).image
        image = normalised(np.asarray(made.data, np.float32))
        synthetic.append(features(image))
        voxel = made.voxel_size_um
        tiles.append(tile(image, voxel.z / voxel.x if voxel else 1.0, f"synthetic, seed {seed}"))

    rows = -(-len(tiles) // COLUMNS)
    width, height = tiles[0].width + 2 * GAP, tiles[0].height + GAP
    sheet = Image.new("L", (COLUMNS * width, rows * height), 255)
    for index, one in enumerate(tiles):
        sheet.paste(one, (index % COLUMNS * width, index // COLUMNS * height))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.output, optimize=True)

    names = list(synthetic[0])
    print(f"{'':32}" + "".join(f"{name:>16}" for name in names))
    for label, quantile in (("synthetic, 5 %", 5), ("synthetic, median", 50), ("synthetic, 95 %", 95)):
        print(f"{label:32}" + "".join(f"{np.percentile([s[n] for s in synthetic], quantile):16.3f}" for n in names))
    for stem, real in measured.items():
        places = {n: np.mean([s[n] < real[n] for s in synthetic]) for n in names}
        print(f"{stem[:31]:32}" + "".join(f"{real[n]:9.3f} ({places[n]:4.0%})" for n in names))


if __name__ == "__main__":
    main()

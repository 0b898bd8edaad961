"""Train the built-in model on synthetic tissue only, from nothing but this repository.

    python scripts/train_builtin.py --cache build/builtin --minutes 35

makes the stacks (each a seed; those already in the cache are kept), trains, and writes the model folder.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Normalise

NORMALISE = Normalise(method="percentile", low_percentile=1.0, high_percentile=99.5, stabilise="sqrt")
ARCHITECTURE = Architecture(name="UNet3D", plan=((16, 16), (32, 32), (64, 64)), norm="batch")
DIAMETERS = (9.0, 30.0)
Z_STEPS = (0.4, 4.0)
KINDS = {"gland": 0.4, "cyst": 0.15, "sheet": 0.15, "packed": 0.3}


def make_stack(seed: int, folder: Path) -> Path:
    """Synthesise one training stack and keep its normalised image and labels in the cache."""
    from napari_scutoid.steps.normalise import statistics
    from napari_scutoid.synth.tissue import synthesise

    file = folder / f"{seed:05d}.npz"
    if file.exists():
        return file
    rng = np.random.default_rng(1_000_000 + seed)
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    diameter = float(np.exp(rng.uniform(*np.log(DIAMETERS))))
    z_step = float(np.exp(rng.uniform(*np.log(Z_STEPS))))
    shape = (int(np.clip(round(60 / z_step), 32, 80)), 112, 112)
    tissue = synthesise(kind, shape, 1_000_000 + seed, cell_diameter=diameter, z_step=z_step)  # type: ignore[arg-type]
    image = np.asarray(tissue.image.data)
    normalised = drain(statistics(image, NORMALISE)).apply(image)
    part = file.with_suffix(".part")
    with part.open("wb") as handle:
        np.savez_compressed(handle, image=normalised.astype(np.float16), labels=tissue.labels.data.astype(np.uint16))
    part.replace(file)
    return file


def main() -> None:
    """Make the stacks, train, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("build/builtin"), help="folder for the stacks")
    parser.add_argument("--stacks", type=int, default=900)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=35.0)
    parser.add_argument("--steps", type=int, help="end earlier, after this many steps")
    parser.add_argument("--only-stacks", action="store_true", help="make the stacks and stop")
    parser.add_argument("-o", "--output", type=Path, default=Path("src/napari_scutoid/models/builtin"))
    arguments = parser.parse_args()

    arguments.cache.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(arguments.workers) as pool:
        files = list(pool.map(make_stack, range(arguments.stacks), [arguments.cache] * arguments.stacks, chunksize=4))
    print(f"{len(files)} stacks in {arguments.cache}", flush=True)
    if arguments.only_stacks:
        return

    import torch

    from napari_scutoid.network.checkpoint import save_model
    from napari_scutoid.network.dataset import Example
    from napari_scutoid.network.train import Schedule, train
    from napari_scutoid.network.unet import build

    examples = []
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            if arrays["labels"].any():
                examples.append(Example.from_labels(arrays["image"], arrays["labels"]))
    torch.manual_seed(0)
    module = build(ARCHITECTURE, 2)
    schedule = Schedule(minutes=arguments.minutes, steps=arguments.steps)
    started, last = time.monotonic(), 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > 30:
            last = time.monotonic()
            print(f"{(last - started) / 60:5.1f} min  {progress.fraction:6.1%}  {progress.step}", flush=True)

    trained = drain(train(module, examples, schedule, bf16=True), report)
    config = ModelConfig(
        name="builtin",
        description="Foreground and boundary of epithelial cells in membrane-stained confocal stacks.",
        licence="BSD-3-Clause",
        training_data=f"{len(examples)} synthetic stacks, scripts/train_builtin.py, {len(trained.losses)} steps",
        architecture=ARCHITECTURE,
        normalise=NORMALISE,
        cell_diameter=16.0,
        cell_diameter_range=(11.0, 24.0),
        anisotropy_range=Z_STEPS,
    )
    save_model(arguments.output, trained.module, config)
    print(f"saved {arguments.output}; mean loss of the last 100 steps {np.mean(trained.losses[-100:]):.4f}")


if __name__ == "__main__":
    main()

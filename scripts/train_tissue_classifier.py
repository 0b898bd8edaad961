"""Train the tissue classifier on synthetic tissue, from nothing but this repository: ten minutes on one core.

    python scripts/train_tissue_classifier.py --cache build/tissue_classifier

makes the stacks that it learns from (kept in the cache), trains, chooses the probability from which a block counts as
tissue on other stacks, and writes the two files. The same seed and the same processor give the same weights. How it
does on a third set of stacks and on real ones: `benchmarks/gate.py`.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from napari_scutoid.io.atomic import replacing
from napari_scutoid.network.tiles import Grid
from napari_scutoid.network.tissue_classifier import (
    BLOCK,
    REDUCED,
    ClassifierConfig,
    TissueClassifier,
    mean_and_deviation,
    network_input,
    save_classifier,
    tissue_probability,
)
from napari_scutoid.progress import drain
from napari_scutoid.synth.tissue import training_tissue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

TRAINING, CHOOSING = 5_000_000, 20_000_000
"""Numbers of the first stack to learn from, and of the first to choose the threshold with."""
MARGIN = 4
"""Voxels around tissue that count as tissue: its outer membranes, and what blurs them."""
TILE = (16, 16, 16)
MISSED = 1e-4
"""Share of the tiles with tissue that may be missed among the stacks that the threshold is chosen with."""
SAFETY = 1.25
"""By how many times the probability is lowered that this would allow."""
WEIGHT_OF_TISSUE = 10.0
"""What a missed block of tissue costs, in empty blocks that are kept."""
EMPTY = 0.2
"""Share of the samples that hold nothing but noise."""
BATCH = 4
LEARNING_RATE = 2e-3


class Reduced(NamedTuple):
    """A stack on the grid that the network sees."""

    blocks: NDArray[np.float32]
    """Means and deviations, (2, z, y, x)."""
    tissue: NDArray[np.bool_]
    """Whether there is tissue, (z, y, x)."""
    grown: NDArray[np.bool_]
    """Whether there is within the margin."""


class Sample(NamedTuple):
    """What the network is shown, and what it should say of each block."""

    values: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]


def stack(number: int, cache: Path) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the image of a number and where its cells are."""
    file = cache / f"{number:08d}.npz"
    if not file.is_file():
        made = training_tissue(number)
        with replacing(file) as part, part.open("wb") as handle:
            np.savez(handle, image=np.asarray(made.image.data), tissue=np.asarray(made.labels.data) > 0)
    with np.load(file, allow_pickle=False) as arrays:
        return arrays["image"], arrays["tissue"]


def reduced(image: NDArray[Any], tissue: NDArray[np.bool_]) -> Reduced:
    """Put a stack on the coarse grid, which is cut to whole blocks."""
    blocks = mean_and_deviation(image)
    coarse = mean_and_deviation(tissue)[0] > 0
    grown = ndimage.maximum_filter(coarse, 1 + 2 * MARGIN // REDUCED)
    whole = tuple(slice(size // _EACH * _EACH) for size in coarse.shape)
    return Reduced(blocks[(slice(None), *whole)], coarse[whole], grown[whole])


_EACH = BLOCK // REDUCED


def batches(stacks: list[Reduced], steps: int, rng: np.random.Generator) -> Iterator[list[Sample]]:
    """Draw parts of the stacks, changed at random; all of a batch have one size."""
    for _ in range(steps):
        chosen = [stacks[int(n)] for n in rng.integers(len(stacks), size=BATCH)]
        deep = min(each.tissue.shape[0] for each in chosen)
        wide = int(rng.choice([32, 48]))
        yield [_sample(each, (deep, wide, wide), rng) for each in chosen]


def _sample(stack: Reduced, size: tuple[int, int, int], rng: np.random.Generator) -> Sample:
    if rng.random() < EMPTY:
        empty = np.zeros([n // _EACH for n in size], np.float32)
        return Sample(_values(mean_and_deviation(_noise(size, rng))), empty, np.ones_like(empty))
    start = [int(rng.integers(n - m + 1)) for n, m in zip(stack.tissue.shape, size, strict=True)]
    part = tuple(slice(a, a + m) for a, m in zip(start, size, strict=True))
    mean, deviation = _changed(stack.blocks, rng)
    # Of the whole stack or of this part alone: real stacks hold more tissue than these, or much less.
    if rng.random() < 0.5:
        values = _values(np.stack((mean, deviation)))[(slice(None), *part)]
    else:
        values = _values(np.stack((mean[part], deviation[part])))
    tissue, grown = stack.tissue[part], stack.grown[part]
    for axis in range(3):
        if rng.random() < 0.5:
            values, tissue, grown = (np.flip(each, axis - 3) for each in (values, tissue, grown))
    if rng.random() < 0.5:
        values, tissue, grown = (np.swapaxes(each, -1, -2) for each in (values, tissue, grown))
    target = _any(grown).astype(np.float32)
    return Sample(values, target, np.where(_any(tissue), WEIGHT_OF_TISSUE, 1.0).astype(np.float32))


def _changed(blocks: NDArray[np.float32], rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Add noise, let the depth fade, or blank a side, as stacks may have it beyond what the generator draws."""
    mean, deviation = blocks.copy()
    low, high = np.percentile(mean, (1, 99.5))
    if rng.random() < 0.3:
        fade = np.exp(-rng.uniform(0, 1.5) * np.linspace(0, 1, len(mean), dtype=np.float32))[:: rng.choice([-1, 1])]
        mean = low + (mean - low) * fade[:, None, None]
        deviation *= fade[:, None, None]
    if rng.random() < 0.3:
        sigma = (high - low) * 10 ** rng.uniform(-2, -0.7)
        n = REDUCED**3
        mean += rng.normal(0, sigma / math.sqrt(n), mean.shape)
        deviation = np.sqrt(deviation**2 + 2 * sigma**2 / n * rng.standard_gamma((n - 1) / 2, mean.shape))
    return mean.astype(np.float32), deviation.astype(np.float32)


def _noise(size: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a stack of twice that size without tissue: noise, correlated or not, under haze or not."""
    shape = [REDUCED * n for n in size]
    noise = rng.standard_normal(shape, dtype=np.float32)
    if rng.random() < 0.5:
        noise = ndimage.gaussian_filter(noise, rng.uniform(0.3, 1.2) * rng.uniform(0.5, 1, 3))
    noise /= noise.std()
    if rng.random() < 0.5:
        haze = ndimage.zoom(
            rng.random((2, 3, 3), dtype=np.float32), [n / m for n, m in zip(shape, (2, 3, 3), strict=True)], order=1
        )
        noise += rng.uniform(0, 10) * haze
    return noise


def _values(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    values = network_input(blocks)
    return np.zeros_like(blocks) if values is None else values


def _any(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    z, y, x = (size // _EACH for size in mask.shape)
    return mask.reshape(z, _EACH, y, _EACH, x, _EACH).any(axis=(1, 3, 5))


def trained(stacks: list[Reduced], steps: int, seed: int) -> TissueClassifier:
    """Return the network after so many steps."""
    torch.manual_seed(seed)
    module = TissueClassifier(ClassifierConfig().widths).train()
    optimiser = torch.optim.AdamW(module.parameters(), lr=LEARNING_RATE, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    started, total = time.perf_counter(), 0.0
    for step, batch in enumerate(batches(stacks, steps, np.random.default_rng(seed)), 1):
        values, target, weight = (torch.from_numpy(np.stack(each)) for each in zip(*batch, strict=True))
        logits = module(values)[:, 0]
        loss = functional.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum") / weight.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        total += loss.item()
        if step % 100 == 0:
            print(f"step {step}: loss {total / 100:.4f}, {time.perf_counter() - started:.0f} s", flush=True)
            total = 0.0
    return module.eval()


def tiles(module: TissueClassifier, image: NDArray[Any], tissue: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each tile of a stack the highest probability in it and how many voxels of tissue it has, (n, 2)."""
    probability = drain(tissue_probability(module, image))
    rows = []
    for _, box in Grid(tissue.shape, TILE).boxes():
        blocks = tuple(slice(a // BLOCK, -(-b // BLOCK)) for a, b in zip(box.start, box.stop, strict=True))
        rows.append((probability[blocks].max(), np.count_nonzero(tissue[box.slices])))
    return np.array(rows)


def chosen_threshold(rows: NDArray[np.float64]) -> float:
    """Return the probability that misses the allowed share of the tiles with tissue, lowered for safety."""
    with_tissue = np.sort(rows[rows[:, 1] > 0, 0])
    return float(f"{min(with_tissue[int(MISSED * len(with_tissue))] / SAFETY, 0.5):.3g}")


def scores(rows: NDArray[np.float64], threshold: float, stacks: int) -> dict[str, Any]:
    """Return what the threshold does to the stacks that it was chosen with."""
    with_tissue, skipped = rows[:, 1] > 0, rows[:, 0] < threshold
    return {
        "stacks": stacks,
        "tiles": len(rows),
        "with_tissue": int(with_tissue.sum()),
        "missed": int((with_tissue & skipped).sum()),
        "empty_skipped": int((~with_tissue & skipped).sum()),
    }


def main() -> None:
    """Make the stacks, train, choose, save."""
    options = _options()
    torch.set_num_threads(options.threads)
    cache = options.cache / "stacks"
    cache.mkdir(parents=True, exist_ok=True)
    stacks = [reduced(*stack(TRAINING + number, cache)) for number in range(options.stacks)]
    module = trained(stacks, options.steps, options.seed)
    rows = np.concatenate([tiles(module, *stack(CHOOSING + number, cache)) for number in range(options.choosing)])
    config = ClassifierConfig(
        threshold=chosen_threshold(rows),
        training_data=f"{options.stacks} synthetic stacks, scripts/train_tissue_classifier.py, {options.steps} steps, "
        f"seed {options.seed}",
    )
    config = config.model_copy(update={"scores": scores(rows, config.threshold, options.choosing)})
    options.output.mkdir(parents=True, exist_ok=True)
    print(save_classifier(options.output, module, config).model_dump_json(indent=2))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("build/tissue_classifier"), help="folder for the stacks")
    parser.add_argument("--stacks", type=int, default=180, help="to learn from")
    parser.add_argument("--choosing", type=int, default=45, help="to choose the threshold with")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("src/napari_scutoid/models"))
    return parser.parse_args()


if __name__ == "__main__":
    main()

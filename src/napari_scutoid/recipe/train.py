"""Settings of a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from napari_scutoid.recipe.image import Normalise
from napari_scutoid.recipe.part import Part, number
from napari_scutoid.recipe.whole import read_settings

if TYPE_CHECKING:
    from pathlib import Path

Triple = tuple[int, int, int]

TARGET_NAMES = ("foreground", "boundary", "soft_boundary", "semantic", "distance", "relative_distance", "seeds")
"""What an output can learn; `steps.ground_truth` makes each from labels."""
UNBOUNDED_TARGETS = ("distance",)
"""Those that are no probability, so that no loss here can teach them."""


CHANGES = (
    *("flip", "turn", "rotate", "tilt", "zoom", "shift", "shear", "elastic"),
    *("brightness", "contrast", "gamma", "noise", "blur", "slices", "cutout"),
)
"""Settings of `Augment` that are probabilities."""


class Sampling(Part):
    """What a training step sees."""

    patch: Triple = Field(
        (32, 64, 64),
        title="Patch (z, y, x)",
        description="Voxels of one sample. Larger patches show more of each cell's surroundings and take more memory.",
        json_schema_extra={"unit": "voxels", "decimals": 0, "ge": 8, "le": 512},
    )
    batch: int = number(2, "Batch", "Patches per step.", ge=1, le=256)
    accumulate: int = number(
        1,
        "Accumulate",
        "Batches whose gradients are averaged before the weights change: a larger batch in the same memory.",
        ge=1,
        le=64,
    )
    cell_share: float = number(
        0.9,
        "Patches at cells",
        "Share of the patches that hold a voxel of a cell; others lie anywhere.",
        ge=0,
        le=1,
        decimals=2,
    )
    synthetic_share: float = number(
        0.0,
        "Synthetic patches",
        "Share of the patches that come from synthetic tissue, made while training.",
        ge=0,
        le=1,
        decimals=2,
    )


class Augment(Part):
    """Random changes of a sample, each with a probability and a bound; image and labels are changed together.

    Lengths along z are scaled by the voxels' anisotropy, so that a cell is turned and bent as a body.
    """

    flip: float = number(0.5, "Flip", "Probability of mirroring, for each axis by itself.", ge=0, le=1, decimals=2)
    turn: float = number(
        0.5, "Quarter turn", "Probability of exchanging x and y in a square patch.", ge=0, le=1, decimals=2
    )
    rotate: float = number(0.3, "Rotate in the plane", "Probability.", ge=0, le=1, decimals=2)
    rotate_angle: float = number(
        180.0, "Angle in the plane", "Largest, either way.", ge=0, le=180, unit="°", decimals=1
    )
    tilt: float = number(
        0.1, "Tilt", "Probability of a rotation about any axis, out of the plane too.", ge=0, le=1, decimals=2
    )
    tilt_angle: float = number(15.0, "Angle of the tilt", "Largest, either way.", ge=0, le=180, unit="°", decimals=1)
    zoom: float = number(0.3, "Zoom", "Probability of making everything larger or smaller.", ge=0, le=1, decimals=2)
    zoom_range: float = number(
        1.3, "Largest zoom", "Between its inverse and this; the same along all axes.", ge=1, le=3, decimals=2
    )
    shift: float = number(0.2, "Shift", "Probability of a shift by a part of a voxel or more.", ge=0, le=1, decimals=2)
    shift_voxels: float = number(4.0, "Largest shift", "Along each axis.", ge=0, le=64, unit="voxels", decimals=1)
    shear: float = number(0.1, "Shear", "Probability.", ge=0, le=1, decimals=2)
    shear_range: float = number(0.15, "Largest shear", "Shift per length, either way.", ge=0, le=1, decimals=2)
    elastic: float = number(0.2, "Elastic deformation", "Probability.", ge=0, le=1, decimals=2)
    elastic_voxels: float = number(
        2.0,
        "Strength of the deformation",
        "Standard deviation of a voxel's shift.",
        ge=0,
        le=20,
        unit="voxels",
        decimals=1,
    )
    elastic_grid: float = number(
        16.0,
        "Coarseness of the deformation",
        "Distance over which shifts change.",
        ge=4,
        le=128,
        unit="voxels",
        decimals=0,
    )
    brightness: float = number(0.5, "Brightness", "Probability of adding a constant.", ge=0, le=1, decimals=2)
    brightness_range: float = number(
        0.1, "Largest change of brightness", "In units of the normalised intensities.", ge=0, le=2, decimals=2
    )
    contrast: float = number(0.5, "Contrast", "Probability of stretching or squeezing.", ge=0, le=1, decimals=2)
    contrast_range: float = number(1.3, "Largest contrast", "Between its inverse and this.", ge=1, le=4, decimals=2)
    gamma: float = number(0.3, "Gamma", "Probability of a power of the intensities.", ge=0, le=1, decimals=2)
    gamma_range: float = number(1.4, "Largest gamma", "Between its inverse and this.", ge=1, le=4, decimals=2)
    noise: float = number(0.4, "Noise", "Probability.", ge=0, le=1, decimals=2)
    noise_sigma: float = number(
        0.2, "Strongest noise", "Standard deviation, in units of the normalised intensities.", ge=0, le=2, decimals=3
    )
    blur: float = number(0.3, "Blur", "Probability.", ge=0, le=1, decimals=2)
    blur_sigma: float = number(2.0, "Strongest blur", "Standard deviation.", ge=0, le=5, unit="voxels", decimals=2)
    slices: float = number(
        0.2, "Slice jitter", "Probability of changing the brightness of each slice.", ge=0, le=1, decimals=2
    )
    slices_range: float = number(0.15, "Largest slice jitter", "Relative.", ge=0, le=1, decimals=2)
    cutout: float = number(0.1, "Cut-out", "Probability of hiding a box of the image.", ge=0, le=1, decimals=2)
    cutout_share: float = number(
        0.3, "Largest cut-out", "Of the patch, along each axis; the labels under it stay.", ge=0, le=0.9, decimals=2
    )


class Loss(Part):
    """What training minimises."""

    name: Literal["bce_dice", "cross_entropy", "weighted_cross_entropy", "dice", "falk"] = Field(
        "bce_dice",
        title="Loss",
        description="Cross-entropy plus Dice; cross-entropy; the same with foreground weighted by beta; Dice; or "
        "cross-entropy with a weight per voxel that stresses the gaps between touching cells (Falk et al. 2019).",
    )
    beta: float = number(
        0.5,
        "Beta",
        "Weight of an output's own voxels in the weighted cross-entropy; the others weigh one minus this.",
        ge=0.001,
        le=0.999,
        decimals=3,
    )
    separation: float = number(
        50.0, "Separation", "Weight lambda of the gaps between cells (Falk et al. 2019).", ge=0, le=1000, decimals=1
    )
    separation_sigma: float = number(
        6.0, "Width of the separation", "Sigma of that weight.", ge=0.1, le=100, unit="voxels", decimals=1
    )
    background_sigma: float = number(
        10.0,
        "Width of the background",
        "Sigma over which background loses weight.",
        ge=0.1,
        le=100,
        unit="voxels",
        decimals=1,
    )
    background_weight: float = number(
        0.1, "Background", "Weight of background far from cells (Falk et al. 2019).", ge=0, le=1, decimals=2
    )


class Optimise(Part):
    """How the weights change, and for how long."""

    optimiser: Literal["adamw", "adam"] = Field("adamw", title="Optimiser", description="AdamW, or Adam.")
    learning_rate: float = number(2e-3, "Learning rate", "The highest.", ge=1e-7, le=1.0, decimals=7)
    weight_decay: float = number(1e-4, "Weight decay", "Of AdamW.", ge=0, le=1, decimals=6)
    warm_up: float = number(0.02, "Warm-up", "Share of the budget in which the rate rises.", ge=0, le=0.5, decimals=2)
    decay: Literal["cosine", "late", "none"] = Field(
        "cosine",
        title="Decay",
        description="Cosine from the warm-up on; late: constant, then linear to 0 over the last third; none.",
    )
    clip: float = number(
        1.0, "Clip gradients", "Largest norm of all gradients together.", ge=0.001, le=1000, decimals=3
    )
    average: float = number(
        0.999,
        "Averaging",
        "Decay of the moving average of the weights that is kept (0: the weights themselves).",
        ge=0,
        le=0.99999,
        decimals=5,
    )
    epochs: int = number(40, "Epochs", "How often stacks are scored and the run is saved.", ge=1, le=100_000)
    steps_per_epoch: int = number(50, "Steps per epoch", "Changes of the weights.", ge=1, le=100_000)
    minutes: float | None = Field(
        None,
        title="Minutes",
        description="Time budget; the learning rate's schedule is fitted to it. The epochs bound it too.",
        gt=0,
        le=100_000,
        json_schema_extra={"unit": "min", "decimals": 1},
    )
    patience: int | None = Field(
        None,
        title="Patience",
        description="Scorings without an improvement after which training ends; empty: never early.",
        ge=1,
        le=100_000,
        json_schema_extra={"unit": "", "decimals": 0},
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        title="Precision",
        description="Auto: what is fastest on the device; fp16 (with loss scaling) needs a GPU.",
    )
    seed: int = number(0, "Seed", "Of all randomness: the same seed gives the same run.", ge=0, le=2**31 - 1)


class Split(Part):
    """Which stacks train, which choose the best weights, which are kept for the final scores."""

    valid_share: float = number(
        0.2, "Validation", "Share of the stacks, at least one where there are two or more.", ge=0, le=0.9, decimals=2
    )
    test_share: float = number(0.0, "Test", "Share of the stacks.", ge=0, le=0.9, decimals=2)
    seed: int = number(0, "Seed", "Of the draw; it is recorded with the stacks' names.", ge=0, le=2**31 - 1)


class Transfer(Part):
    """Where training starts from."""

    strategy: Literal["all", "freeze", "scratch"] = Field(
        "all",
        title="Strategy",
        description="All: start from a model and train all of it, at half of the learning rate. Freeze: keep its "
        "encoder and train the rest. Scratch: start from random weights.",
    )
    start: str = Field("builtin", title="Start from", description="Name of a model, or its folder.")
    rate: float = number(0.5, "Rate", "Factor on the learning rate with the strategy all.", ge=1e-4, le=1.0, decimals=4)


class Scoring(Part):
    """How stacks are scored while training, and what is done at the end."""

    every: int = number(
        5, "Score cells", "Epochs between two scorings of whole cells on the validation stacks.", ge=1, le=10_000
    )
    tune: bool = Field(
        True,
        title="Tune the post-processing",
        description="At the end, search the settings of the post-processing on the validation stacks and keep them in "
        "the model.",
    )
    n_watersheds: int = number(30, "Settings tried", "Of the watershed, when tuning.", ge=1, le=10_000)


class TrainRecipe(Part):
    """All settings of ``scutoid train``."""

    version: Literal[1] = 1
    outputs: tuple[str, ...] = Field(
        ("foreground", "boundary"),
        title="Outputs",
        description=f"What the network learns, of: {', '.join(TARGET_NAMES)}.",
        min_length=1,
    )
    activation: Literal["sigmoid", "softmax"] = Field(
        "sigmoid",
        title="Activation",
        description="Sigmoid: each output by itself. Softmax: exactly one of background and the outputs per voxel.",
    )
    network: Literal["builtin", "small", "full", "residual"] = Field(
        "builtin",
        title="Network",
        description="Used with the strategy scratch. Builtin: as the built-in model. Small and full: the U-Nets of "
        "Cicek et al. 2016 with two and four levels. Residual: five levels of residual blocks.",
    )
    normalise: Normalise | None = Field(
        None,
        title="Normalise",
        description="Used with the strategy scratch; empty: as the built-in model. Otherwise, the model's own stays.",
    )
    sampling: Sampling = Sampling()
    augment: Augment = Augment()
    loss: Loss = Loss()
    optimise: Optimise = Optimise()
    split: Split = Split()
    transfer: Transfer = Transfer()
    scoring: Scoring = Scoring()

    @model_validator(mode="after")
    def _outputs_are_targets(self) -> TrainRecipe:
        if len(set(self.outputs)) != len(self.outputs):
            raise ValueError(f"outputs must differ, not {self.outputs}")
        for name in self.outputs:
            if name not in TARGET_NAMES:
                raise ValueError(f"outputs must be of {', '.join(TARGET_NAMES)}, not {name!r}")
            if name in UNBOUNDED_TARGETS:
                raise ValueError(f"{name!r} is no probability; use relative_distance")
        return self


def read_train_recipe(path: str | Path) -> TrainRecipe:
    """Read the settings of a training run from YAML.

    Raises
    ------
    ScutoidError
        When the file is missing, no YAML, or holds a setting that does not exist or is out of bounds.
    """
    return read_settings(path, TrainRecipe, "docs/train.md")

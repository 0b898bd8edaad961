"""What a model folder says about itself in ``config.json``; needs no torch."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from napari_scutoid.recipe import Normalise, Part, Recipe, validation_message

Triple = tuple[int, int, int]
Channels = Annotated[int, Field(ge=1, le=2048)]
Stride = Annotated[int, Field(ge=1, le=8)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

CICEK_PLAN = ((32, 64), (64, 128), (128, 256), (256, 512))
"""Channels of the 3D U-Net of Cicek et al. 2016."""
MINI_PLAN = ((32, 64), (64, 128))
"""Channels of the small U-Net."""
RESIDUAL_PLAN = ((16, 16), (32, 32), (64, 64), (128, 128), (256, 256))
"""Four residual encoder blocks and the bottleneck."""

EC_DC_LEVELS = 4
EC_DC_LAYERS = tuple(f"ec{n}" for n in range(8)) + tuple(f"dc{n}" for n in range(9, -1, -1))
EC_DC_UP = ("dc9", "dc6", "dc3")
"""Those of them that enlarge."""


class Pytorch3dunet(Part):
    """How a network of the package pytorch-3dunet is put together, beyond its channels."""

    order: Annotated[str, Field(pattern=r"^[gbdD]*c[gbrledD]*$", max_length=8)]
    """Its ``layer_order``: c convolution, g group norm, b batch norm, r ReLU, l leaky ReLU, e ELU."""
    groups: Annotated[int, Field(ge=1, le=2048)] = 8
    up: Literal["nearest", "transposed"] = "nearest"

    @model_validator(mode="after")
    def _each_layer_once(self) -> Pytorch3dunet:
        if len(set(self.order)) != len(self.order):
            raise ValueError(f"order must name each layer once, not {self.order!r}")
        return self


class EcDc(Part):
    """How the 3D U-Net with the layers ``ec0``..``ec7``, ``dc9``..``dc0`` is put together, layer by layer.

    Each layer is a word: c convolution or t transposed convolution, as a capital where it has a bias; b batch norm;
    r ReLU.
    """

    layers: dict[str, Annotated[str, Field(pattern=r"^[cCtT](b|r|br|rb)?$")]]

    @model_validator(mode="after")
    def _all_layers(self) -> EcDc:
        if set(self.layers) != set(EC_DC_LAYERS):
            raise ValueError(f"layers must be {', '.join(EC_DC_LAYERS)}, not {', '.join(self.layers)}")
        return self


class Architecture(Part):
    """A U-Net's shape: all that is needed to build it.

    ``plan`` gives the output channels of the two convolutions at each resolution (Cicek et al. 2016:
    ``((32, 64), (64, 128), (128, 256), (256, 512))``). A name with a dot is a network of another program, which
    ``options`` describe further.
    """

    name: Literal[
        "UNet3D",
        "MiniUNet3D",
        "ResidualUNet3D",
        "pytorch3dunet.UNet3D",
        "pytorch3dunet.ResidualUNet3D",
        "pytorch3dunet.ResidualUNetSE3D",
        "ec_dc.UNet3D",
    ] = "UNet3D"
    in_channels: Annotated[int, Field(ge=1, le=64)] = 1
    plan: Annotated[tuple[tuple[Channels, Channels], ...], Field(min_length=1, max_length=8)] = (
        (16, 32),
        (32, 64),
        (64, 128),
    )
    norm: Literal["none", "batch", "group"] = "batch"
    pooling: tuple[tuple[Stride, Stride, Stride], ...] | None = None
    """Pooling per level and axis, e.g. ((1, 2, 2), (2, 2, 2)); None pools by 2 everywhere."""
    options: Pytorch3dunet | EcDc | None = None

    @model_validator(mode="after")
    def _one_pooling_between_levels(self) -> Architecture:
        if self.pooling is not None and len(self.pooling) != len(self.plan) - 1:
            raise ValueError(f"{len(self.plan)} levels need {len(self.plan) - 1} poolings, not {len(self.pooling)}")
        return self

    @model_validator(mode="after")
    def _options_of_this_network(self) -> Architecture:
        program = self.name.rpartition(".")[0]
        expected = {"pytorch3dunet": Pytorch3dunet, "ec_dc": EcDc}.get(program, type(None))
        if type(self.options) is not expected:
            raise ValueError(f"{self.name} needs options of type {expected.__name__}, not {self.options!r}")
        if program and self.pooling is not None:
            raise ValueError(f"{self.name} pools by 2 everywhere, not by {self.pooling}")
        if program == "ec_dc" and len(self.plan) != EC_DC_LEVELS:
            raise ValueError(f"{self.name} has {EC_DC_LEVELS} levels, not {len(self.plan)}")
        return self

    @property
    def strides(self) -> tuple[Triple, ...]:
        """Pooling from each level to the next, stated or by default."""
        return ((2, 2, 2),) * (len(self.plan) - 1) if self.pooling is None else self.pooling

    @property
    def multiple(self) -> Triple:
        """Voxels along z, y, x that become one at the deepest level; sizes are padded to multiples of it."""
        z, y, x = (math.prod(stride[axis] for stride in self.strides) for axis in range(3))
        return z, y, x


class Output(Part):
    """One output channel of the network, by name."""

    name: str
    activation: Literal["sigmoid", "softmax"] = "sigmoid"


class ModelConfig(Part):
    """The content of a model folder's ``config.json``."""

    schema_version: Literal[1] = 1
    name: str
    description: str = ""
    licence: str = ""
    training_data: str = ""
    architecture: Architecture = Architecture()
    inputs: tuple[str, ...] = ("membrane",)
    outputs: tuple[Output, ...] = (Output(name="foreground"), Output(name="boundary"))
    normalise: Normalise = Normalise()
    cell_diameter: Positive = 16.0
    """Equivalent diameter, in voxels, of the cells it was trained on."""
    cell_diameter_range: tuple[Positive, Positive] = (10.0, 28.0)
    """Diameters it sees best: cells outside are resampled to the nearest of the two."""
    anisotropy_range: tuple[Positive, Positive] = (0.4, 4.0)
    """z step over xy step that it was trained to handle."""
    scores: dict[str, Any] = Field(default_factory=dict)
    recipe: dict[str, Any] = Field(default_factory=dict)
    """Post-processing tuned for this model, in the recipe's names; the user's own settings win."""
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _channels_have_meanings(self) -> ModelConfig:
        if len(self.inputs) != self.architecture.in_channels:
            raise ValueError(f"{self.architecture.in_channels} input channels, but {len(self.inputs)} named inputs")
        names = [output.name for output in self.outputs]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"outputs must have different names, not {names}")
        return self

    @model_validator(mode="after")
    def _can_be_used(self) -> ModelConfig:
        for name in ("cell_diameter_range", "anisotropy_range"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must rise, not {(low, high)}")
        try:  # told when the model is loaded, and not as a bug when it is run
            Recipe.model_validate(self.recipe)
        except ValidationError as error:
            raise ValueError(f"in its recipe, {validation_message(error)}") from error
        return self

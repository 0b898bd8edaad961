"""The network that training starts from."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from napari_scutoid.network.checkpoint import load_model
from napari_scutoid.network.config import CICEK_PLAN, MINI_PLAN, RESIDUAL_PLAN, Architecture, ModelConfig, Output
from napari_scutoid.network.dataset import BACKGROUND
from napari_scutoid.network.transfer import fresh, start_from
from napari_scutoid.recipe import Normalise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_scutoid.network.blocks import Network
    from napari_scutoid.recipe.train import TrainRecipe

BUILTIN_NORMALISE = Normalise(method="percentile", low_percentile=1.0, high_percentile=99.5, stabilise="sqrt")
NETWORKS: Mapping[str, Architecture] = MappingProxyType(
    {
        "builtin": Architecture(plan=((16, 16), (32, 32), (64, 64))),
        "small": Architecture(name="MiniUNet3D", plan=MINI_PLAN),
        "full": Architecture(plan=CICEK_PLAN),
        "residual": Architecture(name="ResidualUNet3D", plan=RESIDUAL_PLAN),
    }
)
"""Networks by the name that a recipe gives them."""
RANGE = (0.7, 1.5)
"""How far from the training stacks' own a cell's diameter may lie, for a network that starts from nothing."""


def outputs_of(recipe: TrainRecipe) -> tuple[Output, ...]:
    """Return the outputs of a network that a recipe describes; those that exclude each other need a background."""
    named = tuple(Output(name=name, activation=recipe.activation) for name in recipe.outputs)
    if recipe.activation == "softmax":
        return (Output(name=BACKGROUND, activation="softmax"), *named)
    return named


def starting_point(recipe: TrainRecipe, name: str, *, cell_diameter: float | None = None) -> Start:
    """Return the network that training starts from, and what its model folder will say.

    Parameters
    ----------
    recipe : TrainRecipe
    name : str
        Of the new model.
    cell_diameter : float, optional
        Of the training stacks' cells, in voxels, for a network that starts from nothing.
    """
    outputs = outputs_of(recipe)
    if recipe.transfer.strategy == "scratch":
        config = ModelConfig(
            name=name,
            architecture=NETWORKS[recipe.network],
            outputs=outputs,
            normalise=recipe.normalise or BUILTIN_NORMALISE,
        )
        if cell_diameter is not None:
            low, high = (factor * cell_diameter for factor in RANGE)
            config = config.model_copy(update={"cell_diameter": cell_diameter, "cell_diameter_range": (low, high)})
        return Start(fresh(config.architecture, len(outputs), recipe.optimise.seed), config, 1.0, ())
    rate = recipe.transfer.rate if recipe.transfer.strategy == "all" else 1.0
    old, base = load_model(recipe.transfer.start)
    config = base.model_copy(update={"name": name, "outputs": outputs, "scores": {}, "weights_sha256": ""})
    if outputs == base.outputs:
        return Start(old.train(), config, rate, (f"All weights start from {base.name}",))
    module = fresh(config.architecture, len(outputs), recipe.optimise.seed)
    names, old_names = ([output.name for output in some] for some in (outputs, base.outputs))
    matching = start_from(module, old.state_dict(), names, old_names)
    return Start(module, config, rate, (f"From {base.name}, {matching.words()}",))


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A network, what its model folder will say, the factor on its learning rate, and what a person is told."""

    module: Network
    config: ModelConfig
    rate: float
    messages: tuple[str, ...]

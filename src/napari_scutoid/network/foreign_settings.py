"""The settings that pytorch-3dunet and PlantSeg keep beside a checkpoint, as far as they say how to run it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.checkpoint import LARGEST_CONFIG
from napari_scutoid.network.config import Architecture, Pytorch3dunet
from napari_scutoid.recipe import Normalise, validation_message

if TYPE_CHECKING:
    from pathlib import Path

USUAL = ("config_train.yml", "config_train.yaml")
"""How both name the file."""


class NetworkSettings(BaseModel):
    """The part ``model`` of pytorch-3dunet's settings, with that package's defaults."""

    model_config = ConfigDict(extra="ignore")

    name: str
    in_channels: Annotated[int, Field(ge=1, le=64)]
    out_channels: Annotated[int, Field(ge=1, le=1024)]
    layer_order: str = "gcr"
    f_maps: Annotated[int, Field(ge=1, le=2048)] | list[int] = 64
    num_groups: Annotated[int, Field(ge=1, le=2048)] = 8
    num_levels: Annotated[int, Field(ge=1, le=8)] | None = None
    final_sigmoid: bool = True
    is_segmentation: bool = True
    conv_kernel_size: int | list[int] = 3
    pool_kernel_size: int | list[int] = 2
    conv_padding: int | list[int] = 1
    conv_upscale: int = 2
    upsample: str | None = "default"

    @model_validator(mode="after")
    def _can_be_built(self) -> NetworkSettings:
        known = ("UNet3D", "ResidualUNet3D", "ResidualUNetSE3D")
        if self.name not in known:
            hint = "; it works on single slices, and this program on stacks" if self.name.endswith("2D") else ""
            raise ValueError(f"the network {self.name!r} is none of {', '.join(known)}{hint}")
        if not self.is_segmentation:
            raise ValueError("is_segmentation is false: its outputs are no probabilities")
        for setting, usual in (("conv_kernel_size", 3), ("pool_kernel_size", 2), ("conv_padding", 1)):
            value = getattr(self, setting)
            if value not in (usual, [usual] * 3):
                raise ValueError(f"{setting} {value} is not supported, only {usual}")
        ways = ("default", "nearest", "deconv") if self.name == "UNet3D" else ("default",)
        if self.upsample not in ways:
            raise ValueError(f"upsample {self.upsample!r} is not supported for {self.name}, only {', '.join(ways)}")
        return self

    @property
    def architecture(self) -> Architecture:
        """The same network in this program's terms."""
        double = self.name == "UNet3D"
        levels = self.num_levels or (4 if double else 5)
        widths = self.f_maps if isinstance(self.f_maps, list) else [self.f_maps * 2**level for level in range(levels)]
        plan = []
        before = self.in_channels
        for width in widths:
            first = max(before, width // 2) if double and self.conv_upscale != 1 else max(before, width)
            plan.append((first if double else width, width))
            before = width
        return Architecture(
            name=f"pytorch3dunet.{self.name}",
            in_channels=self.in_channels,
            plan=tuple(plan),
            norm="group" if "g" in self.layer_order else "batch" if "b" in self.layer_order else "none",
            options=Pytorch3dunet(
                order=self.layer_order,
                groups=self.num_groups,
                up="nearest" if double and self.upsample != "deconv" else "transposed",
            ),
        )


def settings_beside(file: Path) -> Path:
    """Return the settings that lie beside a checkpoint.

    Raises
    ------
    ScutoidError
        When there are none.
    """
    for name in (*USUAL, f"{file.stem}.yml", f"{file.stem}.yaml"):
        if (file.parent / name).is_file():
            return file.parent / name
    raise ScutoidError(
        f"The model {file} could not be imported",
        f"its settings are not beside it ({' or '.join(USUAL)}), and the weights do not say all of them",
        "name the YAML file that it was trained with by --config",
    )


def read_settings(file: Path) -> dict[str, Any]:
    """Read a YAML file that is a mapping.

    Raises
    ------
    ScutoidError
        When it is missing, no YAML, or something else than a mapping.
    """
    import yaml

    what = f"The settings {file} could not be read"
    try:
        if file.stat().st_size > LARGEST_CONFIG:
            raise ScutoidError(what, f"the file is larger than {LARGEST_CONFIG // 2**20} MB", "check the path")
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScutoidError(what, error.strerror or str(error), "check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise ScutoidError(what, f"it is no valid YAML ({str(error).splitlines()[0]})", "check the file") from error
    if not isinstance(content, dict):
        raise ScutoidError(what, "it holds no settings", "give the YAML file that the model was trained with")
    return content


def described(file: Path, content: dict[str, Any]) -> NetworkSettings:
    """Return the network that settings describe.

    Raises
    ------
    ScutoidError
        When the description is incomplete, or of a network that cannot be built here.
    """
    what = f"The network that {file} describes cannot be imported"
    try:
        model = NetworkSettings.model_validate(content.get("model"))
        _ = model.architecture
    except ValidationError as error:
        raise ScutoidError(what, validation_message(error), "docs/models.md says which networks can be") from error
    return model


def normalisation(file: Path, content: dict[str, Any]) -> Normalise | None:
    """Return how the training loader normalised raw stacks; None where the settings do not say it.

    Raises
    ------
    ScutoidError
        When it did so in a way that is not known here.
    """
    steps: Any = content
    for key in ("loaders", "train", "transformer", "raw"):
        steps = steps.get(key) if isinstance(steps, dict) else None
    for step in steps if isinstance(steps, list) else ():
        name = step.get("name") if isinstance(step, dict) else None
        if name == "Standardize" and step.get("mean") is None:
            return Normalise(method="zscore")
        if name == "PercentileNormalizer":
            try:
                return Normalise(
                    method="percentile",
                    low_percentile=step.get("pmin", 1.0),
                    high_percentile=step.get("pmax", 99.6),
                )
            except ValidationError:
                pass
        if (
            name == "Normalize"
            and step.get("norm01") is True
            and step.get("min_value") is step.get("max_value") is None
        ):
            return Normalise(method="minmax")
        if name in ("Standardize", "PercentileNormalizer", "Normalize"):
            raise ScutoidError(
                f"The model described by {file} could not be imported",
                f"it was trained on intensities normalised by {step}, which is not known here",
                "choose the nearest way with --normalise",
            )
    return None

"""Settings from the stack to probabilities."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from napari_scutoid.recipe.part import Part, number


class Normalise(Part):
    """Bring the intensities of any microscope to one range, with statistics of the whole stack."""

    method: Literal["zscore", "minmax", "percentile"] = Field(
        "percentile",
        title="Method",
        description="z-score: mean 0, standard deviation 1. min-max: darkest 0, brightest 1. "
        "Percentile: the low percentile becomes 0, the high one 1, so a few extreme voxels do not matter.",
    )
    low_percentile: float = number(
        1.0,
        "Low percentile",
        "Share of voxels darker than the new zero. Used by the percentile method.",
        ge=0.0,
        le=49.0,
        unit="%",
        decimals=2,
    )
    high_percentile: float = number(
        99.5,
        "High percentile",
        "Share of voxels darker than the new one. Used by the percentile method.",
        ge=51.0,
        le=100.0,
        unit="%",
        decimals=2,
    )
    stabilise: Literal["none", "sqrt", "log"] = Field(
        "none",
        title="Compress bright parts",
        description="Square root or logarithm of the intensity above the darkest voxel, before the method. Use it "
        "when one structure (an apical line, say) is many times brighter than the membranes.",
    )


class Rescale(Part):
    """Put the stack on a coarser or finer grid before the network sees it."""

    mode: Literal["none", "factors", "voxel_size", "cell_size"] = Field(
        "cell_size",
        title="Rescale",
        description="None: as it is. Factors: new voxels per old voxel along z, y, x. Voxel size: to a size in "
        "micrometres. Cell size: so that cells are as large as those the model was trained on.",
    )
    factors: tuple[float, float, float] | None = Field(
        None,
        title="Factors (z, y, x)",
        description="New voxels per old voxel; 0.25, 0.125, 0.125 keeps every 4th slice and every 8th row and column.",
        json_schema_extra={"unit": "", "decimals": 5, "ge": 0.01, "le": 16.0},
    )
    voxel_size_um: tuple[float, float, float] | None = Field(
        None,
        title="Target voxel size (z, y, x)",
        description="Edge lengths of the new voxels. Needs a stack whose own voxel size is known.",
        json_schema_extra={"unit": "µm", "decimals": 4, "ge": 0.001, "le": 1000.0},
    )
    cell_diameter: float | None = number(
        None,
        "Typical cell diameter",
        "Diameter of a ball with a typical cell's number of voxels, on the stack's own grid. Empty: estimated from "
        "the image.",
        ge=2.0,
        le=500.0,
        unit="voxels",
        decimals=1,
    )
    order: int = number(
        1,
        "Interpolation order",
        "1: linear, 2: quadratic, 3: cubic spline. Labels are never interpolated.",
        ge=1,
        le=3,
    )
    anti_alias: bool = Field(
        True,
        title="Smooth before shrinking",
        description="Blurs by half the shrinkage first, so thin membranes fade instead of breaking into dots.",
    )
    labels: Literal["nearest", "voting"] = Field(
        "nearest",
        title="How labels are rescaled",
        description="Nearest: the closest old voxel's cell. Voting: the cell that fills most of the new voxel.",
    )
    resnap: bool = Field(
        False,
        title="Move boundaries to the membranes",
        description="Where the cells of a segmentation return to a stack of finer voxels, their boundaries are moved "
        "to the membranes that only the stack shows, by no more than a coarse voxel. Takes minutes on large stacks.",
    )

    @model_validator(mode="after")
    def _target_is_stated(self) -> Rescale:
        for name, mode in (("factors", "factors"), ("voxel_size_um", "voxel_size")):
            if self.mode == mode and getattr(self, name) is None:
                raise ValueError(f"mode {mode!r} needs {name}")
        return self


Gate = Literal["auto", "threshold", "classifier", "off"]


def _gate_by_name(value: Any) -> Any:
    """Read what older recipes say; in YAML, ``off`` is false too."""
    return {True: "auto", False: "off"}[value] if isinstance(value, bool) else value


class Predict(Part):
    """Run the network over the stack, tile by tile."""

    device: Literal["auto", "cpu", "cuda", "mps", "xpu"] = Field(
        "auto",
        title="Device",
        description="Auto takes a graphics card of NVIDIA or Apple when there is one, else the processor. xpu is an "
        "Intel graphics chip, on which OpenVINO computes.",
    )
    backend: Literal["auto", "torch", "openvino"] = Field(
        "auto",
        title="Computed by",
        description="PyTorch (torch) computes on all devices but xpu, OpenVINO on processors and xpu. Auto takes "
        "OpenVINO where it is installed and no graphics card is there; PyTorch computes what OpenVINO does not know.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        title="Precision",
        description="bf16 halves memory and is several times faster where the device has it; auto measures that once "
        "per machine.",
    )
    tile: tuple[int, int, int] | None = Field(
        None,
        title="Tile (z, y, x)",
        description="Voxels per tile without its margin. Empty: from the free memory, so that least is computed twice.",
        json_schema_extra={"unit": "voxels", "decimals": 0, "ge": 8, "le": 2048},
    )
    halo: tuple[int, int, int] | None = Field(
        None,
        title="Margin around a tile (z, y, x)",
        description="Must cover the network's receptive field, else tiles show as seams. Empty: exactly that.",
        json_schema_extra={"unit": "voxels", "decimals": 0, "ge": 0, "le": 512},
    )
    memory_gb: float | None = number(
        None,
        "Memory",
        "The most that the network may take at once, and so the size of the tiles. Empty: a share of what is free.",
        ge=0.01,
        le=4096.0,
        unit="GB",
        decimals=2,
    )
    pass_voxels: int | None = number(
        None,
        "Largest pass",
        "Voxels that go through the network at once, margins included; wins over the memory. Two runs with the same "
        "number put the same tiles together, and so give the identical labels. Empty: from the memory.",
        ge=4096,
        le=2**31 - 1,
        unit="voxels",
    )
    flips: bool = Field(
        False,
        title="Average mirror images",
        description="The network sees every tile eight times, mirrored along each axis or not, and what it says is "
        "averaged: steadier probabilities for eight times the time.",
    )
    gate: Annotated[Gate, BeforeValidator(_gate_by_name)] = Field(
        "auto",
        title="Skip empty tiles",
        description="Tiles without any tissue are not sent through the network. Threshold: a place is empty where the "
        "brightness varies no more than noise does. Classifier: a small network says so, which knows membranes of "
        "cells 5 to 40 voxels across. Auto: where either says so. Off: all tiles are sent. Older recipes say true "
        "(auto) or false (off).",
    )
    gate_threshold: float = number(
        3.0,
        "Tissue threshold",
        "A place counts as empty when its brightness varies from spot to spot by less than this many times as much as "
        "in the quietest part of the stack (as variance, relative to the noise there). Lower is safer, higher skips "
        "more.",
        ge=1.0,
        le=20.0,
        decimals=1,
    )

"""Settings from probabilities to cells."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from napari_scutoid.recipe.part import Part, number

DIAMETERS = "typical cell diameters"
CELLS = "typical cells"


class Watershed(Part):
    """Turn foreground and boundary probabilities into cells or, before a partition, into parts of cells.

    Lengths are shares of the typical cell's diameter, which is measured in the boundaries themselves, so that the same
    settings serve cells of all sizes and voxels of all shapes.
    """

    method: Literal["watershed", "components"] = Field(
        "watershed",
        title="Method",
        description="Watershed: grow every seed until it meets a wall. Components: whatever the boundaries separate "
        "completely, as the seed project counted cells.",
    )
    backend: Literal["compiled", "bioimage-cpp", "scikit-image"] = Field(
        "compiled",
        title="Implementation",
        description="Compiled is the fastest; scikit-image is the reference. They differ in single voxels.",
    )
    foreground_threshold: float = number(
        0.5,
        "Foreground threshold",
        "Voxels with a lower foreground probability belong to no cell.",
        ge=0.0,
        le=1.0,
        decimals=3,
    )
    closing: float = number(
        0.5,
        "Tissue that closes a hole",
        "A space between walls of which at least this share is tissue is tissue throughout: dark middles of large "
        "cells are no lumen. 1 closes none.",
        ge=0.1,
        le=1.0,
        decimals=2,
    )
    boundary_threshold: float = number(
        0.5,
        "Boundary threshold",
        "Voxels with a higher boundary probability count as wall when seeds are placed. Lower closes gaps in weak "
        "membranes, but can lose thin cells.",
        ge=0.0,
        le=1.0,
        decimals=3,
    )
    smallest_wall: float = number(
        0.02,
        "Smallest piece of wall",
        "Walls are connected: smaller pieces, such as bright specks inside a cell, are overlooked when seeds are "
        "placed.",
        ge=0.0,
        le=10.0,
        unit=CELLS,
        decimals=4,
    )
    seeds: Literal["prominent", "h-maxima", "maxima"] = Field(
        "prominent",
        title="Seeds",
        description="Prominent: maxima of the distance to the wall that a waist divides. h-maxima: those that rise "
        "above all ways to a higher one by a height. Maxima: all, as in PlantSeg; for a partition to merge.",
    )
    seed_sigma: float = number(
        0.07,
        "Seed smoothing",
        "Gaussian smoothing of the distance to the nearest wall. Higher gives fewer seeds: fewer split cells, more "
        "merged ones.",
        ge=0.0,
        le=1.0,
        unit=DIAMETERS,
        decimals=3,
    )
    seed_distance: float = number(
        0.14,
        "Smallest distance from seed to wall",
        "Maxima closer to a wall than this become no cell of their own.",
        ge=0.0,
        le=1.0,
        unit=DIAMETERS,
        decimals=3,
    )
    seed_prominence: float = number(
        0.1,
        "Waist between two cells",
        "Two maxima are two cells only if the tissue between them is narrower by this share than the smaller one. "
        "Higher: fewer split cells, more merged ones. For prominent seeds.",
        ge=0.0,
        le=1.0,
        decimals=3,
    )
    seed_height: float = number(
        0.05,
        "Height of a seed",
        "How much nearer to a wall the way to a higher maximum must lead. For h-maxima.",
        ge=0.0,
        le=1.0,
        unit=DIAMETERS,
        decimals=3,
    )
    seed_threshold: float = number(
        0.5,
        "Threshold of predicted seeds",
        "Voxels above it are seeds, where the model predicts seeds; these replace all other ones.",
        ge=0.0,
        le=1.0,
        decimals=3,
    )


class Partition(Part):
    """Merge what no wall divides, and divide what cannot be one cell."""

    method: Literal["shape", "multicut", "gasp", "mutex", "none"] = Field(
        "shape",
        title="Method",
        description="Shape: walls and the shapes of cells decide together. Multicut, GASP (average linkage) and mutex "
        "watershed: walls alone, by graph partitioning; best after maxima as seeds. None: cells as they were flooded.",
    )
    beta: float = number(
        0.5,
        "Beta",
        "Wall probability that speaks neither for nor against merging, subtracted from 1: higher gives more, smaller "
        "cells. For multicut, GASP and mutex watershed.",
        ge=0.01,
        le=0.99,
        decimals=3,
    )
    weak_wall: float = number(
        0.2,
        "Weak wall",
        "Neighbours whose common wall has a lower mean probability are one cell, unless their shape speaks against "
        "it. For shape.",
        ge=0.0,
        le=1.0,
        decimals=3,
    )
    split_gain: float = number(
        0.1,
        "Gain in shape of a split",
        "A region is divided where no wall is seen only if its parts resemble ellipsoids, and each other in size, "
        "better than the whole does by this much (see docs/postprocessing.md). Higher: fewer splits. For shape.",
        ge=0.0,
        le=5.0,
        unit="nat",
        decimals=3,
    )


class Cleanup(Part):
    """Remove what is too small to be a cell."""

    min_size: float = number(
        0.03,
        "Smallest cell",
        "Smaller cells are given to their neighbours, or removed when they have none.",
        ge=0.0,
        le=100_000_000.0,
        unit="as chosen below",
        decimals=3,
    )
    min_size_unit: Literal["cells", "um3", "voxels"] = Field(
        "cells",
        title="Unit of the smallest cell",
        description="Typical cells, cubic micrometres, or voxels of the working grid.",
    )
    fill_holes: bool = Field(True, title="Fill holes", description="Fill holes that lie completely inside one cell.")
    relabel: bool = Field(True, title="Number consecutively", description="Number the cells 1, 2, 3, ... without gaps.")

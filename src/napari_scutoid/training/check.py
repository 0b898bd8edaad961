"""What a person should know about a stack before it trains a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_scutoid.progress import Progress

if TYPE_CHECKING:
    from napari_scutoid.progress import Steps
    from napari_scutoid.training.stacks import Material

FEW_CELLS = 10
"""Below, a stack teaches little, and its scores are coarse."""
SPECK = 1 / 50
"""Share of the median cell below which a label is rather a slip of the brush."""
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class StackReport:
    """Cells of a stack, and what is wrong with it.

    Parameters
    ----------
    n_cells : int
    problems : tuple of str
        What to look at, in words; the stack may be used all the same.
    unusable : str or None
        Why it cannot be used at all.
    """

    n_cells: int
    problems: tuple[str, ...] = ()
    unusable: str | None = None


def check_material(material: Material, *, ignore: int | None = None) -> Steps[StackReport]:
    """Count the cells of a stack, and look for what usually goes wrong when labels are made by hand.

    Parameters
    ----------
    material : Material
    ignore : int, optional
        Label of voxels of which nobody has said what they are.

    Yields
    ------
    Progress
    """
    import cc3d
    import fastremap

    from napari_scutoid.training.stacks import unknown_in

    image, labels = material.image, material.labels.data
    if image.shape != labels.shape:
        return StackReport(0, (), f"the image has shape {image.shape}, the labels {labels.shape}")
    yield Progress("Counting cells")
    unknown = unknown_in(labels, ignore)
    if unknown is not None:
        labels = np.where(unknown, np.uint32(0), labels)
    ids, voxels = fastremap.unique(labels, return_counts=True)
    ids, voxels = ids[ids > 0], voxels[ids > 0]
    if not ids.size:
        return StackReport(0, (), "the labels hold no cell")
    problems = []
    if ids.size == 1:
        problems.append("only one label: a mask of the tissue rather than cells?")
    elif ids.size < FEW_CELLS:
        problems.append(f"only {ids.size} cells")
    specks = ids[voxels < SPECK * np.median(voxels)].tolist()
    if specks:
        problems.append(f"{_few(specks)} below a fiftieth of the usual cell: slips of the brush?")
    yield Progress("Looking for cells in pieces")
    pieces = int(cc3d.connected_components(labels, connectivity=26, return_N=True)[1])
    if pieces > ids.size:
        number = pieces - ids.size
        problems.append(f"{number} loose piece{'' if number == 1 else 's'} apart from the rest of the cell")
    yield Progress("Looking at the image")
    middle = np.asarray(image.data[image.shape[0] // 2])
    if middle.min() == middle.max():
        problems.append("the middle slice of the image is empty")
    if image.voxel_size_um is None:
        problems.append("the voxel size is unknown: the z step will be estimated")
    return StackReport(int(ids.size), tuple(problems))


def _few(ids: list[int]) -> str:
    named = ", ".join(map(str, ids[:MOST_NAMED])) + (", …" if len(ids) > MOST_NAMED else "")
    return f"label {named} is" if len(ids) == 1 else f"{len(ids)} labels ({named}) are"

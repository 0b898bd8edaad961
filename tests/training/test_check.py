"""What is found wrong with stacks before they train."""

from __future__ import annotations

import numpy as np
import pytest

from napari_scutoid.progress import drain
from napari_scutoid.training.check import StackReport, check_material
from napari_scutoid.training.stacks import Material
from napari_scutoid.volume import UNKNOWN, Labels, Volume, VoxelSize

ONE = VoxelSize(1.0, 1.0, 1.0)


def cells() -> np.ndarray:
    """Return 18 cells of 4 x 6 x 6 voxels."""
    z, y, x = np.indices((8, 18, 18))
    return (1 + z // 4 * 9 + y // 6 * 3 + x // 6).astype(np.uint32)


def report(labels: np.ndarray, image: np.ndarray | None = None, *, size=ONE, **more) -> StackReport:
    shown = np.arange(labels.size).reshape(labels.shape) if image is None else image
    return drain(check_material(Material("one", Volume(shown, size), Labels(labels)), **more))


def test_a_good_stack_has_no_problem():
    assert report(cells()) == StackReport(18)


def test_what_cannot_be_used():
    assert report(cells() * 0).unusable == "the labels hold no cell"
    assert report(np.full((4, 4, 4), 7, np.uint32), ignore=7).unusable == "the labels hold no cell"
    assert report(np.full((4, 4, 4), UNKNOWN, np.uint32)).unusable == "the labels hold no cell"
    assert "(7, 18, 18)" in report(cells(), np.zeros((7, 18, 18))).unusable


def test_slips_of_the_brush_and_loose_pieces():
    labels = cells()
    labels[0, 0, 0] = 99
    labels[7, 17, 17] = 2
    found = report(labels)
    assert found.n_cells == 19 and found.unusable is None
    assert found.problems == (
        "label 99 is below a fiftieth of the usual cell: slips of the brush?",
        "1 loose piece apart from the rest of the cell",
    )


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (cells() > 0, "only one label: a mask of the tissue rather than cells?"),
        (np.minimum(cells(), 4), "only 4 cells"),
    ],
)
def test_too_few_labels(labels, told):
    assert report(labels.astype(np.uint32)).problems == (told,)


def test_an_image_that_shows_nothing():
    found = report(cells(), np.zeros((8, 18, 18)), size=None)
    assert found.problems == (
        "the middle slice of the image is empty",
        "the voxel size is unknown: the z step will be estimated",
    )

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid.steps.agglomerate import basins, merge_across_weak_walls


def valleys(*walls: float) -> np.ndarray:
    """Flat valleys of width 4 along x, with a wall of each height between them."""
    row = [0.0] * 4
    for wall in walls:
        row += [wall] + [0.0] * 4
    return np.broadcast_to(np.array(row, np.float32), (3, 3, len(row))).copy()


def test_walls_fall_in_order_of_their_contrast() -> None:
    image = valleys(1.0, 0.3, 2.0)
    partitions = list(merge_across_weak_walls(image, basins(image), (0.05, 0.5, 1.2, 3.0)))
    assert [partition.size.size for partition in partitions] == [4, 3, 2, 1]
    assert all(partition.size.sum() == image.size for partition in partitions)
    regions = partitions[1].region[basins(image)]
    assert regions[1, 1, 6] == regions[1, 1, 12]
    assert regions[1, 1, 1] != regions[1, 1, 6]


def test_a_gap_does_not_open_a_wall() -> None:
    image = np.zeros((9, 9, 11), np.float32)
    image[:, :, 5] = 1
    image[4, 4, 5] = 0.1
    basin = (np.arange(11) > 5).astype(np.intp) * np.ones((9, 9, 1), np.intp)
    (partition,) = merge_across_weak_walls(image, basin, (0.5,))
    assert partition.size.size == 2


def test_enclosure_counts_the_border_as_dark() -> None:
    image = np.ones((7, 7, 7), np.float32)
    image[2:5, 2:5, 2:5] = 0
    basin = np.zeros(image.shape, np.intp)
    basin[2:5, 2:5, 2:5] = 1
    (partition,) = merge_across_weak_walls(image, basin, (0.0,))
    assert partition.enclosure[1] == pytest.approx(1)
    assert partition.enclosure[0] < 0.1


@given(st.integers(0, 50))
@settings(deadline=None, max_examples=20)
def test_regions_are_nested_and_complete(seed: int) -> None:
    image = np.random.default_rng(seed).random((6, 7, 8), dtype=np.float32)
    basin = basins(image)
    n = int(basin.max()) + 1
    finer = np.arange(n)
    for partition in merge_across_weak_walls(image, basin, (0.05, 0.1, 0.2, 0.4, 2.0)):
        assert partition.region.shape == (n,)
        assert set(partition.region) == set(range(partition.size.size))
        np.testing.assert_array_equal(np.bincount(partition.region[basin].ravel()), partition.size)
        # Two basins once together stay together.
        assert len({(a, b) for a, b in zip(finer, partition.region, strict=True)}) == len(set(finer))
        finer = partition.region
    assert partition.size.size == 1

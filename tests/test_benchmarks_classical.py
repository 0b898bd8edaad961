"""The classical chain that benchmarks/quality.py prints beside a model finds what it can find."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from napari_scutoid.metrics import count_overlaps, match_cells

SPEC = importlib.util.spec_from_file_location(
    "benchmark_classical", Path(__file__).parents[1] / "benchmarks" / "classical.py"
)
classical_module = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(classical_module)


def walled(margin: int) -> tuple[np.ndarray, np.ndarray]:
    """Eight cubic cells of 16 voxels with bright walls, in a margin without tissue."""
    labels = np.pad(np.kron(np.arange(1, 9).reshape(2, 2, 2), np.ones((16, 16, 16), int)), margin)
    inside = np.pad(np.kron(np.ones((2, 2, 2), int), np.pad(np.ones((10, 10, 10), int), 3)), margin)
    return np.where(labels == 0, 40, np.where(inside, 60, 250)).astype(np.uint8), labels.astype(np.uint32)


@pytest.mark.parametrize("margin", [0, 8])
@pytest.mark.parametrize("setting", classical_module.ORACLE)
def test_clean_cells_are_found_in_the_true_foreground(margin: int, setting) -> None:
    image, truth = walled(margin)
    labels = classical_module.classical(image, setting, truth > 0)
    assert len(match_cells(count_overlaps(labels, truth))) == 8 == labels.max()
    np.testing.assert_array_equal(labels > 0, truth > 0)


def test_clean_cells_are_found_in_its_own_foreground() -> None:
    image, truth = walled(8)
    labels = classical_module.classical(image)
    assert len(match_cells(count_overlaps(labels, truth))) == 8 == labels.max()

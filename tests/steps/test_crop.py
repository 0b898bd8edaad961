from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_scutoid.progress import Progress, drain
from napari_scutoid.steps import crop as crop_module
from napari_scutoid.steps.crop import box_within, cropping, cropping_labels
from napari_scutoid.volume import Labels, Origin, Volume, VoxelSize

SIZE = VoxelSize(0.5, 0.2, 0.1)
BOX = (slice(2, 7), slice(1, 4), slice(3, 5))


class Lazy:
    """An array that remembers what was read."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.chunks = (2, *data.shape[1:])
        self.read: list[Any] = []

    def __getitem__(self, key: Any) -> Any:
        self.read.append(key)
        return self.data[key]


def test_a_box_of_lazy_data_is_read_by_its_chunks_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.arange(10 * 5 * 6, dtype=">u2").reshape(10, 5, 6)
    lazy = Lazy(data)
    monkeypatch.setattr(crop_module, "z_slabs", lambda it: (slice(z, z + 2) for z in range(0, it.shape[0], 2)))
    reports: list[Progress] = []
    part = drain(cropping(Volume(lazy, SIZE, Origin(1, 2, 3)), BOX), reports.append)
    np.testing.assert_array_equal(part.data, data[BOX])
    assert lazy.read == [(slice(z, min(z + 2, 7)), BOX[1], BOX[2]) for z in (2, 4, 6)]
    assert [report.done for report in reports] == [2, 4, 5]
    assert part.dtype == np.dtype("=u2")
    assert part.origin_um == pytest.approx((2.0, 2.2, 3.3))
    assert part.history == ("cropped to 2:7, 1:4, 3:5",)


def test_a_box_has_voxels_of_its_own() -> None:
    volume = Volume(np.zeros((3, 4, 5), np.uint8))
    part = drain(cropping(volume, (slice(None),) * 3))
    assert not np.shares_memory(part.data, volume.data)


def test_labels_and_their_lumen_are_cut_alike() -> None:
    ids = np.arange(10 * 5 * 6, dtype=np.uint32).reshape(10, 5, 6)
    labels = Labels(ids, SIZE, lumen=ids % 2 == 0)
    part = drain(cropping_labels(labels, BOX))
    np.testing.assert_array_equal(part.data, ids[BOX])
    np.testing.assert_array_equal(part.lumen, (ids % 2 == 0)[BOX])
    assert part.origin_um == pytest.approx((1.0, 0.2, 0.3))
    assert not np.shares_memory(part.data, ids)


def test_open_ends_are_resolved() -> None:
    assert box_within((4, 5, 6), (slice(None), slice(-2, None), slice(1, 99))) == (
        slice(0, 4),
        slice(3, 5),
        slice(1, 6),
    )

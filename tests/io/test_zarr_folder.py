"""After a failure nothing more is written into a folder of Zarr's."""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr.storage._local

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import save_result
from napari_scutoid.volume import Labels

if TYPE_CHECKING:
    from pathlib import Path


def test_a_full_disk_leaves_no_chunk_that_came_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, chunks = zarr.storage._local._put, []

    def put(path: Path, value: Any, **options: Any) -> int:
        if path.name.startswith("."):
            return int(real(path, value, **options))
        chunks.append(path)
        if len(chunks) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        time.sleep(0.2)
        return int(real(path, value, **options))

    monkeypatch.setattr(zarr.storage._local, "_put", put)
    with pytest.raises(ScutoidError, match="could not be written: No space left"):
        save_result(tmp_path / "a.zarr", Labels(np.ones((200, 300, 10), np.uint32)), {}, {})
    written = len(chunks)
    time.sleep(0.5)
    assert written == len(chunks) < 21
    assert list(tmp_path.iterdir()) == []

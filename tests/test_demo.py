"""The demo: what it leaves in its folder, that its scores are those of ``scutoid evaluate``, what stops it early."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_scutoid import cli, demo
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import open_labels
from napari_scutoid.pipeline import Result
from napari_scutoid.progress import Progress, drain
from napari_scutoid.resources import sample_data_dir
from napari_scutoid.volume import Labels, Volume

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[Volume]:
    """Stand for the pipeline: the true cells, one of them lost and all of them shifted by a slice."""
    seen = []

    def run(volume: Volume) -> Iterator[Progress]:
        seen.append(volume)
        yield Progress("Predicting", 1, 1)
        cells = np.roll(open_labels(volume.source.path, demo.TRUTH).data, 1, axis=0)
        cells[cells == 1] = 0
        half = Volume(np.full([n // 2 for n in volume.shape], 0.5, np.float32))
        facts = {"prediction": {"tiles": 8, "tiles_skipped": 3}, "warnings": []}
        return Result(Labels(cells, volume.voxel_size_um), {"boundary": half}, facts)

    monkeypatch.setattr("napari_scutoid.pipeline.run", run)
    return seen


def test_it_leaves_labels_scores_and_a_picture(
    tmp_path: Path, runs: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    made = drain(demo.run_demo(tmp_path / "out"))
    assert (made.tiles, made.tiles_skipped) == (8, 3)
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(
        file.name for file in made.files.values()
    )
    with Image.open(made.files["picture"]) as picture:
        assert picture.format == "PNG" and picture.width > 4 * runs[0].shape[2]
    assert json.loads(made.files["scores"].read_text()) == made.scores
    truth = sample_data_dir() / demo.SAMPLE
    with pytest.raises(SystemExit, match="0"):
        cli.main(["evaluate", str(made.files["labels"]), str(truth), "--json"])
    assert json.loads(capsys.readouterr().out) == made.scores


def test_a_folder_that_takes_no_files_is_told_before_the_work(tmp_path: Path, runs: list[Any]) -> None:
    (tmp_path / "gland.png").mkdir()
    with pytest.raises(ScutoidError, match=r"gland\.png could not be written"):
        drain(demo.run_demo(tmp_path))
    with pytest.raises(ScutoidError, match=r"could not be made: .*choose another with -o"):
        drain(demo.run_demo(sample_data_dir() / demo.SAMPLE / "out"))
    assert runs == []

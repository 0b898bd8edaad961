"""Settings as text, and the command that does without a window what was done in one."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid import cli
from napari_scutoid.batch import BatchJob, as_computed, batch_command, plan, run_batch, with_even_passes
from napari_scutoid.command_line import as_used, segment_command
from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.open import inspect, open_labels, open_volume
from napari_scutoid.pipeline import run
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.recipe.changes import as_changes, with_changes
from napari_scutoid.volume import Source
from told import scutoid

if TYPE_CHECKING:
    from pathlib import Path

TILE = st.none() | st.tuples(*(st.integers(8, 2048) for _ in range(3)))


@settings(max_examples=20)
@given(
    sigma=st.floats(0, 1),
    tile=TILE,
    gate=st.sampled_from(["auto", "threshold", "classifier", "off"]),
    holes=st.booleans(),
)
def test_settings_survive_being_written_as_text(sigma, tile, gate, holes):
    recipe = Recipe.model_validate(
        {
            "watershed": {"seed_sigma": sigma},
            "predict": {"tile": tile, "gate": gate},
            "cleanup": {"fill_holes": holes},
        }
    )
    again = with_changes(Recipe(), as_changes(recipe))
    assert again == recipe
    assert again.model_dump(exclude_unset=True) == recipe.model_dump(exclude_unset=True)


def test_a_change_wins_over_the_recipe_and_leaves_the_rest():
    recipe = Recipe.model_validate({"watershed": {"seed_sigma": 0.2, "seed_distance": 0.3}})
    changed = with_changes(recipe, ["watershed.seed_sigma=0.4", "watershed.seed_sigma = 0.5"])
    assert (changed.watershed.seed_sigma, changed.watershed.seed_distance) == (0.5, 0.3)
    assert as_changes(Recipe()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("watershed.seed_sigma=-1", "watershed.seed_sigma: .*greater than or equal to 0.*got -1"),
        ("watershed.sede_sigma=1", "watershed.sede_sigma: there is no setting of this name"),
        ("wotershed.seed_sigma=1", "wotershed: there is no setting of this name"),
        ("watershed=1", "not of the form part.name=value"),
        ("watershed.seed_sigma", "not of the form part.name=value"),
        ("version.number=1", "version: "),
        ("predict.tile=[16", "not a value as YAML writes it"),
    ],
)
def test_a_wrong_change_is_refused_in_the_recipes_words(change, told):
    with pytest.raises(ScutoidError, match=told):
        with_changes(Recipe(), [change])


def test_the_command_line_refuses_a_wrong_change(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["segment", "x.h5", "-o", str(tmp_path / "y.h5"), "--set", "watershed.seed_sigma=-1"])
    assert stopped.value.code == 2
    assert "watershed.seed_sigma: Input should be greater than or equal to 0" in capsys.readouterr().err


def test_words_that_a_shell_would_take_apart_are_quoted():
    recipe = Recipe.model_validate({"predict": {"tile": (16, 16, 16)}})
    command = segment_command(
        Source("/my stacks/a'b.h5", "t0/raw"), recipe, model="my model", voxel_size_um=(0.3, 1e-5, 0.1), channel=1
    )
    assert shlex.split(command) == [
        *("scutoid", "segment", "/my stacks/a'b.h5", "--dataset", "t0/raw"),
        *("--voxel-size", "0.3", "1e-05", "0.1", "--channel", "1", "--model", "my model"),
        *("--set", "predict.tile=[16, 16, 16]", "-o", "/my stacks/a'b_labels.h5"),
    ]


def a_stack(folder: Path, name: str = "my stack", shape: tuple[int, int, int] = (16, 44, 44)) -> Path:
    """Return a file with walls every 14 voxels."""
    grid = np.indices(shape)
    image = np.where((grid % 14 <= 1).any(axis=0), 200, 20) + np.random.default_rng(0).integers(0, 20, grid[0].shape)
    file = folder / f"{name}.h5"
    with h5py.File(file, "w") as out:
        out["raw"] = image.astype(np.uint8)
    return file


def test_the_copied_command_gives_the_identical_labels(tmp_path):
    file, output = a_stack(tmp_path), tmp_path / "again.h5"
    recipe = Recipe.model_validate({"rescale": {"mode": "none"}, "watershed": {"foreground_threshold": 0.3}})
    volume = open_volume(file, "raw", voxel_size_um=(0.5, 0.2, 0.2))
    result = drain(run(volume, recipe))
    assert volume.source is not None
    command = segment_command(
        volume.source,
        as_used(recipe, result.provenance["prediction"]),
        voxel_size_um=volume.voxel_size_um,
        output=output,
    )
    for word in ("predict.device=cpu", "predict.backend=openvino", "predict.precision=", "predict.pass_voxels="):
        assert word in command
    program, *arguments = shlex.split(command)
    assert program == "scutoid"
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert not stopped.value.code
    labels = open_labels(output, "label").data
    assert labels.any()
    np.testing.assert_array_equal(labels, result.labels.data)


def test_the_copied_command_of_a_batch_gives_the_identical_labels(tmp_path):
    stacks = (a_stack(tmp_path, "small", (16, 20, 30)), a_stack(tmp_path, "large", (16, 32, 76)))
    settings = {"rescale": {"mode": "none"}, "watershed": {"foreground_threshold": 0.3}, "predict": {"memory_gb": 0.01}}
    job = with_even_passes(BatchJob(Recipe.model_validate(settings), "builtin", "raw", voxel_size_um=(0.5, 0.2, 0.2)))
    there, again = tmp_path / "there", tmp_path / "again"
    rows = drain(run_batch(plan(stacks, there), job, there)).rows
    recipe, others = as_computed(Recipe.model_validate(settings), rows)
    assert others == () and recipe.predict.pass_voxels == rows[0].pass_voxels == rows[1].pass_voxels
    assert max(inspect(there / row.output).provenance["prediction"]["passes"] for row in rows) > 1
    # The stated size of a pass counts, whatever memory the shell leaves.
    command = batch_command(stacks, replace(job, recipe=recipe), again) + " --set predict.memory_gb=100"
    for word in ("predict.device=cpu", "predict.precision=", f"predict.pass_voxels={rows[0].pass_voxels}"):
        assert word in command
    assert scutoid(*shlex.split(command)[1:]) == 0
    for row in rows:
        labels = open_labels(again / row.output, "label").data
        assert labels.any()
        np.testing.assert_array_equal(labels, open_labels(there / row.output, "label").data)
    # What the command states is what the window would keep, and the other way round.
    for folder, stated in ((there, recipe), (again, job.recipe)):
        report = drain(run_batch(plan(stacks, folder), replace(job, recipe=stated), folder, resume=True))
        assert [(row.state, row.pass_voxels) for row in report.rows] == [("skipped", rows[0].pass_voxels)] * 2

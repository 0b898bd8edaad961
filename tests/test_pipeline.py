"""The whole way from a stack to labels, with the built-in model on small synthetic tissue."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from napari_scutoid.errors import ScutoidError
from napari_scutoid.io.lazy import LazyArray
from napari_scutoid.io.save import save_result
from napari_scutoid.metrics import adapted_rand_error, count_overlaps, evaluate
from napari_scutoid.network.checkpoint import load_model, save_model
from napari_scutoid.network.config import Architecture, ModelConfig, Output
from napari_scutoid.network.unet import build
from napari_scutoid.pipeline import (
    begin,
    label_bytes,
    predicted,
    relabel,
    relabel_on_disk,
    run,
    run_on_disk,
    settings_for,
)
from napari_scutoid.progress import Progress, drain
from napari_scutoid.recipe import Normalise, Recipe
from napari_scutoid.steps import cells_blocks
from napari_scutoid.steps.cell_table import cell_table
from napari_scutoid.synth.tissue import synthesise
from napari_scutoid.volume import Origin, Volume, VoxelSize

AS_IT_IS = Recipe.model_validate({"rescale": {"mode": "none"}, "predict": {"precision": "fp32"}})
HALVED = {"mode": "factors", "factors": (0.5, 0.5, 0.5)}


@pytest.fixture(scope="module")
def cyst():
    optics = {"apical": 1.0, "lumen_fill": 0.0, "photons": 60.0, "read_noise": 0.02, "blur": 0.5, "axial": 1.2}
    optics |= {"thickness": 0.5, "missing": 0.0, "saturation": 0.0, "cytoplasm": 0.05, "background": 0.02}
    optics |= {"nuclei": 1.0, "puncta": 0.0, "debris": 0, "attenuation": 0.8, "regrid": 0.0, "gamma": 1.0}
    plain = ("unequal_sizes", "irregular", "cell_height", "lumen_folds", "interpolation", "bleed_through", "scatter")
    return synthesise("cyst", (48, 64, 64), 4, cell_diameter=14, optics=optics, without=plain)


@pytest.fixture(scope="module")
def result(cyst):
    return drain(run(cyst.image, AS_IT_IS))


def test_finds_most_cells_of_a_clean_cyst(cyst, result):
    scores = evaluate(result.labels.data, cyst.labels.data)
    assert scores["ap50"] > 0.6
    assert scores["foreground_iou"] > 0.8


def test_labels_lie_on_the_stacks_own_grid(cyst, result):
    assert result.labels.shape == cyst.image.shape
    assert result.labels.voxel_size_um == cyst.image.voxel_size_um
    assert result.labels.origin_um == cyst.image.origin_um
    assert result.labels.data.dtype == np.uint32


def test_probabilities_are_named_and_bounded(result):
    assert set(result.probabilities) == {"foreground", "boundary"}
    for volume in result.probabilities.values():
        data = np.asarray(volume.data)
        assert 0 <= data.min() and data.max() <= 1


def test_provenance_is_json_and_names_what_was_used(cyst, result):
    told = json.loads(json.dumps(result.provenance))
    assert told["recipe"]["watershed"]["backend"] == "compiled"
    assert told["source"]["shape"] == list(cyst.image.shape)
    assert len(told["source"]["sha256"]) == 64
    assert len(told["model"]["weights_sha256"]) == 64
    assert told["prediction"]["precision"] == "fp32"
    assert told["prediction"]["tiles"] >= 1
    assert told["versions"]["numpy"] == np.__version__


def test_cells_that_the_border_cuts_are_flagged(result):
    labels, cells = result.labels.data, result.provenance["cells"]
    inner = np.zeros(labels.shape, bool)
    inner[1:-1, 1:-1, 1:-1] = True
    assert cells["n"] == np.unique(labels[labels > 0]).size
    assert cells["touch_border"] == np.setdiff1d(labels[~inner], 0).tolist()
    assert any(f"{cells['n']} cells, {len(cells['touch_border'])} of them cut" in fact for fact in result.facts)


def test_the_recipe_in_the_provenance_gives_the_same_labels(cyst, result):
    again = drain(run(cyst.image, Recipe.model_validate(result.provenance["recipe"])))
    np.testing.assert_array_equal(again.labels.data, result.labels.data)


def test_rescaled_run_comes_back_to_the_stacks_grid(cyst):
    fine = Volume(np.repeat(np.asarray(cyst.image.data), 2, axis=1)[:, :-1], VoxelSize(1.0, 0.5, 1.0), Origin(3, 2, 1))
    recipe = Recipe.model_validate({"rescale": {"mode": "factors", "factors": (1.0, 0.5, 1.0)}})
    found = drain(run(fine, recipe))
    assert found.labels.shape == fine.shape
    assert found.labels.origin_um == fine.origin_um
    foreground = found.probabilities["foreground"]
    assert foreground.shape == (48, 64, 64)
    assert foreground.voxel_size_um is not None
    assert foreground.voxel_size_um.y == pytest.approx(0.5 * 127 / 64)
    assert found.labels.data.max() > 5


def test_distortion_and_unknown_voxel_size_are_told(cyst):
    stack = Volume(np.asarray(cyst.image.data))
    recipe = Recipe.model_validate({"rescale": {"mode": "factors", "factors": (1.0, 0.25, 0.25)}})
    told = " ".join(drain(run(stack, recipe)).warnings)
    assert "proportions 4x" in told
    assert "voxel size is unknown" in told


def test_boundaries_of_a_coarse_run_are_moved_to_the_stacks_membranes(cyst):
    coarse = drain(run(cyst.image, Recipe.model_validate(AS_IT_IS.model_dump() | {"rescale": HALVED})))
    kept = coarse.kept
    moving = kept.recipe.rescale.model_copy(update={"resnap": True})
    steps = []
    moved = drain(relabel(replace(kept, recipe=kept.recipe.model_copy(update={"rescale": moving}))), steps.append)
    assert "Moving boundaries to the membranes" in {step.step for step in steps}
    assert moved.labels.shape == cyst.image.shape and moved.provenance["recipe"]["rescale"]["resnap"]
    assert set(np.unique(moved.labels.data)) == set(np.unique(coarse.labels.data))
    before, after = (evaluate(one.labels.data, cyst.labels.data)["boundary_f1"] for one in (coarse, moved))
    assert after > before


def test_what_is_large_is_kept_on_disk_and_gives_the_same_cells(cyst, monkeypatch, tmp_path):
    whole = drain(run(cyst.image, Recipe.model_validate({"rescale": HALVED})))
    monkeypatch.setattr(cells_blocks, "MOST_WHOLE", 1000)
    monkeypatch.setattr("napari_scutoid.io.scratch.scratch_dir", lambda: tmp_path)
    result = drain(run(cyst.image, Recipe.model_validate({"rescale": HALVED})))
    for name, volume in result.probabilities.items():
        assert isinstance(volume.data, LazyArray)
        assert volume.dtype == np.float16
        np.testing.assert_allclose(volume.data[:], whole.probabilities[name].data, atol=1e-3)
    assert adapted_rand_error(count_overlaps(result.labels.data + 1, whole.labels.data + 1)) < 0.01
    again = drain(relabel(result.kept, Recipe.model_validate({"watershed": {"method": "components"}})))
    assert again.labels.data.any()
    save_result(tmp_path / "labels.h5", result.labels, result.probabilities, result.provenance)
    with h5py.File(tmp_path / "labels.h5") as file:
        np.testing.assert_allclose(file["boundary"][:] / 255, whole.probabilities["boundary"].data, atol=4e-3)
    assert [file.name for file in tmp_path.iterdir()] == ["labels.h5"]


@pytest.fixture(scope="module")
def halved(cyst):
    return drain(predicted(cyst.image, Recipe.model_validate(AS_IT_IS.model_dump() | {"rescale": HALVED})))


@pytest.mark.parametrize("way", ["nearest", "voting", "resnap", "own grid"])
@pytest.mark.parametrize("most", [100_000, 10**9])
def test_labels_to_be_written_are_those_in_memory(halved, result, monkeypatch, tmp_path, way, most):
    monkeypatch.setattr(cells_blocks, "MOST_WHOLE", most)
    monkeypatch.setattr("napari_scutoid.io.scratch.scratch_dir", lambda: tmp_path / "scratch")
    kept = result.kept if way == "own grid" else halved
    update = {"resnap": way == "resnap", "labels": "voting" if way == "voting" else "nearest"}
    rescale = kept.recipe.rescale.model_copy(update=update)
    kept = replace(kept, recipe=kept.recipe.model_copy(update={"rescale": rescale}), labels=None)
    whole, made = drain(relabel(kept)), drain(relabel_on_disk(kept))
    assert isinstance(made.labels.data, LazyArray) == (most == 100_000)
    np.testing.assert_array_equal(np.asarray(made.labels.data), whole.labels.data)
    assert (made.provenance, made.facts, made.warnings) == (whole.provenance, whole.facts, whole.warnings)
    table = cell_table(whole.labels.data, whole.labels.voxel_size_um, whole.labels.origin_um).columns()
    for name, column in made.cells.columns().items():
        assert np.array_equal(column, table.pop(name)), name
    assert not table
    for one, file in ((whole, tmp_path / "whole.h5"), (made, tmp_path / "made.h5")):
        save_result(file, one.labels, {}, one.provenance)
    with h5py.File(tmp_path / "whole.h5") as first, h5py.File(tmp_path / "made.h5") as second:
        assert dict(first.attrs) == dict(second.attrs)
        assert first["label"].dtype == second["label"].dtype == np.uint8
        assert first["label"].chunks == second["label"].chunks
        np.testing.assert_array_equal(first["label"], second["label"])
        assert {key: np.asarray(value).tolist() for key, value in first["label"].attrs.items()} == {
            key: np.asarray(value).tolist() for key, value in second["label"].attrs.items()
        }


def test_room_for_labels_is_looked_for_before_the_network_runs(cyst, monkeypatch, tmp_path):
    monkeypatch.setattr(cells_blocks, "MOST_WHOLE", 1000)
    monkeypatch.setattr("napari_scutoid.io.scratch.scratch_dir", lambda: tmp_path)
    recipe = Recipe.model_validate({"rescale": HALVED})
    # Enough for the rescaled stack, but not for labels of the stack's grid, too.
    free = 2**20
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    assert label_bytes(cyst.image.shape) == 4 * 48 * 64 * 64 < free
    assert drain(begin(cyst.image, recipe, load_model("builtin")[1])).ready.volume.shape == (24, 32, 32)
    steps: list[Progress] = []
    with pytest.raises(ScutoidError, match="room for intermediate results"):
        drain(run_on_disk(cyst.image, recipe), steps.append)
    assert "Predicting" not in {step.step for step in steps}


@pytest.mark.parametrize("rescale", [{"mode": "none"}, HALVED, {"cell_diameter": 14.0}])
def test_an_unknown_z_step_is_estimated_however_the_stack_is_rescaled(cyst, rescale):
    flat = Volume(np.asarray(cyst.image.data)[::3])
    result = drain(run(flat, Recipe.model_validate({"rescale": rescale})))
    z, y, x = np.multiply(result.provenance["spacing"], result.provenance["working_shape"]) / flat.shape
    assert y == x == pytest.approx(1)
    assert z == pytest.approx(result.provenance["cell_size"]["anisotropy"])
    assert z == pytest.approx(3, rel=0.5)
    assert any(f"z step is taken to be {z:.2g} times" in warning for warning in result.warnings)


def test_a_grid_that_memory_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr("napari_scutoid.network.device.free_memory", lambda device: 2**29)
    recipe = Recipe.model_validate({"rescale": {"mode": "factors", "factors": (4.0, 4.0, 4.0)}})
    with pytest.raises(ScutoidError, match=r"384 x 512 x 512 voxels take about [\d.]+ GiB .*0\.5 GiB are free"):
        drain(run(Volume(np.zeros((96, 128, 128), np.uint8), VoxelSize(1, 1, 1)), recipe))


def test_progress_names_every_stage(cyst):
    reports = []
    drain(run(cyst.image, Recipe.model_validate(AS_IT_IS.model_dump() | {"rescale": HALVED})), reports.append)
    steps = list(dict.fromkeys(report.step for report in reports))
    assert steps[:3] == ["Loading the model", "Reading the stack", "Rescaling"]
    assert steps[3:6] == ["Measuring intensities", "Looking for tissue", "Predicting"]
    assert steps[-1] == "Rescaling the labels"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (np.full((16, 16, 16), 7, np.uint8), "contrast"),
        (np.full((16, 16, 16), np.nan, np.float32), "NaN"),
        (np.linspace(-3e38, 3e38, 4096, dtype=np.float32).reshape(16, 16, 16), "beyond"),
    ],
)
@pytest.mark.parametrize("rescale", [{"mode": "none"}, {"mode": "cell_size"}, HALVED])
def test_a_stack_without_an_image_in_it_is_refused(data, why, rescale):
    recipe = Recipe.model_validate({"rescale": rescale})
    with pytest.raises(ScutoidError, match=why):
        drain(run(Volume(data), recipe))


def test_a_given_diameter_needs_no_estimate(cyst):
    recipe = Recipe.model_validate({"rescale": {"cell_diameter": 14.0}})
    assert drain(run(cyst.image, recipe)).provenance["cell_size"] is None


def test_a_given_diameter_works_where_nothing_can_be_estimated():
    ramp = Volume(np.broadcast_to(np.arange(24, dtype=np.uint16), (16, 24, 24)))
    with pytest.raises(ScutoidError, match=r"enclosed.*rescale\.cell_diameter"):
        drain(run(ramp))
    result = drain(run(ramp, Recipe.model_validate({"rescale": {"cell_diameter": 12.0}})))
    assert result.labels.shape == ramp.shape
    assert any("z step could not be estimated" in warning for warning in result.warnings)


def test_rescaling_to_a_voxel_size_needs_one():
    recipe = Recipe.model_validate({"rescale": {"mode": "voxel_size", "voxel_size_um": (1.0, 1.0, 1.0)}})
    with pytest.raises(ScutoidError, match="--voxel-size"):
        drain(run(Volume(np.zeros((16, 16, 16), np.uint8)), recipe))


def test_an_unknown_model_is_refused():
    with pytest.raises(ScutoidError, match="model"):
        drain(run(Volume(np.zeros((16, 16, 16), np.uint8)), AS_IT_IS, "no-such-model"))


def test_a_model_that_predicts_something_else_is_refused_before_the_stack_is_read(tmp_path):
    class Untouched:
        shape, dtype = (16, 16, 16), np.dtype(np.uint8)

        def __getitem__(self, key):
            raise AssertionError("the stack was read")

    config = ModelConfig(name="lumen", architecture=Architecture(plan=((2, 2),)), outputs=(Output(name="lumen"),))
    save_model(tmp_path / "lumen", build(config.architecture, 1), config)
    with pytest.raises(ScutoidError, match="no output named foreground or boundary, only lumen"):
        drain(run(Volume(Untouched()), AS_IT_IS, tmp_path / "lumen"))


def test_without_a_foreground_the_whole_stack_is_divided_into_cells_and_the_user_is_told(tmp_path):
    both, config = load_model("builtin")
    state = both.state_dict()
    state |= {name: state[name][1:] for name in ("head.weight", "head.bias")}
    alone = build(config.architecture, 1)
    alone.load_state_dict(state)
    save_model(tmp_path / "walls", alone, config.model_copy(update={"outputs": (Output(name="boundary"),)}))
    packed = synthesise("packed", (32, 48, 48), 4, cell_diameter=14).image
    result = drain(run(packed, AS_IT_IS, tmp_path / "walls"))
    assert set(result.probabilities) == {"boundary"}
    assert any("no foreground" in warning for warning in result.warnings)
    assert (result.labels.data > 0).all()
    n, expected = (one.provenance["cells"]["n"] for one in (result, drain(run(packed, AS_IT_IS))))
    assert abs(n - expected) <= 0.2 * expected


def test_the_hash_does_not_depend_on_the_byte_order(cyst, result):
    data = np.asarray(cyst.image.data)
    swapped = Volume(data.astype(data.dtype.newbyteorder()), cyst.image.voxel_size_um)
    told = drain(run(swapped, AS_IT_IS)).provenance["source"]
    assert told["sha256"] == result.provenance["source"]["sha256"]


def test_what_the_user_set_wins_over_the_model_over_the_default():
    config = ModelConfig(
        name="m", normalise=Normalise(method="zscore"), recipe={"watershed": {"seed_sigma": 0.3, "seed_distance": 0.5}}
    )
    recipe = settings_for(Recipe.model_validate({"watershed": {"seed_sigma": 0.15}}), config)
    assert recipe.watershed.seed_sigma == 0.15
    assert recipe.watershed.seed_distance == 0.5
    assert recipe.watershed.foreground_threshold == Recipe().watershed.foreground_threshold
    assert recipe.normalise.method == "zscore"


def test_a_steps_fraction_stays_within_bounds():
    assert Progress("x").fraction == 0
    assert Progress("x", 3, 2).fraction == 1


def test_a_smallest_cell_in_micrometres_needs_a_voxel_size():
    recipe = Recipe.model_validate({"cleanup": {"min_size": 20.0, "min_size_unit": "um3"}})
    with pytest.raises(ScutoidError, match="voxel size of the stack is unknown"):
        drain(run(Volume(np.zeros((8, 8, 8), np.uint8)), recipe))


def test_labels_made_again_with_the_same_settings_are_the_same(result):
    again = drain(relabel(result.kept))
    np.testing.assert_array_equal(again.labels.data, result.labels.data)
    assert again.provenance == result.provenance
    assert again.labels.history == result.labels.history


def test_other_settings_give_what_a_whole_run_with_them_gives(cyst, result):
    other = {"partition": {"method": "none"}, "cleanup": {"min_size": 0.4}}
    again = drain(relabel(result.kept, Recipe.model_validate(other)))
    anew = drain(run(cyst.image, AS_IT_IS.over(other)))
    np.testing.assert_array_equal(again.labels.data, anew.labels.data)
    assert json.dumps(again.provenance) == json.dumps(anew.provenance)
    assert again.labels.data.max() != result.labels.data.max()
    assert again.kept.recipe.cleanup.min_size == 0.4
    # A setting that is taken back is the model's own again, not the one before.
    back = drain(relabel(again.kept, Recipe()))
    np.testing.assert_array_equal(back.labels.data, result.labels.data)


def test_labels_in_micrometres_are_not_made_again_without_a_voxel_size(result):
    kept = replace(result.kept, voxel_size_um=None)
    with pytest.raises(ScutoidError, match="voxel size of the stack is unknown"):
        drain(relabel(kept, Recipe.model_validate({"cleanup": {"min_size_unit": "um3"}})))

"""Model folders: round trips, replacement, and every way they can be wrong."""

import json
import os
import pickle
import shutil

import pytest
import torch

import napari_scutoid.models
from napari_scutoid.errors import ScutoidError
from napari_scutoid.network import checkpoint
from napari_scutoid.network.checkpoint import (
    find_model,
    list_models,
    load_model,
    may_become_a_model,
    read_config,
    save_model,
)
from napari_scutoid.network.config import Architecture, ModelConfig
from napari_scutoid.network.unet import build

CONFIG = ModelConfig(name="tiny", architecture=Architecture(plan=((2, 3), (3, 4))), scores={"ap50": 0.5})


@pytest.fixture
def module():
    torch.manual_seed(0)
    return build(CONFIG.architecture, 2)


@pytest.fixture
def folder(module, tmp_path):
    save_model(tmp_path / "tiny", module, CONFIG)
    return tmp_path / "tiny"


def edit_config(folder, **changes):
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | changes))


def test_round_trip_is_exact(module, tmp_path):
    saved = save_model(tmp_path / "m", module, CONFIG)
    loaded, config = load_model(tmp_path / "m")
    assert config == saved
    assert config.model_copy(update={"weights_sha256": ""}) == CONFIG
    assert not loaded.training
    for (name, before), (other, after) in zip(module.state_dict().items(), loaded.state_dict().items(), strict=True):
        assert name == other
        assert torch.equal(before, after)
    assert loaded(torch.zeros(1, 1, 4, 4, 4)).shape == (1, 2, 4, 4, 4)


def test_half_weights_load_as_float32_and_keep_what_does_not_fit(module, tmp_path):
    with torch.no_grad():
        module.head.bias[0] = 1e6
    save_model(tmp_path / "m", module, CONFIG, half=True)
    loaded, _ = load_model(tmp_path / "m")
    assert loaded.head.bias[0] == 1e6
    assert {tensor.dtype for tensor in loaded.parameters()} == {torch.float32}
    assert torch.allclose(loaded.head.weight, module.head.weight, rtol=1e-3)
    assert not torch.equal(loaded.head.weight, module.head.weight)


def test_saving_again_replaces_and_leaves_nothing_behind(folder, module, tmp_path):
    with torch.no_grad():
        module.head.bias.fill_(7.0)
    save_model(folder, module, CONFIG)
    assert load_model(folder)[0].head.bias.tolist() == [7.0, 7.0]
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.skipif(os.name == "nt", reason="files have no such mode there")
def test_others_on_a_shared_disk_may_read_a_model(module, tmp_path):
    before = os.umask(0o022)
    try:
        save_model(tmp_path / "tiny", module, CONFIG)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    assert modes == {"tiny": 0o755, "config.json": 0o644, "weights.safetensors": 0o644}


def test_an_unreachable_home_folder_hides_no_built_in_model(folder, monkeypatch):
    real = type(folder).glob

    def glob(path, pattern):
        if path == checkpoint.user_models():
            raise PermissionError(13, "Permission denied")
        return real(path, pattern)

    monkeypatch.setattr(type(folder), "glob", glob)
    monkeypatch.setattr(napari_scutoid.models, "__path__", [str(folder.parent)])
    assert list_models() == {"tiny": folder}


def test_the_built_in_model_is_small_and_predicts_what_cells_are_made_from():
    _, config = load_model("builtin")
    assert [output.name for output in config.outputs] == ["foreground", "boundary"]
    assert sum(file.stat().st_size for file in list_models()["builtin"].iterdir()) <= 8e6


def test_a_failing_write_keeps_the_old_model(folder, module, tmp_path, monkeypatch):
    real = checkpoint.os.replace

    def replace(source, target):
        if str(source).endswith(".part"):
            raise OSError("disk full")
        real(source, target)

    monkeypatch.setattr(checkpoint.os, "replace", replace)
    with pytest.raises(ScutoidError, match="disk full"):
        save_model(folder, module, CONFIG)
    load_model(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_a_training_run_stays_beside_its_models(module, tmp_path):
    folder = tmp_path / "tiny"
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "run.pt").write_bytes(b"hours")
    for bias in (1.0, 2.0):
        with torch.no_grad():
            module.head.bias.fill_(bias)
        save_model(folder, module, CONFIG)
        assert load_model(folder)[0].head.bias.tolist() == [bias, bias]
        assert (folder / "training" / "run.pt").read_bytes() == b"hours"
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize("renamings", [0, 1])
def test_a_run_that_is_killed_while_its_model_is_saved_can_go_on(module, tmp_path, monkeypatch, renamings):
    folder = tmp_path / "tiny"
    (folder / "training").mkdir(parents=True)
    done = []

    def replace(source, target, real=os.replace):
        if len(done) == renamings:
            raise KeyboardInterrupt
        done.append(real(source, target))

    monkeypatch.setattr(checkpoint.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        save_model(folder, module, CONFIG)
    monkeypatch.undo()
    assert (folder / "training").is_dir() and may_become_a_model(folder)
    save_model(folder, module, CONFIG)
    load_model(folder)


def test_a_folder_that_is_no_model_is_not_replaced(module, tmp_path):
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(ScutoidError, match="not a model folder"):
        save_model(tmp_path, module, CONFIG)
    assert (tmp_path / "thesis.docx").exists()


def test_missing_model_names_the_installed_ones(folder, monkeypatch):
    monkeypatch.setattr(napari_scutoid.models, "__path__", [str(folder.parent)])
    with pytest.raises(ScutoidError, match=r"'nope': .*tiny"):
        load_model("nope")
    assert find_model("tiny") == folder
    assert list_models()["tiny"] == folder


def test_a_users_model_is_found_by_name(folder):
    home = checkpoint.user_models() / "mine"
    shutil.copytree(folder, home)
    try:
        assert find_model("mine") == home
    finally:
        shutil.rmtree(home)


def test_flipped_byte_in_the_weights(folder):
    file = folder / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ScutoidError, match="SHA-256 differs"):
        load_model(folder)


@pytest.mark.parametrize("content", [b"", b"\x08\0\0\0\0\0\0\0nonsense", pickle.dumps({"state": 1})])
def test_weights_that_are_no_safetensors(folder, content):
    (folder / "weights.safetensors").write_bytes(content)
    edit_config(folder, weights_sha256=checkpoint.sha256(folder / "weights.safetensors"))
    with pytest.raises(ScutoidError, match="damaged"):
        load_model(folder)


def test_weights_of_another_network(folder, module):
    edit_config(folder, architecture={"plan": [[2, 3], [3, 5]]})
    with pytest.raises(ScutoidError, match=r"the network needs \[5, 3, 3, 3, 3\]"):
        load_model(folder)
    edit_config(folder, architecture={"plan": [[2, 3], [3, 4]], "norm": "none"})
    with pytest.raises(ScutoidError, match=r"its weights lack encoders\.0\.0\.conv\.bias"):
        load_model(folder)


def test_a_huge_architecture_allocates_nothing(folder):
    edit_config(folder, architecture={"plan": [[2048, 2048]] * 8})
    with pytest.raises(ScutoidError, match="the network needs"):
        load_model(folder)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "schema version None"),
        ('{"schema_version": 2}', "schema version 2, this program reads 1"),
        ('{"schema_version": 1, "name": "x", "evil": 1}', "evil"),
        ('{"schema_version": 1, "name": "x", "outputs": []}', "different names"),
        ('{"schema_version": 1, "name": "x", "inputs": ["a", "b"]}', "1 input channels, but 2"),
        ('{"schema_version": 1, "name": "x", "recipe": {"watershed": {"sigma": 1}}}', r"recipe, watershed\.sigma"),
        ('{"schema_version": 1, "name": "x", "anisotropy_range": [0, 4]}', "greater than 0"),
        ('{"schema_version": 1, "name": "x", "cell_diameter": Infinity}', "finite number"),
        ('{"schema_version": 1, "name": "x", "cell_diameter_range": [30, 9]}', "cell_diameter_range must rise"),
        (" " * (checkpoint.LARGEST_CONFIG + 1), "larger than 4 MB"),
    ],
)
def test_wrong_configs(folder, content, why):
    (folder / "config.json").write_text(content)
    with pytest.raises(ScutoidError, match=why):
        read_config(folder)


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_incomplete_folder(folder, name):
    (folder / name).unlink()
    with pytest.raises(ScutoidError, match=name):
        load_model(folder)

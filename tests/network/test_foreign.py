"""Checkpoints of other programs: what is read off them, and every way they can be wrong."""

from __future__ import annotations

import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.checkpoint import load_model, save_model
from napari_scutoid.network.config import EC_DC_LAYERS, Architecture, EcDc
from napari_scutoid.network.foreign import Told, read_foreign_model, read_state
from napari_scutoid.network.unet import activate, build

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

PLAN = ((2, 4), (4, 8), (8, 16), (16, 32))
SETTINGS: dict[str, Any] = {
    "model": {
        "name": "UNet3D",
        "in_channels": 1,
        "out_channels": 1,
        "layer_order": "gcr",
        "f_maps": 8,
        "num_groups": 8,
        "num_levels": 3,
        "final_sigmoid": True,
        "is_segmentation": True,
        "testing": True,
    },
    "loaders": {"train": {"transformer": {"raw": [{"name": "RandomFlip"}, {"name": "Standardize"}]}}},
}


@pytest.fixture
def theirs() -> ModuleType:
    return pytest.importorskip("pytorch3dunet.unet3d.model", reason="pip install --no-deps pytorch3dunet")


def changed(**model: Any) -> dict[str, Any]:
    return {**SETTINGS, "model": {**SETTINGS["model"], **model}}


def saved(folder: Path, state: Any, settings: Any = SETTINGS, **how: Any) -> Path:
    """Write a checkpoint as pytorch-3dunet does, with its settings beside it."""
    folder.mkdir(exist_ok=True)
    torch.save(state, folder / "best_checkpoint.pytorch", **how)
    (folder / "config_train.yml").write_text(settings if isinstance(settings, str) else yaml.safe_dump(settings))
    return folder / "best_checkpoint.pytorch"


def ours(settings: Any = SETTINGS) -> dict[str, torch.Tensor]:
    """Weights that fit the settings, made without the other program."""
    from napari_scutoid.network.foreign_settings import NetworkSettings

    model = NetworkSettings.model_validate(settings["model"])
    return build(model.architecture, model.out_channels).state_dict()


def ec_dc(layers: dict[str, str], n_outputs: int) -> torch.nn.Module:
    torch.manual_seed(3)
    return build(Architecture(name="ec_dc.UNet3D", plan=PLAN, options=EcDc(layers=layers)), n_outputs)


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS,
        changed(name="ResidualUNet3D", layer_order="cge", num_levels=4),
        changed(name="ResidualUNetSE3D", f_maps=[4, 8, 16], num_groups=2),
        changed(layer_order="bcr", out_channels=3, final_sigmoid=False, f_maps=[4, 8], conv_upscale=1),
        changed(in_channels=2, out_channels=2, upsample="deconv"),
    ],
    ids=["UNet3D", "residual", "SE", "batch norm", "deconv"],
)
def test_an_imported_model_computes_what_the_original_does(theirs, settings, tmp_path) -> None:
    """As pytorch-3dunet saves it, imported, saved and loaded again, against that package's own probabilities."""
    torch.manual_seed(0)
    original = theirs.get_model(settings["model"]).eval()
    for name, tensor in original.state_dict().items():
        if "running" in name:
            tensor.uniform_(0.5, 1.5)
    checkpoint = {
        "num_epochs": 3,
        "num_iterations": 100,
        "model_state_dict": original.state_dict(),
        "best_eval_score": np.float64(0.7),
        "optimizer_state_dict": torch.optim.Adam(original.parameters()).state_dict(),
    }
    file = saved(tmp_path / "theirs", checkpoint, settings)
    channels = settings["model"]["out_channels"]
    told = Told(outputs=[f"o{index}" for index in range(channels)])
    found = read_foreign_model(file, "theirs", told)
    save_model(tmp_path / "ours", found.module, found.config)
    module, config = load_model(tmp_path / "ours")
    x = torch.randn(1, settings["model"]["in_channels"], 16, 24, 16)
    with torch.no_grad():
        expected = original(x)
        assert expected.std() > 1e-4
        assert (activate(module(x), config.outputs) - expected).abs().max() <= 1e-5


def test_what_plantseg_and_its_settings_say_ends_up_in_the_card(tmp_path) -> None:
    found = read_foreign_model(saved(tmp_path / "ovules", ours()), "ovules", Told(licence="MIT"))
    assert [output.name for output in found.config.outputs] == ["boundary"]
    assert found.config.normalise.method == "zscore"
    assert found.config.recipe == {"rescale": {"mode": "none"}}
    assert found.config.licence == "MIT"
    assert any("--outputs" in note for note in found.notes)
    assert any("--cell-diameter" in note for note in found.notes)
    two = changed(out_channels=2)
    found = read_foreign_model(saved(tmp_path / "nuclei", ours(two), two), "n", Told(voxel_size_um=(1, 0.2, 0.2)))
    assert [output.name for output in found.config.outputs] == ["foreground", "boundary"]
    assert found.config.recipe["rescale"]["voxel_size_um"] == [1, 0.2, 0.2]
    found = read_foreign_model(saved(tmp_path / "sized", ours()), "sized", Told(cell_diameter=30.0))
    assert (found.config.cell_diameter, found.config.cell_diameter_range) == (30.0, (20.0, 45.0))
    assert found.config.recipe == {}


@pytest.mark.parametrize(
    ("raw", "method"),
    [
        ([{"name": "PercentileNormalizer", "pmin": 2, "pmax": 98}], ("percentile", 2.0, 98.0)),
        ([{"name": "Normalize", "norm01": True}], ("minmax", 1.0, 99.5)),
        ([{"name": "ToTensor"}], ("zscore", 1.0, 99.5)),
        ("nonsense", ("zscore", 1.0, 99.5)),
    ],
)
def test_normalisation_of_the_training_stacks(raw, method, tmp_path) -> None:
    settings = {**SETTINGS, "loaders": {"train": {"transformer": {"raw": raw}}}}
    normalise = read_foreign_model(saved(tmp_path / "m", ours(), settings), "m", Told()).config.normalise
    assert (normalise.method, normalise.low_percentile, normalise.high_percentile) == method


def test_an_unknown_normalisation_has_to_be_told(tmp_path) -> None:
    settings = {**SETTINGS, "loaders": {"train": {"transformer": {"raw": [{"name": "Normalize"}]}}}}
    file = saved(tmp_path / "m", ours(), settings)
    with pytest.raises(ScutoidError, match=r"not known here.*--normalise"):
        read_foreign_model(file, "m", Told())
    assert read_foreign_model(file, "m", Told(normalise="minmax")).config.normalise.method == "minmax"


@pytest.mark.parametrize(
    "state",
    [
        lambda weights: weights,
        lambda weights: {"state_dict": weights},
        lambda weights: {"model_state_dict": {f"module.{name}": tensor.half() for name, tensor in weights.items()}},
    ],
    ids=["alone", "state_dict", "several cards, half precision"],
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before torch 1.6"])
def test_ways_to_keep_weights(state, zipped, tmp_path) -> None:
    weights = ours()
    file = saved(tmp_path / "m", state(weights), _use_new_zipfile_serialization=zipped)
    loaded = read_foreign_model(file, "m", Told()).module.state_dict()
    assert loaded.keys() == weights.keys()
    assert all(torch.allclose(loaded[name], tensor, atol=1e-3) for name, tensor in weights.items())
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("layers", "n_outputs", "names"),
    [
        (lambda name: "cr" if name[0] == "e" else "tr", 2, ["background", "semantic"]),  # as published
        (lambda name: "C" if name == "dc0" else "Tr" if name in ("dc9", "dc6", "dc3") else "Cbr", 1, ["semantic"]),
        (lambda name: "T" if name in ("dc9", "dc6", "dc3", "dc0") else "crb", 2, ["background", "semantic"]),
    ],
    ids=["transposed", "batch norm", "norm last"],
)
def test_the_layers_of_an_ec_dc_network_are_read_off_its_weights(layers, n_outputs, names, tmp_path) -> None:
    words = {name: layers(name) for name in EC_DC_LAYERS}
    original = ec_dc(words, n_outputs).eval()
    checkpoint = {
        "epochs": 100,
        "best_model_state_dict": original.state_dict(),
        "model_state_dict": {name: tensor * 0 for name, tensor in original.state_dict().items()},
        "test_conf_matrix": np.eye(2),
        "test_miou": np.float32(0.5),
    }
    torch.save(checkpoint, tmp_path / "gland.pth")
    found = read_foreign_model(tmp_path / "gland.pth", "gland", Told())
    assert found.config.architecture.plan == PLAN
    assert found.config.architecture.options == EcDc(layers=words)
    assert [output.name for output in found.config.outputs] == names
    assert {output.activation for output in found.config.outputs} == {"sigmoid" if n_outputs == 1 else "softmax"}
    x = torch.randn(1, 1, 8, 8, 16)
    with torch.no_grad():
        assert torch.equal(found.module(x), original(x))


class Evil:
    """Would write a file where a checkpoint is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (str(self.file), "w"))


def test_code_in_a_checkpoint_never_runs(tmp_path) -> None:
    victim = tmp_path / "victim"
    file = saved(tmp_path / "m", {"model_state_dict": ours(), "evil": Evil(victim)})
    with pytest.raises(ScutoidError, match=r"code of the file would have to run \(.*open\).*state_dict"):
        read_state(file)
    file.write_bytes(pickle.dumps(Evil(victim)))
    with pytest.raises(ScutoidError):
        read_state(file)
    assert not victim.exists()


def test_claims_beyond_the_files_size_are_refused(tmp_path) -> None:
    file = tmp_path / "expanded.pt"
    torch.save({"final_conv.weight": torch.zeros(1).expand(10**10)}, file)
    with pytest.raises(ScutoidError, match="larger than the file"):
        read_state(file)
    torch.save({"final_conv.weight": torch.zeros(10**6)}, tmp_path / "whole.pt")
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in whole.namelist():
            packed.writestr(name, whole.read(name))
    with pytest.raises(ScutoidError, match="larger unpacked"):
        read_state(tmp_path / "packed.pt")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "no PyTorch checkpoint"),
        (b"PK\x03\x04 and no more", "no PyTorch checkpoint"),
        (pickle.dumps({"a": 1}), "no PyTorch checkpoint|no weights"),
    ],
)
def test_files_that_are_no_checkpoints(content, why, tmp_path) -> None:
    file = tmp_path / "m.pt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ScutoidError, match=why):
        read_state(file)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_off(cut, tmp_path) -> None:
    file = saved(tmp_path / "m", ours())
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * cut)])
    with pytest.raises(ScutoidError, match="no PyTorch checkpoint"):
        read_state(file)


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"epochs": 3}, "no weights under"),
        ({}, "no weights under"),
        ({"model_state_dict": {"a": 1}}, "no weights under"),
        ({"conv.weight": torch.zeros(1)}, r"its layers \(conv\.weight, \.\.\.\) are those of no network"),
        ({"ec0.0.weight": torch.zeros(2, 1, 3, 3, 3)}, "no convolution ec1"),
        ({f"{name}.weight": torch.zeros(2) for name in EC_DC_LAYERS}, "no convolution ec0"),
        ({f"{name}.weight": torch.zeros(5, 1, 1, 1, 1) for name in EC_DC_LAYERS}, "the network needs"),
        ({f"{name}.weight": torch.zeros(0, 0, 1, 1, 1) for name in EC_DC_LAYERS}, "greater than or equal to 1"),
        ({"final_conv.weight": torch.zeros(1)}, "its weights lack encoders"),
    ],
)
def test_checkpoints_of_something_else(state, why, tmp_path) -> None:
    with pytest.raises(ScutoidError, match=why):
        read_foreign_model(saved(tmp_path / "m", state), "m", Told())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (changed(name="UNet2D"), "'UNet2D' is none of UNet3D, .*single slices"),
        (changed(name="Net"), "'Net' is none of UNet3D"),
        (changed(is_segmentation=False), "no probabilities"),
        (changed(conv_padding=0), "conv_padding 0 is not supported"),
        (changed(upsample="trilinear"), "upsample 'trilinear'"),
        (changed(layer_order="rc"), "order"),
        (changed(num_groups=3), "cannot be built: .*divisible"),
        (changed(f_maps=9000), "f_maps"),
        (changed(f_maps=[]), "plan"),
        (changed(f_maps=16), r"shape \[4, .* the network needs \[8, "),
        (changed(num_levels=2), "which the network does not have|the network needs"),
        (changed(in_channels="many"), "in_channels"),
        ({"loaders": {}}, "cannot be imported"),
        ("model: [", "no valid YAML"),
        ("- 1", "holds no settings"),
        ("a: !!python/object/apply:os.getcwd []", "no valid YAML"),
        ("#" * (4 * 2**20 + 1), "larger than 4 MB"),
    ],
)
def test_settings_that_do_not_fit(settings, why, tmp_path) -> None:
    with pytest.raises(ScutoidError, match=why):
        read_foreign_model(saved(tmp_path / "m", ours(), settings), "m", Told())


def test_settings_are_looked_for_beside_the_checkpoint(tmp_path) -> None:
    file = saved(tmp_path / "m", ours())
    (tmp_path / "m" / "config_train.yml").rename(tmp_path / "elsewhere.yml")
    with pytest.raises(ScutoidError, match=r"not beside it.*--config"):
        read_foreign_model(file, "m", Told())
    read_foreign_model(file, "m", Told(), tmp_path / "elsewhere.yml")
    with pytest.raises(ScutoidError, match="No such file"):
        read_foreign_model(file, "m", Told(), tmp_path / "nowhere.yml")


@pytest.mark.parametrize(
    ("names", "why"),
    [(["a"], "1 outputs are named, but it has 3"), (["a", "b", "a/c"], "cannot be named"), (["a"] * 3, "different")],
)
def test_names_of_outputs(names, why, tmp_path) -> None:
    three = changed(out_channels=3)
    file = saved(tmp_path / "m", ours(three), three)
    with pytest.raises(ScutoidError, match=r"3 outputs, and nothing says what they are.*channel_0,channel_1"):
        read_foreign_model(file, "m", Told())
    with pytest.raises(ScutoidError, match=why):
        read_foreign_model(file, "m", Told(outputs=names))

"""Model folders: ``config.json`` beside ``weights.safetensors``. Nothing is ever unpickled.

torch is imported only where weights are read or written, so that listing models costs nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from platformdirs import user_data_path
from pydantic import ValidationError

import napari_scutoid.models
from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.config import ModelConfig
from napari_scutoid.recipe import validation_message

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_scutoid.network.blocks import Network

CONFIG = "config.json"
WEIGHTS = "weights.safetensors"
TRAINING = "training"
"""Folder inside a model's own that holds the run that made it: curves, stacks, and what resuming needs."""
LARGEST_CONFIG = 4 * 2**20
"""Bytes; a real one has a few thousand, and anything larger is not worth parsing."""


def save_model(folder: str | Path, module: nn.Module, config: ModelConfig, *, half: bool = False) -> ModelConfig:
    """Write a model folder; whoever loads it gets the old model or the new one, or is told that the two are mixed.

    Parameters
    ----------
    folder : path
        The model's folder. A model that is there already is replaced, a training run beside it stays; any other folder
        with content is refused.
    module : torch.nn.Module
        The network that ``config.architecture`` describes.
    config : ModelConfig
        What to write beside the weights; its ``weights_sha256`` is filled in.
    half : bool
        Store weights as float16 (half the file); values that float16 cannot hold stay float32.

    Returns
    -------
    ModelConfig
        As written.

    Raises
    ------
    ScutoidError
        When the folder holds something that is no model, or cannot be written.
    """
    from safetensors.torch import save

    target = Path(folder)
    if not may_become_a_model(target):
        raise ScutoidError(
            f"The model could not be saved as {target}",
            "that exists and is not a model folder",
            "choose another name",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise ScutoidError(f"The model could not be saved as {target}", str(error), "choose another folder") from error
    try:
        part.chmod(0o755)
        tensors = {name: _stored(tensor, half) for name, tensor in module.state_dict().items()}
        # safetensors' own `save_file` makes a file that only its owner may read, on a shared disk too.
        (part / WEIGHTS).write_bytes(save(tensors))
        saved = config.model_copy(update={"weights_sha256": sha256(part / WEIGHTS)})
        (part / CONFIG).write_text(saved.model_dump_json(indent=2) + "\n", encoding="utf-8")
        if (target / TRAINING).is_dir():
            # File by file: a program that is killed between two renamings must still find the run it can resume.
            for name in (CONFIG, WEIGHTS):
                os.replace(part / name, target / name)
        else:
            _swap(part, target)
    except OSError as error:
        raise ScutoidError(f"The model could not be saved as {target}", str(error), "choose another folder") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return saved


def may_become_a_model(folder: Path) -> bool:
    """Whether a folder is missing, empty, a model, or the beginning of a training run."""
    if not folder.exists() or (folder / CONFIG).is_file():
        return True
    return folder.is_dir() and {entry.name for entry in folder.iterdir()} <= {TRAINING}


def load_model(name_or_folder: str | Path) -> tuple[Network, ModelConfig]:
    """Read a model.

    Parameters
    ----------
    name_or_folder : str or path
        A name that `list_models` gives, such as ``"builtin"``, or a model folder.

    Returns
    -------
    module : Network
        On the CPU, in float32 and evaluation mode.
    config : ModelConfig

    Raises
    ------
    ScutoidError
        When there is no such model, or it is damaged, was changed, or comes from another version.
    """
    import torch
    from safetensors import SafetensorError, safe_open

    from napari_scutoid.network.unet import build

    folder = find_model(name_or_folder)
    config = read_config(folder)
    file = folder / WEIGHTS
    what = f"The model {folder} could not be loaded"
    if not file.is_file():
        raise ScutoidError(what, f"it has no {WEIGHTS}", "copy the whole folder again")
    if sha256(file) != config.weights_sha256:
        raise ScutoidError(
            what,
            f"{WEIGHTS} is not the file that {CONFIG} was written for (its SHA-256 differs)",
            "copy the whole folder again",
        )
    # On the meta device the network takes no memory, so sizes are compared before any is allocated.
    try:
        with torch.device("meta"):
            module = build(config.architecture, len(config.outputs))
    except ValueError as error:
        raise ScutoidError(what, f"its network cannot be built: {error}", "copy the whole folder again") from error
    expected = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
    try:
        with safe_open(file, framework="pt") as weights:
            found = {name: list(weights.get_slice(name).get_shape()) for name in weights.keys()}
            if found != expected:
                raise ScutoidError(what, difference(expected, found), "use the folder as it was exported")
            state = {name: weights.get_tensor(name) for name in expected}
    except (SafetensorError, OSError) as error:
        raise ScutoidError(what, f"{WEIGHTS} is damaged ({error})", "copy the whole folder again") from error
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    module.load_state_dict(state, assign=True)
    return module.eval(), config


def read_config(folder: str | Path) -> ModelConfig:
    """Read ``config.json`` of a model folder, without torch and without its weights.

    Raises
    ------
    ScutoidError
        When it is missing, damaged, or written by another version.
    """
    file = Path(folder) / CONFIG
    what = f"The model {folder} could not be loaded"
    again = "copy the whole folder again"
    try:
        if file.stat().st_size > LARGEST_CONFIG:
            raise ScutoidError(what, f"{CONFIG} is larger than {LARGEST_CONFIG // 2**20} MB", again)
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScutoidError(
            what, f"it has no readable {CONFIG} ({error.strerror or error})", "give the model's folder itself"
        ) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, or nested to break the parser
        raise ScutoidError(what, f"{CONFIG} is not valid JSON ({error})", again) from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    known = ModelConfig.model_fields["schema_version"].default
    if version != known:
        raise ScutoidError(
            what,
            f"{CONFIG} has schema version {version!r}, this program reads {known}",
            "update napari-scutoid, or export the model again",
        )
    try:
        return ModelConfig.model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise ScutoidError(what, f"{CONFIG} is not understood: {validation_message(error)}", again) from error


def find_model(name_or_folder: str | Path) -> Path:
    """Return the folder of a model given by name or as a folder.

    Raises
    ------
    ScutoidError
        When there is neither a model of that name nor such a folder.
    """
    models = list_models()
    if str(name_or_folder) in models:
        return models[str(name_or_folder)]
    folder = Path(name_or_folder).expanduser()
    if not folder.is_dir():
        raise ScutoidError(
            f"There is no model {str(name_or_folder)!r}",
            f"it is neither a folder nor one of the installed models ({', '.join(models) or 'none'})",
            "choose one of those, or give the path of a model folder",
        )
    return folder


def list_models() -> dict[str, Path]:
    """Return the installed models, name -> folder: the package's own first, then the user's."""
    models: dict[str, Path] = {}
    for shelf in (Path(napari_scutoid.models.__path__[0]), user_models()):
        # On a cluster the home folder may be out of reach; the package's own models are there all the same.
        with contextlib.suppress(PermissionError):
            for file in sorted(shelf.glob(f"*/{CONFIG}")):
                if not file.parent.name.endswith(".part"):
                    models.setdefault(file.parent.name, file.parent)
    return models


def name_problem(name: str) -> str | None:
    """Return why a model of the user's cannot have a name, or None."""
    # A name is a folder of the user's: nothing that leaves it, hides it, or is a device on some system.
    if not re.fullmatch(r"[A-Za-z0-9]([\w.-]{0,98}\w)?", name, re.ASCII) or name.endswith(".part"):
        return "a name has letters, digits, - and _"
    return None


def user_models() -> Path:
    """Return the folder where models a user imports are kept; it need not exist."""
    return user_data_path("napari-scutoid", appauthor=False) / "models"


def sha256(file: str | Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with Path(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if half and tensor.is_floating_point():
        smaller = tensor.half()
        if bool(smaller.isfinite().all()):
            return smaller
    return tensor


def _swap(part: Path, target: Path) -> None:
    """Put the finished folder in the target's place; a model that was there survives a failure."""
    old = part.with_suffix(".old")
    if target.exists():
        os.replace(target, old)
    try:
        os.replace(part, target)
    except OSError:
        if old.exists():
            os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def difference(expected: dict[str, list[int]], found: dict[str, list[int]]) -> str:
    """Return in words the first difference between the weights that a network needs, name -> shape, and those found."""
    for name, shape in expected.items():
        if name not in found:
            return f"its weights lack {name}"
        if found[name] != shape:
            return f"its weights hold {name} with shape {found[name]}, the network needs {shape}"
    return f"its weights hold {sorted(set(found) - set(expected))[0]}, which the network does not have"

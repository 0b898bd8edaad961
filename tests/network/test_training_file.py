"""The file of a run: the fields others look for, and no harm from a full disk or a stranger's file."""

from __future__ import annotations

import os
import pickle
import sys

import pytest
import torch

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.training_file import NEEDED, add_test_scores, load_training, save_training
from napari_scutoid.progress import drain
from tiny_training import a_recipe, a_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    file = tmp_path_factory.mktemp("run") / "run.pt"
    drain(a_run(a_recipe(optimise={"epochs": 2}), file=file))
    return file.read_bytes()


@pytest.fixture
def file(finished, tmp_path):
    file = tmp_path / "run.pt"
    file.write_bytes(finished)
    return file


def test_other_programs_find_their_fields(file):
    content = torch.load(file, weights_only=True)
    assert set(NEEDED) <= set(content)
    assert content["epochs"] == 2
    assert len(content["train_losses"]) == 2 and content["valid_losses"] == []
    assert content["best_model_state_dict"].keys() == content["model_state_dict"].keys()
    assert content["test_conf_matrix"] is content["test_miou"] is None


def test_final_scores_are_added(file):
    before = load_training(file)
    add_test_scores(file, [[[5, 1], [2, 8]]], 0.7)
    after = load_training(file)
    assert after.keys() == before.keys()
    assert after["test_conf_matrix"] == [[[5, 1], [2, 8]]] and after["test_miou"] == 0.7
    assert after["train_losses"] == before["train_losses"]


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


def damaged(content: bytes, how: str) -> bytes:
    if how == "cut":
        return content[: len(content) // 2]
    return {"empty": b"", "text": b"years of work", "pickle": pickle.dumps({"epochs": Evil()})}[how]


@pytest.mark.parametrize("how", ["cut", "empty", "text", "pickle"])
def test_a_damaged_file_is_told_and_stays_as_it_is(file, how, monkeypatch):
    monkeypatch.chdir(file.parent)
    file.write_bytes(damaged(file.read_bytes(), how))
    before = file.read_bytes()
    with pytest.raises(ScutoidError, match=r"run\.pt could not be resumed: it is damaged"):
        load_training(file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epochs": 3, "model_state_dict": {}}, "another version"),
        ({"version": 99}, "another version"),
        ([1, 2], "another version"),
        ({"version": 1, "epochs": 3}, "it lacks best_model_state_dict"),
    ],
)
def test_a_file_of_another_program_is_told(tmp_path, content, words):
    torch.save(content, tmp_path / "run.pt")
    with pytest.raises(ScutoidError, match=words):
        load_training(tmp_path / "run.pt")


def test_no_file(tmp_path):
    with pytest.raises(ScutoidError, match=r"there is no such file.*without --resume"):
        load_training(tmp_path / "run.pt")


@pytest.mark.skipif(sys.platform == "win32", reason="sizes of files cannot be limited there")
def test_a_full_disk_leaves_the_old_file(file):
    import resource

    content, before = load_training(file), file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(ScutoidError, match="could not be"):
            save_training(file, content | {"epochs": 9})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_what_torch_says_of_a_full_disk_is_told(file, monkeypatch):
    def save(content, part):
        part.write_bytes(b"a part")
        raise RuntimeError("PytorchStreamWriter failed writing file data/3: file write failed\nand more")

    monkeypatch.setattr(torch, "save", save)
    before = file.read_bytes()
    with pytest.raises(ScutoidError, match=r"file write failed\. What to try: make room"):
        save_training(file, {})
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]

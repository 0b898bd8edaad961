"""Who trains and who validates, and stacks as a network sees them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_scutoid.errors import ScutoidError
from napari_scutoid.network.config import ModelConfig
from napari_scutoid.pipeline import settings_for
from napari_scutoid.progress import drain
from napari_scutoid.recipe import Recipe
from napari_scutoid.recipe.train import Split
from napari_scutoid.training.stacks import Material, Roles, split_stacks, training_stack, typical_diameter, write_roles
from napari_scutoid.volume import UNKNOWN, Labels, Volume, VoxelSize
from tiny_training import AS_IT_IS, a_material, a_stack

CONFIG = ModelConfig(name="tiny")
HALVED = Recipe.model_validate({"rescale": {"mode": "factors", "factors": (0.5, 0.5, 0.5)}})


@given(
    n=st.integers(2, 20),
    valid_share=st.integers(0, 45).map(lambda percent: percent / 100),
    test_share=st.integers(0, 40).map(lambda percent: percent / 100),
    seed=st.integers(0, 5),
)
def test_each_stack_has_one_role_whatever_their_order(n, valid_share, test_share, seed):
    names = [f"stack {number}" for number in range(n)]
    settings = Split(valid_share=valid_share, test_share=test_share, seed=seed)
    try:
        roles = split_stacks(names, settings)
    except ScutoidError as error:
        assert "nothing left to train with" in str(error)
        assert max(1, round(valid_share * n)) + round(test_share * n) >= n
        return
    assert sorted(roles.train + roles.valid + roles.test) == sorted(names)
    assert roles.train and len(roles.test) == round(test_share * n)
    assert len(roles.valid) == (max(1, round(valid_share * n)) if valid_share else 0)
    assert split_stacks(names[::-1], settings) == roles


def test_another_seed_gives_other_roles():
    names = [str(number) for number in range(10)]
    assert len({split_stacks(names, Split(seed=seed)).valid for seed in range(8)}) > 2


def test_named_validation_stacks_stay_and_none_is_drawn():
    roles = split_stacks(["a", "b"], Split(valid_share=0.5), valid=["y", "x"])
    assert roles == Roles(("a", "b"), ("x", "y"), ())


def test_named_test_stacks_stay_and_none_is_drawn():
    drawn = split_stacks(["a", "b", "c"], Split(valid_share=0.3, test_share=0.3), test=["x"])
    assert drawn.test == ("x",) and len(drawn.valid) == 1 and len(drawn.train) == 2


def test_a_single_stack_trains():
    assert split_stacks(["a"], Split()) == Roles(("a",), (), ())
    with pytest.raises(ScutoidError, match="of 0 stacks"):
        split_stacks([], Split())


def stack_of(material, recipe=AS_IT_IS, **more):
    return drain(training_stack(material, settings_for(recipe, CONFIG), CONFIG, **more))


def test_a_stack_is_normalised_as_a_whole_and_keeps_its_cells():
    material = a_material("one")
    stack = stack_of(material)
    assert stack.name == "one" and stack.known is None and tuple(stack.spacing) == material.image.voxel_size_um
    assert np.array_equal(stack.labels, material.labels.data)
    assert stack.image.dtype == np.float16 and abs(stack.image).max() < 20
    order = np.argsort(material.image.data, axis=None)
    assert (np.diff(stack.image.ravel()[order].astype(float)) >= 0).all()


def test_a_stack_is_rescaled_with_its_labels():
    material = a_material("one")
    stack = stack_of(material, HALVED)
    assert stack.image.shape == stack.labels.shape == (8, 12, 12)
    assert set(np.unique(stack.labels)) <= set(np.unique(material.labels.data))
    assert np.mean(stack.labels == material.labels.data[::2, ::2, ::2]) > 0.7


@pytest.mark.parametrize(("mark", "ignore"), [(9999, 9999), (UNKNOWN, None), (UNKNOWN, 9999)])
def test_what_nobody_labelled_is_unknown(mark, ignore):
    material = a_material("one")
    labels = np.where(np.arange(24) < 8, np.uint32(mark), material.labels.data)
    partly = Material("partly", material.image, Labels(labels))
    stack = stack_of(partly, ignore=ignore)
    assert np.array_equal(stack.known, np.broadcast_to(np.arange(24) >= 8, stack.labels.shape))
    assert not stack.labels[..., :8].any() and mark not in stack.labels
    assert np.array_equal(stack.labels[..., 8:], material.labels.data[..., 8:])


def test_labels_that_cannot_be_learnt_from():
    material = a_material("one")
    empty = Material("empty", material.image, Labels(np.zeros(material.labels.shape, np.uint32)))
    with pytest.raises(ScutoidError, match="empty cannot be trained with: its labels hold no cell"):
        stack_of(empty)
    with pytest.raises(ScutoidError, match="hold no cell"):
        stack_of(Material("empty", material.image, Labels(np.full(material.labels.shape, 7, np.uint32))), ignore=7)
    other = Material("other", material.image, Labels(material.labels.data[1:]))
    with pytest.raises(ScutoidError, match=r"\(16, 24, 24\), the labels \(15, 24, 24\)"):
        stack_of(other)


def test_the_typical_diameter_is_a_balls():
    labels = np.zeros((6, 10, 30), np.uint32)
    labels[:, :, :10], labels[:5, 1:6, 10:15], labels[0, 0, 29] = 2**32 - 1, 2**31, 5
    volume = Volume(np.zeros(labels.shape), VoxelSize(1, 1, 1))
    one = Material("one", volume, Labels(labels))
    assert typical_diameter([one, one]) == pytest.approx((6 / np.pi * 63) ** (1 / 3))
    assert typical_diameter([one], ignore=5) is None
    assert typical_diameter([]) is None


def test_roles_are_recorded_and_must_stay(tmp_path):
    file = tmp_path / "training" / "stacks.json"
    roles = Roles(("a",), ("b",), ())
    stacks = {"a": a_stack(), "b": a_stack((4, 8, 6))}
    write_roles(file, roles, stacks, 3, resume=True)
    stated = json.loads(file.read_text())
    assert stated["cells"] == {"a": 18, "b": 2}
    assert (stated["seed"], stated["train"], stated["valid"], stated["test"]) == (3, ["a"], ["b"], [])
    write_roles(file, roles, stacks, 3, resume=True)
    before = file.read_bytes()
    with pytest.raises(ScutoidError, match="its stacks were others"):
        write_roles(file, Roles(("b",), ("a",), ()), stacks, 3, resume=True)
    assert file.read_bytes() == before
    write_roles(file, Roles(("b",), ("a",), ()), stacks, 3, resume=False)
    assert json.loads(file.read_text())["train"] == ["b"]


@pytest.mark.parametrize("content", ["", "[1]", '{"train": ["a"]}', "null"])
def test_a_damaged_record_cannot_be_resumed(tmp_path, content):
    file = tmp_path / "stacks.json"
    file.write_text(content)
    with pytest.raises(ScutoidError, match="start again without --resume"):
        write_roles(file, Roles(("a",), (), ()), {"a": a_stack()}, 0, resume=True)
    assert file.read_text() == content

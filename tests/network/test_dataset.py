"""Samples: the same whoever draws them, cut where cells are, silent about what nobody knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_scutoid.network.config import Output
from napari_scutoid.network.dataset import (
    BACKGROUND,
    Patch,
    Samples,
    TrainingStack,
    batches,
    draw_centre,
    make_targets,
    whole,
)
from napari_scutoid.network.loss_weights import separation_weights
from napari_scutoid.network.losses import make_loss
from napari_scutoid.recipe.train import TARGET_NAMES, UNBOUNDED_TARGETS
from tiny_training import OUTPUTS, UNCHANGED, a_recipe, a_stack

PATCH = (8, 8, 8)
PLAIN = a_recipe(augment=UNCHANGED)


def exactly_equal(one, other):
    return all(torch.equal(mine, its) for mine, its in zip(one, other, strict=True))


def partly_known(labels_there: int = 0) -> TrainingStack:
    stack = a_stack()
    known = np.ones(stack.labels.shape, bool)
    known[:, 9:, 5:] = False
    labels = np.where(known, stack.labels, np.uint32(labels_there))
    return TrainingStack.from_labels(stack.image, labels, known=known)


def located(labels: np.ndarray) -> TrainingStack:
    """Return a stack whose intensities say where a voxel lies."""
    image = np.arange(labels.size, dtype=np.float32).reshape(labels.shape)
    return TrainingStack("", image, labels.astype(np.uint32), None, (1.0, 1.0, 1.0), np.argwhere(labels))


def test_a_sample_is_the_same_in_any_order():
    recipe = a_recipe()
    samples, again = (Samples([a_stack(), a_stack((9, 12, 20))], OUTPUTS, recipe) for _ in range(2))
    forwards = [samples.batch([number], PATCH) for number in range(6)]
    backwards = [again.batch([number], PATCH) for number in reversed(range(6))][::-1]
    assert all(map(exactly_equal, forwards, backwards))
    together = again.batch(range(6), PATCH)
    assert exactly_equal(together, [torch.cat(column) for column in zip(*forwards, strict=True)])
    other = Samples(samples.stacks, OUTPUTS, recipe, seed=1)
    assert not exactly_equal(forwards[0], other.batch([0], PATCH))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_other_processes_draw_the_same_batches():
    recipe = a_recipe(sampling={"synthetic_share": 0.5})
    samples = Samples([a_stack()], OUTPUTS, recipe, lambda number: a_stack(name=str(number)))
    numbers = [[4, 5], [0, 9], [2, 3]]
    here, there = (list(batches(samples, numbers, PATCH, workers=workers)) for workers in (0, 2))
    assert len(here) == len(there) == 3
    assert all(map(exactly_equal, here, there))


@settings(max_examples=30)
@given(shape=st.tuples(*[st.integers(1, 12)] * 3), patch=st.tuples(*[st.integers(1, 10)] * 3), data=st.data())
def test_a_patch_lies_in_the_stack_and_holds_a_cell(shape, patch, data):
    labels = np.zeros(shape, np.uint32)
    cell = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    labels[cell] = 1
    stack = located(labels)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for cell_share in (0.0, 1.0):
        first = np.subtract(draw_centre(stack, patch, rng, cell_share=cell_share), np.floor_divide(patch, 2))
        for start, size, n in zip(first, patch, shape, strict=True):
            assert (0 <= start <= n - size) if size <= n else (start <= 0 and start + size >= n)
    assert np.all(first <= cell) and np.all(cell < first + patch)


def test_where_no_cell_is_patches_lie_anywhere():
    stack = located(np.zeros((4, 30, 30)))
    rng = np.random.default_rng(0)
    found = {draw_centre(stack, (4, 4, 4), rng, cell_share=1.0) for _ in range(50)}
    assert len(found) > 40


def test_only_known_cells_attract_patches():
    stack = partly_known(77)
    assert stack.labels.max() < 1000 and 77 not in stack.labels
    assert len(stack.anchors)
    assert all(stack.known[tuple(voxel)] and stack.labels[tuple(voxel)] for voxel in stack.anchors)


def test_whatever_lies_at_unlabelled_voxels_teaches_nothing():
    recipe = a_recipe(loss={"name": "falk"})
    samples, other = (Samples([partly_known(there)], OUTPUTS, recipe) for there in (0, 77))
    for number in range(8):
        assert exactly_equal(samples.batch([number], PATCH), other.batch([number], PATCH))


def test_unlabelled_voxels_have_no_part_in_the_loss():
    samples = Samples([partly_known()], OUTPUTS, PLAIN)
    batch = samples.batch(range(6), (8, 16, 16))
    assert 0 < batch.weight.mean() < 1
    loss = make_loss(PLAIN.loss, OUTPUTS)
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(batch.target.shape, generator=rng).requires_grad_()
    others = torch.randn(batch.target.shape, generator=rng)
    changed = torch.where(batch.weight == 0, others, logits)
    target = torch.where(batch.weight == 0, 1 - batch.target, batch.target)
    before, after = loss(logits, batch.target, batch.weight), loss(changed, target, batch.weight)
    assert before.item() == after.item()
    before.backward()
    assert not logits.grad[batch.weight == 0].any()
    assert logits.grad[batch.weight > 0].all()


def test_stacks_smaller_than_the_patch_are_padded_and_the_padding_is_masked():
    stacks = [a_stack((5, 6, 12), "small"), a_stack((20, 3, 9), "thin")]
    samples = Samples(stacks, OUTPUTS, PLAIN)
    batch = samples.batch(range(8), (8, 8, 16))
    assert batch.image.shape == (8, 1, 8, 8, 16) and batch.target.shape == batch.weight.shape == (8, 2, 8, 8, 16)
    inside = batch.weight[:, 0] > 0
    assert sorted({int(one.sum()) for one in inside}) == [8 * 3 * 9, 5 * 6 * 12]
    assert not batch.image[:, 0][~inside].any()
    assert not batch.target[:, 0][~inside].any()


def test_exclusive_targets_share_the_voxels():
    outputs = tuple(Output(name=name, activation="softmax") for name in (BACKGROUND, "foreground", "boundary"))
    labels = np.array([[[0, 0, 0, 5, 5, 5, 5, 9, 9, 9]]], np.uint32)
    known = np.ones(labels.shape, bool)
    known[..., 9] = False
    target, valid = make_targets(Patch(np.zeros(labels.shape, np.float32), labels, known), outputs, (1, 1, 1))
    assert target[:, 0, 0, :8].astype(int).tolist() == [
        [1, 1, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 1, 1, 0, 0, 1, 1],
    ]
    assert (target.sum(axis=0) == 1).all()
    assert valid.all(axis=(1, 2)).tolist() == [[True] * 8 + [False] * 2] * 3


@pytest.mark.parametrize("name", [name for name in TARGET_NAMES if name not in UNBOUNDED_TARGETS])
def test_a_patchs_targets_are_the_stacks_own(name):
    cells = np.arange(27).reshape(3, 3, 3)
    cells[1, 2, 1] = 0
    stack = located(cells.repeat(12, 0).repeat(12, 1).repeat(12, 2))
    stack = replace(stack, anchors=np.array([[18, 18, 18], [3, 34, 20]]))  # in the middle, and at the border
    outputs = (Output(name=name),)
    [right], [known] = make_targets(whole(stack), outputs, stack.spacing)
    samples = Samples([stack], outputs, a_recipe(augment=UNCHANGED, sampling={"cell_share": 1.0}))
    weights = []
    for number in range(12):
        image, [target], [weight] = samples.sample(number, PATCH)
        voxels = image.astype(int)
        taught = weight > 0
        np.testing.assert_allclose(target[taught], right.ravel()[voxels[0][taught]], atol=1e-6)
        assert known.ravel()[voxels[0][taught]].all()
        inner = np.unravel_index(voxels[0, 4, 4, 4], right.shape)
        if all(10 <= at < 26 for at in inner):  # whose stack goes on far enough
            weights.append(weight)
    assert len(weights) > 3
    if name in ("relative_distance", "seeds"):  # not of cells that go on outside what is seen
        assert np.mean(weights) > 0.2
    else:
        assert np.all(weights)


def test_weights_of_voxels_are_the_stacks_own():
    stack = located(np.pad(np.ones((12, 12, 12)), 8) + np.pad(np.ones((12, 12, 4)), ((8, 8), (8, 8), (16, 8))))
    recipe = a_recipe(augment=UNCHANGED, loss={"name": "falk", "separation_sigma": 1.0, "background_sigma": 1.0})
    right = separation_weights(stack.labels, recipe.loss, stack.spacing)
    samples = Samples([stack], OUTPUTS[:1], recipe)
    for number in range(4):
        image, _, weight = samples.sample(number, PATCH)
        np.testing.assert_allclose(weight, right.ravel()[image.astype(int)], rtol=1e-5)


def test_the_share_of_synthetic_samples():
    asked = []

    def make(number):
        asked.append(number)
        return TrainingStack.from_labels(np.full((8, 8, 8), 5.0), np.ones((8, 8, 8), int))

    recipe = a_recipe(sampling={"synthetic_share": 0.25}, augment=UNCHANGED)
    samples = Samples([a_stack()], OUTPUTS, recipe, make)
    synthetic = [bool((samples.sample(number, PATCH)[0] == 5).all()) for number in range(400)]
    assert 0.17 < np.mean(synthetic) < 0.33
    assert len(asked) == len(set(asked)) < sum(synthetic)
    only = Samples([], OUTPUTS, a_recipe(sampling={"synthetic_share": 1.0}, augment=UNCHANGED), make)
    assert (only.sample(0, PATCH)[0] == 5).all()


@pytest.mark.parametrize(("share", "stacks"), [(0.0, []), (0.5, []), (0.5, [a_stack()]), (1.0, [a_stack()])])
def test_nothing_to_draw_from(share, stacks):
    with pytest.raises(ValueError, match=f"{len(stacks)} stacks"):
        Samples(stacks, OUTPUTS, a_recipe(sampling={"synthetic_share": share}))


def test_arrays_that_do_not_fit_each_other():
    image, labels = np.zeros((2, 3, 4)), np.zeros((2, 3, 4), int)
    with pytest.raises(ValueError, match=r"\(2, 3, 4\), labels have \(2, 3, 5\)"):
        TrainingStack.from_labels(image, np.zeros((2, 3, 5), int))
    with pytest.raises(ValueError, match=r"both need \(z, y, x\)"):
        TrainingStack.from_labels(image[0], labels[0])
    with pytest.raises(ValueError, match=r"known has shape \(1, 3, 4\)"):
        TrainingStack.from_labels(image, labels, known=np.ones((1, 3, 4), bool))
    image[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        TrainingStack.from_labels(image, labels)

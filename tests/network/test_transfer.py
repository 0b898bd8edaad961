"""What a network takes over from a model, and what stays frozen."""

from __future__ import annotations

import pytest
import torch

from napari_scutoid.network.config import Architecture
from napari_scutoid.network.transfer import freeze_encoder, fresh, start_from
from napari_scutoid.progress import drain
from tiny_training import PLAN, a_network, a_recipe, a_run


def test_a_seed_decides_the_weights_and_nothing_else():
    before = torch.get_rng_state()
    one, same, other = (fresh(Architecture(plan=PLAN), 2, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    weights, again, others = (net.encoders[0][0].conv.weight for net in (one, same, other))
    assert torch.equal(weights, again) and not torch.equal(weights, others)


def test_what_fits_is_taken_over_and_all_is_told():
    old, module = a_network(n_outputs=3), fresh(Architecture(plan=PLAN), 2, 7)
    head = module.head.weight.clone()
    state = old.state_dict()
    state["extra.weight"] = torch.zeros(1)
    del state["bottleneck.0.conv.weight"]
    matching = start_from(module, state)
    assert matching.other_shape == ("head.weight", "head.bias")
    assert matching.new == ("bottleneck.0.conv.weight",)
    assert matching.unused == ("extra.weight",)
    assert set(matching.matched) == set(module.state_dict()) - {*matching.other_shape, *matching.new}
    for name in matching.matched:
        assert torch.equal(module.state_dict()[name], state[name])
    assert torch.equal(module.head.weight, head)
    total = len(module.state_dict())
    assert matching.words() == (
        f"{total - 3} of {total} weights start from the model; 2 differ in shape (head.weight, head.bias); "
        "1 are new (bottleneck.0.conv.weight); 1 are not used (extra.weight)"
    )


def test_outputs_of_the_same_name_keep_their_weights():
    old, module = a_network(n_outputs=2), fresh(Architecture(plan=PLAN), 3, 7)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    matching = start_from(module, old.state_dict(), ("seeds", "boundary", "foreground"), ("foreground", "boundary"))
    assert matching.by_output == ("head.weight", "head.bias") and matching.other_shape == ()
    for name in matching.by_output:
        new, kept = module.state_dict()[name], old.state_dict()[name]
        assert torch.equal(new, torch.stack([before[name][0], kept[1], kept[0]]))
    assert "2 start from it for outputs of the same name" in matching.words()


def test_many_names_are_cut_short():
    assert "are new (stem" not in start_from(a_network(), a_network().state_dict()).words()
    assert start_from(a_network(), {}).words().endswith(", ...)")


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_a_frozen_encoder_keeps_weights_and_statistics(norm):
    module = a_network(norm)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    trained = drain(a_run(a_recipe(), module=module, frozen=freeze_encoder(module)))
    for name, tensor in trained.module.state_dict().items():
        if name.startswith("encoders."):
            assert torch.equal(tensor, before[name]), name
        elif tensor.is_floating_point():
            assert not torch.equal(tensor, before[name]), name

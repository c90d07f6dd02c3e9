"""Muon beside AdamW: who takes what, what a step does, what it must not."""

import math
from dataclasses import replace

import pytest
import tiny
import torch
from safetensors.torch import load_file

from course_lib.model.gpt import GPT
from course_lib.recipes import find_recipe
from course_lib.training import checkpoint
from course_lib.training.checkpoint import load_checkpoint, save_checkpoint
from course_lib.training.optimizers import (
    Muon,
    make_optimizer,
    members,
    orthogonal,
)
from course_lib.training.step import train_step

STILL = replace(tiny.PRESET, model=replace(tiny.PRESET.model, dropout=0.0))
MODERN = find_recipe("modern").at(STILL)


def made(preset=MODERN, number_format="float32", seed=0):
    torch.manual_seed(seed)
    model = GPT(preset.model)
    return model, make_optimizer(model, preset, number_format)


def batch(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(300, (2, 4, 16), generator=draw)


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest():
    preset = replace(MODERN, model=replace(MODERN.model, tied=False))
    model, optimizer = made(preset)
    names = {p: name for name, p in model.named_parameters()}
    muon, adamw = ([names[p] for group in each.param_groups
                    for p in group["params"]] for each in members(optimizer))
    L = preset.model.n_layer
    assert len(muon) == 5 * L and all(".h." in name for name in muon)
    assert sorted([*muon, *adamw]) == sorted(names.values())
    decayed = {names[p] for group in optimizer.param_groups
               for p in group["params"] if group["weight_decay"]}
    assert decayed == {*muon, "lm_head.weight", "transformer.wte.weight"}


def test_singular_values_come_near_one():
    torch.manual_seed(0)
    for shape in ((3, 32, 96), (2, 64, 16), (1, 8, 8)):
        found = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert 0.6 < found.median() and found.max() < 1.3
    flat = orthogonal(torch.randn(2, 16, 40), kind=torch.bfloat16)
    assert flat.dtype == torch.float32
    assert torch.linalg.svdvals(flat).max() < 1.4


def test_it_is_torchs_own_muon_matrix_by_matrix():
    """Ours stacks them, and takes queries, keys and values apart."""
    torch.manual_seed(0)
    ours = {"c_fc.weight": torch.nn.Parameter(torch.randn(24, 12)),
            "c_proj.weight": torch.nn.Parameter(torch.randn(24, 12)),
            "c_attn.weight": torch.nn.Parameter(torch.randn(36, 12))}
    theirs = [torch.nn.Parameter(part.detach().clone())
              for name, p in ours.items()
              for part in (p.chunk(3) if "attn" in name else [p])]
    muon = Muon(ours, 1e-2, 0.1)
    other = torch.optim.Muon(theirs, lr=1e-2, weight_decay=0.1,
                             adjust_lr_fn="match_rms_adamw")
    before = torch.cat([p.detach().clone() for p in theirs])
    for step in range(3):
        torch.manual_seed(step)
        for p in ours.values():
            p.grad = torch.randn_like(p)
        slopes = [part for name, p in ours.items() for part in
                  (p.grad.chunk(3) if "attn" in name else [p.grad])]
        for p, slope in zip(theirs, slopes, strict=True):
            p.grad = slope.clone()
        muon.step(), other.step()
    one, two = (torch.cat([p.detach() for p in each])
                for each in (ours.values(), theirs))
    moved = (two - before).norm()
    # theirs iterates in bfloat16, ours here in float32
    assert (one - two).norm() < 0.02 * moved


def test_a_muon_step_moves_all_directions_alike():
    """However unlike the gradient's own are; and as far as AdamW would: 0.2
    in the mean square, times the rate."""
    model, optimizer = made(replace(MODERN, weight_decay=0.0))
    weight = model.transformer.h[0].mlp.c_fc.weight
    model.loss(*batch()).backward()
    slopes = torch.linalg.svdvals(weight.grad)
    before = weight.detach().clone()
    train_step(model, optimizer, batch(), 1e-2, 1.0)
    update = (weight - before).detach()
    lengths = torch.linalg.svdvals(update)
    assert slopes[0] / slopes[-2] > 4
    assert lengths[0] / lengths[-2] < 2.5
    assert update.square().mean().sqrt().item() == pytest.approx(
        0.2 * 1e-2, rel=0.3)


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_changes_nothing(poison):
    model, optimizer = made()
    train_step(model, optimizer, batch(), 1e-2, 1.0)

    def everything():
        return [t.clone() for t in [*model.parameters(), *(
            value for each in members(optimizer)
            for state in each.state.values() for key, value in state.items()
            if key != "step")]]

    def poisoned(ids, targets, last):
        return model.loss(ids, targets) * poison

    before = everything()
    train_step(model, optimizer, batch(1), 1e-2, 1.0, loss_of=poisoned)
    assert all(map(torch.equal, everything(), before))
    train_step(model, optimizer, batch(2), 1e-2, 1.0)
    after = everything()
    assert all(t.isfinite().all() for t in after)
    assert not torch.equal(after[0], before[0])


def test_a_grad_scaler_finds_its_way_through():
    """As for AdamW: scaled and unscaled it is the same step, and one that
    overflows is skipped and the scale halved."""
    (model, optimizer), (other, plain) = made(), made()
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    train_step(model, optimizer, batch(), 1e-2, 1.0, scaler=scaler)
    train_step(other, plain, batch(), 1e-2, 1.0)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    before, scale = model.head.detach().clone(), scaler.get_scale()
    train_step(model, optimizer, batch(), 1e-2, 1.0, scaler=scaler,
               loss_of=lambda *of, last: model.loss(*of) * math.inf)
    assert torch.equal(model.head, before) and scaler.get_scale() < scale


@pytest.mark.parametrize("preset", [MODERN, STILL], ids=["muon", "adamw"])
def test_all_of_the_state_comes_back_on_the_parameters_device(
        tmp_path, preset):
    """On a GPU the fused AdamW wants its count of steps there, too: a resume
    that left it on the CPU crashed at its first step. Parameters on the
    meta device show it without a GPU."""
    model, optimizer = made(preset)
    train_step(model, optimizer, batch(), 1e-2, 1.0)
    path = save_checkpoint(tmp_path, 1, model, optimizer, {})
    with torch.device("meta"):
        ghost = GPT(preset.model)
    empty = make_optimizer(ghost, preset)
    checkpoint._restore(empty, ghost,
                        load_file(path / "optimizer.safetensors"))
    restored = [value for each in members(empty)
                for state in each.state.values() for value in state.values()]
    assert len(restored) == sum(len(state) for each in members(optimizer)
                                for state in each.state.values())
    assert {value.device.type for value in restored} == {"meta"}
    fresh, again = made(preset, seed=5)
    load_checkpoint(path, fresh, again)
    for each in ((model, optimizer), (fresh, again)):
        train_step(*each, batch(3), 1e-2, 1.0)
    assert all(map(torch.equal, model.parameters(), fresh.parameters()))

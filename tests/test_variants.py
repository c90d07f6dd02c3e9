"""The variants of the GPT, each for what it claims; and Muon."""

import dataclasses
import math

import pytest
import torch
from torch.nn import functional as F

from course_lib.budget import count_parameters
from course_lib.model import GPT, GPTConfig, KVCache
from course_lib.sample import generate
from course_lib.train import train_step
from course_lib.variants import (
    MuonAdamW,
    SquaredMLP,
    Variant,
    VariantGPT,
    count_variant,
    rotate,
)

TINY = GPTConfig(97, 24, 3, 4, 32)
ALONE = [Variant(**{field.name: 2.0 if field.name == "soft_cap" else True})
         for field in dataclasses.fields(Variant)]
EVERY = Variant(rotary=True, qk_norm=True, relu_squared=True, zero_init=True,
                soft_cap=2.0, untied=True)
variants = pytest.mark.parametrize("variant", [*ALONE, EVERY], ids=str)


def make(variant, config=TINY, seed=0):
    torch.manual_seed(seed)
    return VariantGPT(config, variant)


def shaken(variant, config=TINY):
    """In double precision, with no weight left at zero."""
    model = make(variant, config).double().eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


def batch(rows=3, T=24, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(97, (2, rows, T), generator=draw)


def test_with_nothing_exchanged_it_is_the_gpt_to_the_bit():
    torch.manual_seed(0)
    gpt, (ids, targets) = GPT(TINY), batch()
    model = make(Variant())
    assert model.state_dict().keys() == gpt.state_dict().keys()
    assert torch.equal(model(ids), gpt(ids))
    ours, theirs = model.loss(ids, targets), gpt.loss(ids, targets)
    assert torch.equal(ours, theirs)
    ours.backward(), theirs.backward()
    for a, b in zip(model.parameters(), gpt.parameters(), strict=True):
        assert torch.equal(a.grad, b.grad)


@pytest.mark.parametrize("variant", [*ALONE[1:], EVERY], ids=str)
def test_common_weights_begin_alike(variant):
    plain, model = make(Variant()).state_dict(), make(variant).state_dict()
    for name in plain.keys() & model.keys():
        if not (variant.zero_init and "c_proj" in name):
            assert torch.equal(plain[name], model[name]), name


@variants
def test_the_number_of_parameters_has_a_closed_form(variant):
    counted = sum(p.numel() for p in make(variant).parameters())
    assert counted == count_variant(TINY, variant)


def test_each_part_has_the_parameters_it_should():
    gpt = count_parameters(TINY).total
    extra = {str(v): count_variant(TINY, v) - gpt for v in ALONE}
    assert extra == dict(torch_init=0, rotary=-24 * 32, qk_norm=3 * 2 * 8,
                         relu_squared=0, zero_init=0, soft_cap=0,
                         untied=97 * 32)


@variants
def test_no_position_sees_what_comes_after(variant):
    model, (ids, _) = shaken(variant), batch()
    changed = ids.clone()
    changed[:, 13:] = (changed[:, 13:] + 1) % 97
    a, b = model(ids), model(changed)
    assert torch.equal(a[:, :13], b[:, :13])
    assert (a[:, 13:] - b[:, 13:]).abs().amin(dim=(0, 2)).max() > 0
    assert (a[:, 13:] != b[:, 13:]).any(dim=2).all()


@variants
def test_the_loss_is_that_of_the_logits(variant, monkeypatch):
    monkeypatch.setattr("course_lib.model.LOSS_CHUNK", 7)
    model, (ids, targets) = shaken(variant), batch()
    targets[0, :5] = -100
    whole = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    loss = model.loss(ids, targets)
    assert loss.item() == pytest.approx(whole.item(), abs=1e-9)
    for a, b in zip(torch.autograd.grad(loss, list(model.parameters())),
                    torch.autograd.grad(whole, list(model.parameters())),
                    strict=True):
        assert (a - b).abs().max() < 1e-9


@variants
@pytest.mark.parametrize("muon", [False, True], ids=["adamw", "muon"])
def test_it_learns_a_batch_by_heart(variant, muon):
    model, data = make(variant).train(), batch(4)
    optimizer = (MuonAdamW(model, 1e-2) if muon else
                 torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True))
    losses = [train_step(model, optimizer, data, 1e-2, 1.0)[0].item()
              for _ in range(60)]
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0] - 1.5


@variants
def test_the_cache_changes_nothing(variant):
    model, (ids, _) = shaken(variant), batch()
    cache = KVCache(TINY, 3, dtype=torch.float64)
    parts = [model(ids[:, a:b], cache) for a, b in [(0, 9), (9, 10), (10, 24)]]
    assert (torch.cat(parts, 1) - model(ids)).abs().max() < 1e-10
    prompts = [[1, 2, 3], [4]]
    told = [generate(model, prompts, 12, 0, use_cache=use)
            for use in (True, False)]
    assert told[0] == told[1]


def test_a_rotated_product_depends_on_the_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)

    def product(i, j):
        a, b = (rotate(x, torch.tensor([[at]])) for x, at in ((q, i), (k, j)))
        return (a * b).sum().item()

    for i, j in ((5, 2), (9, 9), (30, 1)):
        assert product(i, j) == pytest.approx(product(i + 1000, j + 1000),
                                              abs=1e-9)
    assert abs(product(5, 2) - product(5, 3)) > 1e-3
    turned = rotate(q, torch.tensor([[77]]))
    assert turned.norm().item() == pytest.approx(q.norm().item(), abs=1e-12)
    assert torch.equal(rotate(q, torch.tensor([[0]])), q)


def test_shifted_text_reads_the_same_with_rotary_positions():
    """One layer attends to all before it, so only what follows the same
    start can be compared: here, a row of one repeated token."""
    model, ids = shaken(Variant(rotary=True)), torch.full((1, 24), 7)
    logits = model(ids)
    assert (logits - logits[:, :1]).abs().max() < 1e-10
    plain = shaken(Variant())(ids)
    assert (plain - plain[:, :1]).abs().max() > 1e-3


def test_scores_ignore_the_size_of_normed_queries_and_keys():
    for variant, same in ((Variant(qk_norm=True), True), (Variant(), False)):
        model, (ids, _) = shaken(variant), batch()
        before, C = model(ids), TINY.n_embd
        with torch.no_grad():
            for block in model.transformer.h:
                block.attn.c_attn.weight[:2 * C] *= 10
                block.attn.c_attn.bias[:2 * C] *= 10
        assert ((model(ids) - before).abs().max() < 1e-6) == same


def test_blocks_begin_as_the_identity():
    x = torch.randn(2, 24, 32)
    positions = torch.arange(24)[None]
    for variant, same in ((Variant(zero_init=True), True),
                          (Variant(), False)):
        for block in make(variant).transformer.h:
            assert torch.equal(block(x, None, 0, positions, None), x) == same


def test_the_squared_relu():
    mlp = SquaredMLP(TINY)
    with torch.no_grad():
        mlp.c_fc.weight.zero_(), mlp.c_fc.bias.copy_(
            torch.tensor([3.0, -3.0]).repeat(64))
        mlp.c_proj.weight.fill_(1.0), mlp.c_proj.bias.zero_()
    assert mlp(torch.zeros(1, 1, 32)).unique().tolist() == [9.0 * 64]


def test_no_logit_is_above_its_cap():
    model, (ids, _) = make(Variant(soft_cap=0.5)), batch()
    assert model(ids).abs().max() < 0.5
    assert make(Variant())(ids).abs().max() > 0.5


def test_an_untied_head_has_gradients_of_its_own():
    model, (ids, targets) = make(Variant(untied=True)), batch()
    model.loss(ids, targets).backward()
    wte = model.transformer.wte.weight
    assert wte.data_ptr() != model.head.data_ptr()
    unseen = torch.tensor([i for i in range(97) if i not in set(
        ids.flatten().tolist())])
    assert len(unseen) and (wte.grad[unseen] == 0).all()
    assert (model.head.grad[unseen] != 0).any()


def test_the_weights_of_2023_begin_as_pytorch_leaves_them():
    torch.manual_seed(0)
    state = VariantGPT(GPTConfig(512, 256, 1, 2, 128),
                       Variant(torch_init=True)).state_dict()
    assert state["transformer.wpe.weight"].std().item() == pytest.approx(
        1, abs=0.05)
    for name in ("transformer.wte.weight", "transformer.h.0.mlp.c_fc.weight"):
        assert state[name].abs().max().item() == pytest.approx(
            1 / math.sqrt(128), rel=0.01)
    assert state["transformer.h.0.mlp.c_fc.bias"].abs().max() > 0.05


@pytest.mark.parametrize("wrong, said", [
    (lambda: Variant(soft_cap=-1), "soft_cap must be 0"),
    (lambda: Variant(soft_cap=math.inf), "soft_cap must be 0"),
    (lambda: make(Variant(rotary=True), GPTConfig(97, 24, 1, 4, 12)),
     "must be even")])
def test_what_cannot_be_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()


def test_muon_takes_the_matrices_of_the_blocks_and_adamw_the_rest():
    model = make(EVERY)
    optimizer = MuonAdamW(model, 1e-3)
    names = {id(p): name for name, p in model.named_parameters()}
    muon = {names[id(p)] for group in optimizer.muon.param_groups
            for p in group["params"]}
    adamw = [names[id(p)] for group in optimizer.adamw.param_groups
             for p in group["params"]]
    assert len(muon) == 3 * 4 and all(".h." in name for name in muon)
    assert muon | set(adamw) == set(names.values())
    assert len(muon) + len(adamw) == len(names)
    decayed = [names[id(p)] for group in optimizer.adamw.param_groups
               for p in group["params"] if group["weight_decay"]]
    assert sorted(decayed) == ["lm_head.weight", "transformer.wte.weight"]


def test_a_muon_step_moves_all_directions_alike():
    """However unlike the gradient's own are; and as far as AdamW would: 0.2
    in the mean square, times the rate."""
    model, (ids, targets) = make(Variant()), batch()
    weight = model.transformer.h[0].mlp.c_fc.weight
    model.loss(ids, targets).backward()
    slopes = torch.linalg.svdvals(weight.grad)
    before = weight.detach().clone()
    train_step(model, MuonAdamW(model, 1e-2, 0.0), (ids, targets), 1e-2, 1.0)
    update = (weight - before).detach()
    lengths = torch.linalg.svdvals(update)
    assert slopes[0] / slopes[-2] > 10
    assert lengths[0] / lengths[-2] < 2
    assert update.square().mean().sqrt().item() == pytest.approx(
        0.2 * 1e-2, rel=0.3)


def test_a_gradient_that_is_no_number_updates_nothing():
    model, data = make(Variant()), batch()
    optimizer = MuonAdamW(model, 1e-2)
    before = [p.detach().clone() for p in model.parameters()]

    def poisoned(ids, targets, last):
        return model.loss(ids, targets) * math.nan

    train_step(model, optimizer, data, 1e-2, 1.0, loss_of=poisoned)
    for p, old in zip(model.parameters(), before, strict=True):
        assert torch.equal(p, old)

"""Each part that a GPTConfig can choose, for what it claims."""

import dataclasses
import math

import pytest
import torch
from torch.nn import functional as F

from course_lib.model.cache import KVCache
from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters
from course_lib.model.gpt import (
    GPT,
    MLP,
    RMSNorm,
    rotary_angles,
    rotate,
)
from course_lib.model.loss import chunked_cross_entropy
from course_lib.presets import Preset
from course_lib.sampling.generation import generate
from course_lib.sampling.quantization import quantize_int8
from course_lib.training.optimizers import make_optimizer
from course_lib.training.step import train_step

TINY = GPTConfig(97, 24, 3, 4, 32)
CHANGES = [dict(positions="rotary"), dict(norm="rms"), dict(mlp="swiglu"),
           dict(mlp="relu2"), dict(qk_norm=True), dict(tied=False),
           dict(bias=False), dict(n_inner=40), dict(first_weights="zero"),
           dict(first_weights="pytorch"),
           dict(positions="rotary", norm="rms", mlp="swiglu", qk_norm=True,
                tied=False, bias=False)]
parts = pytest.mark.parametrize("changes", CHANGES, ids=str)


def make(changes=(), config=TINY, seed=0):
    torch.manual_seed(seed)
    return GPT(dataclasses.replace(config, **dict(changes)))


def shaken(changes=(), config=TINY):
    """In double precision, with no weight left at zero."""
    model = make(changes, config).double().eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.2 * torch.randn_like(p))
    return model


def batch(rows=3, T=24, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(97, (2, rows, T), generator=draw)


@parts
def test_common_weights_begin_alike(changes):
    """So that a comparison of two recipes has the same luck on both sides."""
    plain, model = make().state_dict(), make(changes).state_dict()
    common = [name for name in plain.keys() & model.keys()
              if plain[name].shape == model[name].shape]
    assert len(common) > 8
    first = changes.get("first_weights", "gpt2")
    for name in common:
        if first != "pytorch" and not (first == "zero" and "c_proj" in name):
            assert torch.equal(plain[name], model[name]), name
    other = make(changes, seed=1).state_dict()
    assert not torch.equal(other["transformer.wte.weight"],
                           model["transformer.wte.weight"])


def test_two_models_in_a_row_differ():
    torch.manual_seed(0)
    one, two = GPT(TINY), GPT(TINY)
    assert not torch.equal(one.head, two.head)


@parts
def test_the_number_of_parameters_has_a_closed_form(changes):
    model = make(changes)
    counted = sum(p.numel() for p in model.parameters())
    assert counted == count_parameters(model.config).total


def test_each_part_has_the_parameters_it_should():
    gpt = count_parameters(TINY).total
    extra = [count_parameters(dataclasses.replace(TINY, **changes)).total
             - gpt for changes in CHANGES[:7]]
    inner = 88  # 8 * 32 / 3 is 85.3
    assert extra == [
        -24 * 32, -7 * 32, 3 * (3 * inner * 32 + 2 * inner
                                - 2 * 128 * 32 - 128),
        0, 3 * 2 * 8, 97 * 32, -(3 * 9 + 7) * 32]


def test_swiglu_has_about_the_parameters_of_the_gelu():
    for width in (64, 128, 256, 512, 768):
        config = GPTConfig(97, 24, 1, 2, width, bias=False)
        gated = dataclasses.replace(config, mlp="swiglu")
        assert count_parameters(gated).mlp == pytest.approx(
            count_parameters(config).mlp, rel=0.02)


@parts
def test_no_position_sees_what_comes_after(changes):
    model, (ids, _) = shaken(changes), batch()
    changed = ids.clone()
    changed[:, 13:] = (changed[:, 13:] + 1) % 97
    a, b = model(ids), model(changed)
    assert torch.equal(a[:, :13], b[:, :13])
    assert (a[:, 13:] != b[:, 13:]).any(dim=2).all()


@parts
def test_the_loss_is_that_of_the_logits(changes):
    model, (ids, targets) = shaken(changes), batch()
    targets[0, :5] = -100
    whole = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    loss = chunked_cross_entropy(model.hidden(ids).flatten(0, 1), model.head,
                                 targets.flatten(), 7)
    assert loss.item() == pytest.approx(whole.item(), abs=1e-9)
    for a, b in zip(torch.autograd.grad(loss, list(model.parameters())),
                    torch.autograd.grad(whole, list(model.parameters())),
                    strict=True):
        assert (a - b).abs().max() < 1e-9


@parts
@pytest.mark.parametrize("optimizer", ["adamw", "muon", "adamw-defaults"])
def test_it_learns_a_batch_by_heart(changes, optimizer):
    model, data = make(changes).train(), batch(4)
    preset = Preset("tiny", "stories", model.config, 10**4, 96, 1e-2, 0,
                    optimizer=optimizer)
    taught = make_optimizer(model, preset)
    losses = [train_step(model, taught, data, 1e-2, 1.0)[0].item()
              for _ in range(60)]
    assert all(math.isfinite(loss) for loss in losses)
    assert losses[-1] < losses[0] - 1.5


@parts
def test_the_cache_changes_nothing(changes):
    model, (ids, _) = shaken(changes), batch()
    cache = KVCache(TINY, 3, dtype=torch.float64)
    pieces = [model(ids[:, a:b], cache)
              for a, b in [(0, 9), (9, 10), (10, 24)]]
    assert (torch.cat(pieces, 1) - model(ids)).abs().max() < 1e-10
    prompts = [[1, 2, 3], [4], [*range(30)]]
    told = [generate(model, prompts, 40, 0, use_cache=use)
            for use in (True, False)]  # far past the context
    assert told[0] == told[1]


@parts
@torch.no_grad()
def test_it_can_be_quantized(changes):
    model = make(changes).eval()
    for p in model.parameters():
        if p.dim() == 2:
            p.mul_(5)
    (ids, targets), small = batch(), quantize_int8(model)
    assert not any(isinstance(m, torch.nn.Linear) for block in
                   small.transformer.h for m in block.modules())
    assert small.loss(ids, targets).item() == pytest.approx(
        model.loss(ids, targets).item(), abs=0.05)
    assert len(generate(small, [[1, 2]], 30, 0)[0]) == 30


def test_a_rotated_product_depends_on_the_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 16, dtype=torch.float64)

    def turn(x, at):
        return rotate(x, rotary_angles(torch.tensor([[at]]), 16, x.dtype))

    def product(i, j):
        return (turn(q, i) * turn(k, j)).sum().item()

    for i, j in ((5, 2), (9, 9), (30, 1)):
        assert product(i, j) == pytest.approx(product(i + 1000, j + 1000),
                                              abs=1e-9)
    assert abs(product(5, 2) - product(5, 3)) > 1e-3
    assert turn(q, 77).norm().item() == pytest.approx(q.norm().item(),
                                                      abs=1e-12)
    assert torch.equal(turn(q, 0), q)


def test_a_row_of_one_token_reads_the_same_with_rotary_positions():
    ids = torch.full((1, 24), 7)
    logits = shaken(dict(positions="rotary"))(ids)
    assert (logits - logits[:, :1]).abs().max() < 1e-10
    plain = shaken()(ids)
    assert (plain - plain[:, :1]).abs().max() > 1e-3


def test_scores_ignore_the_size_of_normed_queries_and_keys():
    for changes, same in ((dict(qk_norm=True), True), ({}, False)):
        model, (ids, _) = shaken(changes), batch()
        before, C = model(ids), TINY.n_embd
        with torch.no_grad():
            for block in model.transformer.h:
                block.attn.c_attn.weight[:2 * C] *= 10
                block.attn.c_attn.bias[:2 * C] *= 10
        assert ((model(ids) - before).abs().max() < 1e-5) == same


def test_an_rms_norm_leaves_the_mean_alone():
    norm, x = RMSNorm(32, eps=1e-6), torch.randn(5, 32) + 3
    wanted = x / x.square().mean(-1, keepdim=True).sqrt()
    torch.testing.assert_close(norm(x), wanted)
    low = norm(x.bfloat16())  # its sum is made in float32 all the same
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), wanted, rtol=1e-2, atol=1e-2)


def test_blocks_begin_as_the_identity():
    x = torch.randn(2, 24, 32)
    for changes, same in ((dict(first_weights="zero"), True), ({}, False)):
        for block in make(changes).transformer.h:
            assert torch.equal(block(x), x) == same


@pytest.mark.parametrize("kind, wanted", [
    ("relu2", 9.0), ("gelu", 2.996), ("swiglu", 3 * 5 / (1 + math.exp(-5)))])
def test_the_bend_of_an_mlp(kind, wanted):
    """An MLP of one inner channel that gets a 3, and at its gate a 5."""
    mlp = MLP(GPTConfig(97, 24, 1, 1, 1, n_inner=1, mlp=kind))
    with torch.no_grad():
        for p in mlp.parameters():
            p.zero_()
        mlp.c_fc.bias.fill_(3.0)
        if kind == "swiglu":
            mlp.c_gate.bias.fill_(5.0)
        mlp.c_proj.weight.fill_(1.0)
    assert mlp(torch.zeros(1, 1, 1)).item() == pytest.approx(wanted, abs=1e-3)


def test_an_untied_head_has_gradients_of_its_own():
    model, (ids, targets) = make(dict(tied=False)), batch()
    model.loss(ids, targets).backward()
    wte = model.transformer.wte.weight
    assert wte.data_ptr() != model.head.data_ptr()
    unseen = torch.tensor([i for i in range(97) if i not in set(
        ids.flatten().tolist())])
    assert len(unseen) and (wte.grad[unseen] == 0).all()
    assert (model.head.grad[unseen] != 0).any()


def test_the_weights_of_2023_begin_as_pytorch_leaves_them():
    state = make(dict(first_weights="pytorch"),
                 GPTConfig(512, 256, 1, 2, 128)).state_dict()
    assert state["transformer.wpe.weight"].std().item() == pytest.approx(
        1, abs=0.05)
    for name in ("transformer.wte.weight", "transformer.h.0.mlp.c_fc.weight"):
        assert state[name].abs().max().item() == pytest.approx(
            1 / math.sqrt(128), rel=0.01)
    assert state["transformer.h.0.mlp.c_fc.bias"].abs().max() > 0.05


@pytest.mark.parametrize("changes, said", [
    (dict(positions="alibi"), "positions 'alibi' is none of learned, rotary"),
    (dict(norm="batch"), "norm 'batch' is none of layer, rms"),
    (dict(mlp="relu"), "mlp 'relu' is none of gelu, swiglu, relu2"),
    (dict(first_weights="big"), "first_weights 'big' is none of"),
    (dict(n_inner=0), "n_inner must be a whole number of 1 or more, not 0"),
    (dict(positions="rotary", n_embd=12), "must be even")])
def test_what_cannot_be_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        dataclasses.replace(TINY, **changes)

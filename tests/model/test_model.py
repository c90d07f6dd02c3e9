"""The GPT against the original, and against itself the slow way."""

import dataclasses

import pytest
import torch
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

from course_lib.model.cache import KVCache
from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters
from course_lib.model.gpt import GPT
from course_lib.model.loss import (
    CHUNK,
    chunked_cross_entropy,
    linear_cross_entropy,
)
from course_lib.presets import PRESETS
from course_lib.sharing.gpt2_format import TRANSPOSED
from course_lib.sharing.hugging_face import from_hf

# V, T, L, H, C: wide and narrow heads, one head, no size a power of two
SHAPES = [(512, 64, 2, 2, 64), (97, 33, 3, 4, 36), (211, 48, 4, 12, 48),
          (61, 7, 1, 1, 10)]
LIMIT = {torch.float32: 1e-4, torch.float64: 1e-10}
TINY = GPTConfig(97, 24, 3, 4, 32)


def original(V, T, L, H, C, dtype=torch.float64):
    """A random GPT-2 of `transformers`, every matrix three times as large
    as at birth and no bias left at zero."""
    torch.manual_seed(V)
    hf = GPT2LMHeadModel(GPT2Config(
        vocab_size=V, n_positions=T, n_layer=L, n_head=H, n_embd=C,
        bos_token_id=0, eos_token_id=0))
    with torch.no_grad():
        for p in hf.parameters():
            p.mul_(3) if p.dim() > 1 else p.add_(0.1 * torch.randn_like(p))
    return hf.to(dtype).eval()


def ids_of(V, *shape, seed=0):
    return torch.randint(V, shape,
                         generator=torch.Generator().manual_seed(seed))


def random_model(config=TINY, scale=3.0):
    torch.manual_seed(0)
    model = GPT(config).double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(scale) if p.dim() > 1 else p.add_(
                0.1 * torch.randn_like(p))
    return model


@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@torch.no_grad()
def test_logits_are_gpt2s(shape, dtype):
    hf = original(*shape, dtype)
    ours = from_hf(hf).eval()
    V, context = shape[:2]
    for T in sorted({1, 3, context // 2 | 1, context - 1, context}):
        ids = ids_of(V, 3, T)
        logits = ours(ids)
        assert logits.shape == (3, T, V) and logits.dtype == dtype
        assert (logits - hf(ids).logits).abs().max() < LIMIT[dtype], T


@pytest.mark.parametrize("dtype", LIMIT)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_gradients_are_gpt2s(shape, dtype):
    hf = original(*shape, dtype)
    ours = from_hf(hf).eval()
    V, T = shape[:2]
    ids, targets = ids_of(V, 2, T), ids_of(V, 2, T, seed=1)
    loss = ours.loss(ids, targets)
    loss.backward()
    theirs = F.cross_entropy(hf(ids).logits.flatten(0, 1), targets.flatten())
    theirs.backward()
    assert abs(loss - theirs) < LIMIT[dtype]
    wanted = {name: p.grad for name, p in hf.named_parameters()}
    for name, p in ours.named_parameters():
        grad = wanted.pop(name)
        grad = grad.T if name.endswith(TRANSPOSED) else grad
        assert (p.grad - grad).abs().max() < LIMIT[dtype], name
    assert not wanted


@pytest.mark.parametrize("dtype", LIMIT)
@torch.no_grad()
def test_the_future_changes_no_bit_of_the_past(dtype):
    model = random_model().to(dtype)
    ids = ids_of(97, 2, 24)
    before = model(ids)
    for t in range(1, 24):
        changed = ids.clone()
        changed[:, t:] = (changed[:, t:] + 1 + t) % 97
        after = model(changed)
        assert torch.equal(before[:, :t], after[:, :t]), t
        assert not torch.equal(before[:, t], after[:, t])


def test_the_gradient_of_a_logit_stops_at_its_position():
    model = random_model()
    found = {}

    def keep(module, inputs, output):
        found["x"] = output.detach().requires_grad_()
        return found["x"]

    model.transformer.wte.register_forward_hook(keep)
    model(ids_of(97, 1, 9))[0, 4].sum().backward()
    reach = found["x"].grad[0].abs().sum(-1)
    assert (reach[:5] > 0).all() and (reach[5:] == 0).all()


@torch.no_grad()
def read_in_pieces(model, ids, lengths, pieces):
    """Logits of each row's last tokens: rows prefilled to `lengths`, the
    longest at once with padding, then `pieces` tokens at a time."""
    cache = KVCache(model.config, len(ids), dtype=model.head.dtype)
    padded = ids[:, :max(lengths)].clone()
    for row, length in enumerate(lengths):
        padded[row, length:] = 96  # filler that must leave no trace
    model(padded, cache)
    cache.lengths = list(lengths)
    out = []
    for size in pieces:
        places = torch.tensor(cache.lengths)[:, None] + torch.arange(size)
        out.append(model(ids.gather(1, places), cache))
    return torch.cat(out, dim=1)


@pytest.mark.parametrize("lengths", [(5, 5, 5), (3, 11, 7), (1, 2, 14)])
@pytest.mark.parametrize("pieces", [[1] * 10, [10], [4, 1, 3, 2]], ids=str)
def test_cache_equals_full_forward(lengths, pieces):
    model, ids = random_model(), ids_of(97, 3, 24)
    cached = read_in_pieces(model, ids, lengths, pieces)
    with torch.no_grad():
        full = model(ids)
    for row, length in enumerate(lengths):
        wanted = full[row, length:length + 10]
        assert (cached[row] - wanted).abs().max() < 1e-10


@torch.no_grad()
def test_cache_from_empty_to_the_last_slot():
    model, ids = random_model(), ids_of(97, 2, 24)
    cache = KVCache(TINY, 2, dtype=torch.float64)
    steps = [model(ids[:, t:t + 1], cache) for t in range(24)]
    assert (torch.cat(steps, 1) - model(ids)).abs().max() < 1e-10
    assert cache.lengths == [24, 24]
    with pytest.raises(ValueError, match="25 tokens do not fit a context of "
                                         "24"):
        model(ids[:, :1], cache)


def test_rows_longer_than_the_context_are_refused():
    with pytest.raises(ValueError, match="25 tokens do not fit"):
        random_model()(ids_of(97, 1, 25))


LOSSES = {"dispatched": linear_cross_entropy,
          "chunked": chunked_cross_entropy}


@pytest.mark.parametrize("how", LOSSES)
@pytest.mark.parametrize("chunk", [7, 16, 64, 1000])
@pytest.mark.parametrize("holes", ["none", "some", "a whole chunk"])
@pytest.mark.parametrize("dtype", LIMIT)
def test_loss_equals_plain_cross_entropy(how, chunk, holes, dtype):
    torch.manual_seed(0)
    x = torch.randn(50, 12, dtype=dtype, requires_grad=True)
    weight = torch.randn(31, 12, dtype=dtype, requires_grad=True)
    targets = ids_of(31, 50)
    if holes == "some":
        targets[::3] = -100
    elif holes == "a whole chunk":
        targets[:33] = -100
    plain = F.cross_entropy(x @ weight.T, targets)
    wanted = torch.autograd.grad(plain, (x, weight))
    loss = LOSSES[how](x, weight, targets, chunk)
    # weighted by a constant, as in gradient accumulation
    grads = torch.autograd.grad(0.25 * loss, (x, weight))
    limit = 1e-5 if dtype == torch.float32 else 1e-12
    assert loss.dtype == dtype and abs(loss - plain) < limit
    for grad, goal in zip(grads, wanted, strict=True):
        assert (4 * grad - goal).abs().max() < limit


def test_the_loss_of_more_rows_than_a_chunk(monkeypatch):
    monkeypatch.setattr("course_lib.model.loss.FEW", 0)
    model, ids = random_model(), ids_of(97, 70, 24)
    targets = ids_of(97, 70, 24, seed=1)
    targets[3, :9] = -100
    assert ids.numel() > CHUNK
    plain = F.cross_entropy(model(ids).flatten(0, 1), targets.flatten())
    assert abs(model.loss(ids, targets) - plain) < 1e-12


@pytest.mark.parametrize("field, value, says", [
    ("vocab_size", 0, "vocab_size must be a whole number of 1 or more, not "
                      "0"),
    ("context_length", -1, "context_length .* not -1"),
    ("n_layer", 2.0, "n_layer .* not 2.0"),
    ("n_layer", True, "n_layer .* not True"),
    ("n_embd", "64", "n_embd .* not '64'"),
    ("n_head", 3, "n_head=3 must divide n_embd=32"),
    ("dropout", 1.0, r"dropout must lie in \[0, 1\), not 1.0"),
    ("dropout", float("nan"), "dropout .* not nan"),
])
def test_bad_shapes_are_named(field, value, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(TINY, **{field: value})


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TINY.n_layer = 4


@pytest.mark.parametrize("config", [
    TINY, dataclasses.replace(TINY, bias=False), PRESETS["smoke"].model,
    PRESETS["laptop"].model, PRESETS["full"].model], ids=str)
def test_parameter_count(config):
    with torch.device("meta"):
        model = GPT(config)
    counted = sum(p.numel() for p in model.parameters())
    assert counted == count_parameters(config).total


def test_full_preset_has_51_237_888_parameters():
    assert count_parameters(PRESETS["full"].model).total == 51_237_888


def test_initialisation_is_gpt2s():
    torch.manual_seed(0)
    config = GPTConfig(2000, 500, 8, 4, 128)
    model = GPT(config)
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            assert not p.any(), name
        elif "ln_" in name:
            assert (p == 1).all(), name
        else:
            goal = 0.005 if name.endswith("c_proj.weight") else 0.02
            assert p.std().item() == pytest.approx(goal, rel=0.02), name
    # so a newborn knows nothing: close to log V nats on any text
    ids = ids_of(2000, 4, 100)
    loss = model.eval().loss(ids, ids_of(2000, 4, 100, seed=1)).item()
    assert loss == pytest.approx(7.60, abs=0.1)


def test_dropout_only_in_training():
    model = GPT(dataclasses.replace(TINY, dropout=0.5))
    ids = ids_of(97, 2, 8)
    assert not torch.equal(model(ids), model(ids))
    model.eval()
    assert torch.equal(model(ids), model(ids))

"""Parameters and FLOP, against the model itself."""

import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from course_lib.model.config import GPTConfig
from course_lib.model.cost import (
    count_parameters,
    flops_by_part,
    flops_per_token,
)
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset

FULL = load_preset("full").model
SHAPES = [GPTConfig(512, 64, 2, 2, 64), GPTConfig(320, 96, 3, 4, 32),
          GPTConfig(320, 96, 3, 4, 32, bias=False),
          GPTConfig(320, 96, 3, 4, 32, bias=False, positions="rotary",
                    norm="rms", mlp="swiglu", qk_norm=True),
          GPTConfig(320, 96, 3, 4, 32, tied=False, n_inner=48, mlp="relu2")]


def test_full_preset_to_the_unit():
    parts = count_parameters(FULL)
    assert parts.total == 51_237_888
    assert parts.token_embedding == 50_304 * 512
    assert parts.embedding == parts.token_embedding + 512 * 512


@pytest.mark.parametrize("config", SHAPES)
def test_closed_form_equals_the_model(config):
    model = GPT(config)
    parts = count_parameters(config)
    assert parts.total == sum(p.numel() for p in model.parameters())
    named = dict(model.named_parameters())
    for part, key in (("attention", ".attn."), ("mlp", ".mlp."),
                      ("norms", "ln_"), ("token_embedding", "wte"),
                      ("position_embedding", "wpe"), ("head", "lm_head")):
        counted = sum(p.numel() for name, p in named.items() if key in name
                      and "_norm." not in name)
        if part == "norms":
            counted += sum(p.numel() for name, p in named.items()
                           if "_norm." in name)
        assert getattr(parts, part) == counted, part


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("T", [16, 64])
def test_flops_equal_those_pytorch_counts(config, T):
    model, ids = GPT(config), torch.zeros(2, T, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as count:
        F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
    counted = count.get_total_flops() / ids.numel()
    assert flops_per_token(config, T) == pytest.approx(counted, rel=0.01)


def test_flops_of_the_full_preset():
    total = flops_per_token(FULL, 512)
    assert total == pytest.approx(331e6, rel=2e-3)
    parts = flops_by_part(FULL)
    assert sum(parts.values()) == total == flops_per_token(FULL)
    assert 0.45 < parts["head"] / total < 0.5
    for bad in (0, 513):
        with pytest.raises(ValueError, match=f"T={bad}"):
            flops_per_token(FULL, bad)

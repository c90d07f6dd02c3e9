"""Parameters, FLOPs and money, against the model itself where it can be."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from course_lib import budget
from course_lib.model import GPT, GPTConfig
from course_lib.presets import load_preset
from course_lib.scaling import PUBLISHED, bootstrap

FULL = load_preset("full").model
SHAPES = [GPTConfig(512, 64, 2, 2, 64), GPTConfig(320, 96, 3, 4, 32),
          GPTConfig(320, 96, 3, 4, 32, bias=False)]


def test_full_preset_to_the_unit():
    parts = budget.count_parameters(FULL)
    assert parts.total == 51_237_888
    assert parts.token_embedding == 50_304 * 512
    assert parts.embedding == parts.token_embedding + 512 * 512


@pytest.mark.parametrize("config", SHAPES)
def test_closed_form_equals_the_model(config):
    model = GPT(config)
    parts = budget.count_parameters(config)
    assert parts.total == sum(p.numel() for p in model.parameters())
    named = dict(model.named_parameters())
    for part, key in (("attention", ".attn."), ("mlp", ".mlp."),
                      ("norms", "ln_"), ("token_embedding", "wte"),
                      ("position_embedding", "wpe")):
        counted = sum(p.numel() for name, p in named.items() if key in name)
        assert getattr(parts, part) == counted, part


def test_any_object_with_the_fields_will_do():
    fields = dataclasses.asdict(SHAPES[0])
    assert budget.count_parameters(SimpleNamespace(**fields)) == \
        budget.count_parameters(SHAPES[0])


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("T", [16, 64])
def test_flops_equal_those_pytorch_counts(config, T):
    model, ids = GPT(config), torch.zeros(2, T, dtype=torch.long)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as count:
        F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()
    counted = count.get_total_flops() / ids.numel()
    assert budget.flops_per_token(config, T) == pytest.approx(counted,
                                                              rel=0.01)


def test_flops_of_the_full_preset():
    total = budget.flops_per_token(FULL, 512)
    assert total == pytest.approx(331e6, rel=2e-3)
    parts = budget.flops_by_part(FULL)
    assert sum(parts.values()) == total == budget.flops_per_token(FULL)
    assert 0.45 < parts["head"] / total < 0.5
    for bad in (0, 513):
        with pytest.raises(ValueError, match=f"T={bad}"):
            budget.flops_per_token(FULL, bad)


def test_every_gpu_is_complete():
    assert list(budget.GPUS) == ["T4", "V100", "L4", "A10", "RTX 4090",
                                 "A100", "H100", "H200"]
    for name, gpu in budget.GPUS.items():
        assert gpu.name == name and gpu.source and gpu.price_source
        assert gpu.price_source.rsplit(maxsplit=1)[1].startswith("202")
        assert ("bfloat16" in gpu.peak) == (gpu.capability >= (8, 0))
        assert gpu.peak["float32"] < gpu.peak["float16"]
        assert gpu.memory >= 16 * budget.GIB
    assert budget.GPUS["V100"].peak["float16"] == 125e12


@pytest.mark.parametrize("name, found", [
    ("v100", "V100"), ("rtx4090", "RTX 4090"), ("4090", "RTX 4090"),
    ("NVIDIA GeForce RTX 4090", "RTX 4090"), ("Tesla-T4", "T4"),
    ("NVIDIA A100-SXM4-80GB", "A100"), ("NVIDIA H100 80GB HBM3", "H100")])
def test_find_gpu(name, found):
    assert budget.find_gpu(name).name == found


@pytest.mark.parametrize("name", ["K80", "A10G", "L40S", "", "Intel Xeon"])
def test_unknown_gpu_lists_the_known(name):
    with pytest.raises(ValueError, match=f"{name!r}.*T4, V100.*H200"):
        budget.find_gpu(name)


def test_the_2023_run():
    """20 hours of a V100 at 16% of its peak: about 1.45e18 FLOP and $50."""
    assert budget.hours(1.45e18, "V100", 0.16) == pytest.approx(20, rel=0.01)
    assert budget.dollars(1.45e18, "V100", 0.16) == pytest.approx(50, rel=0.01)
    assert budget.mfu(1.45e18, 20 * 3600, "V100") == pytest.approx(0.16,
                                                                   rel=0.01)


def test_prices_can_be_overridden_and_precisions_chosen():
    cheap = dataclasses.replace(budget.GPUS["A100"], dollars_per_hour=1.0)
    assert budget.dollars(1e18, cheap, 0.5) == budget.hours(1e18, cheap, 0.5)
    assert budget.hours(1e18, cheap, 0.5, "float32") == pytest.approx(
        16 * budget.hours(1e18, cheap, 0.5))
    with pytest.raises(ValueError, match="V100 has no native bfloat16"):
        budget.hours(1e18, "V100", 0.5, "bfloat16")
    with pytest.raises(ValueError, match="dollars_per_hour"):
        dataclasses.replace(cheap, dollars_per_hour=0.0)


def test_plan_is_the_way_back_from_dollars():
    law = PUBLISHED["hoffmann_2022"]
    plan = budget.plan(50, "v100", 0.16, law)
    assert budget.dollars(plan.flop, "V100", 0.16) == pytest.approx(50)
    assert 6 * plan.N * plan.D == pytest.approx(plan.flop)
    assert plan.loss == pytest.approx(float(law.loss(plan.N, plan.D)))
    assert plan.intervals == {} and "refits" not in "".join(plan.lines())


def test_plan_by_default_has_intervals():
    plan = budget.plan(50, "v100", 0.16)
    for name in ("N", "D", "loss"):
        low, high = plan.intervals[name]
        assert low < getattr(plan, name) < high < 1.3 * low, name
    low, high = plan.intervals["N"]
    assert 6 * low * plan.intervals["D"][1] == pytest.approx(plan.flop)
    text = "\n".join(plan.lines())
    for word in ("16%", "assumed", "V100", "20.2 hours", "Google Cloud",
                 f"90% of refits: {budget.count(low)} to", "Hoffmann"):
        assert word in text


def test_plan_by_a_ladder_of_ones_own():
    """Any bootstrap will do, with its intervals."""
    law = PUBLISHED["besiroglu_2024"]
    draw = np.random.default_rng(0)
    N, D = np.exp(draw.uniform(np.log([[1e6], [2e7]]), np.log([[1e8], [2e9]]),
                               (2, 40)))
    fits = bootstrap(N, D, law.loss(N, D) * np.exp(draw.normal(0, 0.002, 40)),
                     resamples=100)
    plan = budget.plan(5, "T4", 0.3, fits)
    assert plan.N == pytest.approx(float(fits.fit.law.optimum(plan.flop)[0]))
    assert plan.intervals["N"] == pytest.approx(
        fits.optimum(plan.flop)[0])


@pytest.mark.parametrize("value, text", [
    (50.3e6, "50.3M"), (1.1e9, "1.1B"), (2e12, "2T"), (4_096, "4.1K"),
    (12, "12")])
def test_count(value, text):
    assert budget.count(value) == text


@pytest.mark.parametrize("bad", [dict(mfu=0), dict(mfu=1.5), dict(flop=-1),
                                 dict(flop=float("nan"))])
def test_bad_values_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        budget.hours(**(dict(flop=1e18, gpu="T4", mfu=0.4) | bad))
    with pytest.raises(ValueError, match="dollars must be above 0"):
        budget.plan(-5, "T4", 0.4, PUBLISHED["hoffmann_2022"])

"""Attention in blocks is attention."""

import pytest
import torch
from torch.nn import functional as F

from course_lib.model.attention import attend, attend_in_blocks
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset


def parts(T, dtype=torch.float64, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 3, T, 8, generator=draw, dtype=torch.float64)
            .to(dtype).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("T", [1, 2, 31, 32, 33, 64, 100])
def test_blocks_are_the_whole(T):
    """Values and gradients, with a last block of any size."""
    ours, theirs = parts(T), parts(T)
    y = attend_in_blocks(*ours, block=32)
    wanted = F.scaled_dot_product_attention(*theirs, is_causal=True)
    torch.testing.assert_close(y, wanted)
    y.square().sum().backward()
    wanted.square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad)


def test_bfloat16_on_a_cpu_takes_the_blocks_and_is_as_close():
    """To float64, within what PyTorch's kernel is off by."""
    T = 300
    exact = F.scaled_dot_product_attention(*parts(T), is_causal=True)
    low = parts(T, torch.bfloat16)
    ours, kernel = attend(*low), F.scaled_dot_product_attention(
        *low, is_causal=True)
    assert torch.equal(ours, attend_in_blocks(*low))
    assert not torch.equal(ours, kernel)
    off = [(y.double() - exact).abs().mean() for y in (ours, kernel)]
    assert off[0] < 1.5 * off[1]


def test_a_mask_and_a_single_query_are_left_to_the_kernel():
    q, k, v = parts(40, torch.bfloat16)
    mask = torch.rand(2, 1, 40, 40) > 0.3
    mask |= torch.eye(40, dtype=torch.bool)
    assert torch.equal(attend(q, k, v, mask, causal=False),
                       F.scaled_dot_product_attention(q, k, v, mask))
    one = q[:, :, -1:]
    assert torch.equal(attend(one, k, v, causal=False),
                       F.scaled_dot_product_attention(one, k, v))


def test_dropout_drops_as_often_as_asked():
    q, k, v = (torch.zeros(64, 1, 32, 32) for _ in range(3))
    v = torch.eye(32).expand_as(v)  # then what comes out are the weights
    torch.manual_seed(0)
    weights = attend_in_blocks(q, k, v, dropout=0.25)
    seen = weights[torch.ones(32, 32).tril().bool().expand_as(weights)]
    assert (seen == 0).double().mean() == pytest.approx(0.25, abs=0.01)
    assert weights.sum(-1).mean() == pytest.approx(1, abs=0.01)


def test_no_position_sees_a_later_one_in_bfloat16():
    torch.manual_seed(0)
    model = GPT(load_preset("smoke").model)
    ids = torch.randint(512, (1, 64))
    other = ids.clone()
    other[0, 40:] = torch.randint(512, (24,))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        a, b = model(ids), model(other)
    assert torch.equal(a[0, :40], b[0, :40])
    assert not torch.equal(a[0, 40:], b[0, 40:])

"""Eight-bit weights: what they cost, and what they leave as it was."""

import pytest
import torch
from torch.nn import functional as F

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sampling.generation import generate
from course_lib.sampling.quantization import Int8Linear, quantize_int8

CONFIG = GPTConfig(vocab_size=300, context_length=16, n_layer=2, n_head=2,
                   n_embd=32, dropout=0.5)
PROMPTS = [[1], [2, 3, 4], list(range(40))]


@pytest.fixture
def model():
    torch.manual_seed(0)
    made = GPT(CONFIG)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return made.eval()


@pytest.mark.parametrize("rows", [1, 2, 16, 300])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (64, 32), (513, 100)])
def test_a_layer_is_nearly_the_layer(rows, shape):
    torch.manual_seed(0)
    weight, bias = torch.randn(shape), torch.randn(shape[0])
    # rows of very different size, as GELU makes them: hardly below zero
    x = F.gelu(torch.randn(rows, shape[1])) * torch.logspace(-3, 3, rows
                                                             )[:, None]
    for b in (bias, None):
        exact, ours = F.linear(x, weight, b), Int8Linear(weight, b)(x)
        # half a step of each factor, if all roundings went one way
        span = x.amax(1, keepdim=True) - x.amin(1, keepdim=True)
        size = weight.abs().amax(1) / 254 * x.abs().sum(1, keepdim=True)
        size = size + span / 254 * weight.abs().sum(1)
        assert ((ours - exact).abs() <= 1.02 * size + 1e-5 * exact.abs()
                + 1e-6).all()


def test_whole_numbers_are_exact():
    """Values that both grids hold come out right to the last digit."""
    torch.manual_seed(0)
    weight = torch.randint(-127, 128, (40, 64)).float()
    weight[:, 0] = 127
    x = torch.randint(0, 128, (9, 64)).float()
    x[:, 0], x[:, 1] = 0, 127
    torch.testing.assert_close(Int8Linear(weight)(x), x @ weight.T,
                               rtol=1e-6, atol=0.1)


def test_equal_inputs_and_zero_weights():
    layer = Int8Linear(torch.zeros(5, 8), torch.arange(5.0))
    assert torch.equal(layer(torch.ones(2, 8)), torch.arange(5.0).repeat(2, 1))
    torch.testing.assert_close(
        Int8Linear(torch.ones(5, 8))(torch.full((2, 8), 3.0)),
        torch.full((2, 5), 24.0))


def test_rows_do_not_depend_on_their_mates():
    torch.manual_seed(0)
    layer = Int8Linear(torch.randn(70, 64), torch.randn(70))
    x = torch.randn(9, 64) * torch.logspace(-4, 4, 9)[:, None]
    together = layer(x)
    for row in range(9):
        torch.testing.assert_close(layer(x[row:row + 1])[0], together[row],
                                   rtol=1e-6, atol=0)


def test_the_model_itself_is_left_alone(model):
    before = {name: value.clone() for name, value
              in model.state_dict().items()}
    eight = quantize_int8(model.train())
    assert eight.training and model.training
    eight.transformer.wte.weight.add_(1)
    assert all(torch.equal(value, before[name]) for name, value
               in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())
    assert not any(p.requires_grad for p in eight.parameters())


def test_logits_and_loss_are_near(model):
    eight = quantize_int8(model)
    ids, targets = torch.randint(300, (2, 3, 16))
    targets[0, :9] = -100
    with torch.no_grad():
        exact, ours = model(ids), eight(ids)
        assert ours.shape == exact.shape
        assert (ours - exact).norm() < 0.05 * exact.norm()
        assert not torch.equal(ours, exact)
        wanted = F.cross_entropy(ours.flatten(0, 1), targets.flatten())
        assert eight.loss(ids, targets).item() == pytest.approx(
            wanted.item(), rel=1e-5)


@pytest.mark.parametrize("bias", [True, False])
def test_generates(bias):
    torch.manual_seed(0)
    model = GPT(GPTConfig(300, 16, 2, 2, 32, bias=bias))
    eight = quantize_int8(model)
    rows = generate(eight, PROMPTS, 40, seed=1, top_k=50)
    assert [len(row) for row in rows] == [40] * 3
    assert rows == generate(eight, PROMPTS, 40, seed=1, top_k=50)


@pytest.mark.parametrize("change", [
    lambda model: model.double(), lambda model: model.to("meta")])
def test_what_it_cannot_do_is_named(model, change):
    with pytest.raises(ValueError, match="float32 model on the cpu"):
        quantize_int8(change(model))

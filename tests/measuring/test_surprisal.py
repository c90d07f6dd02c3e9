"""Surprisal is the loss, token by token, and what generation reports."""

import pytest
import torch

from course_lib.measuring.surprise import surprisal
from course_lib.model.cache import window_start
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sampling.generation import generate


def made(context=8):
    torch.manual_seed(0)
    model = GPT(GPTConfig(23, context, 2, 2, 12, dropout=0.5)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return model


def test_within_the_context_its_mean_is_the_loss():
    model, ids = made().eval(), [3, 1, 4, 1, 5, 9, 2, 6, 5]
    loss = model.loss(torch.tensor([ids[:-1]]), torch.tensor([ids[1:]]))
    nats = surprisal(model, ids)
    assert len(nats) == 8
    assert sum(nats) / 8 == pytest.approx(loss.item(), abs=1e-12)


@pytest.mark.parametrize("context", [1, 2, 3, 7, 8])
def test_past_the_context_one_window_at_a_time(context):
    model = made(context).eval()
    ids = torch.randint(23, (5 * context + 3,)).tolist()
    nats = surprisal(model, ids)
    assert len(nats) == len(ids) - 1
    for n in range(1, len(ids)):
        window = torch.tensor([ids[window_start(n, context):n]])
        wanted = -model(window)[0, -1].log_softmax(-1)[ids[n]]
        assert nats[n - 1] == pytest.approx(wanted.item(), abs=1e-12)


def test_is_what_generation_reports():
    model = made()
    [row], [scores] = generate(model, [[3, 1, 4]], 40, seed=0, logprobs=True)
    assert surprisal(model, [3, 1, 4, *row])[2:] == pytest.approx(
        [-score for score in scores], abs=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back(training):
    model = made().train(training)
    assert surprisal(model, [1, 2, 3]) == surprisal(model, [1, 2, 3])
    assert model.training == training


def test_short_texts_and_wrong_tokens():
    model = made()
    assert surprisal(model, []) == surprisal(model, [7]) == []
    for bad in ([1, 23], [-1, 2], [99]):
        with pytest.raises(ValueError, match="outside 0 to 22"):
            surprisal(model, bad)

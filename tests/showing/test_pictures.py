"""Pictures show what the code does: their numbers against the code's own."""

import matplotlib
import numpy as np
import pytest
import torch

from course_lib.model.cache import window_start
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.recipes import RECIPES
from course_lib.sampling.generation import CachedReader
from course_lib.showing import pictures

matplotlib.use("Agg")
CONFIG = dict(vocab_size=97, context_length=24, n_layer=3, n_head=4,
              n_embd=32)
IDS = torch.arange(10)[None]


@pytest.fixture(autouse=True)
def closed():
    yield
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize("recipe", ["gpt2", "modern"])
def test_the_parts_add_up_to_the_stream(recipe):
    model = GPT(GPTConfig(**CONFIG, **RECIPES[recipe].model)).eval()
    parts = pictures.stream(model, IDS)
    assert [name for name, *_ in parts] == ["embedding", *(
        f"{kind} {layer}" for layer in range(3)
        for kind in ("attention", "MLP"))]
    torch.testing.assert_close(
        model.transformer.ln_f(parts[-1][2])[None], model.hidden(IDS))
    assert not any(m._forward_hooks for m in model.modules())


def test_the_first_token_named_is_the_one_that_was_read():
    model, named = GPT(GPTConfig(**CONFIG)).eval(), []
    figure = pictures.draw_stream(
        model, IDS, lambda token: named.append(token) or str(token))
    assert named[0] == 9 and len(named) == 7
    assert named[-1] == model(IDS)[0, -1].argmax()
    assert "9" in [text.get_text() for text in figure.axes[0].texts]


def test_rows_hold_the_same_tokens_packed_or_not():
    figure = pictures.draw_rows([[1] * 5, [2] * 12, [3] * 3], width=8)
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles == [  # the second sentence is cut at the row's end
        "padded: 3 rows, 67% of the positions are text",
        "packed: 2 rows, 100% of the positions are text"]
    cells = [ax.collections[0].get_array() for ax in figure.axes]
    assert np.count_nonzero(cells[0]) == np.count_nonzero(cells[1]) == 16


def test_the_cache_is_read_as_the_sampler_reads_it(monkeypatch):
    """Each dark cell is a token that the model really reads there."""
    model = GPT(GPTConfig(**CONFIG | dict(context_length=8))).eval()
    read, hidden = [], model.hidden
    reader = CachedReader(model, 40)
    monkeypatch.setattr(reader.model, "hidden", lambda ids, cache: (
        read.append(ids.size(1)), hidden(ids, cache))[1])
    text = [1, 2, 3]
    for _ in range(20):
        reader.logits([text])
        text.append(4)
    figure = pictures.draw_cache(context=8, prompt=3, tokens=20)
    cells = figure.axes[0].collections[0].get_array().reshape(20, -1)
    assert [(row == 2).sum() for row in cells] == read
    assert [np.flatnonzero(row)[0] for row in cells] == [
        window_start(n, 8) for n in range(3, 23)]


def test_memory_is_what_pytorch_keeps():
    """By blocks that are alike, and a head that keeps at least its logits."""
    model = GPT(GPTConfig(**CONFIG))
    ids = torch.zeros(4, 24, dtype=torch.long)
    kept = dict(pictures.memory_kept(model, ids, ids))
    assert list(kept) == ["embedding", "block 0", "block 1", "block 2",
                          "head and loss"]
    assert kept["block 0"] == kept["block 1"] == kept["block 2"]
    assert kept["head and loss"] >= 4 * 24 * 97 * 4
    twice = dict(pictures.memory_kept(model, ids.repeat(2, 1),
                                      ids.repeat(2, 1)))
    assert twice["block 1"] == pytest.approx(2 * kept["block 1"], rel=0.01)
    figure = pictures.draw_memory(model, ids, ids)
    tops = [bar.get_height() for bar in figure.axes[0].containers[1]]
    assert sum(tops) == pytest.approx(sum(kept.values()) / 1e6)

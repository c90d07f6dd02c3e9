"""The figure of the model says what the model is."""

import matplotlib
import pytest
import torch
from torch import nn

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.showing.diagram import draw_model, trace

matplotlib.use("Agg")
CONFIG = GPTConfig(97, 24, 3, 4, 32)
IDS = torch.zeros(2, 5, dtype=torch.long)


def test_trace_is_the_module_tree_in_order_of_running():
    model = GPT(CONFIG)
    steps, adds = trace(model, IDS)
    assert adds
    assert [s.path for s in steps[:5]] == [
        "transformer.wte", "transformer.wpe", "transformer.h.0",
        "transformer.h.0.ln_1", "transformer.h.0.attn"]
    leaves = [s for s in steps
              if not list(model.get_submodule(s.path).children())]
    counted = sum(s.parameters for s in leaves)
    assert counted == sum(p.numel() for p in model.parameters())
    assert {s.path: s.shape for s in steps}[
        "transformer.h.2.mlp.c_fc"] == (2, 5, 128)
    assert not any(m._forward_hooks for m in model.modules())


def test_residual_paths_are_found_missing():
    class Replacing(nn.Module):
        def __init__(self, block):
            super().__init__()
            self.ln_1, self.attn = block.ln_1, block.attn
            self.ln_2, self.mlp = block.ln_2, block.mlp

        def forward(self, x, *cache):
            return self.mlp(self.ln_2(self.attn(self.ln_1(x))))

    Replacing.__name__ = "Block"
    model = GPT(CONFIG)
    model.transformer.h[1] = Replacing(model.transformer.h[1])
    assert not trace(model, IDS)[1]


@pytest.mark.parametrize("layers", [1, 3, 12])
def test_every_box_carries_its_numbers(layers):
    config = GPTConfig(97, 24, layers, 4, 32)
    figure = draw_model(GPT(config), IDS)
    texts = "\n".join(t.get_text() for t in figure.axes[0].texts)
    for wanted in ("wte: 2 \u00d7 5 \u00d7 32", "3,104 parameters",
                   f"h.{layers - 1}: 12,704 parameters",
                   "c_attn: 2 \u00d7 5 \u00d7 96",
                   "logits: 2 \u00d7 5 \u00d7 97"):
        assert wanted in texts
    matplotlib.pyplot.close(figure)

"""Weights in eight bits, for generation on a CPU (chapter 5).

One token at a time is bound by reading the weights, and these are a quarter
of the bytes (book/results/generation.json has what that gains and costs).
Each row of a weight has its own scale, and what is multiplied with it is
rounded too, row by row and anew each time (Dettmers et al. 2022). The
products are made by oneDNN, as PyTorch calls it.
"""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.model.gpt import GPT
from course_lib.model.loss import CHUNK, IGNORE

WEIGHT = 127  # the largest whole number of a weight, on either side of 0
# The largest of what it multiplies. 255 would fit a byte, but then the
# sixteen bits in which older processors add two products overflow.
INPUT = 127


def quantize_int8(model: GPT) -> "Int8GPT":
    """A copy of a float32 model on the CPU that computes with int8 weights.

    It generates and evaluates like any other and cannot be trained. Raises
    ValueError for a model elsewhere or in another number format, and where
    PyTorch was built without oneDNN.
    """
    if model.head.device.type != "cpu" or model.head.dtype != torch.float32:
        raise ValueError(
            f"int8 takes a float32 model on the cpu, not {model.head.dtype} "
            f"on {model.head.device}: convert it with .float().cpu()")
    if not torch.backends.mkldnn.is_available():
        raise ValueError("this PyTorch has no int8 kernels for the CPU (it "
                         "was built without oneDNN): stay with float32")
    return Int8GPT(model)


def round_rows(weight):
    """A weight (out, in) as whole numbers from -127 to 127, (out, in), and a
    scale for each row, (out,), whose product comes nearest to it."""
    weight = weight.detach()
    scale = weight.abs().amax(1).clamp_min(1e-30) / WEIGHT
    return (weight / scale[:, None]).round_(), scale


class Int8Linear(nn.Module):
    """(N, in) -> (N, out), like the layer with `weight` (out, in) and
    `bias` (out,) or None."""

    def __init__(self, weight, bias=None):
        super().__init__()
        out = weight.size(0)
        whole, scale = round_rows(weight)
        packed = torch.ops.onednn.qlinear_prepack(whole.to(torch.int8), None)
        bias = torch.zeros(out) if bias is None else bias.detach().clone()
        for name, value in dict(
                scale=scale, packed=packed, bias=bias,
                sums=whole.sum(1) * scale,
                zeros=torch.zeros(out, dtype=torch.int32)).items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, x):
        # x is low + step * whole, so W x is low * (the sums of W's rows) +
        # step * W whole; each row of x has its own low and step, and what
        # the other rows hold does not matter to it
        low, high = x.aminmax(dim=-1, keepdim=True)
        step = (high - low).div_(INPUT).clamp_min_(1e-30)
        whole = (x - low).div_(step).round_().to(torch.uint8)
        y = torch.ops.onednn.qlinear_pointwise(
            whole, 1.0, 0, self.packed, self.scale, self.zeros, None,
            1.0, 0, torch.float32, "none", [], "")
        return torch.addcmul(self.bias, low, self.sums).addcmul_(y, step)


class Int8GPT(GPT):
    """A GPT whose matrix products are `Int8Linear`'s. Embeddings and norms
    stay in float32: they are looked up or small."""

    def __init__(self, model: GPT):
        nn.Module.__init__(self)
        self.config = model.config
        self.transformer = copy.deepcopy(model.transformer)
        for block in self.transformer.h:
            for part in (block.attn, block.mlp):
                for name, layer in list(part.named_children()):
                    if isinstance(layer, nn.Linear):
                        setattr(part, name,
                                Int8Linear(layer.weight, layer.bias))
        self.logits = Int8Linear(model.head)
        if not self.config.tied:  # kept for who asks what the head is
            self.lm_head = model.lm_head
        self.requires_grad_(False).train(model.training)

    def forward(self, ids, cache=None):
        return self.logits(self.hidden(ids, cache))

    def loss(self, ids, targets):
        rows = self.hidden(ids).flatten(0, 1).split(CHUNK)
        pairs = zip(rows, targets.flatten().split(CHUNK), strict=True)
        total = sum(F.cross_entropy(self.logits(x), target, reduction="sum")
                    for x, target in pairs)
        return total / (targets != IGNORE).sum()

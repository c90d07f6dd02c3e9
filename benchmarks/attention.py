"""Causal attention on a processor: PyTorch's kernel beside products in blocks.

    python benchmarks/attention.py [--rounds 15]

Values and gradients for 4,096 tokens in the shapes of each scale, in either
number format; the two take turns. Writes book/results/attention.json.
"""

import argparse
import statistics
import time

import torch
from torch.nn import functional as F

from course_lib.machine.files import write_json
from course_lib.machine.memory import keep_memory
from course_lib.machine.origin import provenance
from course_lib.model.attention import attend_in_blocks
from course_lib.presets import load_preset
from course_lib.showing.page import RESULTS

TOKENS = 4_096


def kernel(q, k, v):
    """PyTorch's own way."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


WAYS = {"kernel": kernel, "blocks": attend_in_blocks}


def measure(scale: str, number_format: str, rounds: int) -> dict:
    """Median milliseconds of both, and the rounds' ratio with quartiles."""
    shape = load_preset(scale).model
    T, H, D = shape.context_length, shape.n_head, shape.head_width
    torch.manual_seed(0)
    inputs = torch.randn(TOKENS // T, T, 3 * H * D).to(
        getattr(torch, number_format)).requires_grad_()
    taken = {name: [] for name in WAYS}
    for turn in range(rounds + 2):  # the first two only warm up
        for name in list(WAYS)[::1 if turn % 2 else -1]:
            begun = time.perf_counter()
            parts = (part.view(-1, T, H, D).transpose(1, 2)
                     for part in inputs.split(H * D, 2))
            WAYS[name](*parts).sum().backward()
            if turn > 1:
                taken[name].append(1000 * (time.perf_counter() - begun))
    ratios = [a / b for a, b in zip(taken["kernel"], taken["blocks"],
                                    strict=True)]
    return dict(scale=scale, number_format=number_format, milliseconds={
        name: statistics.median(each) for name, each in taken.items()},
        blocks_are_faster=statistics.quantiles(ratios, n=4))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    keep_memory()
    rows = [measure(scale, number_format, options.rounds)
            for scale in ("laptop", "evening", "full")
            for number_format in ("float32", "bfloat16")]
    for row in rows:
        print(row)
    write_json(RESULTS / "attention.json",
               dict(provenance=provenance("cpu"), tokens=TOKENS, rows=rows))


if __name__ == "__main__":
    main()

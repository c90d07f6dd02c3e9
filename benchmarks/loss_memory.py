"""The loss of 8,192 tokens over 50,304 entries, three ways: time and memory.

    python benchmarks/loss_memory.py [--tokens 8192] [--rounds 5]

All logits at once, PyTorch's fused operator and the package's chunks, loss and
gradients each. Every measurement has a process of its own, so that no
memory is left over from the one before: memory is how far the resident set's
peak rises above where it stood before the loss (Linux only). The three
alternate. Writes book/results/loss_memory.json, which chapter 1 shows.
"""

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.loss import (
    CHUNK,
    all_logits_at_once,
    chunked_cross_entropy,
)
from course_lib.presets import load_preset
from course_lib.showing.page import RESULTS


def fused(x, weight, targets):
    """PyTorch's operator, from 2.13 on, with chunks like ours."""
    return F.linear_cross_entropy(
        x, weight, targets, options=torch.nn.LinearCrossEntropyOptions(
            batch_chunk_size=CHUNK))


WAYS = {"all logits at once": all_logits_at_once, "fused": fused,
        "chunked": chunked_cross_entropy}


def measure(way: str, tokens: int) -> tuple[float, int, float]:
    """Seconds and peak bytes of a loss and its gradients, and the loss."""
    shape = load_preset("full").model
    torch.manual_seed(0)
    x = torch.randn(tokens, shape.n_embd, requires_grad=True)
    weight = torch.randn(shape.vocab_size, shape.n_embd) * 0.02
    weight.requires_grad_()
    targets = torch.randint(shape.vocab_size, (tokens,))
    WAYS["chunked"](x[:64], weight, targets[:64]).backward()  # first threads
    x.grad = weight.grad = None
    before = int(Path("/proc/self/statm").read_text().split()[1])
    begun = time.perf_counter()
    loss = WAYS[way](x, weight, targets)
    loss.backward()
    seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return seconds, peak - before * os.sysconf("SC_PAGE_SIZE"), loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=8_192)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    taken = {way: [] for way in WAYS}
    fresh = multiprocessing.get_context("spawn")
    with fresh.Pool(1, maxtasksperchild=1) as pool:
        for _ in range(options.rounds):
            for way in WAYS:
                taken[way].append(pool.apply(measure, (way,
                                                       options.tokens)))
                print(way, taken[way][-1], flush=True)
    rows = []
    for way, results in taken.items():
        seconds, peaks, losses = zip(*results)
        rows.append(dict(way=way, seconds=statistics.median(seconds),
                         slowest=max(seconds), fastest=min(seconds),
                         peak_bytes=statistics.median(peaks),
                         loss=losses[0]))
    write_json(RESULTS / "loss_memory.json", dict(
        provenance=provenance("cpu"), tokens=options.tokens,
        vocab_size=load_preset("full").model.vocab_size,
        width=load_preset("full").model.n_embd, rounds=options.rounds,
        rows=rows))


if __name__ == "__main__":
    main()

"""Which way to the loss is the fastest? Each at each scale and format.

    python benchmarks/loss_head.py [--rounds 9]

The loss of 4,096 tokens and its gradients from the last hidden vectors on,
three ways, as a training step on a CPU meets them: in either number format,
in a process that keeps its memory. The ways take turns. Writes
book/results/loss_head.json; the table in `course_lib/model/loss.py` is its.
"""

import argparse
import statistics
import time

import torch
from loss_memory import WAYS

from course_lib.machine.device import autocast
from course_lib.machine.files import write_json
from course_lib.machine.memory import keep_memory
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.showing.page import RESULTS

ROWS = 4_096


def seconds(way, x, weight, targets, precision) -> float:
    """Wall time of a loss and its gradients."""
    x.grad = weight.grad = None
    begun = time.perf_counter()
    with precision:
        loss = way(x, weight, targets)
    loss.backward()
    return time.perf_counter() - begun


def measure(scale: str, number_format: str, rounds: int) -> dict:
    """Median milliseconds of each way, and quartiles."""
    shape = load_preset(scale).model
    torch.manual_seed(0)
    x = torch.randn(ROWS, shape.n_embd, requires_grad=True)
    weight = torch.randn(shape.vocab_size, shape.n_embd) * 0.02
    weight.requires_grad_()
    targets = torch.randint(shape.vocab_size, (ROWS,))
    precision = autocast("cpu", number_format)
    taken = {name: [] for name in WAYS}
    for turn in range(rounds + 1):  # the first only warms up
        for name in list(WAYS)[::1 if turn % 2 else -1]:
            took = seconds(WAYS[name], x, weight, targets, precision)
            if turn:
                taken[name].append(1000 * took)
    return {name: statistics.quantiles(each, n=4)
            for name, each in taken.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    keep_memory()
    rows = []
    for scale in ("laptop", "evening", "full"):
        for number_format in ("float32", "bfloat16"):
            found = measure(scale, number_format, options.rounds)
            rows.append(dict(scale=scale, number_format=number_format,
                             milliseconds=found))
            print(f"{scale:8}{number_format:9}" + "".join(
                f"{name:>20} {q[1]:6.0f}" for name, q in found.items()),
                flush=True)
    write_json(RESULTS / "loss_head.json", dict(
        provenance=provenance("cpu"), rows_of_logits=ROWS, rows=rows))


if __name__ == "__main__":
    main()

"""Two rungs of a ladder at once, with a thread each, or one after the other
with both?

    python benchmarks/rung_threads.py [--rounds 9]

Training steps of the smallest and the largest rung of the laptop ladder, and
of the laptop model itself. Two processes of one thread take some steps each at
the same time; then one of two threads takes twice as many. Both ways
alternate, and a ratio is taken within a round. Writes
book/results/rung_threads.json.
"""

import argparse
import multiprocessing
import statistics
import time

import torch

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.cost import count_parameters
from course_lib.presets import Preset, load_preset
from course_lib.recipes import find_recipe
from course_lib.scaling.rungs import rungs
from course_lib.showing.page import RESULTS
from course_lib.training.processor import number_format
from course_lib.training.start import steps_on_random

SECONDS = 4  # about so long is a round's way


def work(pipe, preset: Preset) -> None:
    """Takes as many steps on as many threads as it is told, and says when it
    has."""
    step, tokens = steps_on_random(preset, "cpu", number_format(
        "cpu", preset.model), compiles=False, share=1)
    step()
    pipe.send(tokens)
    while order := pipe.recv():
        threads, steps = order
        torch.set_num_threads(threads)
        for _ in range(steps):
            step()
        pipe.send(None)


def seconds(pipes, threads: int, steps: int) -> float:
    """How long the processes take for so many steps each."""
    begun = time.perf_counter()
    for pipe in pipes:
        pipe.send((threads, steps))
    for pipe in pipes:
        pipe.recv()
    return time.perf_counter() - begun


def compare(preset: Preset, rounds: int) -> dict:
    """Tokens per second both ways, and how many times as fast the first is."""
    spawn, pipes = multiprocessing.get_context("spawn"), []
    for _ in range(2):
        mine, theirs = spawn.Pipe()
        pipes.append(mine)
        spawn.Process(target=work, args=(theirs, preset),
                      daemon=True).start()
    step_tokens = [pipe.recv() for pipe in pipes][0]
    seconds(pipes, 1, 5)
    steps = max(5, round(SECONDS / seconds(pipes, 1, 5) * 5))
    apart, one = [], []
    for _ in range(rounds):
        apart.append(seconds(pipes, 1, steps))
        one.append(seconds(pipes[:1], 2, 2 * steps))
    for pipe in pipes:
        pipe.send(None)
    tokens = 2 * steps * step_tokens
    ratios = [b / a for a, b in zip(apart, one, strict=True)]
    quarter, _, three_quarters = statistics.quantiles(ratios, n=4)
    return dict(parameters=count_parameters(preset.model).total,
                step_tokens=step_tokens, rounds=rounds,
                two_of_one_thread=tokens / statistics.median(apart),
                one_of_two_threads=tokens / statistics.median(one),
                apart_is_faster=statistics.median(ratios),
                quartiles=[quarter, three_quarters])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    laptop = find_recipe("modern").at(load_preset("laptop"))
    ladder = sorted((rung.preset for rung in rungs(laptop)), key=lambda run:
                    count_parameters(run.model).total)
    rows = []
    for preset in (ladder[0], ladder[-1], laptop):
        rows.append(compare(preset, options.rounds))
        print(rows[-1], flush=True)
    write_json(RESULTS / "rung_threads.json", dict(
        provenance=provenance("cpu"), rows=rows))


if __name__ == "__main__":
    main()

"""At which learning rate and batch does a model of N parameters learn best
from D tokens? Sweeps, for a rule.

    python benchmarks/rates.py BOOKS --name books [--scale evening]
        [--recipe modern] [--start 0.008] [--workers 2] [--threads 1]
        --points 2/64/2:1.6e6:1024,1/12/1:300e3:128

A point is a size of model, a number of tokens and a batch. At each, the rate
goes up or down by factors of two until the best lies between two others; a
parabola through the three in the logarithm of the rate says where the bottom
is, and how much a factor of two off costs. Runs share the processors.
Writes book/results/rates_NAME.json after every point; what it holds is not
done again, nor a rate that an interrupted point has already measured.
"""

import argparse
import hashlib
import json
import math
import os
from concurrent.futures import (
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    as_completed,
)
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from course_lib.cli.arguments import number
from course_lib.machine.files import read_object, write_json
from course_lib.machine.origin import provenance
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.presets import Preset, load_preset
from course_lib.recipes import find_recipe
from course_lib.runs import open_run, prepare
from course_lib.scaling.hyperparameters import PUBLISHED
from course_lib.scaling.ladder import VALIDATION
from course_lib.showing.page import RESULTS
from course_lib.stages import home
from course_lib.text.corpus import load_corpus
from course_lib.training.log import Diverged
from course_lib.training.processor import number_format
from course_lib.training.trainer import train

FACTOR, MOST = 2.0, 7  # between rates; runs at a point


@dataclass(frozen=True)
class Point:
    """What is held while the rate changes."""

    layers: int
    width: int
    heads: int
    tokens: int
    batch: int

    def preset(self, base: Preset, rate: float) -> Preset:
        model = replace(base.model, n_layer=self.layers, n_embd=self.width,
                        n_head=self.heads)
        steps = self.tokens // self.batch
        return replace(base, model=model, tokens=steps * self.batch,
                       batch_tokens=self.batch, learning_rate=rate,
                       warmup_steps=min(base.warmup_steps, steps // 10))


def measure(folder: Path, preset: Preset, threads: int,
            validation: int) -> float:
    """The loss on `validation` held-out tokens."""
    torch.set_num_threads(threads)
    run = open_run(folder)
    try:
        return train(None, preset, run.train_tokens, run.measured_tokens,
                     evaluate_at=(), final_tokens=validation,
                     progress=False).evaluation.loss
    except Diverged:
        return math.inf


def first_rate(point: Point, base: Preset, start: float | None) -> float:
    """A power of two: `start`, or what the step law says."""
    N = count_parameters(point.preset(base, 1.0).model)
    return 2.0 ** round(math.log2(start or PUBLISHED["li_2025"].rate(
        N.without_embedding, point.tokens)))


def next_rates(losses: dict, first: float) -> list[float]:
    """What to measure until the best is between two others."""
    rates = [first, first / FACTOR, first * FACTOR]
    if losses.keys() >= set(rates):
        best = min(losses, key=losses.get)
        rates = [best / FACTOR, best * FACTOR]
    missing = [rate for rate in rates if rate not in losses]
    return missing[:MOST - len(losses)]


def summary(point: Point, base: Preset, losses: dict) -> dict:
    """What the file holds of a point."""
    model = point.preset(base, 1.0).model
    return dict(point=asdict(point), N=count_parameters(model).total,
                flop=point.tokens * flops_per_token(model), **bottom(losses),
                losses={str(rate): losses[rate] for rate in sorted(losses)})


def measured(path: Path) -> dict:
    """Losses by rate that an interrupted sweep has left."""
    if not path.is_file():
        return {}
    return {float(rate): math.inf if loss is None else loss
            for rate, loss in read_object(path).items()}


def sweep(folder: Path, base: Preset, point: Point, options,
          pool: ProcessPoolExecutor) -> dict:
    """Measure a point's rates, those at hand at once."""
    same = hashlib.sha256(repr((base, point, options.validation)).encode())
    path = folder / f"losses-{same.hexdigest()[:12]}.json"
    first, losses = first_rate(point, base, options.start), measured(path)
    while rates := next_rates(losses, first):
        jobs = {pool.submit(measure, folder, point.preset(base, rate),
                            options.threads, options.validation): rate
                for rate in rates}
        for job in as_completed(jobs):
            losses[jobs[job]] = job.result()
            write_json(path, losses)
    return summary(point, base, losses)


def bottom(losses: dict) -> dict:
    """The best rate and loss by the parabola through the best and its two
    neighbours, and the `cost` in nats of a rate that is off by two."""
    rates = sorted(losses)
    place = rates.index(min(losses, key=losses.get))
    if place in (0, len(rates) - 1):
        return {}
    x = np.log2(rates[place - 1:place + 2])
    y = [losses[rate] for rate in rates[place - 1:place + 2]]
    if not np.all(np.isfinite(y)):
        return {}
    a, b, c = np.polyfit(x - x[1], y, 2)
    return dict(rate=float(2.0 ** (x[1] - b / (2 * a))),
                loss=float(c - b * b / (4 * a)), cost=float(a))


def points_of(text: str) -> list[Point]:
    """L/C/H:TOKENS:BATCH, separated by commas."""
    found = []
    for word in text.split(","):
        shape, tokens, batch = word.split(":")
        layers, width, heads = map(int, shape.split("/"))
        found.append(Point(layers, width, heads, int(float(tokens)),
                           int(batch)))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="+")
    parser.add_argument("--name", required=True)
    parser.add_argument("--points", type=points_of, required=True,
                        metavar="L/C/H:TOKENS:BATCH,...")
    parser.add_argument("--scale", default="evening")
    parser.add_argument("--recipe", default="modern")
    parser.add_argument("--start", type=float, help="rate to begin at; the "
                        "step law's without")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--threads", type=int, default=1, help="of each "
                        "worker (%(default)s)")
    parser.add_argument("--validation", type=number, default=VALIDATION,
                        help="held-out tokens to measure on (%(default)s)")
    options = parser.parse_args()
    base = find_recipe(options.recipe).at(load_preset(options.scale))
    home().mkdir(parents=True, exist_ok=True)
    folder = home() / f"rates-{options.name}"
    # as the ladder's: one folder would do for all recipes
    prepare(folder, load_preset(options.scale),
            load_corpus(*options.corpus), print)
    path = RESULTS / f"rates_{options.name}.json"
    done = json.loads(path.read_text())["points"] if path.is_file() else []
    missing = [point for point in options.points
               if asdict(point) not in [each["point"] for each in done]]
    with (ProcessPoolExecutor(options.workers, get_context("spawn")) as pool,
          ThreadPoolExecutor(len(missing) or 1) as points):
        jobs = [points.submit(sweep, folder, base, point, options, pool)
                for point in missing]
        for job in as_completed(jobs):
            done.append(job.result())
            print(done[-1], flush=True)
            write_json(path, dict(
                recipe=options.recipe, scale=options.scale, points=done,
                measured_on=options.validation,
                provenance=provenance("cpu", number_format(
                    "cpu", base.model))))


if __name__ == "__main__":
    main()

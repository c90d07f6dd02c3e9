"""A ladder of small models, and what it predicts for a preset (chapter 2).

Budgets of compute, each spent on five or six sizes of model: IsoFLOP curves,
after Hoffmann et al. 2022 (approach 2). Tokenizer, text, batch and context are
the preset's, so that nats mean the same, and every run has its own schedule
that ends where the run ends: points along one long run would be too high (same
paper, section 3.1). In every valley a second seed says how much of a
difference is luck, and at both ends of the ladder other learning rates say
whether the rule for them holds.

The smoke ladder is trained where it is asked for. Larger ones take an hour or
more, so they are recorded in book/results/:

    python -m course_lib.ladder laptop             # its own stories
    python -m course_lib.ladder laptop --corpus BOOKS --name books \\
        --validation 512k

An interrupted ladder goes on with the runs that its file does not hold.
"""

import argparse
import json
import math
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tqdm import tqdm

from course_lib.arguments import number
from course_lib.budget import count_parameters
from course_lib.corpus import load_corpus
from course_lib.data import write_json
from course_lib.device import autocast, choose_device, provenance
from course_lib.evaluate import evaluate
from course_lib.presets import Preset, load_preset
from course_lib.runs import Run, open_run, prepare
from course_lib.scaling import Bootstrap, Runs, bootstrap
from course_lib.stages import ROOT, home, prepared
from course_lib.train import learning_rate, start, train_step

# Widths as shares of the preset's C, with layers in proportion. A budget, a
# share of the preset's own 6ND, is spent on neighbours among them: at laptop
# size as far to the right as runs keep a thousand steps, or past the valley.
WIDTHS = (1 / 8, 3 / 16, 1 / 4, 5 / 16, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8)
BUDGETS = {1 / 32: WIDTHS[:5], 1 / 16: WIDTHS[1:6], 1 / 8: WIDTHS[2:8],
           1 / 4: WIDTHS[3:9]}
MIDDLE = 2  # place of the size in a valley that is trained twice
RATES = (1 / 2, 2)  # times the rule's learning rate, to check the rule
VALIDATION = 131_072  # tokens: of stories, within 0.003 nats of all of them
POINTS = 40  # of a recorded training curve, at most
RESAMPLES = 1000
RECORDED = ROOT / "book" / "results"


@dataclass(frozen=True)
class Rung:
    """One run of the ladder: `budget` is the 6ND of its valley in FLOP,
    `rate` its learning rate as a multiple of the ladder's rule."""

    preset: Preset
    budget: float
    rate: float = 1.0

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Rung":
        return cls(**(values | dict(
            preset=Preset.from_dict(values["preset"]))))


@dataclass(frozen=True)
class Ladder:
    """Measured rungs. `loss` (n,) is in nats per token on held-out text;
    `curves` holds for each an array (points, 2) of tokens and mean training
    loss over the stretch that ends there. `made` is the provenance."""

    rungs: tuple[Rung, ...]
    loss: np.ndarray
    curves: tuple[np.ndarray, ...]
    corpus: str
    made: dict

    @property
    def N(self):
        """(n,) parameters, all of them."""
        return np.array([count_parameters(rung.preset.model).total
                         for rung in self.rungs], float)

    @property
    def D(self):
        """(n,) tokens of training."""
        return np.array([rung.preset.tokens for rung in self.rungs], float)

    @property
    def budget(self):
        """(n,) FLOP by 6ND of the valley that each rung belongs to."""
        return np.array([rung.budget for rung in self.rungs])

    @property
    def rate(self):
        """(n,) learning rates as multiples of the rule's."""
        return np.array([rung.rate for rung in self.rungs])

    @property
    def seed(self):
        """(n,) seeds of weights and order."""
        return np.array([rung.preset.seed for rung in self.rungs])

    @property
    def runs(self) -> Runs:
        """(N, D, loss) of the rungs that keep to the rule, for a fit."""
        kept = self[self.rate == 1]
        return Runs(kept.N, kept.D, kept.loss)

    def __getitem__(self, which) -> "Ladder":
        """The rungs where the boolean array `which` (n,) is true."""
        places = np.flatnonzero(which)
        return Ladder(tuple(self.rungs[i] for i in places), self.loss[places],
                      tuple(self.curves[i] for i in places), self.corpus,
                      self.made)

    def split(self) -> tuple["Ladder", "Ladder"]:
        """(all smaller budgets, the largest), to fit on one and to test on
        the other."""
        largest = self.budget == self.budget.max()
        return self[~largest], self[largest]


@dataclass(frozen=True)
class Prediction:
    """What the ladder says of the preset's run, in nats per token.

    `low` and `high` hold 90% of the resamples. They tell of the noise
    between rungs, not of a law that bends beyond them.
    """

    N: int
    D: int
    loss: float
    low: float
    high: float

    def __str__(self):
        return (f"{self.loss:.2f} nats per token (90% of resamples: "
                f"{self.low:.2f} to {self.high:.2f})")


def rungs(preset: Preset) -> list[Rung]:
    """The ladder of a preset: the valleys, then the second seeds at their
    middles, then the other learning rates at both ends."""
    N = count_parameters(preset.model).total
    valleys = []
    for share, widths in BUDGETS.items():
        budget = share * 6 * N * preset.tokens
        valleys.append([_rung(preset, width, budget) for width in widths])
    middles = [valley[MIDDLE] for valley in valleys]
    again = [replace(rung, preset=replace(rung.preset, seed=preset.seed + 1))
             for rung in middles]
    checks = [replace(rung, rate=rate, preset=replace(
        rung.preset, learning_rate=rate * rung.preset.learning_rate))
        for rung in (middles[0], middles[-1]) for rate in RATES]
    return [rung for valley in valleys for rung in valley] + again + checks


def _rung(preset: Preset, width: float, budget: float) -> Rung:
    """The learning rate goes with 1/sqrt(C), the warm-up is a tenth of a run
    at most, and the tokens are what the budget pays for."""
    heads = max(1, round(preset.model.n_head * width))
    C = max(1, round(preset.model.n_embd * width / heads)) * heads
    model = replace(preset.model, n_embd=C, n_head=heads,
                    n_layer=max(1, round(preset.model.n_layer * width)))
    rate = preset.learning_rate * math.sqrt(preset.model.n_embd / C)
    a_step = 6 * count_parameters(model).total * preset.batch_tokens
    steps = max(2, round(budget / a_step))
    return Rung(replace(
        preset, model=model, tokens=steps * preset.batch_tokens,
        learning_rate=rate,
        warmup_steps=min(preset.warmup_steps, steps // 10)), budget)


def measure(rung: Preset, train_tokens, val_tokens, device: str = "cpu",
            validation: int = VALIDATION):
    """Train one rung; (validation loss, curve), in nats per token. The loss
    is that of the first `validation` held-out tokens."""
    model, optimizer = start(rung, device)
    precision = autocast(device)
    # one tensor for all: small ones kept between the steps' large ones
    # would break up the heap, to gigabytes in some thousand steps
    losses = torch.zeros(rung.steps, device=device)
    for step in range(rung.steps):
        batch = [part.to(device) for part in train_tokens.batch(
            step, rung.rows, rung.model.context_length, rung.seed)]
        losses[step] = train_step(model, optimizer, batch,
                                  learning_rate(step, rung), rung.clip,
                                  precision=precision)[0]
    stretches = np.array_split(losses.cpu().numpy(),
                               min(POINTS, rung.steps))
    ends = np.cumsum([len(part) for part in stretches]) * rung.batch_tokens
    curve = [[int(end), round(float(part.mean()), 4)]
             for end, part in zip(ends, stretches, strict=True)]
    return evaluate(model, val_tokens, max_tokens=validation,
                    precision=precision).loss, curve


def ladder(preset: Preset, report=print) -> Ladder:
    """The preset's ladder, loaded where it was recorded or measured before,
    else measured now. `report` is told which."""
    path = RECORDED / f"ladder_{preset.name}.json"
    plan = rungs(preset)
    found = load(path) if path.is_file() else None
    if found and list(found.rungs) == plan:
        report(f"{len(plan)} runs, recorded {found.made['date'][:10]} on "
               f"{found.made['device']}")
        return found
    run = prepared(preset)
    path, began = run.folder / "ladder.json", time.monotonic()
    with FileLock(f"{path}.lock"):
        measure_all(run, plan, path)
    report(f"{len(plan)} runs, trained here; this call took "
           f"{time.monotonic() - began:.0f} s")
    return load(path)


def load(path: Path) -> Ladder:
    """A recorded ladder. Raises FileNotFoundError when there is none."""
    record = json.loads(Path(path).read_text(encoding="utf-8"))
    runs = record["runs"]
    return Ladder(tuple(Rung.from_dict(run["rung"]) for run in runs),
                  np.array([run["loss"] for run in runs]),
                  tuple(np.array(run["curve"]) for run in runs),
                  record["corpus"], record["provenance"])


def measure_all(run: Run, plan: list[Rung], path: Path,
                workers: int = 1, validation: int = VALIDATION) -> None:
    """Measure every rung that the file at `path` does not hold, on so many
    processes of one thread each: the models are so small that threads would
    mostly wait for each other. Runs of another plan are dropped.

    Beside the runs the file says how many tokens of held-out text they were
    measured on, and how many tokens and bytes all of it has, so that nats
    can be turned into bits per byte."""
    held = {}
    if path.is_file():
        held = {_key(r["rung"]): r for r in json.loads(
            path.read_text(encoding="utf-8"))["runs"]}
    wanted = [rung.to_dict() for rung in plan]
    held = {key: held[key] for key in map(_key, wanted) if key in held}
    missing = [rung for rung in wanted if _key(rung) not in held]
    with tqdm(total=len(plan), initial=len(held), desc="ladder", unit="run",
              mininterval=5) as bar:
        for done in _measured(run, missing, workers, validation):
            held[_key(done["rung"])] = done
            bar.update()
            write_json(path, dict(
                runs=[held[key] for key in map(_key, wanted) if key in held],
                corpus=run.record["corpus"],
                tokenizer=run.tokenizer.fingerprint,
                measured_on=min(validation, run.val_tokens.tokens),
                held_out=dict(tokens=run.val_tokens.tokens,
                              bytes=run.val_tokens.bytes),
                provenance=provenance(choose_device())))


def _key(rung: dict) -> str:
    return json.dumps(rung, sort_keys=True)


def _measured(run: Run, missing: list[dict], workers: int, validation: int):
    """Each rung's record, as soon as it is there."""
    if workers == 1:
        yield from (_one(run.folder, rung, validation) for rung in missing)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        # the longest first, so that none is left alone at the end
        jobs = [pool.submit(_one, run.folder, rung, validation)
                for rung in sorted(missing, key=lambda r: -r["budget"])]
        for job in as_completed(jobs):
            yield job.result()


def _one(folder: Path, rung: dict, validation: int) -> dict:
    run, began = open_run(folder), time.monotonic()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loss, curve = measure(Rung.from_dict(rung).preset, run.train_tokens,
                              run.val_tokens, choose_device(), validation)
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
    return dict(rung=rung, loss=loss, curve=curve,
                seconds=time.monotonic() - began)


def predict(preset: Preset, fits: Bootstrap | None = None) -> Prediction:
    """Predict the validation loss at the end of the preset's run from its
    ladder, and store it beside the run for chapter 4 to check. A stored
    prediction is made anew only when the ladder changed."""
    runs = ladder(preset, report=lambda line: None).runs
    path = prepared(preset).folder / "prediction.json"
    key = [float(value) for value in runs.loss]
    record = json.loads(path.read_text()) if path.is_file() else {}
    if record.get("ladder") != key:
        fits = fits or bootstrap(*runs, resamples=RESAMPLES)
        N = count_parameters(preset.model).total
        D = preset.steps * preset.batch_tokens
        low, high = fits.loss(N, D)
        made = Prediction(N, D, float(fits.fit.law.loss(N, D)), float(low),
                          float(high))
        record = dict(prediction=asdict(made), ladder=key)
        write_json(path, record)
    return Prediction(**record["prediction"])


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--corpus", help="other text than the preset's")
    parser.add_argument("--name", help="of that ladder: ladder_NAME.json")
    parser.add_argument("--tokens", type=number, help="of the run whose 6ND "
                        "the budgets are shares of; the preset's without")
    parser.add_argument("--batch", type=number, help="tokens a step")
    parser.add_argument("--validation", type=number, default=VALIDATION,
                        help="held-out tokens to measure on (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args(arguments)
    if bool(options.corpus) != bool(options.name):
        parser.error("--corpus and --name go together")
    preset = load_preset(options.preset)
    if options.corpus:
        preset = replace(
            preset, name=options.name, corpus=options.corpus,
            tokens=options.tokens or preset.tokens,
            batch_tokens=options.batch or preset.batch_tokens)
        run = prepare(home() / f"ladder-{options.name}", preset,
                      load_corpus(options.corpus))
    else:
        run = prepared(preset)
    measure_all(run, rungs(preset), RECORDED / f"ladder_{preset.name}.json",
                options.workers, options.validation)


if __name__ == "__main__":
    sys.exit(main())

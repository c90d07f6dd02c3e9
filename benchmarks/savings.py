"""From the recipe of 2023 to a cheaper one, one change at a time.

    python benchmarks/savings.py [--plan]
    python benchmarks/savings.py --corpus BOOKS --name books
    python benchmarks/savings.py --line dropout=0.3 norm=layer
    python benchmarks/savings.py --again "late decay" --width 128 --out FILE

Each line changes one thing in the recipe that the lines before it have left,
and trains at three learning rates or more (factors of 2 around the last
line's, going on while the best is at an end), then at the best one with a
second seed. The lines of SETTINGS lead from the 2023 recipe to the book's, and
their changes are kept whatever they do; those of IDEAS are kept where they
help with both seeds. Every run works on the same number of positions, padding
included, and is measured on the same held-out text. At the end the last
recipe is run for a half, a quarter and so on of the positions, to see how
short a run can be.

Writes book/results/savings.json after every run, or savings_NAME.json with
other text than the preset's stories. What it already holds is not done again,
so an interrupted campaign goes on where it was, and two processes share the
work. `--line` adds a line of your own to the end, `--again` tunes and trains
recorded lines for another length of run or size of model, and `--plan` says
what the runs will take.
"""

import argparse
import hashlib
import json
import math
import time
from dataclasses import replace
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from course_lib import stages
from course_lib.cli.arguments import field_value, number
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.presets import Preset, load_preset
from course_lib.recipes import Recipe, find_recipe
from course_lib.runs import Run
from course_lib.showing.page import RESULTS
from course_lib.training.log import Diverged
from course_lib.training.trainer import train

POSITIONS = 393_216  # of a run
SEEDS = (0, 1)
RATE = 4e-3  # of the middle run of the first line
FACTOR, WIDEST = 2, 4  # between rates; so many factors from the middle
SHORTER = (2, 4, 8, 16)
MARKS = 14  # points of a validation curve, each sqrt(2) times the last
CURVE_TOKENS, FINAL_TOKENS = 16_384, 98_304  # of held-out text
START = "the recipe of 2023"
OLD = find_recipe("2023").but(batch_tokens=1024)
MODERN = find_recipe("modern")

SETTINGS = {
    START: {},
    "packed rows": dict(layout="packed"),
    "GPT-2's first weights": dict(first_weights="gpt2"),
    "warm-up and decay": dict(schedule="cosine", warmup=0.05),
    "clipping": dict(clip=1.0),
    "AdamW as in chapter 4": dict(optimizer="adamw", weight_decay=0.1),
    "half the batch": dict(batch_tokens=512),
    "no dropout": dict(dropout=0.0),
    "twice the context": dict(context_length=128),
    "late decay": dict(schedule="wsd"),
}
IDEAS = {
    "Muon": dict(optimizer="muon"),
    "rotary positions": dict(positions="rotary"),
    "normed queries, keys": dict(qk_norm=True),
    "RMSNorm": dict(norm="rms"),
    "SwiGLU": dict(mlp="swiglu"),
    "no biases": dict(bias=False),
    "squared ReLU": dict(mlp="relu2"),
    "projections from zero": dict(first_weights="zero"),
    # a head of its own, paid for with channels: 171k parameters again
    "untied, fewer channels": dict(tied=False, n_embd=52),
    # and what is called `modern`, whatever the lines above said
    "the modern recipe": dict(tied=True, n_embd=None, first_weights="gpt2",
                              **MODERN.model),
}
LINES = SETTINGS | IDEAS


def small(base: Preset, layers: int = 2, heads: int = 2,
          width: int = 64) -> Preset:
    """The preset with a smaller model, its vocabulary kept."""
    V, T = base.model.vocab_size, base.model.context_length
    return replace(base, model=GPTConfig(V, T, layers, heads, width))


def prepared(base: Preset) -> dict[str, Run]:
    """The preset's text in both layouts: packed, and a sentence a row."""
    return {"packed": stages.prepared(base),
            "sentences": stages.prepared(OLD.at(base))}


def follow(recipe: Recipe, text: dict[str, Run], base: Preset, positions: int,
           rate: float, seed: int = 0) -> dict:
    """Train by the recipe on `positions` positions; what came of it.

    `loss` (nats per token) and `bits_per_byte` are of the held-out text as
    the recipe reads it, None where the run diverged; `curve` has the bits
    per byte of a part of it after some numbers of positions; `flop` is what
    the training took, `seconds` the time in the training steps.
    """
    preset = recipe.at(replace(base, tokens=positions, seed=seed,
                               batch_tokens=base.model.context_length))
    preset = replace(preset, learning_rate=rate)
    run = text[preset.layout]
    marks = {math.ceil(preset.steps * 2**(-k / 2)) for k in range(1, MARKS)}
    known = dict(
        parameters=count_parameters(preset.model).total, steps=preset.steps,
        positions=preset.steps * preset.batch_tokens,
        flop=preset.steps * preset.batch_tokens * flops_per_token(
            preset.model))
    try:
        ended = train(None, preset, run.train_tokens, run.measured_tokens,
                      device="cpu", evaluate_at=marks, progress=False,
                      curve_tokens=CURVE_TOKENS, final_tokens=FINAL_TOKENS)
    except Diverged as error:
        return dict(loss=None, bits_per_byte=None, diverged=str(error),
                    curve=[], seconds=0.0, **known)
    curve = [dict(tokens=record["tokens"],
                  bits_per_byte=record["val_bits_per_byte"])
             for record in ended.log if "val_loss" in record]
    return dict(loss=ended.evaluation.loss,
                bits_per_byte=ended.evaluation.bits_per_byte, curve=curve,
                seconds=ended.seconds, **known)


class Campaign:
    """The runs that a file holds, and those that it does not hold yet.

    `locks` is a folder that all processes at work on the file share. Raises
    ValueError for a file with runs of another model or vocabulary.
    """

    def __init__(self, path: Path, locks: Path, text: dict, base: Preset,
                 positions: int = POSITIONS, report=print):
        self.path, self.locks, self.text = path, locks, text
        self.base, self.positions, self.report = base, positions, report
        rows = text["sentences"].train_tokens
        self.about = dict(
            provenance=provenance("cpu"), preset=base.to_dict(),
            positions=positions,
            real_share=rows.targets / (rows.tokens - rows.windows(rows.row)))
        locks.mkdir(parents=True, exist_ok=True)
        if self.read()["preset"]["model"] != self.about["preset"]["model"]:
            raise ValueError(f"{path} holds runs of another size of model")

    def read(self) -> dict:
        """The file's contents."""
        if not self.path.is_file():
            return dict(**self.about, lines=[], runs=[])
        return json.loads(self.path.read_text(encoding="utf-8"))

    def add(self, kind: str, record: dict, key=lambda one: one) -> None:
        """Put a record into the file, in place of one with the same key."""
        with FileLock(self.locks / "file.lock"):
            result = self.read()
            others = [r for r in result[kind] if key(r) != key(record)]
            write_json(self.path, {**result, **self.about,
                                   kind: [*others, record]})

    def runs(self, name: str, asked: list[dict]) -> list[dict]:
        """The records of the runs asked for, in that order: those that the
        file holds, those made here, and those that another process makes
        meanwhile, which are waited for at the end."""
        made = {}
        while len(made) < len(asked):
            before = len(made)
            for place, wanted in enumerate(asked):
                if place not in made:
                    try:
                        with FileLock(self.locks / f"{_key(wanted)}.lock",
                                      timeout=0):
                            made[place] = self.run(name, **wanted)
                    except Timeout:
                        continue
            if len(made) == before:
                time.sleep(1)
        return [made[place] for place in range(len(asked))]

    def run(self, name, **wanted) -> dict:
        """The run's record from the file, or made now."""
        for run in self.read()["runs"]:
            if _key({key: run[key] for key in wanted}) == _key(wanted):
                return run
        run = follow(Recipe(**wanted["recipe"]), self.text, self.base,
                     wanted["asked"], wanted["rate"], wanted["seed"])
        run = dict(name=name, **wanted, **run)
        self.add("runs", run)
        self.report(f"{name:22} rate {run['rate']:.1e}  seed {run['seed']}  "
                    + (f"{run['bits_per_byte']:.4f} bits/byte"
                       if run["loss"] else "diverged")
                    + f"  {run['seconds']:.0f} s")
        return run

    def ask(self, recipe, rate, seed=SEEDS[0], part=1) -> dict:
        """A run in words that the file keeps."""
        return dict(recipe=recipe.to_dict(), rate=rate, seed=seed,
                    asked=self.positions // part)

    def tuned(self, name, recipe, middle: float) -> tuple[float, list[dict]]:
        """(the best learning rate, its runs with each seed)."""
        ends, steps = {}, [0, -1, 1]
        while steps:
            runs = self.runs(name, [self.ask(recipe, middle * FACTOR**k)
                                    for k in steps])
            ends |= dict(zip(steps, map(end, runs), strict=True))
            best = min(ends, key=ends.get)
            steps = [k for k in (best - 1, best + 1)
                     if k not in ends and abs(k) <= WIDEST]
        rate = middle * FACTOR**best
        return rate, self.runs(name, [self.ask(recipe, rate, seed)
                                      for seed in SEEDS])

    def follow(self, lines: dict, kept=OLD, rate=RATE,
               shorter=()) -> dict:
        """Every line, then the shorter runs; the file's contents."""
        best = None
        for name, changes in lines.items():
            recipe = kept.but(**changes)
            tuned, runs = self.tuned(name, recipe, rate)
            helps = best is None or all(
                end(run) < end(other)
                for run, other in zip(runs, best, strict=True))
            keep = helps or name in SETTINGS
            if keep:
                kept, best, rate = recipe, runs, tuned
            self.add("lines", dict(
                name=name, changes=changes, helps=helps, kept=keep,
                rate=tuned, recipe=recipe.to_dict()),
                key=lambda line: line["name"])
            self.report(f"{name}: {'helps' if helps else 'does not help'}, "
                        f"{'kept' if keep else 'not kept'}")
        for part in shorter:
            self.runs(f"1/{part} of it", [self.ask(kept, rate, seed, part)
                                          for seed in SEEDS])
        return self.read()


def end(run: dict) -> float:
    """Where a run ended, in bits per byte; nowhere if it diverged."""
    return math.inf if run["loss"] is None else run["bits_per_byte"]


def _key(wanted: dict) -> str:
    text = json.dumps(wanted, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def planned(base: Preset, positions: int = POSITIONS) -> tuple[int, float]:
    """(runs, FLOP) of all lines if every change is kept and three rates
    are enough."""
    recipe, runs, flop = OLD, 0, 0.0
    for changes in LINES.values():
        recipe = recipe.but(**changes)
        config = recipe.at(base).model
        runs += 2 + len(SEEDS)
        flop += (2 + len(SEEDS)) * positions * flops_per_token(config)
    for part in SHORTER:
        runs += len(SEEDS)
        flop += len(SEEDS) * positions / part * flops_per_token(config)
    return runs, flop


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--line", nargs="+", metavar="FIELD=VALUE",
                        type=field_value, help="a line of your own, beside "
                        "what was kept of the recorded ones")
    parser.add_argument("--again", nargs="+", metavar="LINE", default=[],
                        help="only these of the recorded lines")
    parser.add_argument("--layers", type=int, default=2, help="%(default)s")
    parser.add_argument("--width", type=int, default=64, help="a multiple of "
                        "32, the width of a head (%(default)s)")
    parser.add_argument("--preset", default="laptop", help="whose stories "
                        "and vocabulary (%(default)s)")
    parser.add_argument("--corpus", help="other text than its stories")
    parser.add_argument("--name", help="of that text")
    parser.add_argument("--positions", type=number, default=POSITIONS,
                        help="of each run (%(default)s)")
    parser.add_argument("--out", type=Path, help="the file of results")
    parser.add_argument("--plan", action="store_true",
                        help="say what the runs will take, run nothing")
    options = parser.parse_args(arguments)
    if bool(options.corpus) != bool(options.name):
        parser.error("--corpus and --name go together")
    if options.again and not options.out:
        parser.error("--again needs --out, beside the recorded file")
    preset, record = load_preset(options.preset), "savings.json"
    if options.corpus:
        preset = replace(preset, name=options.name, corpus=options.corpus)
        record = f"savings_{options.name}.json"
    base = small(preset, options.layers, options.width // 32, options.width)
    if options.plan:
        runs, flop = planned(base, options.positions)
        print(f"{runs} runs, {flop / 1e12:.0f} TFLOP")
        return
    torch.set_num_threads(1)  # matrices so small that sharing costs more
    text = prepared(preset)
    recorded, own = RESULTS / record, stages.home() / record
    path = options.out or (own if options.line else recorded)
    work = Campaign(
        path, text["packed"].folder / "savings", text, base,
        options.positions,
        report=lambda line: print(line, flush=True))
    if not options.line and not options.again:
        work.follow(LINES, shorter=SHORTER)
        return
    lines = {line["name"]: line
             for line in json.loads(recorded.read_text())["lines"]}
    for name in options.again:
        work.follow({name: {}}, Recipe(**lines[name]["recipe"]),
                    lines[name]["rate"])
    if options.line:
        kept = [line for line in lines.values() if line["kept"]][-1]
        changes = dict(options.line)
        name = " ".join(f"{key}={value}" for key, value in changes.items())
        work.follow({"what was kept": {}, name: changes},
                    Recipe(**kept["recipe"]), kept["rate"])


if __name__ == "__main__":
    main()

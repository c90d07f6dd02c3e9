"""The rungs of a ladder of small models: plan, results, predictions
(chapter 2).

Budgets of compute over two decades, each spent on five sizes of model or more:
IsoFLOP curves, after Hoffmann et al. 2022 (approach 2). Tokenizer, text and
context are the preset's, so that nats mean the same. Every run has the
learning rate and the batch that are best for its size (`hyperparameters.py`)
and its own schedule, which ends where the run ends: points along one long run
would be too high (same paper, section 3.1). In every valley a second seed says
how much of a difference is luck, and at both ends of the ladder other learning
rates say whether the rule for them holds. `ladder.py` measures them.
"""

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters
from course_lib.presets import Preset
from course_lib.scaling.fits import Runs
from course_lib.scaling.hyperparameters import STEPS, rule_of

# Channels; a layer for every 32, as in the presets.
WIDTHS = (8, 12, 16, 20, 24, 32, 36, 40, 48, 64, 80, 96, 112, 128, 160, 192,
          256, 384, 512)
SIZES, BUDGETS, APART = 5, 5, math.sqrt(10)
SHARE = 1 / 8  # of the preset's own 6ND: the largest budget
TOKENS_EACH = 1.5, 50  # for a parameter: a valley's walls on either side
RATES = (1 / 2, 2)  # times the rule's learning rate, to check the rule


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
    loss over the stretch that ends there. `made` is the provenance.
    `held_out`, where it was recorded, has the tokens and bytes of all
    held-out text, and `check` the preset's own run: `prediction`, made
    before it, and its `loss`."""

    rungs: tuple[Rung, ...]
    loss: np.ndarray
    curves: tuple[np.ndarray, ...]
    corpus: dict
    made: dict
    held_out: dict | None = None
    check: dict | None = None

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
        return replace(self, loss=self.loss[places],
                       rungs=tuple(self.rungs[i] for i in places),
                       curves=tuple(self.curves[i] for i in places))

    def bits_per_byte(self, loss):
        """A loss on the held-out text (nats per token) in bits per byte."""
        return loss * self.held_out["tokens"] / (
            math.log(2) * self.held_out["bytes"])

    def split(self) -> tuple["Ladder", "Ladder"]:
        """(all smaller budgets, the largest), to fit on one and to test on
        the other."""
        largest = self.budget == self.budget.max()
        return self[~largest], self[largest]


def rungs(preset: Preset, top: float | None = None,
          budgets: int = BUDGETS) -> list[Rung]:
    """The ladder of a preset: the valleys, then the second seeds at their
    middles, then the other learning rates at both ends. `top` is the
    largest budget in FLOP, a share of the preset's own 6ND without; five
    `budgets` span two decades, seven span three."""
    top = top or SHARE * 6 * preset.tokens * count_parameters(
        preset.model).total
    valleys = [_valley(preset, top / APART**step)
               for step in reversed(range(budgets))]
    middles = [valley[len(valley) // 2] for valley in valleys]
    again = [replace(rung, preset=replace(rung.preset, seed=preset.seed + 1))
             for rung in middles]
    checks = [replace(rung, rate=rate, preset=replace(
        rung.preset, learning_rate=rate * rung.preset.learning_rate))
        for rung in (middles[0], middles[-1]) for rate in RATES]
    return [rung for valley in valleys for rung in valley] + again + checks


def own(preset: Preset, tokens: float) -> Rung:
    """The preset's own model on so many tokens: beyond the valleys, and the
    nearest to its own run that can be had for a part of the price."""
    N = count_parameters(preset.model).total
    return Rung(sized(preset, preset.model, tokens), 6 * N * tokens)


def shape(preset: Preset, width: int) -> GPTConfig:
    """The preset's model in another width, layers and heads with it."""
    heads = max(1, round(width / preset.model.head_width))
    return replace(preset.model, n_embd=width, n_head=heads,
                   n_layer=max(1, round(width / 32)))


def sized(preset: Preset, model: GPTConfig, tokens: float) -> Preset:
    """A run of `model` on about so many tokens, with the learning rate and
    the batch that the recipe's rule says; its warm-up is a tenth of it at
    most."""
    rule = rule_of(preset.recipe)
    batch = rule.batch(tokens, model.context_length)
    steps = max(2, round(tokens / batch))
    N = count_parameters(model).without_embedding
    return replace(preset, model=model, tokens=steps * batch,
                   batch_tokens=batch,
                   learning_rate=rule.rate(N, steps * batch),
                   warmup_steps=min(preset.warmup_steps, steps // 10))


def _valley(preset: Preset, budget: float) -> list[Rung]:
    """All sizes that have enough steps of a row at least, and text neither
    far too little nor far too much; the nearest to that where they are few.
    """
    least = STEPS * preset.model.context_length
    low, high = TOKENS_EACH
    tokens_each, fit = {}, 0
    for model in (shape(preset, width) for width in WIDTHS):
        N = count_parameters(model).total
        if budget / (6 * N) >= least:
            tokens_each[model] = budget / (6 * N * N)
            fit += low <= tokens_each[model] <= high
    if len(tokens_each) < SIZES:
        raise ValueError(
            f"{budget:.2g} FLOP leave fewer than {SIZES} sizes {STEPS:,} "
            f"steps each: take a larger budget for {preset.name}")
    nearest = sorted(tokens_each, key=lambda model: abs(
        math.log(tokens_each[model] ** 2 / (low * high))))[:max(fit, SIZES)]
    return [Rung(sized(preset, model, budget / (
        6 * count_parameters(model).total)), budget)
        for model in tokens_each if model in nearest]


def load(path: Path) -> Ladder:
    """A recorded ladder. Raises FileNotFoundError when there is none."""
    record = json.loads(Path(path).read_text(encoding="utf-8"))
    runs = record["runs"]
    return Ladder(tuple(Rung.from_dict(run["rung"]) for run in runs),
                  np.array([run["loss"] for run in runs]),
                  tuple(np.array(run["curve"]) for run in runs),
                  record["corpus"], record["provenance"],
                  record.get("held_out"), record.get("check"))

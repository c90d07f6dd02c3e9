"""What a ladder says of a larger run, and how sure it can be (chapter 2).

The bootstrap of `fits.py` knows how much the rungs differ among themselves.
Three more things make a run end elsewhere: luck (another seed), a learning
rate that the rule for it missed, and a law that bends beyond the rungs. Each
is measured on the ladder itself, the last one by holding budgets back:
whoever would have predicted the largest budget from the smaller ones, how
wrong would they have been?

All errors are relative, of what the loss lies above the text's floor, and
taken to be independent and normal.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from course_lib.scaling.fits import bootstrap, fit
from course_lib.scaling.rungs import Ladder

RESAMPLES = 400
LEAST = 3  # budgets to fit a law to: they span a decade


@dataclass(frozen=True)
class Forecast:
    """A predicted `loss` in nats per token, with an interval (`low`, `high`)
    that should hold `level` of such runs. `parts` are the standard
    deviations, in nats, that it is made of: the fit's, the seeds', the
    learning rate's, and the extrapolation's."""

    N: int
    D: int
    loss: float
    low: float
    high: float
    level: float
    parts: dict[str, float]

    def __str__(self):
        return (f"{self.loss:.3f} nats per token ({self.level:.0%}: "
                f"{self.low:.3f} to {self.high:.3f})")


def forecast(ladder: Ladder, N, D, floor: float = 0.0,
             level: float = 0.9) -> Forecast:
    """The loss of N parameters trained on D tokens, from a ladder of the same
    text and recipe."""
    return forecasts(ladder, [(N, D)], floor, level)[0]


def forecasts(ladder: Ladder, runs, floor: float = 0.0,
              level: float = 0.9) -> list[Forecast]:
    """The same for several runs (N, D)."""
    fits = bootstrap(*ladder.runs, resamples=RESAMPLES, floor=floor)
    seeds, rate, decade = (error(ladder, floor) for error in (
        seed_error, rate_error, extrapolation_error))
    found = []
    for N, D in runs:
        loss = float(fits.fit.law.loss(N, D))
        above, beyond = loss - floor, max(0.0, math.log10(
            6 * N * D / ladder.budget.max()))
        found.append(_stated(N, D, loss, floor, level, dict(
            fit=_spread(*fits.loss(N, D, level=0.5)), seeds=above * seeds,
            rate=above * rate, extrapolation=above * decade * beyond)))
    return found


def forecast_longer(ladder: Ladder, N, D, known: tuple[float, float],
                    floor: float = 0.0, level: float = 0.9) -> Forecast:
    """The loss of N parameters trained on D tokens, where the same model's
    end after fewer tokens is `known`: (tokens, loss). The law says by which
    factor the further tokens lower what lies above the floor; where the law
    as a whole lies, too high or too low for this model, drops out."""
    before, ended = known
    fits = bootstrap(*ladder.runs, resamples=RESAMPLES, floor=floor)

    def factor(laws):
        return (laws.loss(N, D) - floor) / (laws.loss(N, before) - floor)

    above = (ended - floor) * float(factor(fits.fit.law))
    return _stated(N, D, floor + above, floor, level, dict(
        fit=(ended - floor) * _spread(*fits.interval(factor, level=0.5)),
        seeds=above * math.sqrt(2) * seed_error(ladder, floor),
        rate=above * rate_error(ladder, floor),
        extrapolation=above * longer_error(ladder, floor)
        * math.log10(D / before)))


def _stated(N, D, loss, floor, level, parts) -> Forecast:
    """A forecast whose interval is made of the parts, independent errors."""
    wide = NormalDist().inv_cdf((1 + level) / 2) * math.hypot(*parts.values())
    return Forecast(int(N), int(D), loss, max(floor, loss - wide),
                    loss + wide, level, parts)


def _spread(low, high) -> float:
    """The standard deviation of a normal distribution by its quartiles, which
    a few wild refits do not move."""
    return float(high - low) / (2 * NormalDist().inv_cdf(0.75))


def seed_error(ladder: Ladder, floor: float = 0.0) -> float:
    """The standard deviation between runs that differ in their seed alone,
    as a share of what they lie above the floor, pooled over the budgets."""
    kept, squares = ladder[ladder.rate == 1], []
    again = kept[kept.seed != kept.seed.min()]
    for N, D in zip(again.N, again.D, strict=True):
        same = (kept.N == N) & (kept.D == D)
        squares.append(np.var(np.log(kept.loss[same] - floor), ddof=1))
    return math.sqrt(np.mean(squares))


def rate_error(ladder: Ladder, floor: float = 0.0) -> float:
    """How far above the best learning rate's loss the rule's lies, as a share
    of what it lies above the floor: at whichever end of the ladder it is
    further, by the parabola through half, once and twice the rule's."""
    worst = 0.0
    checked = ladder[ladder.rate != 1]
    for budget in np.unique(checked.budget):
        three = ladder[(ladder.budget == budget) & (ladder.seed
                                                    == ladder.seed.min())]
        three = three[np.isin(three.N, checked[
            checked.budget == budget].N)]
        x, y = np.log2(three.rate), np.log(three.loss - floor)
        a, b, _ = np.polyfit(x, y, 2)
        # without a bottom between the three, the lowest of them
        lowest = -b * b / (4 * a) if a > 0 and abs(b / (2 * a)) <= 1 else (
            y.min() - y[x == 0][0])
        worst = max(worst, -lowest)
    return worst


def extrapolation_error(ladder: Ladder, floor: float = 0.0) -> float:
    """How wrong a law is for each decade of compute beyond its runs, as a
    share of what the loss lies above the floor: the root mean square over
    every budget that can be held back with all above it."""
    errors = []
    for held, far in held_back(ladder, floor):
        errors.extend((np.log(held["measured"] - floor)
                       - np.log(held["predicted"] - floor)) / far)
    return float(np.sqrt(np.mean(np.square(errors))))


def held_back(ladder: Ladder, floor: float = 0.0):
    """For each way to cut the ladder below one of its budgets, and for each
    budget above the cut: (measured and predicted losses, decades beyond)."""
    budgets = np.unique(ladder.budget)
    rule = ladder[ladder.rate == 1]
    for cut in range(min(LEAST, len(budgets) - 1), len(budgets)):
        few = rule[rule.budget <= budgets[cut - 1] * 1.001]
        law = fit(*few.runs, floor=floor).law
        for budget in budgets[cut:]:
            ahead = rule[rule.budget == budget]
            yield (dict(measured=ahead.loss,
                        predicted=law.loss(ahead.N, ahead.D)),
                   math.log10(budget / budgets[cut - 1]))


def longer_error(ladder: Ladder, floor: float = 0.0) -> float:
    """How wrong a law is about the same model on more tokens, for each
    decade of them, as a share of what the loss lies above the floor: the root
    mean square over all `lengthened` rungs."""
    errors = []
    for few, N, (before, ended), D, loss in lengthened(ladder):
        law = fit(*few.runs, floor=floor).law
        gained = math.log((law.loss(N, D) - floor)
                          / (law.loss(N, before) - floor))
        errors.append((math.log((loss - floor) / (ended - floor)) - gained)
                      / math.log10(D / before))
    return float(np.sqrt(np.mean(np.square(errors))))


def lengthened(ladder: Ladder):
    """Each rung whose model stands in a lower valley too, with what could
    have been known below: (the ladder up to that valley, N, the lower one's
    (tokens, loss), the rung's tokens, its loss)."""
    budgets = np.unique(ladder.budget)
    rule = ladder[(ladder.rate == 1) & (ladder.seed == ladder.seed.min())]
    for cut in budgets[min(LEAST, len(budgets) - 1) - 1:]:
        few = ladder[ladder.budget <= cut * 1.001]
        here = rule[rule.budget == cut]
        for N, before, ended in zip(here.N, here.D, here.loss, strict=True):
            more = rule[(rule.N == N) & (rule.budget > cut * 1.001)]
            for D, loss in zip(more.D, more.loss, strict=True):
                yield few, N, (before, ended), D, loss


def hindcast(ladder: Ladder, held: int, floor: float = 0.0,
             level: float = 0.9) -> tuple[np.ndarray, list[Forecast]]:
    """What the ladder without its `held` largest budgets says of the runs
    there: (their losses (n,), the forecast of each). The share of losses
    inside their intervals should be near `level`."""
    cut = np.unique(ladder.budget)[-held]
    few = ladder[ladder.budget < cut]
    ahead = ladder[(ladder.budget >= cut) & (ladder.rate == 1)]
    return ahead.loss, forecasts(few, zip(ahead.N, ahead.D, strict=True),
                                 floor, level)

"""The learning rate and the batch for a model of any size (chapter 2).

A ladder is fair only when each rung learns at its own best rate. The rule
here has the form that Li et al. 2025 ("step law") found for AdamW on models
of 60M to 1B parameters, with rate = 1.79 N^-0.713 D^0.307 and batch
= 0.58 D^0.571 tokens. As there, N leaves the embeddings out: a large
vocabulary makes N larger and the best rate hardly smaller. The constants come
from sweeps at the sizes of this book (book/results/rates_*.json, made by
benchmarks/rates.py), as those of larger models do not reach down here.
"""

import math
from dataclasses import dataclass

import numpy as np

STEPS = 1_000  # at least: with fewer, nothing but the first fall is seen


@dataclass(frozen=True)
class Rule:
    """rate = factor N^of_N D^of_D for N parameters, embeddings not counted,
    trained on D tokens, in batches of `batch_factor` D^batch_power tokens."""

    factor: float
    of_N: float
    of_D: float
    batch_factor: float = 0.58
    batch_power: float = 0.571

    def rate(self, N: float, D: float) -> float:
        """The learning rate."""
        return self.factor * N**self.of_N * D**self.of_D

    def batch(self, D: float, row: int) -> int:
        """Tokens of a step in whole rows of `row` tokens: fewer than the
        rule says where the run would else have under STEPS steps, one row
        at least."""
        tokens = min(self.batch_factor * D**self.batch_power, D / STEPS)
        return max(1, math.floor(tokens / row)) * row


PUBLISHED = {"li_2025": Rule(1.79, -0.713, 0.307)}
# fitted to the best rates of sweeps, of 2 thousand to 100 thousand parameters
# without embeddings: on stories, and for "modern" on books too, of another
# vocabulary (tests/scaling/test_hyperparameters.py does it again)
RULES = {"gpt2": Rule(0.0900, -0.346, 0.0724),
         "modern": Rule(0.00965, -0.286, 0.205)}


def rule_of(recipe: str) -> Rule:
    """The rule of a recipe; that of the nearest for one that no sweep was
    made for."""
    return RULES.get(recipe, RULES["gpt2"])


def fit_rule(N, D, rate, cost=None) -> Rule:
    """The rule nearest to the best rates (n,) of models of N (n,) parameters,
    embeddings not counted, trained on D (n,) tokens, by least squares in the
    logarithms. `cost` (n,) is what being off by a factor of two costs a
    point, in nats: how much its place counts. Raises ValueError where N and D
    grow in step, so that the two powers cannot be told apart."""
    columns = np.stack([np.ones(len(N)), np.log(N), np.log(D)], 1)
    weight = np.sqrt(np.ones(len(N)) if cost is None else np.asarray(cost))
    if np.linalg.cond(columns - columns.mean(0) + [1, 0, 0]) > 1e6:
        raise ValueError("N and D grow in step: sweep sizes and lengths that "
                         "do not")
    found, *_ = np.linalg.lstsq(columns * weight[:, None],
                                np.log(rate) * weight)
    return Rule(float(np.exp(found[0])), *map(float, found[1:]))

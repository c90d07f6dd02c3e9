"""The rules for rate and batch are what the recorded sweeps say."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from course_lib.model.cost import count_parameters
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.scaling.hyperparameters import RULES, STEPS, fit_rule
from course_lib.showing.page import RESULTS

SWEEPS = {"gpt2": ["stories_gpt2"],
          "modern": ["stories_modern", "books_modern"]}


def sweep(name: str):
    """(parameters without embeddings, all parameters, tokens, point) of each
    point of a recorded sweep that has a bottom."""
    record = json.loads((RESULTS / f"rates_{name}.json").read_text())
    base = find_recipe(record["recipe"]).at(load_preset(record["scale"]))
    for point in record["points"]:
        of = point["point"]
        N = count_parameters(replace(
            base.model, n_layer=of["layers"], n_embd=of["width"],
            n_head=of["heads"]))
        assert N.total == point["N"]
        if "rate" in point:
            yield N.without_embedding, N.total, of["tokens"], point


def best_points(name: str):
    """Of each size and length swept, the batch that ended lowest."""
    best = {}
    for body, N, D, point in sweep(name):
        if (N, D) not in best or point["loss"] < best[N, D][-1]["loss"]:
            best[N, D] = body, N, D, point
    return list(best.values())


@pytest.mark.parametrize("recipe", RULES)
def test_the_rule_is_fitted_to_runs_with_more_tokens_than_parameters(recipe):
    points = [one for name in SWEEPS[recipe] for one in best_points(name)]
    body, N, D, found = zip(*points, strict=True)
    rungs = np.greater(D, N)
    again = fit_rule(*(np.array(column)[rungs] for column in (
        body, D, [point["rate"] for point in found])))
    rule = RULES[recipe]
    assert (rule.factor, rule.of_N, rule.of_D) == pytest.approx(
        (again.factor, again.of_N, again.of_D), rel=0.01)
    for size, tokens, point, rung in zip(body, D, found, rungs, strict=True):
        off = math.log2(rule.rate(size, tokens) / point["rate"])
        assert abs(off) < (0.3 if rung else 1.1)
        if rung:
            assert point["cost"] * off**2 < 0.002  # nats


def test_a_rule_from_stories_alone_says_the_rates_of_books():
    """Other text, eight times the vocabulary: within a factor of 1.3."""
    body, _, D, found = zip(*best_points("stories_modern"), strict=True)
    rule = fit_rule(body, D, [point["rate"] for point in found])
    books = [one for one in best_points("books_modern") if one[2] > one[1]]
    assert len(books) >= 4
    for body, _, D, point in books:
        assert 1 / 1.3 < rule.rate(body, D) / point["rate"] < 1.3


@pytest.mark.parametrize("recipe", RULES)
def test_larger_batches_were_better_down_to_a_thousand_steps(recipe):
    record = json.loads((RESULTS / f"rates_stories_{recipe}.json").read_text())
    by = {}
    for point in record["points"]:
        if "loss" in point:
            by.setdefault((point["N"], point["point"]["tokens"]), []).append(
                (point["point"]["batch"], point["loss"]))
    pairs = [sorted(rows) for rows in by.values() if len(rows) > 1]
    assert len(pairs) >= 2
    for rows in pairs:
        assert np.all(np.diff([loss for _, loss in rows]) < 0)
    for (_, tokens), rows in by.items():
        assert max(rows)[0] <= tokens / STEPS

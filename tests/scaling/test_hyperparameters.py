"""The rules for rate and batch are what the recorded sweeps say."""

import json
import math

import numpy as np
import pytest

from course_lib.scaling.hyperparameters import RULES, STEPS, fit_rule
from course_lib.showing.page import RESULTS


def best_points(recipe: str):
    """Of each size and length swept, the batch that ended lowest."""
    record = json.loads((RESULTS / f"rates_stories_{recipe}.json").read_text())
    best = {}
    for point in record["points"]:
        key = point["N"], point["point"]["tokens"]
        if "rate" in point and (key not in best
                                or point["loss"] < best[key]["loss"]):
            best[key] = point
    return [(N, D, point) for (N, D), point in best.items()]


@pytest.mark.parametrize("recipe", RULES)
def test_the_rule_is_fitted_at_the_ends_and_holds_in_the_middle(recipe):
    points = best_points(recipe)
    sizes = sorted({N for N, _, _ in points})
    ends = [one for one in points if one[0] in (sizes[0], sizes[-1])]
    assert len(ends) == 4
    N, D, found = zip(*ends, strict=True)
    again = fit_rule(N, D, [point["rate"] for point in found])
    rule = RULES[recipe]
    assert (rule.factor, rule.of_N, rule.of_D) == pytest.approx(
        (again.factor, again.of_N, again.of_D), rel=0.01)
    for N, D, point in points:
        off = abs(math.log2(rule.rate(N, D) / point["rate"]))
        assert off < (0.15 if N in (sizes[0], sizes[-1]) else 0.6)


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

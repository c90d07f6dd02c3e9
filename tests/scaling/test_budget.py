"""Money, hours and plans."""

import dataclasses

import numpy as np
import pytest

from course_lib.machine.gpus import GPUS
from course_lib.scaling import budget
from course_lib.scaling.fits import bootstrap
from course_lib.scaling.laws import PUBLISHED


def test_the_2023_run():
    """20 hours of a V100 at 16% of its peak: about 1.45e18 FLOP and $50."""
    assert budget.hours(1.45e18, "V100", 0.16) == pytest.approx(20, rel=0.01)
    assert budget.dollars(1.45e18, "V100", 0.16) == pytest.approx(50, rel=0.01)
    assert budget.mfu(1.45e18, 20 * 3600, "V100") == pytest.approx(0.16,
                                                                   rel=0.01)


def test_prices_can_be_overridden_and_precisions_chosen():
    cheap = dataclasses.replace(GPUS["A100"], dollars_per_hour=1.0)
    assert budget.dollars(1e18, cheap, 0.5) == budget.hours(1e18, cheap, 0.5)
    assert budget.hours(1e18, cheap, 0.5, "float32") == pytest.approx(
        16 * budget.hours(1e18, cheap, 0.5))
    with pytest.raises(ValueError, match="V100 has no native bfloat16"):
        budget.hours(1e18, "V100", 0.5, "bfloat16")
    with pytest.raises(ValueError, match="dollars_per_hour"):
        dataclasses.replace(cheap, dollars_per_hour=0.0)


def test_plan_is_the_way_back_from_dollars():
    law = PUBLISHED["hoffmann_2022"]
    plan = budget.plan(50, "v100", 0.16, law)
    assert budget.dollars(plan.flop, "V100", 0.16) == pytest.approx(50)
    assert 6 * plan.N * plan.D == pytest.approx(plan.flop)
    assert plan.loss == pytest.approx(float(law.loss(plan.N, plan.D)))
    assert plan.intervals == {} and "refits" not in "".join(plan.lines())


def test_plan_by_default_has_intervals():
    plan = budget.plan(50, "v100", 0.16)
    for name in ("N", "D", "loss"):
        low, high = plan.intervals[name]
        assert low < getattr(plan, name) < high < 1.3 * low, name
    low, high = plan.intervals["N"]
    assert 6 * low * plan.intervals["D"][1] == pytest.approx(plan.flop)
    text = "\n".join(plan.lines())
    for word in ("16%", "assumed", "V100", "20.2 hours", "Google Cloud",
                 f"90% of refits: {budget.count(low)} to", "Hoffmann"):
        assert word in text


def test_plan_by_a_ladder_of_ones_own():
    """Any bootstrap will do, with its intervals."""
    law = PUBLISHED["besiroglu_2024"]
    draw = np.random.default_rng(0)
    N, D = np.exp(draw.uniform(np.log([[1e6], [2e7]]), np.log([[1e8], [2e9]]),
                               (2, 40)))
    fits = bootstrap(N, D, law.loss(N, D) * np.exp(draw.normal(0, 0.002, 40)),
                     resamples=100)
    plan = budget.plan(5, "T4", 0.3, fits)
    assert plan.N == pytest.approx(float(fits.fit.law.optimum(plan.flop)[0]))
    assert plan.intervals["N"] == pytest.approx(
        fits.optimum(plan.flop)[0])


@pytest.mark.parametrize("value, text", [
    (50.3e6, "50.3M"), (1.1e9, "1.1B"), (2e12, "2T"), (4_096, "4.1K"),
    (12, "12")])
def test_count(value, text):
    assert budget.count(value) == text


@pytest.mark.parametrize("bad", [dict(mfu=0), dict(mfu=1.5), dict(flop=-1),
                                 dict(flop=float("nan"))])
def test_bad_values_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        budget.hours(**(dict(flop=1e18, gpu="T4", mfu=0.4) | bad))
    with pytest.raises(ValueError, match="dollars must be above 0"):
        budget.plan(-5, "T4", 0.4, PUBLISHED["hoffmann_2022"])

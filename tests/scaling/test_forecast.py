"""Forecasts from ladders whose law is known, and the dial on top of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.scaling import dial
from course_lib.scaling.forecasting import (
    extrapolation_error,
    forecast,
    forecast_longer,
    held_back,
    hindcast,
    lengthened,
    longer_error,
    rate_error,
    seed_error,
)
from course_lib.scaling.hyperparameters import PUBLISHED, Rule, fit_rule
from course_lib.scaling.laws import ScalingLaw
from course_lib.scaling.rungs import Ladder, rungs

LAW = ScalingLaw(1.9, 60.0, 400.0, 0.35, 0.40)
SCALE = find_recipe("modern").at(load_preset("evening"))


def invented(law=LAW, noise=0.003, seed=0, misses=0.0, floor=0.0,
             bend=0.0) -> Ladder:
    """A ladder that follows a law, with noise between seeds, a rule for the
    rate that misses by `misses` octaves, and a bend that no power law has:
    so much more of what lies above the floor for the square of the decades
    of compute beyond the smallest."""
    draw = np.random.default_rng(seed)
    plan = tuple(rungs(SCALE, top=4e13))
    ladder = Ladder(plan, np.ones(len(plan)), tuple([None] * len(plan)),
                    dict(name="books"), dict(date="2026-01-01"),
                    held_out=dict(tokens=1000, bytes=3500))
    off = np.log2(ladder.rate) + misses
    above = law.loss(ladder.N, ladder.D) - floor
    above *= np.exp(0.02 * off**2 + draw.normal(0, noise, len(plan))
                    + bend * np.log10(ladder.budget / ladder.budget.min())**2)
    return Ladder(plan, floor + above, ladder.curves, ladder.corpus,
                  ladder.made, ladder.held_out)


def test_a_longer_run_is_predicted_from_a_shorter_one(monkeypatch):
    """Of a model that lies off the law by a twentieth: its first end says so,
    and the second is predicted from there."""
    monkeypatch.setattr("course_lib.scaling.forecasting.RESAMPLES", 60)
    N, before, D = 8_000_000, 25_000_000, 100_000_000
    for floor in (0.0, 1.5):
        first, second = (floor + 1.05 * (float(LAW.loss(N, each)) - floor)
                         for each in (before, D))
        ladder = invented(noise=0.004, floor=floor)
        blind = forecast(ladder, N, D, floor)
        says = forecast_longer(ladder, N, D, (before, first), floor)
        assert says.low < second < says.high
        assert abs(says.loss - second) < 0.03
        assert says.high - says.low < (blind.high - blind.low) / 1.5
    pairs = list(lengthened(ladder))
    assert len(pairs) > 5
    for few, N, (before, _), D, _ in pairs:
        assert D > 1.5 * before and few.budget.max() < 6 * N * D * 0.9
    straight, bent = (longer_error(invented(noise=1e-4, bend=bend))
                      for bend in (0.0, 0.02))
    assert straight < 0.003 < 0.01 < bent


def test_the_parts_of_an_error_are_found():
    ladders = [invented(noise=0.01, seed=seed) for seed in range(20)]
    assert np.mean([seed_error(one)**2 for one in ladders])**0.5 \
        == pytest.approx(0.01, rel=0.35)
    assert rate_error(invented(noise=1e-6)) == pytest.approx(0, abs=1e-3)
    assert rate_error(invented(noise=1e-6, misses=1)) == pytest.approx(
        0.02, rel=0.2)
    straight, bent = (extrapolation_error(invented(noise=1e-4, bend=bend))
                      for bend in (0.0, 0.02))
    assert straight < 0.003 < 0.01 < bent


@pytest.mark.parametrize("floor", [0.0, 1.5])
def test_nine_in_ten_intervals_hold_the_loss_of_a_larger_run(
        floor, monkeypatch):
    monkeypatch.setattr("course_lib.scaling.forecasting.RESAMPLES", 60)
    N, D, inside, widths = 8_000_000, 100_000_000, [], []
    for seed in range(30):
        says = forecast(invented(noise=0.004, seed=seed, floor=floor), N, D,
                        floor)
        ended = floor + (LAW.loss(N, D) - floor) * math.exp(
            np.random.default_rng(1000 + seed).normal(0, 0.004))
        inside.append(says.low <= ended <= says.high)
        widths.append(says.high - says.low)
        assert says.low < says.loss < says.high
    assert 0.8 <= np.mean(inside)
    assert np.median(widths) < 0.6


def test_what_is_held_back_was_not_seen():
    ladder = invented(noise=1e-6)
    cuts = list(held_back(ladder))
    assert len(cuts) == 2 + 1  # of five budgets, three in a fit at least
    for held, far in cuts:
        assert far > 0.4
        assert held["predicted"] == pytest.approx(held["measured"], rel=5e-3)


@pytest.mark.parametrize("held", [1, 2])
def test_hindcasts_hold_what_was_held_back(held, monkeypatch):
    monkeypatch.setattr("course_lib.scaling.forecasting.RESAMPLES", 60)
    ladder = invented(noise=0.003)
    losses, says = hindcast(ladder, held)
    top = np.unique(ladder.budget)[-held:]
    ahead = ladder[np.isin(ladder.budget, top) & (ladder.rate == 1)]
    assert np.array_equal(losses, ahead.loss)
    assert [one.N for one in says] == list(ahead.N)
    inside = [one.low <= loss <= one.high
              for one, loss in zip(says, losses, strict=True)]
    assert np.mean(inside) >= 0.8
    # what is held back changes no forecast of it
    other = replace(ladder, loss=np.where(
        ladder.budget >= top[0], 9.0, ladder.loss))
    assert hindcast(other, held)[1] == says


def test_a_floor_is_kept_to():
    ladder = invented(noise=0.002, floor=1.5)
    says = forecast(ladder, 10**9, 10**12, floor=1.5)
    assert says.low >= 1.5 and says.loss >= 1.5


def test_the_rule_is_found_again():
    N, D = np.meshgrid([2e4, 2e5, 2e6], [3e5, 3e6, 3e7])
    N, D = N.ravel(), D.ravel()
    truth = Rule(0.5, -0.4, 0.1)
    found = fit_rule(N, D, truth.rate(N, D))
    assert (found.factor, found.of_N, found.of_D) == pytest.approx(
        (0.5, -0.4, 0.1))
    with pytest.raises(ValueError, match="grow in step"):
        fit_rule(N.ravel()[[0, 4, 8]], 20 * N.ravel()[[0, 4, 8]], [1, 2, 3])


@pytest.mark.parametrize("D", [1e4, 1e5, 1e6, 1e8, 1e10])
def test_batches_are_whole_rows_and_leave_a_thousand_steps(D):
    batch = PUBLISHED["li_2025"].batch(D, 256)
    assert batch % 256 == 0 and batch >= 256
    assert D / batch >= 1000 or batch == 256


def even(model):
    """A machine that does 3e11 FLOP/s whatever the model."""
    return 3e11 / flops_per_token(model)


def test_more_time_buys_a_larger_model_and_a_lower_loss():
    ladder, last = invented(), None
    for hours in (0.2, 1, 5, 25):
        choice = dial.choose(SCALE, ladder, hours * 3600, even)
        run = choice.preset
        assert run.tokens / choice.speed == pytest.approx(hours * 3600,
                                                          rel=0.01)
        assert choice.flop == pytest.approx(3e11 * hours * 3600, rel=0.01)
        assert choice.forecast.N == count_parameters(run.model).total
        if last:
            assert run.model.n_embd >= last.preset.model.n_embd
            assert choice.forecast.loss < last.forecast.loss
        last = choice
        text = "\n".join(choice.lines())
        assert f"layers {run.model.n_layer}" in text and "bits per" in text
    # nearly as low as the law's own optimum, with fewer parameters
    best = LAW.optimum(choice.flop)
    assert choice.forecast.N < 1.1 * best[0]
    assert choice.forecast.loss < LAW.loss(*best) + 3 * dial.FLAT


def test_a_slow_small_model_moves_the_choice():
    def slow(model):
        return even(model) * min(1, (model.n_embd / 256) ** 2)

    here = dial.choose(SCALE, invented(), 3600, slow)
    there = dial.choose(SCALE, invented(), 3600, even)
    assert here.preset.model.n_embd > there.preset.model.n_embd


def test_little_text_means_passes_and_costs():
    ladder = invented()
    new = dial.choose(SCALE, ladder, 3600 * 5, even)
    old = dial.choose(SCALE, ladder, 3600 * 5, even, unique=2_000_000)
    assert old.forecast.loss > new.forecast.loss + 0.05
    assert "passes over" in "\n".join(old.lines())
    capped = dial.choose(SCALE, ladder, 3600 * 5, even, tokens=1_000_000)
    assert capped.preset.tokens <= 1_000_000
    small = dial.choose(SCALE, ladder, 3600 * 5, even, largest=500_000)
    assert small.forecast.N <= 500_000 < new.forecast.N
    assert small.forecast.loss > new.forecast.loss
    with pytest.raises(ValueError, match="too short"):
        dial.choose(SCALE, ladder, 1e-3, even)
    with pytest.raises(ValueError, match="above 0"):
        dial.choose(SCALE, ladder, -1, even)

"""What a ladder says is normal, held against the ladder's own top."""

import math

import numpy as np
import pytest

from course_lib import stages
from course_lib.measuring.bands import judge
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.scaling.bands import ladder_band

VALLEYS = 1e14  # FLOP: beyond lies the evening model itself


@pytest.mark.parametrize("scale, recipe", [
    ("laptop", "gpt2"), ("laptop", "modern"), ("evening", "modern")])
def test_the_runs_of_a_budget_lie_in_the_band_of_those_below(
        scale, recipe, monkeypatch):
    """On their way and at their end; a model that has learned nothing does
    not."""
    monkeypatch.setattr("course_lib.scaling.forecasting.RESAMPLES", 40)
    preset = find_recipe(recipe).at(load_preset(scale))
    ladder = stages.ladder(preset)
    floor = stages.loss_floor(preset, ladder)
    ladder = ladder[ladder.budget < VALLEYS]
    top = ladder.budget == ladder.budget.max()
    ahead, few, inside = ladder[top & (ladder.rate == 1)], ladder[~top], []
    for rung, curve, loss in zip(ahead.rungs, ahead.curves, ahead.loss,
                                 strict=True):
        run, band = rung.preset, ladder_band(rung.preset, few, floor)
        for share in (0.25, 0.5, 0.75):
            low, high = band.at(share)
            inside.append(low < np.interp(share * run.tokens, *curve.T)
                          < high)
        said = judge(run, run.steps, loss, band)
        inside.append(said[0].startswith("normal"))
        said = judge(run, run.steps, math.log(run.model.vocab_size), band)
        assert said[0].startswith("above") and "scaled by the law" in said[0]
    assert len(inside) >= 20 and np.mean(inside) > 0.9

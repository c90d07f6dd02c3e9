"""Where a step's time goes: all of it, each part once."""

import time
from dataclasses import replace

import pytest
import tiny

from course_lib.model.cost import flops_by_part
from course_lib.training.profiling import HEAD, PARTS, WITH_WEIGHTS
from course_lib.training.profiling import profile_step as profile
from course_lib.training.start import steps_on_random


@pytest.mark.parametrize("compiles", [
    False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_parts_are_the_step(compiles, optimizer):
    preset = replace(tiny.PRESET, optimizer=optimizer)
    spent = profile(preset, "cpu", "float32", compiles)
    assert tuple(spent) == PARTS
    assert all(part.seconds > 0 for part in spent.values())
    step, tokens = steps_on_random(preset, "cpu", "float32", compiles, 2)
    step()
    began = time.perf_counter()
    step()
    wall = time.perf_counter() - began
    assert wall / 20 < sum(part.seconds for part in spent.values()) < wall * 20
    flop = flops_by_part(preset.model)
    assert spent[HEAD].flop == flop["head"] * tokens
    assert spent[WITH_WEIGHTS].flop == tokens * (
        flop["attention projections"] + flop["mlp"])

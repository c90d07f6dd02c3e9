"""Where a step's time goes: all of it, each part once."""

import time
from dataclasses import replace

import pytest
import tiny

from course_lib.model.cost import flops_by_part
from course_lib.training.profiling import (
    HEAD,
    PARTS,
    WITH_WEIGHTS,
    profile_step,
)


@pytest.mark.parametrize("optimizer, compiles", [
    ("adamw", False), ("muon", False),
    pytest.param("adamw", True, marks=pytest.mark.slow)])
def test_the_parts_are_the_step(optimizer, compiles):
    preset = replace(tiny.PRESET, optimizer=optimizer)
    began = time.perf_counter()
    spent = profile_step(preset, "cpu", "float32", compiles, times=1)
    wall = time.perf_counter() - began
    assert tuple(spent) == PARTS
    assert all(part.seconds > 0 for part in spent.values())
    assert sum(part.seconds for part in spent.values()) < wall
    flop, tokens = flops_by_part(preset.model), preset.batch_tokens
    assert spent[HEAD].flop == flop["head"] * tokens
    assert spent[WITH_WEIGHTS].flop == tokens * (
        flop["attention projections"] + flop["mlp"])

"""A run with nothing but a file's own parts, and its band."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from course_lib.exercises import graduation

HERE = Path(__file__).parent
SOLUTION = HERE / "solution.py"
RECORD = json.loads(graduation.RECORD.read_text())


def test_the_band_is_measured_and_narrow():
    low, high = graduation.band(RECORD["losses"])
    assert len(RECORD["losses"]) >= 5
    assert low < min(RECORD["losses"]) and max(RECORD["losses"]) < high
    assert high - low < 0.4
    assert graduation.judged((low + high) / 2)[0]
    good, said = graduation.judged(low - 0.01)
    assert not good and "look ahead" in said
    good, said = graduation.judged(high + 0.01)
    assert not good and "worse" in said


def test_the_band_holds_what_it_says():
    """Of samples with one more draw, all but a hundredth lie within."""
    draw = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        *losses, last = draw.normal(2, 0.1, 6)
        low, high = graduation.band(losses)
        inside += low <= last <= high
    assert 0.98 < inside / 2000 < 0.997


@pytest.mark.slow
def test_the_solution_graduates():
    lines = []
    loss = graduation.graduate(SOLUTION, lines.append, seed=0)
    assert graduation.judged(loss)[0]
    [pairs] = [float(line.split()[2]) for line in lines
               if line.startswith("counting pairs")]
    assert loss < pairs - 0.8  # a GPT that learns more than pairs
    assert lines[-1].startswith("life is about") and "\ufffd" not in lines[-1]


@pytest.mark.parametrize("text, what", [
    ("", "has no gpt yet"),
    ("def gpt(", "line 1: '(' was never closed"),
])
def test_what_is_missing_is_said_before_anything_is_trained(
        tmp_path, text, what):
    path = tmp_path / "my_gpt.py"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "course_lib.exercises.graduation", str(path)],
        capture_output=True, text=True)
    assert done.returncode == 1 and what in done.stdout
    assert "Traceback" not in done.stdout + done.stderr

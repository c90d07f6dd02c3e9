"""Memory that is kept is not asked for again."""

import subprocess
import sys

import pytest

COUNT = """
import resource, sys, torch
from course_lib.machine.memory import keep_memory
from course_lib.model import GPT
from course_lib.presets import load_preset
kept = sys.argv[1] == "keep" and keep_memory()
model = GPT(load_preset("laptop").model)
ids = torch.zeros(16, 128, dtype=torch.long)
def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        model.loss(ids, ids).backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(3)
print(kept, faults(3))
"""


def faults(how):
    """Whether memory was kept, and the page faults of three steps."""
    kept, count = subprocess.run(
        [sys.executable, "-c", COUNT, how], check=True, text=True,
        stdout=subprocess.PIPE).stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"),
                    reason="the malloc of another system")
def test_a_step_asks_for_no_new_memory():
    kept, few = faults("keep")
    _, many = faults("give back")
    if kept:  # by glibc
        assert few < many / 10, (few, many)
    assert many > 1000

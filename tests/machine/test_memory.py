"""Memory that is kept is not asked for again."""

import subprocess
import sys

import pytest

COUNT = """
import resource, sys, torch
from course_lib.machine.memory import keep_memory
from course_lib.model.loss import all_logits_at_once
kept = sys.argv[1] == "keep" and keep_memory()
x = torch.randn(1100, 64, requires_grad=True)
weight = torch.randn(8192, 64, requires_grad=True)
targets = torch.zeros(1100, dtype=torch.long)
def faults(steps):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        all_logits_at_once(x, weight, targets).backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(30)  # until the heap has a place for everything
print(kept, faults(3))
"""


def faults(how):
    """Whether memory was kept, and the page faults of three losses with
    their gradients, whose tensors are larger than what malloc ever keeps
    by itself."""
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

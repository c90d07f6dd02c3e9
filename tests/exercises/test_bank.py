"""The checker, checked: every known mistake is refused and named, and no
right implementation is refused."""

from collections import Counter

import pytest
import rights
import solution
import torch

from course_lib.exercises import bank, check
from course_lib.exercises.names import NAMES

MISTAKES = [each for name in NAMES for each in bank.mistakes(name)]
RIGHT = [(name, made) for name in NAMES for made in rights.RIGHT[name]]


def test_the_steps_are_those_of_the_list():
    assert tuple(bank.steps()) == NAMES


def test_at_least_four_mistakes_a_step_each_with_a_name_of_its_own():
    counts = Counter(each.step for each in MISTAKES)
    assert counts.keys() == {*NAMES} and min(counts.values()) >= 4
    assert len(MISTAKES) >= 80
    named = Counter((each.step, each.name) for each in MISTAKES)
    assert max(named.values()) == 1
    assert all(len(each.why) >= 8 for each in MISTAKES)


@pytest.mark.parametrize("mistake", MISTAKES,
                         ids=lambda each: f"{each.step}: {each.name}")
def test_every_mistake_is_refused_and_named(mistake):
    verdict = check(mistake.step, mistake.made)
    assert (verdict.status, verdict.mistake) == ("wrong", mistake.name)
    assert mistake.why == verdict.lines[0]
    assert any("example" in line for line in verdict.lines)


def test_at_least_three_right_ones_a_step():
    assert min(len(rights.RIGHT[name]) for name in NAMES) >= 3


@pytest.mark.parametrize("step, made", RIGHT, ids=lambda part: part if
                         isinstance(part, str) else part.__name__)
def test_no_right_one_is_refused(step, made):
    verdict = check(step, made)
    assert verdict.right, verdict


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_and_the_package_are_right(name):
    step = bank.find(name)
    own = next(getattr(solution, each) for each in step.objects
               if hasattr(solution, each))
    for made in (own, *step.rights):
        verdict = check(name, made)
        assert verdict.right, verdict


@pytest.mark.parametrize("name", ["attention", "softmax", "adamw", "rotary"])
def test_rounding_to_32_bits_is_refused_and_said(name):
    own = getattr(solution, name)

    def rounded(*given, **named):
        out = own(*given, **named)
        parts = out if isinstance(out, tuple) else (out,)
        parts = [part.float().double() for part in parts]
        return tuple(parts) if isinstance(out, tuple) else parts[0]

    verdict = check(name, rounded)
    assert verdict.status == "wrong" and "seven digits" in verdict.mistake


@pytest.mark.parametrize("size, status", [(3e-9, "wrong"), (1e-14, "right")])
def test_the_tolerance(size, status):
    def off(logits):
        return solution.softmax(logits) + size
    assert check("softmax", off).status == status


def test_two_mistakes_at_once_are_refused_without_a_name():
    def both(q, k, v):
        scores = (q @ k.mT).tril(1)
        return scores.softmax(-1) @ v
    verdict = check("attention", both)
    assert verdict.status == "wrong" and verdict.mistake is None


def test_the_state_of_the_caller_is_left_alone():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    check("generate", solution.generate)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32


def test_an_endless_loop_ends():
    def endless(logits):
        while True:
            pass
    verdict = check("softmax", endless, seconds=0.5)
    assert verdict.status == "stopped" and "loop" in verdict.lines[0]


def test_what_a_function_raises_is_shown_with_its_line():
    def broken(logits):
        return logits.no_such_method()
    verdict = check("softmax", broken)
    text = str(verdict)
    assert "AttributeError" in text and "no_such_method()" in text
    assert "Traceback" not in text


def test_an_unknown_step_says_which_there_are():
    with pytest.raises(ValueError, match="softmax"):
        check("sotfmax", solution.softmax)


def test_a_body_that_is_only_a_docstring_is_not_begun():
    def softmax(logits):
        """Probabilities."""
    assert check("softmax", softmax).status == "not begun"

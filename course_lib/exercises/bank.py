"""All steps, in the order of the chapters, and all known mistakes."""

from functools import cache

from course_lib.exercises.names import chosen
from course_lib.exercises.step import Mistake, Step

CHAPTERS = ("primer", "architecture", "scaling", "tokenizer", "training",
            "sampling", "cheaper")
MISTAKES = (*CHAPTERS[:2], "modules", *CHAPTERS[2:])


@cache
def steps() -> dict[str, Step]:
    """Every step by its name."""
    return {step.name: step for chapter in CHAPTERS
            for step in _module("steps", chapter).STEPS}


@cache
def mistakes(step: str) -> list[Mistake]:
    """The known mistakes of a step."""
    found = (_module("mistakes", name).mistake.mistakes for name in MISTAKES)
    return [each for part in found for each in part if each.step == step]


def find(name: str) -> Step:
    """The step of that name. Raises ValueError for an unknown one."""
    return steps()[chosen([name])[0]]


def _module(kind: str, name: str):
    from importlib import import_module
    return import_module(f"course_lib.exercises.{kind}.{name}")

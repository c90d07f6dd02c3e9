"""A step of the reader's file, and a known way to get it wrong."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

from course_lib.exercises.values import copied, plain, same


@dataclass(frozen=True)
class Raised:
    """What was seen is an exception: its type, message and line."""

    kind: str
    message: str = field(compare=False, default="")
    line: int | None = field(compare=False, default=None)


def call(candidate, case: dict) -> dict:
    """What is seen of a function: its output, and arguments that it
    changed, which none should."""
    given = copied(case)
    output = plain(candidate(**given))
    changed = [name for name in case
               if not callable(case[name])
               and not same(plain(given[name]), plain(case[name]))]
    return {"output": output, "arguments changed": ", ".join(changed)}


def output_of(candidate, case: dict) -> dict:
    """The output alone, where arguments may be written over."""
    return {"output": plain(candidate(**copied(case)))}


@dataclass(frozen=True)
class Step:
    """One thing to write. `chapter` and `section` say where the book has it,
    `names` what it may be called in a file; `cases` makes examples, the
    smallest first; `observe(candidate, case)` is what is seen of it, by
    name; any of `rights` is right."""

    name: str
    chapter: str
    section: str
    cases: Callable
    rights: tuple
    observe: Callable = call
    names: tuple[str, ...] = ()
    hints: tuple[str, str] = ("", "")

    @property
    def objects(self) -> tuple[str, ...]:
        return self.names or (self.name,)

    @property
    def all_hints(self) -> tuple[str, str, str]:
        """The third points at the book."""
        return *self.hints, (f"the book has it: chapter {self.chapter[:2]}"
                             f", {self.section!r}")


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation of a step, with its name and what is wrong."""

    step: str
    name: str
    why: str
    made: object = field(compare=False)


class Bank:
    """The mistakes of a chapter, as its module lists them."""

    def __init__(self):
        self.mistakes: list[Mistake] = []

    def __call__(self, step: str, name: str, why: str = ""):
        """Decorate a wrong implementation; its docstring says why it is
        wrong, where `why` does not."""
        def add(made):
            said = why or inspect.cleandoc(made.__doc__)
            self.mistakes.append(
                Mistake(step, name, " ".join(said.split()), made))
            return made
        return add

"""Is it right, and if not, what is the mistake called?

A candidate is right where on every example all that is seen of it is what
is seen of a right implementation, in 64 bits and within 1e-9. The examples
come from the smallest up, so the first that fails is the smallest that
does. A mistake is named where a known wrong implementation looks the same
on all of them.
"""

import ast
import contextlib
import inspect
import random
import signal
import sysconfig
import textwrap
import threading
import traceback
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import torch

from course_lib.exercises.bank import find, mistakes
from course_lib.exercises.file import begun
from course_lib.exercises.report import lines_of
from course_lib.exercises.step import Raised, Step
from course_lib.exercises.values import close, same
from course_lib.exercises.verdict import (
    PATIENCE,
    SECONDS,
    Verdict,
    message,
    stopped,
)

PYTHON = (sysconfig.get_path("stdlib"), "<frozen ")  # its own files
LOOSE = 1e-5  # within which a mistake made in 32 bits is still that mistake
ROUNDED = ("right to about seven digits only",
           "Somewhere numbers go through 32 bits (.float(), "
           "dtype=torch.float32), or something small is added.")


def check(step: str, candidate, seconds: float = SECONDS) -> Verdict:
    """Check one function or class, as in a notebook: check("softmax",
    my_softmax). Raises ValueError for an unknown step."""
    if untouched(candidate):
        return Verdict(find(step).name, "not begun")
    with in_64_bits(), limit(seconds):
        return judge(find(step), candidate)
    return stopped(step, seconds)


def untouched(candidate) -> bool:
    """Whether nothing but its docstring is there, as far as its source can
    be read."""
    try:
        source = textwrap.dedent(inspect.getsource(candidate))
        return not begun(ast.parse(source).body[0])
    except (OSError, TypeError, SyntaxError, AttributeError, IndexError):
        return False


def judge(step: Step, candidate) -> Verdict:
    """The verdict on a candidate. Raises RuntimeError where it has broken
    what it is compared with."""
    cases, before = list(step.cases()), []
    for case in cases:
        seen = look(step, candidate, case)
        rights = [look(step, right, case) for right in step.rights]
        if "raised" in rights[0]:
            raise RuntimeError(f"what is right raises "
                               f"{rights[0]['raised'].kind}")
        if not any(same(seen, right) for right in rights):
            break
        before.append(case)
    else:
        return Verdict(step.name, "right")
    # the failing ones first: there the mistakes differ
    name, why = recognise(step, candidate, cases[len(before):] + before)
    lines = lines_of(case, seen, rights[0])
    return Verdict(step.name, "wrong", name, (*([why] if why else ()),
                                              *lines))


def look(step: Step, candidate, case) -> dict:
    """What is seen of a candidate on an example; what it raises, too."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return step.observe(candidate, case)
    except (OutOfTime, KeyboardInterrupt):
        raise
    except BaseException as error:  # whatever a reader's code may raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if not f.filename.startswith(PYTHON)
               and not {"course_lib", "site-packages"} & {*Path(
                   f.filename).parts}]
        where = f"line {own[-1].lineno}: {own[-1].line}" if own else ""
        return {"raised": Raised(type(error).__name__, message(error),
                                 where)}


def recognise(step, candidate, cases):
    """The name of the mistake and what is wrong; (None, None) where it is
    none that is known."""
    @cache
    def seen(made, place):
        return look(step, made, cases[place])

    def all_alike(alike, made):
        return all(alike(seen(candidate, place), seen(made, place))
                   for place in range(len(cases)))

    for each in mistakes(step.name):
        if all_alike(same, each.made):
            return each.name, each.why
    if any(all_alike(nearly, right) for right in step.rights):
        return ROUNDED
    for each in mistakes(step.name):
        if all_alike(nearly, each.made):
            return each.name, each.why
    return None, None


def nearly(a, b) -> bool:
    """`same`, with numbers to five digits."""
    if torch.is_tensor(a) and torch.is_tensor(b):
        return a.shape == b.shape and bool(close(a, b, LOOSE).all())
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(nearly(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(nearly, a, b))
    return same(a, b)


@contextlib.contextmanager
def in_64_bits():
    """float64 where nothing else is said, and the random numbers of the
    caller left alone."""
    before = torch.get_default_dtype()
    states = random.getstate(), np.random.get_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(before)
        random.setstate(states[0])
        np.random.set_state(states[1])


class OutOfTime(BaseException):
    """Not an Exception, so that a reader's `except` does not catch it."""


@contextlib.contextmanager
def limit(seconds: float):
    """Leave the block, silently, where it takes more than that of the
    processor, or PATIENCE times as long, as a machine may be busy; only
    where the system can interrupt it."""
    if threading.current_thread() is not threading.main_thread() \
            or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(*_):
        raise OutOfTime

    bells = [(signal.SIGPROF, signal.ITIMER_PROF, seconds),
             (signal.SIGALRM, signal.ITIMER_REAL, PATIENCE * seconds)]
    before = [signal.signal(bell, ring) for bell, *_ in bells]
    try:
        for _, timer, after in bells:
            signal.setitimer(timer, after)
        yield
    except OutOfTime:
        pass
    finally:
        for (bell, timer, _), handler in zip(bells, before):
            signal.setitimer(timer, 0)
            signal.signal(bell, handler)

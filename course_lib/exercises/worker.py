"""The child process that runs the reader's file, as `process` starts it.

What it finds out goes to stdout as lines of JSON; what the file prints goes
to stderr, so that the two do not mix.
"""

import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict, replace

import torch

from course_lib.exercises.bank import find, steps
from course_lib.exercises.file import ReadersFile, Unreadable
from course_lib.exercises.judge import in_64_bits, judge, limit
from course_lib.exercises.verdict import Verdict, message, stopped

MEMORY = 4 * 2**30  # bytes that a file may fill: the checks need a part of it


def main() -> None:
    """FILE SECONDS STEP...: say {"begin": step} before, and a verdict after
    each step."""
    path, seconds, names = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(what):
        print(json.dumps(what), file=out, flush=True)

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    cap_memory()
    said = f"{path}: {stopped('', seconds).lines[0]}"
    file = None
    try:
        with in_64_bits(), limit(seconds):
            file = ReadersFile(path)
    except (Unreadable, OSError) as error:
        said = f"{path}: {error.strerror}" if isinstance(error, OSError) \
            else str(error)
    if file is None:
        say(dict(unreadable=said))
        return
    for name in names:
        say(dict(begin=name))
        say(asdict(one(file, name, seconds)))


def cap_memory() -> None:
    """A list that grows without end is to end in a MemoryError, not in a
    machine that stands still. Where the system has no such limit, none."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource
        resource.setrlimit(resource.RLIMIT_DATA, (
            MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def one(file: ReadersFile, name: str, seconds: float) -> Verdict:
    """The verdict on one step of the file."""
    step, verdict = find(name), Verdict(name, "not begun")
    if found := file.find(step.objects):
        verdict = stopped(name, seconds)
        try:
            with in_64_bits(), limit(seconds):
                verdict = judge(step, file.objects[found])
        except (Exception, KeyboardInterrupt) as error:  # not Ctrl-C's
            verdict = Verdict(name, "stopped", None, (
                f"the check ended in {type(error).__name__}",
                message(error) or "without a word",
                "does the file change torch or Python's own objects?"))
    return replace(verdict, uses=standing_on(file, name))


def standing_on(file: ReadersFile, name: str) -> tuple[str, ...]:
    """The other steps whose code this one uses."""
    own = find(name).objects
    used = set().union(*(file.uses(each) for each in own)) - {*own}
    return tuple(other for other, step in steps().items()
                 if used & {*step.objects} and other != name)

"""Checks a file in a child process, so that whatever it does, loops and
crashes included, ends in a verdict."""

import json
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from course_lib.exercises.verdict import PATIENCE, SECONDS, Verdict, stopped

START = 120.0  # seconds in which Python and torch must have started
GRACE = 5.0  # beyond the child's own limit, which code in C can outlast


def check_file(path, names: list[str], seconds: float = SECONDS,
               ) -> Iterator[Verdict]:
    """A verdict for each of the steps, in order. One that is wrong and
    stands on another that is not right waits for it. Raises ValueError or
    OSError where the file cannot be read or run."""
    Path(path).open("rb").close()
    known: dict[str, Verdict] = {}
    for verdict in _check_all(path, names, seconds):
        known[verdict.step] = verdict
        if verdict.status in ("wrong", "stopped"):
            # what it stands on may not have been asked for
            below = [name for name in verdict.uses if name not in known]
            known |= {v.step: v for v in _check_all(path, below, seconds)}
            if missing := [name for name in verdict.uses
                           if not known[name].right]:
                verdict = replace(
                    verdict, status="waits", mistake=None,
                    lines=(f"it uses {', '.join(missing)}, which must be "
                           "right first",))
        yield verdict


def child_of(module: str, *arguments) -> list[str]:
    """The command that runs `main` of one of this room's modules. The folder
    it is given in comes last on the path: a random.py of the reader's there
    is not to be taken for Python's."""
    return [sys.executable, "-c",
            "import sys; sys.path.append(sys.path.pop(0)); "
            f"from course_lib.exercises.{module} import main; "
            "sys.exit(main())", *map(str, arguments)]


def _check_all(path, names: list[str], seconds: float) -> Iterator[Verdict]:
    """A verdict for each step, from as many children as it takes: one that
    had to be ended leaves the rest to the next."""
    left = list(names)
    while left:
        for verdict in _child(path, left, seconds):
            left.remove(verdict.step)
            yield verdict


def _child(path, names: list[str], seconds: float) -> Iterator[Verdict]:
    """The verdicts of one child, until all steps are done or it ends."""
    process = subprocess.Popen(
        child_of("worker", path, seconds, *names), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True, encoding="utf-8")
    said: queue.Queue = queue.Queue()
    threading.Thread(target=_listen, args=(process, said),
                     daemon=True).start()
    begun, done = "", 0
    try:
        while done < len(names):
            try:
                what = said.get(timeout=GRACE + (
                    PATIENCE * seconds if begun else START))
            except queue.Empty:
                what = dict(silent=True)
            if "unreadable" in what:
                raise ValueError(what["unreadable"])
            if "step" in what:
                done += 1
                yield Verdict(**{name: tuple(value) if isinstance(value, list)
                                 else value for name, value in what.items()})
            elif "begin" in what:
                begun = what["begin"]
            elif not begun:
                raise ValueError(f"{path} cannot be run: "
                                 + _end(what, "", START).lines[0])
            else:
                yield _end(what, begun, seconds)
                return
    finally:
        process.kill()
        process.wait()


def _listen(process, said: queue.Queue) -> None:
    """Put every line of JSON into the queue, and at last how it ended."""
    for line in process.stdout:
        said.put(json.loads(line))
    said.put(dict(ended=process.wait()))


def _end(what: dict, step: str, seconds: float) -> Verdict:
    """The verdict on a child that fell silent or ended too early."""
    if "silent" in what:
        return stopped(step, seconds)
    code = what["ended"]
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return Verdict(step, "stopped", None, (f"it ended the process ({how})",))

"""What a command says, and where to: the standard streams, whatever became
of them, and errors in one line."""

import contextlib
import os
import select
import sys

from course_lib.machine.lines import one_line
from course_lib.machine.progress import Heedless, silence


@contextlib.contextmanager
def standing_streams():
    """Nothing that is written on stderr fails, also not by others, such as
    the bar of a download; and what a stream's encoding lacks is escaped."""
    for number in (0, 1, 2):  # or the next file that is opened takes its place
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")
    with contextlib.suppress(AttributeError, ValueError):  # said, line by line
        sys.stdin.reconfigure(errors="surrogateescape")
    before, sys.stderr = sys.stderr, Heedless(sys.stderr)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before


def reader_gone() -> bool:
    """Whether nobody reads what is written on stdout any more."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):  # no pipe, or no poll
        return False


def silence_unwritable() -> None:
    """Let the interpreter not fail again on what stdout did not take."""
    try:
        print(end="", flush=True)
    except (OSError, ValueError):
        silence(sys.stdout)


def mistake(error: Exception, command: str = "train") -> str | None:
    """One line for what a user can mend; None for a bug of ours."""
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        return one_line(named + error.strerror, 1000)
    if isinstance(error, ValueError | OSError):
        return one_line(error, 1000)
    if type(error).__name__ == "SafetensorError":  # a full disk, mostly
        return f"cannot read or write weights: {one_line(error)}"
    if isinstance(error, MemoryError) or "memory" in str(error) \
            and isinstance(error, RuntimeError):
        help = {"train": " or --micro-rows 1", "sample": " or a smaller -n"}
        return f"out of memory: take a smaller model{help.get(command, '')}"
    return None

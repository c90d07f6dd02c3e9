"""What is said on the way: a bar, a line. It decides nothing (chapter 4).

A terminal may be closed, a pipe's reader gone, a disk full. What cannot be
written then is dropped, and the work goes on.
"""

import contextlib
import os
import sys

from tqdm import tqdm


class Heedless:
    """A stream to which writing never fails; the rest is the stream's."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text: str) -> int:
        try:
            self.stream.write(text)
        except UnicodeEncodeError:
            self.stream.write(ascii(text)[1:-1].replace("\\n", "\n"))
        except (OSError, ValueError, AttributeError):  # gone, closed, None
            silence(self.stream)
        return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError, AttributeError):
            silence(self.stream)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def silence(stream) -> None:
    """Let what waits in a stream that cannot be written, and all that comes
    after it, go nowhere: else the interpreter fails on it at the end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def bar(**options) -> tqdm:
    """A progress bar on stderr."""
    return tqdm(file=Heedless(sys.stderr), **options)


def say(line: str, stream=None) -> None:
    """A line about what is being done, on stdout unless said otherwise."""
    print(line, file=Heedless(stream or sys.stdout), flush=True)


def warn(line: str) -> None:
    """A line on stderr."""
    say(line, sys.stderr)

"""One process at a time writes in a run folder (chapter 4)."""

import contextlib
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = "run.lock"


@contextlib.contextmanager
def locked(folder):
    """Keep other processes from writing in a run folder. Raises
    BlockingIOError where one is at it."""
    lock = FileLock(Path(folder, LOCK))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BlockingIOError(f"another process is preparing or training "
                              f"{folder}: wait for it to end") from None
    try:
        yield
    finally:
        lock.release()

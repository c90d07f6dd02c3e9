"""How a process holds on to memory (chapter 4)."""

import ctypes
import sys
from functools import cache

# of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


@cache
def keep_memory() -> bool:
    """Keep freed memory for the next use instead of giving it back to the
    system; whether this system lets us (Linux with glibc).

    Each step makes the same large tensors anew. By default malloc returns
    theirs to the system and asks again, and the system fills what it gives
    with zeros, page by page; what that costs is "memory given back" in
    book/results/training_step.json. The price is that the process stays as
    large as it once was.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, -1))

"""Being asked to stop, without losing a step (chapter 4)."""

import contextlib
import signal
import threading


def asked() -> list[signal.Signals]:
    """How a process is asked to stop; not all systems know all."""
    return [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP")
            if hasattr(signal, name)]


def ignored(number) -> bool:
    """Whether nohup, or a shell, has said that it shall not matter."""
    return number == getattr(signal, "SIGHUP", None) \
        and signal.getsignal(number) == signal.SIG_IGN


@contextlib.contextmanager
def stop_signals():
    """A list that SIGTERM, Ctrl-C or a terminal that closes fill, instead of
    ending the process.
    A second one ends it: whoever asks twice will not wait for a save."""
    caught = []

    def note(number, _frame):
        caught.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, note)
              for number in asked() if not ignored(number)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

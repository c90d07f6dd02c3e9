"""The Hugging Face Hub's own client, made careful (chapter 3).

It waits for ever for a server that never answers, or that answers a byte at a
time, and it names files in its cache by what the server says. A server may be
broken, or another than one thinks.
"""

import hashlib
import math
import os
import re
import time

SECONDS = 60  # of waiting, in which something must come
LEAST = 100  # bytes a second, on average over them
VARIABLE = "COURSE_HUB_SECONDS"
COMMIT = re.compile("[0-9a-f]{40}")
PLAIN = re.compile(r'(W/)?"?[0-9A-Za-z][\w.+-]{0,127}"?', re.ASCII)


class TooSlow(ConnectionError):
    """A server sends or takes less than LEAST bytes a second. No kind of
    error that the client tries again after."""


def time_limit() -> float:
    """Seconds of waiting: $COURSE_HUB_SECONDS, or SECONDS without. Raises
    ValueError for what is no number of seconds."""
    given = os.environ.get(VARIABLE, "").strip() or SECONDS
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{VARIABLE} must be a number of seconds above 0, "
                         f"not {given!r}")
    return seconds


def be_careful() -> None:
    """Have the client, in this process and from here on, give up on a server
    that is too slow, and take no file names from it. Only versions from 1.0
    on can be told; those before have time limits of their own."""
    import huggingface_hub
    from huggingface_hub import constants
    limit = time_limit()
    # its other way to move files, which nobody here would watch
    constants.HF_HUB_DISABLE_XET = True
    if not hasattr(huggingface_hub, "set_client_factory"):
        return
    pace = Pace(limit), Pace(limit)
    before = huggingface_hub.get_session()  # made as the library wants it

    def look(response):
        look_at(response.headers, limit)

    others = [hook for hook in before.event_hooks["response"]
              if hook.__module__ != look.__module__]  # of an earlier call

    def client():
        made = type(before)(
            event_hooks=before.event_hooks | dict(response=[*others, look]),
            follow_redirects=before.follow_redirects,
            timeout=2 * limit)  # of silence; who is watched ends sooner
        watch(made, pace)
        return made

    huggingface_hub.set_client_factory(client)


def watch(client, pace) -> None:
    """Count what a client waits for, on all its connections.

    By private names, as there is no other way: a limit of the client's own
    begins anew with each byte that drips, and its public hooks see a request
    before it is sent and an answer when its headers are whole. Under the
    client a pool of connections takes a `network_backend`, in public, but
    neither the client nor its transports hand one down. Where the names have
    changed a drip is not seen, and silence still ends.
    """
    transports = [getattr(client, "_transport", None),
                  *getattr(client, "_mounts", {}).values()]
    for transport in transports:
        pool = getattr(transport, "_pool", None)
        if backend := getattr(pool, "_network_backend", None):
            pool._network_backend = Watched(backend, *pace)


def look_at(headers, limit: float) -> None:
    """Make plain names of the ones that the client would call files by, and
    no wait longer than `limit` seconds. Raises OSError for a commit that is
    none: it would become a folder."""
    for name in ("etag", "x-linked-etag"):
        if name in headers and not PLAIN.fullmatch(headers[name]):
            headers[name] = hashlib.sha256(
                headers[name].encode()).hexdigest()
    commit = headers.get("x-repo-commit")
    if commit is not None and not COMMIT.fullmatch(commit):
        raise OSError(f"the server's commit is {commit!r}")
    headers.pop("ratelimit", None)  # says for how long to wait, too
    asked = headers.get("retry-after", "")
    if not re.fullmatch("[0-9]{1,9}", asked) or int(asked) > limit:
        headers.pop("retry-after", None)


class Pace:
    """How many bytes have moved one way in the time that was spent waiting
    for them, over all connections: who closes one gets no new time for the
    next."""

    def __init__(self, limit: float):
        self.limit, self.spent, self.moved = limit, 0.0, 0

    def wait(self, act, timeout: float | None, size=lambda result: 0):
        """`act(seconds)`, which may take `timeout`; it is asked in turns that
        are not longer than what is left. Raises TooSlow where too little
        moved."""
        rest = math.inf if timeout is None else timeout
        while True:
            left, began = max(self.limit - self.spent, 1e-3), time.monotonic()
            try:
                result = act(min(left, rest))
            except Exception:
                waited = time.monotonic() - began
                self.count(waited, 0)
                if rest <= left or waited < left:
                    raise  # the client's own limit, or no limit at all
                rest -= waited
            else:
                self.count(time.monotonic() - began, size(result))
                return result

    def count(self, waited: float, size: int) -> None:
        """So many bytes in so many seconds. Raises TooSlow."""
        self.spent += waited
        self.moved += size
        if self.spent < self.limit:
            return
        spent, moved, self.spent, self.moved = self.spent, self.moved, 0.0, 0
        if moved < LEAST * spent:
            raise TooSlow(f"only {moved:,} bytes in {spent:.0f} seconds of "
                          f"waiting; ${VARIABLE} sets how many to wait"
                          ) from None


class Watched:
    """A way to connect, or a connection, whose waiting is counted; the rest
    is its own."""

    PIECE = 2**14  # bytes handed over at a time, so that each is timed

    def __init__(self, inner, comes: Pace, goes: Pace):
        self.inner, self.comes, self.goes = inner, comes, goes

    def connect_tcp(self, host, port, timeout=None, **options):
        return Watched(self.comes.wait(lambda left: self.inner.connect_tcp(
            host, port, timeout=left, **options), timeout),
            self.comes, self.goes)

    def start_tls(self, ssl_context, server_hostname=None, timeout=None):
        return Watched(self.comes.wait(lambda left: self.inner.start_tls(
            ssl_context, server_hostname, left), timeout),
            self.comes, self.goes)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self.comes.wait(
            lambda left: self.inner.read(max_bytes, left), timeout, len)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), self.PIECE):
            piece = buffer[at:at + self.PIECE]
            began = time.monotonic()
            try:  # once: nobody knows how much of it went before an error
                self.inner.write(piece, self.goes.limit if timeout is None
                                 else min(timeout, self.goes.limit))
            except Exception:
                self.goes.moved = 0
                self.goes.count(time.monotonic() - began, 0)
                raise
            self.goes.count(time.monotonic() - began, len(piece))

    def __getattr__(self, name):
        return getattr(self.inner, name)

"""The Hub's real client, at servers that hang, drip, or name files."""

import contextlib
import socket
import threading
import time

import huggingface_hub
import pytest
from huggingface_hub import HfApi, constants, hf_hub_download

from course_lib.machine import hub_client
from course_lib.machine.hub_client import TooSlow, be_careful, look_at

FINE = "0a" * 20  # a commit


@pytest.fixture
def serve(monkeypatch):
    """A server that answers each connection by `answer(connection)`, and a
    careful client; returns the address."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("COURSE_HUB_SECONDS", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    before = huggingface_hub.get_session()
    listener, ended = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def start(answer):
        def one(connection):
            with connection, contextlib.suppress(OSError):
                answer(connection, ended)

        def loop():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=one, daemon=True, args=(
                        listener.accept()[0],)).start()

        threading.Thread(target=loop, daemon=True).start()
        be_careful()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    ended.set()
    listener.close()
    huggingface_hub.set_client_factory(lambda: type(before)(
        event_hooks=before.event_hooks, timeout=None,
        follow_redirects=before.follow_redirects))


def drip(connection, ended, first, byte=b"a"):
    connection.sendall(first)
    while not ended.wait(0.05):
        connection.sendall(byte)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
MANNERS = {
    "never answers": lambda connection, ended: ended.wait(),
    "drips headers": lambda connection, ended: drip(
        connection, ended, HEAD + b"X-Slow: "),
    "drips the body": lambda connection, ended: drip(
        connection, ended, HEAD + b"Content-Length: 99999\r\n\r\n", b" ")}


@pytest.mark.parametrize("manner", MANNERS)
def test_a_slow_server_is_left(manner, serve):
    api, began = HfApi(endpoint=serve(MANNERS[manner])), time.monotonic()
    with pytest.raises(TooSlow, match=r"only \d+ bytes in \d+ seconds"):
        api.dataset_info("a/b")
    assert time.monotonic() - began < 30


def test_silence_ends_also_where_nobody_watches(serve, monkeypatch):
    """The names by which a connection is watched are private, and may go."""
    monkeypatch.setattr(hub_client, "watch", lambda client, pace: None)
    address, began = serve(MANNERS["never answers"]), time.monotonic()
    with pytest.raises(Exception, match="timed out"):
        huggingface_hub.get_session().get(address)
    assert time.monotonic() - began < 15


def test_care_is_taken_once(serve):
    """However often it is asked for, and with the library's own hooks."""
    before = huggingface_hub.get_session().event_hooks
    serve(MANNERS["never answers"])
    be_careful()
    hooks = huggingface_hub.get_session().event_hooks
    assert hooks["request"] == before["request"] != []
    assert len(hooks["response"]) == len(before["response"]) + 1


def test_an_upload_that_nobody_takes_is_left(serve):
    """Whose bytes fill what lies between, and then wait."""
    address = serve(MANNERS["never answers"])
    client = huggingface_hub.get_session()
    with pytest.raises(TooSlow):
        client.put(address, content=bytes(2**26))


def test_a_slow_but_steady_server_is_waited_for(serve):
    """Two limits long, and never less than the least."""
    body = b'{"id": "a/b", "sha": "' + FINE.encode() + b'"}'

    def answer(connection, ended):
        connection.recv(9999)
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (
            len(body) + 2000))
        for _ in range(20):
            time.sleep(0.1)
            connection.sendall(b" " * 100)
        connection.sendall(body)

    assert HfApi(endpoint=serve(answer)).dataset_info("a/b").sha == FINE


def test_a_server_does_not_name_our_files(serve, tmp_path):
    """The client writes BLOBS/ETAG. Without care this test finds a file
    beside its cache."""
    evil = b'"../../../../evil"'

    def answer(connection, ended):
        while request := connection.recv(9999):
            body = b"" if request.startswith(b"HEAD") else b"hello"
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: " + evil
                + b"\r\nX-Linked-Etag: " + evil + b"\r\nX-Repo-Commit: "
                + FINE.encode() + b"\r\n\r\n" + body)

    path = hf_hub_download("a/b", "c.txt", endpoint=serve(answer),
                           cache_dir=tmp_path / "one" / "cache", token=False)
    assert open(path).read() == "hello"
    found = [p for p in tmp_path.rglob("*") if "evil" in p.name]
    assert not found and {p.name for p in tmp_path.iterdir()} == {"one"}


@pytest.mark.parametrize("name", ["etag", "x-linked-etag"])
@pytest.mark.parametrize("value, plain", [
    (f'"{FINE}"', True), (f'W/"{FINE}"', True), ('"ab12-7"', True),
    ("a" * 64, True), ('"../x"', False), ('"a/b"', False), ('"."', False),
    ('".."', False), ('""', False), ("W/../../x", False),
    ('"a\\b"', False), ('"' + "a" * 300 + '"', False), ('"\xe9"', False)])
def test_an_etag_becomes_a_plain_name(name, value, plain):
    headers = {name: value}
    look_at(headers, 1)
    assert (headers[name] == value) == plain
    assert plain or len(headers[name]) == 64 and headers[name].isalnum()


@pytest.mark.parametrize("commit", ["", "..", "a" * 39, "A" * 40, "main",
                                    "../" * 13 + "a"])
def test_a_commit_is_one(commit):
    with pytest.raises(OSError, match="the server's commit is"):
        look_at({"x-repo-commit": commit}, 1)
    look_at({"x-repo-commit": FINE}, 1)


@pytest.mark.parametrize("asked, kept", [
    ("1", True), ("9", False), ("9" * 400, False), ("no", False),
    ("-1", False), ("\u0663", False)])
def test_a_server_does_not_send_us_to_sleep(asked, kept):
    headers = {"retry-after": asked, "ratelimit": '"api";r=0;t=99999999'}
    look_at(headers, 2)
    assert headers == ({"retry-after": asked} if kept else {})


@pytest.mark.parametrize("given", ["no", "0", "-1", "nan", "inf"])
def test_a_time_limit_that_is_none(given, monkeypatch):
    monkeypatch.setenv(hub_client.VARIABLE, given)
    with pytest.raises(ValueError, match="must be a number of seconds above"):
        be_careful()

"""Text from the Hub: the real client, talking to tests/hub_server.py."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from textwrap import fill

import pyarrow as pa
import pytest
from datasets.exceptions import DatasetGenerationError
from pyarrow import parquet

from course_lib.runs import open_run
from course_lib.stories import generator as stories
from course_lib.text import hub_corpus, listed_books
from course_lib.text import token_files as data
from course_lib.text.books import clean
from course_lib.text.split import is_validation

pytestmark = pytest.mark.slow

OLD, NEW = "0a" * 20, "0b" * 20  # commits
BOOKS = "bookcorpus/bookcorpus"
LOAD = """
import json, sys
from course_lib.text.corpus import load_corpus
def load(spec):
    corpus = load_corpus(spec)
    return dict(name=corpus.name, fingerprint=corpus.fingerprint,
                revision=corpus.revision, texts=list(corpus.texts()))
"""
READ = LOAD + "print(json.dumps([load(spec) for spec in sys.argv[1:]]))"
COURSE = """
import sys
from course_lib.cli.main import main
for number, spec in enumerate(sys.argv[2:]):
    print(main(["prepare", "--preset", "smoke", "--corpus", spec,
                "--out", f"{sys.argv[1]}-{number}"]), flush=True)
"""


def sentences(count):
    """As in BookCorpus: lower case, one a row."""
    found = (line.strip().lower() for text in stories.stories(count)
             for line in text.replace(". ", " .\n").splitlines())
    return list(islice(filter(None, found), count))


class Hub:
    """The server, what it serves, and processes that read from it."""

    def __init__(self, root, home):
        self.root, self.home = root, home
        self.server = subprocess.Popen(
            [sys.executable, Path(__file__).parents[1] / "hub_server.py",
             root],
            stdout=subprocess.PIPE, text=True)
        self.port = int(self.server.stdout.readline())

    def put(self, name, commit, refs=("main",), files=(), **columns):
        """Store files (name -> columns, or bytes) as one commit."""
        for path, held in dict(files or {"train.parquet": columns}).items():
            path = self.root / name / commit / path
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(held, bytes):
                path.write_bytes(held)
            else:
                parquet.write_table(pa.table(held), path, use_dictionary=False,
                                    compression="none")
        refs = dict.fromkeys(refs, commit)
        (self.root / name / "refs.json").write_text(json.dumps(refs))

    def drop(self, **times):
        (self.root / "drops.json").write_text(json.dumps(
            {"broken.parquet": -1} | {f"{name.strip('_')}.parquet": count
                                      for name, count in times.items()}))

    def start(self, code, *arguments, home=None, port=None, cwd=None):
        env = {name: value for name, value in os.environ.items()
               if not name.startswith("HF_")}
        env |= {"HF_ENDPOINT": f"http://127.0.0.1:{port or self.port}",
                "HF_HOME": str(home or self.home), "OMP_NUM_THREADS": "1",
                "NO_PROXY": "127.0.0.1",
                "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1"}
        return subprocess.Popen(
            [sys.executable, *code, *map(str, arguments)], env=env, cwd=cwd,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, code, *arguments, **options):
        """(exit code, stdout, stderr) of a script, or of course_lib."""
        code = ["-c", code] if code else ["-m", "course_lib"]
        process = self.start(code, *arguments, **options)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def read(self, *specs, **options):
        """Each spec's corpus, read in another process."""
        code, out, err = self.run(READ, *specs, **options)
        assert code == 0, err
        return json.loads(out)

    def downloads(self, name=".parquet"):
        """The data files that were asked for, oldest first."""
        log = (self.root / "requests.log").read_text().splitlines()
        return [line.partition("/resolve/")[2] for line in log
                if line.startswith("GET") and "/resolve/" in line
                and name in line]


@pytest.fixture(scope="module")
def books():
    return sentences(60_400)


def wrapped(title, number):
    """A book as the dataset has them: a title page, then lines that are cut
    and quotes that are curved."""
    texts = "\n\n".join("\u201cSo it was.\u201d " + text.replace("\n", " ")
                        for text in stories.stories(20 + number))
    return f"{title.upper()}\n\nCONTENTS\n\nCHAPTER I\n\n" + "\n\n".join(
        fill(part, 70) for part in texts.split("\n\n"))


def shelf():
    """Rows of the dataset of books: some of the list under the names that
    another library would give them, one twice, and some that are not in it.
    """
    found = listed_books.listed_books()[:60]
    names = [(f"{book['title']}; Or, The {n}", f"{last}, X., 1800-1880")
             for n, book in enumerate(found)
             for last in [listed_books.key("", book["author"])[1].title()]]
    names += [names[0], ("A Book That Nobody Wrote", "Nobody, Ann"),
              ("Wuthering Heights", "Somebody Else"), (None, None)]
    return dict(
        etextno=list(range(len(names))), issued=["2000"] * len(names),
        book_title=[title for title, _ in names],
        author=[author for _, author in names],
        context=[wrapped(title or "", n)
                 for n, (title, _) in enumerate(names)])


@pytest.fixture(scope="module")
def hub(tmp_path_factory, books):
    hub = Hub(*map(tmp_path_factory.mktemp, ("hub", "home")))
    try:
        hub.put(BOOKS, OLD, ["refs/convert/parquet"], files={
            "plain_text/train/0000.parquet": {"text": books[:30_300]},
            "plain_text/train/0001.parquet": {"text": books[30_300:]}})
        hub.put("poems/two", OLD, text=["old"], body=["x"])
        hub.put("poems/two", NEW, text=["a", None, " \n", "b"],
                body=["c", "d", "e", None], n=[1, 2, 3, 4])
        hub.put("poems/broken", OLD, files={
            "fine.parquet": {"text": ["a"] * 300},
            "then/broken.parquet": {"text": ["b"] * 300}})
        hub.put(listed_books.DATASET, OLD, **shelf())
        hub.drop()
        yield hub
    finally:
        hub.server.terminate()
        hub.server.wait()


@pytest.fixture(scope="module", autouse=True)
def broken_stream(hub):
    """A stream whose second file always breaks off: it takes half a minute
    until the client gives up, so it does so beside the other tests."""
    process = hub.start(["-c", LOAD + """
import datasets
datasets.config.STREAMING_READ_MAX_RETRIES = 1  # 20: nine minutes
corpus = load_corpus("stream:poems/broken")
texts = corpus.texts()
try:
    for number in range(9999):
        next(texts)
except Exception as error:
    print(json.dumps([number, isinstance(error, OSError), str(error)]))
"""])
    yield process
    process.kill()
    process.communicate()


def documents(tokens, tokenizer):
    """The texts of a token file, from what lies between its separators."""
    ids = tokens.ids.tolist()
    assert ids[0] == ids[-1] == tokenizer.eot
    ends = [n for n, i in enumerate(ids) if i == tokenizer.eot]
    return [tokenizer.decode(ids[start + 1:end])
            for start, end in zip(ends, ends[1:])]


def prepare(hub, folder, **options):
    return hub.run(None, "prepare", "--preset", "smoke", "--corpus",
                   "bookcorpus", "--out", folder, **options)


def test_from_bookcorpus_to_token_files(hub, books, tmp_path):
    code, _, err = prepare(hub, tmp_path / "one")
    assert code == 0, err
    run = open_run(tmp_path / "one")
    assert run.record["split"] == "hash"
    expected = ["\n".join(books[n:n + 1000])
                for n in range(0, len(books), 1000)]
    assert len(expected) == 61 and len(expected[-1]) < len(expected[0])
    val = documents(run.val_tokens, run.tokenizer)
    train = documents(run.train_tokens, run.tokenizer)
    assert val == [text for text in expected if is_validation(text)]
    assert train == [t for t in expected if not is_validation(t)]
    assert val and train
    assert len(hub.downloads("000")) == 2

    code, _, err = prepare(hub, tmp_path / "two")  # from the client's cache
    assert code == 0, err
    assert len(hub.downloads("000")) == 2
    again = open_run(tmp_path / "two").record
    assert again["corpus"] == run.record["corpus"]
    assert again["corpus"]["name"] == "bookcorpus"
    assert again["files"] == run.record["files"]


def test_books_of_the_list(hub, tmp_path):
    """Found by title and author, cleaned, split by the same rule; the
    dataset is read once."""
    out = []
    for name in ("one", "two"):
        code, said, err = hub.run(
            None, "prepare", "--preset", "smoke", "--corpus", "books",
            "--out", tmp_path / name)
        assert code == 0, err
        out.append(said)
        if name == "one":
            log = (hub.root / "requests.log").read_text()
            first = log.count(f"GET /datasets/{listed_books.DATASET}")
    log = (hub.root / "requests.log").read_text()
    one, two = (open_run(tmp_path / name) for name in ("one", "two"))
    # to see the columns, as each time, and not to read the rows again
    assert log.count(f"GET /datasets/{listed_books.DATASET}") < 2 * first
    assert one.record["files"] == two.record["files"]
    assert one.record["corpus"]["name"] == "books"
    assert one.record["corpus"]["revision"] == OLD
    wanted = {listed_books.key(book["title"], book["author"])
              for book in listed_books.listed_books()}
    rows, found = shelf(), {}
    for title, author, text in zip(rows["book_title"], rows["author"],
                                   rows["context"], strict=True):
        found.setdefault(listed_books.key(title or "", author or ""), text)
    texts = [clean(listed_books.as_listed(text))
             for book, text in found.items() if book in wanted]
    assert 50 < len(texts) <= 60
    assert f"{len(texts)} of the {len(wanted):,} books of the list" in out[0]
    assert all("\u201c" not in text and "CONTENTS" not in text
               for text in texts)
    for tokens, held_out in ((one.val_tokens, True),
                             (one.train_tokens, False)):
        assert documents(tokens, one.tokenizer) == [
            text for text in texts if is_validation(text) is held_out]
    assert one.val_tokens.documents and one.record["split"] == "hash"


def test_a_dataset_by_revision_and_column(hub):
    main, pinned, old, body, stream, part = hub.read(
        "hub:poems/two", f"hub:poems/two@{NEW}", f"hub:poems/two@{OLD}",
        "hub:poems/two#body", "stream:poems/two",
        f"stream:poems/two@{OLD}#body")
    assert main["texts"] == pinned["texts"] == stream["texts"] == ["a", "b"]
    assert old["texts"] == ["old"]
    assert body["texts"] == ["c", "d", "e"]
    assert part["texts"] == ["x"]
    assert main["name"] == "hub:poems/two@main"
    assert part["name"] == f"stream:poems/two@{OLD}#body"
    assert main["revision"] == body["revision"] == NEW
    assert old["revision"] == OLD
    prints = [corpus["fingerprint"] for corpus in (main, old, body, part)]
    assert len(set(prints)) == 4
    assert prints[0] == pinned["fingerprint"] == stream["fingerprint"]


def test_a_stream_keeps_nothing_and_hub_keeps_all(hub, tmp_path):
    def count(spec):
        before = len(hub.downloads("train.parquet"))
        hub.read(spec, spec, home=tmp_path)
        kept = [path for path in tmp_path.rglob("*")
                if path.suffix in (".parquet", ".arrow")]
        return len(hub.downloads("train.parquet")) - before, bool(kept)

    streamed, kept = count("stream:poems/two")
    assert streamed >= 4 and not kept  # a look and a pass, twice
    assert count("hub:poems/two") == (1, True)


def test_a_download_that_breaks_off_once_goes_on(hub, tmp_path):
    text = random.Random(0)
    texts = [text.randbytes(600).hex() for _ in range(11_000)]
    hub.put("poems/once", OLD, files={"once.parquet": {"text": texts}})
    hub.put("poems/again", OLD, files={"again.parquet": {"text": ["a"]}})
    hub.drop(once=1, again=1)
    kept, streamed = hub.read("hub:poems/once", "stream:poems/again",
                              home=tmp_path)
    assert kept["texts"] == texts and streamed["texts"] == ["a"]
    first, rest = hub.downloads("once.parquet")
    assert first.endswith("parquet") and " bytes=" in rest  # not anew
    first, rest, *_ = hub.downloads("again.parquet")
    assert first == rest


def test_a_download_that_always_breaks_off_leaves_no_run(hub, tmp_path):
    folder, home = tmp_path / "run", tmp_path / "home"
    hub.drop(_0001=-1)
    start = time.monotonic()
    code, _, err = prepare(hub, folder, home=home)
    assert time.monotonic() - start < 60
    assert code == 2
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith(
        "course prepare: cannot load bookcorpus from the Hugging Face Hub "
        "(RemoteProtocolError: peer closed connection")
    assert not (folder / "run.json").exists()
    with pytest.raises(FileNotFoundError):
        data.Tokens(folder / "train.bin")
    hub.drop()
    before = len(hub.downloads())
    corpus, = hub.read("bookcorpus", home=home)
    assert len(corpus["texts"]) == 61
    new = hub.downloads()[before:]  # the whole first file was kept
    assert len(new) == 1 and "0001" in new[0]


def test_what_is_wrong_is_said_in_one_line(hub, tmp_path):
    hub.put("poems/test", OLD, files={"test.parquet": {"text": ["a"]}})
    hub.put("poems/script", OLD, files={"script.py": b"print()"})
    hub.put("poems/damaged", OLD, files={"train.parquet": b"PAR1 PAR1"})
    hub.put("poems/gated", OLD, text=["a"])
    (hub.root / "poems" / "gated" / "gated").touch()
    hub.put("poems/parts", OLD, files={
        "a/1.parquet": {"text": ["a"]}, "b/1.parquet": {"text": ["b"]},
        "README.md": b"---\nconfigs:\n- config_name: a\n  data_files: a/*\n"
                     b"- config_name: b\n  data_files: b/*\n---\n"})
    wrong = {
        "poems/nowhere": "main is not on the Hugging Face Hub, or not for "
                         "you: check the spelling",
        "poems/gated": "`hf auth login`",
        "poems/two@v9": "poems/two@v9: the dataset is there, but has no "
                        "such branch, tag or commit",
        "poems/two#title": "no column title: add one of #text, #body, #n",
        "poems/two#n": "poems/two@main#n is no text but int: name another",
        "poems/test": "has no split train, only test",
        "poems/parts": "available configs: ['a', 'b']",
        "poems/script": "add @refs/convert/parquet",
        "poems/damaged": "poems/damaged@main cannot be read as text",
        "poems": "write hub:OWNER/NAME",
    }
    specs = [f"{kind}:{spec}" for kind in ("hub", "stream") for spec in wrong]
    code, out, err = hub.run(COURSE, tmp_path / "run", *specs)
    assert (code, out.split()) == (0, ["2"] * len(specs)), err
    assert "Traceback" not in err
    lines = [line for line in err.splitlines()
             if line.startswith("course prepare: ")]
    assert len(lines) == len(specs)
    for line, what in zip(lines, [*wrong.values()] * 2):
        assert what in line
    assert not list(tmp_path.glob("run*"))


def test_a_revision_is_a_commit_and_no_path(hub, tmp_path):
    """The client makes a folder of what the server calls it."""
    hub.put("poems/path", OLD, text=["a"])
    (hub.root / "poems" / "path" / "refs.json").write_text(
        json.dumps({"main": "../../../\x1b[31m"}))
    code, out, err = hub.run(COURSE, tmp_path / "run", "hub:poems/path",
                             "stream:poems/path", home=tmp_path / "home")
    assert (code, out.split()) == (0, ["2", "2"]), err
    assert err.count("poems/path is at no commit: the server's answer") == 2
    assert "\x1b" not in err and not (tmp_path / "home" / "hub").exists()


SLOW = {"one/revision": "hang", "two/tree": "body",
        "three/resolve": "headers", "four/resolve": "body"}


@pytest.mark.parametrize("kind", ["hub", "stream"])
def test_a_server_that_never_answers_or_drips_is_left(hub, tmp_path, kind,
                                                      monkeypatch):
    """Wherever in the course of a download that begins."""
    monkeypatch.setenv("COURSE_HUB_SECONDS", "1")
    names = sorted({part.partition("/")[0] for part in SLOW})
    for name in names:
        hub.put(f"slow/{name}", OLD, text=["a"] * 300)
    (hub.root / "slow.json").write_text(json.dumps(
        {f"slow/{part}": manner for part, manner in SLOW.items()}))
    began = time.monotonic()
    code, out, err = hub.run(COURSE, tmp_path / "run", *(
        f"{kind}:slow/{name}" for name in names), home=tmp_path / "home")
    assert time.monotonic() - began < 60
    assert (code, out.split()) == (0, ["2"] * len(names)), err
    lines = [line for line in err.splitlines()
             if line.startswith("course prepare: ")]
    for name, line in zip(names, lines, strict=True):
        assert line.startswith(f"course prepare: cannot load {kind}:slow/"
                               f"{name}@main from the Hugging Face Hub "
                               "(TooSlow: only "), line
        assert "seconds of waiting; $COURSE_HUB_SECONDS sets" in line
    assert not list(tmp_path.glob("run*"))
    (hub.root / "slow.json").unlink()  # what was left half is not taken
    found = hub.read(*(f"{kind}:slow/{name}" for name in names),
                     home=tmp_path / "home")
    assert all(corpus["texts"] == ["a"] * 300 for corpus in found)


def test_an_older_copy_is_not_taken_for_the_asked_one(hub, tmp_path):
    # The client does so, with a warning, when it can ask for no more than
    # the commit; and reads a folder of that name, without one.
    hub.put("poems/moved", OLD, text=["old"])
    hub.read("hub:poems/moved", home=tmp_path)
    hub.put("poems/moved", NEW, text=["new"])
    (hub.root / "poems" / "moved" / "gated").touch()
    hub.put("poems/folder", NEW, text=["new"])
    shutil.copytree(hub.root / "poems" / "moved" / OLD,
                    tmp_path / "poems" / "folder")
    specs = ["hub:poems/moved", "stream:poems/moved", "hub:poems/folder"]
    code, out, err = hub.run(COURSE, "run", *specs, home=tmp_path,
                             cwd=tmp_path)
    assert (code, out.split()) == (0, ["2"] * 3), err
    for spec in specs:
        assert f"prepare: {spec}@main is commit 0b0b0b0, and the" in err
    assert "a folder poems/folder here" in err


@pytest.mark.parametrize("error, line", [
    (OSError(28, "No space left", "x"), "[Errno 28] No space left: 'x'"),
    (BrokenPipeError(32, "Broken pipe"), "cannot load hub:a/b from the")])
def test_errors_of_the_disk_stay_what_they_are(error, line):
    with pytest.raises(OSError) as raised, hub_corpus._one_line("hub:a/b"):
        raise DatasetGenerationError("An error occurred") from error
    assert str(raised.value).startswith(line)
    assert not isinstance(raised.value, BrokenPipeError)  # `course` hides it


def test_no_network_is_one_line(hub, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        start = time.monotonic()
        code, _, err = prepare(hub, tmp_path / "run",
                               port=closed.getsockname()[1])
    assert time.monotonic() - start < 60
    assert code == 2 and err.count("\n") == 1
    assert err.startswith("course prepare: cannot load bookcorpus from the "
                          "Hugging Face Hub (ConnectError")
    assert not (tmp_path / "run").exists()


def test_a_stream_that_breaks_off_says_so(broken_stream):
    out, err = broken_stream.communicate(timeout=120)
    number, is_os_error, line = json.loads(out)
    assert number == 300 and is_os_error, err
    assert line.startswith("cannot load stream:poems/broken@main from the")

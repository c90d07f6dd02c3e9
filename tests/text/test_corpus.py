"""Text comes in from many kinds of file, or is refused by name."""

import gzip
import json
import lzma
import subprocess
import sys

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from course_lib.stories import generator as stories
from course_lib.text import documents
from course_lib.text.corpus import find_files, load_corpus
from course_lib.text.documents import separators

POEM = "Two roads\n\ndiverged, na\u00efvely \u2014 in a \U0001f333 wood.\n"
PACKERS = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress,
           ".zst": zstandard.ZstdCompressor().compress}


def write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(*specs):
    return list(load_corpus(*map(str, specs)).texts())


def test_stories_by_number():
    assert read("stories:7") == list(stories.stories(7))
    corpus = load_corpus("stories:7")
    assert corpus.name == "stories:7"
    assert list(corpus.texts()) == list(corpus.texts())  # again and again
    assert next(iter(load_corpus("stories").texts())) == stories.story(0, 0)


def test_a_corpus_is_a_dataset_with_a_text_column():
    rows = list(load_corpus("stories:3").dataset)
    assert [set(row) for row in rows] == [{"text"}] * 3


def test_fingerprints_follow_the_text(tmp_path):
    prints = {load_corpus(f"stories:{n}").fingerprint for n in (5, 6, 5)}
    assert len(prints) == 2
    path = write(tmp_path / "a.txt", POEM)
    before = load_corpus(str(path)).fingerprint
    assert load_corpus(str(path)).fingerprint == before
    write(path, POEM + "!")
    assert load_corpus(str(path)).fingerprint != before


@pytest.mark.parametrize("count", ["0", "-3", "many", "1.5", "\u0663"])
def test_a_strange_number_of_stories_is_refused(count):
    with pytest.raises(ValueError, match="needs a whole number"):
        load_corpus(f"stories:{count}")


@pytest.mark.parametrize("ending", PACKERS)
def test_text_files_plain_and_packed(tmp_path, ending):
    path = write(tmp_path / f"poem.txt{ending}", PACKERS[ending](
        POEM.encode()))
    assert read(path) == [POEM]


@pytest.mark.parametrize("ending", PACKERS)
def test_lines_of_json_plain_and_packed(tmp_path, ending):
    lines = "\n".join(json.dumps({"id": n, "text": f"{POEM}{n}"})
                      for n in range(3)) + "\n\n"
    path = write(tmp_path / f"poems.jsonl{ending}",
                 PACKERS[ending](lines.encode()))
    assert read(path) == [f"{POEM}{n}" for n in range(3)]


def write_table(path, **columns):
    parquet.write_table(pa.table(columns), path)
    return path


def test_rows_of_parquet(tmp_path):
    texts = [f"{POEM}{n}" for n in range(250)]  # some batches
    path = write_table(tmp_path / "a.parquet", id=range(250), text=texts)
    assert read(path) == texts
    write_table(path, text=pa.array(["a", None, " ", "b"], pa.large_string()))
    write(tmp_path / "b.parquet.gz", "no text")
    assert read(tmp_path) == ["a", "b"]


def test_parquet_without_text_is_named(tmp_path):
    path = write_table(tmp_path / "a.parquet", body=["x"], n=[1])
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read: expected"
                                         r" a column text of strings, found "
                                         r"body \(string\), n \(int64\)"):
        read(path)
    write_table(path, text=[1])
    with pytest.raises(ValueError, match=r"found text \(int64\)"):
        read(path)
    for damage in ("no parquet", b"", b"PAR1" + bytes(99) + b"PAR1"):
        with pytest.raises(ValueError, match=r"a\.parquet cannot be read"):
            read(write(path, damage))
    write_table(path, text=[str(n * n) for n in range(9999)])
    data = bytearray(path.read_bytes())
    data[20:2000] = bytes(1980)
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read"):
        read(write(path, bytes(data)))
    parquet.write_table(pa.Table.from_arrays(
        [pa.array(["a"]), pa.array(["b"])], ["text", "text"]), path)
    with pytest.raises(ValueError, match="more than one column text"):
        read(path)
    write_table(path, text=pa.array([b"\xff"]).view(pa.string()))
    with pytest.raises(ValueError, match=r"a\.parquet cannot be read"):
        read(path)


def test_packed_in_several_parts(tmp_path):
    for ending, pack in PACKERS.items():
        parts = [pack(part.encode()) for part in (POEM, "", POEM * 9000)]
        path = write(tmp_path / f"a.txt{ending}", b"".join(parts))
        assert read(path) == [POEM * 9001]


def test_folders_are_searched_and_sorted(tmp_path):
    write(tmp_path / "b" / "2.txt", "two")
    write(tmp_path / "a" / "1.txt.gz", gzip.compress(b"one"))
    write(tmp_path / "notes.pdf", b"%PDF")
    write(tmp_path / "c.jsonl", '{"text": "three"}')
    assert read(tmp_path) == ["one", "two", "three"]
    assert len(find_files([tmp_path, tmp_path / "b" / "2.txt"])) == 3


def test_a_byte_order_mark_and_windows_line_ends_go(tmp_path):
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n\r\nthree")
    assert read(path) == ["one\ntwo\n\nthree"]


def test_zeros_and_one_long_line_are_text(tmp_path):
    text = "a\0b " * 500_000
    assert read(write(tmp_path / "a.txt", text)) == [text]


MARKED = {
    "a line": "one\n\ntwo\n<|endoftext|>\nthree\n<|endoftext|>\n",
    "Windows lines": "one\r\n\r\ntwo\r\n<|endoftext|>\r\nthree\r\n"
                     "<|endoftext|>\r\n",
    "after the text": "one\n\ntwo\n<|endoftext|>three\n",
    "before and twice": "<|endoftext|>one\n\ntwo\n<|endoftext|>"
                        "<|endoftext|>\n\n<|endoftext|>\nthree\n"}


@pytest.mark.parametrize("ending", PACKERS)
@pytest.mark.parametrize("text", MARKED.values(), ids=MARKED)
def test_markers_separate_the_documents_of_a_text_file(
        tmp_path, monkeypatch, text, ending):
    """As TinyStories and many others are published."""
    path = write(tmp_path / f"a.txt{ending}", PACKERS[ending](text.encode()))
    assert separators(path) == text.count("<|endoftext|>")
    for chunk in (documents.CHUNK, 1, 2, 5, 13):  # a marker may be cut
        monkeypatch.setattr(documents, "CHUNK", chunk)
        assert read(path) == ["one\n\ntwo\n", "three\n"]
        assert separators(path) == text.count("<|endoftext|>")


def test_a_marker_in_a_row_is_text(tmp_path):
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "a<|endoftext|>b"}))
    table = write_table(tmp_path / "b.parquet", text=["<|endoftext|>"])
    assert read(path) == ["a<|endoftext|>b"]
    assert read(table) == ["<|endoftext|>"]
    assert separators(path) == separators(table) == 0


@pytest.mark.parametrize("text", [
    "A paragraph of words.\n\n" * 40, "a line of words\n" * 60,
    "word " * 200, "x" * 999, "ab<|endoftext|>" * 70,
    "x" * 95 + "<|endoftext|>" + "y" * 300, "\u00e9\U0001f333\r\n" * 90])
@pytest.mark.parametrize("chunk", [7, 64, 10**6])
def test_a_long_text_file_is_several_documents(tmp_path, monkeypatch, text,
                                               chunk):
    monkeypatch.setattr(documents, "LONGEST", 100)
    monkeypatch.setattr(documents, "CHUNK", chunk)
    found = read(write(tmp_path / "a.txt", text))
    plain = text.replace("\r\n", "\n").replace("<|endoftext|>", "")
    assert "".join(found) == plain
    assert max(map(len, found)) <= 100 + len("<|endoftext|>")
    for document in found[:-1] if "\n\n" in text else ():
        assert document.endswith("words.\n\n")


def test_a_line_of_json_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "LINE", 1000)
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "'
                 + "b" * 2000 + '"}')
    with pytest.raises(ValueError, match="line 2: expected .* most 1,000"):
        read(path)


PEAK = """
import resource, sys
from course_lib.text.corpus import load_corpus
from course_lib.text.split import side
for path in sys.argv[1:]:
    texts = side(load_corpus(path).texts(), "tail", False)
    print(sum(map(len, texts)), resource.getrusage(
        resource.RUSAGE_SELF).ru_maxrss / 1000)
"""


@pytest.mark.parametrize("ending", ["", ".xz"])
def test_memory_does_not_grow_with_a_text_file(tmp_path, ending):
    """100 MB, which packed are 20 kB."""
    pack, line = PACKERS[ending], b"one long line of words, " * 40_000
    paths = [write(tmp_path / f"{name}.txt{ending}", pack(line) * times)
             for name, times in (("small", 20), ("large", 104))]
    done = subprocess.run([sys.executable, "-c", PEAK, *paths],
                          capture_output=True, text=True, check=True)
    _, before, size, after = map(float, done.stdout.split())
    assert size > 94e6
    assert after - before < 20, (before, after)


def test_zstandard_is_unpacked_in_pieces(tmp_path):
    """Which another library's reader does not do by itself: 60 MB stand in a
    few kilobytes, which are read at once."""
    path = write(tmp_path / "a.txt.zst", PACKERS[".zst"](b"a " * 30_000_000))
    sizes = [len(piece) for piece in documents._unpack_zstd(path)]
    assert sum(sizes) == 60_000_000 and path.stat().st_size < 2**16
    assert max(sizes) < 2**23


def test_empty_files_are_left_out(tmp_path):
    write(tmp_path / "a.txt", "")
    write(tmp_path / "b.txt", " \r\n\t\n")
    write(tmp_path / "c.txt", "text")
    assert read(tmp_path) == ["text"]


def test_invalid_utf8_is_named_with_its_place(tmp_path):
    path = write(tmp_path / "latin.txt", "gar\u00e7on".encode("latin1"))
    with pytest.raises(ValueError, match=r"latin\.txt is not UTF-8: byte "
                                         r"0xe7 at position 3.*iconv"):
        read(path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_called_what_it_is(tmp_path, encoding):
    path = write(tmp_path / "a.txt", "Ice cream after tea".encode(
        encoding))
    with pytest.raises(ValueError, match="not UTF-8.*iconv -f utf-16"):
        read(path)


def test_the_place_of_a_bad_byte_is_the_file_s(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbf" + "\u611b".encode() * 9
                 + b"\xe6\x84x")
    for chunk in (1, 2, 7, 10**6):
        monkeypatch.setattr(documents, "CHUNK", chunk)
        with pytest.raises(ValueError, match="byte 0xe6 at position 30;"):
            read(path)


@pytest.mark.parametrize("line", [
    "no json", "[1]", '{"body": "x"}', '{"text": 5}', '{"text": null}',
    r'{"text": "\ud800"}', b'{"text": "\xff"}'])
def test_a_bad_line_of_json_is_named(tmp_path, line):
    line = line if isinstance(line, bytes) else line.encode()
    path = write(tmp_path / "x.jsonl", b'{"text": "fine"}\n' + line + b"\n")
    with pytest.raises(ValueError, match=r"x\.jsonl, line 2: expected"):
        read(path)


@pytest.mark.parametrize("ending", [e for e in PACKERS if e])
@pytest.mark.parametrize("damage", [lambda d: d[:len(d) // 2],
                                    lambda d: b"plain text, wrong name"])
def test_a_damaged_archive_is_refused(tmp_path, ending, damage):
    data = PACKERS[ending](b"".join(b"%d " % (n * n % 9973)
                                    for n in range(50_000)))
    path = write(tmp_path / f"a.txt{ending}", damage(data))
    with pytest.raises(ValueError, match=r"a\.txt.* cannot be unpacked"):
        read(path)


def test_what_is_missing_or_no_text_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file or folder.*nowhere"):
        load_corpus(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=f"no text in {tmp_path}"):
        load_corpus(str(tmp_path))
    path = write(tmp_path / "a.pdf", "text")
    with pytest.raises(ValueError, match=r"a\.pdf does not end in \.txt"):
        load_corpus(str(path))
    with pytest.raises(ValueError, match="name a corpus"):
        load_corpus()


@pytest.mark.parametrize("spec", [
    "hub:", "hub:stories", "hub:/b", "hub:a/", "hub:a/b/c", "hub:a b/c",
    "hub:a/b@", "hub:a/b#", "stream:", "stream:a/b@#c", "bookcorpus:5"])
def test_a_spec_of_another_form_is_refused(spec):
    with pytest.raises(ValueError, match="names no dataset: write hub:OWNER"):
        load_corpus(spec)


def test_names_of_corpora_do_not_mix_with_paths(tmp_path):
    path = write(tmp_path / "a.txt", "text")
    with pytest.raises(FileNotFoundError, match="stories"):
        load_corpus("stories", str(path))


def test_a_bare_machine_trains_without_zstandard(tmp_path):
    """Rented images lack it: only a file that is packed so asks for it."""
    (tmp_path / "a.txt").write_text("Life is about rain.")
    (tmp_path / "b.txt.zst").write_bytes(b"(\xb5/\xfd")
    done = subprocess.run([sys.executable, "-c", f"""
import sys
sys.modules["zstandard"] = None
from course_lib import stages
from course_lib.text.corpus import load_corpus
from course_lib.training.trainer import train
print(next(load_corpus({str(tmp_path / "a.txt")!r}).texts()))
try:
    list(load_corpus({str(tmp_path / "b.txt.zst")!r}).texts())
except ValueError as error:
    print(error)
"""], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first == "Life is about rain."
    assert "b.txt.zst is packed with Zstandard: `pip install" in second

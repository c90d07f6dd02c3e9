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
from course_lib.text.corpus import find_files, load_corpus

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

"""Documents become a token file without a gap, and batches come out of it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from course_lib.machine.files import write_json
from course_lib.stories.generator import stories
from course_lib.text import token_files as data
from course_lib.text.split import (
    SPLIT_RULES,
    choose_split,
    is_validation,
    side,
    split_document,
)
from course_lib.text.tokenizer import train_tokenizer

TEXTS = list(stories(80))
TOKENIZER = train_tokenizer(TEXTS, 400)


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "train.bin"
    return data.pack(TEXTS, TOKENIZER, path)


class Wide:
    """A tokenizer with too many entries for 16 bits."""

    vocab_size, eot, fingerprint = 70_000, 69_999, "wide"

    def fastest(self, sample):
        return lambda texts: [[65_536 + ord(c) for c in text]
                              for text in texts]


# The file.

def test_documents_stand_between_ends_of_text(packed):
    wanted = [TOKENIZER.eot]
    for text in TEXTS:
        wanted += [*TOKENIZER.encode(text), TOKENIZER.eot]
    assert packed.ids.tolist() == wanted
    assert packed.ids.dtype == np.uint16


def test_the_header_counts_documents_tokens_and_bytes(packed):
    assert packed.documents == len(TEXTS)
    assert packed.tokens == len(packed.ids)
    assert packed.bytes == sum(len(text.encode()) for text in TEXTS)
    assert packed.header["tokenizer"] == TOKENIZER.fingerprint
    packed.verify()


def test_decoding_the_file_gives_the_text_back(packed):
    parts = TOKENIZER.decode(packed.ids.tolist()).split("<|endoftext|>")
    assert parts == ["", *TEXTS, ""]


def test_groups_do_not_show(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "ENCODE_BYTES", 1000)
    done = []
    again = data.pack(iter(TEXTS), TOKENIZER, tmp_path / "t.bin",
                      progress=done.append)
    assert again.header == packed.header
    assert len(done) > 10 and sum(done) == packed.bytes
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.bin", "t.json"]


def test_many_entries_take_32_bits(tmp_path):
    wide = data.pack(["ab", "c"], Wide(), tmp_path / "w.bin")
    assert wide.ids.dtype == np.uint32
    assert wide.ids.tolist() == [69_999, 65_633, 65_634, 69_999, 65_635,
                                 69_999]
    ids, targets = wide.batch(0, 1, 2)
    assert ids.dtype == targets.dtype == torch.int64


def test_no_text_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"no text to pack into t\.bin"):
        data.pack([], TOKENIZER, tmp_path / "t.bin")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_packing_is_not_taken_for_whole(tmp_path):
    def texts():
        yield TEXTS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.pack(texts(), TOKENIZER, tmp_path / "t.bin")
    with pytest.raises(FileNotFoundError, match="course prepare"):
        data.Tokens(tmp_path / "t.bin")
    data.pack(TEXTS, TOKENIZER, tmp_path / "t.bin").verify()


def test_a_long_document_is_packed_in_pieces(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "PIECE", 20)
    monkeypatch.setattr(data, "ENCODE_BYTES", 100)
    again = data.pack(iter(TEXTS), TOKENIZER, tmp_path / "t.bin")
    assert again.header == packed.header


def broken_off(after):
    """The documents, until an interruption after so many."""
    yield from TEXTS[:after]
    raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 37, 79])
def test_packing_goes_on_where_it_was_interrupted(packed, tmp_path,
                                                  monkeypatch, after):
    monkeypatch.setattr(data, "ENCODE_BYTES", 1500)
    monkeypatch.setattr(data, "SAVE_BYTES", 3000)
    path, encoded = tmp_path / "t.bin", []
    with pytest.raises(KeyboardInterrupt):
        data.pack(broken_off(after), TOKENIZER, path, source="mine")
    with path.with_suffix(".partial").open("ab") as file:
        file.write(b"cut off in the middle of")
    again = data.pack(TEXTS, TOKENIZER, path, encoded.append, "mine")
    assert {**again.header, "source": None} == packed.header
    again.verify()
    # the last point saved is 3,000 bytes of tokens and a group back
    redone = sum(map(len, TEXTS[:after])) - (packed.bytes - sum(encoded))
    assert redone < 3000 * 4 / 2 + 2 * 1500 + max(map(len, TEXTS))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.bin", "t.json"]


@pytest.mark.parametrize("change", ["source", "tokenizer", "short", "saved"])
def test_packing_starts_anew_when_what_is_left_does_not_fit(
        packed, tmp_path, monkeypatch, change):
    monkeypatch.setattr(data, "ENCODE_BYTES", 1500)
    monkeypatch.setattr(data, "SAVE_BYTES", 3000)
    path, encoded = tmp_path / "t.bin", []
    other = train_tokenizer(TEXTS[:40], 400)
    with pytest.raises(KeyboardInterrupt):
        data.pack(broken_off(70), other if change == "tokenizer"
                  else TOKENIZER, path, source="mine")
    if change == "short":
        path.with_suffix(".partial").write_bytes(b"12")
    if change == "saved":
        path.with_suffix(".saved").write_text('{"tokens": ')
    again = data.pack(TEXTS, TOKENIZER, path, encoded.append,
                      "yours" if change == "source" else "mine")
    assert {**again.header, "source": None} == packed.header
    assert sum(encoded) == packed.bytes


def test_a_whole_file_of_the_same_source_is_kept(packed, tmp_path):
    path = tmp_path / "t.bin"
    first = data.pack(TEXTS, TOKENIZER, path, source="mine")
    assert data.pack(broken_off(0), TOKENIZER, path,
                     source="mine").header == first.header
    with pytest.raises(KeyboardInterrupt):
        data.pack(broken_off(0), TOKENIZER, path, source="yours")


@pytest.mark.slow
def test_memory_does_not_grow_with_a_document(tmp_path):
    """40 MB in one line take no more than the text and a group's ids."""
    code = f"""
import resource
from course_lib.text import token_files as data
from course_lib.text.tokenizer import train_tokenizer
text = "one long line of words, " * {40_000_000 // 24}
tokenizer = train_tokenizer([text[:10_000]], 265)
data.pack([text[:2_000_000]], tokenizer, {str(tmp_path / "a.bin")!r})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
tokens = data.pack([text], tokenizer, {str(tmp_path / "b.bin")!r})
print(tokens.bytes, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
      - before)
"""
    done = subprocess.run([sys.executable, "-c", code], text=True,
                          capture_output=True, check=True)
    size, grown = map(int, done.stdout.split())
    assert size == 24 * (40_000_000 // 24)
    unit = 1 if sys.platform == "darwin" else 1024
    assert grown * unit < 200e6  # its ids as Python lists: over 500 MB


@pytest.fixture
def copy(tmp_path):
    data.pack(TEXTS[:9], TOKENIZER, tmp_path / "t.bin")
    return tmp_path / "t.bin"


@pytest.mark.parametrize("cut", [1, 2, 1001])
def test_a_truncated_file_is_refused(copy, cut):
    copy.write_bytes(copy.read_bytes()[:-cut])
    with pytest.raises(ValueError, match=r"t\.bin.*course prepare` once more"):
        data.Tokens(copy)


def test_an_empty_file_is_refused(copy):
    copy.write_bytes(b"")
    with pytest.raises(ValueError, match=r"t\.bin.*course prepare` once more"):
        data.Tokens(copy)


@pytest.mark.parametrize("header", ["", "{", "{}", "[]", '{"tokens": 3}'])
def test_a_damaged_header_is_refused(copy, header):
    copy.with_suffix(".json").write_text(header)
    with pytest.raises(ValueError, match="damaged.*course prepare` once more"):
        data.Tokens(copy)


def test_a_changed_byte_is_found(copy):
    content = bytearray(copy.read_bytes())
    content[10] ^= 1
    copy.write_bytes(content)
    with pytest.raises(ValueError, match="checksum"):
        data.Tokens(copy).verify()


def test_another_tokenizer_is_refused(copy):
    data.Tokens(copy, TOKENIZER)
    other = train_tokenizer(TEXTS[:40], 400)
    with pytest.raises(ValueError, match="another tokenizer"):
        data.Tokens(copy, other)


# The batches.

def counting(tmp_path, tokens):
    """A token file 0, 1, 2, ...: every window says where it began."""
    path = tmp_path / "count.bin"
    np.arange(tokens, dtype=np.uint16).tofile(path)
    write_json(path.with_suffix(".json"), dict(
        dtype="uint16", vocab_size=2**16, tokenizer="none", documents=1,
        tokens=tokens, bytes=tokens))
    return data.Tokens(path)


@pytest.mark.parametrize("tokens", [20, 205, 209, 210])
def test_an_epoch_shows_every_window_once(tmp_path, tokens):
    numbers, T = counting(tmp_path, tokens), 10
    count = numbers.windows(T)
    epochs = []
    for epoch in range(3):
        starts = [int(numbers.batch(epoch * count + i, 1, T)[0][0, 0])
                  for i in range(count)]
        assert np.diff(sorted(starts)).tolist() == [T] * (count - 1)
        assert 0 <= min(starts) < T
        epochs.append(starts)
    assert count < 5 or len({tuple(e) for e in epochs}) == 3


def test_an_epoch_may_end_inside_a_batch(tmp_path):
    numbers = counting(tmp_path, 205)
    rows = torch.cat([numbers.batch(s, 4, 10)[0] for s in range(30)])
    single = torch.cat([numbers.batch(s, 1, 10)[0] for s in range(120)])
    assert torch.equal(rows, single)


def test_targets_are_the_next_tokens(tmp_path):
    numbers = counting(tmp_path, 500)
    for step in range(60):
        ids, targets = numbers.batch(step, 4, 16)
        assert ids.shape == targets.shape == (4, 16)
        assert torch.equal(targets, ids + 1)


def test_a_batch_depends_on_seed_and_step_alone(packed):
    first = packed.batch(5, 8, 32, seed=1)
    for step in (900, 0, 6):
        packed.batch(step, 8, 32, seed=1)
    data._epoch.cache_clear()
    fresh = data.Tokens(packed.path)
    for a, b in zip(first, fresh.batch(5, 8, 32, seed=1)):
        assert torch.equal(a, b)
    for other in (packed.batch(6, 8, 32, seed=1),
                  packed.batch(5, 8, 32, seed=2)):
        assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("world", [1, 2, 4, 8])
def test_processes_share_out_the_same_batch(packed, world):
    whole = packed.batch(3, 8, 32, seed=7)
    parts = [packed.batch(3, 8, 32, seed=7, rank=rank, world=world)
             for rank in range(world)]
    for part in (0, 1):
        assert torch.equal(torch.cat([p[part] for p in parts]), whole[part])


def test_a_context_longer_than_the_data_is_refused(tmp_path):
    numbers = counting(tmp_path, 99)
    assert numbers.windows(49) == 1
    for T in (50, 99, 1000):
        with pytest.raises(ValueError, match=rf"context of {T} .*count\.bin "
                                             "has 99 tokens"):
            numbers.batch(0, 1, T)


# The split.

def hashed(held_out, number=1):
    texts = (f"text {n}" for n in range(10_000))
    found = [t for t in texts if is_validation(t) == held_out]
    return found[:number]


def test_the_hash_rule_holds_out_about_a_twentieth():
    held = sum(is_validation(str(n)) for n in range(20_000))
    assert 0.045 < held / 20_000 < 0.055


def test_adding_documents_moves_none():
    before = {t for t in TEXTS[:40] if is_validation(t)}
    after = {t for t in reversed(TEXTS) if is_validation(t)}
    assert before == after & set(TEXTS[:40])
    whole = list(side(TEXTS, "hash", True))
    assert list(side(TEXTS[:40], "hash", True)) == [
        t for t in whole if t in TEXTS[:40]]


@pytest.mark.parametrize("rule", SPLIT_RULES)
def test_the_sides_share_out_every_document(rule):
    for text in TEXTS:
        assert "".join(split_document(text, rule)) == text


def test_many_documents_split_by_hash_and_few_by_tail():
    assert choose_split(stories(1000)) == "hash"
    assert choose_split(hashed(False, 20)) == "tail"
    assert choose_split(hashed(False, 99) + hashed(True, 3)) == "hash"


def test_a_single_held_out_document_still_trains():
    assert choose_split(hashed(True, 1)) == "tail"
    assert choose_split(hashed(True, 3) + hashed(False, 1)) == "tail"


def test_no_text_has_no_split():
    for texts in ([], [""]):
        with pytest.raises(ValueError, match="corpus is empty"):
            choose_split(texts)
    with pytest.raises(ValueError, match="split rule 'random'"):
        split_document("text", "random")


def test_the_tail_begins_with_a_paragraph():
    text = "".join(f"Paragraph {n} goes on for a while.\n\n"
                   for n in range(100))
    train, val = split_document(text, "tail")
    assert train + val == text
    assert train.endswith("\n") and val.lstrip("\n").startswith("Paragraph")
    assert 0.04 < len(val) / len(text) < 0.05


def test_the_tail_of_one_long_line_is_its_last_twentieth():
    train, val = split_document("x" * 1000, "tail")
    assert (len(train), len(val)) == (950, 50)


def test_empty_sides_are_left_out():
    assert list(side(hashed(True, 5), "hash", False)) == []
    assert len(list(side(hashed(True, 5), "hash", True))) == 5


def test_json_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": [2]})
    assert json.loads(path.read_text()) == {"a": [2]}
    assert list(tmp_path.iterdir()) == [path]

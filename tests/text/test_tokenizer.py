"""The tokenizer: lossless, deterministic, and clear about what it refuses."""

import hashlib
import json
import random
from collections import Counter
from pathlib import Path

import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_lib.stories.generator import stories
from course_lib.text.token_files import pack
from course_lib.text.tokenizer import (
    EOT,
    Tokenizer,
    cut,
    load_tokenizer,
    train_tokenizer,
)

TEXTS = list(stories(60))
TOKENIZER = train_tokenizer(TEXTS, 400)
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))
NASTY = ["", " ", "\0", "\r\n", "a\r\nb\rc\n", "  two  spaces  ", "\t\n ",
         "\ufeffmark", "caf\u00e9 cafe\u0301", "\u611b\U0001f642\U0010ffff",
         "\u200b\u2028\u3000\x1c\x85\xa0", "\u0120\u010a\u0143", "don't 'S",
         EOT, EOT * 3 + "x", "\ufffd", "12345 1\u00bd \u00b2"]


def nasty(test):
    for text in NASTY:
        test = example(text)(test)
    return test


@settings(max_examples=300, deadline=None)
@given(UNICODE)
@nasty
def test_decoding_returns_the_text(text):
    ids = TOKENIZER.encode(text)
    assert TOKENIZER.decode(ids) == text
    assert b"".join(map(TOKENIZER.token_bytes, ids)) == text.encode()
    assert TOKENIZER.eot not in ids
    assert all(0 <= i < TOKENIZER.vocab_size for i in ids)


@settings(max_examples=50, deadline=None)
@given(st.lists(UNICODE, max_size=5))
def test_a_batch_is_its_texts(texts):
    assert TOKENIZER.encode_batch(texts) == [
        TOKENIZER.encode(text) for text in texts]


def test_every_byte_has_one_token():
    single = Counter(
        entry for i in range(TOKENIZER.vocab_size)
        if len(entry := TOKENIZER.token_bytes(i)) == 1)
    assert single == {bytes([b]): 1 for b in range(256)}


def test_ids_are_end_of_text_bytes_and_merges():
    assert TOKENIZER.eot == 0 and TOKENIZER.token_bytes(0) == b""
    entries = [TOKENIZER.token_bytes(i) for i in range(1, 400)]
    assert len(set(entries)) == 399
    assert all(len(entry) == 1 for entry in entries[:256])
    assert all(len(entry) > 1 for entry in entries[256:])


def test_half_a_character_decodes_to_a_mark():
    first = TOKENIZER.encode("\u611b")[:1]
    assert TOKENIZER.decode(first) == "\ufffd"


def test_end_of_text_decodes_to_its_name():
    assert TOKENIZER.decode([TOKENIZER.eot]) == EOT
    assert TOKENIZER.decode([]) == ""


def test_end_of_text_in_a_corpus_is_text():
    tokenizer = train_tokenizer([EOT + text for text in TEXTS], 400)
    ids = tokenizer.encode("a" + EOT)
    assert tokenizer.eot not in ids
    assert tokenizer.decode(ids) == "a" + EOT


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\ud83d x"])
def test_a_lone_surrogate_is_refused(text):
    with pytest.raises(ValueError, match="lone surrogate"):
        TOKENIZER.encode(text)
    with pytest.raises(ValueError, match="lone surrogate"):
        TOKENIZER.encode_batch(["fine", text])


FAST = TOKENIZER.fastest(TEXTS)
SIGNS = st.text(st.sampled_from("ab \n\t'st1!\u00e9\u3042\x1c\x85\u00a0"))


def test_tiktoken_is_taken_where_it_agrees():
    assert FAST != TOKENIZER.encode_batch
    with pytest.raises(ValueError, match="lone surrogate"):
        FAST(["fine", "\ud800"])


@given(st.lists(st.text() | SIGNS))
def test_tiktoken_gives_the_library_s_ids(texts):
    assert FAST(texts) == TOKENIZER.encode_batch(texts)


@pytest.mark.slow
def test_tiktoken_cuts_words_where_the_library_does():
    """Every character of the planes that have letters, around words."""
    texts = [f"a{chr(c)}1 {chr(c)}b.{chr(c)}" for c in range(0x40000)
             if not 0xD800 <= c < 0xE000]
    assert FAST(texts) == TOKENIZER.encode_batch(texts)


@pytest.mark.parametrize("letters", ["a", "ab", "abc"])
@pytest.mark.parametrize("seed", range(5))
def test_tiktoken_agrees_where_merges_overlap(letters, seed):
    """Few letters and long words: the hardest case for the order."""
    draw = random.Random(seed)

    def words(count):
        return ["".join(draw.choices(letters, k=draw.randint(1, 60)))
                for _ in range(count)]

    tokenizer = train_tokenizer(words(50), 262)
    tests = words(200)
    fast = tokenizer.fastest(tests)
    assert fast != tokenizer.encode_batch
    assert fast(tests) == tokenizer.encode_batch(tests)


def test_the_library_encodes_where_tiktoken_would_differ(saved):
    state = json.loads(saved.read_text())
    state["pre_tokenizer"]["add_prefix_space"] = True
    other = Tokenizer(tokenizers.Tokenizer.from_str(json.dumps(state)))
    assert other.fastest(TEXTS) == other.encode_batch


def merge_removed(state):
    del state["model"]["merges"][-1]


@pytest.mark.parametrize("change", [
    merge_removed,
    lambda state: state["model"]["merges"].reverse(),
    lambda state: state["model"]["merges"].append(
        state["model"]["merges"].pop(0)),
    lambda state: [merge_removed(state), state["model"].update(
        ignore_merges=True)]])
def test_merges_of_no_training_are_the_library_s_business(saved, change):
    """tiktoken knows no merges but by the ids of what they make, and a
    sample need not show where that is another text."""
    state = json.loads(saved.read_text())
    change(state)
    saved.write_text(json.dumps(state))
    other = load_tokenizer(saved)
    texts = [*TEXTS, *filter(str.isascii, (
        other.decode([i]) for i in range(400)))]
    assert other.fastest(["abc"])(texts) == other.encode_batch(texts)


def test_a_token_that_no_sample_shows_is_the_library_s_business(saved):
    """Tokens that were added are found in a text before it is cut."""
    state = json.loads(saved.read_text())
    state["added_tokens"].append(added(400, "abracad abra"))
    saved.write_text(json.dumps(state))
    other = load_tokenizer(saved)
    text = "xabracad abrax"
    assert other.fastest(TEXTS)([text]) == [other.encode(text)]
    assert 400 in other.encode(text) and other.decode(
        other.encode(text)) == text


def added(number, content, **settings):
    return dict(id=number, content=content, single_word=False, lstrip=False,
                rstrip=False, normalized=False, special=False) | settings


@given(SIGNS, st.integers(1, 9))
def test_pieces_have_the_ids_of_the_whole(text, size):
    pieces = list(cut(text, size))
    assert "".join(pieces) == text
    assert sum(TOKENIZER.encode_batch(pieces), []) == TOKENIZER.encode(text)


def test_a_word_without_end_is_learned_from_and_encoded():
    text = "".join(random.Random(0).choices("abcdef", k=300_000))
    tokenizer = train_tokenizer([text], 300)
    [ids] = tokenizer.fastest(["a"])([text])
    assert tokenizer.decode(ids) == text


def test_a_long_text_is_learned_from_as_a_whole(monkeypatch):
    whole = train_tokenizer(["\n\n".join(TEXTS)], 400)
    monkeypatch.setattr("course_lib.text.tokenizer.LONGEST_WORD", 20)
    parts = train_tokenizer(["\n\n".join(TEXTS)], 400)
    assert parts.fingerprint == whole.fingerprint


def test_the_same_texts_give_the_same_file(tmp_path):
    for name in "ab":
        train_tokenizer(iter(TEXTS), 400).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    other = train_tokenizer(TEXTS[:30], 400)
    assert other.fingerprint != TOKENIZER.fingerprint


def test_a_smaller_vocabulary_is_the_beginning_of_a_larger():
    small = train_tokenizer(TEXTS, 300)
    assert [small.token_bytes(i) for i in range(300)] == [
        TOKENIZER.token_bytes(i) for i in range(300)]


def test_vocabulary_size_is_met_or_refused():
    bare = train_tokenizer(TEXTS, 257)
    assert bare.vocab_size == 257
    assert len(bare.encode("caf\u00e9")) == 5
    with pytest.raises(ValueError, match="at least 257 .* not 256"):
        train_tokenizer(TEXTS, 256)
    with pytest.raises(ValueError, match="fills only .*vocab_size=1000"):
        train_tokenizer(["low lower lowest"], 1000)
    with pytest.raises(ValueError, match="fills only 257"):
        train_tokenizer([], 300)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "tokenizer.json"
    TOKENIZER.save(path)
    return path


def test_a_second_life_is_like_the_first(saved, tmp_path):
    again = load_tokenizer(saved)
    assert again.fingerprint == TOKENIZER.fingerprint
    assert (again.vocab_size, again.eot) == (400, TOKENIZER.eot)
    for text in [*NASTY, *TEXTS[:5]]:
        assert again.encode(text) == TOKENIZER.encode(text)
        assert again.decode(again.encode(text)) == text
    again.save(tmp_path / "third.json")
    assert (tmp_path / "third.json").read_bytes() == saved.read_bytes()


def test_transformers_reads_the_file(saved):
    from transformers import PreTrainedTokenizerFast
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(saved))
    assert theirs(TEXTS[0])["input_ids"] == TOKENIZER.encode(TEXTS[0])


KEPT = {
    "truncation": dict(truncation=dict(
        direction="Right", max_length=8, strategy="LongestFirst", stride=0)),
    "truncation on the left": dict(truncation=dict(
        direction="Left", max_length=400, strategy="LongestFirst", stride=0)),
    "padding": dict(padding=dict(
        strategy=dict(Fixed=64), direction="Right", pad_to_multiple_of=None,
        pad_id=0, pad_type_id=0, pad_token=EOT)),
    "padding to the longest": dict(padding=dict(
        strategy="BatchLongest", direction="Left", pad_to_multiple_of=8,
        pad_id=0, pad_type_id=0, pad_token=EOT)),
    "a start token": dict(post_processor=dict(
        type="TemplateProcessing", special_tokens={EOT: dict(
            id=EOT, ids=[0], tokens=[EOT])},
        single=[dict(SpecialToken=dict(id=EOT, type_id=0)),
                dict(Sequence=dict(id="A", type_id=0))], pair=[
                dict(Sequence=dict(id="A", type_id=0)),
                dict(Sequence=dict(id="B", type_id=0))]))}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_what_others_keep_in_the_file_changes_no_id(saved, kept, tmp_path):
    """transformers writes how it was last called; its Trainer may too."""
    state = json.loads(saved.read_text())
    saved.write_text(json.dumps(state | kept))
    again = load_tokenizer(saved)
    long = "\n".join(TEXTS)
    assert again.encode(long) == TOKENIZER.encode(long)
    assert again.encode_batch(["a", long]) == TOKENIZER.encode_batch(
        ["a", long])
    assert again.fingerprint == TOKENIZER.fingerprint
    one, two = (pack(TEXTS, each, tmp_path / f"{each.eot}.bin").ids.tolist()
                for each in (again, TOKENIZER))
    assert one == two


def test_merges_left_out_by_chance_are_not(saved):
    state = json.loads(saved.read_text())
    state["model"]["dropout"] = 0.5
    saved.write_text(json.dumps(state))
    assert load_tokenizer(saved).encode_batch(TEXTS) \
        == TOKENIZER.encode_batch(TEXTS)


def test_used_by_transformers_and_saved_it_is_the_same(saved, tmp_path):
    from transformers import PreTrainedTokenizerFast
    theirs = PreTrainedTokenizerFast(
        tokenizer_file=str(saved), pad_token=EOT, eos_token=EOT)
    theirs(TEXTS[0], truncation=True, max_length=8, padding="max_length")
    theirs.save_pretrained(tmp_path / "theirs")
    again = load_tokenizer(tmp_path / "theirs" / "tokenizer.json")
    assert again.encode_batch(TEXTS) == TOKENIZER.encode_batch(TEXTS)
    assert again.fingerprint == TOKENIZER.fingerprint


def test_a_fingerprint_follows_what_decides_ids(saved):
    def changed(change):
        state = json.loads(saved.read_text())
        change(state)
        return Tokenizer(tokenizers.Tokenizer.from_str(
            json.dumps(state))).fingerprint

    prints = {changed(change) for change in (
        lambda state: None,
        lambda state: state["model"]["merges"].reverse(),
        lambda state: state["added_tokens"].append(added(400, "<pad>")),
        lambda state: state["added_tokens"].append(added(
            400, "<pad>", special=True)),
        lambda state: state["added_tokens"].append(added(
            400, "<pad>", single_word=True)),
        lambda state: state["model"].update(ignore_merges=True),
        lambda state: state.update(normalizer=dict(type="Lowercase")),
        lambda state: state["pre_tokenizer"].update(use_regex=False))}
    assert len(prints) == 8 and TOKENIZER.fingerprint in prints
    assert changed(lambda state: state["pre_tokenizer"].update(
        trim_offsets=False)) == TOKENIZER.fingerprint


def test_fingerprints_of_the_first_edition_are_known(saved):
    whole = hashlib.sha256(TOKENIZER.library.to_str().encode()).hexdigest()
    again = load_tokenizer(saved)
    assert again.known_as(whole[:16]) and again.known_as(again.fingerprint)
    assert not again.known_as("0" * 16)


def test_tokens_that_were_added_stand_for_their_names(saved):
    state = json.loads(saved.read_text())
    state["added_tokens"] += [added(401, "two words"), added(
        402, "<|\u611b|>", special=True)]
    state["model"]["vocab"]["zq"] = 403  # and no 400
    saved.write_text(json.dumps(state))
    tokenizer = load_tokenizer(saved)
    assert tokenizer.vocab_size == 404
    assert [tokenizer.token_bytes(i) for i in (0, 401, 402, 400, 403)] == [
        b"", b"two words", "<|\u611b|>".encode(), b"", b"zq"]
    assert tokenizer.fastest(TEXTS)(TEXTS) == TOKENIZER.encode_batch(TEXTS)
    assert 402 not in tokenizer.encode("<|\u611b|>")


def first_cut(kind, **settings):
    """What happens to a text before its words are cut."""
    def change(state):
        words = state["pre_tokenizer"]
        state["pre_tokenizer"] = dict(type="Sequence", pretokenizers=[
            dict(type=kind, **settings), words | dict(use_regex=False)])
    return change


def without(letter):
    """A tokenizer that never saw a letter, and has no token for its byte."""
    def change(state):
        del state["model"]["vocab"][letter]
    return change


def after_decoding(**step):
    def change(state):
        state["decoder"] = dict(type="Sequence", decoders=[
            state["decoder"], step])
    return change


Q = dict(String="Q")


@pytest.mark.parametrize("change, what", [
    (without("Q"), "may change the text: it has tokens for 255 .* for 'Q'"),
    (lambda state: [without("Q")(state), state["model"].update(
        unk_token="a")], "may change the text: it has tokens for 255"),
    (lambda state: state.update(normalizer=dict(
        type="Replace", pattern=Q, content="")),
     "may change the text: its normalizer is Replace"),
    (lambda state: state.update(normalizer=dict(type="NFC")),
     "may change the text: its normalizer is NFC"),
    (lambda state: state.update(normalizer=dict(
        type="Sequence", normalizers=[dict(type="NFKC")])),
     "may change the text: its normalizer is NFKC"),
    (first_cut("Split", pattern=Q, behavior="Removed", invert=False),
     "may change the text: its pre_tokenizer Split may leave"),
    (first_cut("CharDelimiterSplit", delimiter="Q"),
     "may change the text: its pre_tokenizer CharDelimiterSplit may leave"),
    (after_decoding(type="Replace", pattern=Q, content=""),
     "may change the text: its decoder is Replace"),
    (lambda state: state["added_tokens"].append(added(400, "\xfc")),
     "changes the text: its added token '\xfc' does not come back"),
    (lambda state: state["model"]["vocab"].update(zq=399),
     "may change the text: two of its tokens have one id"),
    (lambda state: state.update(normalizer=dict(type="Lowercase")),
     "changes the text: it makes"),
    (lambda state: state["pre_tokenizer"].update(add_prefix_space=True),
     "changes the text: it makes"),
    (lambda state: state.update(decoder=None), "changes the text"),
    (lambda state: state["added_tokens"].append(
        added(400, "zebra", lstrip=True)),
     "changes the text: it has tokens that take"),
    (lambda state: state["added_tokens"][0].update(special=False),
     "takes .* in a text for the end of it"),
    (lambda state: state["model"]["vocab"].update({"\u2581the": 400}),
     "is no byte-level BPE: it has a token '\u2581the'")])
def test_a_tokenizer_that_text_does_not_survive_is_refused(saved, change,
                                                           what):
    state = json.loads(saved.read_text())
    change(state)
    saved.write_text(json.dumps(state))
    with pytest.raises(ValueError, match=rf"tokenizer\.json {what}"):
        load_tokenizer(saved)


def test_what_only_cuts_a_text_is_kept(saved):
    state = json.loads(saved.read_text())
    first_cut("Split", pattern=Q, behavior="Isolated", invert=False)(state)
    saved.write_text(json.dumps(state))
    for text in NASTY:
        again = load_tokenizer(saved)
        assert again.decode(again.encode(text)) == text


def test_an_id_beyond_all_vocabularies_takes_no_memory(saved):
    state = json.loads(saved.read_text())
    state["model"]["vocab"]["zq"] = 2**31
    saved.write_text(json.dumps(state))
    with pytest.raises(ValueError, match="ids must be below .* 2147483648"):
        load_tokenizer(saved)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(FileNotFoundError, match="course prepare"):
            load_tokenizer(path)


@pytest.mark.parametrize("damage", [
    lambda data: data[:len(data) // 2], lambda data: b"",
    lambda data: b"\xff\xfe" + data, lambda data: b"{}",
    lambda data: data.replace(b'"BPE"', b'"XYZ"')])
def test_a_damaged_file_is_refused(saved, damage):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(ValueError, match="is not a tokenizer file"):
        load_tokenizer(saved)


def test_another_kind_of_tokenizer_is_refused(saved):
    state = json.loads(saved.read_text())
    state["added_tokens"] = []
    del state["model"]["vocab"][EOT]
    saved.write_text(json.dumps(state))
    with pytest.raises(ValueError, match="not a byte-level BPE"):
        load_tokenizer(saved)


def test_a_permission_is_called_one(tmp_path, monkeypatch):
    (tmp_path / "tokenizer.json").write_text("{}")

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(PermissionError):
        load_tokenizer(tmp_path / "tokenizer.json")

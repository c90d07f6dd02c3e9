"""Sentences as padded rows, the layout of the recipe of 2023."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.measuring.evaluation import evaluate
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.stories.generator import stories
from course_lib.text.rows import sentences
from course_lib.text.token_files import IGNORE, Tokens, pack
from course_lib.text.tokenizer import train_tokenizer

TEXTS = list(stories(60))
TOKENIZER = train_tokenizer(TEXTS, 400)
T, EOT = 16, TOKENIZER.eot


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows to train on, where what is too long is cut."""
    path = tmp_path_factory.mktemp("rows") / "train.bin"
    return pack(sentences(TEXTS), TOKENIZER, path, row=T, cut_long=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Rows to measure on, where nothing is lost."""
    path = tmp_path_factory.mktemp("rows") / "val-rows.bin"
    return pack(sentences(TEXTS), TOKENIZER, path, row=T)


@given(st.lists(st.text(st.sampled_from("ab. !?\n\u00e9"))))
@settings(max_examples=300, deadline=None)
def test_sentences_joined_are_the_text(texts):
    parts = list(sentences(texts))
    assert "".join(parts) == "".join(t for t in texts if t.strip())
    assert all(part.strip() for part in parts)


def test_where_sentences_end():
    assert list(sentences(["A b. C d!  E?\nF. G\n\nH"])) == [
        "A b. ", "C d! ", " E?\n", "F. ", "G\n\n", "H"]


def test_a_row_is_one_sentence_and_padding(rows):
    parts = [part.strip() for part in sentences(TEXTS)]
    assert rows.documents == len(parts) == rows.windows(T)
    assert rows.tokens == len(rows.ids) == len(parts) * (T + 1)
    for row, text in zip(rows.ids.reshape(-1, T + 1), parts, strict=True):
        ids = TOKENIZER.encode(text)[:T]
        assert row.tolist() == [EOT, *ids] + [EOT] * (T - len(ids))
    assert rows.targets == sum(min(T, len(TOKENIZER.encode(part)) + 1)
                               for part in parts)


def test_to_be_measured_on_nothing_is_lost(whole):
    text = b"".join(TOKENIZER.token_bytes(int(i)) for i in whole.ids)
    parts = [part.strip() for part in sentences(TEXTS)]
    assert text.decode() == "".join(parts)
    assert whole.bytes == sum(len(t.encode()) for t in TEXTS)
    assert whole.targets == sum(len(TOKENIZER.encode(part)) + 1
                                for part in parts)
    ids, targets = whole.to_measure(T, range(whole.to_measure_count(T)))
    assert (targets != IGNORE).sum() == whole.targets
    assert (ids[:, 0] == EOT).all()
    kept = targets != IGNORE
    # before the first end of text every target is the next id
    assert torch.equal(targets[:, :-1][kept[:, :-1]],
                       ids[:, 1:][kept[:, :-1]])


def test_an_ignorant_model_pays_the_same_for_each_target(whole):
    """All weights zero: ln V for each token, and for the end of each
    sentence; padding is free."""
    model = GPT(GPTConfig(400, T, 1, 1, 8)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    result = evaluate(model, whole)
    assert result.tokens == whole.targets
    assert result.bytes == whole.bytes
    assert result.loss == pytest.approx(math.log(400), rel=1e-12)
    part = evaluate(model, whole, max_tokens=40 * T)
    assert part.bits_per_byte == pytest.approx(result.bits_per_byte, rel=0.1)
    assert part.tokens < 40 * T


def test_padding_costs_nothing(whole):
    """One sentence at a time, without any padding: the same total."""
    torch.manual_seed(0)
    model, alone = GPT(GPTConfig(400, T, 2, 2, 16)).double().eval(), 0.0
    for row in whole.ids.reshape(-1, T + 1):
        ends = np.flatnonzero(row[1:] == EOT)
        row = torch.tensor(row[:ends[0] + 2 if len(ends) else None].astype(
            int))[None]
        alone += model.loss(row[:, :-1], row[:, 1:]).item() * (
            row.size(1) - 1)
    result = evaluate(model, whole)
    assert result.loss * result.tokens == pytest.approx(alone, rel=1e-9)


def test_an_epoch_shows_each_row_once_and_seeds_differ(rows):
    count = rows.windows(T)
    epoch, targets = (torch.cat(parts) for parts in zip(*(
        rows.batch(step, 4, T) for step in range(count // 4))))
    seen = sorted(map(tuple, torch.cat([epoch, targets[:, -1:]], 1).tolist()))
    all_rows = sorted(map(tuple, rows.ids.reshape(-1, T + 1).tolist()))
    assert len(seen) == count // 4 * 4 and set(seen) <= set(all_rows)
    assert torch.equal(epoch[:, 1:], targets[:, :-1])
    assert not torch.equal(rows.batch(0, 4, T, seed=1)[0], epoch[:4])


def test_rows_of_another_width_are_refused(rows):
    with pytest.raises(ValueError, match="rows of 16 tokens, and the model's "
                                         "are of 32"):
        rows.batch(0, 4, 32)


def test_interrupted_rows_go_on_and_end_in_the_same_bytes(
        tmp_path, monkeypatch, rows):
    monkeypatch.setattr("course_lib.text.token_files.SAVE_BYTES", 1_000)
    monkeypatch.setattr("course_lib.text.token_files.ENCODE_BYTES", 300)

    def broken_off(after):
        for number, text in enumerate(sentences(TEXTS)):
            if number == after:
                raise KeyboardInterrupt
            yield text

    path = tmp_path / "t.bin"
    with pytest.raises(KeyboardInterrupt):
        pack(broken_off(200), TOKENIZER, path, source="a", row=T,
             cut_long=True)
    assert path.with_suffix(".saved").is_file()
    done = pack(sentences(TEXTS), TOKENIZER, path, source="a", row=T,
                cut_long=True)
    assert np.array_equal(done.ids, rows.ids)
    assert done.targets == rows.targets
    # another layout of the same texts is another file
    other = pack(sentences(TEXTS), TOKENIZER, path, source="a", row=T)
    assert other.header["sha256"] != rows.header["sha256"]
    assert Tokens(path).row == T

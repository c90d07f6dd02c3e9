"""Evaluation, against values that can be worked out by hand."""

import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch.nn import functional as F

from course_lib.measuring import evaluation as module
from course_lib.measuring.evaluation import (
    Evaluation,
    documents,
    evaluate,
    evaluate_text,
)
from course_lib.model.gpt import GPT
from course_lib.text.token_files import Tokens, pack
from course_lib.text.tokenizer import train_tokenizer

V, T = tiny.PRESET.model.vocab_size, tiny.PRESET.model.context_length


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    folder = tiny.write_text(tmp_path_factory.mktemp("text"), files=3)
    return [path.read_text() for path in sorted(folder.iterdir())]


@pytest.fixture(scope="module")
def tokenizer(texts):
    return train_tokenizer(texts, V)


@pytest.fixture
def data(texts, tokenizer, tmp_path):
    return pack(texts, tokenizer, tmp_path / "val.bin")


def random_model(seed=0):
    torch.manual_seed(seed)
    model = GPT(tiny.PRESET.model).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def uniform_model():
    model = GPT(tiny.PRESET.model).double()
    with torch.no_grad():
        model.head.zero_()
    return model


def by_hand(model, ids):
    """Total nats, one window after the other, one target after the other."""
    total = 0.0
    for start in range(0, len(ids) - 1, T):
        window = torch.tensor(ids[start:start + T + 1].astype(np.int64))
        logits = model(window[None, :-1])[0]
        total += F.cross_entropy(logits, window[1:], reduction="sum").item()
    return total


def test_a_uniform_model_scores_the_vocabulary(data):
    result = evaluate(uniform_model(), data)
    assert result.loss == pytest.approx(math.log(V), rel=1e-12)
    assert result.perplexity == pytest.approx(V, rel=1e-12)
    assert result.tokens == data.tokens - 1


def test_every_number_by_hand(data, texts):
    model = random_model()
    result = evaluate(model, data)
    with torch.no_grad():
        nats = by_hand(model, data.ids)
    size = sum(len(text.encode()) for text in texts)
    assert size > sum(map(len, texts))  # some characters take two bytes
    assert result.bytes == size
    assert result.loss == pytest.approx(nats / (data.tokens - 1), rel=1e-12)
    assert result.bits_per_byte == pytest.approx(
        nats / math.log(2) / size, rel=1e-12)


@pytest.mark.parametrize("window", [1, T, 3 * T, 10**6])
def test_the_batch_does_not_matter(data, monkeypatch, window):
    expected = evaluate(random_model(), data).loss
    monkeypatch.setattr(module, "WINDOW_TOKENS", window)
    assert evaluate(random_model(), data).loss == pytest.approx(
        expected, rel=1e-12)


@pytest.mark.parametrize("length", [1, 2, T - 1, T, T + 1, 2 * T, 2 * T + 1])
def test_every_length_of_a_last_window(data, length):
    model = random_model()
    data.ids, data.tokens, data.targets = (
        data.ids[:length + 1], length + 1, length)
    result = evaluate(model, data)
    with torch.no_grad():
        nats = by_hand(model, data.ids)
    assert result.tokens == length
    assert result.loss == pytest.approx(nats / length, rel=1e-12)


def test_a_part_is_whole_windows_from_all_over_the_text(data):
    model, count = random_model(), -(-(data.tokens - 1) // T)
    places = np.linspace(0, count - 1, 5).astype(int)
    with torch.no_grad():
        nats = [by_hand(model, data.ids[p * T:(p + 1) * T + 1])
                for p in places]
    result = evaluate(model, data, max_tokens=5 * T - 3)
    last = (data.tokens - 1) % T or T  # the text's last window is shorter
    assert result.tokens == 4 * T + last and places[-1] == count - 1
    assert result.loss == pytest.approx(sum(nats) / result.tokens, rel=1e-12)


def test_a_part_has_its_share_of_the_bytes(data):
    half = evaluate(uniform_model(), data, max_tokens=(data.tokens - 1) // 2)
    whole = evaluate(uniform_model(), data)
    assert half.bits_per_byte == pytest.approx(whole.bits_per_byte, rel=1e-2)
    more = evaluate(uniform_model(), data, max_tokens=10**9)
    assert more == whole


def test_text_is_evaluated_like_its_token_file(data, texts, tokenizer):
    model = random_model()
    assert evaluate_text(model, tokenizer, iter(texts)) == evaluate(
        model, data)


def test_the_documents_come_back(data, texts, tokenizer):
    """And so another model reads the very bytes."""
    assert list(documents(data, tokenizer)) == texts


def test_progress_counts_every_token(data):
    counts = []
    evaluate(uniform_model(), data, progress=counts.append)
    assert sum(counts) == data.tokens - 1


def test_text_that_is_none_is_refused(tokenizer):
    with pytest.raises(ValueError, match="no text"):
        evaluate_text(random_model(), tokenizer, [])


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back_and_dropout_is_off(data, training):
    model = random_model().train(training)
    assert model.config.dropout > 0
    assert evaluate(model, data) == evaluate(model, data)
    assert model.training == training
    model.hidden = None  # and after an error, too
    with pytest.raises(TypeError):
        evaluate(model, data)
    assert model.training == training


def test_a_hopeless_model_has_an_infinite_perplexity():
    assert Evaluation(1e4, 10, 10).perplexity == math.inf


def test_a_damaged_token_file_is_named(data):
    header = data.path.with_suffix(".json")
    whole = header.read_text()
    for broken in ("", "{}", "[1]", whole.replace("uint16", "uint17")):
        header.write_text(broken)
        with pytest.raises(ValueError, match="val.bin or its header"):
            Tokens(data.path)
    header.write_text(whole)
    data.path.write_bytes(data.path.read_bytes()[:-2])
    with pytest.raises(ValueError, match="course prepare` once more"):
        Tokens(data.path)


def test_each_document_by_itself(data, texts, tokenizer):
    """As the harness cuts: every token but end-of-text once, from the end-of
    text before its document on, and the last window as long as it can be."""
    model, total, counted = random_model(), 0.0, 0
    for text in texts:
        ids = tokenizer.encode(text)
        done = 0
        while done < len(ids):
            new = min(T, len(ids) - done)
            end = done + new
            given = [tokenizer.eot, *ids][max(0, end - T):end]
            logits = model(torch.tensor([given]))[0, -new:]
            total += F.cross_entropy(logits, torch.tensor(ids[done:end]),
                                     reduction="sum").item()
            done, counted = end, counted + new
    result = evaluate(model, data, by_document=True)
    assert result.tokens == counted == data.tokens - data.documents - 1
    assert result.loss * result.tokens == pytest.approx(total, rel=1e-9)
    assert result.bytes == data.bytes == sum(
        len(text.encode()) for text in texts)
    assert evaluate_text(model, tokenizer, texts, by_document=True) == result
    assert evaluate(model, data).loss != pytest.approx(result.loss, rel=1e-4)


def test_short_and_empty_documents_by_themselves(tokenizer):
    model = random_model()
    short = evaluate_text(model, tokenizer, ["cat", "", "the"],
                          by_document=True)
    ids = [tokenizer.encode(text) for text in ("cat", "the")]
    assert short.tokens == sum(map(len, ids)) and short.bytes == 6
    alone = [evaluate_text(model, tokenizer, [text], by_document=True)
             for text in ("cat", "the")]
    assert short.loss * short.tokens == pytest.approx(sum(
        one.loss * one.tokens for one in alone))
    with pytest.raises(ValueError, match="empty"):
        evaluate_text(model, tokenizer, [""], by_document=True)
    with pytest.raises(ValueError, match="a sentence a row"):
        with tempfile.TemporaryDirectory() as folder:
            evaluate(model, pack(["the cat"], tokenizer, Path(
                folder, "rows.bin"), row=T), by_document=True)

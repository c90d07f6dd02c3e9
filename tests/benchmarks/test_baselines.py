"""What trained models are held against: n-grams and compressors."""

import json
import math
import sys

import baselines
import numpy as np
import pytest
from kneser_ney import KneserNey, merged

from course_lib.runs import open_run


def by_hand(text, V, order, context, token):
    """Chen and Goodman's formula, word for word, by searching the text."""
    if order == 0:
        return 1 / V
    context = context[-(order - 1):] if order > 1 else []

    def places(gram):
        return [i for i in range(len(text) - len(gram) + 1)
                if text[i:i + len(gram)] == gram]

    def count(gram):
        found = places(gram)
        return len(found) if order == by_hand.highest \
            else len({text[i - 1] for i in found if i})

    every = {tuple(text[i:i + order]) for i in range(len(text) - order + 1)}
    times = [count(list(gram)) for gram in every]
    n1, n2, n3, n4 = (times.count(c) for c in (1, 2, 3, 4))
    if min(n1, n2, n3, n4):
        y = n1 / (n1 + 2 * n2)
        off = [0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2,
               3 - 4 * y * n4 / n3]
        off = [0, *(min(max(d, 0), k) for k, d in enumerate(off[1:], 1))]
    else:
        off = [0, .75, .75, .75]
    after = [count([*context, w]) for w in range(V)]
    lower = by_hand(text, V, order - 1, context[1:], token)
    if not sum(after):
        return lower
    kept = after[token] - off[min(after[token], 3)]
    left = sum(off[min(c, 3)] for c in after)
    return (kept + left * lower) / sum(after)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("chunk", [7, 1000])
def test_probabilities_against_a_search_by_hand(order, chunk):
    random = np.random.default_rng(order)
    text = random.choice(5, 150, p=[.5, .2, .15, .1, .05]).tolist()
    model, by_hand.highest = KneserNey(text, 6, order, chunk), order
    for context in ([0, 0, 0], [1, 0, 2], [4, 4, 4], [5, 0, 1], [3], []):
        got = model.distribution(context)
        assert got.sum() == pytest.approx(1, abs=1e-6)
        if len(context) >= order - 1:  # else fewer orders are mixed
            assert got == pytest.approx(
                [by_hand(text, 6, order, context, token)
                 for token in range(6)], rel=1e-5)


def test_bits_are_those_of_the_distributions():
    random = np.random.default_rng(0)
    text = random.integers(0, 7, 2000)
    text[1::2] = text[::2]  # so that contexts tell something
    model, ids = KneserNey(text[:1500], 8, 4), [*text[1500:], 7, 7, 0, 1]
    bits = model.bits(ids)
    for place in range(1, len(ids)):
        given = model.distribution(ids[max(0, place - 3):place])
        assert bits[place - 1] == pytest.approx(
            -math.log2(given[ids[place]]), rel=1e-5)
    nats, likeliest = model.read(ids, 5)
    assert nats == pytest.approx(bits[4:] * math.log(2), rel=1e-5)
    assert likeliest[-1] == model.distribution(ids[-3:]).argmax()
    assert len(likeliest) == len(nats) + 1


def test_an_order_and_a_vocabulary_that_no_64_bits_hold():
    ids = np.random.default_rng(0).integers(0, 50_304, 500)
    model = KneserNey(ids, 50_304, 7)
    assert 0 < model.bits(ids).mean() < 8  # of 15.6: it has seen the text
    assert model.distribution(ids[:6].tolist()).argmax() == ids[6]


def test_a_predictable_text_costs_less_with_a_longer_order():
    random = np.random.default_rng(1)
    word = random.integers(0, 50, (40, 6))
    text = word[random.integers(0, 40, 3000)].ravel()
    train, val = text[:15000], text[15000:]
    costs = [KneserNey(train, 50, n).bits(val).sum() for n in (1, 2, 3)]
    assert costs[0] > 1.5 * costs[1] > 2 * costs[2]


def test_counts_of_parts_are_those_of_the_whole():
    numbers = np.random.default_rng(2).integers(0, 300, 5000)
    parts = [np.unique(part, return_counts=True)
             for part in np.array_split(numbers, [10, 11, 700, 3000])]
    keys, counts = merged(parts)
    wanted = np.unique(numbers, return_counts=True)
    assert (keys == wanted[0]).all() and (counts == wanted[1]).all()


def test_the_bytes_of_a_run(run, monkeypatch):
    monkeypatch.setattr(baselines, "PIECE", 1000)
    known = baselines.as_bytes(run.train_tokens.ids, run.tokenizer)
    assert known.count(0) == run.train_tokens.documents + 1
    assert len(known) - known.count(0) == run.train_tokens.bytes
    assert "José".encode() in known


def test_ppmd_learns_from_what_it_read_before():
    random = np.random.default_rng(3)
    text = bytes(random.integers(0, 256, 5000, np.uint8))
    assert baselines.ppmd_size(b"", text) > 4900
    assert baselines.ppmd_size(text, text) < 200
    assert baselines.ppmd_size(text, b"") < 20


def test_a_record(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [
        "baselines.py", str(prepared), "--most", "3000", "--to",
        str(tmp_path)])
    baselines.main()
    record = json.loads((tmp_path / "baselines.json").read_text())
    bits = {row["name"]: row["bits_per_byte"] for row in record["rows"]}
    read = {row["name"]: row["training_bytes"] for row in record["rows"]}
    run = open_run(prepared)
    assert all(0.1 < value < 8 for value in bits.values())
    # the text is random words, so only what knows them does well
    assert bits["xz -9, after the training text"] < bits[
        "xz -9, the text alone"]
    assert read["Kneser-Ney, 5 bytes"] == 3000
    assert read["Kneser-Ney, 5 tokens"] == len(baselines.as_bytes(
        run.train_tokens.ids[:3000], run.tokenizer))
    assert read["PPMd, after the training text"] >= run.train_tokens.bytes
    assert [row["name"] for row in baselines.measure(run)] == [*bits]

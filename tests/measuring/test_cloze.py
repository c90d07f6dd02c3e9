"""The last word of a passage: how items are made, and how they are judged."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch

from course_lib.measuring.cloze import (
    BEFORE,
    Item,
    answer,
    average,
    cloze_items,
    has_word,
    reader,
    sentences,
    share,
)
from course_lib.measuring.surprise import surprisal
from course_lib.model.gpt import GPT
from course_lib.text.tokenizer import train_tokenizer

LINE = "He went to the old house with his dog and sat down there now."


def test_sentences_end_where_a_reader_ends_them():
    text = ('Mr. Bell met J. Smith. "Who is it?" he said. "It\'s me!" She '
            "went.\n\nCHAPTER II\n\nLast (of all). No. 3 is here")
    assert [text[a:b] for a, b in sentences(text)] == [
        "Mr. Bell met J. Smith.", '"Who is it?" he said.', '"It\'s me!"',
        "She went.", "CHAPTER II", "Last (of all).", "No. 3 is here"]


def test_the_rule_for_items():
    before = " ".join([LINE] * 5)  # 70 words: four sentences are enough
    seen, new = cloze_items([
        f"{before}\n\nAnd then they all came to see the house.",
        f"{before} And then they all came to see the river!",
        f"{before} And the river is not as they said a river.",  # in it
        f"{before} And then they all came to see the sea.",  # too short
        f"{before} Nobody there came.",  # too few words
        f"{LINE} And then they all came to see the river."], 9)
    assert seen == Item(" ".join([LINE] * 4) + "\n\n",
                        "And then they all came to see the", "house", True)
    assert (new.word, new.seen, new.prompt(False)) == (
        "river", False, "And then they all came to see the")
    assert new.prompt(True) == new.passage + new.prompt(False)
    assert len(new.passage.split()) in BEFORE


def test_items_depend_on_nothing_but_the_texts():
    texts = [" ".join([LINE] * 4 + [f"We saw many people in the {word}."])
             for word in ("garden", "forest", "market", "castle", "harbour")]
    items = cloze_items(texts, 3)
    assert len(items) == 3 and items == cloze_items(texts[::-1] * 2, 3)
    assert cloze_items(texts, 5)[:3] == items


def test_a_word_is_a_whole_word():
    assert has_word("The House.", "house")
    assert not has_word("The household", "house")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([" the cat sat on the mats. mat cats" * 9], 270)


@pytest.mark.parametrize("ending, right", [
    (".", True), (",", True), (" ", True), ("s", False)])
def test_a_word_is_right_when_it_ends(tokenizer, ending, right):
    """What is said is "mat" and the ending, whatever the prompt."""
    item = Item("The cat. ", "It sat on the", "mat", False)

    def read(ids, start):
        assert tokenizer.decode(ids) == item.prompt(True) + " mat"
        return [1.0] * len(ids[start:]), [
            *ids[start:], tokenizer.encode(ending)[0]]

    found = answer(read, tokenizer, item, True)
    assert found.right == right
    assert found.nats == len(tokenizer.encode(" mat"))

    def wrong(ids, start):
        nats, likeliest = read(ids, start)
        return nats, [0, *likeliest[1:]]

    assert not answer(wrong, tokenizer, item, True).right


def test_a_gpt_is_read_as_its_surprisal_says():
    torch.manual_seed(0)
    model = GPT(tiny.PRESET.model).eval()
    ids = torch.randint(300, (16,)).tolist()
    nats, likeliest = reader(model)(ids, 5)
    assert nats == pytest.approx(surprisal(model, ids)[4:], rel=1e-4)
    logits = model(torch.tensor([ids]))[0]
    assert likeliest == logits[4:].argmax(-1).tolist()
    # before the context nothing is read
    some, other = (reader(model)([token] * 20 + ids, 34)[0]
                   for token in (7, 8))
    assert some == pytest.approx(other) and len(some) == 2


def test_more_than_a_context_is_read_in_parts():
    """Each token given half a context or more, and all that are asked."""
    torch.manual_seed(0)
    model = GPT(tiny.PRESET.model).eval()
    T = tiny.PRESET.model.context_length
    ids = torch.randint(300, (3 * T + 1,)).tolist()
    nats, likeliest = reader(model)(ids, 1)
    assert len(nats) == 3 * T and len(likeliest) == len(nats) + 1
    for place in range(1, len(ids)):
        given = [torch.nn.functional.cross_entropy(
            model(torch.tensor([ids[first:place]]))[0, -1],
            torch.tensor(ids[place])).item()
            for first in range(max(0, place - T),
                               max(0, place - T // 2) + 1)]
        assert min(abs(one - nats[place - 1]) for one in given) < 1e-5


def test_intervals():
    found = share([True] * 8 + [False] * 2)
    # Wilson's formula by hand
    z, n, p = 1.959964, 10, 0.8
    middle = (p + z * z / 2 / n) / (1 + z * z / n)
    wide = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n
                                           + z * z / 4 / n / n)
    assert (found["low"], found["high"]) == pytest.approx(
        (middle - wide, middle + wide), rel=1e-5)
    assert found["share"] == 0.8 and found["count"] == 10
    values = np.random.default_rng(0).normal(3, 2, 400).tolist()
    found = SimpleNamespace(**average(values))
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(4 * 1.96 / 20, rel=0.2)

"""Sentences of books against the same with one mistake."""

import pytest

from course_lib.measuring.minimal_pairs import (
    KINDS,
    minimal_pairs,
    pairs_of,
    prefers,
)
from course_lib.text.tokenizer import train_tokenizer

MADE = [
    ("agreement", "She was very tired of the long way home.",
     "She were very tired of the long way home."),
    ("agreement at a distance", "The voice of the girls was loud.",
     "The voice of the girls were loud."),
    ("agreement at a distance", "The walls of the house were high.",
     "The walls of the house was high."),
    ("article", "There came an old man from town.",
     "There came a old man from town."),
    ("number of this and these", "We looked for these things.",
     "We looked for this things."),
    ("pronoun's case", "Nobody ever spoke to him, as we all knew.",
     "Nobody ever spoke to he, as we all knew."),
    ("pronoun's case", "They went home before it was dark.",
     "Them went home before it was dark."),
    ("reflexive", "He looked at himself in wonder.",
     "He looked at herself in wonder."),
    ("verb after an auxiliary", "Nothing could make us do it.",
     "Nothing could made us do it."),
    ("participle", "Everybody had gone before noon.",
     "Everybody had went before noon."),
    ("word order", "Nobody came to the house that day.",
     "Nobody came to house the that day."),
]


@pytest.mark.parametrize("kind, right, wrong", MADE)
def test_what_each_kind_makes(kind, right, wrong):
    made = {pair.kind: pair for pair in pairs_of(right)}
    assert (made[kind].right, made[kind].wrong) == (right, wrong)


def test_every_kind_is_shown_here():
    assert {kind for kind, _, _ in MADE} == set(KINDS)


@pytest.mark.parametrize("sentence", [
    "He told himself.", "Some of the glass was broken there by someone.",
    "An hour later it rained on them all day.",
    "In that he saw much good and said so."])
def test_what_is_left_alone(sentence):
    """Where a rule would make no mistake, or perhaps none."""
    kinds = {pair.kind for pair in pairs_of(sentence)}
    assert not kinds & {"article", "agreement at a distance",
                        "number of this and these"}


def test_pairs_of_books():
    text = " ".join(right for _, right, _ in MADE)
    pairs = minimal_pairs([text, text], 2)
    assert pairs == minimal_pairs([text], 2)
    assert [pair.kind for pair in pairs] == sorted(
        (pair.kind for pair in pairs), key=KINDS.index)
    assert len({(pair.kind, pair.right) for pair in pairs}) == len(pairs)
    assert all(pair.right != pair.wrong for pair in pairs)
    assert not minimal_pairs(['"She was tired of it all," he said.',
                              "He was 30 years old at that time."], 2)


def test_the_likelier_sentence_is_preferred():
    tokenizer = train_tokenizer([text for _, *both in MADE
                                 for text in both] * 3, 280)
    pair = pairs_of(MADE[0][1])[0]
    right = [tokenizer.eot, *tokenizer.encode(pair.right)]

    def read(ids, start):
        assert start == 1 and ids[0] == tokenizer.eot
        each = 1.0 if ids == right else 1.1
        return [each] * (len(ids) - 1), []

    assert prefers(read, tokenizer, pair)
    assert not prefers(lambda ids, start: (
        [1.0 if ids == right else 0.1], []), tokenizer, pair)

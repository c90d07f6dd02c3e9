"""Small English stories whose entropy is known exactly.

A made-up corpus of one grammar (`grammar.py`): its plots stand in
`plots.py`, its words in `words.py`. Whoever is named,
wanted, lost or found stays the same to the end of a story.

No text has two derivations. At every choice, whatever came before, what
one option goes on to write never begins what another goes on to write;
the tests prove it for every reachable state. So the entropy of the
choices is the entropy of the text, not only a bound on it, and no model
of any size can have a lower expected loss on fresh stories.
"""

import random
from collections.abc import Iterator
from functools import cache
from itertools import count as counting

from course_lib.stories import plots as stories_plots
from course_lib.stories import words as stories_words
from course_lib.stories.grammar import Grammar
from course_lib.stories.states import States


@cache
def grammar():
    """The grammar of the book's stories, compiled once."""
    return Grammar(stories_words.rules(stories_plots.RULES),
                   stories_words.tables(),
                   stories_words.CAST, stories_words.PRONOUNS)


def story(seed: int, index: int) -> str:
    """Story number `index` of the corpus `seed`: always the same text.

    119 to 200 English words in ASCII, two paragraphs with one newline
    between them and none at the end. ValueError for a negative number.
    """
    if seed < 0 or not 0 <= index < 2**64:
        raise ValueError(f"seed {seed}, index {index}: both must be whole "
                         "numbers from 0, the index below 2**64")
    return grammar().sample(random.Random(seed * 2**64 + index).random)


def stories(count: int | None = None, seed: int = 0,
            start: int = 0) -> Iterator[str]:
    """Iterate over `count` stories from number `start`; endless for None.

    Story i does not depend on `count` or `start`, and stories are
    independent draws from the grammar. ValueError for a negative number.
    """
    if seed < 0 or start < 0 or (count or 0) < 0:
        raise ValueError(f"count {count}, seed {seed}, start {start}: whole "
                         "numbers from 0, or count None for endless stories")
    numbers = counting(start) if count is None else range(start, start + count)
    return (story(seed, number) for number in numbers)


@cache
def _states():
    return States(grammar())


@cache
def _expected():
    return _states().expected()


def entropy_bits() -> float:
    """Exact entropy of one story, in bits."""
    return _expected()[0]


def mean_bytes() -> float:
    """Exact expected length of one story, in UTF-8 bytes."""
    return _expected()[1]


def entropy_bits_per_byte() -> float:
    """Bits per byte that no model's expected loss can beat.

    Expected bits over expected bytes: what the mean over a long corpus
    tends to when end-of-text counts in bits and as zero bytes.
    """
    return entropy_bits() / mean_bytes()


@cache
def hidden_bits() -> float:
    """What a window that begins at a random byte hides, in bits, at most.

    A model that sees no more than the window pays up to so much more for
    it, in all, than the entropy.
    """
    return _states().hidden()


def log2_probability(text: str) -> float:
    """Exact log2 of the probability that `story` writes this text.

    ValueError when no derivation of the grammar writes it.
    """
    found = list(grammar().derivations(text))
    if not found:
        raise ValueError("not a story of this grammar: "
                         f"{text[:60]!r} has no derivation")
    if len(found) > 1:
        raise AssertionError(f"{len(found)} derivations of {text[:60]!r}")
    return found[0][1]

"""Does it copy? The longest runs of tokens that a sample shares with the
training text (chapter 5).

A model that repeats its training text has a low loss there and writes well,
and has learned nothing that a search would not find. Source: Carlini et al.
2023 (memorisation grows with size, repetition and context).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np


@dataclass(frozen=True)
class Copy:
    """`length` tokens that stand in a sample from `start` on, and in the
    text from `place` on."""

    start: int
    length: int
    place: int


def longest_copies(samples: Sequence[Sequence[int]], text) -> list[Copy]:
    """For each sample the longest n-gram that stands in `text` as well.

    `samples` are lists of token ids; `text` is one sequence of ids, such as
    `run.train_tokens.ids`. The first of equally long ones in the sample is
    given, at its first place in the text; a sample that shares no token
    gets a length of 0. Takes about a second for 10M tokens, and memory of
    some thirty bytes a token.
    """
    text, found = np.asarray(text), [Copy(0, 0, 0) for _ in samples]
    samples = [[int(token) for token in sample] for sample in samples]
    letters = {token: number for number, token
               in enumerate(sorted(set(chain(*samples))))}
    if not len(text) or not letters:
        return found
    spelled = np.full(max(int(text.max()), *letters) + 1, -1, np.int32)
    spelled[list(letters)] = range(len(letters))
    spelled = spelled[text]  # -1 where no sample has that token
    # The n-grams of the samples are numbered, for n = 0, 1, 2, ...; at each
    # place of the text where one begins stands its number.
    grams = {(which, start): 0 for which, sample in enumerate(samples)
             for start in range(len(sample))}
    places = np.arange(len(text))
    numbers, length = np.zeros(len(text), np.int32), 0
    while grams:
        longer, known = {}, {}  # known: number, next letter -> new number
        for (which, start), number in grams.items():
            if start + length < len(samples[which]):
                pair = number, letters[samples[which][start + length]]
                longer[which, start] = known.setdefault(pair, len(known))
        table = np.full((max(grams.values()) + 1, len(letters) + 1), -1,
                        np.int32)  # its last column is for letter -1
        for pair, number in known.items():
            table[pair] = number
        within = np.searchsorted(places, len(text) - length)
        places, numbers = places[:within], numbers[:within]
        numbers = table[numbers, spelled[places + length]]
        places, numbers = places[numbers >= 0], numbers[numbers >= 0]
        length += 1
        seen, first = np.unique(numbers, return_index=True)
        first = dict(zip(seen.tolist(), places[first].tolist()))
        grams = {key: number for key, number in longer.items()
                 if number in first}
        for (which, start), number in grams.items():
            if found[which].length < length:
                found[which] = Copy(start, length, first[number])
    return found

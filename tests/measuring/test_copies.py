"""The longest n-gram that stands in the text, against a search by hand."""

import random

import numpy as np
import pytest

from course_lib.measuring.copies import Copy, longest_copies


def by_hand(sample, text):
    """Every start and length tried, in plain Python."""
    best = Copy(0, 0, 0)
    for start in range(len(sample)):
        for end in range(start + 1, len(sample) + 1):
            place = next((p for p in range(len(text) - (end - start) + 1)
                          if text[p:p + end - start] == sample[start:end]),
                         None)
            if place is None:
                break
            if end - start > best.length:
                best = Copy(start, end - start, place)
    return best


@pytest.mark.parametrize("letters", [1, 2, 4, 30])
def test_against_a_search_by_hand(letters):
    draw = random.Random(letters)
    for _ in range(40):
        text = draw.choices(range(letters), k=draw.randint(0, 60))
        samples = [draw.choices(range(letters + 1), k=draw.randint(0, 12))
                   for _ in range(draw.randint(0, 4))]
        assert longest_copies(samples, text) == [
            by_hand(sample, text) for sample in samples]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int64])
def test_in_a_large_text(dtype):
    source = np.random.default_rng(0)
    text = source.integers(1000, size=300_000).astype(dtype)
    samples = [[*text[1234:1300], 5, *text[70_000:70_200], 5000],
               [*text[-3:], *text[:3]], [5000], text[:40].tolist()]
    first, second, third, whole = longest_copies(samples, text)
    assert first == Copy(67, 200, 70_000)
    assert second == Copy(0, 3, 299_997)  # not around the text's end
    assert third.length == 0
    assert whole == Copy(0, 40, 0)


def test_largest_token_of_its_type():
    text = np.array([65535, 1, 65535, 7], np.uint16)
    assert longest_copies([[7, 65535], [1, 65535]], text) == [
        Copy(0, 1, 3), Copy(0, 2, 1)]

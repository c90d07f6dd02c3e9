"""The n-gram model that trained models are held against."""


import numpy as np
import pytest
from baselines import kneser_ney, longest  # noqa: E402


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_next_token_probabilities_sum_to_one(order):
    random = np.random.default_rng(0)
    train = random.choice(6, 3000, p=[.4, .3, .15, .1, .04, .01])
    train = train.astype(np.uint64)
    for context in ([0, 1, 2, 3], [5, 5, 5, 5], [4, 0, 0, 2]):
        before = kneser_ney(train, np.array([0, *context]), 6, order)
        bits = [kneser_ney(train, np.array([0, *context, token]), 6, order)
                - before for token in range(6)]
        assert sum(2.0 ** -b for b in bits) == pytest.approx(1)


def test_a_predictable_text_costs_less_with_a_longer_order():
    random = np.random.default_rng(1)
    word = random.integers(0, 50, (40, 6))
    text = word[random.integers(0, 40, 3000)].ravel()
    train, val = text[:15000], text[15000:]
    costs = [kneser_ney(train, val, 50, n) for n in (1, 2, 3)]
    assert costs[0] > 1.5 * costs[1] > 2 * costs[2]


def test_unigrams_by_hand():
    # one-token contexts are all seen: a frequent token must be likelier
    train = np.array([0, 0, 0, 0, 1, 1, 2, 3, 3, 3, 0, 0, 1, 4])
    cost = [kneser_ney(train, np.array([0, t]), 8, 1) for t in (0, 7)]
    assert cost[0] < cost[1]


@pytest.mark.parametrize("vocab_size, order", [
    (256, 5), (4096, 5), (7131, 5), (7132, 4), (50_304, 4), (65_536, 3)])
def test_the_order_fits_the_vocabulary(vocab_size, order):
    """A full run's entries are too many for five of them to be one number."""
    assert longest(vocab_size) == order
    ids = np.random.default_rng(0).integers(0, vocab_size, 500)
    assert 0 < kneser_ney(ids, ids[:50], vocab_size, order) < np.inf

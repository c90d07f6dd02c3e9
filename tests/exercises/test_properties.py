"""What is called right has the properties that the steps' names promise, on
random shapes and texts, and agrees with a library where there is one."""

import json
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.exercises.steps import (
    architecture,
    cheaper,
    primer,
    sampling,
    scaling,
    tokenizer,
    training,
)
from course_lib.stories import stories
from course_lib.text import train_tokenizer

sizes = st.integers(1, 5)
seeds = st.integers(0, 2**32)
few = settings(max_examples=25, deadline=None)


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed),
                       dtype=torch.float64)


@few
@given(seeds, sizes, sizes)
def test_softmax_sums_to_one_and_moves_with_its_columns(seed, N, V):
    logits = 9 * normal(seed, N, V)
    p = primer.softmax(logits)
    torch.testing.assert_close(p.sum(-1), torch.ones(N).double())
    order = torch.randperm(V)
    torch.testing.assert_close(primer.softmax(logits[:, order]), p[:, order])


@few
@given(seeds, sizes, sizes, sizes, sizes)
def test_attention_looks_back_only_and_at_its_own_row(seed, B, H, T, D):
    q, k, v = normal(seed, 3, B, H, T, D)
    y = architecture.attend(q, k, v)
    for t in range(T):
        torch.testing.assert_close(architecture.attend(
            *(x[:, :, :t + 1] for x in (q, k, v))), y[:, :, :t + 1])
    torch.testing.assert_close(
        architecture.attend(q[:1], k[:1], v[:1]), y[:1])


@few
@given(seeds, st.lists(sizes, min_size=1, max_size=4), sizes, sizes)
def test_the_cache_changes_nothing_however_a_row_is_cut(seed, cuts, H, D):
    q, k, v = normal(seed, 3, 2, H, sum(cuts), D)
    parts, cache = [], None
    for pieces in zip(*(x.split(cuts, 2) for x in (q, k, v))):
        part, cache = sampling.cached_attention(*pieces, cache)
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts, 2),
                               architecture.attend(q, k, v))


@few
@given(st.lists(st.text(max_size=9), min_size=1, max_size=6),
       st.integers(0, 30), st.text(max_size=9))
def test_what_bpe_encodes_it_decodes(texts, count, other):
    words = Counter(text.encode() for text in texts)
    merges = tokenizer.bpe_train(words, count)
    for text in [*texts, other]:
        ids = tokenizer.bpe_encode(text.encode(), merges)
        assert tokenizer.bpe_decode(ids, merges) == text
        assert len(ids) <= len(text.encode())


def test_bpe_learns_the_library_s_merges():
    """On words of letters, whose bytes the library orders alike."""
    words = [word for text in stories(40) for word in text.split()
             if word.isalpha() and word.isascii()]
    count = 80
    library = json.loads(train_tokenizer(
        ["\n".join(words)], 257 + count).library.to_str())["model"]
    mine = tokenizer.bpe_train(Counter(w.encode() for w in words), count)
    pieces = tokenizer.pieces(mine)
    assert [[pieces[a].decode(), pieces[b].decode()] for a, b in mine] == [
        [*pair] for pair in library["merges"]]


@few
@given(seeds, st.integers(1, 60), sizes, sizes)
def test_an_epoch_has_each_window_once(seed, count, rows, T):
    ids = torch.arange(count * T + 1)
    starts = [int(x[0]) for step in range(-(-count // rows)) for x in
              tokenizer.batch(ids, step, rows, T, seed % 1000)[0]][:count]
    assert sorted(starts) == [n * T for n in range(count)]


@few
@given(st.floats(1e12, 1e24), st.floats(10, 1e3), st.floats(10, 1e3),
       st.floats(0.1, 0.7), st.floats(0.1, 0.7))
def test_chinchilla_is_the_bottom_of_the_valley(C, A, B, alpha, beta):
    def price(N):
        return A / N**alpha + B / (C / (6 * N))**beta
    N, D = scaling.chinchilla(C, A, B, alpha, beta)
    assert 6 * N * D == pytest.approx(C)
    assert price(N) < min(price(1.01 * N), price(0.99 * N))


@few
@given(seeds, st.lists(sizes, min_size=1, max_size=4), st.floats(0.01, 10))
def test_clipping_keeps_the_direction(seed, shapes, largest):
    gradients = [normal(seed + i, n) for i, n in enumerate(shapes)]
    clipped, norm = training.clip_exactly(gradients, largest)
    after = torch.cat(clipped).norm()
    assert after <= largest * (1 + 1e-12) or torch.isclose(after, norm)
    torch.testing.assert_close(torch.cat(clipped) * norm,
                               torch.cat(gradients) * after)


@few
@given(seeds, st.integers(0, 50), st.integers(0, 50), st.integers(1, 3))
def test_rotary_products_know_the_distance_only(seed, start, move, half):
    a, b = normal(seed, 2, 1, 1, 1, 2 * half)

    def product(place):
        return (cheaper.rotary(a, place) * cheaper.rotary(b, place + 3)).sum()
    torch.testing.assert_close(product(start), product(start + move))


@few
@given(seeds, st.integers(2, 6), st.integers(2, 6))
def test_muon_brings_all_directions_near_one_length(seed, rows, columns):
    matrix = torch.linalg.qr(normal(seed, max(rows, columns), min(
        rows, columns)))[0]  # well-conditioned, so that five turns do
    matrix = matrix if rows >= columns else matrix.T
    S = torch.linalg.svdvals(cheaper.muon_exactly(matrix))
    assert 0.6 < S.min() and S.max() < 1.3

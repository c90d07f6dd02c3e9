"""Generation: the cache, the window, the draws and what is refused."""

import math
import random
from collections import Counter

import pytest
import torch
from scipy.stats import chisquare

from course_lib.model.cache import window_start
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sampling.drawing import likeliest, penalize, probabilities
from course_lib.sampling.generation import generate, stream

V, T = 23, 8
RAGGED = [[1], [2, 3, 4, 5, 6, 7, 8, 9], [5, 6, 7], list(range(20)), [1]]


@pytest.fixture(scope="module")
def model():
    """Random weights, far enough apart that tokens vary; dropout to show
    that it is off."""
    torch.manual_seed(0)
    made = GPT(GPTConfig(V, T, 2, 2, 12, dropout=0.5)).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    return made.eval()


def constant_model(logits):
    """A model that gives the same logits whatever it reads."""
    made = GPT(GPTConfig(len(logits), 4, 1, 1, len(logits))).double()
    with torch.no_grad():
        made.head.copy_(torch.eye(len(logits)))
        made.transformer.ln_f.weight.zero_()
        made.transformer.ln_f.bias.copy_(torch.tensor(logits))
    return made


OPTIONS = [dict(), dict(temperature=0), dict(temperature=0.3),
           dict(temperature=5.0), dict(top_k=3), dict(top_p=0.7),
           dict(top_k=5, top_p=0.5, temperature=1.3), dict(stop_id=4),
           dict(stop_id=11, temperature=2.0, top_k=9), dict(min_p=0.3),
           dict(repetition_penalty=1.5),
           dict(repetition_penalty=1.7, temperature=0),
           dict(repetition_penalty=0.8, min_p=0.1, top_k=9, top_p=0.9,
                stop_id=3)]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_with_and_without_the_cache(model, options):
    for seed in range(3):
        cached, plain = (
            generate(model, RAGGED, 5 * T, seed=seed, use_cache=use, **options)
            for use in (True, False))
        assert cached == plain
        if "stop_id" not in options:
            assert [len(row) for row in cached] == [5 * T] * len(RAGGED)


def test_rows_do_not_depend_on_their_mates(model):
    together = generate(model, RAGGED, 3 * T, seed=7, stop_id=4)
    for row in range(len(RAGGED)):
        # mates of other lengths, the row at its own index
        others = [[9] * (1 + (row + place) % 12) for place in
                  range(len(RAGGED))]
        others[row] = RAGGED[row]
        assert generate(model, others, 3 * T, seed=7,
                        stop_id=4)[row] == together[row]
    assert together[0] != together[4]  # same prompt, other index


@pytest.mark.parametrize("options", [dict(temperature=0), dict(top_k=5)],
                         ids=str)
def test_the_fast_order_of_weights(model, options):
    """One long row is read from weights in another order: the same tokens,
    and neither the model nor its weights are touched."""
    before = {name: (value.clone(), value.stride(), value.data_ptr())
              for name, value in model.state_dict().items()}
    [alone] = generate(model, [[3, 1]], 80, seed=1, **options)
    together = generate(model, [[3, 1], [5], [7]], 80, seed=1, **options)
    assert together[0] == alone
    assert generate(model, [[3, 1]], 80, seed=1, use_cache=False,
                    **options) == [alone]
    for name, value in model.state_dict().items():
        copy, stride, place = before[name]
        assert torch.equal(value, copy)
        assert (value.stride(), value.data_ptr()) == (stride, place)


@pytest.mark.parametrize("context", [1, 2, 3, 7, 8])
def test_the_window_slides_by_half_a_context(context):
    half = max(1, context // 2)
    for n in range(1, 6 * context):
        start = window_start(n, context)
        if n <= context:
            assert start == 0
        else:
            assert start == half * math.ceil((n - context) / half)
            assert 1 <= n - start <= context


@pytest.mark.parametrize("context", [1, 2, 3, 8])
def test_greedy_past_the_context_against_a_plain_loop(context):
    torch.manual_seed(1)
    model = GPT(GPTConfig(V, context, 1, 2, 12)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.5)
    text = [3, 1, 4]
    for _ in range(4 * context + 5):
        n, half = len(text), max(1, context // 2)
        s = half * max(0, math.ceil((n - context) / half))
        logits = model(torch.tensor([text[s:]]))[0, -1]
        text.append(int(logits.argmax()))
    for use_cache in (True, False):
        assert text == [3, 1, 4] + generate(
            model, [[3, 1, 4]], 4 * context + 5, temperature=0,
            use_cache=use_cache)[0]


def test_top_k_of_one_is_greedy(model):
    greedy = generate(model, RAGGED, 20, temperature=0)
    assert generate(model, RAGGED, 20, top_k=1, seed=1) == greedy
    assert generate(model, RAGGED, 20, top_p=1e-9, seed=2) == greedy
    assert generate(model, RAGGED, 20, temperature=1e-12, seed=3) == greedy
    assert generate(model, RAGGED, 20, min_p=1.0, seed=4) == greedy


def expected(logits, temperature=1.0, top_k=None, top_p=None, min_p=None):
    """The distribution to draw from, in plain Python."""
    weights = {i: math.exp(x / temperature) for i, x in enumerate(logits)}
    kept = sorted(weights, key=lambda i: (-weights[i], i))[:top_k]
    total = sum(weights[i] for i in kept)
    if top_p is not None:
        reached, nucleus = 0.0, []
        for i in kept:
            if reached >= top_p:
                break
            nucleus.append(i)
            reached += weights[i] / total
        kept = nucleus
    if min_p is not None:
        kept = [i for i in kept if weights[i] >= min_p * max(weights.values())]
    total = sum(weights[i] for i in kept)
    return [weights[i] / total if i in kept else 0.0
            for i in range(len(logits))]


LOGITS = [0.5, -1.0, 2.0, 1.9, 0.0, -3.0, 1.0]
DRAWS = [dict(), dict(temperature=0.5), dict(temperature=3.0), dict(top_k=3),
         dict(top_p=0.8), dict(temperature=2.0, top_k=5, top_p=0.7),
         dict(min_p=0.1), dict(min_p=0.15, temperature=2.0),
         dict(min_p=0.3, top_k=4, top_p=0.9, temperature=1.5)]


@pytest.mark.parametrize("options", DRAWS, ids=str)
def test_draws_follow_the_distribution(options):
    wanted = expected(LOGITS, **options)
    share = probabilities(torch.tensor([LOGITS]), **options)[0].tolist()
    assert share == pytest.approx(wanted, abs=1e-7)
    rows, length = 500, 20
    drawn = Counter(token for row in generate(
        constant_model(LOGITS), [[0]] * rows, length, seed=0, **options)
        for token in row)
    possible = [i for i, p in enumerate(wanted) if p > 0]
    assert set(drawn) <= set(possible)
    if len(possible) > 1:
        assert chisquare(
            [drawn[i] for i in possible],
            [rows * length * wanted[i] for i in possible]).pvalue > 1e-3


def test_equal_logits_are_kept_in_the_order_of_their_ids():
    share = probabilities(torch.zeros(1, 6), top_k=2)[0].tolist()
    assert share == [0.5, 0.5, 0, 0, 0, 0]


@pytest.mark.parametrize("spread", [0.0, 0.1, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("options", [
    dict(top_k=40), dict(top_p=0.5), dict(top_p=0.99), dict(min_p=0.05),
    dict(top_k=700, top_p=0.95, min_p=0.01, temperature=0.7)], ids=str)
def test_filters_of_a_large_vocabulary(spread, options):
    """The shortcuts for tens of thousands of tokens, on flat rows and steep
    ones in one batch, with many equal logits."""
    torch.manual_seed(0)
    rows = (torch.randn(3, 9000) * torch.tensor([[spread], [3.0], [8.0]])
            ).round(decimals=1)
    share = probabilities(rows, **options)
    for row, got in zip(rows.tolist(), share, strict=True):
        wanted = torch.tensor(expected(row, **options), dtype=torch.float64)
        # a token whose rank hangs on the last digit of a sum may differ
        assert ((got > 0) != (wanted > 0)).sum() <= 1
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-3)
        assert got.sum() == pytest.approx(1)


def test_equal_values_at_the_edge():
    rows = torch.tensor([[1.0, 3, 2, 2, 3, 2, 0], [9.0, 8, 7, 6, 5, 4, 3]])
    values, ids = likeliest(rows, 3)
    assert values.tolist() == [[3, 3, 2], [9, 8, 7]]
    assert ids.tolist() == [[1, 4, 2], [0, 1, 2]]


def test_repetition_penalty_against_transformers():
    from transformers import RepetitionPenaltyLogitsProcessor
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(0))
    texts = [[1, 5, 1], [39, 0, 2], [7, 7, 7]]
    for penalty in (0.5, 1.3, 4.0):
        theirs = RepetitionPenaltyLogitsProcessor(penalty)(
            torch.tensor(texts), logits.clone())
        before = logits.clone()
        torch.testing.assert_close(penalize(logits, texts, penalty), theirs)
        assert torch.equal(logits, before)


def test_repetition_penalty_looks_at_prompt_and_new_tokens():
    model = constant_model(LOGITS)
    [row] = generate(model, [[2]], 3, temperature=0, repetition_penalty=1e9)
    assert row == [3, 6, 0]  # the likeliest that was not there yet


@pytest.mark.parametrize("temperature", [1e-320, 1e-12, 1e12, 1e300])
def test_extreme_temperatures_stay_numbers(temperature):
    share = probabilities(torch.tensor([[1e4, -1e4, 0.0]]), temperature)
    assert share.isfinite().all() and share.sum() == pytest.approx(1)


def test_the_seed_decides(model):
    again = [generate(model, RAGGED, 20, seed=5) for _ in range(2)]
    assert again[0] == again[1] != generate(model, RAGGED, 20, seed=6)
    assert generate(model, RAGGED, 20, seed=-1) == generate(
        model, RAGGED, 20, seed=-1)
    assert generate(model, RAGGED, 20) != generate(model, RAGGED, 20)


def test_a_generator_decides_as_a_seed_does(model):
    def draw():
        return torch.Generator().manual_seed(5)

    source = draw()
    first, second = (generate(model, RAGGED, 20, generator=source)
                     for _ in range(2))
    assert first == generate(model, RAGGED, 20, generator=draw()) != second
    with pytest.raises(ValueError, match="a seed or a generator, not both"):
        generate(model, RAGGED, 20, generator=source, seed=1)


@pytest.mark.parametrize("options", [
    dict(), dict(temperature=0), dict(top_k=2, temperature=0.5, stop_id=4)],
    ids=str)
@pytest.mark.parametrize("use_cache", [True, False])
def test_log_probabilities_are_the_models(model, options, use_cache):
    options = options | dict(seed=1, use_cache=use_cache)
    rows, scores = generate(model, RAGGED, 3 * T, logprobs=True, **options)
    assert rows == generate(model, RAGGED, 3 * T, **options)
    for prompt, row, score in zip(RAGGED, rows, scores, strict=True):
        assert len(score) == len(row)
        for place, token in enumerate(row):
            text = prompt + row[:place]
            text = torch.tensor([text[window_start(len(text), T):]])
            with torch.no_grad():
                known = model(text)[0, -1].log_softmax(-1)[token].item()
            assert score[place] == pytest.approx(known, abs=1e-12)


def test_no_global_random_state_is_touched(model):
    torch.manual_seed(3)
    random.seed(3)
    before = torch.get_rng_state(), random.getstate()
    generate(model, RAGGED, 5, seed=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


def test_stop_ends_a_row_and_is_left_out(model):
    free = generate(model, RAGGED, 40, seed=2)
    for stop in range(V):
        stopped = generate(model, RAGGED, 40, seed=2, stop_id=stop)
        assert stopped == [row[:row.index(stop)] if stop in row else row
                           for row in free]


def test_streaming_yields_what_generate_returns(model):
    rows = [[] for _ in RAGGED]
    for row, token in stream(model, RAGGED, 12, seed=4, stop_id=3):
        assert not model.training
        rows[row].append(token)
    assert rows == generate(model, RAGGED, 12, seed=4, stop_id=3)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_is_put_back(model, training):
    model.train(training)
    assert generate(model, RAGGED, 9, seed=1) == generate(
        model, RAGGED, 9, seed=1)  # dropout is off
    assert model.training == training
    for _ in stream(model, RAGGED, 3):
        assert model.training == training  # between tokens, too
    model.eval()


def test_nothing_to_do(model):
    assert generate(model, [], 5) == []
    assert generate(model, RAGGED, 0) == [[] for _ in RAGGED]


@pytest.mark.parametrize("bad, message", [
    (dict(prompts=[[1], []]), "prompt 1 is empty"),
    (dict(prompts=[[1, V]]), f"outside 0 to {V - 1}"),
    (dict(prompts=[[-1]]), "prompt 0 holds a token outside"),
    (dict(max_new_tokens=-1), "max_new_tokens must be 0 or more"),
    (dict(temperature=-0.1), "temperature must be 0"),
    (dict(temperature=math.nan), "temperature .* not nan"),
    (dict(temperature=math.inf), "temperature .* not inf"),
    (dict(top_k=0), "top_k must be 1 or more"),
    (dict(top_k=-3), "top_k must be 1 or more"),
    (dict(top_p=0.0), "top_p must lie"),
    (dict(top_p=1.1), "top_p must lie"),
    (dict(top_p=math.nan), "top_p .* not nan"),
    (dict(min_p=-0.1), "min_p must lie"), (dict(min_p=1.1), "min_p must lie"),
    (dict(repetition_penalty=0.0), "repetition_penalty must be above 0"),
    (dict(repetition_penalty=math.nan), "repetition_penalty .* not nan")])
def test_bad_values_are_named(model, bad, message):
    with pytest.raises(ValueError, match=message):
        generate(model, **(dict(prompts=[[1]], max_new_tokens=3) | bad))


def test_more_than_there_is_keeps_all():
    logits = torch.tensor([LOGITS])
    plain = probabilities(logits)
    assert torch.equal(probabilities(logits, top_k=100), plain)
    torch.testing.assert_close(probabilities(logits, top_p=1.0), plain)

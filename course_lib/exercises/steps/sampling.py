"""Chapter 5: probabilities, the cache, generation, bits per byte."""

import torch

from course_lib import sampling
from course_lib.exercises.step import Step
from course_lib.exercises.values import copied, normal, plain, same
from course_lib.measuring.evaluation import Evaluation
from course_lib.model.attention import attend

CHAPTER = "05_sampling"


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """(V,) probabilities of (V,) logits."""
    return sampling.probabilities(logits[None], temperature, top_k, top_p)[0]


def cached_attention(q, k, v, cache=None):
    """(the output (B, H, T, D), (keys, values) of all S tokens so far)."""
    if cache is not None:
        k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
    T, S = q.size(2), k.size(2)
    seen = torch.ones(T, S, dtype=torch.bool).tril(S - T)
    return attend(q, k, v, seen, causal=False), (k, v)


def generate(model, ids, count, context, temperature=1.0, top_k=None,
             top_p=None):
    """A list of `count` new ids; `model` gives (1, T, V) logits."""
    ids, start = list(ids), len(ids)
    for _ in range(count):
        logits = model(torch.tensor([ids[-context:]]))[0, -1]
        row = probabilities(logits, temperature, top_k, top_p)
        ids.append(torch.multinomial(row, 1).item())
    return ids[start:]


def bits_per_byte(loss, tokens, bytes):
    """Bits a byte, of a loss in nats a token."""
    return Evaluation(loss, tokens, bytes).bits_per_byte


def probability_cases():
    """Logits with each setting alone, then with several."""
    two, three = torch.tensor([0.0, 1.0]), torch.tensor([2.0, 0.0, 1.0])
    yield dict(logits=two)
    yield dict(logits=two, temperature=0.5)
    yield dict(logits=two, temperature=0)
    yield dict(logits=three, top_k=2)
    yield dict(logits=three, top_k=5)
    yield dict(logits=three, top_p=0.5)
    yield dict(logits=three, top_p=0.8)
    yield dict(logits=three, temperature=2.0, top_p=0.6)
    yield dict(logits=three, top_k=2, top_p=0.7)
    for seed in range(4):
        logits = 2 * normal(seed, 12)
        for options in (dict(temperature=0.7), dict(top_k=4),
                        dict(top_p=0.6), dict(temperature=1.5, top_k=6,
                                              top_p=0.8), dict(top_p=1.0)):
            yield dict(logits=logits, **options)
    yield dict(logits=1000 * normal(9, 6), temperature=0.5)


def cache_cases():
    """How a row of tokens is cut, and its shape (B, H, D)."""
    yield dict(pieces=(1,), shape=(1, 1, 2))
    yield dict(pieces=(1, 1), shape=(1, 1, 2))
    yield dict(pieces=(2, 1), shape=(1, 1, 2))
    yield dict(pieces=(1, 2), shape=(1, 1, 2))
    yield dict(pieces=(2, 2), shape=(1, 1, 3))
    yield dict(pieces=(3, 1, 1, 2), shape=(2, 2, 3))


def see_cache(candidate, case) -> dict:
    """The output of each call, as one row goes through in pieces."""
    (B, H, D), cache, start, seen = case["shape"], None, 0, {}
    q, k, v = normal(1, 3, B, H, sum(case["pieces"]), D)
    for number, T in enumerate(case["pieces"], 1):
        part = dict(zip("qkv", (x[:, :, start:start + T]
                                for x in (q, k, v))))
        given = copied(part)
        output, cache = candidate(**given, cache=cache)
        seen[f"output of call {number}"] = plain(output)
        seen["q, k or v changed"] = not same(plain(given), plain(part))
        start += T
    return seen


def generate_cases():
    """Prompts within a context and past it; the last are long enough for
    every likely token to be drawn."""
    yield dict(prompt=[1], count=1, context=8, temperature=0)
    yield dict(prompt=[1, 2], count=3, context=8, temperature=0)
    yield dict(prompt=[1, 2], count=0, context=8, temperature=0)
    yield dict(prompt=[3, 1, 2, 5, 0], count=9, context=4, temperature=0)
    yield dict(prompt=[3], count=60, context=8, top_k=1)
    yield dict(prompt=[3], count=60, context=8, top_p=0.1)
    yield dict(prompt=[3], count=60, context=8, temperature=0.01)
    yield dict(prompt=[3], count=300, context=8)
    yield dict(prompt=[3], count=300, context=8, top_k=2)
    yield dict(prompt=[3], count=800, context=8, temperature=2.0)


def see_generate(candidate, case) -> dict:
    """What a model of seven tokens was asked, and what came out. After
    token i it gives (3 i + 1) % 7 most and (3 i + 2) % 7 half as much."""
    V, rows = 7, []

    def model(ids):
        assert ids.dim() == 2, f"ids must be (1, T), not {tuple(ids.shape)}"
        rows.append(ids[0].tolist())
        logits = torch.zeros(*ids.shape, V)
        logits.scatter_(2, ((3 * ids + 2) % V)[..., None], 3.0)
        return logits.scatter_(2, ((3 * ids + 1) % V)[..., None], 3.7)

    options = {name: value for name, value in case.items()
               if name != "prompt"}
    prompt = [*case["prompt"]]
    new = candidate(model=model, ids=prompt, **options)
    new = [int(token) for token in new]
    seen = {"so many tokens": len(new),
            "prompt changed": prompt != case["prompt"]}
    whole, context = [*case["prompt"], *new], case["context"]
    lengths = [len(row) for row in rows]
    seen["rows longer than the context"] = max(lengths, default=0) > context
    seen["less than half a context kept"] = any(
        size < min(context // 2, len(case["prompt"]) + n)
        for n, size in enumerate(lengths))
    ends = [len(case["prompt"]) + n for n in range(len(rows))]
    seen["each row ends with the newest tokens"] = all(
        row == whole[max(0, end - len(row)):end]
        for row, end in zip(rows, ends))
    places = [(b - 3 * a - 1) % V for a, b in zip(
        [case["prompt"][-1], *new], new)]
    seen["drawn"] = ("only the likeliest" if set(places) <= {0} else
                     "the two likeliest" if set(places) <= {0, 1} else
                     "all")
    row = probabilities(torch.tensor([3.7, 3.0, 0, 0, 0, 0, 0]), **{
        name: value for name, value in options.items()
        if name not in ("count", "context")})
    return seen | {"the likeliest came": often(places.count(0), len(new),
                                               row[0].item())}


def often(came: int, draws: int, p: float) -> str:
    """Whether something of probability p came about as often as it should:
    of right draws one in 100,000 is too often or too rare."""
    off = came - p * draws
    if abs(off) <= 4.5 * (p * (1 - p) * draws) ** 0.5 + 1e-9 * draws:
        return "as often as it should"
    return "too often" if off > 0 else "too rarely"


def byte_cases():
    """Losses in nats a token, tokens and bytes."""
    for loss, tokens, size in ((1.0, 1, 1), (2.0, 1, 4), (2.0, 3, 4),
                               (1.37, 51_200, 190_213)):
        yield dict(loss=loss, tokens=tokens, bytes=size)


STEPS = [
    Step("probabilities", CHAPTER, "What is there to choose from?",
         probability_cases, (probabilities,), hints=(
             "Temperature first, then the softmax, then top_k, then top_p; "
             "what is left is divided by its sum.",
             "Sort downwards: a token goes if those before it already reach "
             "top_p of the sum, cumsum - p >= top_p * sum. At temperature 0 "
             "do not divide.")),
    Step("cached_attention", CHAPTER,
         "Why is it slow, and what is the KV cache?", cache_cases,
         (cached_attention,), see_cache, hints=(
             "Put the new keys and values behind those in the cache, and let "
             "the new queries look at all of them.",
             "The new token t of T stands at place S - T + t of all S: "
             "tril(S - T).")),
    Step("generate", CHAPTER, "What is there to choose from?",
         generate_cases, (generate,), see_generate, hints=(
             "In a loop: the last tokens, at most `context`, through the "
             "model; the logits of the last place; probabilities; one draw.",
             "torch.multinomial draws. The new token joins the row, and in "
             "the end the prompt is cut off.")),
    Step("bits_per_byte", CHAPTER, "How good is it, really?", byte_cases,
         (bits_per_byte,), hints=(
             "All nats of the text are loss * tokens.",
             "A bit is ln 2 nats; divide by the bytes.")),
]

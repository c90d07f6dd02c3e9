"""Known mistakes of chapter 5."""

import math

import torch

from course_lib.exercises.mistakes.architecture import attend
from course_lib.exercises.step import Bank
from course_lib.exercises.steps import sampling as right

mistake = Bank()


def reshape(logits, temperature=1.0, top_k=None, top_p=None, *, heat="divide",
            renormal=True, keep_last=True, apart=False, least=False):
    """The probabilities with what people get wrong as arguments."""
    if temperature == 0:
        return right.probabilities(logits, 0)
    if heat == "divide":
        logits = logits / temperature
    elif heat == "multiply":
        logits = logits * temperature
    p = logits.softmax(-1)
    if heat == "after":
        p = p / temperature
    p, places = p.sort(descending=not least, stable=True)
    full = p.clone()

    def cut_k(p):
        return p * (torch.arange(len(p)) < top_k) if top_k else p

    def cut_p(p, q=None):
        if not top_p:
            return p
        q = p if q is None else q
        before = q.cumsum(-1) - (q if keep_last else 0)
        return p * (before < top_p * q.sum())

    p = cut_p(cut_k(p), full if apart else None)
    if renormal:
        p = p / p.sum()
    return torch.zeros_like(p).scatter(0, places, p)


def variant(name, why, **wrong):
    def made(logits, temperature=1.0, top_k=None, top_p=None):
        return reshape(logits, temperature, top_k, top_p, **wrong)
    mistake("probabilities", name, why)(made)


variant("logits are multiplied by the temperature",
        "Divide: below 1 the likely become likelier.", heat="multiply")
variant("the temperature is not used",
        "Divide the logits by it before the softmax.", heat="none")
variant("probabilities are divided by the temperature",
        "The logits are to be divided, before the softmax.", heat="after",
        renormal=False)
variant("what is left does not sum to 1",
        "After top_k and top_p divide by the sum.", renormal=False)
variant("the token that reaches top_p is left out",
        "The fewest that together reach top_p include the last of them; "
        "otherwise nothing may be left.", keep_last=False)
variant("top_p comes before top_k, or is a share of all tokens",
        "top_k comes first; of what is left, top_p is the share.",
        apart=True)
variant("the unlikeliest are kept", "Sort downwards.", least=True)


@mistake("probabilities", "temperature 0 is divided by",
         "At 0 the largest logit gets everything; a division gives NaN.")
def by_zero(logits, temperature=1.0, top_k=None, top_p=None):
    return reshape(logits / temperature, 1.0, top_k, top_p)


@mistake("probabilities", "top_p comes before the temperature",
         "The temperature reshapes first.")
def heat_late(logits, temperature=1.0, top_k=None, top_p=None):
    kept = reshape(logits, 1.0 if temperature else 0, top_k, top_p) > 0
    hidden = logits.masked_fill(~kept, -torch.inf)
    return reshape(hidden, temperature)


@mistake("probabilities", "top_k fails where k is above V",
         "topk(k) wants k at most V: min(top_k, V).")
def too_many(logits, temperature=1.0, top_k=None, top_p=None):
    if top_k:
        logits.topk(top_k)
    return reshape(logits, temperature, top_k, top_p)


@mistake("probabilities", "tokens come back sorted",
         "Each probability belongs to its token's own place: scatter them "
         "back.")
def sorted_out(logits, temperature=1.0, top_k=None, top_p=None):
    return reshape(logits, temperature, top_k, top_p).sort(
        descending=True).values


def kept(q, k, v, cache, diagonal=None):
    """Attention over cache and new tokens, and the new cache; `diagonal`
    gets how many old and new ones there are."""
    if cache is not None:
        k, v = torch.cat((cache[0], k), 2), torch.cat((cache[1], v), 2)
    T, S = q.size(2), k.size(2)
    later = S - T + 1 if diagonal is None else diagonal(T, S)
    return attend(q, k, v, diagonal=later), (k, v)


@mistake("cached_attention", "the mask is aligned with the wrong corner",
         "is_causal and tril() begin at the top left: with S - T tokens in "
         "the cache, the new token t may see S - T + t + 1 of them.")
def wrong_corner(q, k, v, cache=None):
    return kept(q, k, v, cache, lambda T, S: 1)


@mistake("cached_attention", "there is no mask among the new tokens",
         "One new token needs none, but several must not see each other's "
         "future.")
def no_mask(q, k, v, cache=None):
    return kept(q, k, v, cache, lambda T, S: S)


@mistake("cached_attention", "the cache is not read",
         "The new queries look at the old keys and values as well.")
def unread(q, k, v, cache=None):
    return kept(q, k, v, None)


@mistake("cached_attention", "the cache holds the last call only",
         "What comes back is the old cache and the new tokens behind it.")
def forgets(q, k, v, cache=None):
    return kept(q, k, v, cache)[0], (k, v)


@mistake("cached_attention", "new tokens are put in front of the old",
         "Keys and values stand in the order of the row.")
def in_front(q, k, v, cache=None):
    if cache is not None:
        k, v = torch.cat((k, cache[0]), 2), torch.cat((v, cache[1]), 2)
    return attend(q, k, v, diagonal=k.size(2) - q.size(2) + 1), (k, v)


@mistake("cached_attention", "only keys are kept",
         "The values of the old tokens are needed as well.")
def keys_only(q, k, v, cache=None):
    if cache is None:
        return kept(q, k, v, None)[0], (k, v)
    k, v = torch.cat((cache[0], k), 2), torch.cat((0 * cache[1], v), 2)
    return attend(q, k, v, diagonal=k.size(2) - q.size(2) + 1), (k, v)


def speak(model, ids, count, context, temperature=1.0, top_k=None, top_p=None,
          *, place=-1, window=None, prompt=False, append=True, extra=0,
          draw=None):
    """Generation with what people get wrong as arguments."""
    ids, start, new = list(ids), len(ids), []
    for _ in range(count + extra):
        row = window(ids, context) if window else ids[-context:]
        row = right.probabilities(model(torch.tensor([row]))[0, place],
                                  temperature, top_k, top_p)
        token = (draw or (lambda row: torch.multinomial(row, 1)))(row).item()
        new.append(token)
        if append:
            ids.append(token)
    return [*ids[:start], *new] if prompt else new


def talk(name, why, change=None, **wrong):
    def made(model, ids, count, context, temperature=1.0, top_k=None,
             top_p=None):
        options = dict(temperature=temperature, top_k=top_k, top_p=top_p)
        return speak(model, ids, count, context, **(
            options | (change or {})), **wrong)
    mistake("generate", name, why)(made)


talk("the prompt is handed back too",
     "Only the new tokens are asked for: ids[len(prompt):].", prompt=True)
talk("the logits of the first place are read",
     "The last place is about the next token: [0, -1].", place=0)
talk("rows grow past the context",
     "A model has no positions beyond it: ids[-context:].",
     window=lambda ids, context: ids)
talk("the newest tokens are left out, not the oldest",
     "ids[:context] keeps the beginning: ids[-context:].",
     window=lambda ids, context: ids[:context])
talk("the model sees the last token only",
     "Without a cache the whole row goes in.",
     window=lambda ids, context: ids[-1:])
talk("the new token does not join the row",
     "Each draw is to see the one before.", append=False)
talk("one token too many", "`count` new tokens.", extra=1)
talk("always the likeliest", "Draw: torch.multinomial(p, 1).",
     draw=lambda row: row.argmax())
talk("the temperature is not used",
     "Hand it on to `probabilities`, 0 included.", dict(temperature=1.0))
talk("top_k is not used", "Hand it on to `probabilities`.", dict(top_k=None))
talk("top_p is not used", "Hand it on to `probabilities`.", dict(top_p=None))


@mistake("generate", "the temperature is used twice",
         "`probabilities` divides by it already.")
def twice(model, ids, count, context, temperature=1.0, top_k=None,
          top_p=None):
    return speak(model, ids, count, context, temperature**2, top_k, top_p)


@mistake("generate", "the prompt is changed",
         "ids.append writes into the caller's list: copy it first.")
def writes_into(model, ids, count, context, temperature=1.0, top_k=None,
                top_p=None):
    new = right.generate(model, ids, count, context, temperature, top_k,
                         top_p)
    ids += new
    return new


def byte_mistake(name, why):
    return mistake("bits_per_byte", name, why)


@byte_mistake("nats, not bits", "A bit is ln 2 nats: divide by it.")
def in_nats(loss, tokens, bytes):
    return loss * tokens / bytes


@byte_mistake("bits per token, not per byte",
              "Times the tokens, divided by the bytes.")
def per_token(loss, tokens, bytes):
    return loss / math.log(2)


@byte_mistake("multiplied by ln 2", "Divide: a text has more bits than nats.")
def times_log(loss, tokens, bytes):
    return loss * tokens * math.log(2) / bytes


@byte_mistake("tokens and bytes have changed places",
              "The text costs loss * tokens nats, over its bytes.")
def exchanged(loss, tokens, bytes):
    return loss * bytes / tokens / math.log(2)


@byte_mistake("the perplexity in bits", "The loss itself, not e to it.")
def of_perplexity(loss, tokens, bytes):
    return math.exp(loss) * tokens / bytes / math.log(2)

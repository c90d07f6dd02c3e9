"""From ids to text: generation with a KV cache (chapter 5).

A row of n <= T tokens attends to all of them. Past the context T the window
starts at s = h * ceil((n - T) / h) with h = max(1, T // 2), and positions
start again at 0, so half a context is forgotten at a time and the cache is
refilled once in h tokens rather than at every one. With and without the
cache the tokens are the same. Each row has its own random numbers: its
tokens depend on its prompt, the seed and its index, never on the others.
"""

import random
from collections.abc import Iterator

import torch
from torch.nn import functional as F

from course_lib.model import GPT, KVCache


def probabilities(logits, temperature=1.0, top_k=None, top_p=None):
    """(B, V) logits -> (B, V) float64 probabilities to draw from.

    temperature 0 puts all weight on the largest logit. `top_k` keeps the k
    likeliest tokens; `top_p` keeps the fewest that together reach p, after
    temperature and top_k (Holtzman et al. 2020).
    """
    logits = logits.double()
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.size(-1)).double()
    # the largest becomes 0, so that no temperature overflows
    logits = (logits - logits.amax(-1, keepdim=True)) / temperature
    # stable, so that equal logits are kept in the order of their ids
    values, order = logits.sort(descending=True, stable=True)
    if top_k is not None:
        values[:, top_k:] = -torch.inf
    share = values.softmax(-1)
    if top_p is not None:
        before = share.cumsum(-1) - share
        share = share.masked_fill(before >= top_p, 0.0)
        share = share / share.sum(-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, order, share)


def generate(model: GPT, prompts: list[list[int]], max_new_tokens: int,
             temperature: float = 1.0, top_k: int | None = None,
             top_p: float | None = None, stop_id: int | None = None,
             seed: int | None = None, use_cache: bool = True,
             ) -> list[list[int]]:
    """Continue each prompt; returns the new tokens only, without `stop_id`.

    Prompts may differ in length and must not be empty. Runs in evaluation
    mode and puts the model back as it was. Raises ValueError for a setting
    or a token out of range.
    """
    rows = [[] for _ in prompts]
    for row, token in stream(model, prompts, max_new_tokens, temperature,
                             top_k, top_p, stop_id, seed, use_cache):
        rows[row].append(token)
    return rows


@torch.no_grad()
def stream(model: GPT, prompts, max_new_tokens, temperature=1.0, top_k=None,
           top_p=None, stop_id=None, seed=None, use_cache=True,
           ) -> Iterator[tuple[int, int]]:
    """Like `generate`, but yields (row, token) as soon as each is drawn."""
    _check(model, prompts, max_new_tokens, temperature, top_k, top_p)
    if seed is None:
        seed = random.SystemRandom().getrandbits(32)
    draws = [random.Random(f"{seed}/{row}") for row in range(len(prompts))]
    texts = [list(prompt) for prompt in prompts]
    active = list(range(len(prompts)))
    reader = (CachedReader if use_cache else Reader)(model)
    for _ in range(max_new_tokens):
        if not active:
            return
        training = model.training
        model.eval()
        try:
            hidden = reader([texts[row] for row in active])  # (B, C)
            logits = F.linear(hidden, model.head)
        finally:
            model.train(training)
        share = probabilities(logits, temperature, top_k, top_p).cpu()
        u = torch.tensor([draws[row].random() for row in active],
                         dtype=torch.float64)[:, None]
        ends = share.cumsum(-1)
        chosen = torch.searchsorted(ends, u * ends[:, -1:], right=True)
        kept = []
        for place, token in enumerate(chosen[:, 0].tolist()):
            if token != stop_id:
                kept.append(place)
                texts[active[place]].append(token)
                yield active[place], token
        if len(kept) < len(active):
            reader.keep(kept)
            active = [active[place] for place in kept]


def window_start(n: int, context: int) -> int:
    """Where the window of a row of n tokens starts; 0 within the context."""
    half = max(1, context // 2)
    return half * max(0, -(-(n - context) // half))


class Reader:
    """Each row's last hidden state, by reading its whole window anew."""

    def __init__(self, model: GPT):
        self.model = model
        self.device = model.head.device
        self.context = model.config.context_length

    def __call__(self, texts: list[list[int]]):
        """Rows of any length -> (B, C)."""
        return self.read(texts)

    def keep(self, places: list[int]) -> None:
        """Forget every row but these."""

    def read(self, texts, cache=None):
        """(B, C); shorter rows are padded on the right, where causal
        attention cannot see the padding."""
        rows = [text[window_start(len(text), self.context):]
                for text in texts]
        lengths = [len(row) for row in rows]
        ids = torch.zeros(len(rows), max(lengths), dtype=torch.long)
        for place, row in enumerate(rows):
            ids[place, :len(row)] = torch.tensor(row)
        hidden = self.model.hidden(ids.to(self.device), cache)  # (B, T, C)
        if cache is not None:
            cache.lengths = lengths
        return hidden[range(len(rows)), [n - 1 for n in lengths]]


class CachedReader(Reader):
    """The same, reading only what is new since the last call."""

    cache: KVCache | None = None

    def __call__(self, texts):
        if self.cache is None:
            self.cache = self._new(len(texts))
            return self.read(texts, self.cache)
        starts = [window_start(len(text), self.context) for text in texts]
        moved = [place for place, start in enumerate(starts)
                 if start != window_start(len(texts[place]) - 1,
                                          self.context)]
        if len(moved) == len(texts):
            return self.read(texts, self.cache_emptied())
        for place in moved:  # any one token will do: it is read again below
            self.cache.lengths[place] = 0
        last = torch.tensor([text[-1:] for text in texts])
        hidden = self.model.hidden(last.to(self.device), self.cache)[:, -1]
        if moved:
            part = self._new(len(moved))
            hidden[moved] = self.read([texts[p] for p in moved], part)
            self.cache.keys[:, moved] = part.keys
            self.cache.values[:, moved] = part.values
            for place, length in zip(moved, part.lengths):
                self.cache.lengths[place] = length
        return hidden

    def keep(self, places):
        self.cache.keys = self.cache.keys[:, places]
        self.cache.values = self.cache.values[:, places]
        self.cache.lengths = [self.cache.lengths[p] for p in places]

    def cache_emptied(self) -> KVCache:
        """The cache with no tokens in it."""
        self.cache.lengths = [0] * len(self.cache.lengths)
        return self.cache

    def _new(self, rows: int) -> KVCache:
        return KVCache(self.model.config, rows, device=self.device,
                       dtype=self.model.head.dtype)


def _check(model, prompts, max_new_tokens, temperature, top_k, top_p):
    V = model.config.vocab_size
    for number, prompt in enumerate(prompts):
        if not len(prompt):
            raise ValueError(f"prompt {number} is empty: start with at least "
                             "one token, such as end-of-text")
        if min(prompt) < 0 or max(prompt) >= V:
            raise ValueError(f"prompt {number} holds a token outside 0 to "
                             f"{V - 1}: is it another model's tokenizer?")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens must be 0 or more, not "
                         f"{max_new_tokens}")
    if not 0 <= temperature < float("inf"):
        raise ValueError("temperature must be 0 (greedy) or more, not "
                         f"{temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k must be 1 or more, not {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie in (0, 1], not {top_p}")

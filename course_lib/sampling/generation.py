"""From ids to text: generation with a KV cache (chapter 5).

A row of n <= T tokens attends to all of them. Past the context T the window
starts at s = h * ceil((n - T) / h) with h = max(1, T // 2), and positions
start again at 0, so half a context is forgotten at a time and the cache is
refilled once in h tokens rather than at every one. With and without the
cache the tokens are the same. Each row has its own random numbers: its
tokens depend on its prompt, the seed and its index, never on the others.
How a token is chosen is said in `drawing.py`.
"""

import copy
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
from torch.nn import functional as F

from course_lib.model.cache import KVCache, window_start
from course_lib.model.gpt import GPT
from course_lib.sampling.drawing import Sampling


def generate(model: GPT, prompts: list[list[int]], max_new_tokens: int,
             temperature: float = 1.0, top_k: int | None = None,
             top_p: float | None = None, stop_id: int | None = None,
             seed: int | None = None, use_cache: bool = True, *,
             min_p: float | None = None, repetition_penalty: float = 1.0,
             generator: torch.Generator | None = None,
             logprobs: bool = False):
    """Continue each prompt; returns the new tokens only, without `stop_id`.

    Prompts may differ in length and must not be empty. temperature 0 takes
    the likeliest token; see `course_lib.sampling.probabilities` for top_k,
    top_p and min_p. A repetition_penalty above 1 makes tokens of the prompt
    and of what was generated less likely. The same seed, or a generator in
    the same state, gives the same tokens. With `logprobs` returns (tokens,
    log-probabilities in nats that the model gave them, whatever the
    settings). Dropout is off; the model stays as it is.
    Raises ValueError for a setting or a token out of range.
    """
    rows, scores = [[] for _ in prompts], [[] for _ in prompts]
    for row, token, *score in stream(
            model, prompts, max_new_tokens, temperature, top_k, top_p,
            stop_id, seed, use_cache, min_p=min_p, generator=generator,
            repetition_penalty=repetition_penalty, logprobs=logprobs):
        rows[row].append(token)
        scores[row] += score
    return (rows, scores) if logprobs else rows


@torch.inference_mode()
def stream(model: GPT, prompts, max_new_tokens, temperature=1.0, top_k=None,
           top_p=None, stop_id=None, seed=None, use_cache=True, *,
           min_p=None, repetition_penalty=1.0, generator=None,
           logprobs=False) -> Iterator[tuple]:
    """Like `generate`, but yields (row, token), or (row, token, its
    log-probability), as soon as each is drawn."""
    sampling = Sampling(temperature, top_k, top_p, min_p, repetition_penalty)
    _check(model, prompts, max_new_tokens)
    seed = _seed(seed, generator)
    draws = [random.Random(f"{seed}/{row}").random
             for row in range(len(prompts))]
    texts = [list(prompt) for prompt in prompts]
    active = list(range(len(prompts)))
    reader = Reader(model)
    if use_cache:
        # the copy takes as long as it saves in some forty tokens, and with
        # more rows than two it saves nothing
        by_columns = (model.head.device.type == "cpu" and len(prompts) <= 2
                      and max_new_tokens >= 64)
        reader = CachedReader(model, max(map(len, prompts), default=0)
                              + max_new_tokens, by_columns)
    for _ in range(max_new_tokens):
        if not active:
            return
        logits = reader.logits([texts[row] for row in active])  # (B, V)
        chosen = sampling.choose(logits, [texts[row] for row in active],
                                 [draws[row] for row in active])
        scores = [()] * len(active)
        if logprobs:
            scores = logits.double().log_softmax(-1).gather(
                -1, torch.tensor(chosen, device=logits.device)[:, None]
            ).tolist()
        kept = []
        for place, token in enumerate(chosen):
            if token != stop_id:
                kept.append(place)
                texts[active[place]].append(token)
                yield active[place], token, *scores[place]
        if len(kept) < len(active):
            reader.keep(kept)
            active = [active[place] for place in kept]


def _seed(seed, generator):
    """What the rows' random numbers are made from."""
    if generator is None:
        return random.SystemRandom().getrandbits(32) if seed is None else seed
    if seed is not None:
        raise ValueError("give a seed or a generator, not both")
    return torch.randint(2**62, (), generator=generator,
                         device=generator.device).item()


def for_reading(model: GPT, by_columns: bool = False) -> GPT:
    """The model in evaluation mode, with the same weights in memory; the
    one given stays as it is.

    `by_columns` copies those of linear layers into another order, with
    which a CPU multiplies one row in two thirds of the time.
    """
    shared = [*model.parameters(), *model.buffers()]
    reading = copy.deepcopy(model, {id(tensor): tensor for tensor in shared})
    for layer in reading.modules() if by_columns else ():
        if isinstance(layer, torch.nn.Linear):
            layer.weight = torch.nn.Parameter(_by_columns(layer.weight),
                                              requires_grad=False)
    return reading.eval()


def _by_columns(weight):
    """The same matrix with each column's numbers side by side."""
    return weight.detach().T.contiguous().T


class Reader:
    """Each row's next logits, by reading its whole window anew."""

    def __init__(self, model: GPT, by_columns: bool = False):
        self.model = for_reading(model, by_columns)
        self.device, self.dtype = model.head.device, model.head.dtype
        self.context = model.config.context_length
        self.last = getattr(model, "logits", None)  # a quantized model's own
        if not self.last:
            head = _by_columns(model.head) if by_columns else model.head
            self.last = partial(F.linear, weight=head)

    def logits(self, texts: list[list[int]]):
        """Rows of any length -> (B, V)."""
        logits = self.last(self.hidden(texts))
        # Apple's GPU has no float64 to choose a token in
        return logits.cpu() if self.device.type == "mps" else logits

    def hidden(self, texts):
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

    def __init__(self, model: GPT, longest: int, by_columns: bool = False):
        """`longest`: tokens that a row may come to have."""
        super().__init__(model, by_columns)
        self.slots = min(longest, self.context)

    def hidden(self, texts):
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
        config = replace(self.model.config, context_length=self.slots)
        return KVCache(config, rows, device=self.device,
                       dtype=self.dtype)


def _check(model, prompts, max_new_tokens):
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

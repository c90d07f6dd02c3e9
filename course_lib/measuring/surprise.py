"""How surprised is the model by each token of a text? (chapter 5)

Surprisal is -ln p in nats: 0 for a token that had to come, ln V for one that
was as good as any other. Its mean over a text is the loss.
Source: Shannon 1948, 1951.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

import torch

from course_lib.model.cache import window_start
from course_lib.model.gpt import GPT
from course_lib.text.tokenizer import EOT, Tokenizer


@torch.no_grad()
def surprisal(model: GPT, ids: list[int]) -> list[float]:
    """Nats of every token of `ids` but the first, given all before it:
    len(ids) - 1 numbers.

    Past the context the window slides as in generation, so these are the
    log-probabilities of `generate(..., logprobs=True)`, negated. Runs in
    evaluation mode and puts the model back. Raises ValueError for a token
    out of range.
    """
    T, V = model.config.context_length, model.config.vocab_size
    if ids and not 0 <= min(ids) <= max(ids) < V:
        raise ValueError(f"the text holds a token outside 0 to {V - 1}: is "
                         "it another model's tokenizer?")
    nats, training = [], model.training
    model.eval()
    try:
        for start, lengths in groupby(range(1, len(ids)),
                                      lambda n: window_start(n, T)):
            first, *_, last = [*lengths] * 2
            row = torch.tensor(ids[start:last], device=model.head.device)
            logits = model(row[None])[0, first - 1 - start:]  # (N, V)
            targets = torch.tensor(ids[first:last + 1])
            nats += torch.nn.functional.cross_entropy(
                logits.cpu().double(), targets, reduction="none").tolist()
    finally:
        model.train(training)
    return nats


def pieces(tokenizer: Tokenizer, ids: list[int], bits: Iterable[float],
           ) -> Iterator[tuple[str, float]]:
    """The text of the tokens in pieces of a character or more, each with
    the bits that its tokens cost together."""
    held, cost = b"", 0.0
    for place, (token, value) in enumerate(zip(ids, bits, strict=True), 1):
        held, cost = held + tokenizer.token_bytes(token), cost + value
        text = held.decode("utf-8", "replace")
        if text.endswith("\ufffd") and len(held) < 4 and place < len(ids):
            continue  # a character may stand in several tokens
        yield text or EOT, cost
        held, cost = b"", 0.0

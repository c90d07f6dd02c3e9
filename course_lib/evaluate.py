"""How good is it: validation loss, perplexity, bits per byte (chapter 5).

Loss in nats per token depends on the tokenizer; bits per byte do not, so
only they compare models with different vocabularies. Text is read in
windows that do not overlap; end-of-text stands before and after each
document and counts as a token of zero bytes.
"""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from course_lib.data import Tokens, pack
from course_lib.distributed import World
from course_lib.model import GPT, IGNORE
from course_lib.tokenizer import Tokenizer

WINDOW_TOKENS = 8192  # tokens in a forward pass; the result ignores it


@dataclass(frozen=True)
class Evaluation:
    """Nats per token, and what follows from the total."""

    loss: float
    tokens: int
    bytes: int

    @property
    def perplexity(self) -> float:
        """exp(loss): how many equally likely tokens would be as hard."""
        return math.exp(self.loss) if self.loss < 709 else math.inf

    @property
    def bits_per_byte(self) -> float:
        """Total nats / (ln 2 * bytes of text)."""
        return self.loss * self.tokens / (math.log(2) * self.bytes)


@torch.no_grad()
def evaluate(model: GPT, data: Tokens, *, max_tokens: int | None = None,
             precision=None, world: World = World(),  # noqa: B008
             progress: Callable[[int], None] = lambda count: None,
             ) -> Evaluation:
    """Loss over a token file, or its first `max_tokens`.

    With `max_tokens` the bytes are the header's, in proportion. The model
    is put in evaluation mode and back. `precision` is a context manager
    such as torch.autocast, float32 without one. Of several processes each
    reads its share, and all get the result. `progress(tokens)` is called
    as they are read.
    """
    device = model.head.device
    T = model.config.context_length
    count = min(data.tokens - 1, max_tokens or data.tokens)
    rows = max(1, WINDOW_TOKENS // T)
    total = torch.zeros((), dtype=torch.float64)
    training = model.training
    model.eval()
    try:
        for start in range(world.rank * rows * T, count,
                           world.size * rows * T):
            size = min(rows * T, count - start)
            ids = data.ids[start:start + size + 1].astype(np.int64)
            inputs = np.zeros((-(-size // T), T), np.int64)
            targets = np.full_like(inputs, IGNORE)
            inputs.flat[:size], targets.flat[:size] = ids[:-1], ids[1:]
            batch = [torch.from_numpy(part).to(device)
                     for part in (inputs, targets)]
            with precision or torch.autocast("cpu", enabled=False):
                total += model.loss(*batch).double().cpu() * size
            progress(size)
    finally:
        model.train(training)
    share = count / (data.tokens - 1)
    if world.size > 1:
        total = world.mean(total.to(device)) * world.size
    return Evaluation(total.item() / count, count, round(data.bytes * share))


def evaluate_text(model: GPT, tokenizer: Tokenizer, texts: Iterable[str],
                  progress: Callable[[int], None] = lambda count: None,
                  ) -> Evaluation:
    """The same for documents given as strings."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = pack(texts, tokenizer, Path(folder, "t.bin"))
        return evaluate(model, tokens, progress=progress)


def documents(data: Tokens, tokenizer: Tokenizer) -> Iterator[str]:
    """The texts that a token file was made of, for another tokenizer."""
    ends = np.flatnonzero(data.ids == tokenizer.eot)
    for start, end in zip(ends, ends[1:]):
        yield tokenizer.decode(data.ids[start + 1:end].tolist())

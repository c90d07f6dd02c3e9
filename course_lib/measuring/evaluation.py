"""How good is it: validation loss, perplexity, bits per byte (chapter 5).

Loss in nats per token depends on the tokenizer; bits per byte do not, so
only they compare models with different vocabularies. Text is read in
windows that do not overlap; end-of-text stands before and after each
document and counts as a token of zero bytes. `by_document.py` has the other
convention.
"""

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from course_lib.machine.distributed import World
from course_lib.measuring.by_document import document_windows, read_windows
from course_lib.model.gpt import GPT
from course_lib.model.loss import IGNORE
from course_lib.text.rows import sentences
from course_lib.text.token_files import Tokens, pack
from course_lib.text.tokenizer import Tokenizer

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
        return math.inf if self.loss > 709 else math.exp(self.loss)

    @property
    def bits_per_byte(self) -> float:
        """Total nats / (ln 2 * bytes of text)."""
        return self.loss * self.tokens / (math.log(2) * self.bytes)


@torch.no_grad()
def evaluate(model: GPT, data: Tokens, *, max_tokens: int | None = None,
             precision=None, world: World = World(),  # noqa: B008
             progress: Callable[[int], None] = lambda count: None,
             by_document: bool = False) -> Evaluation:
    """Loss over a token file, or over windows of `max_tokens` in all that lie
    evenly in it; with `by_document` over each document by itself, as
    lm-evaluation-harness has it.

    With `max_tokens` the bytes are the header's, in proportion. The model
    is put in evaluation mode and back. `precision` is a context manager
    such as torch.autocast, float32 without one. Of several processes each
    reads its share, and all get the result. `progress(tokens)` is called
    as they are read. Raises ValueError when the file is damaged, or has
    sentences where documents are asked for.
    """
    data.verify()
    device, T = model.head.device, model.config.context_length
    if not data.row:  # a context may be longer than any text
        T = min(T, max(1, data.tokens - 1))
    number, size, read = _windows(data, T, by_document)
    places = np.arange(number)
    if max_tokens and -(-max_tokens // T) < number:
        places = np.linspace(0, number - 1, -(-max_tokens // T)).astype(int)
    rows = max(1, WINDOW_TOKENS // T)
    total = torch.zeros(2, dtype=torch.float64)  # nats, targets
    training = model.training
    model.eval()
    try:
        for start in range(world.rank * rows, len(places), world.size * rows):
            ids, targets = read(places[start:start + rows])
            counted = int((targets != IGNORE).sum())
            with precision or torch.autocast("cpu", enabled=False):
                loss = model.loss(ids.to(device), targets.to(device))
            total += torch.tensor([loss.double().item() * counted, counted],
                                  dtype=torch.float64)
            progress(counted)
    finally:
        model.train(training)
    if world.size > 1:
        total = world.mean(total.to(device)).cpu() * world.size
    nats, counted = total.tolist()
    if len(places) == number and round(counted) != size:
        raise ValueError(f"{data.path} has {counted:,.0f} targets and its "
                         f"header says {size:,}: it is damaged")
    return Evaluation(nats / counted, round(counted), max(
        1, round(data.bytes * counted / size)))


def _windows(data: Tokens, T: int, by_document: bool):
    """How many windows there are, how many targets are in all of them, and
    what reads the windows at some places."""
    if not by_document:
        return (data.to_measure_count(T), data.targets,
                lambda at: data.to_measure(T, at))
    if data.row:
        raise ValueError(f"{data.path.name} has a sentence a row: give a "
                         "file of documents")
    windows = document_windows(data.ids, T)
    return (len(windows), data.tokens - data.documents - 1,
            lambda at: read_windows(data.ids, windows[at], T))


def evaluate_text(model: GPT, tokenizer: Tokenizer, texts: Iterable[str],
                  progress: Callable[[int], None] = lambda count: None,
                  precision=None, layout: str = "packed",
                  by_document: bool = False) -> Evaluation:
    """The same for documents given as strings, in the layout that the model
    was trained on, unless each document is read by itself."""
    row = model.config.context_length \
        if layout == "sentences" and not by_document else None
    with tempfile.TemporaryDirectory() as folder:
        tokens = pack(sentences(texts) if row else texts, tokenizer,
                      Path(folder, "t.bin"), row=row)
        return evaluate(model, tokens, precision=precision,
                        progress=progress, by_document=by_document)


def documents(data: Tokens, tokenizer: Tokenizer) -> Iterator[str]:
    """The texts that a token file was made of, for another tokenizer.
    Raises ValueError when the file is damaged."""
    data.verify()
    ends = np.flatnonzero(data.ids == tokenizer.eot)
    for start, end in zip(ends, ends[1:]):
        yield tokenizer.decode(data.ids[start + 1:end].tolist())

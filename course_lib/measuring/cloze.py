"""The last word of a passage: does the model follow what it reads? (chapter 7)

An item is a passage of a book without its last word. A model answers it
twice, given the whole passage and given its last sentence alone; what it is
better in the first case it has from further back. A reader can do both.
Source: after LAMBADA (Paperno et al. 2016), but without its filter by human
readers: here any passage counts that the rule below admits.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from scipy import stats

from course_lib.model.gpt import GPT
from course_lib.text.tokenizer import Tokenizer

BEFORE = range(50, 101)  # words of the passage before its last sentence
SENTENCE = range(6, 41)  # words of a sentence
LEVEL = 0.95  # of intervals
# A mark that ends a sentence, but for those of titles and initials.
END = re.compile(r"(?<!Mr)(?<!Mrs)(?<!Dr)(?<!St)(?<!\b[A-Z])"
                 r"[.!?][\"')]*(?=\s+[\"'(]?[A-Z]|\s*\Z|\n)")
LAST = re.compile(r" ([A-Za-z][a-z]{3,})[.!?][\"']?\Z")

# A model as the tests see it: of `ids` and `start` > 0, the nats of each of
# ids[start:] given all before it, and the likeliest token at each place from
# `start` to just behind the end.
Reader = Callable[[list[int], int], tuple[list[float], list[int]]]


@dataclass(frozen=True)
class Item:
    """`passage` and then `sentence`, both without the `word` that follows;
    `seen` says whether the passage has the word as well."""

    passage: str
    sentence: str
    word: str
    seen: bool

    def prompt(self, whole: bool) -> str:
        """What is to be continued: all, or the last sentence alone."""
        return self.passage + self.sentence if whole else self.sentence


@dataclass(frozen=True)
class Answer:
    """Whether the likeliest tokens spell the word and end it, and the nats
    of the word's own tokens."""

    right: bool
    nats: float


def cloze_items(texts: Iterable[str], count: int) -> list[Item]:
    """`count` items whose word the passage has, and `count` whose word is
    new, or as many as there are.

    The rule: the last sentence has 6 to 40 words, and its last word, of
    four letters or more, is not in it before; whole sentences of the same
    document go before it, as few as have 50 words, and 100 at most. Of all
    such passages those count whose text, word included, has the smallest
    sha256, so that the choice depends on nothing but the texts.
    """
    found = sorted({item for text in texts for item in _items(text)},
                   key=lambda item: digest(f"{item.prompt(True)} {item.word}"))
    return [item for seen in (True, False)
            for item in [i for i in found if i.seen == seen][:count]]


def _items(text: str) -> Iterator[Item]:
    spans = list(sentences(text))
    lengths = [len(text[start:end].split()) for start, end in spans]
    for number, (start, end) in enumerate(spans):
        last = LAST.search(text[start:end])
        if not last or lengths[number] not in SENTENCE:
            continue
        word, sentence = last[1], text[start:start + last.start()]
        first, before = number, 0
        while first and before < BEFORE.start:
            first -= 1
            before += lengths[first]
        passage = text[spans[first][0]:start]
        if before in BEFORE and not has_word(sentence, word):
            yield Item(passage, sentence, word, has_word(passage, word))


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each sentence; one ends in a full stop, question or
    exclamation mark, or with its line."""
    for line in re.finditer(r"[^\n]+", text):
        start = line.start()
        for mark in END.finditer(line[0]):
            yield start, line.start() + mark.end()
            start = line.start() + mark.end()
            start += len(text[start:line.end()]) - len(
                text[start:line.end()].lstrip())
        if text[start:line.end()].strip():
            yield start, line.end()


def has_word(text: str, word: str) -> bool:
    """Whether the word stands in a text, whatever its capitals."""
    return re.search(rf"\b{word}\b", text, re.I) is not None


def digest(text: str) -> str:
    """What texts are drawn by: as good as chance, and the same each time."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def reader(model: GPT) -> Reader:
    """A GPT as the tests see it. Where text and context leave no other way
    the oldest tokens are not read, but at least half a context is. The
    model is to be in evaluation mode."""
    T = model.config.context_length

    @torch.no_grad()
    def read(ids, start):
        places = []
        for place in range(start, len(ids) + 1, max(1, T // 2)):
            end = min(place + max(1, T // 2), len(ids) + 1)
            first = max(0, end - 1 - T)
            row = torch.tensor(ids[first:end - 1], device=model.head.device)
            places.append(model(row[None])[0, place - 1 - first:].cpu())
        logits = torch.cat(places)  # (N + 1, V), N targets
        nats = torch.nn.functional.cross_entropy(
            logits[:-1].double(), torch.tensor(ids[start:]),
            reduction="none")
        return nats.tolist(), logits.argmax(-1).tolist()

    return read


def answer(read: Reader, tokenizer: Tokenizer, item: Item,
           whole: bool) -> Answer:
    """How a model answers an item. The word counts as said where the
    likeliest tokens are its own, and the next does not go on with a letter.
    """
    prompt = tokenizer.encode(item.prompt(whole))
    word = tokenizer.encode(f" {item.word}")
    nats, likeliest = read(prompt + word, len(prompt))
    ends = not tokenizer.token_bytes(likeliest[-1])[:1].isalpha()
    return Answer(likeliest[:-1] == word and ends, sum(nats))


def share(right: list[bool]) -> dict[str, float]:
    """The share that is right, with Wilson's interval."""
    found = stats.binomtest(sum(right), len(right)).proportion_ci(
        LEVEL, method="wilson")
    return dict(share=sum(right) / len(right), low=float(found.low),
                high=float(found.high), count=len(right))


def average(values: list[float]) -> dict[str, float]:
    """The mean, with an interval by bootstrap over the values."""
    found = stats.bootstrap(
        (values,), lambda rows, axis: rows.mean(axis), n_resamples=2000,
        confidence_level=LEVEL, method="percentile", rng=0, batch=100)
    low, high = found.confidence_interval
    return dict(mean=sum(values) / len(values), low=float(low),
                high=float(high), count=len(values))

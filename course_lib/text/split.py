"""What is held out to measure on: by document, or the end of each (chapter 3).
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

VALIDATION = 0.05  # share of the documents, or of each document, held out
SPLIT_RULES = ("hash", "tail")


def is_validation(text: str) -> bool:
    """Whether the hash rule holds a document out: by its text alone, so
    that adding documents never moves another one."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) < VALIDATION * 2**64


def choose_split(texts: Iterable[str]) -> str:
    """`hash`, or `tail` where hashing would hold out under 1% of the bytes
    or, as with a single book, over half of them.

    Past 10,000 documents the share is so near 5% that the rest need not be
    read. Raises ValueError for an empty corpus.
    """
    total = held_out = 0
    for text in islice(texts, 10_000):
        size = len(text.encode("utf-8", "surrogatepass"))
        total += size
        held_out += size * is_validation(text)
    if not total:
        raise ValueError("the corpus is empty: name one with text in it")
    return "hash" if 0.01 * total <= held_out <= 0.5 * total else "tail"


def split_document(text: str, rule: str) -> tuple[str, str]:
    """A document's (training, validation) text; either may be empty.

    `hash` gives the whole document to one side; `tail` holds out its last
    5%, from the start of a paragraph (or of a line) where there is one.
    """
    if rule == "hash":
        return ("", text) if is_validation(text) else (text, "")
    if rule != "tail":
        raise ValueError(f"split rule {rule!r} is none of {SPLIT_RULES}")
    cut = int(len(text) * (1 - VALIDATION))
    newline = text.find("\n", cut)
    if 0 < newline < len(text) - 1:
        cut = newline + 1
    return text[:cut], text[cut:]


def side(texts: Iterable[str], rule: str, validation: bool) -> Iterator[str]:
    """The non-empty training or validation part of each document."""
    for text in texts:
        part = split_document(text, rule)[validation]
        if part.strip():
            yield part

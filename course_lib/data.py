"""Text into one flat file of token ids, and batches out of it (chapter 3).

A token file is: end-of-text, document, end-of-text, document, ..., end-of-
text, as uint16 (uint32 past 65,536 entries), beside a JSON header. No
padding anywhere. A batch is a pure function of (seed, step, rank, world), so
a resumed run needs to remember nothing but its step.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from course_lib.tokenizer import Tokenizer

VALIDATION = 0.05  # share of the documents, or of each document, held out
SPLIT_RULES = ("hash", "tail")
ENCODE_BYTES = 4_000_000  # text encoded at a time: memory stays flat


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


def pack(texts: Iterable[str], tokenizer: Tokenizer, path, progress=None):
    """Encode documents into the token file `path`; returns its `Tokens`.

    Written under another name and renamed when complete, header last, so a
    file with a header is whole. `progress(bytes)` is called as text is done.
    Raises ValueError when there is no text.
    """
    path = Path(path)
    dtype = np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32
    counts = dict(documents=0, tokens=1, bytes=0)
    partial, digest = path.with_suffix(".partial"), hashlib.sha256()
    with partial.open("wb") as file:
        def write(ids):
            part = np.array(ids, dtype).tobytes()
            file.write(part)
            digest.update(part)

        write([tokenizer.eot])
        for group in _groups(texts):
            ids = [i for row in tokenizer.encode_batch(group)
                   for i in (*row, tokenizer.eot)]
            write(ids)
            size = sum(len(text.encode()) for text in group)
            counts["documents"] += len(group)
            counts["tokens"] += len(ids)
            counts["bytes"] += size
            if progress:
                progress(size)
        file.flush()
        os.fsync(file.fileno())
    if not counts["documents"]:
        partial.unlink()
        raise ValueError(f"no text to pack into {path.name}: the corpus is "
                         "too small, add documents")
    os.replace(partial, path)
    header = dict(dtype=np.dtype(dtype).name, vocab_size=tokenizer.vocab_size,
                  tokenizer=tokenizer.fingerprint,
                  sha256=digest.hexdigest(), **counts)
    write_json(path.with_suffix(".json"), header)
    return Tokens(path)


def _groups(texts: Iterable[str]) -> Iterator[list[str]]:
    group, size = [], 0
    for text in texts:
        group.append(text)
        size += len(text)
        if size >= ENCODE_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def write_json(path, value) -> None:
    """Write JSON so that a reader sees the old file or the new one."""
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


class Tokens:
    """A token file, mapped into memory. `ids` is a flat array of numbers;
    `documents`, `tokens` and `bytes` (of text) are its header's counts.

    Raises FileNotFoundError, or ValueError for a file that does not match
    its header or the tokenizer it is opened with.
    """

    def __init__(self, path, tokenizer: Tokenizer | None = None):
        self.path = Path(path)
        try:
            header = json.loads(self.path.with_suffix(".json").read_text())
            self.documents = header["documents"]
            self.tokens = header["tokens"]
            self.bytes = header["bytes"]
            self.ids = np.memmap(self.path, header["dtype"], mode="r")
        except FileNotFoundError:
            raise FileNotFoundError(
                f"no token file at {path}: make it with `course prepare`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} or its header is damaged ({error}): "
                             "prepare it again") from None
        self.header = header
        if len(self.ids) != self.tokens:
            raise ValueError(f"{path} holds {len(self.ids):,} tokens and its "
                             f"header says {self.tokens:,}: prepare it again")
        if tokenizer and tokenizer.fingerprint != header["tokenizer"]:
            raise ValueError(f"{path} was made with another tokenizer: "
                             "prepare it again")

    def verify(self) -> None:
        """Raise ValueError when a byte is not as it was written."""
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.header.get("sha256", found):
            raise ValueError(f"{self.path} is damaged: its checksum is not "
                             "the saved one; prepare it again")

    def windows(self, context: int) -> int:
        """How many windows of `context` tokens an epoch has."""
        count = (self.tokens - context) // context
        if count < 1:
            raise ValueError(
                f"a context of {context} tokens is longer than the data: "
                f"{self.path.name} has {self.tokens:,} tokens, and needs "
                f"{2 * context:,}; add text or shorten the context")
        return count

    def batch(self, step: int, rows: int, context: int, seed: int = 0,
              rank: int = 0, world: int = 1):
        """(ids, targets) of one step, each (rows / world, context) int64.

        `rows` counts the batch over all `world` processes. Every epoch
        shuffles all windows anew, and shifts where the windows begin.
        """
        count = self.windows(context)
        ids = np.empty((rows // world, context + 1), np.int64)
        first = step * rows + rank * (rows // world)
        for row in range(len(ids)):
            epoch, place = divmod(first + row, count)
            order, shift = _epoch(count, context, seed, epoch)
            start = int(order[place]) * context + shift
            ids[row] = self.ids[start:start + context + 1]
        ids = torch.from_numpy(ids)
        return ids[:, :-1], ids[:, 1:]


@lru_cache(maxsize=4)  # a batch may straddle two epochs
def _epoch(count: int, context: int, seed: int, epoch: int):
    random = np.random.default_rng([seed, epoch])
    return random.permutation(count), int(random.integers(context))

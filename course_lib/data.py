"""Text into one flat file of token ids, and batches out of it (chapter 3).

A token file is: end-of-text, document, end-of-text, document, ..., end-of-
text, as uint16 (uint32 past 65,536 entries), beside a JSON header. No
padding anywhere. A batch is a pure function of (seed, step, rank, world), so
a resumed run needs to remember nothing but its step.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from course_lib.tokenizer import Tokenizer, cut

VALIDATION = 0.05  # share of the documents, or of each document, held out
SPLIT_RULES = ("hash", "tail")
PIECE = 100_000  # characters of a document that one core encodes at a time
ENCODE_BYTES = 4_000_000  # text encoded at a time: memory stays flat
SAVE_BYTES = 32_000_000  # of tokens, between points to take up the work at
SAMPLE = 500  # pieces, and characters of each, that check the encoder


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


def pack(texts: Iterable[str], tokenizer: Tokenizer, path,
         progress: Callable[[int], None] = lambda size: None,
         source: str | None = None) -> "Tokens":
    """Encode documents into the token file `path`.

    A file with a header is whole. Memory does not grow with the text, nor
    with a document. `progress(bytes)` is called as text is done.

    `source` identifies the texts. With it, a file that is whole is kept,
    and one that was interrupted goes on where its progress was last saved,
    to end in the same bytes. Raises ValueError when there is no text.
    """
    out, encode = _Unfinished(Path(path), tokenizer, source), None
    if out.is_finished():
        return Tokens(path)
    with out:
        pieces = _pieces(islice(texts, out.counts["documents"], None))
        if not out.counts["tokens"]:
            out.write([tokenizer.eot])
        while group := list(_first_bytes(pieces, ENCODE_BYTES)):
            encode = encode or tokenizer.fastest(
                [text[:SAMPLE] for text, _ in group[:SAMPLE]])
            rows = encode([text for text, _ in group])
            for ids, (_, whole) in zip(rows, group, strict=True):
                out.write(ids)
                if whole:
                    out.write([tokenizer.eot])
                    out.counts["documents"] += 1
            size = sum(len(text.encode()) for text, _ in group)
            out.counts["bytes"] += size
            progress(size)
            if whole:  # between two documents the work can be taken up
                out.save()
    return out.finish()


class _Unfinished:
    """A token file being written: under another name, renamed when it is
    complete, its header last. `counts` says what is in it so far."""

    def __init__(self, path: Path, tokenizer: Tokenizer, source):
        self.path, self.partial = path, path.with_suffix(".partial")
        self.saved, self.header = (path.with_suffix(".saved"),
                                   path.with_suffix(".json"))
        self.dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16
                              else np.uint32)
        self.about = dict(
            dtype=self.dtype.name, vocab_size=tokenizer.vocab_size,
            tokenizer=tokenizer.fingerprint, source=source)
        self.counts = dict(documents=0, tokens=0, bytes=0)
        self.unsaved = 0

    def is_finished(self) -> bool:
        """Whether the file is there already, of the same source."""
        return (self.about["source"] is not None
                and self.about == _read_json(self.header, self.about))

    def __enter__(self):
        before = _read_json(self.saved, {**self.about, **self.counts})
        kept = self.partial.stat().st_size if self.partial.is_file() else 0
        if (self.about["source"] is not None and before
                and self.about == {name: before[name] for name in self.about}
                and before["tokens"] * self.dtype.itemsize <= kept):
            self.counts = {name: before[name] for name in self.counts}
        self.file = self.partial.open(
            "r+b" if self.counts["tokens"] else "w+b")
        self.file.truncate(self.counts["tokens"] * self.dtype.itemsize)
        self.digest = hashlib.file_digest(self.file, "sha256")
        return self

    def write(self, ids) -> None:
        """Append token ids."""
        part = np.asarray(ids, self.dtype).tobytes()
        self.file.write(part)
        self.digest.update(part)
        self.counts["tokens"] += len(ids)
        self.unsaved += len(part)

    def save(self) -> None:
        """Remember, every SAVE_BYTES, how far the work has come."""
        if self.about["source"] is not None and self.unsaved >= SAVE_BYTES:
            self._sync()
            write_json(self.saved, {**self.about, **self.counts})
            self.unsaved = 0

    def _sync(self):
        self.file.flush()
        os.fsync(self.file.fileno())

    def __exit__(self, *error):
        self._sync()
        self.file.close()

    def finish(self) -> "Tokens":
        """Make it a token file. Raises ValueError when it is empty."""
        if not self.counts["documents"]:
            self.partial.unlink()
            raise ValueError(f"no text to pack into {self.path.name}: the "
                             "corpus is too small, add documents")
        self.header.unlink(missing_ok=True)  # of an older file
        os.replace(self.partial, self.path)
        write_json(self.header, {
            **self.about, "sha256": self.digest.hexdigest(), **self.counts})
        self.saved.unlink(missing_ok=True)
        return Tokens(self.path)


def _pieces(texts: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Documents in pieces of about PIECE characters, each with whether it
    is its document's last."""
    for text in texts:
        before = None
        for piece in cut(text, PIECE):
            if before is not None:
                yield before, False
            before = piece
        yield before, True


def _first_bytes(pieces, limit: int) -> Iterator[tuple[str, bool]]:
    for text, whole in pieces:
        yield text, whole
        limit -= len(text)
        if limit <= 0:
            return


def _read_json(path: Path, names) -> dict:
    """These fields of a JSON file; nothing when one cannot be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return {name: value[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


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

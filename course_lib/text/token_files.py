"""Text into one flat file of token ids, and batches out of it (chapter 3).

A token file is: end-of-text, document, end-of-text, document, ..., end-of-
text, as uint16 (uint32 past 65,536 entries), beside a JSON header. No
padding anywhere; or, for the recipe of 2023, rows of one sentence each and
padding to the end. A batch is a pure function of (seed, step, rank, world),
so a resumed run needs to remember nothing but its step.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from course_lib.machine.files import (
    read_json,
    read_object,
    whole_number,
    write_json,
)
from course_lib.model.loss import IGNORE
from course_lib.text.tokenizer import Tokenizer, cut

PIECE = 100_000  # characters of a document that one core encodes at a time
ENCODE_BYTES = 4_000_000  # text encoded at a time: memory stays flat
SAVE_BYTES = 32_000_000  # of tokens, between points to take up the work at
AGAIN = "run the same `course prepare` once more, which makes it again"
COUNTS = ("documents", "tokens", "bytes")
SAMPLE = 500  # pieces, and characters of each, that check the encoder


def pack(texts: Iterable[str], tokenizer: Tokenizer, path,
         progress: Callable[[int], None] = lambda size: None,
         source: str | None = None, row: int | None = None,
         cut_long: bool = False) -> "Tokens":
    """Encode documents into the token file `path`.

    A file with a header is whole. Memory does not grow with the text, nor
    with a document. `progress(bytes)` is called as text is done.

    `source` identifies the texts. With it, a file that is whole is kept,
    and one that was interrupted goes on where its progress was last saved,
    to end in the same bytes. Raises ValueError when there is no text.

    With `row` the texts are sentences, and each becomes a row: end-of-text,
    the sentence without the space around it, and end-of-text to the end,
    `row` + 1 ids in all. What is too long goes on in a further row, or with
    `cut_long` is lost, its end-of-text included, as in 2023.
    """
    out = _Unfinished(Path(path), tokenizer, source, row, cut_long)
    encode = None
    if out.is_finished():
        return Tokens(path)
    with out:
        pieces = _pieces(islice(texts, out.counts["documents"], None))
        if not out.counts["tokens"]:
            out.begin()
        while group := list(_first_bytes(pieces, ENCODE_BYTES)):
            encode = encode or tokenizer.fastest(
                [text[:SAMPLE] for text, _ in group[:SAMPLE]])
            encoded = encode([text.strip() if row else text
                              for text, _ in group])
            for ids, (_, whole) in zip(encoded, group, strict=True):
                out.add(ids, whole)
            size = sum(len(text.encode()) for text, _ in group)
            out.counts["bytes"] += size
            progress(size)
            if whole:  # between two documents the work can be taken up
                out.save()
    return out.finish()


class _Unfinished:
    """A token file being written: under another name, renamed when it is
    complete, its header last. `counts` says what is in it so far."""

    def __init__(self, path: Path, tokenizer: Tokenizer, source,
                 row: int | None = None, cut_long: bool = False):
        self.path, self.partial = path, path.with_suffix(".partial")
        self.saved, self.header = (path.with_suffix(".saved"),
                                   path.with_suffix(".json"))
        self.dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16
                              else np.uint32)
        self.about = dict(
            dtype=self.dtype.name, vocab_size=tokenizer.vocab_size,
            tokenizer=tokenizer.fingerprint, source=source)
        self.counts = dict(documents=0, tokens=0, bytes=0)
        self.row, self.cut_long, self.eot = row, cut_long, tokenizer.eot
        if row:
            self.about |= dict(row=row, cut_long=cut_long)
            self.counts |= dict(targets=0)  # that are no padding
        self.unsaved = 0

    def is_finished(self) -> bool:
        """Whether the file is there already, whole and of the same source.
        """
        if (self.about["source"] is None
                or self.about != read_json(self.header, self.about)):
            return False
        try:
            Tokens(self.path).verify()
        except (FileNotFoundError, ValueError):
            return False
        return True

    def __enter__(self):
        before = read_json(self.saved, {**self.about, **self.counts})
        kept = self.partial.stat().st_size if self.partial.is_file() else 0
        if (self.about["source"] is not None and before
                and all(type(before[name]) is int for name in self.counts)
                and self.about == {name: before[name] for name in self.about}
                and before["tokens"] * self.dtype.itemsize <= kept):
            self.counts = {name: before[name] for name in self.counts}
        self.file = self.partial.open(
            "r+b" if self.counts["tokens"] else "w+b")
        self.file.truncate(self.counts["tokens"] * self.dtype.itemsize)
        self.digest = hashlib.file_digest(self.file, "sha256")
        return self

    def begin(self) -> None:
        """What stands before the first document."""
        if not self.row:
            self._write([self.eot])

    def add(self, ids, whole: bool) -> None:
        """Append a piece of a document; `whole` with its last one."""
        self.counts["documents"] += whole
        if not self.row:
            self._write([*ids, self.eot] if whole else ids)
            return
        ids = ids[:self.row] if self.cut_long else [*ids, self.eot]
        for start in range(0, len(ids), self.row):
            part = ids[start:start + self.row]
            padding = [self.eot] * (self.row - len(part))
            self._write([self.eot, *part, *padding])
            self.counts["targets"] += len(part) + bool(
                self.cut_long and padding)

    def _write(self, ids) -> None:
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


class Tokens:
    """A token file, mapped into memory. `ids` is a flat array of numbers;
    `documents`, `tokens` and `bytes` (of text) are its header's counts.
    `row` is None, or the width of padded rows, where `targets`, those that
    are no padding, are fewer than the tokens.

    Raises FileNotFoundError, or ValueError for a file that does not match
    its header or the tokenizer it is opened with.
    """

    def __init__(self, path, tokenizer: Tokenizer | None = None):
        self.path, self.verified = Path(path), False
        try:
            header = read_object(self.path.with_suffix(".json"))
            self.documents, self.tokens, self.bytes = (
                whole_number(header, name) for name in COUNTS)
            self.row = header.get("row")
            self.targets = self.tokens - 1
            if self.row is not None:
                whole_number(header, "row", 1)
                self.targets = whole_number(header, "targets")
            if header["dtype"] not in ("uint16", "uint32"):
                raise ValueError(f"dtype {header['dtype']!r}")
            header["tokenizer"], header["vocab_size"]
            self.ids = np.memmap(self.path, header["dtype"], mode="r")
        except FileNotFoundError:
            raise FileNotFoundError(
                f"no token file at {path}: make it with `course prepare`"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} or its header is damaged ({error}): "
                             f"{AGAIN}") from None
        self.header = header
        if len(self.ids) != self.tokens:
            raise ValueError(f"{path} holds {len(self.ids):,} tokens and its "
                             f"header says {self.tokens:,}: {AGAIN}")
        if tokenizer and not tokenizer.known_as(header["tokenizer"]):
            raise ValueError(f"{path} was made with another tokenizer: "
                             f"{AGAIN}")

    def verify(self) -> None:
        """Raise ValueError when a byte is not as it was written; looked at
        once."""
        if self.verified:
            return
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.header.get("sha256", found):
            raise ValueError(f"{self.path} is damaged: its checksum is not "
                             f"the saved one; {AGAIN}")
        self.verified = True

    def windows(self, context: int) -> int:
        """How many windows of `context` tokens an epoch has."""
        if self.row:
            if self.row != context:
                raise ValueError(f"{self.path.name} has rows of {self.row} "
                                 f"tokens, and the model's are of {context}: "
                                 f"{AGAIN}")
            return self.tokens // (context + 1)
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
        shuffles all windows anew, and shifts where the windows begin, unless
        they are rows already. Padding is a target like any other.
        """
        count = self.windows(context)
        ids = np.empty((rows // world, context + 1), np.int64)
        first = step * rows + rank * (rows // world)
        for row in range(len(ids)):
            epoch, place = divmod(first + row, count)
            order, shift = _epoch(count, context, seed, epoch)
            start = (int(order[place]) * (context + 1) if self.row
                     else int(order[place]) * context + shift)
            ids[row] = self.ids[start:start + context + 1]
        ids = torch.from_numpy(ids)
        return ids[:, :-1], ids[:, 1:]

    def to_measure(self, context: int, places):
        """(ids, targets) of the windows at these places, each (places,
        context) int64. Windows do not overlap and leave nothing out; what
        is no text is a target of -100."""
        width = context + 1 if self.row else context
        ids = np.zeros((len(places), context + 1), np.int64)
        targets = np.full((len(places), context), IGNORE)
        for row, place in enumerate(places):
            part = self.ids[place * width:place * width + context + 1]
            ids[row, :len(part)] = part
            end = len(part) - 1
            if self.row:  # up to the first end-of-text after the beginning
                ends = np.flatnonzero(part[1:] == part[0])
                end = int(ends[0]) + 1 if len(ends) else end
            targets[row, :end] = part[1:end + 1]
        return torch.from_numpy(ids[:, :-1].copy()), torch.from_numpy(targets)

    def to_measure_count(self, context: int) -> int:
        """How many places `to_measure` has."""
        if self.row:
            return self.windows(context)
        return -(-(self.tokens - 1) // context)


@lru_cache(maxsize=4)  # a batch may straddle two epochs
def _epoch(count: int, context: int, seed: int, epoch: int):
    random = np.random.default_rng([seed, epoch])
    return random.permutation(count), int(random.integers(context))

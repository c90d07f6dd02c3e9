"""Text to token ids and back: a lossless byte-level BPE (chapter 3).

The Tokenizers library trains and saves it and defines the ids. This wrapper
fixes the settings that make it lossless: all 256 bytes are in the alphabet,
nothing is normalised, no space is added, and special tokens in a user's text
are text. Whole corpora are encoded by tiktoken with the same merges, several
times faster and without trouble over endless words.
Source: Radford et al. 2019 (byte-level BPE); Sennrich et al. 2016 (BPE).
"""

import hashlib
import json
import os
import re
import reprlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

import tiktoken
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from course_lib.machine.lines import one_line
from course_lib.text.lossless import losses, ordered

EOT = "<|endoftext|>"
LARGEST = 2**20  # entries; several times the largest vocabulary in use
# The words of GPT-2, which are those of the library's ByteLevel.
WORDS = (r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++"
         r"|\s++$|\s+(?!\S)|\s")
# What must come back for bits per byte to mean anything, and must do so at
# any length.
PROBE = ("Two  Lines,\n\tsaid \u201cJos\u00e9\u201d \u2014 twice. \U0001f31e "
         f"{EOT} ")
LONG = 200  # times the probe
# The trainer's time grows with the square of a word's length.
LONGEST_WORD = 1_000


class Tokenizer:
    """A byte-level BPE tokenizer: `decode(encode(s)) == s` for every str.

    Made by `train_tokenizer` or `load_tokenizer`. `eot` is the id of the
    end-of-text token, which no text can produce.
    """

    def __init__(self, library: tokenizers.Tokenizer):
        self.library = library
        # Kept out of the saved file by the library, so set at every birth.
        library.encode_special_tokens = True
        # Kept in it, after ordinary use by transformers, and obeyed.
        library.no_truncation()
        library.no_padding()
        library.model.dropout = None
        ids = library.get_vocab().values()
        self.vocab_size = 1 + max(ids, default=-1)  # ids may leave gaps
        self.eot = library.token_to_id(EOT)
        if self.eot is None or not isinstance(library.model, models.BPE):
            raise ValueError(f"this is not a byte-level BPE with {EOT}: train "
                             "one with course_lib.text.train_tokenizer")
        if self.vocab_size > LARGEST:
            raise ValueError("ids must be below 2**20, and this tokenizer has "
                             f"{self.vocab_size - 1}")

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, never including end-of-text. Raises
        ValueError for a lone surrogate, which is no Unicode text."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        """Token ids of each text, on all cores."""
        _check(texts)
        return [row.ids for row in self.library.encode_batch_fast(
            texts, add_special_tokens=False)]

    def fastest(self, sample: list[str]) -> Callable:
        """A function like `encode_batch`: tiktoken's, where words are cut
        as GPT-2 does, text holds no token but those of its words, merges
        are those of training, and the ids of the sample are the same; else
        `encode_batch` itself."""
        if self._cutting == GPT2_CUTTING and not self._found \
                and self._as_trained and self._encode_by_tiktoken(
                    sample) == self.encode_batch(sample):
            return self._encode_by_tiktoken
        return self.encode_batch

    @cached_property
    def _as_trained(self) -> bool:
        """Whether any two neighbours that make a token may be merged, which
        is all that tiktoken knows: it has ids, and no list of merges."""
        model = self.library.model
        return not model.ignore_merges and ordered(self._state) and all(
            [i] == [part.id for part in model.tokenize(token)]
            for token, i in self._state["model"]["vocab"].items()
            if i not in self._added)

    def _encode_by_tiktoken(self, texts: list[str]) -> list[list[int]]:
        _check(texts)
        encode, workers = self._tiktoken.encode_ordinary, os.cpu_count() or 1
        if workers == 1 or len(texts) < 2:
            return [encode(text) for text in texts]
        size = -(-len(texts) // (4 * workers))  # few enough for the overhead
        with ThreadPoolExecutor(workers) as pool:
            parts = pool.map(lambda at: [encode(text) for text
                                         in texts[at:at + size]],
                             range(0, len(texts), size))
            return [ids for part in parts for ids in part]

    @cached_property
    def _tiktoken(self) -> tiktoken.Encoding:
        ranks = {self.token_bytes(i): i for i in range(self.vocab_size)
                 if i not in self._added}
        ranks.pop(b"", None)  # a gap
        return tiktoken.Encoding("course_lib", pat_str=WORDS,
                                 mergeable_ranks=ranks, special_tokens={})

    def decode(self, ids: list[int]) -> str:
        """The text of token ids; bytes that are no UTF-8 become U+FFFD."""
        return self.library.decode(ids, skip_special_tokens=False)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; end-of-text, and an id that is
        no token's, stand for none."""
        if token == self.eot:
            return b""
        if token in self._added:  # they are written as they are
            return self._added[token].content.encode()
        symbols = self.library.id_to_token(token) or ""
        return bytes(self._byte_of[symbol] for symbol in symbols)

    @cached_property
    def _added(self) -> dict[int, tokenizers.AddedToken]:
        return {self.eot: tokenizers.AddedToken(EOT, special=True),
                **self.library.get_added_tokens_decoder()}

    @property
    def _found(self) -> dict[str, bool]:
        """The tokens that are found in a text before it is cut, and whether
        only where they are a word."""
        return {token.content: token.single_word
                for token in self._added.values() if not token.special}

    @cached_property
    def _byte_of(self) -> dict[str, int]:
        # GPT-2 writes each byte as one printable character: the printable
        # Latin-1 ones as themselves, the other 68 as U+0100 onwards.
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [b for b in range(256) if b not in printable]
        return ({chr(b): b for b in printable}
                | {chr(256 + i): b for i, b in enumerate(others)})

    @cached_property
    def _state(self) -> dict:
        return json.loads(self.library.to_str())

    @cached_property
    def _cutting(self) -> dict:
        """What happens to a text before merges."""
        words = dict(self._state["pre_tokenizer"] or {})
        words.pop("trim_offsets", None)  # offsets are not asked for
        return dict(normalizer=self._state["normalizer"], words=words)

    @cached_property
    def fingerprint(self) -> str:
        """Identifies vocabulary, merges and how words are cut (sha256, 16
        digits), and nothing else that may stand in the file."""
        model = self._state["model"]
        added = {i: token.content for i, token in self._added.items()}
        # what few have, and is not there without: fingerprints are recorded
        rest = [part for part in (self._found, model.get("ignore_merges"))
                if part]
        return _digest(json.dumps([model["vocab"], model["merges"], added,
                                   self._cutting, *rest], sort_keys=True))

    def known_as(self, fingerprint: str) -> bool:
        """Whether a fingerprint is this tokenizer's. Runs of the first
        edition were given one of the whole file."""
        return fingerprint in (self.fingerprint,
                               _digest(self.library.to_str()))

    def check_lossless(self) -> None:
        """Raise ValueError for a tokenizer that text does not survive."""
        if any(token.lstrip or token.rstrip
               for token in self._added.values() if not token.special):
            raise ValueError("changes the text: it has tokens that take the "
                             "spaces around them away")
        for token in self._found:
            if self.decode([self.library.token_to_id(token)]) != token:
                raise ValueError("changes the text: its added token "
                                 f"{reprlib.repr(token)} does not come back")
        ids = self.encode(PROBE * LONG)
        if self.eot in ids:
            raise ValueError(f"takes {EOT} in a text for the end of it")
        if self.decode(ids) != PROBE * LONG:
            back = self.decode(self.encode(PROBE))
            raise ValueError(f"changes the text: it makes "
                             f"{reprlib.repr(back)} of {reprlib.repr(PROBE)}")
        vocab = self.library.get_vocab()
        if len({*vocab.values()}) < len(vocab):
            raise ValueError("may change the text: two of its tokens have one "
                             "id")
        strange = [token for token, i in vocab.items()
                   if i not in self._added and not self._byte_of.keys()
                   >= set(token)]
        if strange:
            raise ValueError("is no byte-level BPE: it has a token "
                             f"{reprlib.repr(min(strange))}")
        if loss := next(losses(self._state, {*self._byte_of}), None):
            raise ValueError(f"may change the text: {loss}")

    def save(self, path) -> None:
        """Write the library's own JSON, which `transformers` reads too."""
        partial = Path(f"{path}.partial")
        partial.write_text(self._json(), encoding="utf-8")
        os.replace(partial, path)

    def _json(self) -> str:
        # The library's own order of keys is stable; indent for reading.
        return json.dumps(json.loads(self.library.to_str()), indent=1,
                          ensure_ascii=False)


# The settings of the library that cut words as WORDS does.
GPT2_CUTTING = dict(normalizer=None, words=dict(
    type="ByteLevel", add_prefix_space=False, use_regex=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _check(texts: list[str]) -> None:
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("the text is no UTF-8: it holds a lone surrogate, "
                         "which stands for no character (in Python decode "
                         "its bytes with errors='replace')") from error


def cut(text: str, size: int) -> Iterator[str]:
    """A text in pieces of `size` (1 or more) characters or a few more.

    It is cut before a space or newline that follows a letter or sign. None
    of GPT-2's words goes across such a place, so no id changes.
    """
    start = 0
    places = re.compile(r"(?<=\S)[ \n]")
    while place := places.search(text, start + size):
        yield text[start:place.start()]
        start = place.start()
    yield text[start:]


def _short_words(texts: Iterable[str]) -> Iterator[str]:
    """The texts in pieces, which take the trainer less memory than a whole
    book, cut also inside words of more than LONGEST_WORD characters."""
    endless = re.compile(rf"\S{{{LONGEST_WORD}}}")
    for text in texts:
        for piece in cut(text, 100 * LONGEST_WORD):
            start = 0
            for word in endless.finditer(piece):
                yield piece[start:word.end()]
                start = word.end()
            yield piece[start:]


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Learn a byte-level BPE of exactly `vocab_size` entries.

    The same texts give the same tokenizer, byte for byte. Raises ValueError
    when vocab_size cannot hold the 256 bytes and end-of-text, or when the
    texts have too little variety to fill it.

    >>> tokenizer = train_tokenizer(["low lower lowest"] * 9, 262)
    >>> tokenizer.decode(tokenizer.encode("slow?"))
    'slow?'
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if vocab_size < len(alphabet) + 1:
        raise ValueError(f"vocab_size must be at least {len(alphabet) + 1} "
                         "(256 bytes and end-of-text), not "
                         f"{vocab_size}")
    if vocab_size > LARGEST:  # the library would ask for all of it at once
        raise ValueError(f"vocab_size must be at most {LARGEST:,}, not "
                         f"{vocab_size}")
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=[EOT], show_progress=False,
        initial_alphabet=sorted(alphabet))
    library.train_from_iterator(_short_words(texts), trainer)
    if library.get_vocab_size() < vocab_size:
        raise ValueError(
            f"the corpus fills only {library.get_vocab_size()} of vocab_size="
            f"{vocab_size} entries: take more text or a smaller vocabulary")
    return Tokenizer(library)


def load_tokenizer(path) -> Tokenizer:
    """Read a tokenizer.json. Raises FileNotFoundError, PermissionError, or
    ValueError for what is none and for one that changes the text."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no tokenizer at {path}: make one with "
                                "`course prepare`")
    stored = path.read_bytes()
    try:
        library = tokenizers.Tokenizer.from_str(stored.decode())
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"{path} is not a tokenizer file: "
                         f"{one_line(error)}") from None
    return checked(Tokenizer(library), path)


def checked(tokenizer: Tokenizer, path) -> Tokenizer:
    """A tokenizer that was read from `path`. Raises ValueError for one that
    changes the text."""
    try:
        tokenizer.check_lossless()
    except ValueError as error:
        raise ValueError(f"the tokenizer in {path} {error}") from None
    return tokenizer

"""Where text comes from: built-in stories, text files, BookCorpus.

Every corpus is a `datasets` dataset with a `text` column, one document a
row: a story, a file, a line of a .jsonl file, or 1,000 sentences of
BookCorpus (chapter 3).
"""

import gzip
import hashlib
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from course_lib import stories

if TYPE_CHECKING:
    import datasets

BOOKCORPUS = "bookcorpus/bookcorpus"
# The Hub's own conversion: `datasets` 4 and later run no loading scripts.
BOOKCORPUS_REVISION = "refs/convert/parquet"
SENTENCES_A_DOCUMENT = 1000
STORIES = 10_000
SUFFIXES = (".txt", ".jsonl")
COMPRESSIONS = (".gz", ".xz", ".zst")


@dataclass(frozen=True)
class Corpus:
    """A named source of documents; `fingerprint` changes with the text."""

    name: str
    fingerprint: str
    dataset: "datasets.IterableDataset"

    def texts(self) -> Iterator[str]:
        """The documents in order, one string each."""
        for row in self.dataset:
            yield row["text"]


def load_corpus(*specs: str) -> Corpus:
    """A corpus from `stories`, `stories:COUNT`, `bookcorpus`, or paths.

    Paths are files or folders (searched for .txt and .jsonl, plain or
    compressed with gzip, xz or Zstandard). Raises FileNotFoundError for a
    missing path and ValueError for anything else that is no text; a file's
    encoding is checked when it is read.
    """
    if not specs:
        raise ValueError("name a corpus: stories, bookcorpus, or paths")
    first, _, count = str(specs[0]).partition(":")
    if len(specs) == 1 and first == "stories":
        return _stories(count)
    if len(specs) == 1 and first == "bookcorpus":
        return _bookcorpus()
    return _files(find_files(specs))


def find_files(paths) -> list[Path]:
    """The text files that paths name, sorted, each once."""
    found = {}
    for path in map(Path, paths):
        if path == Path() and "." not in map(str, paths):
            raise ValueError("an empty path names no text: give a file, a "
                             "folder, or one of stories and bookcorpus")
        if path.is_dir():
            inside = sorted(f for f in path.rglob("*") if _is_text(f))
            if not inside:
                raise ValueError(
                    f"no text in {path}: looked for files ending in .txt or "
                    ".jsonl, also .gz, .xz or .zst")
            found |= dict.fromkeys(inside)
        elif path.is_file() and _is_text(path):
            found[path] = None
        elif path.is_file():
            raise ValueError(f"{path} does not end in .txt or .jsonl (also "
                             ".gz, .xz or .zst): rename it if it is text")
        else:
            raise FileNotFoundError(
                f"no file or folder {path}: give a path to text, or one of "
                "the names stories and bookcorpus")
    return list(found)


def _is_text(path: Path) -> bool:
    plain = path.stem if path.suffix in COMPRESSIONS else path.name
    return path.is_file() and Path(plain).suffix in SUFFIXES


def read_documents(path: Path) -> Iterator[str]:
    """The documents of one file; Windows line ends become plain ones.

    Raises ValueError, naming the file, for what is not text.
    """
    try:
        yield from _documents(path)
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError,
            zstandard.ZstdError) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from None


def _documents(path: Path) -> Iterator[str]:
    if path.name.removesuffix(path.suffix if path.suffix in COMPRESSIONS
                              else "").endswith(".jsonl"):
        with _open(path) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    text = json.loads(line)["text"]
                    text.encode()  # refuses what is no string, or no text
                except (ValueError, KeyError, TypeError, AttributeError,
                        RecursionError):
                    raise ValueError(
                        f"{path}, line {number}: expected a JSON object with "
                        'a "text" field that holds Unicode text') from None
                yield text
        return
    with _open(path) as file:
        data = file.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} at "
            f"position {error.start}; convert it first, for example with "
            "`iconv -f latin1 -t utf-8`") from None
    yield text.replace("\r\n", "\n")


def _open(path: Path) -> io.BufferedIOBase:
    if path.suffix == ".gz":
        return gzip.open(path)
    if path.suffix == ".xz":
        return lzma.open(path)
    if path.suffix == ".zst":
        return io.BufferedReader(_Chunks(_unpack_zstd(path)))
    return path.open("rb")


def _unpack_zstd(path: Path) -> Iterator[bytes]:
    # zstandard's own reader takes a file that was cut off for a whole one,
    # and does not read lines.
    frame = None
    with path.open("rb") as file:
        while packed := file.read(2**16):
            while packed:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                yield frame.decompress(packed)
                packed = frame.unused_data
                frame = None if frame.eof else frame
    if frame:
        raise EOFError("the file ends too early")


class _Chunks(io.RawIOBase):
    """A binary file made of chunks of bytes as they come."""

    def __init__(self, chunks: Iterator[bytes]):
        self.chunks, self.left = chunks, memoryview(b"")

    def readable(self):
        return True

    def readinto(self, buffer):
        while not self.left:
            chunk = next(self.chunks, None)
            if chunk is None:
                return 0
            self.left = memoryview(chunk)
        size = min(len(buffer), len(self.left))
        buffer[:size], self.left = self.left[:size], self.left[size:]
        return size


def _files(paths: list[Path]) -> Corpus:
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    name = ", ".join(sorted({str(path.parent) for path in paths}))

    def rows(paths):
        for path in paths:
            for text in read_documents(path):
                if text.strip():
                    yield {"text": text}

    return Corpus(name, digest.hexdigest()[:16], _dataset(rows, paths=paths))


def _stories(count: str) -> Corpus:
    if count and not (count.isascii() and count.isdigit() and int(count)):
        raise ValueError(f"stories:{count} needs a whole number of stories, "
                         "for example stories:20000")
    number = int(count or STORIES)
    sample = "".join(stories.stories(100)) + str(number)

    def rows(count):
        for text in stories.stories(count):
            yield {"text": text}

    return Corpus(f"stories:{number}",
                  hashlib.sha256(sample.encode()).hexdigest()[:16],
                  _dataset(rows, count=number))


def _bookcorpus() -> Corpus:
    import datasets
    from huggingface_hub import HfApi
    try:
        commit = HfApi().dataset_info(
            BOOKCORPUS, revision=BOOKCORPUS_REVISION).sha
        sentences = datasets.load_dataset(
            BOOKCORPUS, revision=commit, split="train", streaming=True)
    except Exception as error:  # httpx, OSError and datasets' own, all vary
        raise OSError(f"cannot reach {BOOKCORPUS} on the Hugging Face Hub "
                      f"({type(error).__name__}): check the network, or name "
                      "text files instead") from error

    def rows(sentences):
        texts = (row["text"] for row in sentences)  # an iterator
        while group := list(islice(texts, SENTENCES_A_DOCUMENT)):
            yield {"text": "\n".join(group)}

    return Corpus("bookcorpus", commit[:16],
                  _dataset(rows, sentences=sentences))


def _dataset(rows, **arguments) -> "datasets.IterableDataset":
    import datasets
    return datasets.IterableDataset.from_generator(
        rows, gen_kwargs=arguments)

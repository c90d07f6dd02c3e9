"""Where text comes from: built-in stories, text files, the Hub.

Every corpus is a `datasets` dataset with a `text` column, one document a
row: a story, a file, a line of a .jsonl file, a row of a .parquet file or of
a dataset on the Hugging Face Hub, or 1,000 sentences of BookCorpus
(chapter 3).
"""

import gzip
import hashlib
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import zstandard

from course_lib import stories

if TYPE_CHECKING:
    import datasets

STORIES = 10_000
SUFFIXES = (".txt", ".jsonl")
COMPRESSIONS = (".gz", ".xz", ".zst")
PARQUET = ".parquet"  # packed within
ROWS = 100  # of it, read at a time


@dataclass(frozen=True)
class Corpus:
    """A named source of documents; `fingerprint` changes with the text.

    `revision` is the commit that text from the Hub was read at.
    """

    name: str
    fingerprint: str
    dataset: "datasets.IterableDataset"
    revision: str = ""

    def texts(self) -> Iterator[str]:
        """The documents in order, one string each."""
        for row in self.dataset:
            yield row["text"]


def load_corpus(*specs: str) -> Corpus:
    """A corpus from `stories`, `stories:COUNT`, `bookcorpus`, a dataset on
    the Hub (`hub:OWNER/NAME`, see `course_lib.hub_corpus`), or paths.

    Paths are files or folders (searched for .parquet, .txt and .jsonl, the
    last two plain or compressed with gzip, xz or Zstandard). Raises
    FileNotFoundError for a missing path or dataset, ValueError for anything
    else that is no text, and OSError when the Hub cannot be reached; a
    file's encoding is checked when it is read.
    """
    if not specs:
        raise ValueError("name a corpus: stories, bookcorpus, hub:OWNER/NAME "
                         "or paths")
    kind, _, rest = str(specs[0]).partition(":")
    if len(specs) == 1 and kind == "stories":
        return _stories(rest)
    if len(specs) == 1 and kind in ("bookcorpus", "hub", "stream"):
        from course_lib.hub_corpus import load_hub_corpus
        return load_hub_corpus(str(specs[0]))
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
                    f"no text in {path}: looked for files ending in "
                    ".parquet, .txt or .jsonl, the last two also with .gz, "
                    ".xz or .zst")
            found |= dict.fromkeys(inside)
        elif path.is_file() and _is_text(path):
            found[path] = None
        elif path.is_file():
            raise ValueError(
                f"{path} does not end in .txt or .jsonl (also with .gz, .xz "
                "or .zst) or .parquet: rename it if it is text")
        else:
            raise FileNotFoundError(
                f"no file or folder {path}: give a path to text, or one of "
                "the names stories, bookcorpus and hub:OWNER/NAME, alone")
    return list(found)


def _is_text(path: Path) -> bool:
    plain = path.stem if path.suffix in COMPRESSIONS else path.name
    return path.is_file() and (path.suffix == PARQUET
                               or Path(plain).suffix in SUFFIXES)


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
    if path.suffix == PARQUET:
        yield from _parquet(path)
        return
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


def _parquet(path: Path) -> Iterator[str]:
    import pyarrow as pa
    from pyarrow import parquet
    with path.open("rb") as file:
        try:
            # Both, or it holds a whole row group, which may be the file.
            table = parquet.ParquetFile(file, pre_buffer=False,
                                        buffer_size=2**20)
            types = {field.name: field.type for field in table.schema_arrow}
            found = types.get("text", pa.null())
            if not (pa.types.is_string(found)
                    or pa.types.is_large_string(found)):
                names = ", ".join(f"{n} ({t})" for n, t in types.items())
                raise ValueError("expected a column text of strings, found "
                                 + names)
            for batch in table.iter_batches(ROWS, columns=["text"]):
                for text in batch.column("text").to_pylist():
                    yield text or ""
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ValueError(f"{path} cannot be read: {error}") from None


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

    return Corpus(name, digest.hexdigest()[:16],
                  make_dataset(rows, paths=paths))


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
                  make_dataset(rows, count=number))


def make_dataset(rows, **arguments) -> "datasets.IterableDataset":
    """The rows that the generator `rows(**arguments)` yields, each pass."""
    import datasets
    return datasets.IterableDataset.from_generator(
        rows, gen_kwargs=arguments)

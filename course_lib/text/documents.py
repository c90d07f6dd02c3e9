"""A corpus as a source of documents, and documents out of files (chapter 3).

Every corpus is a `datasets` dataset with a `text` column, one document a
row: a story, a file, a line of a .jsonl file, a row of a .parquet file or of
a dataset on the Hugging Face Hub, or 1,000 sentences of BookCorpus.
"""

import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets

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


def make_dataset(rows, **arguments) -> "datasets.IterableDataset":
    """The rows that the generator `rows(**arguments)` yields, each pass."""
    import datasets
    return datasets.IterableDataset.from_generator(
        rows, gen_kwargs=arguments)


def is_text(path: Path) -> bool:
    """Whether a file's name says that it holds text."""
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
            Unpackable) as error:
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


class Unpackable(Exception):
    """A compressed file that is none, or is damaged."""


def _unpack_zstd(path: Path) -> Iterator[bytes]:
    # Imported where it is needed: a bare machine may lack it and train.
    try:
        import zstandard
    except ImportError:
        raise ValueError(f"{path} is packed with Zstandard: `pip install "
                         "zstandard`, or unpack it first") from None
    # zstandard's own reader takes a file that was cut off for a whole one,
    # and does not read lines.
    frame = None
    with path.open("rb") as file:
        while packed := file.read(2**16):
            while packed:
                frame = frame or zstandard.ZstdDecompressor().decompressobj()
                try:
                    yield frame.decompress(packed)
                except zstandard.ZstdError as error:
                    raise Unpackable(error) from None
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

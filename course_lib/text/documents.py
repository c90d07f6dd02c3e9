"""A corpus as a source of documents, and documents out of files (chapter 3).

Every corpus is a `datasets` dataset with a `text` column, one document a
row: a story, a text file, a line of a .jsonl file, a row of a .parquet file or
of a dataset on the Hugging Face Hub, or 1,000 sentences of BookCorpus. A text
file may hold several, with end-of-text markers between them, as many published
ones do; one past LONGEST is read as several, so that memory does not grow
with it.
"""

import codecs
import contextlib
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from course_lib.text.tokenizer import EOT

if TYPE_CHECKING:
    import datasets

SUFFIXES = (".txt", ".jsonl")
COMPRESSIONS = (".gz", ".xz", ".zst")
PARQUET = ".parquet"  # packed within
ROWS = 100  # of it, read at a time
CHUNK = 2**20  # bytes of a text file, read at a time
PACKED = 2**8  # of one packed with Zstandard: each may become 10,000
LONGEST = 16_000_000  # characters of a document; no book is as long
LINE = 100_000_000  # bytes of a line of JSON, at most
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True)
class Corpus:
    """A named source of documents; `fingerprint` changes with the text.

    `revision` is the commit that text from the Hub was read at, `files` are
    those that text was found in, `note` is what a reader must know of it.
    """

    name: str
    fingerprint: str
    dataset: "datasets.IterableDataset"
    revision: str = ""
    files: tuple[Path, ...] = ()
    note: str = ""

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
    with _named(path):
        yield from _documents(path)


@contextlib.contextmanager
def _named(path: Path):
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError,
            Unpackable) as error:
        raise ValueError(f"{path} cannot be unpacked: {error}") from None


def _documents(path: Path) -> Iterator[str]:
    if path.suffix == PARQUET:
        return _parquet(path)
    return _text(path) if _is_plain(path) else _lines(path)


def _is_plain(path: Path) -> bool:
    plain = path.stem if path.suffix in COMPRESSIONS else path.name
    return Path(plain).suffix == SUFFIXES[0]


def _lines(path: Path) -> Iterator[str]:
    with _open(path) as file:
        for number in count(1):
            line = file.readline(LINE + 1)
            if not line:
                return
            if not line.strip():
                continue
            try:
                if len(line) > LINE:
                    raise ValueError
                text = json.loads(line)["text"]
                text.encode()  # refuses what is no string, or no text
            except (ValueError, KeyError, TypeError, AttributeError,
                    RecursionError):
                raise ValueError(
                    f"{path}, line {number}: expected a JSON object of at "
                    f'most {LINE:,} bytes with a "text" field that holds '
                    "Unicode text") from None
            yield text


def _text(path: Path) -> Iterator[str]:
    """What stands between end-of-text markers, in parts if it is long."""
    held, marked = "", False
    for piece in _decoded(path):
        *whole, held = (held + piece).split(EOT)
        for text in whole:
            yield _after_marker(text, marked)
            marked = True
        while len(held) >= LONGEST + len(EOT):  # its end may be half of one
            place = _good_place(held)
            yield _after_marker(held[:place], marked)
            held, marked = held[place:], False
    yield _after_marker(held, marked)


def _after_marker(text: str, marked: bool) -> str:
    return text.removeprefix("\n") if marked else text


def _good_place(text: str) -> int:
    """Where to cut: after a paragraph, a line, a word, or anywhere."""
    for mark in ("\n\n", "\n", " "):
        place = text.rfind(mark, LONGEST // 2, LONGEST)
        if place > 0:
            return place + len(mark)
    return LONGEST


def _decoded(path: Path) -> Iterator[str]:
    """The text of a file in pieces, with plain line ends."""
    decoder, read, held = codecs.getincrementaldecoder("utf-8")(), 0, ""
    with _open(path) as file:
        while True:
            data = file.read(CHUNK)
            kind = "latin1" if read else _kind(data)
            before = read - len(decoder.getstate()[0])
            try:
                if kind in ("utf-16le", "utf-16be"):  # may be UTF-8 as well
                    raise UnicodeDecodeError("utf-8", data, 0, 1, "")
                text = held + decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path} is not UTF-8: byte "
                    f"0x{error.object[error.start]:02x} at position "
                    f"{before + error.start}; convert it first, for example "
                    f"with `iconv -f {kind} -t utf-8`") from None
            if not read:
                text = text.removeprefix("\ufeff")
            read += len(data)
            held = "\r" if data and text.endswith("\r") else ""
            yield text.removesuffix(held).replace("\r\n", "\n")
            if not data:
                return


def _kind(data: bytes) -> str:
    """What text that is not UTF-8 probably is, by its first bytes."""
    if data[:2] in UTF16:
        return "utf-16"
    if len(data) > 3 and not any(data[1:999:2]):  # Latin letters of 16 bits
        return "utf-16le"
    if len(data) > 3 and not any(data[:999:2]):
        return "utf-16be"
    return "latin1"


def separators(path: Path) -> int:
    """How many end-of-text markers separate the documents of a file."""
    if path.suffix == PARQUET or not _is_plain(path):
        return 0  # a row is a document, and a marker in it is text
    mark, found, held = EOT.encode(), 0, b""
    with _named(path), _open(path) as file:
        while data := file.read(CHUNK):
            held += data
            found += held.count(mark)
            held = held[1 - len(mark):]
    return found


def _parquet(path: Path) -> Iterator[str]:
    import pyarrow as pa
    from pyarrow import parquet
    with path.open("rb") as file:
        try:
            # Both, or it holds a whole row group, which may be the file.
            table = parquet.ParquetFile(file, pre_buffer=False,
                                        buffer_size=2**20)
            names = table.schema_arrow.names
            if names.count("text") > 1:
                raise ValueError("it has more than one column text")
            types = {field.name: field.type for field in table.schema_arrow}
            found = types.get("text", pa.null())
            if not (pa.types.is_string(found)
                    or pa.types.is_large_string(found)):
                shown = ", ".join(f"{n} ({t})" for n, t in types.items())
                raise ValueError("expected a column text of strings, found "
                                 + shown)
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
        while packed := file.read(PACKED):
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


def first_bytes(texts: Iterable[str], limit: int) -> Iterator[str]:
    """The first documents, as many as begin within `limit` bytes."""
    for text in texts:
        if limit <= 0:
            return
        limit -= len(text)
        yield text

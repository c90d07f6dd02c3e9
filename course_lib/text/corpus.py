"""Where text comes from: built-in stories, text files, the Hub (chapter 3)."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from course_lib.machine.lock import LOCK
from course_lib.stories import generator as stories
from course_lib.text.books import cleaned
from course_lib.text.documents import (
    Corpus,
    is_text,
    make_dataset,
    read_documents,
)
from course_lib.text.hub_corpus import load_hub_corpus
from course_lib.text.listed_books import load_listed_books

STORIES = 10_000


def load_corpus(*specs: str) -> Corpus:
    """A corpus from `stories`, `stories:COUNT`, `bookcorpus`, `books`
    (`course_lib.text.listed_books`), a dataset on the Hub (`hub:OWNER/NAME`,
    see `course_lib.text.hub_corpus`), paths, or books at paths, of which the
    first begins with `books:` (`course_lib.text.books`).

    Paths are files or folders (searched for .parquet, .txt and .jsonl, the
    last two plain or compressed with gzip, xz or Zstandard; run folders in
    them are passed over). Raises
    FileNotFoundError for a missing path or dataset, ValueError for anything
    else that is no text, and OSError when the Hub cannot be reached; a
    file's encoding is checked when it is read.
    """
    if not specs:
        raise ValueError("name a corpus: stories, books, bookcorpus, "
                         "hub:OWNER/NAME or paths")
    kind, _, rest = str(specs[0]).partition(":")
    if len(specs) == 1 and kind == "stories":
        return _stories(rest)
    if len(specs) == 1 and kind in ("bookcorpus", "hub", "stream"):
        return load_hub_corpus(str(specs[0]))
    if specs == ("books",):
        return load_listed_books()
    if kind == "books" and rest:
        return cleaned(_files(find_files((rest, *specs[1:]))))
    return _files(find_files(specs))


def find_files(paths) -> list[Path]:
    """The text files that paths name, sorted, each once."""
    found = {}
    for path in map(Path, paths):
        if path == Path() and "." not in map(str, paths):
            raise ValueError("an empty path names no text: give a file, a "
                             "folder, or one of stories and bookcorpus")
        if path.is_dir():
            inside = sorted(_texts_below(path))
            if not inside:
                raise ValueError(
                    f"no text in {path}: looked for files ending in "
                    ".parquet, .txt or .jsonl, the last two also with .gz, "
                    ".xz or .zst")
            found |= dict.fromkeys(inside)
        elif path.is_file() and is_text(path):
            found[path] = None
        elif path.is_file():
            raise ValueError(
                f"{path} does not end in .txt or .jsonl (also with .gz, .xz "
                "or .zst) or .parquet: rename it if it is text")
        else:
            raise FileNotFoundError(
                f"no file or folder {path}: give a path to text, or one of "
                "the names stories, books, bookcorpus and hub:OWNER/NAME, "
                "alone")
    return list(found)


def _texts_below(folder: Path) -> Iterator[Path]:
    """Text files, but for the logs of a run that stands among them: they
    would change the corpus with every step."""
    for root, folders, names in os.walk(folder, followlinks=False):
        if LOCK in names or {"run.json", "tokenizer.json"} <= {*names}:
            folders.clear()
            continue
        yield from (path for path in (Path(root, name) for name in names)
                    if is_text(path))


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
                  make_dataset(rows, paths=paths), files=tuple(paths))


def _stories(count: str) -> Corpus:
    if count and not (count.isascii() and count.isdigit() and len(count) < 11
                      and int(count)):
        raise ValueError(f"stories:{count} needs a whole number of stories, "
                         "of ten digits at most, for example stories:20000")
    number = int(count or STORIES)
    sample = "".join(stories.stories(100)) + str(number)

    def rows(count):
        for text in stories.stories(count):
            yield {"text": text}

    return Corpus(f"stories:{number}",
                  hashlib.sha256(sample.encode()).hexdigest()[:16],
                  make_dataset(rows, count=number))

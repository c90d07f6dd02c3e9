"""The list of books that the model of the book has read, and their like from
the Hub (chapter 7).

    books    public-domain books of the list, as a dataset of the Hub has them

books.tsv has title, author and the sha256 of each text before it was cleaned.
The Hub's copies are other texts of the same books: other editions, line breaks
and notes. So their hashes differ, titles are compared, and a model of them is
like the book's own and not the same.
"""

import gzip
import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from course_lib.machine.progress import bar
from course_lib.text.books import cleaned
from course_lib.text.documents import Corpus, make_dataset, read_documents
from course_lib.text.hub_corpus import ROWS, batches, open_dataset

LIST = Path(__file__).with_name("books.tsv")
DATASET = "incredible45/Gutenberg-BookCorpus-Cleaned-Data-English"
COLUMNS = ["book_title", "author", "context"]
SUBTITLE = re.compile(r"[;:,] or,? |[;:] | [(\[]")
ARTICLES = {"a", "an", "the"}
WRAPPED = 100  # characters: a text with hardly a longer line has its lines cut
PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "\u201c": '"',
                       "\u201d": '"', "\u2014": "--", "\u2013": "-"})


def listed_books() -> list[dict[str, str]]:
    """The books of the list: title, author, sha256."""
    names, *rows = LIST.read_text(encoding="utf-8").splitlines()
    return [dict(zip(names.split("\t"), row.split("\t"), strict=True))
            for row in rows]


def key(title: str, author: str) -> tuple[str, str]:
    """What two names of one book have in common: the words of the title
    without article and subtitle, and the author's last name."""
    title, author = (unicodedata.normalize("NFKD", text).encode(
        "ascii", "ignore").decode().lower() for text in (title, author))
    words = re.findall(r"\w+", SUBTITLE.split(title)[0].replace("'", ""))
    last = author.split(",")[0] if "," in author \
        else (author.split() or [""])[-1]
    if words and words[0] in ARTICLES:
        del words[0]
    return " ".join(words), last.strip()


def load_listed_books() -> Corpus:
    """The corpus `books`. The dataset, of some 13 GB, is read once, and what
    is found in it is kept in the client's cache.

    Raises as `hub_corpus.load_hub_corpus` does, and ValueError where the
    dataset has none of the books, or not the expected columns.
    """
    import datasets
    data, commit = open_dataset("books", DATASET, "main", streaming=True)
    wanted = {key(book["title"], book["author"]) for book in listed_books()}
    mark = json.dumps([commit, sorted(wanted), WRAPPED])
    fingerprint = hashlib.sha256(mark.encode()).hexdigest()[:16]
    folder = Path(datasets.config.HF_DATASETS_CACHE, "listed_books")
    if not any(folder.glob(f"{fingerprint}-*.jsonl.gz")):
        _keep(_found(data, wanted), folder, fingerprint)
    [path] = folder.glob(f"{fingerprint}-*.jsonl.gz")
    count = int(path.name.split("-")[1].split(".")[0])

    def rows(path):
        for text in read_documents(path):
            yield {"text": text}

    corpus = cleaned(Corpus("books", fingerprint, make_dataset(
        rows, path=path), commit))
    return replace(corpus, name="books", note=(
        f"{count:,} of the {len(wanted):,} books of the list were found by "
        f"title and author in {DATASET} (commit {commit[:7]}): other copies "
        "than those that the model of the book has read"))


def _keep(texts: Iterable[str], folder: Path, fingerprint: str) -> None:
    """Write the texts to a file whose name says how many they are, when all
    are there."""
    folder.mkdir(parents=True, exist_ok=True)
    partial, count = folder / f"{fingerprint}.{os.getpid()}.partial", 0
    try:
        with gzip.open(partial, "wt", compresslevel=5,
                       encoding="utf-8") as file:
            for count, text in enumerate(texts, 1):  # noqa: B007
                file.write(json.dumps({"text": text}) + "\n")
        if not count:
            raise ValueError(f"{DATASET} has none of the books of the list")
        os.replace(partial, folder / f"{fingerprint}-{count}.jsonl.gz")
    finally:
        partial.unlink(missing_ok=True)


def _found(data, wanted: set) -> Iterator[str]:
    """The text of each book that is wanted; of several copies the first."""
    left = set(wanted)
    with bar(unit=" books", desc="searching", delay=2) as shown:
        for batch in batches(data, ROWS, "books"):
            if missing := set(COLUMNS) - batch.keys():
                raise ValueError(f"{DATASET} has no column {min(missing)}: "
                                 f"only {', '.join(batch)}")
            for title, author, text in zip(*(batch[name] for name
                                             in COLUMNS), strict=True):
                book = key(title or "", author or "")
                if book in left and text and text.strip():
                    left.remove(book)
                    yield as_listed(text)
            shown.update(len(batch[COLUMNS[0]]))


def as_listed(text: str) -> str:
    """A text as those of the list are: a paragraph a line, quotes and dashes
    in ASCII. Indented lines, mostly verse, stay."""
    text = text.replace("\r\n", "\n").translate(PLAIN)
    lines = text.split("\n")
    if sum(len(line) > WRAPPED for line in lines) > len(lines) / 100:
        return text
    return re.sub(r"^(\S.*)\n(?=\S)", r"\1 ", text, flags=re.M)

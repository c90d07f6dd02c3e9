"""What a reader of a book would skip, taken out of it (chapter 7).

    books:PATH...    files or folders of books, each cleaned

Public-domain texts carry what is not the author's: a licence, a title page,
a table of contents, notes of the people who typed and scanned it, page
numbers, a publisher's advertisements. A model learns to write all of it.
"""

import hashlib
import re

from course_lib.text.documents import Corpus, make_dataset

PARAGRAPH = 200  # characters: with so many, a line is prose
EDGE = 0.1  # share of a book in which front matter ends, or end matter begins
START = re.compile(r"\*\*\* ?START OF TH[^\n]*PROJECT GUTENBERG[^\n]*\n")
END = re.compile(r"\*\*\* ?END OF TH[^\n]*PROJECT GUTENBERG|"
                 r"^End of (?:the )?Project Gutenberg", re.M)
LAST = re.compile(r"^\W*(?:the end|finis)\W*$", re.M | re.I)
NOTE = re.compile(  # one level of brackets inside is enough in practice
    r"\[(?:footnote|illustration|transcriber|sidenote)\b"
    r"(?:[^][]|\[[^][]*\])*\] ?", re.I)
PAGE = re.compile(r"\[(?:pg|page)\.? ?[\divxlc]+\] ?|\{\d{1,4}\} ?", re.I)
# a line that is only a number, a rule or a row of a table
BARE = re.compile(r"\W*\d{1,4}\W*|[-*_=.·\s]{3,}|\s*\|.*\|\s*")


def clean(text: str) -> str:
    """A book's text without licence, front matter, notes, page numbers and
    what comes after its end."""
    for part in PARTS.values():
        text = part(text)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _without_licence(text: str) -> str:
    if start := START.search(text):
        text = text[start.end():]
    if end := END.search(text):
        text = text[:end.start()]
    return text


def _without_notes(text: str) -> str:
    return NOTE.sub("", text)


def _without_numbers(text: str) -> str:
    """A line that was only the number of a page goes as well."""
    return "\n".join(line for line in PAGE.sub("", text).split("\n")
                     if len(line) > PARAGRAPH or not BARE.fullmatch(line))


def _without_end_matter(text: str) -> str:
    last = LAST.search(text, int(len(text) * (1 - EDGE)))
    return text[:last.end()] if last else text


def _without_front_matter(text: str) -> str:
    """Front matter are the short lines before the first paragraph, the
    heading just above it excepted. Where there is no paragraph in the first
    tenth of the book, as in verse and plays, it stays."""
    return text[_first_heading(text):]


# In the order in which they are taken out.
PARTS = {"licences": _without_licence,
         "notes and captions": _without_notes,
         "page numbers, rules and tables": _without_numbers,
         "what comes after the end": _without_end_matter,
         "title pages and tables of contents": _without_front_matter}


def _first_heading(text: str) -> int:
    """Where the line above the first paragraph begins; 0 where there is no
    paragraph near the beginning."""
    before = place = 0
    for line in text.splitlines(keepends=True):
        if len(line) >= PARAGRAPH:
            return before if place <= EDGE * len(text) else 0
        if line.strip():
            before = place
        place += len(line)
    return 0


def cleaned(corpus: Corpus) -> Corpus:
    """A corpus whose documents are cleaned as they are read."""
    def rows(corpus):
        for text in corpus.texts():
            yield {"text": clean(text)}

    mark = f"{corpus.fingerprint} cleaned {EDGE} {PARAGRAPH}"
    return Corpus(f"books:{corpus.name}",
                  hashlib.sha256(mark.encode()).hexdigest()[:16],
                  make_dataset(rows, corpus=corpus), corpus.revision,
                  corpus.files)

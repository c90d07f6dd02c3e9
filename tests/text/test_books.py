"""Books without what their readers skip."""

from pathlib import Path

import pytest

from course_lib.text.books import clean
from course_lib.text.corpus import load_corpus

PROSE = "It was a dark night, and nobody spoke. " * 8
BOOK = f"""The Project Gutenberg eBook of Nothing
*** START OF THE PROJECT GUTENBERG EBOOK NOTHING ***

Copyright, 1910, by A. Publisher

CONTENTS

Chapter I 1
Chapter II 30

CHAPTER I

{PROSE}

[Footnote 1: See [sic] the other volume.]

{PROSE} {{12}} and so on. [Pg 13] And so forth. [1815] was a year.

- 14 -

"I!"

{PROSE * 20}

THE END

Books by the same author, $1.50 each
"""


def test_only_the_book_is_left():
    text = clean(BOOK)
    assert text.startswith("CHAPTER I\n") and text.endswith("THE END\n")
    for gone in ("Gutenberg", "Copyright", "CONTENTS", "Footnote", "sic",
                 "{12}", "[Pg", "- 14 -", "$1.50"):
        assert gone not in text
    for kept in ("[1815] was a year", '"I!"', "and so on. And so forth."):
        assert kept in text
    assert text.count(PROSE.strip()) == 22


def test_cleaning_a_clean_book_changes_nothing():
    text = clean(BOOK)
    assert clean(text) == text


def test_verse_keeps_its_beginning():
    verse = "A song of songs\n\nOf men and things\n" * 400
    assert clean(verse) == verse


def test_books_as_a_corpus(tmp_path):
    (tmp_path / "nothing.txt").write_text(BOOK, encoding="utf-8")
    corpus = load_corpus(f"books:{tmp_path}")
    assert list(corpus.texts()) == [clean(BOOK)]
    plain = load_corpus(str(tmp_path))
    assert corpus.fingerprint != plain.fingerprint


def test_real_books_lose_little():
    folder = Path(__file__).parents[3] / "shared" / "corpus" / "sample"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: real books are not part of the project")
    before = sum(len(text) for text in load_corpus(str(folder)).texts())
    after = sum(len(text) for text in load_corpus(f"books:{folder}").texts())
    assert 0.98 * before < after < before

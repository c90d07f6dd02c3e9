"""The list of books, and how a book of another library is recognised."""

import re

import pytest

from course_lib.text.listed_books import as_listed, key, listed_books


def test_the_list():
    books = listed_books()
    assert len(books) > 1_500
    assert all(book["title"] and re.fullmatch("[0-9a-f]{64}", book["sha256"])
               for book in books)
    assert len({key(b["title"], b["author"]) for b in books}) \
        > 0.99 * len(books)


@pytest.mark.parametrize("ours, theirs", [
    (("Wuthering Heights", "Emily Bront\u00eb"),
     ("Wuthering Heights", "Bront\u00eb, Emily, 1818-1848")),
    (("Moby Dick", "Herman Melville"),
     ("Moby Dick; Or, The Whale", "Melville, Herman, 1819-1891")),
    (("Daphne, or Marriage a la Mode", "Ward, Humphry, Mrs. (1851-1920)"),
     ("Daphne : an autumn", "Ward, Humphry, Mrs., 1851-1920")),
    (("The House of Pride", "Jack London"),
     ("House of Pride [Illustrated]", "London, Jack")),
    (("Aesop's Fables", "Aesop"), ("Aesop\u2019s fables", "Aesop"))])
def test_two_names_of_one_book(ours, theirs):
    assert key(*ours) == key(*theirs)


@pytest.mark.parametrize("one, other", [
    (("Emma", "Jane Austen"), ("Emma", "Somebody Else")),
    (("Life and Death", "A. B."), ("Life", "A. B.")),
    (("Life or Death", "A. B."), ("Life", "A. B."))])
def test_two_books(one, other):
    assert key(*one) != key(*other)


def test_lines_that_were_cut_are_joined_and_others_stay():
    cut = ("CHAPTER I\r\n\r\n\u201cIt was\u201d\r\na dark\u2014and\n"
           "stormy night.\n\n  A verse\n  is a verse.\n\nThe end\n")
    assert as_listed(cut) == (
        'CHAPTER I\n\n"It was" a dark--and stormy night.\n\n  A verse\n'
        "  is a verse.\n\nThe end\n")
    whole = "It was a dark and stormy night. " * 10 + "\nThe rain\nfell.\n"
    assert as_listed(whole) == whole

"""Texts on a page: escaped, legible without colour, in the right places."""

import re
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from course_lib.showing import show_table
from course_lib.showing.texts import show_surprisal, side_by_side, visible
from course_lib.text.tokenizer import train_tokenizer

NASTY = 'a <b> & "c"\x00\n\u201cd\u201d'


class Text(HTMLParser):
    def __init__(self, markup):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(markup)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["low lower lowest \u00df\n"] * 9, 262)


def test_visible_keeps_lines_and_shows_controls():
    assert visible("a\n\x07b\u200b\u00df") == "a\n\ufffdb\ufffd\u00df"


def test_a_table_holds_the_texts_as_they_are():
    table = side_by_side("About <them>", {"one & two": [NASTY, "x"],
                                          "three": ["y", "z"]}, ["0%", "1%"])
    parsed = Text(table.data.partition("</style>")[2])
    for text in ("About <them>", "one & two", 'a <b> & "c"\ufffd', "0%"):
        assert text in parsed.text
    assert [attrs["data-column"] for tag, attrs in parsed.tags
            if tag == "td"] == ["one & two", "three"] * 2
    assert [attrs["scope"] for tag, attrs in parsed.tags
            if tag == "th"] == ["col"] * 3 + ["row"] * 2


def test_a_table_needs_a_text_for_every_row():
    with pytest.raises(ValueError):
        side_by_side("", {"one": ["x"], "two": ["x", "y"]}, ["0%"])
    with pytest.raises(ValueError):
        side_by_side("", {"one": ["x"]}, ["0%", "1%"])


def test_surprisal_by_ground_and_by_number(tokenizer):
    ids = [*tokenizer.encode("<b>&"), tokenizer.eot]
    bits = [0.2, 1.0, 5.9, 6.0, 12.34]
    body = show_surprisal(tokenizer, ids, bits).data.split("<p>")[2]
    levels = re.findall(r'sur(\d)" title="([\d.]+) bits"', body)
    assert levels == [("0", "0.2"), ("1", "1.0"), ("2", "5.9"),
                      ("3", "6.0"), ("4", "12.3")]
    numbers = re.findall(r"<sub>(\d+)</sub>", body)
    assert numbers == ["6", "12"]


def test_surprisal_shows_the_text(tokenizer):
    text = "low <b>\n \u00df"
    ids = tokenizer.encode(text)
    parsed = Text(show_surprisal(tokenizer, ids, [0.5] * len(ids)).data)
    assert parsed.text.endswith("low <b> \u00df")
    assert ("br", {}) in parsed.tags
    assert 'title="1.0 bits">\u00df<' in show_surprisal(
        tokenizer, tokenizer.encode("\u00df"), [0.5, 0.5]).data
    with pytest.raises(ValueError):
        show_surprisal(tokenizer, ids, [0.5])


def test_a_table_of_rows_is_one_whatever_they_hold(monkeypatch):
    shown = []
    monkeypatch.setattr("course_lib.showing.page.display", shown.append)
    show_table([{"way": "a | b", "nats": 1.5}, {"way": "<c>", "nats": "2"}])
    page = MarkdownIt().enable("table").render(shown[0].data)
    assert page.count("<td") == 4 and page.count("<th ") == 2
    assert "a | b" in page and "&lt;c&gt;" in page
    assert page.count("text-align:right") == 3


def test_prose_in_a_table_stands_on_the_left(monkeypatch):
    shown = []
    monkeypatch.setattr("course_lib.showing.page.display", shown.append)
    show_table([{"GPU": "T4", "nats": "3.74 (3.50 to 3.97)", "price of":
                 "a list price of 2025"}, {"GPU": "H100", "nats": "3.60 (–)",
                                           "price of": "ours"}])
    page = MarkdownIt().enable("table").render(shown[0].data)
    assert page.count("text-align:right") == 3
    assert page.count("text-align:left") == 6

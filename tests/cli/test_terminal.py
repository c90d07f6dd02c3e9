"""Text in a terminal: rows in order, characters whole, lines answered."""

import io
import random

import pytest

from course_lib.cli.terminal import ask, in_order, written
from course_lib.text.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["low lower lowest \u00e9\u00e8"] * 9, 265)


def side_by_side(rows):
    """What `stream` yields for these rows: a step at a time."""
    for step in range(max(map(len, rows), default=0)):
        for number, row in enumerate(rows):
            if step < len(row):
                yield number, row[step]


def test_rows_come_in_order():
    draw = random.Random(0)
    for _ in range(200):
        rows = [draw.choices(range(9), k=draw.choice([0, 1, 2, 7, 8]))
                for _ in range(draw.randint(1, 5))]
        assert list(in_order(side_by_side(rows), len(rows))) == [
            (number, token) for number, row in enumerate(rows)
            for token in row]


def test_each_token_as_early_as_that_allows():
    taken = []

    def drawn():
        for pair in side_by_side([[1, 2], [3, 4, 5, 6], [7]]):
            taken.append(pair)
            yield pair

    seen = [(token, len(taken)) for _, token in in_order(drawn(), 3)]
    # rows 0 and 1 in turns, 7 once; that row 0 ended shows when 5 is drawn
    assert seen == [(1, 1), (2, 4), (3, 6), (4, 6), (5, 6), (6, 7), (7, 7)]


def test_the_same_text_as_decoding_it_whole(tokenizer):
    draw = random.Random(1)
    ordinary = [i for i in range(tokenizer.vocab_size) if i != tokenizer.eot]
    for _ in range(50):
        rows = [draw.choices(ordinary, k=draw.randint(0, 20))
                for _ in range(3)]
        whole = "\n".join("say " + tokenizer.decode(row) + "\n"
                          for row in rows)
        assert "".join(written(side_by_side(rows), tokenizer, "say ",
                               3)) == whole


def test_a_character_of_two_tokens_is_not_torn(tokenizer):
    ids = tokenizer.encode("\u00df\U0001f600")
    assert len(ids) == 6
    pieces = list(written([(0, i) for i in ids], tokenizer, ">", 1))
    assert pieces == [">", "", "\u00df", "", "", "", "\U0001f600", "\n"]


def test_lines_are_answered_until_the_end(monkeypatch, capsys):
    heard = []

    def respond(line):
        heard.append(line)
        if line == "bad":
            raise ValueError("this is no text")
        if line == "long":
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", io.StringIO("one\nbad\nlong\n\nlast"))
    ask(respond)
    assert heard == ["one", "bad", "long", "", "last"]
    assert capsys.readouterr().err == "this is no text\n"

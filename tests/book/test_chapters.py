"""What a page says of itself elsewhere: reading times and summaries."""

import re
from pathlib import Path

import chapters
import epub
import pytest
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

REPO = Path(__file__).resolve().parents[2]


def cell(tags, *parts):
    return nodes.container("", *(
        nodes.container("", nodes.literal_block("", "x = 1\n\ny = 2\n" * 10,
                                                language=language),
                        nb_element=part)
        for part, language in parts), cell_metadata={"tags": tags})


@pytest.mark.parametrize("tags, minutes", [
    ([], 7), (["hide-input"], 5), (["hide-cell"], 3)])
def test_reading_counts_words_and_open_code(tags, minutes):
    """Two minutes of prose and a line more; a cell's code, code that it
    shows, and lines that it prints."""
    document = nodes.document("", "")
    document += nodes.section(
        "", nodes.title("", "Not counted"),
        nodes.paragraph("", "word " * 401),
        cell(tags, ("cell_code_source", "ipython3"),
             ("cell_code_output", "python"),
             ("cell_code_output", "myst-ansi")))
    assert chapters.reading_minutes(document) == minutes


@pytest.mark.parametrize("page, number", [
    ("notebooks/00_primer", 0), ("notebooks/07_speaks", 7),
    ("notebooks/notes_scaling", None), ("book/talk", None)])
def test_the_number_is_that_of_the_file(page, number):
    assert chapters.number_of(page) == number


@pytest.mark.parametrize("page, line", [
    ("book/talk", "What it says."),
    ("notebooks/00_primer",
     "You will have a bigram model: trained, measured and sampled.")])
def test_a_page_is_summed_up_by_its_card_or_its_first_sentence(page, line):
    document = nodes.document("", "")
    document += nodes.section("", nodes.title("", "Title"), nodes.paragraph(
        "", "What it\nsays. And more."))
    assert chapters.summary(page, document) == line


@pytest.mark.parametrize("page", [
    *REPO.glob("notebooks/[0-9n]*.py"), *REPO.glob("book/*.md")],
    ids=lambda page: page.name)
def test_an_e_reader_gets_every_formula(page):
    """docutils, which makes MathML of them, knows less of LaTeX than
    MathJax does."""
    text = re.sub(r"^# ?", "", page.read_text(), flags=re.M)
    blocks = re.findall(r"^\$\$\n(.*?)^\$\$|^`{3}\{math\}\n(.*?)^`{3}", text,
                        re.M | re.S)
    for tex in map("".join, blocks):
        tex = re.sub(r"^:\w+:.*\n", "", tex, flags=re.M)
        assert "<math" in tex2mathml(epub.SIZES.sub("", tex.strip()),
                                     as_block=True)

"""Boxes that ask for a prediction, in a small book of one chapter, read in
Chromium from a disk."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
    writes,
)
from pages import SPOILT

REPO = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow
TYPED, CHOSEN = "predict-00-small-how-many-are-there", (
    "predict-00-small-which-of-the-two-is-larger")
BOX = ":::{admonition} Predict\n:class: hint\n%s\n:::"
REFUSE = """Object.defineProperty(window, 'localStorage', {
  get() { throw new DOMException('no', 'SecurityError'); } })"""
CONF = """import sys
sys.path.append("{repo}/book/_ext")
extensions = ["myst_nb", "guesses", "epub"]
project, author, copyright, version, epub_contributor = "abcde"
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "dollarmath"]
html_static_path, html_js_files = ["_static"], ["guesses.js"]
suppress_warnings = ["epub.unknown_project_files"]
"""


def choices(text: str) -> list[str]:
    """What follows the question in each box that ends in a list, with the
    marks of a comment before each line or without."""
    text = re.sub(r"^# ?", "", text, flags=re.M)
    boxes = re.findall(r"^:::+\{admonition\} Predict\n(.*?)^:::", text,
                       re.M | re.S)
    return ["- " + rest for box in boxes
            for _, found, rest in [box.partition("\n- ")] if found]


def test_choices_are_found():
    box = BOX % "Is $x$ large?\n\n- no\n- at $0$,\n  yes"
    for text in (box, "# " + box.replace("\n", "\n# ")):
        assert choices(text) == ["- no\n- at $0$,\n  yes\n"]
    assert choices(BOX % "How many?") == []


@pytest.mark.parametrize("chapter", sorted(
    REPO.glob("notebooks/[0-9n]*.py")), ids=lambda path: path.stem)
def test_no_choice_holds_a_formula(chapter):
    """A guess is kept as the text of its button, and a formula has none."""
    assert [text for text in choices(chapter.read_text())
            if "$" in text] == []


def cell(source, *texts):
    return new_code_cell(source, outputs=[
        new_output("stream", name="stdout", text=text) for text in texts])


def chapter():
    """Two boxes, one to type in and one that ends in choices."""
    lexer = {"language_info": {"name": "python", "pygments_lexer": "ipython3"}}
    return new_notebook(metadata=lexer, cells=[
        new_markdown_cell("# Small\n\n" + BOX % "How many are there?"),
        cell("a = 7"), cell("print(a)", "seven of them\n"),
        new_markdown_cell("Seven, as was said.\n\nAfter that comes more."),
        new_markdown_cell("## Next\n\n" + BOX % (
            "Which of the two is larger, [or not](other.md) $x$?\n\n"
            "- the first,\n  *surely*\n- the second\n- neither")),
        cell("print('the second')", "the second\n"),
        new_markdown_cell("It is the second.\n\n## Last\n\nNo more.")])


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    """The folder of the rendered pages."""
    return build(tmp_path_factory.mktemp("small"), "html")


def build(folder: Path, builder: str) -> Path:
    source = folder / "source"
    for page, text in {
            "index.md": "# Book\n\n```{toctree}\nnotebooks/00_small\n"
                        "book/guesses\nnotebooks/other\n```",
            "notebooks/00_small.ipynb": writes(chapter()),
            "notebooks/other.md": "# Other\n\nNothing is asked here.",
            "book/guesses.md": (REPO / "book/guesses.md").read_text(),
    }.items():
        (source / page).parent.mkdir(parents=True, exist_ok=True)
        (source / page).write_text(text)
    shutil.copytree(REPO / "book/_static", source / "_static")
    (source / "conf.py").write_text(CONF.format(repo=REPO))
    # A process of its own: what Sphinx registers it never takes back.
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-b", builder, source,
         folder / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture
def open_page(book, browser):
    """Open a page of the book, in a browser without other guesses."""
    context = browser.new_context()
    context.set_offline(True)

    def opened(name="notebooks/00_small", page=None):
        page = page or context.new_page()
        page.goto((book / f"{name}.html").as_uri())
        return page
    opened.context = context
    yield opened
    context.close()


def answer(page, name):
    return page.locator(f"#{name}-answer details")


def guess(page, name, text):
    page.locator(f"#{name} input").fill(text)
    answer(page, name).locator("summary").press("Enter")


def test_without_scripts_output_and_prose_are_one_plain_fold(book, browser):
    page = browser.new_page(java_script_enabled=False)
    page.goto((book / "notebooks/00_small.html").as_uri())
    assert page.locator(".predict input, .predict button, .answer button"
                        ).count() == 0
    seen = page.locator("body").inner_text
    assert "print(a)" in seen() and "After that comes more." in seen()
    assert "seven of them" not in seen() and "Seven, as" not in seen()
    assert "the second\n\nneither" in seen() or "the second\nneither" in seen()
    assert "It is the second." not in seen()
    answer(page, TYPED).locator("summary").click()
    assert "seven of them" in seen() and "Seven, as was said." in seen()
    page.goto((book / "book/guesses.html").as_uri())
    assert "There is no guess here yet." in seen()
    assert "How many are there?" in seen()
    page.close()


def test_nothing_spoils_and_what_would_is_seen(open_page):
    page = open_page()
    assert page.evaluate(SPOILT) == []
    page.evaluate("""name => {
      const fold = document.getElementById(`${name}-answer`);
      fold.after(fold.querySelector('details > p')); }""", TYPED)
    assert len(page.evaluate(SPOILT)) == 1
    page.evaluate("document.querySelectorAll('details')"
                  ".forEach(fold => fold.open = true)")
    assert len(page.evaluate(SPOILT)) == 2


def test_a_typed_guess_stands_beside_the_answer_and_is_kept(open_page):
    page = open_page()
    fold = answer(page, TYPED)
    fold.locator("summary").press("Enter")
    assert fold.locator(".guess-judged").is_hidden()  # nothing was guessed
    page.reload()
    guess(page, TYPED, "five & <b>more</b>")
    assert "five & <b>more</b>" in fold.locator(".guess-judged").inner_text()
    fold.get_by_role("button", name="nearly").press("Space")
    page.reload()
    assert page.locator(f"#{TYPED} input").input_value() == (
        "five & <b>more</b>")
    pressed = fold.locator("button[aria-pressed=true]")
    assert pressed.all_text_contents() == ["nearly"]
    page.fill(f"#{TYPED} input", "six")
    assert pressed.count() == 0  # another guess, not judged yet
    page.fill(f"#{TYPED} input", "")
    fold.locator("summary").press("Enter")
    assert fold.locator(".guess-judged").is_hidden()


def test_a_choice_is_a_button_and_is_kept(open_page):
    page = open_page()
    box = page.locator(f"#{CHOSEN}")
    assert box.locator("input").count() == 0
    buttons = box.get_by_role("button")
    assert [" ".join(text.split()) for text in buttons.all_text_contents()
            ] == ["the first, surely", "the second", "neither"]
    buttons.nth(0).press("Enter")
    buttons.nth(1).press("Space")
    page.reload()
    pressed = box.locator("button[aria-pressed=true]")
    assert pressed.all_text_contents() == ["the second"]
    answer(page, CHOSEN).locator("summary").click()
    assert "the second" in answer(page, CHOSEN).locator("q").inner_text()


def test_a_browser_that_stores_nothing_still_compares(open_page):
    open_page.context.add_init_script(REFUSE)
    page, errors = open_page(), []
    # the theme's own scripts fail in such a browser
    page.on("pageerror", lambda error: errors.append(error.stack)
            if "guesses.js" in error.stack else None)
    guess(page, TYPED, "nine")
    fold = answer(page, TYPED)
    fold.get_by_role("button", name="wrong").click()
    assert "nine" in fold.locator(".guess-judged").inner_text()
    assert fold.locator("button[aria-pressed=true]").count() == 1
    page = open_page("book/guesses", page)
    assert "There is no guess here yet." in page.locator(
        ".guesses").inner_text()
    assert errors == []


def test_the_list_counts_leads_back_and_forgets(open_page):
    page = open_page()
    guess(page, TYPED, "seven")
    answer(page, TYPED).get_by_role("button", name="right").click()
    page.click(f"#{CHOSEN} button >> nth=2")
    open_page("book/guesses", page)
    assert ("You guessed at 2 of 2 questions: 1 right, 0 nearly, 0 wrong, "
            "1 not judged yet.") in page.locator(".guesses").inner_text()
    typed = page.locator(f"#{TYPED}-guess")
    assert "How many are there?" in typed.inner_text()
    assert "seven" in typed.locator("q").inner_text()
    assert "(right)" in typed.inner_text()
    typed.get_by_role("link").click()
    assert page.url.endswith(f"00_small.html#{TYPED}")
    page.go_back()
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Delete").click()
    assert typed.locator("q").count() == 1
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    assert "There is no guess here yet." in page.locator(
        ".guesses").inner_text()
    assert page.locator("q").count() == 0
    assert json.loads(page.evaluate(
        "localStorage.getItem('course-guesses')")) == {}
    open_page(page=page)
    assert page.locator(f"#{TYPED} input").input_value() == ""


def test_a_formula_in_a_question_makes_the_list_load_what_sets_it(book):
    assert "mathjax" in (book / "book/guesses.html").read_text().lower()


def test_an_epub_is_xml_without_folds_and_with_formulas(tmp_path):
    out = build(tmp_path, "epub")
    for page in out.rglob("*.xhtml"):
        ElementTree.parse(page)
    page = (out / "notebooks/00_small.xhtml").read_text()
    assert "<details" not in page and "Seven, as was said." in page
    assert "<mi>x</mi>" in page
    assert list(out.glob("*.epub"))

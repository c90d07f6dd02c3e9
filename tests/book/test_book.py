"""The book, built strictly at the smallest scale and read in Chromium.

A second build, of all pages as one, follows the first, and neither leaves a
trace in git.
One browser; each page is loaded once from a local server, wide and narrow,
light and dark, and once more from disk.
"""

import io
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
import speaking
import talking
import yaml
from book_builder import REPO, build_book, git_status, hand_over
from pages import OVERFLOW, SPOILT, barriers
from PIL import Image

from course_lib.sharing.hugging_face import load_hf

pytestmark = pytest.mark.book

OUT = REPO / "_build" / "smoke"
TOC = yaml.safe_load((REPO / "_toc.yml").read_text())
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 800}
COLD = 5_000_000  # bytes, uncompressed, of a page and all that it loads
# Slow, so each is asked where it may differ: colours do not change with the
# width, and nothing else changes with them.
COLOURS = ["color-contrast", "link-in-text-block"]
# Without it axe names and describes each of thousands of parts that are right.
FAULTS = {"resultTypes": ["violations"]}
# All that axe asks by itself, and what it holds to be an experiment.
RULES = {"label-content-name-mismatch": {"enabled": True}}
AXE = {"light": FAULTS | {"rules": RULES},
       "dark": FAULTS | {"runOnly": COLOURS},
       "narrow": FAULTS | {"rules": RULES | {
           rule: {"enabled": False} for rule in COLOURS}}}


def files(entries) -> list:
    """The pages that a list in _toc.yml names, their sections included."""
    return [name for entry in entries for name in
            [entry["file"], *files(entry.get("sections", []))]]


PAGES = [TOC["root"], *files(chapter for part in TOC["parts"]
                             for chapter in part["chapters"])]
MADE = ["search", "genindex"]  # by Sphinx, of no source

# What a browser is asked about a page once it has settled.
UNFOLD = """document.querySelectorAll('article details')
  .forEach(fold => { fold.open = true; })"""
MATH = "document.querySelectorAll('.math').length"
UNTYPESET = """[...document.querySelectorAll('.math')]
  .filter(m => !m.querySelector('mjx-container') ||
               m.querySelector('mjx-merror')).map(m => m.textContent)"""
IMAGES = """[...document.querySelectorAll('article img')]
  .map(i => [i.getAttribute('alt') || '', i.naturalWidth])"""
LABELS = """[...document.querySelectorAll('.interactive, .gpt.live, .tricks')]
  .map(f => f.getAttribute('aria-label') || '')"""
CUT_CODE = """[...document.querySelectorAll('article .highlight pre')]
  .filter(p => p.scrollWidth > p.clientWidth + 1)
  .map(p => p.textContent.split('\\n')
    .reduce((a, b) => a.length > b.length ? a : b))"""
FOUND = """[...document.querySelectorAll('#search-results li a')]
  .map(a => a.href)"""
GROUND = """getComputedStyle(document.body).backgroundColor
  .match(/\\d+/g).map(Number)"""
# Axe looks at every coloured word of all code, thousands, where a few classes
# have a colour: the first word of each class on each ground keeps it.
PLAIN = """{
  const met = new Set(), again = [];
  for (const word of document.querySelectorAll('.highlight span')) {
    const kind = [word.className, ...[word.closest('pre'),
      word.closest('.highlight')].map(
        part => getComputedStyle(part).backgroundColor)].join();
    if (met.has(kind) && !word.children.length)
      again.push(word);
    met.add(kind);
  }
  again.forEach(word => word.replaceWith(word.textContent));
}"""
STILL = """Promise.all(
  document.getAnimations().map(a => a.finished)).then(() => true)"""
WIDE_TABLES = """[...document.querySelectorAll('article table')]
  .filter((t) => t.scrollWidth > t.parentNode.clientWidth + 1)
  .map((t) => t.innerText)"""
LINKS = "[...document.querySelectorAll('a[href]')].map(a => a.href)"
PROSE = """[...document.querySelectorAll('article section > p')]
  .map(p => p.innerText).join(' ')"""


@dataclass
class Visit:
    """What one page showed."""

    foreign: list = field(default_factory=list)
    errors: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    untypeset: list = field(default_factory=list)
    violations: dict = field(default_factory=dict)
    off_ground: dict = field(default_factory=dict)
    size: int = 0


@pytest.fixture(scope="session")
def options(request) -> list[str]:
    """With which a build takes what nbmake ran in this session, if it did."""
    shutil.rmtree(OUT, ignore_errors=True)
    return hand_over(OUT) if request.config.option.nbmake else []


@pytest.fixture(scope="session")
def build(options):
    """The first build: the process that ended, with its output, and what git
    had seen before it."""
    before = git_status()
    done = build_book(OUT, *options, "--all")
    done.git_status = before
    return done


@pytest.fixture(scope="session")
def html(build) -> Path:
    """The folder of the rendered pages."""
    folder = OUT / "_build" / "html"
    if not (folder / "index.html").exists():
        pytest.fail("the build made no pages, see test_builds_strictly")
    return folder


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and keeps no log."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="session")
def site(html) -> str:
    """The address at which a local server shows the pages."""
    server = ThreadingHTTPServer(("127.0.0.1", 0),
                                 partial(Quiet, directory=html))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def axe_finds(page, view: str) -> list:
    """What axe-core holds against a page, the theme's parts included."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options=AXE[view])
    return [(v["id"], [node["html"] for node in v["nodes"]])
            for v in found.response["violations"]]


def listen(page, seen: Visit, own: str):
    """Note what goes wrong in a page, and requests for what is not `own`."""
    page.on("pageerror", lambda e: seen.errors.append(str(e)))
    page.on("request", lambda r: seen.foreign.append(r.url)
            if not r.url.startswith((own, "data:", "blob:")) else None)


def settle(page, address: str, seen: Visit):
    """Open an address, wait for its formulas, note those that failed."""
    page.goto(address)
    if page.evaluate(MATH):
        page.wait_for_function(
            "window.MathJax?.startup?.promise !== undefined")
        page.evaluate("() => MathJax.startup.promise.then(() => true)")
    for _ in page.query_selector_all(".interactive"):
        page.wait_for_selector(".interactive svg")
    seen.untypeset = page.evaluate(UNTYPESET)
    seen.spoilt = page.evaluate(SPOILT)
    page.evaluate(UNFOLD)  # what is folded is checked as well


def deaf_controls(page) -> list:
    """Controls of figures that change nothing when a key moves them."""
    deaf = []
    for figure in page.query_selector_all(".interactive"):
        for control in figure.query_selector_all("input, select"):
            def drawing(figure=figure):
                return figure.query_selector("svg").inner_html()
            before = drawing()
            control.press("ArrowRight")
            page.wait_for_timeout(150)
            if drawing() == before:  # it may stand at its end
                control.press("ArrowLeft")
                page.wait_for_timeout(300)
            if drawing() == before:
                deaf.append(control.evaluate("c => c.parentNode.innerText"))
    return deaf


def off_ground(page) -> list[int]:
    """By how much the corner of the page's first figure, as it is seen,
    differs from the ground of the page, in red, green and blue."""
    figure = page.query_selector("article img")
    if not figure:
        return []
    seen = Image.open(io.BytesIO(figure.screenshot())).convert("RGB")
    return [abs(a - b) for a, b in zip(
        seen.getpixel((3, 3)), page.evaluate(GROUND), strict=True)]


@pytest.fixture(scope="module", params=PAGES + MADE)
def visit(request, site, browser) -> Visit:
    """Open one page and note everything the tests below ask about."""
    page = browser.new_page(viewport=WIDE, color_scheme="light",
                            reduced_motion="reduce")
    seen = Visit()
    listen(page, seen, site)
    sizes = []
    page.on("requestfinished",
            lambda r: sizes.append(r.sizes()["responseBodySize"]))
    page.on("response", lambda r: seen.missing.append(r.url)
            if r.status >= 400 else None)
    settle(page, f"{site}/{request.param}.html", seen)
    page.wait_for_load_state("networkidle")
    seen.size = sum(sizes)
    page.evaluate(PLAIN)
    seen.violations["light"] = axe_finds(page, "light")
    seen.off_ground["light"] = off_ground(page)
    seen.cut_code = page.evaluate(CUT_CODE)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "document.documentElement.dataset.theme === 'dark'", timeout=5000)
    seen.violations["dark"] = axe_finds(page, "dark")
    seen.off_ground["dark"] = off_ground(page)
    page.set_viewport_size(NARROW)
    # The theme lets the keyboard reach what now scrolls, after a delay.
    page.wait_for_timeout(600)
    seen.violations["narrow"] = axe_finds(page, "narrow")
    seen.overflow = page.evaluate(OVERFLOW)
    seen.wide_tables = page.evaluate(WIDE_TABLES)
    seen.images, seen.labels = page.evaluate(IMAGES), page.evaluate(LABELS)
    seen.deaf = deaf_controls(page)
    page.close()
    return seen


@pytest.fixture(scope="module", params=PAGES)
def from_disk(request, html, browser) -> Visit:
    """The same page once more, without a server or a network."""
    page = browser.new_page(viewport=WIDE)
    page.context.set_offline(True)
    seen = Visit()
    listen(page, seen, "file:")
    settle(page, (html / f"{request.param}.html").as_uri(), seen)
    seen.name, seen.links = request.param, page.evaluate(LINKS)
    seen.prose = page.evaluate(PROSE)
    page.close()
    return seen


def test_builds_strictly(build):
    warnings = re.findall(r"^.*(?:WARNING|ERROR|CRITICAL):.*$",
                          build.stdout, re.M)
    assert not warnings, "\n".join(warnings)
    assert build.returncode == 0, build.stdout[-6000:]


@pytest.fixture(scope="session")
def again(build, options):
    """A build after the first, of all pages as one."""
    return build_book(OUT, *options, "--builder", "singlehtml")


def test_builds_twice_and_leaves_no_trace(build, again):
    """The second reads no chapter anew."""
    assert again.returncode == 0, again.stdout[-6000:]
    assert "Executing notebook" not in again.stdout
    assert "cached notebook" not in again.stdout
    assert git_status() == build.git_status


def test_make_book_runs_the_chapters():
    """Whatever cache the build above has read."""
    config = yaml.safe_load((REPO / "_config.yml").read_text())
    assert config["execute"]["execute_notebooks"] == "force"


def test_asks_no_other_host(visit):
    assert visit.foreign == []


def test_asks_for_nothing_that_is_not_there(visit):
    # The theme's style sheet names one of Sphinx's by a wrong path; the
    # pages load the right one themselves.
    assert [url for url in visit.missing
            if not url.endswith("/basic.css")] == []


def test_raises_no_script_error(visit):
    assert visit.errors == []


def test_typesets_every_formula(visit):
    assert visit.untypeset == []


def test_loads_light(visit):
    assert 0 < visit.size < COLD


def test_every_image_loads_and_says_what_it_shows(visit):
    assert [alt for alt, width in visit.images if not width] == []
    said = [alt for alt, _ in visit.images] + visit.labels
    assert [text for text in said if not is_sentence(text)] == []


@pytest.mark.parametrize("view", ["light", "dark"])
def test_figures_stand_on_the_ground_of_the_page(visit, view):
    assert all(off <= 2 for off in visit.off_ground[view])


def is_sentence(text: str) -> bool:
    return (text[:1].isupper() and text.rstrip().endswith((".", "?", "!"))
            and len(text.split()) > 3)


def test_predictions_come_before_their_answers(visit):
    assert visit.spoilt == []


def test_printing_unfolds_and_is_light(html, browser):
    page = browser.new_page(color_scheme="dark")
    page.goto((html / "notebooks" / "00_primer.html").as_uri())
    folds = "document.querySelectorAll('article details:not([open])').length"
    theme = "document.documentElement.dataset.theme"
    before = page.evaluate(folds), page.evaluate(theme)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (page.evaluate(folds), page.evaluate(theme)) == (0, "light")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert (page.evaluate(folds), page.evaluate(theme)) == before
    assert before[0] > 5 and before[1] == "dark"
    page.close()


def test_figures_answer_to_the_keyboard(visit):
    assert visit.deaf == []


def test_shows_whole_lines_of_code_when_wide(visit):
    assert visit.cut_code == []


def test_does_not_scroll_sideways_on_a_phone(visit):
    assert visit.overflow <= 0 and visit.wide_tables == []


@pytest.mark.parametrize("view", AXE)
def test_is_accessible(visit, view):
    assert visit.violations[view] == []


def test_reads_the_same_from_disk(from_disk):
    assert from_disk.foreign == []
    assert from_disk.errors == []
    assert from_disk.untypeset == []


def test_links_lead_somewhere(from_disk):
    broken = []
    for link in from_disk.links:
        address, anchor = urldefrag(link)
        if not address.startswith("file://"):
            continue
        target = Path(unquote(urlparse(address).path))
        if not target.is_file():
            broken.append(link)
        elif anchor and f'id="{unquote(anchor)}"' not in target.read_text():
            broken.append(link)
    assert broken == []


def test_search_finds_a_word_of_the_page(from_disk, html, browser):
    word = max(re.findall(r"\b[a-z]{5,14}\b", from_disk.prose) or ["paper"],
               key=len)
    found = found_for(word, html, browser)
    name = f"{from_disk.name}.html"
    assert [link for link in found if name in link], word


def found_for(words: str, html, browser) -> list[str]:
    """The pages that the search lists, from disk, best first."""
    # From disk a script may not read the pages for their excerpts, which
    # the search reports as an error after it has listed what it found.
    page = browser.new_page()
    page.context.set_offline(True)
    page.goto((html / "search.html").as_uri() + f"?q={words}")
    page.wait_for_function("document.querySelector('#search-results p')"
                           "?.innerText.includes('found')")
    links = page.evaluate(FOUND)
    page.close()
    return [urldefrag(link)[0].removeprefix(html.as_uri() + "/")
            for link in links]


@pytest.mark.parametrize("words", ["tokenizer", "learning rate",
                                   "checkpoint"])
def test_search_ranks_chapters_above_the_package(html, browser, words):
    found = found_for(words, html, browser)
    places = [name.startswith("book/api/") - name.startswith("notebooks/")
              for name in found]
    assert {-1, 1} <= set(places)
    assert places == sorted(places)


@pytest.mark.parametrize("words", ["overfitting", "fine-tuning",
                                   "learning rate"])
def test_search_finds_the_words_of_the_field_in_a_chapter(html, browser,
                                                          words):
    assert found_for(words, html, browser)[0].startswith("notebooks/")


@pytest.mark.parametrize("name", PAGES)
def test_chapters_and_their_figures_are_numbered_from_zero(html, name):
    page = (html / f"{name}.html").read_text()
    found = re.match(r"notebooks/(\d+)", name)
    number = str(int(found[1])) if found else ""
    shown = [re.findall(begins + r"(?:(\d+)\. )?", page)[-1] for begins in (
        "<title>", r'<h1>(?:<span class="section-number">)?',
        r'<a class="current reference internal" href="#">')
        if name != PAGES[0] or begins == "<title>"]
    assert set(shown) == {number}
    figures = re.findall(r'caption-number">Fig. ([\d.]+)', page)
    if number:
        assert figures == [f"{number}.{i + 1}" for i in range(len(figures))]


def test_a_chapter_says_how_long_it_takes_and_what_follows(html, browser):
    page = browser.new_page()
    page.goto((html / "notebooks" / "00_primer.html").as_uri())
    [time] = re.findall(r"about (\d+ minutes)",
                        page.locator(".reading-time").inner_text())
    assert ("You will have a GPT" in
            page.locator(".right-next .prev-next-summary").inner_text())
    page.goto((html / "book" / "intro.html").as_uri())
    [row] = page.locator("tr", has_text="a bigram model").all_inner_texts()
    assert time in row
    page.close()


@pytest.mark.parametrize("reach", ["hover", "focus"])
def test_a_term_shows_its_entry(html, browser, reach):
    """From disk, by pointer and by keyboard, on a phone's width."""
    page = browser.new_page(viewport=NARROW)
    page.context.set_offline(True)
    page.goto((html / "notebooks" / "00_primer.html").as_uri())
    term = page.locator("a:has(> .std-term)", has_text="vocabulary").first
    getattr(term, reach)()
    tip = page.locator("[role=tooltip]")
    entry = page.evaluate("TERMS['term-vocabulary']")
    assert len(entry) > 40 and tip.inner_text() == entry
    assert term.get_attribute("aria-describedby") == tip.get_attribute("id")
    box = tip.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= NARROW["width"]
    assert barriers(page) == []
    page.keyboard.press("Escape")
    assert tip.is_hidden() and not term.get_attribute("aria-describedby")
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_guess_beside_its_answer_is_accessible(html, browser, scheme):
    page = browser.new_page(viewport=NARROW, color_scheme=scheme)
    page.goto((html / "notebooks" / "00_primer.html").as_uri())
    page.locator(".predict .guess-button").first.press("Enter")
    page.locator(".answer summary").first.press("Enter")
    page.locator(".guess-judged button").first.press("Enter")
    assert page.locator(".guess-judged button[aria-pressed=true]").count() == 1
    page.evaluate(STILL)  # a link that unfolds takes on its colour slowly
    assert barriers(page) == [] and page.evaluate(OVERFLOW) <= 0
    page.goto((html / "book" / "guesses.html").as_uri())
    assert "1 right" in page.locator(".guesses").inner_text()
    assert barriers(page) == [] and page.evaluate(OVERFLOW) <= 0
    page.close()


@pytest.fixture(scope="module")
def who_speaks(build) -> list:
    """(model, tokenizer) of everyone on the page, in its order."""
    run = talking.own_run()
    shipped = (load_hf(folder) for folder in talking.shipped())
    return [(run.model(), run.tokenizer),
            *((model.float(), tokenizer) for model, tokenizer in shipped)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_one_can_talk_to_the_models(html, browser, who_speaks, size, scheme):
    """From disk, with the network cut: a prompt, every control, and Python
    asked for the same numbers."""
    page = browser.new_page(viewport=size, color_scheme=scheme)
    page.context.set_offline(True)
    seen = Visit()
    listen(page, seen, "file:")
    page.goto((html / "book" / "talk.html").as_uri())
    page.fill(".gpt-prompt", "the old house")
    page.press(".gpt-prompt", "Tab")
    page.keyboard.press("Enter")
    page.wait_for_function(  # some 20 characters, unless it drew an end
        "[...document.querySelectorAll('.gpt-model')].every((one) => {"
        " const text = one.querySelector('.gpt-text').textContent;"
        " return text.startsWith('the old house') && (text.length > 20"
        " || one.textContent.includes('It ended the text.')); })",
        timeout=60_000)
    speaking.stop(page)
    written, shown = speaking.texts(page, "text"), []
    for name, value, settings in speaking.MOVES:
        kept = speaking.texts(page, "kept")
        speaking.choose(page, name, value)
        speaking.change(page, "kept", kept)
        shown.append([part.evaluate(speaking.BARS)
                      for part in page.query_selector_all(".gpt-model")])
        for part, (model, tokenizer) in zip(
                page.query_selector_all(".gpt-model"), who_speaks,
                strict=True):
            speaking.agrees(part, model, tokenizer, settings)
    assert all(one != other for one, other in zip(shown, shown[1:]))
    assert speaking.texts(page, "text") == written
    page.click(".gpt-model >> nth=-1 >> .gpt-bars button >> nth=1")
    page.wait_for_function(
        "before => [...document.querySelectorAll('.gpt-text')].at(-1)"
        ".textContent.length > before.length", arg=written[-1])
    costs = speaking.texts(page, "cost")
    page.fill(".gpt-own", "Nobody has ever written this.")
    page.click(".gpt-sentence button")
    speaking.change(page, "cost", costs)
    assert seen.errors == [] and seen.foreign == []
    page.close()


def test_prints_as_one_file(again, tmp_path):
    """The pages just read, put together without running them again."""
    out = tmp_path / "book.pdf"
    subprocess.run([sys.executable, REPO / "book" / "print.py",
                    OUT / "_build" / "singlehtml", out], check=True)
    assert out.read_bytes()[:5] == b"%PDF-"
    assert out.stat().st_size > 1_000_000

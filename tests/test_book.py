"""The book, built strictly at the smallest scale and read in Chromium.

One browser; each page is loaded once from disk, without a network, and
looked at wide and narrow, light and dark.
"""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlparse

import pytest
import yaml

pytestmark = pytest.mark.book

REPO = Path(__file__).resolve().parent.parent
OUT = REPO / "_build" / "smoke"
TOC = yaml.safe_load((REPO / "_toc.yml").read_text())
PAGES = [TOC["root"]] + [chapter["file"] for part in TOC["parts"]
                         for chapter in part["chapters"]]
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 375, "height": 800}

# What a browser is asked about a page once it has settled.
MATH = "document.querySelectorAll('.math').length"
UNTYPESET = """[...document.querySelectorAll('.math')]
  .filter(m => !m.querySelector('mjx-container') ||
               m.querySelector('mjx-merror')).map(m => m.textContent)"""
IMAGES = """[...document.querySelectorAll('article img')]
  .map(i => [i.getAttribute('alt') || '', i.naturalWidth])"""
CUT_CODE = """[...document.querySelectorAll('article .highlight pre')]
  .filter(p => p.scrollWidth > p.clientWidth + 1)
  .map(p => p.textContent.split('\\n')
    .reduce((a, b) => a.length > b.length ? a : b))"""
OVERFLOW = """document.scrollingElement.scrollWidth
  - document.documentElement.clientWidth"""
LINKS = "[...document.querySelectorAll('a[href]')].map(a => a.href)"


@dataclass
class Visit:
    """What one page showed."""

    untypeset: list
    images: list
    cut_code: list
    overflow: int
    links: list
    violations: dict
    foreign: list
    errors: list


@pytest.fixture(scope="session")
def build():
    """The strict build: the process that ended, with its output."""
    shutil.rmtree(OUT, ignore_errors=True)
    environment = {**os.environ, "COURSE_SCALE": "smoke",
                   "TQDM_DISABLE": "1"}
    # A backend from outside would keep figures out of the pages.
    environment.pop("MPLBACKEND", None)
    book = Path(sys.executable).parent / "jupyter-book"
    return subprocess.run(
        [str(book), "build", str(REPO), "--path-output", str(OUT),
         "--all", "-W", "-n", "--keep-going"],
        env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="session")
def html(build) -> Path:
    """The folder of the rendered pages."""
    folder = OUT / "_build" / "html"
    if not (folder / "index.html").exists():
        pytest.fail("the build made no pages, see test_builds_strictly")
    return folder


def axe_finds(page) -> list:
    """What axe-core holds against the page's own content: WCAG 2.1 A, AA."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, context="article", options={
        "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    return [(v["id"], [node["html"] for node in v["nodes"]])
            for v in found.response["violations"]]


@pytest.fixture(scope="module", params=PAGES)
def visit(request, html, browser) -> Visit:
    """Open one page and note everything the tests below ask about."""
    page = browser.new_page(viewport=WIDE, color_scheme="light",
                            reduced_motion="reduce")
    page.context.set_offline(True)
    foreign, errors = [], []
    page.on("request", lambda r: foreign.append(r.url)
            if urlparse(r.url).scheme not in ("file", "data", "blob")
            else None)
    page.on("pageerror", lambda e: errors.append(str(e)))
    page.goto((html / f"{request.param}.html").as_uri())
    if page.evaluate(MATH):
        page.wait_for_function(
            "window.MathJax?.startup?.promise !== undefined")
        page.evaluate("() => MathJax.startup.promise.then(() => true)")
    violations = {"light": axe_finds(page)}
    cut_code = page.evaluate(CUT_CODE)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        "document.documentElement.dataset.theme === 'dark'", timeout=5000)
    violations["dark"] = axe_finds(page)
    page.set_viewport_size(NARROW)
    # The theme lets the keyboard reach what now scrolls, after a delay.
    page.wait_for_timeout(600)
    violations["narrow"] = axe_finds(page)
    seen = Visit(
        untypeset=page.evaluate(UNTYPESET), images=page.evaluate(IMAGES),
        cut_code=cut_code, overflow=page.evaluate(OVERFLOW),
        links=page.evaluate(LINKS), violations=violations, foreign=foreign,
        errors=errors)
    page.close()
    return seen


def test_builds_strictly(build):
    warnings = re.findall(r"^.*(?:WARNING|ERROR|CRITICAL):.*$",
                          build.stdout, re.M)
    assert not warnings, "\n".join(warnings)
    assert build.returncode == 0, build.stdout[-6000:]


def test_asks_no_other_host(visit):
    assert visit.foreign == []


def test_raises_no_script_error(visit):
    assert visit.errors == []


def test_typesets_every_formula(visit):
    assert visit.untypeset == []


def test_every_image_loads_and_says_what_it_shows(visit):
    assert [alt for alt, width in visit.images if not width] == []
    # A sentence, and not the path that stands in for a missing one.
    assert [alt for alt, _ in visit.images
            if " " not in alt or alt.startswith("..")] == []


def test_shows_whole_lines_of_code_when_wide(visit):
    assert visit.cut_code == []


def test_does_not_scroll_sideways_on_a_phone(visit):
    assert visit.overflow <= 0


@pytest.mark.parametrize("view", ["light", "dark", "narrow"])
def test_is_accessible(visit, view):
    assert visit.violations[view] == []


def test_links_lead_somewhere(visit):
    broken = []
    for link in visit.links:
        address, anchor = urldefrag(link)
        if not address.startswith("file://"):
            continue
        target = Path(unquote(urlparse(address).path))
        if not target.is_file():
            broken.append(link)
        elif anchor and f'id="{unquote(anchor)}"' not in target.read_text():
            broken.append(link)
    assert broken == []

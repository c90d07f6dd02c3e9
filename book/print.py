"""The whole book as one PDF, printed by Chromium from its single page.

    python book/print.py FOLDER OUT

FOLDER is what `jupyter-book build . --builder singlehtml` wrote. Formulas are
typeset and figures with sliders drawn before the page is printed; headings
become bookmarks, and the file is tagged for screen readers.
"""

import shutil
import sys
from pathlib import Path

from chromium import launch
from playwright.sync_api import sync_playwright

FOOTER = """<div style="font: 8px sans-serif; width: 100%; text-align: center">
  <span class="pageNumber"></span></div>"""


def print_book(folder: Path, out: Path):
    """Print the page of a folder. Raises SystemExit without a browser."""
    # Sphinx puts it in a subfolder, but writes its links for the top.
    whole = shutil.copy(folder / "book" / "intro.html", folder / "book.html")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        if not browser:
            sys.exit("To print the book, install Chromium or Chrome.")
        page = browser.new_page(color_scheme="light")
        page.goto(Path(whole).resolve().as_uri())
        page.evaluate("() => MathJax.startup.promise.then(() => true)")
        for figure in page.query_selector_all(".interactive"):
            figure.wait_for_selector("svg")
        # What is folded on the screen is read on paper.
        page.evaluate("document.querySelectorAll('details')"
                      ".forEach(fold => fold.open = true)")
        page.pdf(path=out, format="A4", scale=0.9, tagged=True, outline=True,
                 display_header_footer=True, header_template="<span></span>",
                 footer_template=FOOTER, print_background=True,
                 margin={"top": "18mm", "bottom": "18mm",
                         "left": "18mm", "right": "18mm"})
        browser.close()


if __name__ == "__main__":
    print_book(Path(sys.argv[1]), Path(sys.argv[2]))

"""The figure of tricks answers without a script, by keyboard, on a phone."""

import re

import pytest
from pages import OVERFLOW, barriers

from course_lib.showing import tricks
from course_lib.showing.tricks import Axes, Trick, show_tricks

LINES = [Trick("as it was", [[(1, 4.0), (10, 3.0)]], [3.0]),
         Trick("kept", [[(1, 3.5), (10, 2.0)], [(1, 3.4), (10, 2.2)]],
               [2.0, 2.2]),
         Trick("<tried>", [[(1, 3.5), (10, 2.5)]], [2.5], kept=False),
         Trick("last", [[(1, 3.0), (10, 1.0)]], [1.0])]
AXES = Axes("work & wages", "nats", {1: "a tenth", 10: "all"})
WHAT = "Four lines & where they end."


@pytest.fixture
def markup(monkeypatch):
    """What is displayed by a call of the figure."""
    shown = []
    monkeypatch.setattr(tricks, "display",
                        lambda data, raw: shown.append(data["text/html"]))

    def call(**options):
        show_tricks(LINES, AXES, WHAT, **options)
        return shown.pop()
    return call


@pytest.fixture
def show(markup, browser, tmp_path):
    """Opens the figure with the keyboard as the only way to move it."""
    pages = []

    def call(**options):
        file = tmp_path / "figure.html"
        file.write_text("<!DOCTYPE html><html lang=en><title>t</title><main>"
                        f"<h1>t</h1>{markup(**options)}</main>",
                        encoding="utf-8")
        context = browser.new_context(java_script_enabled=False,
                                      viewport=dict(width=375, height=800))
        pages.append(context.new_page())
        pages[-1].goto(file.as_uri())
        return pages[-1]
    yield call
    for page in pages:
        page.context.close()


def seen(page) -> str:
    """The text of the only line whose curves are seen."""
    [panel] = [panel for panel in page.query_selector_all(".trick")
               if panel.is_visible()]
    return " ".join(panel.inner_text().split())


def test_a_line_is_compared_with_the_last_that_was_kept(show):
    page = show(ladder=True, chosen=2)
    assert "<tried>: 2.500 as it was: 3.000 without it: 2.000 and 2.200" \
        in seen(page)


def test_off_a_ladder_it_is_compared_with_the_first(show):
    page = show(chosen=3)
    assert seen(page).endswith("last: 1.000 as it was: 3.000")


def test_it_opens_at_the_last_that_was_kept(show):
    assert "last: 1.000" in seen(show(ladder=True))


def test_the_keyboard_moves_it_without_a_script(show):
    page = show(ladder=True)
    page.focus("input:checked")
    for wanted in ("<tried>: 2.500", "kept: 2.000 and 2.200",
                   "as it was: 3.000"):
        page.keyboard.press("ArrowUp")
        assert wanted in seen(page)
    page.click("label >> nth=3")
    assert "last: 1.000" in seen(page)


def test_two_on_a_page_do_not_share_a_choice(markup):
    names = [set(re.findall(r'name="([^"]+)"', markup())) for _ in range(2)]
    assert len(names[0]) == 1 and names[0].isdisjoint(names[1])


def test_what_is_on_has_a_tick(markup, browser, tmp_path):
    marks = """[...document.querySelectorAll('.tricks label')].map((label) =>
      getComputedStyle(label, '::before').content.slice(1, -1))"""
    file = tmp_path / "figure.html"
    file.write_text(f"<!DOCTYPE html>{markup(ladder=True)}", encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    for chosen, wanted in enumerate(
            ("\u2713\u2013\u2013\u2013", "\u2713\u2713\u2013\u2013",
             "\u2713\u2713\u2713\u2013", "\u2713\u2713\u2013\u2713")):
        page.check(f"input >> nth={chosen}")
        assert "".join(page.evaluate(marks)) == wanted
    page.close()


def test_a_curve_goes_where_its_numbers_say(markup):
    panel = markup().rpartition("<polyline class=\"with\" points=\"")[0]
    [(x1, y1), (x2, y2)] = [
        tuple(map(float, point.split(","))) for point in re.findall(
            r'class="with" points="([^"]+)"', panel)[-1].split()]
    bottom = tricks.HEIGHT - tricks.BOTTOM
    assert (x1, x2) == (tricks.LEFT, tricks.WIDTH - tricks.RIGHT)
    # from 3 to 1, and the frame ends at 4
    assert (bottom - y1) / (bottom - y2) == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone_and_is_accessible(markup, browser, tmp_path, theme):
    ground = "#14181e" if theme == "dark" else "#fff"
    text = "#ced6dd" if theme == "dark" else "#222"
    file = tmp_path / "figure.html"
    file.write_text(
        f'<!DOCTYPE html><html lang=en data-theme={theme}><title>t</title>'
        f'<body style="background:{ground};color:{text}"><main><h1>t</h1>'
        f"{markup(ladder=True)}</main>", encoding="utf-8")
    page = browser.new_page(viewport=dict(width=375, height=800))
    page.goto(file.as_uri())
    assert barriers(page) == []
    assert page.evaluate(OVERFLOW) <= 0
    page.close()

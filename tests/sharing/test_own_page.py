"""A run as a page: from a disk, without a network, every control tried."""

import json
import math
import re
import shutil
from dataclasses import replace

import pytest
import speaking
import tiny
from pages import OVERFLOW, barriers
from speaking import BARS, MOVES, change, choose, stop, texts

from course_lib.measuring.surprise import surprisal
from course_lib.recipes import RECIPES
from course_lib.sharing.browser_format import rounded
from course_lib.sharing.own_page import as_html, page, write_page
from course_lib.sharing.talk import PROMPT, SENTENCE, inline

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 740}
WRITTEN = "document.querySelector('.gpt-text').textContent"
# a text that the model ends before it is long is begun again
LONG_ENOUGH = """() => {
  if (document.querySelector('.gpt-written').textContent.length > 60)
    return true;
  const ended = document.querySelector('.gpt-status').textContent;
  if (ended === 'It ended the text.')
    document.querySelector('.gpt-again').click();
}"""


@pytest.fixture(scope="module", params=["gpt2", "modern"])
def run(request, tmp_path_factory):
    with tiny.quick_training():
        folder = tmp_path_factory.mktemp(request.param)
        preset = RECIPES[request.param].at(tiny.PRESET)
        run = tiny.make_run(folder, replace(preset, tokens=1280))
        run.train(number_format="float32")
    return run


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    return write_page(run, tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture
def opened(run, file, browser):
    """One recipe's page on a desktop, light; the other's on a phone, dark."""
    size, scheme = ((WIDE, "light") if run.preset.recipe == "gpt2"
                    else (PHONE, "dark"))
    page = browser.new_page(viewport=size, color_scheme=scheme,
                            has_touch=size is PHONE)
    page.context.set_offline(True)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("request", lambda r: page.errors.append(r.url)
            if not r.url.startswith(("file:", "data:", "blob:")) else None)
    page.goto(file.as_uri())
    yield page
    assert page.errors == []
    page.close()


def waits_for_status(page, words: str):
    page.wait_for_function(
        "words => document.querySelector('.gpt-status').textContent"
        ".includes(words)", arg=words, timeout=20_000)


def says(page, name: str) -> str:
    return page.text_content(f".gpt-{name}")


def bars(page) -> list:
    return page.query_selector(".gpt-model").evaluate(BARS)


def agrees(page, run, *settings):
    """Assert that the page shows what Python computes."""
    speaking.agrees(page.query_selector(".gpt-model"), run.model(),
                    run.tokenizer, settings)


def test_it_shows_an_example_before_anything_runs(file, browser):
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(file.as_uri())
    text = page.text_content(".gpt-text")
    assert text.startswith(PROMPT) and len(text) > len(PROMPT)
    assert page.locator(".gpt-bars button").count() == 10
    assert "bits per byte" in page.text_content(".gpt-cost")
    page.context.close()


def test_a_prompt_is_continued(opened, run):
    opened.fill(".gpt-prompt", "the cat saw")
    opened.keyboard.press("Tab")  # to the button
    opened.keyboard.press("Enter")
    opened.wait_for_function(LONG_ENOUGH)
    stop(opened)
    text = opened.evaluate(WRITTEN)
    assert text.startswith("the cat saw")
    # past the context too
    agrees(opened, run, 0.8, None, 0.95)


def test_every_setting_changes_what_may_come(opened, run):
    opened.click(".gpt-bars button >> nth=0")
    waits_for_status(opened, "You chose")
    text, seen = opened.evaluate(WRITTEN), []
    for name, value, settings in MOVES:
        kept = texts(opened, "kept")
        choose(opened, name, value)
        change(opened, "kept", kept)
        agrees(opened, run, *settings)
        seen.append([bar[2] for bar in bars(opened)])
    assert opened.evaluate(WRITTEN) == text
    assert len({tuple(shares) for shares in seen}) == len(seen)


def test_a_click_takes_a_token(opened, run):
    names = [bar[0] for bar in bars(opened)]
    before = opened.evaluate(WRITTEN)
    place = next(i for i, name in enumerate(names) if name.isascii())
    opened.click(f".gpt-bars button >> nth={place}")
    waits_for_status(opened, "You chose")
    taken = names[place].replace("\u00b7", " ").replace("\u21b5", "\n")
    assert opened.evaluate(WRITTEN) == before + taken
    again = opened.evaluate("document.activeElement.className || "
                            "document.activeElement.tagName")
    assert again == "BUTTON"  # the keyboard can go on from there
    opened.keyboard.press("Enter")
    opened.wait_for_function(
        "text => document.querySelector('.gpt-text').textContent.length"
        " > text.length", arg=before + taken)


def test_stop_and_again(opened):
    choose(opened, "temperature", 1.5)
    before = opened.evaluate(WRITTEN)
    opened.evaluate("""() => {
      document.querySelector('.gpt-write').click();
      document.querySelector('.gpt-stop').click();
    }""")
    opened.wait_for_selector(".gpt-write:enabled")
    stopped = opened.evaluate(WRITTEN)
    opened.wait_for_timeout(200)
    assert opened.evaluate(WRITTEN) == stopped
    # one token was on its way, and 200 would have come
    assert len(stopped) < len(before) + 40
    opened.click(".gpt-again")
    opened.wait_for_function(
        "text => document.querySelector('.gpt-text').textContent !== text",
        arg=stopped)
    stop(opened)
    assert opened.evaluate(WRITTEN).startswith(PROMPT)
    # from the prompt, not from where it was stopped: at this temperature
    # the dice do not throw the same text twice
    assert not opened.evaluate(WRITTEN).startswith(stopped)


def test_a_sentence_is_coloured_by_its_bits(opened, run):
    text = "Her friend Jos\u00e9 sang \u201clife\u201d twice, \u611b."
    opened.fill(".gpt-own", text)
    opened.click(".gpt-sentence button")
    opened.wait_for_function(
        "text => document.querySelector('.gpt-cost').textContent"
        ".includes(text)", arg=f"for {len(text.encode())} bytes")
    ids = [run.tokenizer.eot, *run.tokenizer.encode(text)]
    bits = sum(surprisal(rounded(run.model()), ids)) / math.log(2)
    assert says(opened, "cost") == (
        f"{bits:.0f} bits for {len(text.encode())} bytes: "
        f"{bits / len(text.encode()):.2f} bits per byte.")
    spans = opened.eval_on_selector_all(
        ".gpt-colored .sur", "all => all.map((s) => s.textContent)")
    assert "".join(spans) == text


def test_the_still_sentence_is_what_the_page_computes(opened):
    still = opened.inner_html(".gpt-colored"), says(opened, "cost")
    opened.evaluate("document.querySelector('.gpt-colored').innerHTML = ''")
    opened.fill(".gpt-own", SENTENCE)
    opened.click(".gpt-sentence button")
    opened.wait_for_selector(".gpt-colored .sur")
    assert (opened.inner_html(".gpt-colored"), says(opened, "cost")) == still


def test_it_is_accessible_and_fits(opened):
    assert barriers(opened) == []
    assert opened.evaluate(OVERFLOW) <= 0


def test_the_card_stands_in_it(opened, run):
    text = opened.inner_text(".card")
    for said in ("How good it is", "bits per byte", "Limits", "Licence",
                 f"{run.log[-1]['val_loss']:.4f} nats per token"):
        assert said in text
    assert not re.search(r"[|`#]", text)


def test_a_laptop_model_s_page_is_small(file):
    # a byte and a third for each of its million weights, and this beside it
    assert 3e6 - 4 / 3 * 0.95e6 > file.stat().st_size


def test_an_unfinished_run_is_refused(prepared, tmp_path):
    from course_lib.runs import open_run

    run = open_run(shutil.copytree(prepared, tmp_path / "run"))
    with pytest.raises(ValueError, match="has not finished training"):
        page(run, "title")
    assert not list(tmp_path.glob("*.html*"))


def test_no_text_ends_the_script_it_stands_in():
    text = "</script><script>alert(1)</script><!--"
    assert "<" not in inline([text]) and json.loads(inline([text])) == [text]


def test_a_card_of_the_hub_is_shown_without_its_fields():
    made = as_html("---\nlicense: mit\n---\n# Name\n\nText\n\n```python\nx"
                   "\n```\n## Part\n\n| | |\n|---|---|\n| a | b |\n")
    assert all(word not in made for word in ("license", "Name", "python"))
    assert "<h3>Part</h3>" in made and "<thead" not in made
    assert '<th scope="row">a</th>' in made

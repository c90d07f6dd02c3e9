"""The page on which models speak: two side by side, weights when asked for,
over file:// with the network cut. (tests/book/test_book.py reads the built
one like every page; tests/sharing/test_own_page.py tries every control.)"""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import talking
import tiny

from course_lib.model.gpt import GPT
from course_lib.recipes import RECIPES
from course_lib.sharing.hugging_face import save_hf
from course_lib.sharing.talk import PROMPT, engine, talk
from course_lib.text.tokenizer import train_tokenizer


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder laid out as the pages are, of a tiny run and of a second
    model, which stands where the one that ships will."""
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch, tiny.quick_training():
        run = tiny.make_run(folder, replace(tiny.PRESET, tokens=1280))
        run.train(number_format="float32")
        model = GPT(replace(RECIPES["modern"].at(tiny.PRESET).model,
                            vocab_size=270))
        tokenizer = train_tokenizer(["low lower lowest newer wider"] * 9, 270)
        save_hf(model, tokenizer, folder / "models" / "books")
        (folder / "models" / "books" / "README.md").write_text(
            "---\nlicense: mit\n---\n# A model of old books\n\nRead me.\n")
        patch.setattr(talking, "MODELS", folder / "models")
        patch.setattr(talking, "own_run", lambda: run)
        talking.scripts.cache_clear()
        talking.place_models(SimpleNamespace(
            builder=SimpleNamespace(name="html"), outdir=folder), None)
        (folder / "book").mkdir()
        (folder / "book" / "talk.html").write_text(
            f"<!DOCTYPE html><html lang=en><title>t</title>{engine()}"
            f"{talk(talking.speakers())}{talking.cards()}", encoding="utf-8")
        talking.scripts.cache_clear()
    return folder


@pytest.fixture
def page(site, browser):
    page = browser.new_page()
    page.context.set_offline(True)
    page.asked, page.errors = [], []
    page.on("request", lambda r: page.asked.append(Path(r.url).name))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto((site / "book" / "talk.html").as_uri())
    yield page
    assert page.errors == []
    page.close()


def written(page) -> list[str]:
    return page.eval_on_selector_all(
        ".gpt-text", "all => all.map((p) => p.textContent)")


def test_examples_stand_there_before_any_weights(page):
    assert page.locator(".gpt-model").count() == 2
    assert all(text.startswith(PROMPT) and len(text) > len(PROMPT)
               for text in written(page))
    page.fill(".gpt-own", "nothing yet")
    page.eval_on_selector(".gpt-temperature", "input => { input.value = 1;"
                          " input.dispatchEvent(new Event('input')); }")
    page.wait_for_timeout(200)
    assert [name for name in page.asked if name.endswith(".js")] == []


def test_two_models_answer_one_prompt(page):
    page.fill(".gpt-prompt", "low")
    page.click(".gpt-write")
    page.wait_for_function(  # of both, and not what was shown at first
        "() => { const texts = [...document.querySelectorAll('.gpt-text')]"
        ".map((part) => part.textContent);"
        " return texts.every((text) => text.startsWith('low'))"
        " && new Set(texts).size === 2 }")
    page.evaluate("document.querySelector('.gpt-stop').click()")
    page.wait_for_selector(".gpt-write:enabled")
    first, second = written(page)
    assert first.startswith("low") and second.startswith("low")
    assert first != second
    assert {"stories.js", "books.js"} <= set(page.asked)
    kept = page.eval_on_selector_all(
        ".gpt-kept", "all => all.map((p) => p.textContent)")
    assert " of 300 tokens" in kept[0] and " of 270 tokens" in kept[1]


def test_one_sentence_costs_each_its_own_bits(page):
    page.fill(".gpt-own", "low lower")
    page.click(".gpt-sentence button")
    page.wait_for_function(
        "[...document.querySelectorAll('.gpt-cost')]"
        ".every((p) => p.textContent.includes('for 9 bytes'))")
    assert page.locator(".gpt-cost").count() == 2


def test_weights_that_are_not_there_are_named(page, site):
    script = site / "models" / "books.js"
    away = script.rename(script.with_suffix(".away"))
    try:
        page.click(".gpt-model >> nth=1 >> button >> nth=0")
        page.wait_for_function(
            "document.querySelectorAll('.gpt-status')[1].textContent"
            ".includes('books.js')")
    finally:
        away.rename(script)
    page.click(".gpt-model >> nth=1 >> button >> nth=0")
    page.wait_for_function("document.querySelectorAll('.gpt-status')[1]"
                           ".textContent.includes('You chose')")


def test_the_card_of_the_second_stands_below(page):
    assert "A model of old books" in page.text_content("details summary")
    assert "license" not in page.text_content("details")


def test_the_page_of_the_run_is_beside_it(site):
    assert (site / "models" / talking.OWN_PAGE).stat().st_size > 50_000

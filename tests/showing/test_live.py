"""Figures that run the model show what the package computes, before a reader
asks and after."""

import json
import re
from dataclasses import replace

import pytest
import tiny
import torch
from pages import OVERFLOW

from course_lib.model.gpt import GPT
from course_lib.recipes import RECIPES
from course_lib.sharing.browser_format import rounded
from course_lib.sharing.talk import model_script
from course_lib.showing import live, show_script
from course_lib.text.tokenizer import train_tokenizer

TEXT = "the cat saw a red house"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([TEXT, "Jos\u00e9 went home near the water"] * 9,
                           290)


@pytest.fixture(scope="module", params=["gpt2", "modern"])
def model(request, tokenizer):
    torch.manual_seed(0)
    config = RECIPES[request.param].at(tiny.PRESET).model
    model = GPT(replace(config, vocab_size=290, context_length=64, n_layer=2))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) / 5)
    return model.eval()


@pytest.fixture
def show(browser, monkeypatch, tmp_path):
    """Call a function that displays a figure; returns the page that holds
    it, over file:// and with the network cut."""
    pages, outputs = [], []
    monkeypatch.setattr(live, "display",
                        lambda data, raw: outputs.append(data["text/html"]))

    def call(function, *arguments, times=1):
        for _ in range(times):
            function(*arguments)
        file = tmp_path / "figure.html"
        file.write_text("<!DOCTYPE html><html lang=en><title>t</title>"
                        + "".join(outputs), encoding="utf-8")
        page = browser.new_page(viewport={"width": 375, "height": 800})
        page.context.set_offline(True)
        page.errors = []
        page.on("pageerror", lambda e: page.errors.append(str(e)))
        page.goto(file.as_uri())
        pages.append(page)
        return page
    yield call
    for page in pages:
        assert page.errors == []
        assert page.evaluate(OVERFLOW) <= 0
        page.close()


def asks(page, text: str, button: str = "form button"):
    page.fill(".gpt-own", text)
    page.click(button)


def test_attention_weights_are_the_model_s(model):
    """Values weighed by them are what attention hands to its projection."""
    ids = torch.tensor([[1, 5, 9, 200, 7]])
    weights = live.attention_weights(model, ids)
    attn, seen = model.transformer.h[0].attn, {}
    attn.c_attn.register_forward_hook(
        lambda *of: seen.update(qkv=of[2]))
    attn.c_proj.register_forward_hook(
        lambda *of: seen.update(y=of[1][0]))
    with torch.no_grad():
        model(ids)
    v = seen["qkv"][..., -model.config.n_embd:].view(1, 5, 2, -1)
    y = torch.einsum("hbts,bshd->bthd", weights[0], v).flatten(2)
    torch.testing.assert_close(y, seen["y"])


def test_attention_stands_still_and_answers(show, model, tokenizer):
    page = show(live.show_attention, model, tokenizer, TEXT)
    assert page.locator(".gpt-heads button").count() == 4
    still = page.inner_html(".gpt-heads"), page.text_content(".gpt-said")
    asks(page, "near the water")
    page.wait_for_function("text => document.querySelector('.gpt-said')"
                           ".textContent !== text", arg=still[1])
    asks(page, TEXT)
    page.wait_for_function("text => document.querySelector('.gpt-said')"
                           ".textContent === text", arg=still[1])
    assert page.inner_html(".gpt-heads") == still[0]  # the same numbers
    head = page.locator(".gpt-heads button >> nth=2")
    head.focus()
    page.keyboard.press("Enter")
    assert page.text_content(".gpt-said").startswith("Layer 1, head 0")
    page.click(".gpt-tokens button >> nth=1")
    ids = torch.tensor([tokenizer.encode(TEXT)])
    row = live.attention_weights(rounded(model), ids)[1, 0, 0, 1]
    said = re.findall(r"([\d.]+)%", page.text_content(".gpt-said"))
    assert float(said[0]) == pytest.approx(100 * row.max().item(), abs=0.6)


def test_merges_end_where_encode_does(show, tokenizer):
    page = show(live.show_merges, tokenizer, TEXT)
    page.wait_for_selector(".gpt-piece")
    assert page.locator(".gpt-new").count() > 0  # half-way, something merged
    page.focus(".gpt-step")
    page.keyboard.press("End")
    shown = page.eval_on_selector_all(
        ".gpt-piece", "all => all.map((p) => p.textContent)")
    assert [s.replace("\u00b7", " ") for s in shown] == [
        tokenizer.decode([i]) for i in tokenizer.encode(TEXT)]
    page.keyboard.press("Home")
    assert page.locator(".gpt-piece").count() == len(TEXT)
    assert page.is_disabled(".gpt-back")
    page.click(".gpt-on")
    first = page.text_content(".gpt-said")
    assert first.startswith("Merge 1 of")
    page.fill(".gpt-own", "xyz \u611b")
    page.wait_for_function("document.querySelector('.gpt-said')"
                           ".textContent.includes('for 7 bytes')")


def test_the_bill_of_the_cache_is_counted_in_both_places(
        show, model, tokenizer):
    page = show(live.show_cache, model, tokenizer, TEXT)
    still = page.text_content(".gpt-said")
    plain, cached = live.products(
        model.config, 1 + len(tokenizer.encode(TEXT)), live.NEW_TOKENS)
    assert f"{sum(plain) / sum(cached):.1f} times as many" in still
    page.click("form button")
    page.wait_for_function("document.querySelector('.gpt-said')"
                           ".textContent.includes('your machine')")
    assert page.text_content(".gpt-said").startswith(still)
    assert "same both ways" in page.text_content(".gpt-status")
    page.focus(".gpt-place")
    page.keyboard.press("Home")
    assert page.text_content(".gpt-said").startswith("Token 1:")


def test_products_need_room_in_the_context(model):
    with pytest.raises(ValueError, match="70 tokens do not fit"):
        live.products(model.config, 31, 40)


def test_several_stand_on_one_page(show, tokenizer):
    page = show(live.show_merges, tokenizer, TEXT, times=2)
    page.wait_for_function("document.querySelectorAll('.gpt-new').length >= 2")


def test_in_the_book_the_weights_stand_beside_the_page(
        show, model, tokenizer, monkeypatch, tmp_path):
    monkeypatch.setenv(live.ADDRESS, "weights/own.js")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "own.js").write_text(
        model_script("own", model, tokenizer))
    page = show(live.show_attention, model, tokenizer, TEXT)
    data = json.loads(page.text_content(".gpt-data"))
    assert data["source"] == "weights/own.js"
    before = page.text_content(".gpt-said")
    asks(page, "near the water")
    page.wait_for_function("text => document.querySelector('.gpt-said')"
                           ".textContent !== text", arg=before)


def test_a_function_of_the_script_is_shown_whole(monkeypatch):
    shown = []
    monkeypatch.setattr("course_lib.showing.page.display",
                        lambda markdown: shown.append(markdown.data))
    show_script("attention")
    show_script("windowStart")
    assert shown[0].startswith("```js\n/* (n, C) -> (n, C): each token's mean")
    assert shown[0].endswith("return this.linear(`${name}.c_proj`, y, n);"
                             "\n}\n```")
    assert shown[1].startswith("```js\n/* Where the window")
    with pytest.raises(ValueError, match="has no nothing"):
        show_script("nothing")

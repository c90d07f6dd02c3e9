"""What a reader does with a page in which models speak, and what Python says
to it."""

import torch

from course_lib.model.cache import window_start
from course_lib.sampling.drawing import probabilities
from course_lib.sharing.browser_format import rounded

BARS = """model => [...model.querySelectorAll('.gpt-bars button')].map((b) => [
  b.querySelector('.gpt-token').textContent,
  parseFloat(b.querySelector('.gpt-model-s').style.width) / 100,
  parseFloat(b.querySelector('.gpt-now').style.width) / 100])"""
# settings of a page as those of sampling: temperature, top-k, top-p
MOVES = (("temperature", 1.6, (1.6, None, 0.95)),
         ("top-p", 0.3, (1.6, None, 0.3)), ("top-p", 1, (1.6, None, None)),
         ("top-k", 3, (1.6, 3, None)), ("temperature", 0, (0, 3, None)))


def stop(page):
    """Press the button, if there is still something to stop."""
    page.evaluate("document.querySelector('.gpt-stop').click()")
    page.wait_for_selector(".gpt-write:enabled")


def choose(page, name: str, value):
    """Move a slider."""
    page.eval_on_selector(
        f".gpt-{name}", "(input, value) => { input.value = value;"
        " input.dispatchEvent(new Event('input')); }", str(value))


def texts(page, name: str) -> list[str]:
    """One part of every model."""
    return page.eval_on_selector_all(
        f".gpt-{name}", "all => all.map((part) => part.textContent)")


def change(page, name: str, before: list[str]):
    """Wait until that part of every model is another."""
    page.wait_for_function(
        "([name, before]) => [...document.querySelectorAll(`.gpt-${name}`)]"
        ".every((part, i) => part.textContent !== before[i])",
        arg=[name, before], timeout=60_000)


@torch.no_grad()
def row(model, tokenizer, ids: list[int]):
    """(1, V) logits of what follows the ids, in Python, with the weights
    that a browser gets."""
    near = rounded(model).double()
    start = window_start(len(ids), model.config.context_length)
    return near(torch.tensor([ids[start:]]))[:, -1]


def agrees(part, model, tokenizer, settings) -> None:
    """Assert that a model's element shows what Python computes for its text
    with (temperature, top-k, top-p)."""
    ids = [int(i) for i in part.query_selector(".gpt-text").get_attribute(
        "data-ids").split()]
    assert tokenizer.decode(ids) == part.query_selector(
        ".gpt-text").text_content()
    logits = row(model, tokenizer, ids)
    before, after = probabilities(logits)[0], probabilities(
        logits, *settings)[0]
    assert part.query_selector(".gpt-kept").text_content().startswith(
        f"{int((after > 0).sum()):,} of {len(after):,} tokens")
    best = before.sort(descending=True, stable=True).indices
    for token, (_, first, second) in zip(best, part.evaluate(BARS)):
        assert abs(first - before[token]) < 1e-3
        assert abs(second - after[token]) < 1e-3

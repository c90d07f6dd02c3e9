"""The GPT in JavaScript computes what the one in Python computes."""

import json
import random
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib import stories
from course_lib.measuring.surprise import surprisal
from course_lib.model.cache import window_start
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.recipes import RECIPES
from course_lib.sampling import drawing
from course_lib.sampling.generation import generate
from course_lib.sampling.quantization import round_rows
from course_lib.sharing.browser_format import (
    browser_model,
    browser_tokenizer,
    rounded,
    script,
)
from course_lib.text.tokenizer import train_tokenizer

SHAPE = dict(vocab_size=400, context_length=24, n_layer=2, n_head=2,
             n_embd=20)  # of an odd number of fours, for the loops' ends
PARTS = {"gpt2": {}, "modern": RECIPES["modern"].model,
         "others": dict(mlp="relu2", tied=False, norm="rms", n_inner=33,
                        bias=False)}


@pytest.fixture(scope="module")
def page(browser):
    """A page with nothing in it but the engine."""
    page = browser.new_page()
    page.context.set_offline(True)
    page.add_script_tag(content=script("gpt.js"))
    yield page
    page.close()


@pytest.fixture(scope="module")
def tokenizer():
    texts = [stories.story(0, i) for i in range(60)]
    return train_tokenizer([*texts, "caf\u00e9 \u611b \n\n  9.5\t"], 400)


def make(parts) -> GPT:
    """A model whose every parameter matters, biases and norms too, and whose
    blocks say more than its embedding, or it would repeat one token."""
    torch.manual_seed(1)
    model = GPT(GPTConfig(**SHAPE, **parts)).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                weight.add_(torch.randn_like(weight) / 8)
            else:
                weight.mul_(8 if ".h." not in name else 40)
    return model


@pytest.fixture(scope="module", params=PARTS)
def model(request, page, tokenizer):
    """(what PyTorch computes with, in float64); the page holds the same."""
    model = make(PARTS[request.param])
    page.evaluate("file => { window.gpt = new GPT(file); }",
                  browser_model(model, tokenizer))
    return rounded(model).double()


def texts(count: int) -> list[str]:
    """Stories, code, white space, and characters of all of Unicode."""
    draw, found = random.Random(0), []
    code = Path(__file__).read_text(encoding="utf-8")
    known = [chr(c) for c in range(0x110000)
             if unicodedata.category(chr(c)) not in ("Cs", "Cn", "Co")]
    spaces = [c for c in known if c.isspace() or c == "\ufeff"]
    for number in range(count):
        at = draw.randrange(len(code))
        found.append("".join([
            stories.story(1, number)[:draw.randrange(400)],
            code[at:at + draw.randrange(300)],
            "".join(draw.choices(spaces + list("a'9-"),
                                 k=draw.randrange(20))),
            "".join(draw.choices(known, k=draw.randrange(30))),
            "".join(draw.choices("aA' \u00e9\u65e5\U0001f31e\n\t'sll", k=20)),
        ][number % 5:]))
    return found


def test_ids_are_the_tokenizer_s(page, tokenizer):
    wanted = ["", "<|endoftext|>", "\ufeffx", "a\u0085b \u3000 c",
              *texts(1000)]
    ids, back = page.evaluate(
        """([file, texts]) => {
          const tokenizer = new Tokenizer(file);
          const ids = texts.map((text) => tokenizer.encode(text));
          return [ids, ids.map((row) => tokenizer.decode(row))];
        }""", [browser_tokenizer(tokenizer), wanted])
    assert back == wanted
    for text, row in zip(wanted, ids, strict=True):
        assert row == tokenizer.encode(text), repr(text)


def test_real_books_give_the_same_ids(page, tokenizer, repo):
    sample = repo.parent / "shared" / "corpus" / "sample"
    if not sample.is_dir():
        pytest.skip("no ../shared")
    wanted = [path.read_text(encoding="utf-8")[5000:15000]
              for path in sorted(sample.rglob("*.txt"))[:20]]
    ids = page.evaluate(
        """([file, texts]) => { const tokenizer = new Tokenizer(file);
          return texts.map((text) => tokenizer.encode(text)); }""",
        [browser_tokenizer(tokenizer), wanted])
    assert wanted and ids == tokenizer.encode_batch(wanted)


def test_halves_of_characters_are_shown_as_python_shows_them(page, tokenizer):
    draw = random.Random(2)
    rows = [[draw.randrange(400) for _ in range(12)] for _ in range(300)]
    rows = [[i for i in row if i != tokenizer.eot] for row in rows]
    shown = page.evaluate(
        """([file, rows]) => { const tokenizer = new Tokenizer(file);
          return rows.map((ids) => tokenizer.decode(ids)); }""",
        [browser_tokenizer(tokenizer), rows])
    assert shown == [tokenizer.decode(row) for row in rows]


def test_the_window_stands_where_python_s_stands(page):
    places = [(n, T) for T in (1, 2, 3, 24, 25) for n in range(1, 90)]
    assert page.evaluate("rows => rows.map(([n, T]) => windowStart(n, T))",
                         places) == [window_start(*row) for row in places]


def logits(page, ids):
    return np.array(page.evaluate("ids => [...gpt.logits(ids)]", ids))


@torch.no_grad()
def of_python(model, ids):
    start = window_start(len(ids), model.config.context_length)
    return model(torch.tensor([ids[start:]]))[0, -1]


def test_probabilities_within_the_context_and_past_it(page, model):
    draw = random.Random(3)
    row = [draw.randrange(400) for _ in range(80)]
    page.evaluate("gpt.seen = []")
    for n in (1, 2, 5, 23, 24, 25, 26, 36, 37, 38, 60, 79, 80, 12, 3):
        ours, theirs = logits(page, row[:n]), of_python(model, row[:n])
        gap = (torch.from_numpy(ours).softmax(-1) - theirs.softmax(-1)).abs()
        assert gap.max() < 1e-6, n  # the promise is 1e-3
    # at so many scales the distribution says something
    assert 1.2 * np.log(1 / 400) < theirs.log_softmax(-1).max() < -0.01


def test_the_cache_changes_nothing_but_the_work(page, model):
    ids = list(range(40, 60))
    page.evaluate("gpt.seen = [], gpt.products = 0")
    with_cache = [logits(page, ids[:n]) for n in range(1, 21)]
    cheap = page.evaluate("gpt.products")
    page.evaluate("gpt.products = 0")
    for n, row in enumerate(with_cache, 1):
        page.evaluate("gpt.seen = []")
        assert np.abs(logits(page, ids[:n]) - row).max() < 1e-9
    assert page.evaluate("gpt.products") > 5 * cheap


def test_greedy_text_is_the_same_for_a_hundred_tokens(page, model):
    ids = [5, 17, 300]
    written = page.evaluate("""([ids, count]) => {
      const text = [...ids];
      while (count--) text.push(draw(
        probabilities(gpt.logits(text), { temperature: 0 }), 0.5));
      return text.slice(ids.length);
    }""", [ids, 100])
    [wanted] = generate(model, [ids], 100, temperature=0)
    assert written == wanted and len(set(wanted)) > 5


@pytest.mark.parametrize("temperature, k, p", [
    (1, None, None), (0.5, 7, None), (2, None, 0.9), (1, 40, 0.5),
    (0.1, 3, 0.99), (0, None, None), (1.3, 400, 1.0), (1, 1, None)])
def test_settings_reshape_as_in_python(page, temperature, k, p):
    row = torch.randn(400, generator=torch.Generator().manual_seed(4)) * 3
    row[10:20] = row[7]  # ties, which go by their ids
    ours = page.evaluate(
        "([z, given]) => [...probabilities(Float64Array.from(z), given)]",
        [row.tolist(), dict(temperature=temperature, topK=k or 0,
                            topP=1 if p is None else p)])
    wanted = drawing.probabilities(row[None].double(), temperature, k, p)[0]
    assert np.abs(np.array(ours) - wanted.numpy()).max() < 1e-12


def test_a_draw_follows_the_probabilities(page):
    row = [0.0, 0.25, 0.0, 0.5, 0.25, 0.0]
    places = [0, 0.2499, 0.25, 0.7499, 0.75, 0.9999, 1]
    assert page.evaluate(
        "([row, places]) => places.map((u) => draw(row, u))",
        [row, places]) == [1, 1, 3, 3, 4, 4, 4]


def test_attention_is_watched(page, model):
    seen = page.evaluate("""ids => {
      const rows = [];
      gpt.watch = (...row) => rows.push([...row.slice(0, 3), [...row[3]]]);
      gpt.seen = [];
      gpt.logits(ids);
      gpt.watch = null;
      return rows;
    }""", [1, 2, 3])
    assert len(seen) == 2 * 2 * 3
    for _, _, place, weights in seen:
        assert len(weights) == place + 1
        assert sum(weights) == pytest.approx(1)


def test_surprisal_can_be_had_from_the_logits(page, model):
    ids = [3, 99, 250, 4, 8] * 9
    nats = page.evaluate("""ids => ids.slice(1).map((id, place) =>
      -Math.log(softmax(gpt.logits(ids.slice(0, place + 1)))[id]))""", ids)
    assert nats == pytest.approx(surprisal(model, ids), abs=1e-6)


def test_rounding_is_that_of_the_package():
    weight = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    whole, scale = round_rows(weight)
    assert whole.abs().amax(1).tolist() == [127] * 5
    assert (whole * scale[:, None] - weight).abs().max() <= scale.max() / 2


def test_another_model_s_tokenizer_is_refused(tokenizer):
    model = GPT(GPTConfig(**SHAPE | dict(vocab_size=401)))
    with pytest.raises(ValueError, match="400 entries and the model 401"):
        browser_model(model, tokenizer)


def test_the_file_is_a_byte_for_each_weight(tokenizer):
    model = make(PARTS["modern"])
    size = len(json.dumps(browser_model(model, tokenizer)["weights"]))
    count = sum(p.numel() for p in model.parameters())
    assert count * 4 / 3 < size < count * 4 / 3 * 1.5

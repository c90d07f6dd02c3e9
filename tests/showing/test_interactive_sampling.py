"""The figure of temperature and top-p must show what the package computes."""

import re

import pytest
import torch
import vl_convert

from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT
from course_lib.sampling.drawing import probabilities
from course_lib.sampling.generation import generate
from course_lib.showing.interactive import show_chart
from course_lib.showing.interactive_sampling import (
    BARS,
    TEMPERATURES,
    TOP_PS,
    sampling_chart,
    sampling_grid,
    settings,
)
from course_lib.showing.texts import visible
from course_lib.text.tokenizer import train_tokenizer

PROMPT = "the cat"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["the cat saw a red house \x01\n near water "] * 9,
                           280)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = GPT(GPTConfig(280, 16, 1, 2, 16)).eval()
    with torch.no_grad():
        model.head.normal_(std=0.4)
    return model


@pytest.fixture(scope="module")
def grid(model, tokenizer):
    return sampling_grid(model, tokenizer, PROMPT, tokens=6, samples=2)


def test_it_opens_on_the_row_that_the_model_gives(model, tokenizer, grid):
    with torch.no_grad():
        logits = model(torch.tensor([tokenizer.encode(PROMPT)]))[:, -1]
    row = probabilities(logits)[0].sort(descending=True).values
    assert grid.before[:BARS] == pytest.approx(row[:BARS].tolist(), abs=1e-4)
    assert grid.before[BARS] == pytest.approx(
        row[BARS:].sum().item(), abs=1e-4)
    assert grid.after[settings().index((1.0, 1.0))] == grid.before


def shown(grid, t, p):
    """The texts of the figure, drawn with its sliders at a setting."""
    picture = vl_convert.vegalite_to_svg(sampling_chart(grid, t, p).to_dict())
    lines = re.findall(r"<t(?:ext|span)\b[^>]*>([^<]+)<", picture)
    return [line.replace("&lt;", "<").replace("&gt;", ">")
            .replace("&quot;", '"').replace("&amp;", "&") for line in lines]


@pytest.mark.parametrize("t", [TEMPERATURES[0], 0.6, 1.0, TEMPERATURES[-1]])
@pytest.mark.parametrize("p", [TOP_PS[0], 0.7, TOP_PS[-1]])
def test_every_setting_shows_its_own(model, tokenizer, grid, t, p):
    ids = tokenizer.encode(PROMPT)
    with torch.no_grad():
        row = probabilities(model(torch.tensor([ids]))[:, -1], t, top_p=p)[0]
    texts = shown(grid, t, p)
    assert f"{(row > 0).sum()} of 280 tokens have a chance" in texts
    top = row.sort(descending=True).values
    shares = [*top[:BARS].tolist(), 1 - top[:BARS].sum().item()]
    wanted = [f"{share:.1%}" for share in shares if round(share, 4)]
    found = [text for text in texts if re.fullmatch(r"[\d.]+\.\d%", text)]
    assert len(found) == len(wanted)
    for left, right in zip(found, wanted):
        assert float(left[:-1]) == pytest.approx(float(right[:-1]), abs=0.11)
    written = "".join("".join(texts).split())
    for new in generate(model, [ids] * 2, 6, t, top_p=p, seed=0,
                        stop_id=tokenizer.eot):
        text = "".join(c for c in PROMPT + tokenizer.decode(new)
                       if c.isprintable() and c not in " \ufffd")
        assert text in written.replace("\ufffd", "")


def test_the_settings_differ(grid):
    assert len({tuple(row) for row in grid.after}) > 50
    assert len({tuple(texts) for texts in grid.texts}) > 10


def test_refuses_a_setting_that_no_slider_reaches(grid):
    with pytest.raises(ValueError, match="no slider stands at"):
        sampling_chart(grid, 0.5, 1.0)


OUTSIDE = """() => {
  const svg = document.querySelector('.interactive svg');
  const room = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter((text) => {
    const { left, right } = text.getBoundingClientRect();
    return left < room.left - 1 || right > room.right + 1;
  }).map((text) => text.textContent);
}"""


@pytest.mark.slow
def test_the_keyboard_moves_it_without_a_network(grid, browser, monkeypatch):
    """Each slider, a step at a time, shows what belongs to the setting."""
    data = []
    monkeypatch.setattr("course_lib.showing.interactive.display",
                        lambda found, raw: data.append(found))
    show_chart(sampling_chart(grid), "Bars and texts.")
    page = browser.new_page(viewport={"width": 375, "height": 800})
    page.context.set_offline(True)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_content(data[0]["text/html"])
    page.wait_for_selector(".interactive svg")
    temperature, top_p = page.query_selector_all("input[type=range]")

    def left():
        page.wait_for_timeout(200)
        [line] = re.findall(r"([\d,]+) of 280 tokens",
                            page.text_content(".interactive svg"))
        return int(line)

    t, p = TEMPERATURES.index(1.0), TOP_PS.index(1.0)
    assert left() == grid.kept[settings().index((1.0, 1.0))] == 280
    for control, key, dt, dp in ((top_p, "ArrowLeft", 0, -1),
                                 (top_p, "ArrowLeft", 0, -1),
                                 (temperature, "ArrowRight", 1, 0),
                                 (temperature, "End", 4, 0),
                                 (top_p, "ArrowLeft", 0, -1),
                                 (temperature, "Home", -9, 0)):
        control.press(key)
        t, p = t + dt, p + dp
        place = settings().index((TEMPERATURES[t], TOP_PS[p]))
        assert left() == grid.kept[place]
        drawn = "".join(page.text_content(".interactive svg").split())
        for text in grid.texts[place]:
            assert "".join(visible(text).split()) in drawn
        assert page.evaluate(OUTSIDE) == []
    top_p.press("Home")  # one token takes it all, the longest label
    page.wait_for_timeout(200)
    assert "100.0%" in page.text_content(".interactive svg")
    assert page.evaluate(OUTSIDE) == []
    assert errors == []
    page.close()

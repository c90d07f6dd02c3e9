"""The figure in which a reader turns temperature and top-p (chapter 5).

Everything that the sliders can ask for is computed before: for each setting
the distribution of the next token, by `sampling.probabilities` itself, and a
few continuations. The figure looks up, and needs no weights.
"""

import json
import textwrap
from dataclasses import dataclass

import altair as alt
import torch

from course_lib.model.gpt import GPT
from course_lib.sampling.drawing import probabilities
from course_lib.sampling.generation import generate
from course_lib.sharing.colored import token_name, visible
from course_lib.showing.interactive import WIDTH
from course_lib.showing.plots import PALETTE
from course_lib.text.tokenizer import Tokenizer

TEMPERATURES = [round(0.2 * i, 1) for i in range(1, 11)]
TOP_PS = [round(0.1 * i, 1) for i in range(1, 11)]
BARS = 12  # the likeliest tokens have one each, all others share the last
LETTERS, LINES = 42, 4  # of a continuation: characters a line, lines at most
LEFT = 74  # pixels that the bars' labels take


@dataclass(frozen=True)
class Grid:
    """What stands behind the sliders. Settings are in the order of
    `settings()`, tokens in that of their probability."""

    prompt: str
    vocabulary: int
    tokens: list[str]
    before: list[float]  # (BARS + 1), as the model gives them
    after: list[list[float]]  # (settings, BARS + 1)
    kept: list[int]  # (settings), tokens with a chance left
    texts: list[list[str]]  # (settings, samples)


def settings() -> list[tuple[float, float]]:
    """(temperature, top-p) of every place the sliders can stand at."""
    return [(t, p) for t in TEMPERATURES for p in TOP_PS]


@torch.no_grad()
def sampling_grid(model: GPT, tokenizer: Tokenizer, prompt: str,
                  tokens: int = 40, samples: int = 4, seed: int = 0) -> Grid:
    """Distribution after a prompt and continuations, at every setting.

    The same seed everywhere: what differs is the settings' doing.
    """
    ids = tokenizer.encode(prompt)
    device = model.head.device
    logits = model(torch.tensor([ids], device=device))[:, -1].cpu()  # (1, V)
    likeliest = logits[0].sort(descending=True, stable=True).indices[:BARS]

    def bars(row):
        shown = row[likeliest].tolist()
        return [round(p, 4) for p in [*shown, max(0.0, 1 - sum(shown))]]

    rows = [probabilities(logits, t, top_p=p)[0] for t, p in settings()]
    texts = [[prompt + tokenizer.decode(new) for new in generate(
        model, [ids] * samples, tokens, t, top_p=p, seed=seed,
        stop_id=tokenizer.eot)] for t, p in settings()]
    return Grid(prompt, logits.size(-1),
                [token_name(tokenizer, i) for i in likeliest.tolist()],
                bars(probabilities(logits)[0]), [bars(row) for row in rows],
                [int((row > 0).sum()) for row in rows], texts)


def sampling_chart(grid: Grid, temperature: float = 1.0, top_p: float = 1.0,
                   ) -> alt.VConcatChart:
    """The distribution before (outlined) and after (filled), and what is
    written with it; opens at the given setting.

    Raises ValueError for a setting at which no slider can stand.
    """
    if (temperature, top_p) not in settings():
        raise ValueError(f"no slider stands at temperature {temperature}, "
                         f"top-p {top_p}")
    sliders = [alt.param(name=name, value=value, bind=alt.binding_range(
        min=among[0], max=among[-1], step=among[1] - among[0],
        name=f"{name.replace('_', '-')} ")) for name, value, among in (
        ("temperature", temperature, TEMPERATURES),
        ("top_p", top_p, TOP_PS))]
    place = (f"(round(temperature / {TEMPERATURES[0]}) - 1) * {len(TOP_PS)} "
             f"+ round(top_p / {TOP_PS[0]}) - 1")
    names = [*grid.tokens, f"{grid.vocabulary - len(grid.tokens):,} others"]
    rows = [dict(place=number, before=grid.before[number],
                 after=[row[number] for row in grid.after])
            for number in range(len(names))]
    base = alt.Chart(alt.Data(values=rows)).transform_calculate(
        now=f"datum.after[{place}]",
        share="datum.now ? format(datum.now, '.1%') : ''")
    y = alt.Y("place:O", title=None, axis=alt.Axis(
        labelExpr=f"{json.dumps(names)}[datum.value]",
        labelFont="monospace", labelLimit=LEFT))
    scale = alt.Scale(domain=[0, 1])
    x = alt.X("now:Q", scale=scale, title="probability of the next token",
              axis=alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1]))
    bars = alt.layer(
        base.mark_bar(color=PALETTE[0]).encode(x=x, y=y),
        base.mark_bar(filled=False, stroke="#888", strokeWidth=1.5).encode(
            x=alt.X("before:Q", scale=scale), y=y),
        base.mark_text(align="left", dx=5).encode(
            x=alt.X("end:Q", scale=scale), y=y, text="share:N"
        ).transform_calculate(end="max(datum.now, datum.before)"),
    ).properties(width=WIDTH - LEFT, height=18 * len(names))
    kept = [f"{count:,} of {grid.vocabulary:,} tokens have a chance"
            for count in grid.kept]
    texts = _texts(place, [kept] + [[*column] for column in zip(
        *(map(_wrapped, texts) for texts in grid.texts))])
    return alt.vconcat(bars, texts, spacing=8).add_params(
        *sliders).configure_view(stroke=None)


def _wrapped(text: str) -> str:
    """A continuation in lines."""
    return "\n".join(textwrap.wrap(visible(text), LETTERS, max_lines=LINES,
                                   placeholder=" \u2026"))


def _texts(place: str, blocks: list[list[str]]) -> alt.Chart:
    """Blocks of text below each other, from where the bars' labels start;
    each block has one text a setting."""
    rows, tops = [], [0] * len(blocks[0])
    for texts in blocks:
        rows.append(dict(texts=texts, tops=tops))
        tops = [top + 15 * text.count("\n") + 22
                for top, text in zip(tops, texts)]
    return alt.Chart(alt.Data(values=rows)).transform_calculate(
        line=f"datum.texts[{place}]", top=f"datum.tops[{place}]").mark_text(
        align="left", baseline="top", fontSize=13, lineBreak="\n",
        lineHeight=15).encode(
        x=alt.value(-LEFT), y=alt.Y("top:Q", scale=None, axis=None),
        text="line:N").properties(width=WIDTH - LEFT, height=max(tops))

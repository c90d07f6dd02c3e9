"""Figures that answer to sliders, drawn by Vega-Altair, offline (chapter 1).

A figure is a Vega-Lite specification, and a page holds all that it takes to
run it. The sliders are the browser's own, so the keyboard moves them. Where
no script runs, in print or in a reader without JavaScript, the same
specification stands there as a still picture.
"""

import html
import json
import re
from uuid import uuid4

import altair as alt
import vl_convert
from IPython.display import display

from course_lib.model.config import GPTConfig
from course_lib.showing.plots import PALETTE

# FLOP follow `model.flops_by_part`: 6 a weight, 12 T C a layer for scores.
PARTS = {
    "token table, head": ("V * C", "6 * V * C"),
    "position table": ("T * C", "0"),
    "attention": ("L * (4 * C * C + 4 * C)",
                  "L * (24 * C * C + 12 * T * C)"),
    "MLP": ("L * (8 * C * C + 5 * C)", "L * 48 * C * C"),
    "norms": ("(2 * L + 1) * 2 * C", "0"),
}
MARGIN = 46  # for "100.0%" at the end of the longest bar
WIDTH = 540  # pixels of a plot; with its labels it fills the column
VOCABULARIES = [512, 1_024, 4_096, 8_192, 16_384, 32_768, 50_304, 100_288]
CONTEXTS = [64, 128, 256, 512, 1_024, 2_048, 4_096]
TOTALS = [  # a checkpoint holds the weights and AdamW's two averages
    "format(datum.N, ',') + ' parameters, ' + datum.C + ' channels'",
    "format(datum.F / 1e6, ',.1f') + ' MFLOP to train on one token'",
    "format(datum.N * 16 / 1e9, '.2f') + ' GB: weights, gradients, AdamW'",
    "format(datum.N * 12 / 1e9, '.2f') + ' GB a checkpoint'",
]


def shape_chart(config: GPTConfig) -> alt.VConcatChart:
    """Parameters and training FLOP by part, as layers, heads, channels a
    head, vocabulary and context change; it opens at `config`. Memory is in
    GB of 1e9 bytes, float32, without activations.

    Raises ValueError when `config` is not among the choices.
    """
    d, remainder = divmod(config.n_embd, config.n_head)
    choices = {
        "L": ("layers", config.n_layer, range(1, 49)),
        "H": ("heads", config.n_head, range(1, 33)),
        "d": ("channels a head", d, [32, 64, 80, 128]),
        "V": ("vocabulary", config.vocab_size, VOCABULARIES),
        "T": ("context", config.context_length, CONTEXTS)}
    for label, value, among in choices.values():
        if value not in among:
            raise ValueError(f"{label} = {value} is not among the choices: "
                             f"{', '.join(map(str, among))}")
    chosen = [alt.param(name=name, value=value, bind=_control(label, among))
              for name, (label, value, among) in choices.items()]
    data = alt.Data(values=[dict(part=part, place=place)
                            for place, part in enumerate(PARTS)])
    base = alt.Chart(data).transform_calculate(
        C="H * d").transform_calculate(
        parameters=_by_part(0), flop=_by_part(1))
    bars = [_bars(base, field, title, color) for field, title, color in (
        ("parameters", "parameters", PALETTE[0]),
        ("flop", "FLOP to train on one token", PALETTE[1]))]
    totals = alt.layer(*(
        base.transform_aggregate(
            N="sum(parameters)", F="sum(flop)", C="max(C)"
        ).transform_calculate(line=line).mark_text(
            align="left", fontSize=13).encode(
            x=alt.value(0), y=alt.value(10 + 19 * place), text="line:N")
        for place, line in enumerate(TOTALS))
    ).properties(width=WIDTH, height=80)
    return alt.vconcat(*bars, totals, spacing=14).add_params(
        *chosen).configure_view(stroke=None)


def _control(label: str, among):
    if isinstance(among, range):
        return alt.binding_range(min=among[0], max=among[-1], step=1,
                                 name=f"{label} ")
    return alt.binding_select(options=list(among), name=f"{label} ")


def _by_part(place: int) -> str:
    """One Vega expression that gives each part its own formula."""
    expression = "0"
    for part, formulas in PARTS.items():
        formula = formulas[place].replace("C", "datum.C")
        expression = f"datum.part == '{part}' ? {formula} : {expression}"
    return expression


def _bars(base, field: str, title: str, color: str):
    y = alt.Y("part:N", sort=list(PARTS), title=None)
    bar = base.mark_bar(color=color).encode(
        y=y, x=alt.X(f"{field}:Q", title=title,
                     axis=alt.Axis(format="~s", tickCount=4)))
    share = base.transform_joinaggregate(
        total=f"sum({field})").transform_calculate(
        share=f"format(datum.{field} / datum.total, '.0%')").mark_text(
        align="left", dx=4).encode(y=y, x=f"{field}:Q", text="share:N")
    return (bar + share).properties(width=WIDTH - 50, height=125)


def show_chart(chart, what: str) -> None:
    """Display a chart that works without a network, as wide as the column,
    and no wider than a phone. `what` says in a sentence what it shows, for
    those who do not see it."""
    spec = chart.to_dict()
    spec["description"] = what
    # labels may grow as a slider moves, and nothing is laid out anew then
    spec["padding"] = dict(left=5, top=5, bottom=5, right=MARGIN)
    spec.setdefault("config", {}).update(
        background="transparent", font="sans-serif",
        mark=dict(color=PALETTE[0]), range=dict(category=PALETTE),
        axis=dict(gridColor="#8884", domainColor="#888", tickColor="#888",
                  labelFontSize=12, labelSeparation=6, titleFontSize=12,
                  titleFontWeight="normal"))
    picture = vl_convert.vegalite_to_svg(spec)
    wide = re.search(r'<svg[^>]* width="([\d.]+)', picture)[1]
    name = f"chart-{uuid4().hex[:8]}"
    options = dict(mode="vega-lite", actions=False, renderer="svg")
    page = f"""
<div class="interactive" id="{name}" role="group"
 aria-label="{html.escape(what, quote=True)}"></div>
<noscript>{picture}</noscript>
<script>(() => {{ if (!window.vegaEmbed) {{
{vl_convert.javascript_bundle()}
}}
const spec = {json.dumps(spec)};
const room = document.getElementById("{name}").clientWidth || {wide};
for (const view of [spec, ...spec.vconcat ?? []])
  if (view.width) view.width -= Math.max(0, {wide} - room);
vegaEmbed("#{name}", spec, {json.dumps(options)});
}})();</script>"""
    display({"text/html": page,
             "image/png": vl_convert.vegalite_to_png(spec, scale=2),
             "text/plain": what}, raw=True)

"""What money buys, with a slider for the dollars (chapter 2).

The figure computes in the reader's browser what `scaling.plan` computes here:
hours, FLOP, the best split and the predicted loss, with the intervals of all
resamples of the published fit. `interactive.show_chart` shows it.
"""

import altair as alt

from course_lib.machine.gpus import GPUS, find_gpu
from course_lib.scaling.fits import Bootstrap, published_fit
from course_lib.scaling.laws import NAMES
from course_lib.showing.interactive import WIDTH
from course_lib.showing.plots import PALETTE

SIZES = 33  # points of a curve, from 10^6.5 to 10^10 parameters
# Vega expressions, for a row that holds the constants of a law.
BEST_N = ("pow(datum.alpha * datum.A / (datum.beta * datum.B),"
          " 1 / (datum.alpha + datum.beta))"
          " * pow(flop / 6, datum.beta / (datum.alpha + datum.beta))")
LOSS = ("datum.E + datum.A * pow({N}, -datum.alpha)"
        " + datum.B * pow(flop / (6 * {N}), -datum.beta)")
TEXT = {  # `low` and `high` join the numbers of the best fit
    "N": "count(n_best) + ' parameters (' + count(datum.low) + ' to '"
         " + count(datum.high) + ')'",
    "D": "count(d_best) + ' tokens (' + count(datum.low) + ' to '"
         " + count(datum.high) + ')'",
    "L": "'loss ' + format(l_best, '.3f') + ' nats (' +"
         " format(datum.low, '.3f') + ' to ' + format(datum.high, '.3f')"
         " + ')'"}


def dollars_chart(dollars: int = 50, gpu: str = "V100", mfu: int = 40,
                  fits: Bootstrap | None = None) -> alt.VConcatChart:
    """The valley of a budget in US$ on a GPU that runs at `mfu` per cent of
    its peak, with the band of 90% of the resamples, and N*, D*, hours and
    loss below. Opens at the values given.

    Raises ValueError for a GPU that is not in the table and for values that
    no slider reaches.
    """
    for name, value, low, high in (("dollars", dollars, 1, 500),
                                   ("mfu", mfu, 5, 70)):
        if value not in range(low, high + 1):
            raise ValueError(f"{name} must be whole and from {low} to "
                             f"{high}, not {value}")
    fits = fits or published_fit()
    law = fits.fit.law
    table = {name: [one.dollars_per_hour, one.peak_at()]
             for name, one in GPUS.items()}
    best = {name: getattr(law, name) for name in NAMES}
    chosen = [
        alt.param(name="dollars", value=dollars, bind=alt.binding_range(
            min=1, max=500, step=1, name="US dollars ")),
        alt.param(name="gpu", value=find_gpu(gpu).name,
                  bind=alt.binding_select(options=list(GPUS), name="GPU ")),
        alt.param(name="mfu", value=mfu, bind=alt.binding_range(
            min=5, max=70, step=1, name="assumed MFU, % "))]
    derived = {
        "price": f"({table})[gpu][0]",
        "hours": "dollars / price",
        "flop": f"hours * 3600 * ({table})[gpu][1] * mfu / 100",
        "n_best": _with(BEST_N, best),
        "d_best": "flop / (6 * n_best)",
        "l_best": _with(LOSS.format(N="n_best"), best)}
    chosen += [alt.param(name=name, expr=expression)
               for name, expression in derived.items()]
    return alt.vconcat(
        _valley(best), _totals(), spacing=10, datasets=refits(fits),
    ).add_params(*chosen).configure_view(stroke=None)


def band() -> alt.Chart:
    """90% of the refits along the budget: `low` and `high` by size n."""
    return alt.Chart(alt.NamedData("refits")).transform_calculate(
        k=f"sequence({SIZES})").transform_flatten(["k"]).transform_calculate(
        n=f"pow(10, 6.5 + 3.5 * datum.k / {SIZES - 1})").transform_calculate(
        loss=LOSS.format(N="datum.n")).transform_quantile(
        "loss", probs=[0.05, 0.95], groupby=["n"], as_=["share", "value"],
    ).transform_aggregate(
        low="min(value)", high="max(value)", groupby=["n"])


def _with(expression: str, constants: dict) -> str:
    """The expression with one law's constants in place of a row's."""
    for name, value in constants.items():
        expression = expression.replace(f"datum.{name}", repr(float(value)))
    return expression


def refits(fits: Bootstrap) -> dict[str, list]:
    """The resamples as a data set of the figure, one row a law."""
    columns = [getattr(fits.laws, name) for name in NAMES]
    return {"refits": [
        {name: float(f"{value:.9g}") for name, value in zip(NAMES, row)}
        for row in zip(*columns)]}


def _valley(best: dict) -> alt.LayerChart:
    x = alt.X("n:Q", title="parameters", scale=alt.Scale(
        type="log", domain=[10**6.5, 1e10], nice=False),
        axis=alt.Axis(format="~s", values=[1e7, 1e8, 1e9, 1e10],
                      labelExpr="replace(datum.label, 'G', 'B')"))
    # from the best of the largest budget to the best of the smallest, and
    # room to climb: what lies higher is cut off, not laid flat
    y = alt.Scale(type="log", domain=[2, 8], nice=False)
    area = band().mark_area(opacity=0.3, color=PALETTE[0], clip=True)
    line = alt.Chart(alt.sequence(0, SIZES, as_="k")).transform_calculate(
        n=f"pow(10, 6.5 + 3.5 * datum.k / {SIZES - 1})").transform_calculate(
        loss=_with(LOSS.format(N="datum.n"), best)).mark_line(
        color=PALETTE[0], clip=True)
    dot = alt.Chart(alt.Data(values=[{}])).transform_calculate(
        n="n_best", loss="l_best").mark_point(
        color=PALETTE[1], filled=True, size=70, opacity=1)
    title = "predicted loss (nats per token)"
    return alt.layer(
        area.encode(x=x, y=alt.Y("low:Q", scale=y, title=title, axis=alt.Axis(
            values=[2, 3, 4, 5, 6, 7, 8])),
                    y2="high:Q"),
        line.encode(x=x, y=alt.Y("loss:Q", scale=y, title=title)),
        dot.encode(x=x, y=alt.Y("loss:Q", scale=y, title=title)),
    ).properties(width=WIDTH, height=260)


def _totals() -> alt.LayerChart:
    plain = alt.Chart(alt.Data(values=[{}]))
    lines = [
        plain.transform_calculate(
            line="'$' + dollars + ': ' + format(hours, ',.1f') + ' hours of "
            "a ' + gpu + ' at $' + format(price, '.2f')"),
        plain.transform_calculate(
            line="format(flop, '.2e') + ' FLOPs at ' + mfu + '% of its "
            "peak'")]
    spread = alt.Chart(alt.NamedData("refits")).transform_calculate(
        N=BEST_N).transform_calculate(
        D="flop / (6 * datum.N)", L=LOSS.format(N="n_best"))
    for field, text in TEXT.items():
        lines.append(spread.transform_quantile(
            field, probs=[0.05, 0.95], as_=["share", "value"],
        ).transform_aggregate(
            low="min(value)", high="max(value)",
        ).transform_calculate(line=_counted(text)))
    return alt.layer(*(
        line.mark_text(align="left", fontSize=13).encode(
            x=alt.value(0), y=alt.value(10 + 19 * place), text="line:N")
        for place, line in enumerate(lines))
    ).properties(width=WIDTH, height=19 * len(lines))


def _counted(text: str) -> str:
    """`count(x)` as Vega writes it: 50.3M, and B where d3 says G."""
    for value in ("n_best", "d_best", "datum.low", "datum.high"):
        text = text.replace(f"count({value})",
                            f"replace(format({value}, '.3s'), 'G', 'B')")
    return text

"""The bill of the full model with its assumptions as controls (chapter 6).

The steps are those of the chapter's own figure; what a reader may doubt, the
share of the card's peak, the card, its price and the recipe, can be moved.
`interactive.show_chart` shows it.
"""

import altair as alt

from course_lib.machine.gpus import GPUS, find_gpu
from course_lib.showing.interactive import WIDTH
from course_lib.showing.plots import PALETTE

MFUS, PRICES = (5, 70), (20, 200)  # per cent
LEAST, MOST = 0.02, 500  # US$ between which bars are drawn


def bill_chart(paid: float, real: float, longer: float, reached: float,
               recipes: dict[str, float], mfu: int = 40, gpu: str = "A100",
               price: int = 100, recipe: str | None = None,
               before: str = "V100") -> alt.LayerChart:
    """What is left of `paid` US$ after each step: `real`, the share of the
    positions that is text; `longer`, what longer rows cost; from `reached` to
    `mfu` of the peak (one a share, one in per cent); from the card `before`
    to `gpu` at `price` per cent of its list price; and the work that a
    recipe needs, a factor each. The first of the recipes without `recipe`.

    Raises ValueError for what no control reaches.
    """
    recipe = recipe or next(iter(recipes))
    for name, value, (low, high) in (("mfu", mfu, MFUS),
                                     ("price", price, PRICES)):
        if value not in range(low, high + 1):
            raise ValueError(f"{name} must be whole and from {low} to "
                             f"{high}, not {value}")
    if recipe not in recipes:
        raise ValueError(f"recipe {recipe!r} is none of "
                         f"{', '.join(recipes)}")
    old = find_gpu(before)
    cost = {name: one.dollars_per_hour / one.peak_at()
            / (old.dollars_per_hour / old.peak_at())
            for name, one in GPUS.items()}
    controls = [
        alt.param(name="mfu", value=mfu, bind=alt.binding_range(
            min=MFUS[0], max=MFUS[1], step=1, name="assumed MFU, % ")),
        alt.param(name="gpu", value=find_gpu(gpu).name,
                  bind=alt.binding_select(options=list(GPUS), name="card ")),
        alt.param(name="price", value=price, bind=alt.binding_range(
            min=PRICES[0], max=PRICES[1], step=5, name="of its price, % ")),
        alt.param(name="recipe", value=recipe, bind=alt.binding_select(
            options=list(recipes), name="recipe "))]
    # plain floats: others would be written in a way that Vega cannot read
    recipes = {name: float(factor) for name, factor in recipes.items()}
    steps = {"paid in 2023": f"{paid:.9g}", "padding left out": f"{real:.9g}",
             "longer rows": f"{longer:.9g}",
             "more of the peak": f"{100 * reached:.9g} / mfu",
             "another card": f"({cost})[gpu] * price / 100",
             "another recipe": f"({recipes})[recipe]"}
    lefts, left = [], ""
    for place, factor in enumerate(steps.values()):
        left = f"left{place - 1} * {factor}" if place else factor
        lefts.append(alt.param(name=f"left{place}", expr=left))
    return _drawn(list(steps)).add_params(*controls, *lefts).configure_view(
        stroke=None)


def _drawn(names: list[str]) -> alt.LayerChart:
    """A bar from what was left before a step to what is left after it."""
    lefts = f"[{', '.join(f'left{place}' for place in range(len(names)))}]"
    base = alt.Chart(alt.Data(values=[
        dict(step=name, place=place) for place, name in enumerate(names)]
    )).transform_calculate(
        after=f"{lefts}[datum.place]",
        before=f"datum.place ? {lefts}[datum.place - 1] : {LEAST}",
        text="'$' + format(datum.after, '.2f')")
    y = alt.Y("step:N", sort=names, title=None, axis=alt.Axis(labelLimit=140))
    x = alt.X("after:Q", title="US$ left", scale=alt.Scale(
        type="log", domain=[LEAST, MOST], clamp=True, nice=False),
        axis=alt.Axis(values=[0.1, 1, 10, 100], format="$~f"))
    color = alt.Color("place:O", legend=None, scale=alt.Scale(
        domain=list(range(len(names))), range=[
            "#777777", *PALETTE[:1] * 2, *PALETTE[1:2] * 2, PALETTE[2]]))
    saves = "datum.place && datum.after < datum.before"
    return alt.layer(
        base.mark_bar().encode(x=x, x2="before:Q", y=y, color=color),
        base.transform_filter(saves).mark_text(align="right", dx=-5).encode(
            x=x, y=y, text="text:N"),
        base.transform_filter(f"!({saves})").mark_text(
            align="left", dx=5).encode(x=x, y=y, text="text:N"),
    ).properties(width=WIDTH - 30, height=200)

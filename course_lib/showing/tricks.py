"""Which tricks are on: recorded runs, of which a reader chooses one
(chapters 4 and 6).

A figure without a script: each line is a radio button, and the style sheet
shows the curve of the one that is chosen. So it answers wherever HTML is
shown, and where nothing can be chosen it shows the line it opens at.
"""

import html
import math
from dataclasses import dataclass
from uuid import uuid4

from IPython.display import display

from course_lib.showing.page import styled

WIDTH, HEIGHT = 280, 230  # of a curve's picture, with its labels
LEFT, RIGHT, TOP, BOTTOM = 24, 18, 26, 40  # of its frame
STRIP = 110  # pixels in which the ends of a line's runs lie


@dataclass(frozen=True)
class Trick:
    """A recipe with one more trick, or one fewer: for each seed the curve,
    (x, y) by (x, y), and where it `ended`; whether the trick was `kept` by
    the lines below."""

    name: str
    curves: list[list[tuple[float, float]]]
    ended: list[float]
    kept: bool = True


@dataclass(frozen=True)
class Axes:
    """What the curves are drawn over; `ticks` of x, which is logarithmic,
    with their labels."""

    x: str
    y: str
    ticks: dict[float, str]


def show_tricks(tricks: list[Trick], axes: Axes, what: str,
                chosen: int | None = None, ladder: bool = False) -> None:
    """Display the figure. On a ladder each line adds to those that were kept
    above it, is compared with the last of them, and has a tick when it is
    on; elsewhere each is compared with the first alone. It opens at the
    `chosen` one, without which at the last that was kept. `what` says in a
    sentence what it shows."""
    name = f"tricks-{uuid4().hex[:8]}"
    kept = [place for place, one in enumerate(tricks) if one.kept]
    chosen = kept[-1] if chosen is None else chosen
    rows = [f'<p class="trick-head">{html.escape(axes.y)} at the end</p>']
    most = max(max(one.ended) for one in tricks)
    for place, one in enumerate(tricks):
        before = max((k for k in kept if k < place), default=0) \
            if ladder else 0
        shown = {"with": one}
        if place:
            shown["first"] = tricks[0]
        if before:
            shown["without"] = tricks[before]
        rows.append(f"""
<input type="radio" name="{name}" id="{name}-{place}"
 {"checked" if place == chosen else ""}>
<label for="{name}-{place}" {"" if one.kept else 'class="tried"'}>
<span>{html.escape(one.name)}</span>{_strip(one.ended, most)}</label>
<div class="trick">{_curves(shown, tricks, axes)}
<p class="trick-keys">{_keys(shown)}</p></div>""")
    kind = "tricks ladder" if ladder else "tricks"
    markup = styled(f'<div class="{kind}" role="group" aria-label='
                    f'"{html.escape(what)}">{"".join(rows)}</div>').data
    display({"text/html": markup, "text/plain": what}, raw=True)


def _strip(ended: list[float], most: float) -> str:
    """Where the runs of a line ended, from 0 to the worst of all."""
    places = [6 + (STRIP - 12) * end / most for end in ended]
    dots = "".join(f'<circle cx="{x:.1f}" cy="8" r="4"/>' for x in places)
    return (f'<svg viewBox="0 0 {STRIP} 16" width="{STRIP}" '
            f'aria-hidden="true"><path class="zero" d="M6 8'
            f'H{max(places):.1f}"/>{dots}</svg>')


def _curves(shown: dict[str, Trick], tricks: list[Trick], axes: Axes) -> str:
    """The picture of a line's curves and of those it is compared with, in
    the frame of all, so that lines can be compared as they are chosen."""
    points = [point for one in tricks for curve in one.curves
              for point in curve]
    lowest, highest = (f(math.log(x) for x, _ in points) for f in (min, max))
    top = max(y for _, y in points)

    def place(x, y):
        return (LEFT + (WIDTH - LEFT - RIGHT) * (math.log(x) - lowest)
                / (highest - lowest),
                HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * y / top)

    drawn = []
    for y in range(math.floor(top) + 1):
        height = place(points[0][0], y)[1]
        drawn.append(f'<path class="grid" d="M{LEFT} {height:.1f}'
                     f'H{WIDTH - RIGHT}"/><text x="{LEFT - 6}" '
                     f'y="{height + 4:.1f}" text-anchor="end">{y}</text>')
    for x, label in axes.ticks.items():
        drawn.append(f'<text x="{place(x, 0)[0]:.1f}" y="{HEIGHT - 24}" '
                     f'text-anchor="middle">{label}</text>')
    for kind, one in reversed(shown.items()):  # what is chosen lies on top
        for curve in one.curves:
            path = " ".join(f"{x:.1f},{y:.1f}"
                            for x, y in (place(*point) for point in curve))
            drawn.append(f'<polyline class="{kind}" points="{path}"/>')
    return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">'
            f'{"".join(drawn)}<text x="{(LEFT + WIDTH - RIGHT) / 2}" '
            f'y="{HEIGHT - 6}" text-anchor="middle">{html.escape(axes.x)}'
            f'</text><text x="0" y="12">{html.escape(axes.y)}</text></svg>')


def _keys(shown: dict[str, Trick]) -> str:
    """What the styles of the curves mean, and where each ended."""
    keys = ""
    for kind, one in shown.items():
        name = "without it" if kind == "without" else one.name
        ends = " and ".join(f"{end:.3f}" for end in one.ended)
        keys += ('<span><svg viewBox="0 0 28 8" width="28" aria-hidden="true">'
                 f'<polyline class="{kind}" points="0,4 28,4"/></svg> '
                 f"{html.escape(name)}: {ends}</span>")
    return keys

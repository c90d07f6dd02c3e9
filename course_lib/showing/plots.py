"""One figure style, and the figures that chapters share."""

import matplotlib.pyplot as plt
from matplotlib import ticker

# Okabe and Ito's palette, told apart by colour-blind readers, with the last
# two darker than theirs: each stands out from white by 3 to 1. Where lines
# must be told apart, each has a style of its own beside its colour.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C48700", "#3E9BD4"]
STYLES = ["-", "--", "-.", ":", (0, (8, 2)), (0, (4, 1, 1, 1, 1, 1))]
WIDE = 7.4, 3.4  # inches, for panels side by side; a phone scrolls them


def use_style() -> None:
    """Set the book's figure style; called once a chapter."""
    plt.rcParams.update({
        # as wide as a phone shows without scrolling
        "figure.figsize": (4.3, 3.1), "figure.dpi": 110,
        "figure.constrained_layout.use": True,
        "axes.prop_cycle": plt.cycler(color=PALETTE),
        "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.25,
        "font.size": 10, "legend.fontsize": 9,
        "legend.frameon": False, "lines.linewidth": 1.8})


class Counts(ticker.EngFormatter):
    """Ticks of tokens or parameters: 50k, 20M, 1.1B."""

    ENG_PREFIXES = ticker.EngFormatter.ENG_PREFIXES | {9: "B"}


def count_axis(label: str, ax=None) -> None:
    """Label an x-axis of tokens or parameters, and its ticks as `Counts`."""
    ax = ax or plt.gca()
    ax.set_xlabel(label)
    if ax.get_xscale() == "log":
        ax.xaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        ax.xaxis.set_major_locator(ticker.MaxNLocator(5))
    ax.xaxis.set_major_formatter(Counts(sep=""))


def curve(log, key="loss"):
    """(tokens, values) of one field of a log.jsonl's records."""
    records = [record for record in log if key in record]
    return ([record["tokens"] for record in records],
            [record[key] for record in records])


def plot_held_out(log, style, key="val_loss", ax=None, whole=None, **options):
    """A field of a whole run's held-out measurements over tokens. The last
    stands apart as a diamond, labelled `whole`: it is of all held-out text,
    the others of a sample, which may be easier or harder."""
    ax = ax or plt.gca()
    tokens, values = curve(log, key)
    line, = ax.plot(tokens[:-1], values[:-1], style, **options)
    ax.plot(tokens[-1:], values[-1:], "D", color=line.get_color(),
            markersize=7, fillstyle="none", label=whole)


def plot_loss(log, ax=None, label="run", color=PALETTE[0], every=1):
    """Training loss (thin) and validation loss (dots) over tokens of a whole
    run."""
    ax = ax or plt.gca()
    tokens, losses = curve(log)
    ax.plot(tokens[::every], losses[::every], color=color, alpha=0.6,
            linewidth=1, label=f"{label}, training")
    plot_held_out(log, "o-", ax=ax, color=color, markersize=4,
                  label=f"{label}, validation on a sample",
                  whole=f"{label}, validation on all")
    count_axis("tokens seen", ax)
    ax.set_ylabel("loss (nats per token)")
    return ax


def plot_distribution(probabilities, labels, ax=None, color=PALETTE[0],
                      title=""):
    """Bars of a few labelled probabilities, the largest on top."""
    ax = ax or plt.gca()
    places = range(len(labels))[::-1]
    ax.barh(list(places), probabilities, color=color)
    ax.set_yticks(list(places), labels, family="monospace")
    ax.set_xlabel("probability")
    ax.set_title(title)
    ax.grid(axis="y", visible=False)
    return ax


def plot_bill(paid, steps, guess, ax=None):
    """What is left of `paid` US$ after each of the steps, (name, factor,
    kind), from top to bottom on a logarithmic axis: each bar begins where
    the one above it ends. `guess` is a last step, (name, least factor,
    kind), of which nobody knows the factor: its bar is open, from nothing
    saved to the least, and bears no sum."""
    ax = ax or plt.gca()
    looks = dict(zip(dict.fromkeys(kind for *_, kind in [*steps, guess]),
                     zip(PALETTE, ("", "///", "..."))))
    ax.barh(0, paid - 0.05, left=0.05, color="#777777")
    ax.text(paid * 1.06, 0, f"${paid:.2f}", va="center")
    before = paid
    for place, (_, factor, kind) in enumerate(steps, 1):
        after, saves = before * factor, factor < 1
        color, hatch = looks[kind]
        ax.barh(place, before - after, left=after, facecolor=color,
                edgecolor="white", hatch=hatch)
        ax.text(after * (0.94 if saves else 1.06), place, f"${after:.2f}",
                va="center", ha="right" if saves else "left")
        before = after
    name, least, kind = guess
    ax.barh(place + 1, before * (1 - least), left=before * least,
            facecolor="none", edgecolor=looks[kind][0], linestyle="--",
            linewidth=1.5)
    ax.text(before * 1.06, place + 1, "not measured", va="center")
    for kind, (color, hatch) in looks.items():
        known = kind != guess[-1]
        ax.fill_between([], [], facecolor=color if known else "none",
                        edgecolor="white" if known else color, hatch=hatch
                        if known else "", label=kind,
                        linestyle="-" if known else "--")
    ax.set_yticks(range(place + 2), ["paid in 2023", *(
        name for name, *_ in steps), name])
    ax.set(xscale="log", xlim=(0.05, 200))
    ax.set_xticks([0.1, 1, 10, 100], ["$0.10", "$1", "$10", "$100"])
    ax.invert_yaxis()
    ax.legend(loc="lower center", bbox_to_anchor=(0.35, 1), ncols=3)
    return ax

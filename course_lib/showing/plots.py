"""One figure style, and the figures that chapters share."""

import matplotlib.pyplot as plt

# Okabe and Ito's palette, told apart by colour-blind readers, with the last
# two darker than theirs: each stands out from white by 3 to 1. Where lines
# must be told apart, each has a style of its own beside its colour.
PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#C48700", "#3E9BD4"]
STYLES = ["-", "--", "-.", ":", (0, (6, 2)), (0, (4, 1, 1, 1, 1, 1))]


def use_style() -> None:
    """Set the book's figure style; called once a chapter."""
    plt.rcParams.update({
        "figure.figsize": (7, 3.6), "figure.dpi": 110,
        "figure.constrained_layout.use": True,
        "axes.prop_cycle": plt.cycler(color=PALETTE),
        "axes.spines.top": False, "axes.spines.right": False,
        "axes.grid": True, "grid.alpha": 0.25, "font.size": 10,
        "legend.frameon": False, "lines.linewidth": 1.8})


def curve(log, key="loss"):
    """(tokens, values) of one field of a log.jsonl's records."""
    records = [record for record in log if key in record]
    return ([record["tokens"] for record in records],
            [record[key] for record in records])


def plot_loss(log, ax=None, label="run", color=PALETTE[0], every=1):
    """Training loss (thin) and validation loss (dots) over tokens."""
    ax = ax or plt.gca()
    tokens, losses = curve(log)
    ax.plot(tokens[::every], losses[::every], color=color, alpha=0.35,
            linewidth=1, label=f"{label}, training")
    ax.plot(*curve(log, "val_loss"), "o-", color=color, markersize=4,
            label=f"{label}, validation")
    ax.set_xlabel("tokens seen")
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

"""A bill's bars begin where those above them end, and a guess has no sum; a
run's end stands apart; ticks are counts."""

import pytest
from matplotlib import pyplot as plt

from course_lib.showing import plots


def test_a_bill_ends_in_an_open_bar():
    ax = plots.plot_bill(50, [("half", 0.5, "counted"), ("more", 1.2,
                         "counted")], ("perhaps", 0.1, "guessed"),
                         plt.figure().gca())
    ends = [(bar.get_x(), bar.get_x() + bar.get_width())
            for bar in ax.patches]
    assert ends == [pytest.approx(pair) for pair in (
        (0.05, 50), (25, 50), (30, 25), (3, 30))]
    assert [text.get_text() for text in ax.texts] == [
        "$50.00", "$25.00", "$30.00", "not measured"]
    assert ax.patches[-1].get_facecolor()[3] == 0 < \
        ax.patches[-2].get_facecolor()[3]


@pytest.mark.parametrize("measured", [0, 1, 3])
def test_the_end_of_a_run_stands_apart(measured):
    log = [dict(tokens=1000 * i, loss=3 - i / 10) for i in range(9)] + [
        dict(tokens=1000 * i, val_loss=4.0 - i) for i in range(measured)]
    ax = plots.plot_loss(log, plt.figure().gca())
    _, sampled, whole = ax.lines
    assert len(sampled.get_xdata()) == max(0, measured - 1)
    assert list(whole.get_ydata()) == [5.0 - measured][:measured]


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_ticks_of_tokens_are_counts(scale):
    ax = plt.figure().gca()
    ax.set(xscale=scale, xlim=(1e3, 2e9))
    plots.count_axis("tokens", ax)
    ax.figure.canvas.draw()
    shown = [tick.get_text() for tick in ax.get_xticklabels()]
    assert any(tick.endswith("B") for tick in shown)
    assert not [tick for tick in shown if "e" in tick]
    assert not [tick for tick in ax.get_xticklabels(minor=True)
                if tick.get_text()]

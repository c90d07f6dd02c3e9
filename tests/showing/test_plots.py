"""A bill's bars begin where those above them end, and a guess has no sum."""

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

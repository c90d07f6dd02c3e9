"""Where the best size lies, read off the runs themselves (chapter 2).

Hoffmann et al. 2022 found the best size for a budget in three ways. The
third, a law fitted to all runs, is in `fits.py`. These are the first two,
which need no formula for the loss: the envelope of the training curves, and
a parabola through the runs of each budget.
"""

import numpy as np

from course_lib.scaling.laws import positive


def envelope(N, curves, points: int = 200):
    """(C, N, D), (points,) each: the run that is lowest at each budget C.

    Approach 1. `N` (n,) are parameters and `curves` n pairs of arrays,
    (tokens, loss), of a training curve; each is read at C = 6 N tokens.
    The budgets lie evenly in log C between the end of the cheapest run and
    that of the costliest. A curve whose learning rate has not yet come down
    lies too high, so the approach favours runs that are near their end.
    Raises ValueError for a single size or curves that are not increasing
    in tokens.
    """
    N, = positive(N=N)
    if len(np.unique(N)) < 2 or len(N) != len(curves):
        raise ValueError("an envelope needs one curve for each N, and two "
                         "sizes or more")
    curves = [[np.asarray(v, float) for v in curve] for curve in curves]
    for row, (tokens, _) in enumerate(curves):
        if np.any(np.diff(tokens) <= 0) or not tokens[0] > 0:
            raise ValueError(f"tokens must increase from above 0; those of "
                             f"curve {row} do not")
    ends = [6 * size * tokens[-1] for size, (tokens, _) in zip(N, curves)]
    C = np.geomspace(min(ends), max(ends) * (1 - 1e-12), points)
    losses = np.array([
        np.interp(np.log(C / 6 / size), np.log(tokens), loss,
                  left=np.inf, right=np.inf)
        for size, (tokens, loss) in zip(N, curves)])
    best = N[losses.argmin(0)]
    return C, best, C / 6 / best


def isoflop_parabola(N, loss):
    """(N, loss) at the bottom of a parabola in log N through the runs of one
    budget: approach 2.

    The valley of a law is no parabola, so the bottom is off by some per
    cent, the more the wider the sizes span. Raises ValueError for fewer
    than three sizes or a parabola without a bottom.
    """
    x, loss = np.log(np.asarray(N, float)), np.asarray(loss, float)
    if len(np.unique(x)) < 3:
        raise ValueError("a parabola needs three sizes or more")
    c, b, a = np.polynomial.polynomial.polyfit(x - x.mean(), loss, 2)
    if a <= 0:
        raise ValueError("the losses have no lowest point: add larger or "
                         "smaller sizes")
    return np.exp(x.mean() - b / (2 * a)), c - b * b / (4 * a)


def growth(C, N):
    """(k, a) of the power law N = k C^a nearest to the points, in logs.

    With a = 0.5 the best size grows with the root of the budget, and so
    does the text.
    """
    C, N = positive(C=C, N=N)
    if len(np.unique(C)) < 2:
        raise ValueError("growth needs two budgets or more")
    a, log_k = np.polyfit(np.log(C), np.log(N), 1)
    return float(np.exp(log_k)), float(a)

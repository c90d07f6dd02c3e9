"""Fit a scaling law to measured runs, with error bars (chapter 2).

The objective is that of Hoffmann et al. 2022, eq. 3: over all runs, the sum
of the Huber loss (delta 1e-3) of log predicted minus log measured loss.
`newton.py` finds its minimum, `laws.py` holds the laws themselves,
`isoflop.py` the two ways to a best size that need no law.
"""

import csv
import hashlib
import os
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course_lib.scaling.laws import NAMES, ScalingLaw
from course_lib.scaling.newton import Points, polish, starts

DELTA = 1e-3  # in log loss: beyond a tenth of a per cent, outliers count less
BLOCK = 200  # resamples at a time, so that they stay in the cache

PUBLISHED_URL = (
    "https://raw.githubusercontent.com/epoch-research/analyzing-chinchilla/"
    "92258837425e1b5f2851d624287f0120583a3d0e/data/svg_extracted_data.csv")
PUBLISHED_SHA256 = (
    "193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30")


class Runs(NamedTuple):
    """Training runs: N parameters, D tokens, loss in nats per token."""

    N: np.ndarray
    D: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class Fit:
    """A fitted law, and the objective it reaches on its points."""

    law: ScalingLaw
    objective: float
    points: int


@dataclass(frozen=True)
class Bootstrap:
    """The law refitted to resampled runs: `laws` holds arrays (R,).

    `dropped` resamples drew too few different runs to be fitted.
    """

    fit: Fit
    laws: ScalingLaw
    dropped: int = 0

    def interval(self, what, level: float = 0.9):
        """(low, high) that holds the middle `level` of the resamples.

        `what` is the name of a constant, or a function of a law such as
        `lambda law: law.optimum(1e20)[0]`.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}")
        values = getattr(self.laws, what) if isinstance(what, str) \
            else what(self.laws)
        tail = (1 - level) / 2
        return tuple(np.quantile(values, [tail, 1 - tail], axis=0))

    def loss(self, N, D, level: float = 0.9):
        """(low, high) of the predicted loss at each (N, D), in nats."""
        N, D = np.broadcast_arrays(N, D)
        laws = ScalingLaw(*(getattr(self.laws, name).reshape(
            -1, *[1] * N.ndim) for name in NAMES))
        return self.interval(lambda _: laws.loss(N, D), level)

    def optimum(self, C, level: float = 0.9):
        """((low, high) of N, (low, high) of D) for a budget of C FLOP."""
        return tuple(self.interval(lambda law, i=i: law.optimum(C)[i], level)
                     for i in range(2))


def fit(N, D, loss, weights=None, floor: float = 0.0) -> Fit:
    """The law that minimises the objective over the runs.

    N, D and loss are (n,): parameters, tokens, nats per token. `weights`
    (n,) count a run that many times. `floor` is a loss in nats that is known
    to be below all others, such as the entropy of the text: what is fitted
    then is what lies above it, and E cannot fall below. Raises ValueError
    when a value is not a positive number (naming its rows) or when the runs
    cannot identify the constants (naming which).
    """
    if floor:
        found = fit(N, D, np.subtract(loss, floor), weights)
        return replace(found, law=_raised(found.law, floor))
    data, w = _prepare(N, D, loss, weights)
    theta, value = polish(starts(data, w), data, w[None], (1e-1, 1e-2, DELTA))
    constants, sound = _constants(theta, data)
    if not sound.any():
        raise ValueError(
            "the runs do not follow L = E + A/N^alpha + B/D^beta: the best "
            "fit has " + ", ".join(f"{name} {c:.3g}" for name, c in zip(
                NAMES, constants[:, value.argmin()], strict=True)))
    best = np.where(sound, value, np.inf).argmin()
    return Fit(ScalingLaw(*map(float, constants[:, best])),
               float(value[best]), int(np.count_nonzero(w)))


def bootstrap(N, D, loss, resamples: int = 1000, seed: int = 0,
              weights=None, floor: float = 0.0) -> Bootstrap:
    """Refit to `resamples` samples of the runs, drawn with replacement;
    `weights` and `floor` as in `fit`.

    A resample is a vector of counts, so all share one set of points, and
    Newton's method starts each from the fit of the whole.
    """
    if resamples < 2:
        raise ValueError(f"resamples must be 2 or more, not {resamples}")
    if floor:
        found = bootstrap(N, D, np.subtract(loss, floor), resamples, seed,
                          weights)
        return Bootstrap(
            replace(found.fit, law=_raised(found.fit.law, floor)),
            _raised(found.laws, floor), found.dropped)
    data, w = _prepare(N, D, loss, weights)
    whole = fit(N, D, loss, weights)
    start = _theta(whole.law, data)[None]
    draws = np.random.default_rng(seed).multinomial(
        len(w), w / w.sum(), resamples).astype(float)
    theta = np.concatenate([
        polish(np.repeat(start, len(part), 0), data, part, (4 * DELTA, DELTA)
               )[0] for part in np.array_split(draws, -(-resamples // BLOCK))])
    constants, sound = _constants(theta, data)
    if sound.mean() < 0.5:
        raise ValueError(f"only {sound.sum()} of {resamples} resamples can be "
                         "fitted: have more runs, spread wider")
    return Bootstrap(whole, ScalingLaw(*constants[:, sound]),
                     int(np.count_nonzero(~sound)))


def published_runs(outliers: bool = False) -> Runs:
    """The runs of Hoffmann et al. 2022, as Besiroglu et al. 2024 read them
    off figure 4: 240, or all 245 with the five highest losses.

    Looked for under downloads/ in $COURSE_HOME (or runs/), else fetched once
    from their repository and checked. Raises ConnectionError without a
    network, ValueError for a file that is not the one expected.
    """
    home = os.environ.get("COURSE_HOME")
    home = Path(home) if home else Path(__file__).parents[2] / "runs"
    path = home / "downloads" / "chinchilla_figure4.csv"
    content = path.read_bytes() if path.is_file() else _fetch(PUBLISHED_URL)
    if hashlib.sha256(content).hexdigest() != PUBLISHED_SHA256:
        raise ValueError(f"{path if path.is_file() else PUBLISHED_URL} is not "
                         "the file expected: its sha256 should be "
                         f"{PUBLISHED_SHA256}")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(content)
        partial.replace(path)
    rows = list(csv.DictReader(content.decode().splitlines()))
    N, C, loss = (np.array([float(row[column]) for row in rows])
                  for column in ("Model Size", "Training FLOP", "loss"))
    kept = np.arange(len(N)) if outliers else np.sort(np.argsort(loss)[:-5])
    return Runs(N[kept], (C / 6 / N)[kept], loss[kept])


def published_fit() -> Bootstrap:
    """The fit of the 240 published runs with 400 resamples, as recorded in
    published_fits.csv: intervals without a network. `bootstrap(
    *published_runs(), resamples=400)` makes them anew.
    """
    path = Path(__file__).with_name("published_fits.csv")
    best, *rows = np.loadtxt(path, delimiter=",", skiprows=1)
    law = ScalingLaw(*map(float, best), source="fitted to runs of Hoffmann "
                     "et al. 2022, as read off by Besiroglu et al. 2024")
    return Bootstrap(Fit(law, 1.018274e-3, 240),
                     ScalingLaw(*np.transpose(rows)))


def _fetch(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.read()
    except OSError as error:
        raise ConnectionError(
            f"the published runs are not in the cache and {url} cannot be "
            f"reached ({error}): connect once, or do without them") from error


def _prepare(N, D, loss, weights):
    columns = [np.atleast_1d(np.asarray(v, float)) for v in (N, D, loss)]
    w = np.ones(len(columns[0])) if weights is None \
        else np.atleast_1d(np.asarray(weights, float))
    if len({v.shape for v in (*columns, w)}) > 1 or w.ndim > 1:
        raise ValueError("N, D, loss and weights must be lists of one length,"
                         f" not {[v.shape for v in (*columns, w)]}")
    for name, value in zip(("N", "D", "loss"), columns, strict=True):
        bad = np.flatnonzero(~((value > 0) & np.isfinite(value)))
        if bad.size:
            raise ValueError(f"{name} must be above 0 and finite; row "
                             f"{', '.join(map(str, bad[:10]))} is not")
    bad = np.flatnonzero(~((w >= 0) & np.isfinite(w)))
    if bad.size:
        raise ValueError("weights must be 0 or more and finite; row "
                         f"{', '.join(map(str, bad[:10]))} is not")
    logs = np.log(columns)
    used = logs[:, w > 0]
    if used.shape[1] < 5:
        raise ValueError("five constants need at least 5 runs, not "
                         f"{used.shape[1]}")
    spread = np.ptp(used, axis=1)
    for i, name, constants in ((0, "N", "A and alpha"), (1, "D", "B and beta"),
                               (2, "loss", "none of the constants")):
        if spread[i] < 1e-9:
            verb = "can" if i == 2 else "cannot"
            raise ValueError(f"every run has the same {name}: {constants} "
                             f"{verb} be identified")
        if i < 2 and len(np.unique(used[i].round(9))) < 3:
            raise ValueError(f"two values of {name} leave {constants} open: "
                             "have three or more")
    if np.corrcoef(used[:2])[0, 1] > 1 - 1e-12:
        raise ValueError("N and D grow in step (the same D/N in every run, or"
                         " D a power of N): A and alpha cannot be told from "
                         "B and beta")
    centre = used.mean(1)
    return Points(*(logs - centre[:, None]), centre), w


def _raised(law: ScalingLaw, floor: float) -> ScalingLaw:
    return replace(law, E=law.E + floor)


def _theta(law, data):
    """(5,): logs of the three terms at the centre, then alpha and beta."""
    n, d, z = data.centre
    return np.array([np.log(law.A) - law.alpha * n - z,
                     np.log(law.B) - law.beta * d - z,
                     np.log(law.E) - z, law.alpha, law.beta])


def _constants(theta, data):
    """(5, R) constants, in the order of NAMES, from theta (R, 5), and which
    of the R are a law: finite, with exponents above 0."""
    a, b, e, alpha, beta = theta.T
    n, d, z = data.centre
    with np.errstate(over="ignore"):
        values = np.array([np.exp(e + z), np.exp(a + z + alpha * n),
                           np.exp(b + z + beta * d), alpha, beta])
    return values, ((values > 0) & np.isfinite(values)).all(0)

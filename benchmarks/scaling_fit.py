"""Our fit of a scaling law beside L-BFGS from 4,500 starts: value and time.

    python benchmarks/scaling_fit.py [--published NOTEBOOK]

On the 240 published points: `scaling.fit` against SciPy's L-BFGS from the
grid of starts of Hoffmann et al. 2022, without derivatives (plain) and with
exact ones; and `scaling.bootstrap` of 4,000 resamples against one L-BFGS for
each of a few. With --published, also the objective of Besiroglu et al. 2024
out of their data_analysis.ipynb (github.com/epoch-research/
analyzing-chinchilla, needs autograd), minimised as that notebook does it.

Ours and the others take turns, in chunks of starts, on one thread. Writes
book/results/scaling_fit.json, which chapter 2 shows.
"""

import argparse
import importlib.util
import itertools
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import minimize

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.scaling import fits as scaling
from course_lib.showing.page import RESULTS

STARTS = list(itertools.product(
    np.arange(0, 30, 5), np.arange(0, 30, 5), np.arange(-1, 1.5, 0.5),
    np.arange(0, 2.5, 0.5), np.arange(0, 2.5, 0.5)))  # a, b, e, alpha, beta
CHUNKS = 9
RESAMPLES = 4_000


def objective(theta, N, D, loss):
    """The sum of Huber losses, and nothing clever."""
    a, b, e, alpha, beta = theta
    r = np.log(np.exp(a - alpha * np.log(N)) + np.exp(b - beta * np.log(D))
               + np.exp(e)) - np.log(loss)
    inside = np.minimum(np.abs(r), scaling.DELTA)
    return np.sum(inside * (np.abs(r) - inside / 2))


def with_gradient(theta, N, D, loss):
    """The same and its derivatives, by hand."""
    a, b, e, alpha, beta = theta
    terms = np.exp([a - alpha * np.log(N), b - beta * np.log(D),
                    np.full(len(N), e)])
    total = terms.sum(0)
    r = np.log(total) - np.log(loss)
    inside = np.minimum(np.abs(r), scaling.DELTA)
    share = terms / total * np.clip(r, -scaling.DELTA, scaling.DELTA)
    return np.sum(inside * (np.abs(r) - inside / 2)), np.array(
        [*share.sum(1), -share[0] @ np.log(N), -share[1] @ np.log(D)])


def published_objective(notebook: Path):
    """`huber_loss_objective` out of the notebook, as it stands there."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    source = next(text for cell in cells if cell["cell_type"] == "code"
                  and "def huber_loss_objective" in (
                      text := "".join(cell["source"])))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "published.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("published", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module.huber_loss_objective


def timed(work, *given):
    began = time.perf_counter()
    result = work(*given)
    return time.perf_counter() - began, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--published", type=Path,
                        help="their data_analysis.ipynb")
    parser.add_argument("--few", type=int, default=200,
                        help="resamples for the others")
    options = parser.parse_args()
    np.seterr(over="ignore", invalid="ignore", divide="ignore")
    made = provenance("cpu")
    runs = scaling.published_runs()
    draws = np.random.default_rng(0).integers(
        len(runs.N), size=(options.few, len(runs.N)))
    near = [np.log(406.4), np.log(410.7), np.log(1.69), 0.34, 0.28]

    def from_starts(function, exact):
        def chunk(starts):
            return min(minimize(function, start, tuple(runs), "L-BFGS-B",
                                jac=exact).fun for start in starts)
        return chunk

    def each_resample(function, method, exact):
        def chunk(rows):
            for row in rows:
                minimize(function, near, tuple(v[row] for v in runs), method,
                         jac=exact)
        return chunk

    fits = {"L-BFGS, 4,500 starts": from_starts(objective, False),
            "L-BFGS, 4,500 starts, exact derivatives":
                from_starts(with_gradient, True)}
    boots = {"L-BFGS from one start, exact derivatives":
             each_resample(with_gradient, "L-BFGS-B", True)}
    if options.published:
        from autograd import grad
        theirs = published_objective(options.published)
        fits["published code, 4,500 starts"] = from_starts(theirs, False)
        boots["published code, BFGS from one start"] = each_resample(
            theirs, "BFGS", grad(theirs))

    seconds = {name: [] for name in ("ours", *fits)}
    values = {name: [] for name in seconds}
    for place in range(CHUNKS):
        for _ in range(5):
            taken, found = timed(scaling.fit, *runs)
            seconds["ours"].append(taken)
            values["ours"].append(found.objective)
        for name, chunk in fits.items():
            taken, value = timed(chunk, STARTS[place::CHUNKS])
            seconds[name].append(taken)
            values[name].append(value)
        print("fit", place, {k: round(v[-1], 3) for k, v in seconds.items()},
              flush=True)
    boot_seconds = {name: [] for name in ("ours", *boots)}
    for place in range(5):
        taken, _ = timed(scaling.bootstrap, *runs, RESAMPLES)
        boot_seconds["ours"].append(taken)
        for name, chunk in boots.items():
            part = draws[place::5]
            taken, _ = timed(chunk, part)
            boot_seconds[name].append(taken / len(part) * RESAMPLES)
        print("bootstrap", place, {k: round(v[-1], 2) for k, v in
                                   boot_seconds.items()}, flush=True)

    def row(name, taken, scale=1, **more):
        low, middle, high = statistics.quantiles(taken, n=4)
        return dict(way=name, seconds=middle * scale,
                    quartiles=[low * scale, high * scale], **more)

    write_json(RESULTS / "scaling_fit.json", dict(
        provenance=made, points=len(runs.N),
        starts=len(STARTS), resamples=RESAMPLES,
        fit=[row(name, taken, 1 if name == "ours" else CHUNKS,
                 objective=min(values[name]))
             for name, taken in seconds.items()],
        bootstrap=[row(name, taken, measured=RESAMPLES if name == "ours"
                       else options.few)
                   for name, taken in boot_seconds.items()]))


if __name__ == "__main__":
    main()

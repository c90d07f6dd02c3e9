"""What our fit makes of the 245 published points: constants and residuals.

    python benchmarks/published_points.py

The points themselves are not ours to ship (`scaling.published_runs` fetches
them). What is ours is the fit to them, with and without the five highest
losses, and what it leaves over at each. Writes
book/results/published_points.json, which chapter 2's notes show.
"""

from dataclasses import asdict

import numpy as np

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.scaling import fit, published_runs
from course_lib.scaling.fits import PUBLISHED_URL
from course_lib.showing.page import RESULTS

C = 3.2e17  # FLOP: the budget of 2023


def main():
    runs = published_runs(outliers=True)
    kept = np.sort(np.argsort(runs.loss)[:-5])
    chosen = fit(*(column[kept] for column in runs))
    predicted = chosen.law.loss(runs.N, runs.D)
    fits = []
    for name, one in (("240 points", chosen), ("all 245", fit(*runs))):
        constants = asdict(one.law)
        del constants["source"]
        fits.append(dict(points=name, **constants, objective=one.objective,
                         best_size=float(one.law.optimum(C)[0])))
    write_json(RESULTS / "published_points.json", dict(
        source=PUBLISHED_URL, fits=fits, flop=C,
        predicted=[round(float(loss), 4) for loss in predicted],
        percent_off=[round(float(each), 3)
                     for each in 100 * (runs.loss / predicted - 1)],
        left_out=[int(i) for i in
                  np.setdiff1d(np.arange(len(runs.N)), kept)],
        tokens_per_parameter=dict(
            left_out=float(np.delete(runs.D / runs.N, kept).max()),
            kept=float((runs.D / runs.N)[kept].min())),
        spent=[float(f(6 * runs.N * runs.D)) for f in (np.min, np.max)],
        provenance=provenance("cpu", "float64")))


if __name__ == "__main__":
    main()

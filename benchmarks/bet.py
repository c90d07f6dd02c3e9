"""A bet on a run, written down before it starts.

    course prepare --corpus books --hours 4 --out RUN
    python benchmarks/bet.py RUN --to long_run_bet

What the dial said of the run when it was prepared goes into
book/results/NAME.json. A run that has begun is refused.
"""

import argparse

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.runs import open_run
from course_lib.showing.page import RESULTS
from course_lib.training.processor import number_format

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--to", required=True, metavar="NAME")
    options = parser.parse_args()
    run = open_run(options.run)
    if run.started or not run.forecast:
        raise SystemExit(f"{options.run} has begun or has no forecast: a bet "
                         "is made before")
    write_json(RESULTS / f"{options.to}.json", dict(
        preset=run.record["preset"], corpus=run.record["corpus"],
        forecast=run.forecast, held_out=dict(
            tokens=run.val_tokens.tokens, bytes=run.val_tokens.bytes),
        provenance=provenance("cpu", number_format(
            "cpu", run.preset.model))))

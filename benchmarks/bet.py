"""A bet on a run, written down before it starts, or before it comes down.

    course prepare --corpus books --hours 4 --out RUN
    python benchmarks/bet.py RUN --to long_run_bet
    python benchmarks/bet.py RUN --after long_run --to long_run_second_bet

What the dial said of the run when it was prepared goes into
book/results/NAME.json; a run that has begun is refused. With --after it is
what the ladder says once a copy of the run that was brought down earlier is
recorded, for the length that the run has now; beside it stands what the first
rule says of that length. A run whose learning rate has begun to fall is
refused.
"""

import argparse
from dataclasses import asdict, replace

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.cost import count_parameters
from course_lib.runs import open_run
from course_lib.scaling.forecasting import forecast_longer, lengthened
from course_lib.showing.page import RESULTS, load_result
from course_lib.stages import ladder, loss_floor, prediction
from course_lib.training.processor import number_format
from course_lib.training.settings import same_so_far


def first_bet(run) -> dict:
    """What was predicted when the run was prepared."""
    if run.started or not run.forecast:
        raise SystemExit(f"{run.folder} has begun or has no forecast: a bet "
                         "is made before")
    return dict(forecast=run.forecast)


def second_bet(run, record: dict) -> dict:
    """What the ladder says after a copy's end, and the rungs of the ladder
    that were predicted so: each one's loss beside its forecast."""
    longer = replace(run.preset, tokens=2 * run.preset.tokens)
    if not same_so_far(run.preset, longer, run.step):
        raise SystemExit(f"{run.folder} is coming down already: a bet is "
                         "made before")
    steps = ladder(run.preset)
    floor = loss_floor(run.preset, steps)
    known = record["training"]["tokens"], record["validation"]["loss"]
    says = forecast_longer(
        steps, count_parameters(run.preset.model).total,
        run.preset.tokens, known, floor)
    tried = [dict(loss=loss, forecast=asdict(
        forecast_longer(few, N, D, before, floor)))
        for few, N, before, D, loss in lengthened(steps)]
    return dict(known=dict(tokens=known[0], loss=known[1]), step=run.step,
                law=asdict(prediction(run.preset)),
                forecast=asdict(says), tried=tried)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--after", metavar="RECORD", help="of a shorter copy")
    parser.add_argument("--to", required=True, metavar="NAME")
    options = parser.parse_args()
    run = open_run(options.run)
    bet = (second_bet(run, load_result(f"{options.after}.json"))
           if options.after else first_bet(run))
    write_json(RESULTS / f"{options.to}.json", dict(
        preset=run.record["preset"], corpus=run.record["corpus"], **bet,
        held_out=dict(tokens=run.val_tokens.tokens,
                      bytes=run.val_tokens.bytes),
        provenance=provenance("cpu", number_format(
            "cpu", run.preset.model))))

"""Record a scale's ladder in book/results/: an hour or more.

    python benchmarks/ladder.py laptop
    python benchmarks/ladder.py evening --recipe modern \\
        --corpus books:BOOKS --top 4e13 --validation 524288

An interrupted ladder goes on with the runs that its file does not hold. With
--check a run of the scale's own size and length, larger than any rung and at
the rate and batch that the rule says, is predicted and then trained, and both
are recorded.
"""

import argparse
import os

from course_lib.cli.arguments import number
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.runs import prepare
from course_lib.scaling.ladder import VALIDATION, check, measure_all
from course_lib.scaling.rungs import BUDGETS, load, own, rungs, sized
from course_lib.stages import (
    RECORDED,
    home,
    ladder_file,
    loss_floor,
    prepared,
)
from course_lib.text.corpus import load_corpus


def main(arguments=None) -> None:
    """Record the ladder that the command line asks for in book/results/."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--recipe", default="gpt2")
    parser.add_argument("--corpus", nargs="+", help="where the scale's own "
                        "text lies")
    parser.add_argument("--top", type=float, help="the largest budget in "
                        "FLOP; a share of the scale's own without")
    parser.add_argument("--budgets", type=int, default=BUDGETS, help="how "
                        "many, half a decade apart (%(default)s)")
    parser.add_argument("--own", type=number, help="train the scale's own "
                        "model on so many tokens as well")
    parser.add_argument("--validation", type=number, default=VALIDATION,
                        help="held-out tokens to measure on (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--threads", type=int, default=1, help="of each "
                        "worker (%(default)s)")
    parser.add_argument("--check", action="store_true", help="predict a run "
                        "of the scale's own size, then train it")
    options = parser.parse_args(arguments)
    preset = find_recipe(options.recipe).at(load_preset(options.preset))
    if options.corpus:
        home().mkdir(parents=True, exist_ok=True)
        # one folder for all recipes: they read the same rows
        run = prepare(home() / f"ladder-{preset.name}",
                      load_preset(options.preset),
                      load_corpus(*options.corpus), print)
    else:
        run = prepared(preset)
    path = RECORDED / ladder_file(preset)
    plan = rungs(preset, options.top, options.budgets)
    if options.own:
        plan.insert(0, own(preset, options.own))
    measure_all(run, plan, path, options.workers, options.validation,
                options.threads)
    if options.check:
        run_itself = sized(preset, preset.model, preset.tokens)
        check(run, path, run_itself, loss_floor(preset, load(path)),
              options.validation)


if __name__ == "__main__":
    main()

"""Record a preset's ladder in book/results/: an hour or more.

    python benchmarks/ladder.py laptop             # its own stories
    python benchmarks/ladder.py laptop --corpus BOOKS --name books \\
        --validation 524288 --check

An interrupted ladder goes on with the runs that its file does not hold. With
--check the preset's own run, larger than any rung, is predicted and then
trained, and both are recorded.
"""

import argparse
import os
from dataclasses import replace

from course_lib.cli.arguments import number
from course_lib.presets import load_preset
from course_lib.runs import prepare
from course_lib.scaling.ladder import VALIDATION, check, measure_all
from course_lib.scaling.rungs import rungs
from course_lib.stages import RECORDED, home, prepared
from course_lib.text.corpus import load_corpus


def main(arguments=None) -> None:
    """Record the ladder that the command line asks for in book/results/."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--corpus", help="other text than the preset's")
    parser.add_argument("--name", help="of that ladder: ladder_NAME.json")
    parser.add_argument("--tokens", type=number, help="of the run whose 6ND "
                        "the budgets are shares of; the preset's without")
    parser.add_argument("--batch", type=number, help="tokens a step")
    parser.add_argument("--validation", type=number, default=VALIDATION,
                        help="held-out tokens to measure on (%(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--check", action="store_true", help="predict the "
                        "preset's own run as well, then train it")
    options = parser.parse_args(arguments)
    if bool(options.corpus) != bool(options.name):
        parser.error("--corpus and --name go together")
    preset = load_preset(options.preset)
    if options.corpus:
        preset = replace(
            preset, name=options.name, corpus=options.corpus,
            tokens=options.tokens or preset.tokens,
            batch_tokens=options.batch or preset.batch_tokens)
        run = prepare(home() / f"ladder-{options.name}", preset,
                      load_corpus(options.corpus))
    else:
        run = prepared(preset)
    path = RECORDED / f"ladder_{preset.name}.json"
    measure_all(run, rungs(preset), path, options.workers,
                options.validation)
    if options.check:
        check(run, path, options.validation)


if __name__ == "__main__":
    main()

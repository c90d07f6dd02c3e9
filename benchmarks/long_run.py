"""The long run, recorded for the book: log, time, interruptions, samples.

    course train RUN --resume             again after every interruption
    python benchmarks/long_run.py RUN     writes book/results/long_run.json

The samples are what `course sample --prompt PROMPT --seed 0` says of the
weights at 0, 1, 10, 30 and 100% of the run. Recorded before its end, the run
is said to be unfinished. Nothing here changes the run's folder.
"""

import argparse
import statistics
from pathlib import Path

from record_run import CURVE_POINTS, PROMPT

from course_lib.machine.device import choose_device, matmul_peak
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.runs import Run, open_run
from course_lib.sampling.generation import generate
from course_lib.showing.page import RESULTS
from course_lib.training.sessions import interruptions

PROMPTS = (PROMPT, "It was a dark and stormy night", "The old man",
           "Once upon a time there was", "She looked at him and said,",
           "The ship", "There was no one in the house but",
           "I do not believe that", "When the war was over,", "London")
TOKENS = 100
# Two virtual processors of an Intel Xeon that multiplies in bfloat16 as this
# run did. The price is the last one known, not read again.
PRICE = dict(instance="AWS m7i.large, us-east-1, on demand",
             processors=2, dollars_per_hour=0.1008, date="2025")


def record(run: Run) -> dict:
    """Everything about a run that the book shows, as plain values."""
    training = [r for r in run.log if "loss" in r]
    config, timing = run.preset.model, run.timing
    work = flops_per_token(config, config.context_length)
    speed = statistics.median(r["tokens_per_second"] for r in timing)
    peak = matmul_peak("cpu", run.number_format, seconds=5)
    tokens = training[-1]["tokens"]
    return dict(
        provenance=provenance(choose_device(), run.number_format),
        run=run.record, finished=run.finished,
        parameters=count_parameters(config).total,
        training=dict(
            tokens=tokens, passes=tokens / run.train_tokens.tokens,
            flop=work * tokens, seconds=timing[-1]["seconds"],
            hours=run.hours, tokens_per_second=speed,
            matmul_peak=peak, share_of_peak=work * speed / peak,
            price=PRICE, dollars=run.hours * PRICE["dollars_per_hour"]),
        sessions=run.sessions,
        interruptions=len(interruptions(run.sessions)),
        samples=[dict(step=step, texts=continuations(model, run))
                 for step, model in run.snapshots()],
        log=training[::max(1, len(training) // CURVE_POINTS)],
        validation_log=[r for r in run.log if "val_loss" in r],
        timing=timing[::max(1, len(timing) // CURVE_POINTS)])


def continuations(model, run: Run) -> dict[str, str]:
    """Each prompt with what the model says after it, as `course sample` has
    it."""
    tokenizer, texts = run.tokenizer, {}
    for prompt in PROMPTS:
        [ids] = generate(model, [tokenizer.encode(prompt)], TOKENS, 0.8,
                         stop_id=tokenizer.eot, seed=0)
        texts[prompt] = prompt + tokenizer.decode(ids)
    return texts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--to", metavar="FILE", type=Path,
                        default=RESULTS / "long_run.json")
    options = parser.parse_args()
    write_json(options.to, record(open_run(options.run)))
    print(options.to)

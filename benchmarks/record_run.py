"""A finished run, recorded for the book: figures, baselines, samples, log.

    python benchmarks/record_run.py RUN NAME     writes book/results/NAME.json
"""

import argparse
from pathlib import Path

from baselines import baselines

from course_lib.machine.device import autocast, choose_device
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.measuring.evaluation import evaluate
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.runs import Run, open_run
from course_lib.sampling.generation import generate
from course_lib.showing.page import RESULTS

PROMPT = "life is about"
CURVE_POINTS = 200


def record(run: Run) -> dict:
    """Everything about a run that the book shows, as plain values."""
    result = evaluate(run.model(), run.measured_tokens,
                      precision=autocast("cpu", run.number_format))
    training = [r for r in run.log if "loss" in r]
    config = run.preset.model
    flop = (flops_per_token(config, config.context_length)
            * training[-1]["tokens"])
    return dict(
        provenance=provenance(choose_device()), run=run.record,
        parameters=count_parameters(config).total,
        training=dict(
            tokens=training[-1]["tokens"], flop=flop,
            passes=training[-1]["tokens"] / run.train_tokens.tokens,
            seconds=run.timing[-1]["seconds"]),
        validation=dict(
            loss=result.loss, perplexity=result.perplexity,
            bits_per_byte=result.bits_per_byte,
            tokens=result.tokens, bytes=result.bytes),
        baselines_bits_per_byte=baselines(run),
        samples=[dict(step=step, text=continuation(model, run))
                 for step, model in run.snapshots()],
        more_samples=[continuation(run.model(), run, seed)
                      for seed in (1, 2, 3)],
        log=training[::max(1, len(training) // CURVE_POINTS)],
        validation_log=[r for r in run.log if "val_loss" in r])


def continuation(model, run: Run, seed: int = 0) -> str:
    """The prompt and 80 tokens at temperature 0.8."""
    tokenizer = run.tokenizer
    [ids] = generate(model, [tokenizer.encode(PROMPT)], 80, 0.8,
                     stop_id=tokenizer.eot, seed=seed)
    return PROMPT + tokenizer.decode(ids)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("name", help="of the file in book/results")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=RESULTS,
                        help="another folder for the file")
    options = parser.parse_args()
    path = options.to / f"{options.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record(open_run(options.run)))
    print(path)

"""A run, recorded for the book: log, time, interruptions, samples.

    course train RUN --resume                  again when it was interrupted
    python benchmarks/record_run.py RUN NAME   writes book/results/NAME.json

The samples are what `course sample --prompt PROMPT --seed 0` says of the
run's snapshots. Recorded before its end, the run is said to be unfinished.
Nothing here changes the run's folder.
"""

import argparse
import math
import shlex
import statistics
from dataclasses import replace
from pathlib import Path

from course_lib.cli.arguments import SHAPE, TRAINING, number
from course_lib.machine.device import choose_device
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.presets import Preset, load_preset
from course_lib.recipes import find_recipe
from course_lib.runs import Run, open_run
from course_lib.sampling.generation import generate
from course_lib.showing.page import RESULTS
from course_lib.training.sessions import interruptions

CURVE_POINTS = 200
PROMPTS = ("life is about", "It was a dark and stormy night", "The old man",
           "Once upon a time there was", "She looked at him and said,",
           "The ship", "There was no one in the house but",
           "I do not believe that", "When the war was over,", "London")
TOKENS = 100
# Two virtual processors of an Intel Xeon that multiplies in bfloat16, as those
# of this run did: half of an m7i.xlarge and half of its price.
PRICE = dict(instance="AWS m7i.large, us-east-1, on demand",
             processors=2, dollars_per_hour=0.2016 / 2, date="2026",
             source="https://c3x.dev/blog/m5-vs-m6i-vs-m7i-cost-performance")


def record(run: Run, prompts=PROMPTS, planned: int | None = None) -> dict:
    """Everything about a run that the book shows, as plain values. `planned`
    are the tokens that it was prepared for, if `--tokens` ended it elsewhere.
    """
    training = [r for r in run.log if "loss" in r]
    config, timing = run.preset.model, run.timing
    work = flops_per_token(config, config.context_length)
    device, tokens = choose_device(), training[-1]["tokens"]
    speed, share = (statistics.median(r[what] for r in timing)
                    for what in ("tokens_per_second", "mfu"))
    bill = dict(dollars=timing[-1]["dollars"]) if device == "cuda" else dict(
        price=PRICE, dollars=run.hours * PRICE["dollars_per_hour"])
    return dict(
        provenance=provenance(device, run.number_format),
        commands=commands(run.record, run.sessions, run.folder.name, planned),
        run=run.record, finished=run.finished,
        parameters=count_parameters(config).total,
        training=dict(
            tokens=tokens, passes=tokens / run.train_tokens.tokens,
            flop=work * tokens, seconds=timing[-1]["seconds"],
            hours=run.hours, tokens_per_second=speed,
            threads=run.sessions[-1]["threads"],
            matmul_peak=work * speed / share, share_of_peak=share, **bill),
        **(dict(validation=outcome(run)) if run.finished else {}),
        sessions=run.sessions,
        interruptions=len(interruptions(run.sessions)),
        samples=[
            dict(step=step, texts=continuations(model, run.tokenizer, prompts))
            for step, model in run.snapshots()],
        log=training[::max(1, len(training) // CURVE_POINTS)],
        validation_log=[r for r in run.log if "val_loss" in r],
        timing=timing[::max(1, len(timing) // CURVE_POINTS)])


def commands(record: dict, sessions: list[dict], name: str,
             planned: int | None = None) -> list[str]:
    """The lines that make a run of the name `name` again, from its record and
    its sessions. Empty where no flag of `course prepare` says what it is."""
    preset, folder = Preset.from_dict(record["preset"]), f"runs/{name}"
    try:
        scale = find_recipe(preset.recipe).at(load_preset(preset.name))
    except ValueError:  # a recipe or a scale of its own
        return []
    shape = {of: getattr(preset.model, of) for of in SHAPE}
    training = {of: getattr(preset, of) for of in TRAINING}
    if replace(scale, corpus=preset.corpus, **training,
               model=replace(scale.model, **shape)) != preset:
        return []
    training["tokens"] = planned or preset.tokens
    flags = [word for known, given, of in (
        (SHAPE, shape, scale.model), (TRAINING, training, scale))
        for what, value in given.items() if value != getattr(of, what)
        for word in (known[what][0], str(value))]
    lines = [["prepare", "--corpus", record["corpus"]["name"], "--preset",
              preset.name, "--recipe", preset.recipe, *flags, "--out",
              folder], ["train", folder]]
    if interruptions(sessions):
        lines.append(["train", folder, "--resume"])
    if training["tokens"] != preset.tokens:
        lines[-1] += ["--tokens", str(preset.tokens)]
    return [shlex.join(["course", *line]) for line in lines]


def outcome(run: Run) -> dict:
    """The last evaluation, of all the held-out text."""
    last = run.log[-1]
    return dict(loss=last["val_loss"], perplexity=math.exp(last["val_loss"]),
                bits_per_byte=last["val_bits_per_byte"],
                tokens=run.measured_tokens.tokens,
                bytes=run.measured_tokens.bytes)


def continuations(model, tokenizer, prompts) -> dict[str, str]:
    """Each prompt with what the model says after it, as `course sample` has
    it."""
    texts = {}
    for prompt in prompts:
        [ids] = generate(model, [tokenizer.encode(prompt)], TOKENS, 0.8,
                         stop_id=tokenizer.eot, seed=0)
        texts[prompt] = prompt + tokenizer.decode(ids)
    return texts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("name", help="of the file in book/results")
    parser.add_argument("--to", metavar="FOLDER", type=Path, default=RESULTS,
                        help="another folder for the file")
    parser.add_argument("--prompts", type=int, default=len(PROMPTS),
                        help="how many of the ten are gone on from")
    parser.add_argument("--planned", type=number, metavar="TOKENS",
                        help="that it was prepared for, where `course train "
                        "--tokens` ended it elsewhere")
    options = parser.parse_args()
    path = options.to / f"{options.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, record(open_run(options.run),
                            PROMPTS[:options.prompts], options.planned))
    print(path)

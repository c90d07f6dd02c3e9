"""What each trick of the trainer is for: runs in which one is left out.

    python benchmarks/ablations.py [--only NAME ...]

The laptop model on its own stories and tokenizer, trained by a textbook recipe
(steps of 4,096 tokens, a cosine) on a million tokens, once as it is and once
for each line of CHANGES, with two seeds each (the seed draws the weights and
the order of the text, so a line and the baseline see the same batches). The
preset itself has moved on, to what these runs say is better.

Writes book/results/ablations.json after every run. What it already holds is
not done again, so an interrupted campaign goes on where it was; a run that
diverged is kept as such. Remove the file to begin anew.
"""

import argparse
import json
import math
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from course_lib import stages
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import Preset, load_preset
from course_lib.runs import Run
from course_lib.showing.page import RESULTS
from course_lib.training.log import Diverged, read_log
from course_lib.training.trainer import train

TEXTBOOK = dict(batch_tokens=4_096, learning_rate=3e-3, schedule="cosine",
                tokens=1_000_000, warmup_steps=12)
SEEDS = (0, 1)
POINTS = 60  # of a recorded curve, at most
NEVER = 1e9  # no gradient is as long as this


# name: what differs from the baseline
CHANGES = {
    "baseline": {},
    "no warm-up": dict(warmup_steps=0),
    "constant rate": dict(schedule="constant"),
    "no clipping": dict(clip=NEVER),
    "late decay": dict(schedule="wsd"),
}


def changed(baseline: Preset, name: str, seed: int) -> Preset:
    """The baseline with a line's change and that seed."""
    return replace(baseline, seed=seed, **CHANGES[name])


def ablation(run: Run, preset: Preset, folder: Path,
             threads: int | None = None) -> dict:
    """Train on the run's tokens in a folder of its own; what came of it."""
    if threads:
        torch.set_num_threads(threads)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        ended = train(folder, preset, run.train_tokens, run.val_tokens,
                      device="cpu", progress=False)
        if ended.step < preset.steps:  # the trainer was told to stop
            raise KeyboardInterrupt
        outcome = dict(validation_loss=ended.evaluation.loss,
                       bits_per_byte=ended.evaluation.bits_per_byte,
                       diverged=None)
    except Diverged as error:
        outcome = dict(validation_loss=None, bits_per_byte=None,
                       diverged=str(error).split(";")[0])
    log = read_log(folder / "log.jsonl")
    timing = read_log(folder / "timing.jsonl")
    steps = [record for record in log if "loss" in record]
    return dict(
        **outcome, steps=len(steps),
        tokens=steps[-1]["tokens"] if steps else 0,
        seconds=timing[-1]["seconds"] if timing else 0.0,
        clipped=sum(r["grad_norm"] > preset.clip for r in steps),
        longest_gradient=max((r["grad_norm"] for r in steps), default=None),
        learning_rate=preset.learning_rate, warmup_steps=preset.warmup_steps,
        schedule=preset.schedule, batch_tokens=preset.batch_tokens,
        clip=preset.clip, log=stretches(steps),
        validation_log=[r for r in log if "val_loss" in r])


def stretches(steps: list[dict]) -> list[dict]:
    """At most POINTS records: means of the loss over stretches of steps,
    each with the longest gradient in it."""
    size = max(1, math.ceil(len(steps) / POINTS))
    parts = [steps[i:i + size] for i in range(0, len(steps), size)]
    return [dict(tokens=part[-1]["tokens"],
                 loss=sum(r["loss"] for r in part) / len(part),
                 grad_norm=max(r["grad_norm"] for r in part))
            for part in parts]


def campaign(run: Run, baseline: Preset, path: Path, names=tuple(CHANGES),
             seeds=SEEDS, report=print, workers: int = 1) -> dict:
    """Every line with every seed that the file at `path` does not hold, on so
    many processes of one thread, or here."""
    result = dict(runs=[])
    if path.is_file():
        result = json.loads(path.read_text(encoding="utf-8"))
    done = {(r["name"], r["seed"]) for r in result["runs"]}
    jobs = {(name, seed): (run, changed(baseline, name, seed),
                           run.folder / path.stem / f"{name}-{seed}")
            for name in names for seed in seeds if (name, seed) not in done}
    for (name, seed), outcome in zip(jobs, _ended(jobs, workers)):
        result = dict(
            provenance=provenance("cpu"), preset=baseline.to_dict(),
            corpus=run.record["corpus"], runs=[
                *result["runs"], dict(name=name, seed=seed, **outcome)])
        write_json(path, result)
        loss = outcome["validation_loss"]
        report(f"{name:22} seed {seed}  "
               + (f"{loss:.4f}" if loss else outcome["diverged"])
               + f"  {outcome['seconds']:.0f} s")
    return result


def _ended(jobs: dict, workers: int):
    """What became of each job, in their order."""
    if workers == 1:
        yield from (ablation(*job) for job in jobs.values())
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for job in [pool.submit(ablation, *job, 1) for job in jobs.values()]:
            yield job.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", default=CHANGES,
                        choices=CHANGES, help="lines to do: " + ", ".join(
                            repr(name) for name in CHANGES))
    options = parser.parse_args()
    preset = load_preset("laptop")
    campaign(stages.prepared(preset), replace(preset, **TEXTBOOK),
             RESULTS / "ablations.json", options.only,
             report=lambda line: print(line, flush=True),
             workers=os.cpu_count())

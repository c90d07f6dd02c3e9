"""A ladder of small models, and what it predicts for a preset (chapter 2).

`rungs.py` says which models those are and why.

The smoke ladder is trained where it is asked for. Larger ones take an hour or
more, so they are recorded in book/results/:

    python -m course_lib.ladder laptop             # its own stories
    python -m course_lib.ladder laptop --corpus BOOKS --name books \\
        --validation 524288 --check

An interrupted ladder goes on with the runs that its file does not hold. With
--check the preset's own run, larger than any rung, is predicted and then
trained, and both are recorded.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from tqdm import tqdm

from course_lib.arguments import number
from course_lib.corpus import load_corpus
from course_lib.data import write_json
from course_lib.device import autocast, choose_device, provenance
from course_lib.evaluate import evaluate
from course_lib.presets import Preset, load_preset
from course_lib.rungs import (  # these are part of the public names here
    BUDGETS,
    MIDDLE,
    Ladder,
    Prediction,
    Rung,
    ahead,
    load,
    rungs,
)
from course_lib.runs import Run, open_run, prepare
from course_lib.scaling import Bootstrap, bootstrap
from course_lib.stages import ROOT, home, prepared
from course_lib.train import learning_rate, start, train_step

__all__ = ["BUDGETS", "MIDDLE", "Ladder", "Prediction", "Rung", "check",
           "ladder", "load", "measure", "measure_all", "predict", "rungs"]

VALIDATION = 131_072  # tokens: of stories, within 0.003 nats of all of them
POINTS = 40  # of a recorded training curve, at most
RESAMPLES = 1000
RECORDED = ROOT / "book" / "results"


def measure(rung: Preset, train_tokens, val_tokens, device: str = "cpu",
            validation: int = VALIDATION):
    """Train one rung; (validation loss, curve), in nats per token. The loss
    is that of the first `validation` held-out tokens."""
    model, optimizer = start(rung, device)
    precision = autocast(device)
    # one tensor for all: small ones kept between the steps' large ones
    # would break up the heap, to gigabytes in some thousand steps
    losses = torch.zeros(rung.steps, device=device)
    for step in range(rung.steps):
        batch = [part.to(device) for part in train_tokens.batch(
            step, rung.rows, rung.model.context_length, rung.seed)]
        losses[step] = train_step(model, optimizer, batch,
                                  learning_rate(step, rung), rung.clip,
                                  precision=precision)[0]
    stretches = np.array_split(losses.cpu().numpy(),
                               min(POINTS, rung.steps))
    ends = np.cumsum([len(part) for part in stretches]) * rung.batch_tokens
    curve = [[int(end), round(float(part.mean()), 4)]
             for end, part in zip(ends, stretches, strict=True)]
    return evaluate(model, val_tokens, max_tokens=validation,
                    precision=precision).loss, curve


def ladder(preset: Preset, report=print) -> Ladder:
    """The preset's ladder, loaded where it was recorded or measured before,
    else measured now. `report` is told which."""
    path = RECORDED / f"ladder_{preset.name}.json"
    plan = rungs(preset)
    found = load(path) if path.is_file() else None
    if found and list(found.rungs) == plan:
        report(f"{len(plan)} runs, recorded {found.made['date'][:10]} on "
               f"{found.made['device']}")
        return found
    run = prepared(preset)
    path, began = run.folder / "ladder.json", time.monotonic()
    with FileLock(f"{path}.lock"):
        measure_all(run, plan, path)
    report(f"{len(plan)} runs, trained here; this call took "
           f"{time.monotonic() - began:.0f} s")
    return load(path)


def measure_all(run: Run, plan: list[Rung], path: Path,
                workers: int = 1, validation: int = VALIDATION) -> None:
    """Measure every rung that the file at `path` does not hold, on so many
    processes of one thread each: the models are so small that threads would
    mostly wait for each other. Runs of another plan are dropped.

    Beside the runs the file says how many tokens of held-out text they were
    measured on, and how many tokens and bytes all of it has, so that nats
    can be turned into bits per byte."""
    held = {}
    if path.is_file():
        held = {_key(r["rung"]): r for r in json.loads(
            path.read_text(encoding="utf-8"))["runs"]}
    wanted = [rung.to_dict() for rung in plan]
    held = {key: held[key] for key in map(_key, wanted) if key in held}
    missing = [rung for rung in wanted if _key(rung) not in held]
    with tqdm(total=len(plan), initial=len(held), desc="ladder", unit="run",
              mininterval=5) as bar:
        for done in _measured(run, missing, workers, validation):
            held[_key(done["rung"])] = done
            bar.update()
            write_json(path, dict(
                runs=[held[key] for key in map(_key, wanted) if key in held],
                corpus=run.record["corpus"],
                tokenizer=run.tokenizer.fingerprint,
                measured_on=min(validation, run.val_tokens.tokens),
                held_out=dict(tokens=run.val_tokens.tokens,
                              bytes=run.val_tokens.bytes),
                provenance=provenance(choose_device())))


def _key(rung: dict) -> str:
    return json.dumps(rung, sort_keys=True)


def _measured(run: Run, missing: list[dict], workers: int, validation: int):
    """Each rung's record, as soon as it is there."""
    if workers == 1:
        yield from (_one(run.folder, rung, validation) for rung in missing)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        # the longest first, so that none is left alone at the end
        jobs = [pool.submit(_one, run.folder, rung, validation)
                for rung in sorted(missing, key=lambda r: -r["budget"])]
        for job in as_completed(jobs):
            yield job.result()


def _one(folder: Path, rung: dict, validation: int) -> dict:
    run, began = open_run(folder), time.monotonic()
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        loss, curve = measure(Rung.from_dict(rung).preset, run.train_tokens,
                              run.val_tokens, choose_device(), validation)
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
    return dict(rung=rung, loss=loss, curve=curve,
                seconds=time.monotonic() - began)


def predict(preset: Preset, fits: Bootstrap | None = None) -> Prediction:
    """Predict the validation loss at the end of the preset's run from its
    ladder, and store it beside the run for chapter 4 to check. A stored
    prediction is made anew only when the ladder changed."""
    runs = ladder(preset, report=lambda line: None).runs
    path = prepared(preset).folder / "prediction.json"
    key = [float(value) for value in runs.loss]
    record = json.loads(path.read_text()) if path.is_file() else {}
    if record.get("ladder") != key:
        made = ahead(preset, fits or bootstrap(*runs, resamples=RESAMPLES))
        record = dict(prediction=asdict(made), ladder=key)
        write_json(path, record)
    return Prediction(**record["prediction"])


def check(run: Run, path: Path, validation: int = VALIDATION) -> None:
    """Predict the run's own preset from the ladder at `path`, write that
    down, then train it, and write down how it ended."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if "loss" in record.get("check", {}):
        return
    fits = bootstrap(*load(path).runs, resamples=RESAMPLES)
    record["check"] = dict(prediction=asdict(ahead(run.preset, fits)))
    write_json(path, record)
    loss, curve = measure(run.preset, run.train_tokens, run.val_tokens,
                          choose_device(), validation)
    record["check"].update(preset=run.preset.to_dict(), loss=loss,
                           curve=curve, provenance=provenance(
                               choose_device()))
    write_json(path, record)


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
    sys.exit(main())

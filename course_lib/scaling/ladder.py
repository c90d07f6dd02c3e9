"""Train a ladder of small models, and hold its prediction against a run
(chapter 2).

`rungs.py` says which models those are and why. `stages.ladder` makes or
loads the one of a preset, and `benchmarks/ladder.py` records one.
"""

import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from course_lib.machine.device import choose_device
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.machine.progress import bar
from course_lib.model.cost import count_parameters
from course_lib.presets import Preset
from course_lib.runs import Run, open_run
from course_lib.scaling.forecasting import forecast
from course_lib.scaling.rungs import Rung, load
from course_lib.training.processor import number_format
from course_lib.training.trainer import train

VALIDATION = 131_072  # tokens: of stories, within 0.003 nats of all of them
POINTS = 40  # of a recorded training curve, at most


def measure(run: Run, rung: Preset, validation: int = VALIDATION,
            number_format: str | None = None):
    """Train one rung on a run's text; (validation loss, curve), in nats per
    token. The loss is that of about `validation` held-out tokens."""
    ended = train(None, rung, run.train_tokens, run.measured_tokens,
                  evaluate_at=(), final_tokens=validation, progress=False,
                  number_format=number_format, compiles=False)
    losses = [record["loss"] for record in ended.log if "loss" in record]
    stretches = np.array_split(losses, min(POINTS, rung.steps))
    ends = np.cumsum([len(part) for part in stretches]) * rung.batch_tokens
    curve = [[int(end), round(float(part.mean()), 4)]
             for end, part in zip(ends, stretches, strict=True)]
    return ended.evaluation.loss, curve


def measure_all(run: Run, plan: list[Rung], path: Path,
                workers: int = 1, validation: int = VALIDATION,
                threads: int = 1) -> None:
    """Measure every rung that the file at `path` does not hold, on so many
    processes of so many threads each: one is best where the models are so
    small that threads would mostly wait for each other
    (book/results/rung_threads.json). Runs of another plan are dropped. All are
    trained in one number format, that of the widest, so that none is better
    or worse for its format.

    Beside the runs the file says how many tokens of held-out text they were
    measured on, and how many tokens and bytes all of it has, so that nats
    can be turned into bits per byte."""
    held, device = {}, choose_device()
    widest = max(plan, key=lambda rung: rung.preset.model.n_embd)
    form = number_format(device, widest.preset.model)
    if path.is_file():
        held = {_key(r["rung"]): r for r in json.loads(
            path.read_text(encoding="utf-8"))["runs"]}
    wanted = [rung.to_dict() for rung in plan]
    held = {key: held[key] for key in map(_key, wanted) if key in held}
    missing = [rung for rung in wanted if _key(rung) not in held]
    with bar(total=len(plan), initial=len(held), desc="ladder", unit="run",
             mininterval=5) as shown:
        for done in _measured(run, missing, workers, validation, form,
                              threads):
            held[_key(done["rung"])] = done
            shown.update()
            write_json(path, dict(
                runs=[held[key] for key in map(_key, wanted) if key in held],
                corpus=run.record["corpus"],
                tokenizer=run.tokenizer.fingerprint,
                measured_on=min(validation, run.val_tokens.tokens),
                held_out=dict(tokens=run.val_tokens.tokens,
                              bytes=run.val_tokens.bytes),
                provenance=provenance(device, form)))


def _key(rung: dict) -> str:
    # with the fields that a preset has gained since it was recorded, and
    # without the budget, which another ladder may round elsewhere, and the
    # corpus of its scale, which may be another than was read
    found = Rung.from_dict(rung | dict(budget=0.0)).to_dict()
    del found["preset"]["corpus"]
    return json.dumps(found, sort_keys=True)


def _measured(run: Run, missing: list[dict], workers: int, *how):
    """Each rung's record, as soon as it is there."""
    if workers == 1:
        yield from (_one(run.folder, rung, *how) for rung in missing)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        jobs = [pool.submit(_one, run.folder, rung, *how)
                for rung in missing]
        for job in as_completed(jobs):
            yield job.result()


def _one(folder: Path, rung: dict, validation: int, form: str,
         threads: int = 1) -> dict:
    run, began = open_run(folder), time.monotonic()
    state, before = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        loss, curve = measure(run, Rung.from_dict(rung).preset, validation,
                              form)
    finally:
        torch.set_num_threads(before)
        torch.set_rng_state(state)
    return dict(rung=rung, loss=loss, curve=curve,
                seconds=time.monotonic() - began)


def check(run: Run, path: Path, preset: Preset, floor: float = 0.0,
          validation: int = VALIDATION) -> None:
    """Predict a preset's own run on a run's text from the ladder at `path`,
    write that down, then train it, and write down how it ended. `floor` as
    in `forecast`."""
    record = json.loads(path.read_text(encoding="utf-8"))
    if "loss" in record.get("check", {}):
        return
    record["check"] = dict(preset=preset.to_dict(), prediction=asdict(
        forecast(load(path), count_parameters(preset.model).total,
                 preset.steps * preset.batch_tokens, floor)))
    write_json(path, record)
    device = choose_device()
    form = number_format(device, preset.model)
    loss, curve = measure(run, preset, validation, form)
    record["check"].update(loss=loss, curve=curve,
                           provenance=provenance(device, form))
    write_json(path, record)

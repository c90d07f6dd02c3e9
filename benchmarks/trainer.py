"""What the trainer costs besides its steps.

    python benchmarks/trainer.py

The small scales, where it weighs most, trained by `train` into a folder, with
data, logs, progress and evaluations, against a bare loop of the same steps
over batches made before. Both alternate within one process; a ratio is taken
within a round. The evaluation after the last step, which reads all of the
held-out text, is counted apart. Checkpoints: seconds to save the laptop and
the full model, and the share of a run that this takes at the trainer's
interval. Writes book/results/trainer.json.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from course_lib.machine.device import autocast
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.runs import prepare
from course_lib.showing.page import RESULTS
from course_lib.text.corpus import load_corpus
from course_lib.training import micro_batch, trainer
from course_lib.training.checkpoint import save_checkpoint, save_interval
from course_lib.training.processor import number_format
from course_lib.training.start import start
from course_lib.training.step import train_step

STEPS, ROUNDS = {"smoke": 300, "laptop": 300}, 7


def bare(preset, tokens) -> float:
    """Seconds of a run's steps over batches that are there already."""
    kind = number_format("cpu", preset.model)
    model, optimizer = start(preset, "cpu", None, kind)
    T = preset.model.context_length
    batches = [tokens.batch(step, preset.rows, T, preset.seed)
               for step in range(preset.steps)]
    micro_rows = micro_batch.find_micro_rows(model, preset, "cpu", None,
                                             preset.rows)
    begun = time.perf_counter()
    for batch in batches:
        train_step(model, optimizer, batch, 1e-3, preset.clip, micro_rows,
                   autocast("cpu", kind))
    return time.perf_counter() - begun


def whole(preset, run, folder) -> float:
    """The same by the trainer, up to its last step."""
    folder.mkdir()
    begun = time.perf_counter()
    trainer.train(folder, preset, run.train_tokens, run.val_tokens,
                  device="cpu", progress=False, final_tokens=1)
    return time.perf_counter() - begun


def overhead(scale: str, steps: int, folder: Path) -> dict:
    """How much longer the trainer takes than its steps."""
    preset = load_preset(scale)
    preset = replace(preset, tokens=steps * preset.batch_tokens)
    run = prepare(folder / scale, preset, load_corpus("stories:3000"))
    start_up = replace(preset, tokens=preset.batch_tokens)
    shares = []
    for turn in range(ROUNDS + 1):  # the first only warms up
        took = (whole(preset, run, folder / f"{scale}-{turn}")
                - whole(start_up, run, folder / f"{scale}-start-{turn}"))
        one = bare(start_up, run.train_tokens)
        shares.append(took / (bare(preset, run.train_tokens) - one) - 1)
    return dict(scale=scale, steps=steps, rounds=ROUNDS,
                share=statistics.median(shares[1:]),
                smallest=min(shares[1:]), largest=max(shares[1:]))


def saving(name: str, folder: Path) -> dict:
    """Seconds of a checkpoint with weights and AdamW's state."""
    model, optimizer = start(load_preset(name), "cpu")
    ids = torch.zeros(1, 8, dtype=torch.long)
    train_step(model, optimizer, (ids, ids), 1e-3, 1.0)
    taken = []
    for step in range(5):
        begun = time.perf_counter()
        path = save_checkpoint(folder / name, step, model, optimizer, {})
        taken.append(time.perf_counter() - begun)
    seconds = statistics.median(taken)
    return dict(
        seconds=seconds, slowest=max(taken),
        bytes=sum(file.stat().st_size for file in path.iterdir()),
        share=seconds / (seconds + save_interval(seconds)))


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = dict(
            provenance=provenance("cpu"),
            overhead=[overhead(scale, steps, Path(folder))
                      for scale, steps in STEPS.items()],
            checkpoints={name: saving(name, Path(folder))
                         for name in ("laptop", "full")})
    print(json.dumps(record, indent=1))
    write_json(RESULTS / "trainer.json", record)


if __name__ == "__main__":
    main()

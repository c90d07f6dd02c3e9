"""What the trainer costs besides its steps, and what a step holds in memory.

    python benchmarks/trainer.py [--nanogpt CHECKOUT]

Overhead: the laptop preset trained by `train`, with its data, logs and
progress, against a bare loop of the same steps over batches made before. Both
alternate within one process; a ratio is taken within a round. Checkpoints:
seconds to save the laptop and the full model, and the share of a run that
this takes at the trainer's interval. Memory: the peak of a process that takes
three steps, above where it stood with the model made, for `course_lib`,
`transformers` and, from a checkout, nanoGPT (Linux only). Writes
book/results/trainer.json.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from training_step import TOKENS, nano_gpt, ours, transformers_gpt2

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset
from course_lib.runs import prepare
from course_lib.showing.page import RESULTS
from course_lib.text.corpus import load_corpus
from course_lib.training import micro_batch, trainer
from course_lib.training.checkpoint import save_checkpoint, save_interval
from course_lib.training.start import start
from course_lib.training.step import train_step

STEPS, ROUNDS = 60, 5


def bare(preset, tokens) -> float:
    """Seconds of STEPS steps over batches that are there already."""
    model, optimizer = start(preset, "cpu")
    T = preset.model.context_length
    batches = [tokens.batch(step, preset.rows, T, preset.seed)
               for step in range(STEPS)]
    micro_rows = micro_batch.TOKENS["cpu"] // T
    begun = time.perf_counter()
    for batch in batches:
        train_step(model, optimizer, batch, 1e-3, preset.clip,
                           micro_rows)
    return time.perf_counter() - begun


def whole(preset, run, folder) -> float:
    """The same by the trainer: seconds, evaluations and saves left out."""
    folder.mkdir()
    trainer.train(folder, preset, run.train_tokens, run.val_tokens,
                  device="cpu", progress=False)
    lines = (folder / "timing.jsonl").read_text().splitlines()
    return json.loads(lines[-1])["seconds"]


def overhead(folder: Path) -> dict:
    """How much longer the trainer takes than its steps."""
    laptop = load_preset("laptop")
    preset = replace(laptop, tokens=STEPS * laptop.batch_tokens)
    run = prepare(folder / "run", preset, load_corpus("stories:3000"))
    shares = []
    for turn in range(ROUNDS + 1):  # the first only warms up
        took = whole(preset, run, folder / f"train-{turn}")
        shares.append(took / bare(preset, run.train_tokens) - 1)
    return dict(steps=STEPS, rounds=ROUNDS,
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


def peak(side: str, name: str, checkout: str | None) -> int:
    """Bytes by which three steps raise this process's memory, at most."""
    preset = load_preset(name)
    torch.manual_seed(0)
    state = GPT(preset.model).state_dict()
    make = {"course_lib": ours, "transformers": transformers_gpt2}.get(side)
    _, step = make(preset, state) if make else nano_gpt(checkout, preset,
                                                        state)
    T = preset.model.context_length
    batch = torch.randint(preset.model.vocab_size, (2, TOKENS[name] // T, T))
    before = int(Path("/proc/self/statm").read_text().split()[1])
    for _ in range(3):
        step(*batch)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            - before * os.sysconf("SC_PAGE_SIZE"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", help="a checkout of nanoGPT")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak:
        print(peak(*options.peak, options.nanogpt))
        return
    with tempfile.TemporaryDirectory() as folder:
        record = dict(
            provenance=provenance("cpu"), overhead=overhead(Path(folder)),
            checkpoints={name: saving(name, Path(folder))
                         for name in ("laptop", "full")})
    sides = ["course_lib", "transformers"]
    more = []
    if options.nanogpt:
        sides, more = [*sides, "nanoGPT"], ["--nanogpt", options.nanogpt]
    record["peak_bytes"] = {name: {side: int(subprocess.run(
        [sys.executable, __file__, "--peak", side, name, *more], check=True,
        stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
        for side in sides} for name in ("laptop", "full")}
    print(json.dumps(record, indent=1))
    write_json(RESULTS / "trainer.json", record)


if __name__ == "__main__":
    main()

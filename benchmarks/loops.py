"""Whole training loops: ours, the Trainer of transformers, nanoGPT's script.

    pip install accelerate
    python benchmarks/loops.py --nanogpt CHECKOUT [--presets ...]

The same shape of model, the same token file and the same number of tokens a
step, each trained by its own program with its own data loading, logging,
schedule, clipping and AdamW. What counts is the time from one batch to the
next, so that everything a loop does between its steps is in it, but not what
it does before the first or after the last (nor evaluations and saves). The
loops take turns within one process; a ratio is taken within a round. Writes
book/results/loops.json.
"""

import argparse
import contextlib
import io
import os
import pickle
import re
import runpy
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    Trainer,
    TrainingArguments,
)

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.gpt import GPT
from course_lib.presets import load_preset
from course_lib.runs import prepare
from course_lib.sharing.hugging_face import hf_config
from course_lib.showing.page import RESULTS
from course_lib.text.corpus import load_corpus
from course_lib.training import options as trials
from course_lib.training import trainer

TOKENS = 4_096  # in one step
STEPS = {"laptop": 24, "full": 4}  # of one turn; the first is left out
CORPUS = "stories:3000"


class Stopwatch:
    """Passes everything on, and notes when a batch is asked for."""

    def __init__(self, tokens):
        self._watched, self.times = tokens, []

    def __getattr__(self, name):
        return getattr(self._watched, name)

    def batch(self, *arguments):
        self.times.append(time.perf_counter())
        return self._watched.batch(*arguments)

    @property
    def seconds(self) -> float:
        """Median time from one batch to the next."""
        return statistics.median(np.diff(self.times)[1:])


def ours(run, preset, folder) -> float:
    """Seconds a step of `course_lib.training.trainer`."""
    folder.mkdir()
    watch = Stopwatch(run.train_tokens)
    trials.EVALUATIONS = 1  # so short a run would look at its text each step
    with contextlib.redirect_stderr(io.StringIO()):
        trainer.train(folder, preset, watch, run.val_tokens, device="cpu")
    return watch.seconds


def transformers_trainer(run, preset, folder) -> float:
    """Seconds a step of Hugging Face's Trainer with its defaults; it makes a
    model's labels from its inputs."""
    watch = Stopwatch(run.train_tokens)
    T = preset.model.context_length
    rows = run.train_tokens.windows(T)

    def collate(numbers):
        ids, _ = watch.batch(len(watch.times), preset.rows, T)
        return dict(input_ids=ids, labels=ids)

    original = GPT(preset.model)
    model = GPT2LMHeadModel(GPT2Config(**hf_config(original, 0)))
    loop = Trainer(
        model=model, train_dataset=range(rows), data_collator=collate,
        args=TrainingArguments(
            output_dir=str(folder), max_steps=preset.steps, use_cpu=True,
            per_device_train_batch_size=preset.rows, learning_rate=1e-3,
            lr_scheduler_type="cosine", logging_steps=10,
            save_strategy="no", report_to=[], disable_tqdm=False))
    with contextlib.redirect_stderr(io.StringIO()), \
            contextlib.redirect_stdout(io.StringIO()):
        loop.train()
    return watch.seconds


def nano_gpt(run, preset, folder, checkout) -> float:
    """Seconds a step as nanoGPT's train.py prints them, over its own format
    of the same tokens; it runs as a script, in this process."""
    data = folder / "data" / "own"
    data.mkdir(parents=True)
    for name, tokens in (("train", run.train_tokens), ("val", run.val_tokens)):
        np.asarray(tokens.ids[:]).astype(np.uint16).tofile(
            data / f"{name}.bin")
    (data / "meta.pkl").write_bytes(pickle.dumps(
        dict(vocab_size=preset.model.vocab_size)))
    (folder / "configurator.py").symlink_to(Path(checkout) / "configurator.py")
    shape = preset.model
    options = dict(
        dataset="own", out_dir="out", device="cpu", dtype="float32",
        compile=False, bias=True, dropout=0.0, n_layer=shape.n_layer,
        n_head=shape.n_head, n_embd=shape.n_embd, eval_iters=1,
        eval_interval=10**6, log_interval=1, batch_size=preset.rows,
        block_size=shape.context_length, gradient_accumulation_steps=1,
        max_iters=preset.steps, lr_decay_iters=preset.steps, warmup_iters=2)
    said, before = io.StringIO(), (sys.argv, os.getcwd(), sys.path[:])
    try:
        os.chdir(folder)
        sys.path.insert(0, str(checkout))
        sys.argv = ["train.py", *(f"--{k}={v}" for k, v in options.items())]
        with contextlib.redirect_stdout(said):
            runpy.run_path(f"{checkout}/train.py", run_name="__main__")
    finally:
        sys.argv, sys.path = before[0], before[2]
        os.chdir(before[1])
    times = re.findall(r"iter (\d+): .* time ([\d.]+)ms", said.getvalue())
    return statistics.median(float(ms) for i, ms in times if int(i)) / 1000


def compare(name: str, rounds: int, checkout: str | None, home: Path) -> dict:
    """Tokens a second of every loop and ratios to ours, for a preset."""
    laptop, preset = load_preset("laptop"), load_preset(name)
    # a text of few words fills no table of 50,304: the ids stay small while
    # the model has its full size
    run = prepare(home / name, replace(laptop, corpus=CORPUS, model=replace(
        laptop.model, context_length=preset.model.context_length)),
        load_corpus(CORPUS))
    preset = replace(preset, batch_tokens=TOKENS, tokens=STEPS[name] * TOKENS,
                     warmup_steps=1)
    loops = {"course_lib": ours, "transformers": transformers_trainer}
    if checkout:
        loops["nanoGPT"] = lambda *three: nano_gpt(*three, checkout)
    taken = {side: [] for side in loops}
    for turn in range(rounds + 1):  # the first only warms up
        for side in list(loops)[::1 if turn % 2 else -1]:
            seconds = loops[side](run, preset,
                                  home / f"{name}-{side}-{turn}")
            if turn:
                taken[side].append(seconds)
    return dict(preset=name, tokens=TOKENS, steps=STEPS[name], rounds=rounds,
                sides={side: summary(times, taken["course_lib"])
                       for side, times in taken.items()})


def summary(taken, our_time) -> dict:
    """Median tokens/s, and how many times as fast ours is."""
    ratios = [other / mine for other, mine in zip(taken, our_time)]
    quarter, _, three_quarters = statistics.quantiles(ratios, n=4)
    return dict(tokens_per_second=TOKENS / statistics.median(taken),
                ours_is_faster=statistics.median(ratios),
                quartiles=[quarter, three_quarters])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nanogpt", help="a checkout of nanoGPT")
    parser.add_argument("--presets", nargs="+", default=["laptop", "full"])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as home:
        for name in options.presets:
            rows.append(compare(name, options.rounds, options.nanogpt,
                                Path(home)))
            for side, row in rows[-1]["sides"].items():
                print(f"{name:7} {side:13}{row['tokens_per_second']:9,.0f} "
                      f"tokens/s, ours is {row['ours_is_faster']:.2f}x ("
                      + " to ".join(f"{q:.2f}" for q in row["quartiles"])
                      + ")", flush=True)
    write_json(RESULTS / "loops.json",
               dict(provenance=provenance("cpu"), rows=rows))


if __name__ == "__main__":
    torch.manual_seed(0)
    main()

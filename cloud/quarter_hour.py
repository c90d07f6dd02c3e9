"""A quarter of an hour on a lent GPU: what it takes there, and what it does.

    python cloud/quarter_hour.py pack RUN PARCEL --tokens 61M   # at home
    python cloud/quarter_hour.py first PARCEL OUT               # on the GPU
    python cloud/quarter_hour.py second PARCEL [PARCEL] OUT

`pack` compresses tokens of a prepared run, in streams that unpack side by
side, so that sixty million of them travel in one parcel of 64 MB. `first` sees
that a run on this GPU can be stopped and resumed, times a step with each head
and each way to compile, profiles three steps, and trains the recipes `gpt2`
and `modern` for as many tokens as there is time. `second` trains `modern` for
longer and brings its weights home in eight bits. Whatever is measured is
written to OUT at once: a machine that is taken away leaves what it had.

Everything runs on a CPU as well, at `--preset smoke` in a minute; a test does
that. The figures that come home go into book/results/ by hand.
"""

import argparse
import json
import lzma
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor  # lzma lets go of the GIL
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from course_lib.cli.arguments import number
from course_lib.machine.device import (
    autocast,
    choose_device,
    matmul_peak,
    precision,
    synchronize,
)
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.model.cost import flops_per_token
from course_lib.model.loss import chunked_cross_entropy
from course_lib.presets import Preset, load_preset
from course_lib.recipes import find_recipe
from course_lib.runs import Run, open_run
from course_lib.sampling.generation import generate
from course_lib.training.log import read_log
from course_lib.training.start import compile_whole, start
from course_lib.training.step import train_step

STREAMS = 8  # unpacked side by side
KEPT = ("run.json", "tokenizer.json", "val.bin", "val.json", "train.json")
FIRST = {"gpt2": 200_000_000, "modern": 100_000_000, "modern short":
         70_000_000}
SECOND = {"modern": 400_000_000}
WEIGHT = 127  # the largest whole number of a weight, on either side of 0
PARTS = 4  # files that the weights come home in
PROMPTS = ("life is about", "The old man looked at her and said")


# What travels.

def pack(run: Run, parcel: Path, tokens: int, skip: int = 0) -> None:
    """Write a parcel: `tokens` of the run's, after the first `skip`."""
    parcel.mkdir(parents=True)
    for name in KEPT:
        shutil.copy(run.folder / name, parcel / name)
    ids = np.asarray(run.train_tokens.ids[skip:skip + tokens])
    with ThreadPoolExecutor() as pool:
        parts = pool.map(_squeeze, np.array_split(ids, STREAMS))
        for place, part in enumerate(parts):
            (parcel / f"tokens-{place}.xz").write_bytes(part)
    write_json(parcel / "parcel.json", dict(
        tokens=len(ids), dtype=ids.dtype.name, skip=skip))


def _squeeze(ids) -> bytes:
    # low and high bytes apart: the high ones are nearly always small
    low_high = ids.view(np.uint8).reshape(len(ids), -1).T
    return lzma.compress(low_high.tobytes(), preset=6)


def _unsqueeze(path: Path, dtype: str):
    bytes_ = np.frombuffer(lzma.decompress(path.read_bytes()), np.uint8)
    size = np.dtype(dtype).itemsize
    return np.ascontiguousarray(bytes_.reshape(size, -1).T).view(dtype)[:, 0]


def unpack(parcels: list[Path], folder: Path) -> Run:
    """A run folder of the tokens in all parcels."""
    folder.mkdir(parents=True)
    for name in KEPT:
        shutil.copy(parcels[0] / name, folder / name)
    with ThreadPoolExecutor(STREAMS) as pool:
        jobs = [pool.submit(_unsqueeze, parcel / f"tokens-{place}.xz",
                            json.loads((parcel / "parcel.json").read_text()
                                       )["dtype"])
                for parcel in parcels for place in range(STREAMS)]
        ids = np.concatenate([job.result() for job in jobs])
    ids.tofile(folder / "train.bin")
    header = json.loads((folder / "train.json").read_text())
    share = len(ids) / header["tokens"]
    for name in ("sha256", "source"):  # of another file
        header.pop(name)
    header |= dict(tokens=len(ids), bytes=round(header["bytes"] * share))
    write_json(folder / "train.json", header)
    record = json.loads((folder / "run.json").read_text())
    record["files"]["train"] = {name: header[name] for name in (
        "tokens", "bytes", "documents")}
    write_json(folder / "run.json", record)
    return open_run(folder)


# What is done there.

def by_recipe(run: Run, name: str, scale: str, tokens: int) -> Preset:
    """The scale's run by that recipe, as long as said, on these tokens."""
    base = load_preset(scale)
    base = replace(base, corpus=run.preset.corpus, model=replace(
        base.model, vocab_size=run.tokenizer.vocab_size))
    preset = find_recipe(name.split()[0]).at(base)
    tokens = max(tokens, preset.batch_tokens)
    steps = tokens // preset.batch_tokens
    return replace(preset, tokens=tokens,
                   warmup_steps=min(preset.warmup_steps, steps // 10))


def resumed(run: Run, preset: Preset, folder: Path) -> dict:
    """Stop a run half-way, go on, and look whether the log has a seam."""
    shutil.copytree(run.folder, folder)
    write_json(folder / "run.json", {**run.record,
                                     "preset": preset.to_dict()})
    one = open_run(folder)
    one.train(stop_at=preset.steps // 2, progress=False)
    ended = open_run(folder).train(progress=False)
    losses = [r["loss"] for r in one.log if "loss" in r]
    return dict(steps=len(losses), loss=ended.evaluation.loss,
                losses=losses, settings=one.number_format)


def heads(model):
    """Ways to the loss: name -> loss_of(ids, targets, last)."""
    def chunks(ids, targets, last=True):
        return chunked_cross_entropy(model.hidden(ids).flatten(0, 1),
                                     model.head, targets.flatten(), 8192)

    def at_once(ids, targets, last=True):
        logits = F.linear(model.hidden(ids).flatten(0, 1), model.head)
        return F.cross_entropy(logits.float(), targets.flatten())

    return {"chunks": chunks, "all logits": at_once}


def timed_steps(preset: Preset, device: str, rows: int, backend: str) -> dict:
    """Seconds of eight steps with each head: eager, the model compiled, and
    the whole loss compiled; then a profile of three."""
    peak, found = matmul_peak(device), {}
    T = preset.model.context_length
    batch = [part.to(device) for part in torch.randint(
        preset.model.vocab_size, (2, rows, T))]
    work = rows * T * flops_per_token(preset.model)
    for how in ("eager", "model compiled", "loss compiled"):
        for head in ("chunks", "all logits"):
            torch.compiler.reset()
            model, optimizer = start(
                preset, device, number_format=precision(device),
                compiles=False)
            loss_of = heads(model)[head]
            if how == "model compiled":
                compile_whole(model, backend)
            elif how == "loss compiled":
                loss_of = torch.compile(loss_of, dynamic=False,
                                        backend=backend)
            try:
                found[f"{how}, {head}"] = _time(
                    model, optimizer, batch, loss_of, preset, device, work,
                    peak)
            except Exception as error:  # the others are still worth a try
                found[f"{how}, {head}"] = dict(
                    failed=f"{type(error).__name__}: {str(error)[:300]}")
    return dict(rows=rows, peak=peak, ways=found)


def _time(model, optimizer, batch, loss_of, preset, device, work, peak):
    def step():
        begun = time.perf_counter()
        train_step(model, optimizer, batch, 1e-4, preset.clip,
                   precision=autocast(device), loss_of=loss_of)
        synchronize(device)
        return time.perf_counter() - begun

    first = step()
    seconds = sorted(step() for _ in range(8))
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        step()
    memory = torch.cuda.max_memory_allocated() if device == "cuda" else None
    return dict(first=first, seconds=seconds, share_of_peak=work
                / seconds[len(seconds) // 2] / peak, peak_bytes=memory)


def profile(preset: Preset, device: str, rows: int) -> list[dict]:
    """The forty dearest operators of three compiled steps."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler
    model, optimizer = start(preset, device, number_format=precision(device))
    batch = torch.randint(preset.model.vocab_size, (
        2, rows, preset.model.context_length), device=device)
    on = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (
        device == "cuda")
    for _ in range(2):
        train_step(model, optimizer, batch, 1e-4, 1.0,
                   precision=autocast(device))
    with profiler(activities=on) as record:
        for _ in range(3):
            train_step(model, optimizer, batch, 1e-4, 1.0,
                       precision=autocast(device))
        synchronize(device)
    key = "self_device_time_total" if device == "cuda" \
        else "self_cpu_time_total"
    rows = sorted(record.key_averages(), key=lambda e: -getattr(e, key))
    return [dict(name=e.key[:120], calls=e.count,
                 microseconds=getattr(e, key)) for e in rows[:40]]


def trained(run: Run, preset: Preset, folder: Path) -> tuple[dict, object]:
    """Train in a folder; (what came of it, the model)."""
    shutil.copytree(run.folder, folder)
    write_json(folder / "run.json", {**run.record,
                                     "preset": preset.to_dict()})
    ended = open_run(folder).train(progress=False)
    timing = read_log(folder / "timing.jsonl")
    speeds = sorted(r["tokens_per_second"] for r in timing)
    texts = []
    for prompt in PROMPTS:
        ids = run.tokenizer.encode(prompt)
        new = generate(ended.model, [ids] * 3, 80, 0.8, seed=0,
                       stop_id=run.tokenizer.eot)
        texts += [prompt + run.tokenizer.decode(row) for row in new]
    return dict(
        preset=preset.to_dict(), loss=ended.evaluation.loss,
        bits_per_byte=ended.evaluation.bits_per_byte,
        tokens_per_second=speeds[len(speeds) // 2], timing=timing[-1],
        passes=preset.tokens / run.train_tokens.tokens,
        log=read_log(folder / "log.jsonl"), samples=texts), ended.model


def in_eight_bits(model, out: Path) -> None:
    """The weights, each row with a scale of its own, in PARTS files."""
    parts = [{} for _ in range(PARTS)]
    for place, (name, value) in enumerate(model.state_dict().items()):
        value = value.float().cpu()
        if value.dim() == 2:
            scale = value.abs().amax(1, keepdim=True).clamp_min(1e-30) / WEIGHT
            parts[place % PARTS] |= {
                name: (value / scale).round().to(torch.int8),
                f"{name}.scale": scale}
        else:
            parts[place % PARTS][name] = value.contiguous()
    for place, part in enumerate(parts):
        save_file(part, out / f"weights-{place}.safetensors")


def go(options, lengths: dict) -> None:
    """`first` and `second`: the measurements, then the trainings."""
    options.out.mkdir(parents=True, exist_ok=True)
    device, began = choose_device(), time.monotonic()
    found = dict(provenance=provenance(device), scale=options.preset)

    def note(name, value):
        found[name], found["elapsed"] = value, time.monotonic() - began
        write_json(options.out / f"{options.verb}.json", found)
        print(f"{time.monotonic() - began:6.0f} s  {name}", flush=True)

    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        run = unpack(options.parcels, scratch / "parcel")
        note("tokens", run.train_tokens.tokens)
        if options.verb == "first":
            tiny = by_recipe(run, "modern", "smoke", 40_000)
            note("resumed", resumed(run, tiny, scratch / "tiny"))
            for name in ("gpt2", "modern"):
                preset = by_recipe(run, name, options.preset, 1)
                note(f"steps of {name}", timed_steps(
                    preset, device, options.rows or preset.rows,
                    options.backend))
                note(f"profile of {name}", profile(
                    preset, device, options.rows or preset.rows))
        for name, tokens in lengths.items():
            preset = by_recipe(run, name, options.preset,
                               int(tokens * options.share))
            result, model = trained(run, preset, scratch / name)
            note(name, result)
        if options.verb == "second":
            in_eight_bits(model, options.out)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("pack")
    verb.add_argument("run", type=Path)
    verb.add_argument("parcel", type=Path)
    verb.add_argument("--tokens", type=number, default=61_000_000)
    verb.add_argument("--skip", type=number, default=0)
    for name in ("first", "second"):
        verb = verbs.add_parser(name)
        verb.add_argument("parcels", type=Path, nargs="+")
        verb.add_argument("out", type=Path)
        verb.add_argument("--preset", default="full")
        verb.add_argument("--rows", type=int, help="in a timed step; those "
                          "of the preset's without")
        verb.add_argument("--share", type=float, default=1.0,
                          help="of the planned tokens")
        verb.add_argument("--backend", default="inductor",
                          help="of torch.compile")
    options = parser.parse_args(arguments)
    if options.verb == "pack":
        pack(open_run(options.run), options.parcel, options.tokens,
             options.skip)
    else:
        go(options, FIRST if options.verb == "first" else SECOND)


if __name__ == "__main__":
    main()

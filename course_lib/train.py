"""The trainer: steps, schedule, logging, exact resume (chapter 4).

Everything random is a function of (seed, step), and everything that decides
the weights is in the run folder. So a run that was killed and resumed ends
in the same bits as one that was not (on one CPU configuration).
"""

import contextlib
import math
import os
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from tqdm import tqdm

from course_lib import checkpoint, micro
from course_lib.budget import find_gpu, flops_per_token
from course_lib.data import Tokens
from course_lib.device import (
    autocast,
    choose_device,
    device_name,
    matmul_peak,
    synchronize,
)
from course_lib.distributed import World, join, share
from course_lib.evaluate import Evaluation, evaluate
from course_lib.log import Diverged, Log
from course_lib.model import GPT
from course_lib.presets import Preset

SNAPSHOTS = (0.0, 0.01, 0.1, 1.0)  # shares of the run whose weights stay
EVALUATIONS = 20  # points on the validation curve, besides the first
DECAY = 0.2  # share of the steps in which `wsd` goes down
SAVE_SECONDS = 120  # at least this long between checkpoints
SAVE_SHARE = 0.01  # of the time goes into them, at most
VALIDATION_TOKENS = 32_768  # for the curve; the last point uses them all


@dataclass(frozen=True)
class Result:
    """What a training call ends with. `step` is short of the preset's
    steps when the run was told to stop early."""

    model: GPT
    step: int
    evaluation: Evaluation | None


def learning_rate(step: int, preset: Preset) -> float:
    """The rate of a step, counted from 0: linear warm-up to the peak, then
    the preset's schedule. `cosine` falls to a tenth at the last step; `wsd`
    (warm-up, stable, decay) keeps the peak and falls in a line to nearly
    nothing over the last fifth of the steps; `constant` keeps it.

    Sources: Loshchilov and Hutter 2017; Hoffmann et al. 2022, who show that
    the cosine must end where the run does; Hu et al. 2024 (MiniCPM), wsd.
    """
    peak, warmup = preset.learning_rate, preset.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    if preset.schedule == "constant":
        return peak
    if preset.schedule == "wsd":
        last = max(1, round(DECAY * preset.steps))
        return peak * min(1, (preset.steps - step) / last)
    done = (step - warmup) / max(1, preset.steps - 1 - warmup)
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1, done))))


def make_optimizer(model: GPT, preset: Preset) -> torch.optim.AdamW:
    """AdamW that decays matrices only (Loshchilov and Hutter 2019).

    Norms and biases are left alone: pulled to zero they would silence the
    signal rather than simplify the model.
    """
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    return torch.optim.AdamW(
        [dict(params=matrices, weight_decay=preset.weight_decay),
         dict(params=vectors, weight_decay=0.0)],
        lr=preset.learning_rate, betas=(0.9, 0.95), fused=True)


def train_step(model, optimizer, batch, rate, clip, micro_rows=None,
               precision=None, scaler=None, loss_of=None):
    """One update from (ids, targets), each (rows, T); returns the loss in
    nats per token and the gradient's norm before clipping, both scalars
    that are still on the device.

    `rate` is the learning rate of this step, `clip` the largest norm of the
    gradient over all weights, `precision` a context such as
    torch.autocast's. More than `micro_rows` rows (all, without) are done in
    turns, whose gradients add up to those of the whole batch. With a norm
    that is no number nothing is updated: that is decided on the device,
    which need not be waited for. `scaler`, a torch.amp.GradScaler, lifts
    float16's small gradients into its range and lowers them again
    (Micikevicius et al. 2018). `loss_of(ids, targets, last)` is
    `distributed.share`'s, by default the model's own loss.
    """
    ids, targets = batch
    micro_rows = micro_rows or len(ids)
    precision = precision or contextlib.nullcontext()
    scaler = scaler or torch.amp.GradScaler(ids.device.type, enabled=False)
    loss_of = loss_of or share(model, World())
    loss = torch.zeros((), device=ids.device)
    for start in range(0, len(ids), micro_rows):
        part = ids[start:start + micro_rows]
        with precision:
            piece = loss_of(part, targets[start:start + micro_rows],
                            last=start + micro_rows >= len(ids)
                            ) * (len(part) / len(ids))
        scaler.scale(piece).backward()
        loss += piece.detach()
    scaler.unscale_(optimizer)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    if not scaler.is_enabled():  # the fused AdamW looks at this by itself
        optimizer.found_inf = (~norm.isfinite()).float()
        optimizer.grad_scale = None
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad(set_to_none=True)
    return loss, norm


def train(folder, preset: Preset, data: Tokens, validation: Tokens, *,
          device: str | None = None, micro_rows: int | None = None,
          number_format: str | None = None, stop_at: int | None = None,
          save_seconds: float | None = None, tensorboard: bool = False,
          progress: bool = True) -> Result:
    """Train in a run folder, from its newest checkpoint or from nothing.

    Under torchrun every process calls it, and the first one writes.
    `number_format` is bfloat16, float16 or float32, the device's own
    without. `stop_at` ends the call after that step, with a checkpoint to
    go on from; so do SIGTERM and Ctrl-C. Besides, one is written every
    `save_seconds`: 120 without, and longer where saving takes over a
    hundredth of the time. Raises Diverged when the loss is
    no longer a number, and ValueError when the data or the checkpoints do
    not fit the preset or are damaged.
    """
    folder, device = Path(folder), device or choose_device()
    world, T = join(device), preset.model.context_length
    if preset.rows % world.size:
        raise ValueError(f"{preset.rows} rows a step do not divide among "
                         f"{world.size} processes: change --batch")
    precision = autocast(device, number_format)
    float16 = getattr(precision, "fast_dtype", None) == torch.float16
    scaler = torch.amp.GradScaler(device, enabled=float16)
    data.windows(T)  # refuses a context longer than the data
    for tokens in (data, validation):
        tokens.verify()
    model, optimizer = start(preset, device)
    fingerprint = dict(tokenizer=data.header["tokenizer"], tokens=data.tokens,
                       preset=preset.to_dict(),
                       **{name: tokens.header["sha256"] for name, tokens
                          in (("data", data), ("validation", validation))
                          if "sha256" in tokens.header})
    fresh = dict(step=0, seconds=0.0, fingerprint=fingerprint)
    state = checkpoint.load_newest(
        folder / "checkpoints", model, optimizer) or fresh
    if world.first:
        checkpoint.set_aside(folder / "checkpoints", state["step"])
    if state["fingerprint"] != fingerprint:
        raise ValueError(f"the checkpoints in {folder} were made with other "
                         "data or another configuration: start a new run")
    if float16 and "scaler" in state:
        scaler.load_state_dict(state["scaler"])
    step, seconds = state["step"], state["seconds"]
    end = preset.steps if stop_at is None else min(stop_at, preset.steps)
    stop = step >= end
    rows = micro.micro_rows(folder, model, preset, device, precision,
                            preset.rows // world.size, micro_rows)
    if world.first:
        micro.store(folder, rows)
    loss_of = share(model, world)
    evaluate_every = max(1, preset.steps // EVALUATIONS)
    snapshots = {round(share * preset.steps) for share in SNAPSHOTS}
    log = Log(folder, step, writes=world.first, scales=float16,
              tensorboard=tensorboard)
    result = None
    peak = matmul_peak(device) * world.size
    price = hourly_price(device) * world.size
    machine = dict(device=device_name(device), processes=world.size)
    bar = tqdm(total=preset.steps, initial=step, unit="step",
               mininterval=2, desc="training",
               # saying nothing leaves $TQDM_DISABLE in force
               **({} if progress and world.first else {"disable": True}))
    with bar, stop_signals() as stopping:
        saved = mark = time.monotonic()
        interval = save_interval(0, save_seconds)
        while True:
            last = step == preset.steps
            if step in snapshots and world.first:
                save_snapshot(folder, step, model)
            if step % evaluate_every == 0 or last:
                result = evaluate(
                    model, validation, precision=precision, world=world,
                    max_tokens=None if last else VALIDATION_TOKENS)
                log.add(step=step, tokens=step * preset.batch_tokens,
                        val_loss=result.loss,
                        val_bits_per_byte=result.bits_per_byte)
                log.flush()
                mark = time.monotonic()
            if stop:
                return Result(model, step, result)
            # the seed of dropout is derived, so no random state is saved
            torch.manual_seed((preset.seed * 1_000_003 + step) * world.size
                              + world.rank)
            batch = [part.to(device, non_blocking=True)
                     for part in data.batch(step, preset.rows, T, preset.seed,
                                            world.rank, world.size)]
            rate = learning_rate(step, preset)
            try:
                loss, norm = train_step(
                    model, optimizer, batch, rate, preset.clip, rows,
                    precision, scaler, loss_of)
            except torch.OutOfMemoryError:
                if world.size > 1:  # the others are waiting for this one
                    raise
                optimizer.zero_grad(set_to_none=True)
                rows = micro.halve(rows)
                micro.store(folder, rows)
                log.add(step=step, micro_rows=rows, note="out of memory: from "
                        "here on not bit-identical to another run")
                continue
            step += 1
            # asked once: what ends the loop is also logged and saved
            stop = step >= end
            if not stop and (world.size == 1 or step % log.every == 0):
                stop = world.any(bool(stopping))
            bar.update()
            log.add(step=step, tokens=step * preset.batch_tokens,
                    loss=world.mean(loss), learning_rate=rate,
                    grad_norm=norm)
            if (len(log.waiting) >= log.every or step % evaluate_every == 0
                    or stop):
                steps = sum("loss" in record for record in log.waiting)
                newest = log.flush()
                now = time.monotonic()
                seconds += now - mark
                speed = steps * preset.batch_tokens / (now - mark)
                mark = now
                mfu = speed * flops_per_token(preset.model, T) / peak
                log.time(step=step, seconds=seconds, tokens_per_second=speed,
                         mfu=mfu, dollars=price * seconds / 3600, **machine)
                bar.set_postfix_str(f"loss {newest['loss']:.3f}, "
                                    f"{speed:,.0f} tokens/s")
                if now - saved > interval or stop:
                    if not all(p.isfinite().all()
                               for p in model.parameters()):
                        raise Diverged(f"a weight is no number after step "
                                       f"{step}: lower the learning rate")
                    if world.first:
                        checkpoint.save_checkpoint(
                            folder / "checkpoints", step, model, optimizer,
                            dict(seconds=seconds, fingerprint=fingerprint,
                                 **({"scaler": scaler.state_dict()}
                                    if float16 else {})))
                    saved = mark = time.monotonic()
                    interval = save_interval(saved - now, save_seconds)


def save_interval(seconds: float, wanted: float | None = None) -> float:
    """Seconds until the next checkpoint, when one takes `seconds`: those
    `wanted`, or else what keeps saving a small share of the time."""
    if wanted is not None:
        return wanted
    return max(SAVE_SECONDS, seconds / SAVE_SHARE)


def start(preset: Preset, device: str):
    """A fresh (model, optimizer), the same for the same seed. On a GPU each
    block is compiled, which leaves the names of the weights alone."""
    torch.manual_seed(preset.seed)
    model = GPT(preset.model).to(device).train()
    if device == "cuda":
        for block in model.transformer.h:
            block.compile()
    return model, make_optimizer(model, preset)


def hourly_price(device: str) -> float:
    """US$ an hour by the book's table; 0 for a machine of one's own."""
    try:
        return find_gpu(device_name(device)).dollars_per_hour
    except ValueError:
        return 0.0


def measure_speed(preset: Preset, device: str, seconds: float = 5) -> float:
    """Tokens per second of training steps on random tokens, the best of a
    few: one micro-batch each, so that `full` can be measured anywhere."""
    model, optimizer = start(preset, device)
    T = preset.model.context_length
    limit = micro.TOKENS[device] // (8 if device == "cpu" else 4)
    rows = max(1, min(preset.rows, limit // T))
    batch = torch.randint(preset.model.vocab_size, (2, rows, T),
                          device=device)
    best, end, steps = 0.0, time.monotonic() + seconds, 0
    while steps < 3 or time.monotonic() < end:
        begun = time.monotonic()
        train_step(model, optimizer, batch, 1e-4, preset.clip,
                   precision=autocast(device))
        synchronize(device)
        best = max(best, rows * T / (time.monotonic() - begun))
        steps += 1
    return best


def save_snapshot(folder: Path, step: int, model: GPT) -> None:
    """Weights alone, for looking back at how the model learned."""
    path = folder / "snapshots" / f"step-{step:08d}" / "model.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(model.state_dict(), partial)
    os.replace(partial, path)


@contextlib.contextmanager
def stop_signals():
    """A list that SIGTERM or Ctrl-C fill, instead of ending the process.
    A second one ends it: whoever asks twice will not wait for a save."""
    caught = []

    def note(number, _frame):
        caught.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, note)
              for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

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

from course_lib import checkpoint
from course_lib.budget import find_gpu, flops_per_token
from course_lib.data import Tokens
from course_lib.device import (
    autocast,
    choose_device,
    device_name,
    matmul_peak,
    synchronize,
)
from course_lib.evaluate import Evaluation, evaluate
from course_lib.log import Diverged, Log
from course_lib.model import GPT
from course_lib.presets import Preset

SNAPSHOTS = (0.0, 0.01, 0.1, 1.0)  # shares of the run whose weights stay
EVALUATIONS = 20  # points on the validation curve, besides the first
SAVE_SECONDS = 120  # about this long between checkpoints
MICRO_TOKENS = {"cpu": 8_192, "mps": 8_192, "cuda": 32_768}
VALIDATION_TOKENS = 32_768  # for the curve; the last point uses them all


@dataclass(frozen=True)
class Result:
    """What a training call ends with. `step` is short of the preset's
    steps when the run was told to stop early."""

    model: GPT
    step: int
    evaluation: Evaluation | None


def learning_rate(step: int, preset: Preset) -> float:
    """The rate of a step, counted from 0: linear warm-up, then a cosine
    down to a tenth of the peak at the last step.

    Sources: Loshchilov and Hutter 2017; Hoffmann et al. 2022, who show that
    the cosine must end where the run does.
    """
    peak, warmup = preset.learning_rate, preset.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, preset.steps - 1 - warmup)
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1, share))))


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
               precision=None):
    """One update from (ids, targets), each (rows, T); returns the loss in
    nats and the gradient's norm before clipping, both still tensors.

    More than `micro_rows` rows are done in turns, whose gradients add up to
    those of the whole batch.
    """
    ids, targets = batch
    micro_rows = micro_rows or len(ids)
    precision = precision or contextlib.nullcontext()
    loss = torch.zeros((), device=ids.device)
    for part in zip(ids.split(micro_rows), targets.split(micro_rows)):
        with precision:
            share = model.loss(*part) * (len(part[0]) / len(ids))
        share.backward()
        loss += share.detach()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return loss, norm


def train(folder, preset: Preset, data: Tokens, validation: Tokens, *,
          device: str | None = None, micro_rows: int | None = None,
          stop_at: int | None = None, progress: bool = True) -> Result:
    """Train in a run folder, from its newest checkpoint or from nothing.

    `stop_at` ends the call after that step, with a checkpoint to go on
    from; so do SIGTERM and Ctrl-C. Raises Diverged when the loss is no
    longer a number, and ValueError when the data or the checkpoints do not
    fit the preset or are damaged.
    """
    if micro_rows is not None and micro_rows < 1:
        raise ValueError(f"micro_rows must be 1 or more, not {micro_rows}")
    folder, device = Path(folder), device or choose_device()
    T = preset.model.context_length
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
    if state["fingerprint"] != fingerprint:
        raise ValueError(f"the checkpoints in {folder} were made with other "
                         "data or another configuration: start a new run")
    step, seconds = state["step"], state["seconds"]
    end = preset.steps if stop_at is None else min(stop_at, preset.steps)
    stop = step >= end
    micro_rows = micro_rows or max(1, MICRO_TOKENS[device] // T)
    evaluate_every = max(1, preset.steps // EVALUATIONS)
    snapshots = {round(share * preset.steps) for share in SNAPSHOTS}
    log = Log(folder, step)
    precision, result = autocast(device), None
    peak, price = matmul_peak(device), hourly_price(device)
    bar = tqdm(total=preset.steps, initial=step, unit="step",
               mininterval=2, desc="training",
               # saying nothing leaves $TQDM_DISABLE in force
               **({} if progress else {"disable": True}))
    with bar, stop_signals() as stopping:
        saved = mark = time.monotonic()
        while True:
            last = step == preset.steps
            if step in snapshots:
                save_snapshot(folder, step, model)
            if step % evaluate_every == 0 or last:
                result = evaluate(
                    model, validation, precision=precision,
                    max_tokens=None if last else VALIDATION_TOKENS)
                log.add(step=step, tokens=step * preset.batch_tokens,
                        val_loss=result.loss,
                        val_bits_per_byte=result.bits_per_byte)
                log.flush()
                mark = time.monotonic()
            if stop:
                return Result(model, step, result)
            # the seed of dropout is derived, so no random state is saved
            torch.manual_seed(preset.seed * 1_000_003 + step)
            batch = [part.to(device, non_blocking=True)
                     for part in data.batch(step, preset.rows, T,
                                            preset.seed)]
            rate = learning_rate(step, preset)
            loss, norm = train_step(model, optimizer, batch, rate,
                                    preset.clip, micro_rows, precision)
            step += 1
            # asked once: what ends the loop is also logged and saved
            stop = step >= end or bool(stopping)
            bar.update()
            log.add(step=step, tokens=step * preset.batch_tokens, loss=loss,
                    learning_rate=rate, grad_norm=norm)
            if (len(log.waiting) >= log.every or step % evaluate_every == 0
                    or stop):
                steps = len(log.waiting)
                newest = log.flush()
                now = time.monotonic()
                seconds += now - mark
                speed = steps * preset.batch_tokens / (now - mark)
                mark = now
                mfu = speed * flops_per_token(preset.model, T) / peak
                log.time(step=step, seconds=seconds, tokens_per_second=speed,
                         mfu=mfu, dollars=price * seconds / 3600)
                bar.set_postfix_str(f"loss {newest['loss']:.3f}, "
                                    f"{speed:,.0f} tokens/s")
                if now - saved > SAVE_SECONDS or stop:
                    if not all(p.isfinite().all()
                               for p in model.parameters()):
                        raise Diverged(f"a weight is no number after step "
                                       f"{step}: lower the learning rate")
                    checkpoint.save_checkpoint(
                        folder / "checkpoints", step, model, optimizer,
                        dict(seconds=seconds, fingerprint=fingerprint))
                    saved = mark = time.monotonic()


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
    limit = MICRO_TOKENS[device] // 8 if device == "cpu" \
        else MICRO_TOKENS[device]
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
    """A list that SIGTERM or Ctrl-C fill, instead of ending the process."""
    caught = []
    if threading.current_thread() is not threading.main_thread():
        yield caught  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, lambda n, _: caught.append(n))
              for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

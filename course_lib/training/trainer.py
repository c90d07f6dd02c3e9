"""The trainer: from a run folder, or from nothing, to a trained model
(chapter 4).

Everything random is a function of (seed, step), and everything that decides
the weights is in the run folder. So a run that was killed and resumed ends
in the same bits as one that was not (on one CPU configuration). The rungs of
a ladder and the lines of chapter 6 are trained here too, without a folder.
"""

import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch

from course_lib.machine.device import (
    autocast,
    choose_device,
    device_name,
    matmul_peak,
)
from course_lib.machine.distributed import join, share
from course_lib.machine.gpus import hourly_price
from course_lib.machine.lock import locked
from course_lib.machine.progress import bar, warn
from course_lib.measuring.evaluation import evaluate
from course_lib.model.cost import flops_per_token
from course_lib.model.gpt import GPT
from course_lib.presets import Preset
from course_lib.text.token_files import Tokens
from course_lib.training import checkpoint, micro_batch, sessions, settings
from course_lib.training.log import Diverged, Log
from course_lib.training.options import Options, Result
from course_lib.training.schedule import learning_rate
from course_lib.training.signals import stop_signals
from course_lib.training.start import compiled_loss, start
from course_lib.training.step import train_step

SNAPSHOTS = (0.0, 0.01, 0.1, 0.3, 1.0)  # shares of the run whose weights stay


def train(folder, preset: Preset, data: Tokens, validation: Tokens, *,
          model: GPT | None = None,
          begin: Callable[[], GPT] | None = None, **options) -> Result:
    """Train in a run folder, from its newest checkpoint or from nothing;
    without a folder (None) nothing is written.

    Under torchrun every process calls it, and the first one writes. `model`
    is what to begin with instead of a fresh GPT; `begin` is called for one
    when no other process can write in the folder. `options` are the fields of
    `Options`. SIGTERM and Ctrl-C end the call after a step, with a
    checkpoint to go on from, or KeyboardInterrupt without a folder. Raises
    Diverged when the loss is no longer a number, ValueError when the data or
    the checkpoints do not fit the preset or are damaged, and BlockingIOError
    when another process is at it.
    """
    options = Options(**options)
    world = join(options.device or choose_device())
    with locked(folder) if folder and world.first else nullcontext():
        run = Trainer(folder, preset, data, validation, options,
                      begin() if begin else model)
        with run.bar, stop_signals() as stopping:
            while True:
                run.snapshot_if_due()
                run.evaluate_if_due()
                if run.stop:
                    return run.result()
                if run.take_step():
                    run.report(stopping)
                    run.save_if_due()


class Trainer:
    """One training call, in the parts that `train` goes through."""

    def __init__(self, folder, preset, data, validation, options, model=None):
        self.began = time.monotonic()
        self.folder = None if folder is None else Path(folder)
        self.preset, self.data, self.validation = preset, data, validation
        self.options = options
        self.device = options.device or choose_device()
        self.world = join(self.device)
        self.check_data()
        self.settle_number_format()
        self.model, self.optimizer = start(
            preset, self.device, model, self.number_format, self.compiles)
        self.resume()
        self.settle_micro_rows()
        self.settle_loss()
        self.plan()
        self.open_log()

    def check_data(self) -> None:
        """Refuse what does not fit, before any time is spent."""
        rows, size = self.preset.rows, self.world.size
        if rows % size:
            raise ValueError(f"{rows} rows a step do not divide among {size} "
                             "processes: change --batch")
        self.data.windows(self.preset.model.context_length)
        for tokens in (self.data, self.validation):
            tokens.verify()

    def settle_number_format(self) -> None:
        """What was asked for, else what the run has used so far, else what
        the device does best."""
        self.settings = settings.read(self.folder) if self.folder else {}
        asked = self.options
        self.number_format = settings.choose_format(
            asked.number_format or self.settings.get("number_format"),
            self.preset, self.device, self.world)
        self.compiles = settings.choose_compiling(
            self.settings.get("compiles") if asked.compiles is None
            else asked.compiles, self.preset, self.device, self.world,
            self.number_format)
        self.precision = autocast(self.device, self.number_format)
        self.scaler = torch.amp.GradScaler(
            self.device, enabled=self.number_format == "float16")

    def resume(self) -> None:
        """Go on from the newest checkpoint, if there is one."""
        self.fingerprint = settings.fingerprint(self.preset, self.data,
                                                self.validation)
        state = None
        if self.folder:
            state = checkpoint.load_newest(
                self.folder / "checkpoints", self.model, self.optimizer)
        state = state or dict(step=0, seconds=0.0,
                              fingerprint=self.fingerprint)
        if self.folder and self.world.first:
            checkpoint.set_aside(self.folder / "checkpoints", state["step"])
        if not settings.goes_on(state["fingerprint"], self.fingerprint,
                                state["step"]):
            raise ValueError(
                f"the checkpoints in {self.folder} were made with other data "
                "or another configuration: start a new run")
        if self.scaler.is_enabled() and "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds = state["step"], state["seconds"]
        # how the weights so far were made, whatever the file says now
        self.before = self.step and state.get("settings", self.settings) or {}

    def settle_micro_rows(self) -> None:
        """Find how many rows fit at once, and keep what was settled."""
        rows = self.preset.rows // self.world.size
        self.rows = min(rows, self.options.micro_rows
                        or self.settings.get("micro_rows")
                        or micro_batch.find_micro_rows(
                            self.model, self.preset, self.device,
                            self.precision, rows))

    def settle_loss(self) -> None:
        """What a step differentiates: the model's loss, compiled on a CPU or
        shared with other processes."""
        self.loss_of = share(self.model, self.world)
        if self.compiles and self.device == "cpu":
            try:
                self.loss_of = compiled_loss(self.model, self.rows,
                                             self.precision)
            except RuntimeError as error:
                warn(f"going on without: {error}")
                self.compiles = False
        self.store_settings()
        self.changed = settings.changed(self.before, self.settings)

    def store_settings(self) -> None:
        """Keep what decides the bits for the next time."""
        now = dict(number_format=self.number_format, micro_rows=self.rows,
                   compiles=self.compiles, device=self.device,
                   processes=self.world.size)
        if self.folder and self.world.first:
            settings.write(self.folder, now)
        self.settings = now

    def plan(self) -> None:
        """After which steps there is something to do."""
        steps, options = self.preset.steps, self.options
        self.end = steps if options.stop_at is None \
            else min(options.stop_at, steps)
        self.stop = self.step >= self.end
        self.evaluations = options.evaluations(steps)
        self.snapshots = {round(share * steps) for share in SNAPSHOTS}
        self.interval = checkpoint.save_interval(0, options.save_seconds)
        self.evaluation = None

    def open_log(self) -> None:
        """The logs, the bar, and what time and money are counted from."""
        first, folder = self.world.first, self.folder
        if folder:  # time on steps that were lost was paid for as well
            size, kind = self.world.size, device_name(self.device)
            self.began -= sessions.begin(
                folder, self.step, writes=first, device=kind,
                processes=size, number_format=self.number_format)
            self.peak = matmul_peak(self.device, self.number_format) * size
            self.price = hourly_price(kind) * size
        self.log = Log(folder, self.step, writes=first,
                       scales=self.scaler.is_enabled(),
                       tensorboard=self.options.tensorboard)
        for what in self.changed:
            self.note(f"{what} from here on")
        self.bar = bar(
            total=self.preset.steps, initial=self.step, unit="step",
            mininterval=2, desc="training",
            # saying nothing leaves $TQDM_DISABLE in force
            **({} if self.options.progress and first else {"disable": True}))
        self.saved = self.mark = time.monotonic()

    def note(self, what: str) -> None:
        """Say in the log that another run would not have the same bits."""
        self.log.add(step=self.step, micro_rows=self.rows, note=f"{what}: "
                     "not bit-identical to another run any more")

    def snapshot_if_due(self) -> None:
        """Weights alone, for looking back at how the model learned."""
        if self.folder and self.world.first and self.step in self.snapshots:
            checkpoint.save_snapshot(self.folder / "snapshots", self.step,
                                     self.model,
                                     dict(fingerprint=self.fingerprint))

    def evaluate_if_due(self) -> None:
        """A point of the validation curve; the last one is the result."""
        if self.step not in self.evaluations:
            return
        self.evaluation = evaluate(
            self.model, self.validation, precision=self.precision,
            world=self.world,
            max_tokens=self.options.tokens_after(self.step, self.preset))
        self.log.add(step=self.step,
                     tokens=self.step * self.preset.batch_tokens,
                     val_loss=self.evaluation.loss,
                     val_bits_per_byte=self.evaluation.bits_per_byte)
        self.log.flush()
        self.options.heard(self.step, self.evaluation.loss)
        self.mark = time.monotonic()

    def batch(self):
        """This process's (ids, targets) of the next step, on its device."""
        parts = self.data.batch(
            self.step, self.preset.rows, self.preset.model.context_length,
            self.preset.seed, self.world.rank, self.world.size)
        if self.device == "cuda":  # only pinned memory is copied unwaited for
            parts = [part.pin_memory() for part in parts]
        return [part.to(self.device, non_blocking=True) for part in parts]

    def take_step(self) -> bool:
        """One update; False where memory ran out and rows were halved."""
        # the seed of dropout is derived, so no random state is saved
        torch.manual_seed((self.preset.seed * 1_000_003 + self.step)
                          * self.world.size + self.world.rank)
        rate = learning_rate(self.step, self.preset)
        try:
            loss, norm = train_step(
                self.model, self.optimizer, self.batch(), rate,
                self.preset.clip, self.rows, self.precision, self.scaler,
                self.loss_of)
        except torch.OutOfMemoryError:
            if self.world.size > 1:  # the others are waiting for this one
                raise
            self.optimizer.zero_grad(set_to_none=True)
            self.rows = micro_batch.halve(self.rows)
            self.store_settings()
            self.note("out of memory")
            return False
        self.step += 1
        self.log.add(step=self.step,
                     tokens=self.step * self.preset.batch_tokens,
                     loss=self.world.mean(loss), learning_rate=rate,
                     grad_norm=norm)
        return True

    def report(self, stopping) -> None:
        """Decide whether this was the last step; write the logs when there
        is enough to write, which waits for the device."""
        every = self.log.every
        # asked once: what ends the loop is also logged and saved
        self.stop = self.step >= self.end
        if not self.stop and (self.world.size == 1 or self.step % every == 0):
            self.stop = self.world.any(bool(stopping))
        self.bar.update()
        if not (len(self.log.waiting) >= every or self.stop
                or self.step in self.evaluations):
            return
        steps = sum("loss" in record for record in self.log.waiting)
        newest = self.log.flush()
        now = time.monotonic()
        self.seconds += now - self.mark
        speed = steps * self.preset.batch_tokens / (now - self.mark)
        self.mark = now
        if self.folder:
            self.time(speed)
        self.bar.set_postfix_str(f"loss {newest['loss']:.3f}, "
                                 f"{speed:,.0f} tokens/s")

    def time(self, speed: float) -> None:
        """A line of timing.jsonl. `seconds` were spent in training steps;
        `elapsed` are all that a rented machine would have been paid for, and
        the dollars are theirs."""
        elapsed = self.mark - self.began
        self.log.time(
            step=self.step, seconds=self.seconds, elapsed=elapsed,
            tokens_per_second=speed,
            mfu=speed * flops_per_token(self.preset.model) / self.peak,
            dollars=self.price * elapsed / 3600,
            device=device_name(self.device), processes=self.world.size)

    def save_if_due(self) -> None:
        """A checkpoint, now and then and at the end. It comes before an
        evaluation, which may be interrupted as well."""
        if not self.folder or self.log.waiting or not (
                self.stop or self.mark - self.saved > self.interval):
            return
        if not all(p.isfinite().all() for p in self.model.parameters()):
            raise Diverged("a weight is NaN or infinite after step "
                           f"{self.step}: lower the learning rate")
        self.log.sync()
        if self.world.first:
            scaler = {"scaler": self.scaler.state_dict()} \
                if self.scaler.is_enabled() else {}
            checkpoint.save_checkpoint(
                self.folder / "checkpoints", self.step, self.model,
                self.optimizer, dict(seconds=self.seconds, **scaler,
                                     settings=self.settings,
                                     fingerprint=self.fingerprint))
        began, self.saved = self.mark, time.monotonic()
        self.mark = self.saved
        self.interval = checkpoint.save_interval(self.saved - began,
                                      self.options.save_seconds)

    def result(self) -> Result:
        """What the call ends with. The time of the last evaluation was
        paid for too. Where nothing was kept, half a run is none."""
        if self.folder is None and self.step < self.end:
            raise KeyboardInterrupt("told to stop, with no folder to go on "
                                    "from")
        if self.folder and self.evaluation and self.step == self.preset.steps:
            self.mark = time.monotonic()
            self.time(self.step * self.preset.batch_tokens
                      / max(self.seconds, 1e-9))
        if self.folder and self.world.first:
            sessions.end(self.folder, self.step, self.step >= self.end)
        vars(self.model).pop("hidden", None)  # the compiled one
        return Result(self.model, self.step, self.evaluation, self.seconds,
                      self.log.kept)

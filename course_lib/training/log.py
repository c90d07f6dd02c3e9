"""The two logs of a run: what happened, and how long it took (chapter 4)."""

import json
import math
import os
from pathlib import Path

import torch

from course_lib.machine.files import to_json
from course_lib.training.checkpoint import checkpoints


class Diverged(ValueError):
    """The loss, the gradient or a weight is no longer a number."""


class Log:
    """log.jsonl, one line a step, the same whenever the run is repeated,
    and timing.jsonl, which no two runs share."""

    every = 10  # steps between writes: each one waits for the device

    def __init__(self, folder: Path | None, step: int, *,
                 writes: bool = True, scales: bool = False,
                 tensorboard: bool = False):
        """Go on after `step`, forgetting the lines that come later.

        Without a folder the records are only `kept`. One process of
        several `writes`. Where the gradients are scaled, a norm that is no
        number is a step skipped, not the end.
        """
        self.waiting, self.kept, self.scales = [], [], scales
        self.folder, self.board = folder, None
        self.writes = writes and folder is not None
        if not self.writes:
            return
        if tensorboard:
            self.board = _board(folder, step)
        for path in (folder / "log.jsonl", folder / "timing.jsonl"):
            # an evaluation comes after its step is saved, so it is redone
            kept = [record for record in read_log(path)
                    if record["step"] < step
                    or record["step"] == step and "val_loss" not in record]
            partial = path.with_suffix(".partial")
            partial.write_text("".join(to_json(r) + "\n" for r in kept))
            os.replace(partial, path)

    def add(self, **record) -> None:
        """Keep a record; tensors stay on their device until `flush`."""
        self.waiting.append(record)

    def flush(self) -> dict:
        """Write what waits; returns the newest record in plain numbers.

        Raises Diverged, writing nothing, when a loss or norm is NaN or
        infinite.
        """
        records = [{key: value.item() if torch.is_tensor(value) else value
                    for key, value in record.items()}
                   for record in self.waiting]
        for record in records:
            if self.scales and not math.isfinite(record.get("grad_norm", 0)):
                record.update(grad_norm=None, skipped=True)
            for key in ("loss", "grad_norm", "val_loss"):
                if not math.isfinite(record.get(key) or 0.0):
                    raise Diverged(
                        f"{key} is {record[key]} at step {record['step']}: "
                        "lower the learning rate; " + self._last_good())
        self.waiting = []
        if self.folder is None:
            self.kept += records
        self._write("log.jsonl", records)
        return records[-1]

    def sync(self) -> None:
        """Wait until all that was written is on the disk, and not only with
        the system: before a checkpoint, whose steps the log must have."""
        for name in ("log.jsonl", "timing.jsonl") if self.writes else ():
            with (self.folder / name).open("a") as file:
                os.fsync(file.fileno())

    def time(self, **record) -> None:
        """A line of timing.jsonl."""
        self._write("timing.jsonl", [record])

    def _write(self, name: str, records: list[dict]) -> None:
        if self.writes:
            _append(self.folder / name, records)
        for record in records if self.board else ():
            for key, value in record.items():
                if isinstance(value, (int, float)) and key != "step":
                    self.board.add_scalar(key, value, record["step"])

    def _last_good(self) -> str:
        found = checkpoints(self.folder / "checkpoints") \
            if self.folder else []
        return (f"{found[-1]} is the last good checkpoint" if found
                else "no checkpoint was saved yet")


def _board(folder: Path, step: int):
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("TensorBoard is not installed: `pip install "
                         "tensorboard`, or train without it") from None
    return SummaryWriter(folder / "tensorboard", purge_step=step)


def _append(path: Path, records: list[dict]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(to_json(r) + "\n" for r in records))


NUMBERS = ("step", "tokens", "loss", "val_loss", "val_bits_per_byte",
           "learning_rate", "grad_norm", "seconds", "elapsed", "dollars")


def _sensible(record) -> bool:
    """Whether it is a record of a step whose numbers are numbers."""
    return isinstance(record, dict) and type(record.get("step")) is int \
        and all(type(record[name]) in (int, float, type(None))
                for name in NUMBERS if name in record)


def read_log(path) -> list[dict]:
    """The records of a .jsonl log; lines that are damaged, such as a last
    one half-written, are left out."""
    records = []
    if Path(path).is_file():
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if _sensible(record):  # a line cut short may still be JSON
                records.append(record)
    return records

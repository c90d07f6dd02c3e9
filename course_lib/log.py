"""The two logs of a run: what happened, and how long it took (chapter 4)."""

import json
import math
import os
from pathlib import Path

import torch


class Diverged(ValueError):
    """The loss, the gradient or a weight is no longer a number."""


class Log:
    """log.jsonl, one line a step, the same whenever the run is repeated,
    and timing.jsonl, which no two runs share."""

    every = 10  # steps between writes: each one waits for the device

    def __init__(self, folder: Path, step: int):
        """Go on after `step`, forgetting the lines that come later."""
        self.waiting = []
        self.path, self.timing = (
            folder / name for name in ("log.jsonl", "timing.jsonl"))
        for path in (self.path, self.timing):
            # an evaluation comes after its step is saved, so it is redone
            kept = [record for record in read_log(path)
                    if record["step"] < step
                    or record["step"] == step and "val_loss" not in record]
            partial = path.with_suffix(".partial")
            partial.write_text("".join(json.dumps(r) + "\n" for r in kept))
            os.replace(partial, path)

    def add(self, **record) -> None:
        """Keep a record; tensors stay on their device until `flush`."""
        self.waiting.append(record)

    def flush(self) -> dict:
        """Write what waits; returns the newest record in plain numbers.

        Raises Diverged, writing nothing, when a loss or norm is no number.
        """
        records = [{key: value.item() if torch.is_tensor(value) else value
                    for key, value in record.items()}
                   for record in self.waiting]
        for record in records:
            for key in ("loss", "grad_norm", "val_loss"):
                if not math.isfinite(record.get(key, 0.0)):
                    raise Diverged(
                        f"{key} is {record[key]} at step {record['step']}: "
                        "lower the learning rate; the checkpoints before it "
                        "are unharmed")
        self.waiting = []
        _append(self.path, records)
        return records[-1]

    def time(self, **record) -> None:
        """A line of timing.jsonl."""
        _append(self.timing, [record])


def _append(path: Path, records: list[dict]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(r) + "\n" for r in records))
        file.flush()
        os.fsync(file.fileno())


def read_log(path) -> list[dict]:
    """The records of a .jsonl log; a half-written last line is dropped."""
    records = []
    if Path(path).is_file():
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        for line in text.splitlines():
            try:
                record = json.loads(line)
                record["step"] + 0  # a line cut short may still be JSON
            except (ValueError, KeyError, TypeError):
                break
            records.append(record)
    return records

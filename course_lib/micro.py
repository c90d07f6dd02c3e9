"""How many rows go through the model at once (chapter 4).

A step's rows are done in turns, the micro-batches, whose gradients add up.
On a GPU the largest micro-batch that fits is found by trying, once, and kept
in the run's micro_batch.json, because a different one rounds differently.
"""

import json
from pathlib import Path

import torch

from course_lib.data import write_json

FILE = "micro_batch.json"
# On a CPU more rows only fall out of its caches; a GPU starts from here.
TOKENS = {"cpu": 8_192, "mps": 8_192, "cuda": 131_072}


def micro_rows(folder: Path, model, preset, device: str, precision,
               rows: int, asked: int | None = None) -> int:
    """Rows in a micro-batch: what was asked for, else what the run has
    stored, else the most of `rows` that fits. `store` keeps it.

    Raises ValueError when fewer than one is asked for, MemoryError when not
    even one row fits.
    """
    if asked is not None and asked < 1:
        raise ValueError(f"micro_rows must be 1 or more, not {asked}")
    return asked or stored(folder) or try_rows(
        model, preset, device, precision,
        min(rows, max(1, TOKENS[device] // preset.model.context_length)))


def stored(folder: Path) -> int | None:
    """The rows that the run has stored, if any."""
    try:
        rows = json.loads((folder / FILE).read_text())["rows"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return rows if isinstance(rows, int) and rows > 0 else None


def store(folder: Path, rows: int) -> None:
    """Keep it for the next time."""
    if stored(folder) != rows:
        write_json(folder / FILE, dict(rows=rows))


def try_rows(model, preset, device: str, precision, rows: int) -> int:
    """`rows`, or the half, or the half of that: the first with which a
    forward and backward pass fits into the GPU's memory, beside what AdamW
    will need. Elsewhere nothing is tried."""
    if device != "cuda":
        return rows
    weights = sum(p.numel() for p in model.parameters())
    adamw = torch.empty(2 * weights, device=device)
    while True:
        try:
            ids = torch.zeros(rows, preset.model.context_length,
                              dtype=torch.long, device=device)
            with precision:
                loss = model.loss(ids, ids)
            loss.backward()
            break
        except torch.OutOfMemoryError:
            rows = halve(rows)
        finally:
            model.zero_grad(set_to_none=True)
    del adamw, ids, loss
    torch.cuda.empty_cache()
    return rows


def halve(rows: int) -> int:
    """Half as many rows. Raises MemoryError when there is but one."""
    if rows == 1:
        raise MemoryError("not even one row fits into memory: take a "
                          "smaller model or a shorter context")
    return -(-rows // 2)

"""How many rows go through the model at once (chapter 4).

A step's rows are done in turns, the micro-batches, whose gradients add up.
On a GPU the largest micro-batch that fits is found by trying, once, and kept
in the run's settings, because a different one rounds differently.
"""

import torch

# On a CPU more rows only fall out of its caches; a GPU starts from here.
TOKENS = {"cpu": 4_096, "mps": 8_192, "cuda": 131_072}
LOGITS = 2**27  # on a CPU at a time: half a gigabyte in float32


def find_micro_rows(model, preset, device: str, precision, rows: int) -> int:
    """Rows in a micro-batch: the most of `rows` that fits beside what the
    optimizer will need. On a CPU nothing is tried.

    Raises MemoryError when not even one row fits.
    """
    T, V = preset.model.context_length, preset.model.vocab_size
    if device != "cuda":
        limit = min(TOKENS[device], LOGITS // V)
        return even(rows, max(1, limit // T))
    rows = min(rows, max(1, TOKENS[device] // T))
    weights = sum(p.numel() for p in model.parameters())
    averages = torch.empty(2 * weights, device=device)

    def attempt(rows):
        ids = torch.zeros(rows, T, dtype=torch.long, device=device)
        with precision:
            loss = model.loss(ids, ids)
        loss.backward()

    try:
        return first_that_fits(rows, attempt, model)
    finally:
        del averages
        torch.cuda.empty_cache()


def even(rows: int, limit: int) -> int:
    """A number of rows up to `limit`: the largest that divides all of them,
    as a rest has another shape, unless that is less than half the limit."""
    most = min(rows, limit)
    whole = max(n for n in range(1, most + 1) if rows % n == 0)
    return whole if 2 * whole >= most else most


def first_that_fits(rows: int, attempt, model) -> int:
    """`rows`, or the half, or the half of that: the first with which
    `attempt(rows)` does not run out of memory. What one attempt took is
    given back before the next."""
    while True:
        try:
            attempt(rows)
            fits = True
        except torch.OutOfMemoryError:
            fits = False
        # here the error is gone, and with it the graph that it held
        model.zero_grad(set_to_none=True)
        if fits:
            return rows
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        rows = halve(rows)


def halve(rows: int) -> int:
    """Half as many rows. Raises MemoryError when there is but one."""
    if rows == 1:
        raise MemoryError("not even one row fits into memory: take a "
                          "smaller model or a shorter context")
    return -(-rows // 2)

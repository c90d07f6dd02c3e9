"""From the last hidden vectors to one loss: the head, without its memory.

The logits of 32k tokens at V = 50,304 take 6.6 GB, so they exist for some
rows at a time. What is done with them, a chunk's loss and all its gradients,
is done while they are there: nothing is computed twice. On a CPU the passes
over them, from softmax to slope, go over a block that its cache holds, and
the products over a chunk of blocks.
"""

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

IGNORE = -100  # a target that does not count, PyTorch's own convention
FEW = 2**22  # logits that are made at once: a batch's at `laptop`
CHUNK = 1024  # rows whose slopes exist at one time
BLOCK = 64  # rows of logits that a CPU's cache holds while they are used
GPU_CHUNK = 8192  # where only large products keep the device busy


def linear_cross_entropy(x, weight, targets, chunk=None):
    """Mean cross-entropy in nats of logits x @ weight.T: all logits at once
    where they are few, or where a CPU's code is compiled, which merges what
    is done with them; else chunks.

    x (N, C), weight (V, C), targets (N,); a target of -100 does not count.
    `chunk` is how many rows of logits may exist, the device's own without.

    Milliseconds for the loss of 4,096 tokens and its gradients on two cores
    with AVX512_BF16 and AMX (book/results/loss_head.json); fused is PyTorch's
    `F.linear_cross_entropy`, faster than chunks in float32 alone, and left
    out since runs that are long enough for it to matter are compiled:

    ========  =======  =====  =======  =======  =====  =======
    scale     float32                  bfloat16
    --------  -----------------------  -----------------------
    ..        at once  fused  chunked  at once  fused  chunked
    ========  =======  =====  =======  =======  =====  =======
    laptop         34     33       41       21     33       31
    evening       379    323      390      172    293      166
    full         3171   3059     3844     1807   3397     2270
    ========  =======  =====  =======  =======  =====  =======

    All at once takes 4.95 GB at the size of `full` (loss_memory.json), so the
    chunks are what remains there.
    """
    kind = x.device.type
    chunk = chunk or (CHUNK if kind == "cpu" else GPU_CHUNK)
    compiled = kind == "cpu" and torch.compiler.is_compiling()
    if x.size(0) * weight.size(0) <= FEW or compiled:
        return all_logits_at_once(x, weight, targets)
    return chunked_cross_entropy(x, weight, targets, chunk)


def all_logits_at_once(x, weight, targets):
    """The definition."""
    return F.cross_entropy(F.linear(x, weight), targets)


def chunked_cross_entropy(x, weight, targets, chunk=CHUNK):
    """The same, `chunk` rows at a time, with the products in autocast's
    number format and all sums in float32 (float64 for float64 inputs)."""
    if not torch.is_grad_enabled():  # the function would not know
        x, weight = x.detach(), weight.detach()
    return _ChunkedCrossEntropy.apply(x, weight, targets, chunk)


class _ChunkedCrossEntropy(torch.autograd.Function):
    """Makes the gradients in the forward pass, where each chunk's logits are
    at hand, so that the backward pass only scales them: 6 V C FLOP a row, as
    with all logits at once, where recomputing them would take 8."""

    @staticmethod
    def forward(ctx, x, weight, targets, chunk):
        kind = x.device.type
        low = (torch.get_autocast_dtype(kind)
               if torch.is_autocast_enabled(kind) else x.dtype)
        wide = torch.promote_types(x.dtype, torch.float32)
        head, total = weight.to(low), x.new_zeros((), dtype=wide)
        for_x, for_weight, *_ = ctx.needs_input_grad
        dx = torch.empty_like(x) if for_x else None
        dweight = torch.zeros_like(weight, dtype=wide) if for_weight else None
        counts = (targets != IGNORE)[:, None]
        places = targets[:, None].where(counts, 0)
        block = BLOCK if kind == "cpu" else chunk
        with torch.autocast(kind, enabled=False):
            for start in range(0, x.size(0), chunk):
                part = slice(start, start + chunk)
                rows, slope = x[part].to(low), None
                if for_x or for_weight:
                    slope = rows.new_empty(len(rows), len(weight))  # (n, V)
                for first in range(0, rows.size(0), block):
                    inner = slice(first, first + block)
                    place, counted = places[part][inner], counts[part][inner]
                    logs = F.log_softmax(rows[inner] @ head.T, -1, dtype=wide)
                    total -= (logs.gather(1, place) * counted).sum()
                    if slope is not None:  # softmax, less 1 at the target
                        slope[inner] = logs.exp_().scatter_add_(
                            1, place, logs.new_full(place.shape, -1))
                if for_x:
                    dx[part] = (slope @ head) * counts[part]
                if for_weight:  # summed over the chunks in float32
                    dweight += slope.T @ (rows * counts[part])
        count = counts.sum()
        ctx.save_for_backward(dx, dweight, count)
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):
        # The mean's factor comes last: in float16 the gradients of a single
        # row, divided by thousands, would be zero.
        dx, dweight, count = ctx.saved_tensors
        scale = slope / count
        return (None if dx is None else dx * scale.to(dx.dtype),
                None if dweight is None else dweight * scale, None, None)

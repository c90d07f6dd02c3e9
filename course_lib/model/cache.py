"""What sampling keeps and where its window stands (chapter 5)."""

import torch

from course_lib.model.config import GPTConfig


def window_start(n: int, context: int) -> int:
    """Where the window of a row of n tokens starts; 0 within the context.

    Past the context T it is s = h * ceil((n - T) / h) with h = max(1, T //
    2), so half a context is forgotten at a time.
    """
    half = max(1, context // 2)
    return half * max(0, -(-(n - context) // half))


class KVCache:
    """Keys and values of the tokens seen so far, allocated once.

    `keys[layer]` and `values[layer]` are (B, H, S, C/H); row b holds
    `lengths[b]` tokens in slots 0 to lengths[b] - 1. What lies beyond is
    never attended to, so a row can be shortened by lowering its length.
    """

    def __init__(self, config: GPTConfig, batch: int, *, dtype=None,
                 device=None):
        shape = (config.n_layer, batch, config.n_head, config.context_length,
                 config.head_width)
        # zeros, not empty: a masked NaN times zero is still NaN
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = [0] * batch

    def store(self, layer, k, v, positions):
        """Put k, v (B, H, T, C/H) into the slots that `positions` (B, T)
        names and return all slots in use, (B, H, S, C/H)."""
        T = k.size(2)
        start, end = min(self.lengths), max(self.lengths) + T
        keys, values = self.keys[layer], self.values[layer]
        if end - T == start:  # every row at the same place: a plain slice
            keys[:, :, start:end], values[:, :, start:end] = k, v
        else:
            rows = torch.arange(k.size(0), device=k.device)[:, None]
            keys[rows, :, positions] = k.transpose(1, 2)
            values[rows, :, positions] = v.transpose(1, 2)
        return keys[:, :, :end], values[:, :, :end]

"""The GPT: GPT-2's architecture in pure PyTorch, in one sitting (chapter 1).

Shapes use the same letters everywhere: B batch, T time (tokens in a row),
C channels (the model's width), H heads, V vocabulary, S cached time.

Parameter names are those of the published GPT-2 checkpoints, so weights map
one to one (`hub.py`). Sources: Radford et al. 2019 (GPT-2); Vaswani et al.
2017 (attention); Hendrycks and Gimpel 2016 (GELU, its tanh form); Press and
Wolf 2017 (tied embeddings).
"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

IGNORE = -100  # a target that does not count, PyTorch's own convention
LOSS_CHUNK = 1024  # tokens whose logits exist at one time


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT. `n_embd` is C, `n_head` is H, `n_layer` is L.

    Raises ValueError when a field is out of range or when the heads do not
    divide the width.
    """

    vocab_size: int
    context_length: int
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float = 0.0
    bias: bool = True

    def __post_init__(self):
        names = ("vocab_size", "context_length", "n_layer", "n_head", "n_embd")
        for name in names:
            value = getattr(self, name)
            if type(value) is not int or value < 1:  # True is an int too
                raise ValueError(f"{name} must be a whole number of 1 or "
                                 f"more, not {value!r}")
        if self.n_embd % self.n_head:
            raise ValueError(f"n_head={self.n_head} must divide n_embd="
                             f"{self.n_embd}: each head gets an equal share")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")


class KVCache:
    """Keys and values of the tokens seen so far, allocated once.

    `keys[layer]` and `values[layer]` are (B, H, S, C/H); row b holds
    `lengths[b]` tokens in slots 0 to lengths[b] - 1. What lies beyond is
    never attended to, so a row can be shortened by lowering its length.
    """

    def __init__(self, config: GPTConfig, batch: int, *, dtype=None,
                 device=None):
        shape = (config.n_layer, batch, config.n_head, config.context_length,
                 config.n_embd // config.n_head)
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


class Attention(nn.Module):
    """Causal multi-head self-attention: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        C = config.n_embd
        self.c_attn = nn.Linear(C, 3 * C, bias=config.bias)
        self.c_proj = nn.Linear(C, C, bias=config.bias)
        self.n_head = config.n_head
        self.dropout = config.dropout

    def forward(self, x, cache=None, layer=0, positions=None, mask=None):
        B, T, C = x.shape
        q, k, v = (
            part.view(B, T, self.n_head, -1).transpose(1, 2)  # (B, H, T, C/H)
            for part in self.c_attn(x).split(C, dim=2))
        if cache is not None:
            k, v = cache.store(layer, k, v, positions)  # (B, H, S, C/H)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask,
            # one new token may see every slot in use: no mask needed at all
            is_causal=mask is None and T > 1,
            dropout_p=self.dropout if self.training else 0.0)
        y = y.transpose(1, 2).reshape(B, T, C)  # heads side by side again
        return F.dropout(self.c_proj(y), self.dropout, self.training)


class MLP(nn.Module):
    """Two linear maps with a GELU between: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        C = config.n_embd
        self.c_fc = nn.Linear(C, 4 * C, bias=config.bias)
        self.c_proj = nn.Linear(4 * C, C, bias=config.bias)
        self.dropout = config.dropout

    def forward(self, x):
        # GPT-2 used the tanh form; the exact one would change its logits
        x = F.gelu(self.c_fc(x), approximate="tanh")  # (B, T, 4C)
        return F.dropout(self.c_proj(x), self.dropout, self.training)


class Block(nn.Module):
    """Norm, attention, norm, MLP, each half added to its own input."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.attn = Attention(config)
        self.ln_2 = nn.LayerNorm(config.n_embd, bias=config.bias)
        self.mlp = MLP(config)

    def forward(self, x, *cache):
        x = x + self.attn(self.ln_1(x), *cache)
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    """Token ids in, one row of logits per token out.

    >>> model = GPT(GPTConfig(vocab_size=512, context_length=64,
    ...                       n_layer=2, n_head=2, n_embd=64))
    >>> model(torch.zeros(3, 10, dtype=torch.long)).shape
    torch.Size([3, 10, 512])
    """

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.config = config
        V, T, C = config.vocab_size, config.context_length, config.n_embd
        self.transformer = nn.ModuleDict(dict(
            wte=nn.Embedding(V, C),
            wpe=nn.Embedding(T, C),
            h=nn.ModuleList(Block(config) for _ in range(config.n_layer)),
            ln_f=nn.LayerNorm(C, bias=config.bias)))
        self.apply(self._init_weights)
        # Each block adds to the residual stream twice; this keeps the sum's
        # size independent of depth (GPT-2, section 2.3).
        for name, weight in self.named_parameters():
            if name.endswith("c_proj.weight"):
                std = 0.02 / math.sqrt(2 * config.n_layer)
                nn.init.normal_(weight, std=std)

    @staticmethod
    def _init_weights(module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    @property
    def head(self):
        """(V, C): the output layer shares the token embedding's weights."""
        return self.transformer.wte.weight

    def hidden(self, ids, cache: KVCache | None = None):
        """(B, T) int64 ids -> (B, T, C), all but the last linear map.

        With a cache, `ids` continue each row where the cache left off.
        Raises ValueError when a row would outgrow the context.
        """
        B, T = ids.shape
        starts = cache.lengths if cache else [0]
        if max(starts) + T > self.config.context_length:
            raise ValueError(
                f"{max(starts) + T} tokens do not fit a context of "
                f"{self.config.context_length}: cut the row, or sample "
                "with course_lib.sample.generate, which slides a window")
        steps = torch.arange(T, device=ids.device)
        positions = torch.tensor(starts, device=ids.device)[:, None] + steps
        mask = None
        if min(starts) != max(starts) or T > 1 and max(starts) > 0:
            slots = torch.arange(max(starts) + T, device=ids.device)
            mask = (slots <= positions[:, :, None])[:, None]  # (B, 1, T, S)
        x = self.transformer.wte(ids) + self.transformer.wpe(positions)
        x = F.dropout(x, self.config.dropout, self.training)  # (B, T, C)
        for layer, block in enumerate(self.transformer.h):
            x = block(x, cache, layer, positions, mask)
        if cache is not None:
            cache.lengths = [start + T for start in starts]
        return self.transformer.ln_f(x)

    def forward(self, ids, cache: KVCache | None = None):
        """(B, T) int64 ids -> (B, T, V) logits."""
        return F.linear(self.hidden(ids, cache), self.head)

    def loss(self, ids, targets):
        """Mean cross-entropy in nats over the targets that count.

        ids and targets are (B, T) int64; a target of -100 does not count.
        The logits of a large batch never exist all at once: 32k tokens of a
        50,304-word vocabulary would take 6.6 GB.
        """
        return linear_cross_entropy(
            self.hidden(ids).flatten(0, 1), self.head, targets.flatten())


def linear_cross_entropy(x, weight, targets, chunk=LOSS_CHUNK):
    """`chunked_cross_entropy` by the best way at hand; arguments as there.

    All logits at once where they are few; else on a CPU PyTorch's fused
    operator, where it exists (2.13 and later); else the chunks.
    """
    if x.size(0) <= chunk:
        return F.cross_entropy(F.linear(x, weight), targets)
    if hasattr(F, "linear_cross_entropy") and x.device.type == "cpu":
        options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=chunk)
        return F.linear_cross_entropy(x, weight, targets, options=options)
    return chunked_cross_entropy(x, weight, targets, chunk)


def chunked_cross_entropy(x, weight, targets, chunk=LOSS_CHUNK):
    """Mean of cross_entropy(x @ weight.T, targets), `chunk` rows at a time.

    x (N, C), weight (V, C), targets (N,); a target of -100 does not count.
    """
    def total(x, targets):
        logits = F.linear(x, weight).float() if x.dtype != torch.float64 \
            else F.linear(x, weight)
        return F.cross_entropy(logits, targets, reduction="sum")

    sums = [checkpoint(total, *pair, use_reentrant=False)
            for pair in zip(x.split(chunk), targets.split(chunk),
                            strict=True)]
    return torch.stack(sums).sum() / (targets != IGNORE).sum()

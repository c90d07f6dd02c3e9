"""The GPT in pure PyTorch, in one sitting (chapters 1 and 6).

GPT-2 unless its `GPTConfig` says otherwise. Shapes use the same letters
everywhere: B batch, T time (tokens in a row), C channels (the model's
width), H heads, D channels of a head, V vocabulary, S cached time.

Parameter names are those of the published GPT-2 checkpoints, so weights map
one to one (`sharing/hugging_face.py`). Sources: Radford et al. 2019 (GPT-2);
Vaswani et al. 2017 (attention); Hendrycks and Gimpel 2016 (GELU, its tanh
form); those of the parts since then stand in `GPTConfig`.
"""

import math
import zlib

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.model.attention import attend
from course_lib.model.cache import KVCache
from course_lib.model.config import GPTConfig
from course_lib.model.loss import linear_cross_entropy

BASE = 10_000  # rotary: the slowest pair turns once in 2 pi BASE tokens
RMS_EPSILON = 1e-6  # as in the published models that have RMSNorm


def rotary_angles(positions, width, kind=torch.float32):
    """(B, T) positions -> cosines and sines, (B, 1, T, D/2) each.

    Channel i and channel i + D/2 of a head of `width` D are a pair, which
    turns by BASE^(-2i/D) radians a token.
    """
    half = width // 2
    speeds = BASE ** (-torch.arange(half, device=positions.device,
                                    dtype=kind) / half)
    angles = (positions[..., None] * speeds)[:, None]
    return angles.cos(), angles.sin()


def rotate(x, angles):
    """Turn each pair of channels of x (B, H, T, D) by its token's angle.

    A product of two rotated vectors depends on how far apart their tokens
    stand, and not on where.
    """
    cos, sin = (part.to(x.dtype) for part in angles)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class RMSNorm(nn.RMSNorm):
    """Divides each vector by its root mean square; the sum is made in
    float32 whatever the number format of the vector."""

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype),
                          self.eps)


def make_norm(config: GPTConfig) -> nn.Module:
    """The norm that stands before each half of a block, and at the end."""
    if config.norm == "rms":
        return RMSNorm(config.n_embd, eps=RMS_EPSILON)
    return nn.LayerNorm(config.n_embd, bias=config.bias)


class Attention(nn.Module):
    """Causal multi-head self-attention: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        C, D = config.n_embd, config.head_width
        self.c_attn = nn.Linear(C, 3 * C, bias=config.bias)
        self.c_proj = nn.Linear(C, C, bias=config.bias)
        self.n_head = config.n_head
        self.dropout = config.dropout
        self.q_norm, self.k_norm = (
            RMSNorm(D, eps=RMS_EPSILON) if config.qk_norm
            else nn.Identity() for _ in range(2))

    def forward(self, x, cache=None, layer=0, positions=None, mask=None,
                angles=None):
        B, T, C = x.shape
        q, k, v = (
            part.view(B, T, self.n_head, -1).transpose(1, 2)  # (B, H, T, D)
            for part in self.c_attn(x).split(C, dim=2))
        q, k = self.q_norm(q), self.k_norm(k)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        if cache is not None:
            k, v = cache.store(layer, k, v, positions)  # (B, H, S, D)
        y = attend(
            q, k, v, mask,
            # one new token may see every slot in use: no mask needed at all
            causal=mask is None and T > 1,
            dropout=self.dropout if self.training else 0.0)
        y = y.transpose(1, 2).reshape(B, T, C)  # heads side by side again
        return F.dropout(self.c_proj(y), self.dropout, self.training)


class MLP(nn.Module):
    """Two linear maps with a bend between: (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        C, inner = config.n_embd, config.inner_width
        self.c_fc = nn.Linear(C, inner, bias=config.bias)
        if config.mlp == "swiglu":
            self.c_gate = nn.Linear(C, inner, bias=config.bias)
        self.c_proj = nn.Linear(inner, C, bias=config.bias)
        self.kind, self.dropout = config.mlp, config.dropout

    def forward(self, x):
        if self.kind == "swiglu":
            x = F.silu(self.c_gate(x)) * self.c_fc(x)  # (B, T, inner)
        elif self.kind == "relu2":
            x = F.relu(self.c_fc(x)).square()
        else:  # GPT-2 used the tanh form; the exact one changes its logits
            x = F.gelu(self.c_fc(x), approximate="tanh")
        return F.dropout(self.c_proj(x), self.dropout, self.training)


class Block(nn.Module):
    """Norm, attention, norm, MLP, each half added to its own input."""

    def __init__(self, config: GPTConfig):
        super().__init__()
        self.ln_1 = make_norm(config)
        self.attn = Attention(config)
        self.ln_2 = make_norm(config)
        self.mlp = MLP(config)

    def forward(self, x, *reading):
        x = x + self.attn(self.ln_1(x), *reading)
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
        config.check_size()
        self.config = config
        seed = torch.randint(2**62, (), device="cpu").item()
        V, T, C = config.vocab_size, config.context_length, config.n_embd
        self.transformer = nn.ModuleDict(dict(wte=nn.Embedding(V, C)))
        if config.positions == "learned":
            self.transformer.wpe = nn.Embedding(T, C)
        self.transformer.h = nn.ModuleList(
            Block(config) for _ in range(config.n_layer))
        self.transformer.ln_f = make_norm(config)
        if not config.tied:
            self.lm_head = nn.Linear(C, V, bias=False)
        set_first_weights(self, seed)

    @property
    def head(self):
        """(V, C): the output layer, the token embedding's own weights
        where it is tied."""
        return (self.transformer.wte if self.config.tied
                else self.lm_head).weight

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
                "with course_lib.sampling.generate, which slides a window")
        steps = torch.arange(T, device=ids.device)
        positions, mask, angles = steps[None], None, None
        if cache is not None:  # a copy to the device, which waits for it
            positions = positions + torch.tensor(
                starts, device=ids.device)[:, None]
        if min(starts) != max(starts) or T > 1 and max(starts) > 0:
            slots = torch.arange(max(starts) + T, device=ids.device)
            mask = (slots <= positions[:, :, None])[:, None]  # (B, 1, T, S)
        x = self.transformer.wte(ids)
        if self.config.positions == "learned":
            x = x + self.transformer.wpe(positions)
        else:
            angles = rotary_angles(
                positions, self.config.head_width,
                torch.promote_types(x.dtype, torch.float32))
        x = F.dropout(x, self.config.dropout, self.training)  # (B, T, C)
        for layer, block in enumerate(self.transformer.h):
            x = block(x, cache, layer, positions, mask, angles)
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


def set_first_weights(model: GPT, seed: int) -> None:
    """Fill a newborn model as its `first_weights` says. Each weight has its
    own random numbers, made of the seed and its name, so models that differ
    in one part begin alike in all others.

    `gpt2`: normal, of standard deviation 0.02, no biases. Each block adds
    to the residual stream twice, so its outputs are divided by the root of
    2 L, which keeps the sum's size independent of depth (GPT-2, section
    2.3); with `zero` they begin at zero. `pytorch` is what PyTorch does
    unasked, and what nanoGPT's tying of the embedding to the output layer
    leaves of it: linear maps, the tied embedding among them, uniform within
    1 / sqrt(inputs), positions of standard deviation 1.
    """
    config = model.config
    if config.first_weights == "pytorch":
        if config.tied:
            bound = 1 / math.sqrt(config.n_embd)
            nn.init.uniform_(model.head, -bound, bound)
        return
    inner = 0.02 / math.sqrt(2 * config.n_layer)
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            std = 0.02
            if name.endswith("c_proj"):
                std = inner if config.first_weights == "gpt2" else 0.0
            draw = None if module.weight.is_meta else torch.Generator(
                module.weight.device).manual_seed(
                    (seed + zlib.crc32(name.encode())) % 2**62)
            nn.init.normal_(module.weight, std=std, generator=draw)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

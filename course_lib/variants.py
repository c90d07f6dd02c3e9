"""Other GPTs: what was changed in the architecture since GPT-2 (chapter 6).

`model.py` stays GPT-2. A `VariantGPT` is that model with parts exchanged, as
its `Variant` says; with nothing exchanged it is that model to the bit. What
both have begins with the same weights for the same seed, so two variants
differ in nothing else.

Sources: Su et al. 2021 (rotary positions); Dehghani et al. 2023 (QK norm);
So et al. 2021 (squared ReLU); Zhang et al. 2019 (zero-initialised
projections); Gemma Team 2024 (soft-capped logits); Jordan et al. 2024 (Muon).
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from course_lib import model as gpt
from course_lib.model import GPT, MLP, Attention, GPTConfig

BASE = 10_000  # rotary: the slowest pair turns once in 2 pi BASE tokens


@dataclass(frozen=True)
class Variant:
    """What differs from GPT-2. `soft_cap` is the largest logit, in nats,
    and 0 for no cap; the others are off or on. `torch_init` is no
    improvement but the 2023 recipe's way to begin: see `pytorch_init`."""

    torch_init: bool = False
    rotary: bool = False
    qk_norm: bool = False
    relu_squared: bool = False
    zero_init: bool = False
    soft_cap: float = 0.0
    untied: bool = False

    def __post_init__(self):
        if not 0 <= self.soft_cap < math.inf:
            raise ValueError("soft_cap must be 0 (none) or more and finite, "
                             f"not {self.soft_cap}")

    def __str__(self):
        on = [field.name for field in fields(self)
              if getattr(self, field.name)]
        return ", ".join(on) or "GPT-2"


def rotate(x, positions):
    """Turn each pair of channels of x (B, H, T, D) by an angle that grows
    with the token's position (B, T).

    Channel i and channel i + D/2 are a pair, and turn BASE^(-2i/D) radians a
    token. A product of two rotated vectors depends on how far apart they
    stand, and not on where.
    """
    half = x.size(-1) // 2
    kind = torch.promote_types(x.dtype, torch.float32)
    speeds = BASE ** (-torch.arange(half, device=x.device, dtype=kind) / half)
    angles = (positions[..., None] * speeds)[:, None]  # (B, 1, T, D/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class VariantAttention(Attention):
    """Attention with rotary positions, normed queries and keys, or both:
    (B, T, C) -> (B, T, C)."""

    def __init__(self, config: GPTConfig, variant: Variant):
        super().__init__(config)
        D = config.n_embd // config.n_head
        if variant.rotary and D % 2:
            raise ValueError(f"rotary positions turn pairs of channels, and "
                             f"a head has {D}: n_embd / n_head must be even")
        self.rotary = variant.rotary
        self.q_norm = nn.RMSNorm(D) if variant.qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(D) if variant.qk_norm else nn.Identity()

    def forward(self, x, cache=None, layer=0, positions=None, mask=None):
        B, T, C = x.shape
        q, k, v = (
            part.view(B, T, self.n_head, -1).transpose(1, 2)  # (B, H, T, D)
            for part in self.c_attn(x).split(C, dim=2))
        q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            q, k = rotate(q, positions), rotate(k, positions)
        if cache is not None:
            k, v = cache.store(layer, k, v, positions)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=mask is None and T > 1,
            dropout_p=self.dropout if self.training else 0.0)
        y = y.transpose(1, 2).reshape(B, T, C)
        return F.dropout(self.c_proj(y), self.dropout, self.training)


class SquaredMLP(MLP):
    """The MLP with the square of a ReLU for the GELU."""

    def forward(self, x):
        x = F.relu(self.c_fc(x)).square()
        return F.dropout(self.c_proj(x), self.dropout, self.training)


class NoPositions(nn.Module):
    """Stands in for the position embedding where positions rotate."""

    def forward(self, positions):
        return torch.zeros((), device=positions.device)


class VariantGPT(GPT):
    """A GPT with the parts exchanged that `variant` names. Raises
    ValueError where rotary positions meet heads of odd width."""

    def __init__(self, config: GPTConfig, variant: Variant = Variant()):  # noqa: B008
        super().__init__(config)
        self.variant = variant
        if variant.torch_init:
            pytorch_init(self)
        for block in self.transformer.h:
            if variant.rotary or variant.qk_norm:
                block.attn = _like(VariantAttention(config, variant),
                                   block.attn)
            if variant.relu_squared:
                block.mlp = _like(SquaredMLP(config), block.mlp)
            if variant.zero_init:
                nn.init.zeros_(block.attn.c_proj.weight)
                nn.init.zeros_(block.mlp.c_proj.weight)
        if variant.rotary:
            self.transformer.wpe = NoPositions()
        if variant.untied:
            self.lm_head = nn.Linear(config.n_embd, config.vocab_size,
                                     bias=False)
            nn.init.normal_(self.lm_head.weight, std=0.02)

    @property
    def head(self):
        """(V, C): a matrix of its own where it is untied."""
        return self.lm_head.weight if self.variant.untied else super().head

    def forward(self, ids, cache=None):
        """(B, T) int64 ids -> (B, T, V) logits."""
        return self._cap(super().forward(ids, cache))

    def loss(self, ids, targets):
        """As GPT's. Of many capped logits, a chunk exists at a time."""
        if not self.variant.soft_cap:
            return super().loss(ids, targets)
        if ids.numel() <= gpt.LOSS_CHUNK:
            return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten())

        def total(x, targets):
            return F.cross_entropy(self._cap(F.linear(x, self.head)),
                                   targets, reduction="sum")

        x, targets = self.hidden(ids).flatten(0, 1), targets.flatten()
        parts = zip(x.split(gpt.LOSS_CHUNK), targets.split(gpt.LOSS_CHUNK),
                    strict=True)
        sums = [checkpoint(total, *pair, use_reentrant=False)
                for pair in parts]
        return torch.stack(sums).sum() / (targets != gpt.IGNORE).sum()

    def _cap(self, logits):
        cap = self.variant.soft_cap
        return cap * torch.tanh(logits / cap) if cap else logits


def _like(new, old):
    """`new` with the weights that it has in common with `old`."""
    new.load_state_dict(old.state_dict(), strict=False)
    return new


def count_variant(config: GPTConfig, variant: Variant) -> int:
    """Closed form of the number of parameters (chapter 6)."""
    from course_lib.budget import count_parameters
    parts, C = count_parameters(config), config.n_embd
    return (parts.total - variant.rotary * parts.position_embedding
            + variant.qk_norm * config.n_layer * 2 * C // config.n_head
            + variant.untied * config.vocab_size * C)


def pytorch_init(model: GPT) -> None:
    """Begin as PyTorch would without being asked, and as nanoGPT's tying of
    the embedding to the output layer leaves it: all linear maps, the tied
    embedding among them, uniform within 1/sqrt(inputs); positions normal
    with a standard deviation of 1. What the 2023 recipe did."""
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    bound = 1 / math.sqrt(model.config.n_embd)
    nn.init.uniform_(model.transformer.wte.weight, -bound, bound)


class MuonAdamW:
    """Muon for the matrices inside the blocks, AdamW for all else: the
    embeddings, the head, norms and biases. Steps like one optimizer.

    Muon replaces a matrix's averaged gradient by the nearest matrix whose
    directions all have the same length. Scaled to the size of AdamW's usual
    update (Liu et al. 2025), it takes AdamW's learning rate and decay.
    """

    found_inf = grad_scale = None  # set by `train.train_step`

    def __init__(self, model: GPT, learning_rate: float,
                 weight_decay: float = 0.1):
        inner = [p for p in model.transformer.h.parameters() if p.dim() == 2]
        taken = set(map(id, inner))
        rest = [p for p in model.parameters() if id(p) not in taken]
        self.muon = torch.optim.Muon(
            inner, lr=learning_rate, weight_decay=weight_decay,
            adjust_lr_fn="match_rms_adamw")
        self.adamw = torch.optim.AdamW(
            [dict(params=[p for p in rest if p.dim() >= 2],
                  weight_decay=weight_decay),
             dict(params=[p for p in rest if p.dim() < 2],
                  weight_decay=0.0)],
            lr=learning_rate, betas=(0.9, 0.95), fused=True)

    @property
    def param_groups(self) -> list[dict]:
        return self.muon.param_groups + self.adamw.param_groups

    def step(self) -> None:
        """Nothing is updated where the trainer found a gradient that is no
        number; unlike AdamW, Muon cannot look by itself."""
        if self.found_inf is not None and self.found_inf.item():
            return
        self.muon.step()
        self.adamw.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.muon.zero_grad(set_to_none)
        self.adamw.zero_grad(set_to_none)

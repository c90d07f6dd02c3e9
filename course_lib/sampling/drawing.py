"""From logits to one token: penalty, temperature, filters, draw (chapter 5).

Sources: Keskar et al. 2019 (repetition penalty), Fan et al. 2018 (top-k),
Holtzman et al. 2020 (top-p), Nguyen et al. 2024 (min-p).
"""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

NUCLEUS = 1024  # tokens among which top-p is looked for first


def probabilities(logits, temperature=1.0, top_k=None, top_p=None,
                  min_p=None):
    """(B, V) logits -> (B, V) float64 probabilities to draw from.

    temperature 0 puts all weight on the largest logit. `top_k` keeps the k
    likeliest tokens; `top_p` keeps the fewest that together reach p, after
    temperature and top_k; `min_p` keeps those at least that many times as
    likely as the likeliest.
    """
    V = logits.size(-1)
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), V).double()
    # The likeliest weighs 1, so that no temperature overflows. In place,
    # because new memory for many rows takes longer than the arithmetic.
    weights = logits.to(torch.float64, copy=True)
    weights.sub_(weights.amax(-1, keepdim=True)).div_(temperature).exp_()
    if top_k is not None and top_k < V:
        values, ids = likeliest(weights, top_k)
        weights.zero_().scatter_(-1, ids, values)
    if top_p is not None and top_p < 1:
        _cut(weights, top_p, min(top_k or NUCLEUS, V))
    if min_p is not None:
        weights.masked_fill_(weights < min_p, 0.0)
    return weights.div_(weights.sum(-1, keepdim=True))


def _cut(weights, top_p, count):
    """Leave the fewest of each row that reach top_p of it, looked for among
    the `count` likeliest and only where that fails among all."""
    enough = top_p * weights.sum(-1, keepdim=True)
    values, ids = likeliest(weights, count)
    ends = values.cumsum(-1)
    values = values.masked_fill(ends - values >= enough, 0.0)
    flat = ends[:, -1] < enough[:, 0]
    rest = weights[flat]  # a copy
    weights.zero_().scatter_(-1, ids, values)
    if len(rest) and count < weights.size(-1):
        _cut(rest, top_p, weights.size(-1))
        weights[flat] = rest


def likeliest(rows, count):
    """The `count` largest of each of the (B, V) rows and their ids, in
    descending order, equal ones in the order of their ids."""
    values, ids = rows.topk(count)
    ties = int((rows >= values[:, -1:]).sum(-1).max())
    if ties > count:  # topk chose any of the equal ones at the edge
        ids = rows.topk(ties).indices
    ids = ids.sort().values
    values, order = rows.gather(-1, ids).sort(descending=True, stable=True)
    return values[:, :count], ids.gather(-1, order)[:, :count]


def penalize(logits, texts, penalty):
    """(B, V) logits in which the tokens that stand in their row's text are
    less likely: positive ones divided by `penalty`, others multiplied."""
    logits = logits.clone()
    for row, text in zip(logits, texts, strict=True):
        seen = torch.tensor(text, device=row.device)
        old = row[seen]
        row[seen] = torch.where(old > 0, old / penalty, old * penalty)
    return logits


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen. Raises ValueError for a setting out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0

    def __post_init__(self):
        if not 0 <= self.temperature < float("inf"):
            raise ValueError("temperature must be 0 (greedy) or more, not "
                             f"{self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be 1 or more, not {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], not {self.top_p}")
        if self.min_p is not None and not 0 <= self.min_p <= 1:
            raise ValueError(f"min_p must lie in [0, 1], not {self.min_p}")
        if not 1e-9 <= self.repetition_penalty <= 1e9:
            raise ValueError("repetition_penalty must be above 0 (1 is none),"
                             " between 1e-9 and 1e9, not "
                             f"{self.repetition_penalty}")

    def choose(self, logits, texts, numbers) -> list[int]:
        """One token a row from (B, V) logits, given each row's tokens so
        far and for each a function that gives a random number in [0, 1).
        Raises ValueError for logits that are NaN."""
        if not logits.isfinite().all():
            raise ValueError("the model's logits are NaN: its "
                             "training diverged")
        if self.repetition_penalty != 1:
            logits = penalize(logits, texts, self.repetition_penalty)
        if self.temperature == 0:
            return logits.argmax(-1).tolist()
        ends = probabilities(logits, self.temperature, self.top_k, self.top_p,
                             self.min_p).cumsum_(-1).cpu()
        u = torch.tensor([number() for number in numbers],
                         dtype=torch.float64)[:, None]
        places = torch.searchsorted(ends, u * ends[:, -1:], right=True)
        return places[:, 0].tolist()

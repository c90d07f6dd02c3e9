"""How a gradient becomes an update: AdamW, and Muon beside it (chapters 4
and 6)."""

import math
from collections import defaultdict

import torch

from course_lib.model.gpt import GPT
from course_lib.presets import Preset

# Jordan et al. 2024: a polynomial of degree five whose iteration brings all
# singular values near 1, quickly and in few digits.
QUINTIC = (3.4445, -4.7750, 2.0315)


def make_optimizer(model: GPT, preset: Preset,
                   number_format: str = "float32"):
    """The optimizer that the preset names.

    `adamw` decays matrices only (Loshchilov and Hutter 2019): norms and
    biases, pulled to zero, would silence the signal rather than simplify
    the model. `muon` has Muon for the matrices inside the blocks and that
    AdamW for the rest. `adamw-defaults` is PyTorch's AdamW unasked, which
    decays everything a little, as in 2023. `number_format` is the run's.
    """
    if preset.optimizer == "adamw-defaults":
        return torch.optim.AdamW(model.parameters(), preset.learning_rate,
                                 fused=True)
    muon = {}
    if preset.optimizer == "muon":
        muon = {name: p for name, p in model.named_parameters()
                if name.startswith("transformer.h.") and p.dim() == 2}
    taken = set(map(id, muon.values()))
    rest = [p for p in model.parameters() if id(p) not in taken]
    adamw = torch.optim.AdamW(
        [dict(params=[p for p in rest if p.dim() >= 2],
              weight_decay=preset.weight_decay),
         dict(params=[p for p in rest if p.dim() < 2], weight_decay=0.0)],
        lr=preset.learning_rate, betas=(0.9, 0.95), fused=True)
    if not muon:
        return adamw
    return Together(Muon(muon, preset.learning_rate, preset.weight_decay,
                         number_format), adamw)


class Muon(torch.optim.Optimizer):
    """Replaces a matrix's averaged gradient by the nearest matrix all of
    whose directions have one length (Jordan et al. 2024).

    Scaled to the size of AdamW's usual update (Liu et al. 2025), it takes
    AdamW's learning rate and decay. `matrices` maps names to parameters;
    queries, keys and values are three matrices in one. The iteration runs
    in bfloat16 where training does, and else in float32. Matrices of one
    shape are stacked, and nothing waits for the device.
    """

    found_inf = None  # set by `train_step`: 1 where nothing may be updated

    def __init__(self, matrices: dict[str, torch.nn.Parameter], lr: float,
                 weight_decay: float = 0.1, number_format: str = "float32",
                 momentum: float = 0.95, iterations: int = 5):
        super().__init__(list(matrices.values()), dict(
            lr=lr, weight_decay=weight_decay, momentum=momentum,
            iterations=iterations))
        self.kind = torch.bfloat16 if number_format == "bfloat16" else None
        self.parts = {p: 3 if name.endswith("c_attn.weight") else 1
                      for name, p in matrices.items()}

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            stacks = defaultdict(list)  # by the shape of one matrix
            for p in group["params"]:
                if p.grad is not None:
                    rows, columns = p.shape
                    shape = rows // self.parts[p], columns
                    stacks[shape].append(p)
            for shape, same in stacks.items():
                self._step(group, shape, same)

    def _step(self, group, shape, same) -> None:
        """Update parameters that are made of matrices of one shape."""
        beta, averages, slopes = group["momentum"], [], []
        for p in same:
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            averages.append(state["momentum"])
            slopes.append(p.grad)
        fine = 1.0
        if self.found_inf is not None:  # then each average stays itself
            fine = 1 - self.found_inf
            slopes = [torch.where(self.found_inf > 0, average, slope)
                      for average, slope in zip(averages, slopes)]
        torch._foreach_lerp_(averages, slopes, 1 - beta)
        ahead = torch._foreach_lerp(slopes, averages, beta)  # Nesterov
        stack = torch.cat([each.view(-1, *shape) for each in ahead])
        update = orthogonal(stack, group["iterations"], self.kind)
        rate = group["lr"] * fine
        update = update * (-0.2 * math.sqrt(max(shape)) * rate)
        keep = 1 - rate * group["weight_decay"]
        for p, part in zip(same, update.split([self.parts[p] for p in same])):
            p.mul_(keep).add_(part.reshape(p.shape))


def orthogonal(matrices, iterations: int = 5, kind=None):
    """(n, rows, columns) -> the same with all singular values near 1.

    A Newton-Schulz iteration of products only, in the number format `kind`,
    the matrices' own without one.
    """
    a, b, c = QUINTIC
    wide = matrices.size(1) <= matrices.size(2)
    X = matrices if wide else matrices.mT  # the small side in front
    X = (X / (X.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(kind or X.dtype)
    for _ in range(iterations):
        A = X @ X.mT
        A = torch.baddbmm(A, A, A, beta=b, alpha=c)
        X = torch.baddbmm(X, A, X, beta=a)
    return (X if wide else X.mT).to(matrices.dtype)


class Together:
    """Several optimizers that the trainer steps as one."""

    # what a GradScaler asks and sets, and deletes again
    _step_supports_amp_scaling = True
    found_inf = grad_scale = None

    def __init__(self, *members):
        self.members = members

    @property
    def param_groups(self) -> list[dict]:
        return [group for each in self.members for group in each.param_groups]

    def step(self) -> None:
        for each in self.members:
            each.found_inf, each.grad_scale = self.found_inf, None
            each.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for each in self.members:
            each.zero_grad(set_to_none)


def members(optimizer) -> tuple:
    """The optimizers that one stands for: itself, or those together."""
    return getattr(optimizer, "members", (optimizer,))

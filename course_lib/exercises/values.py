"""Values as they are compared: plain, in 64 bits, within 1e-9."""

import copy

import numpy as np
import torch

TOLERANCE = 1e-9  # of the size of what is right, or of 1 where that is less


def plain(value):
    """Numbers, arrays and lists of numbers become float64 tensors; other
    lists and tuples lists of plain values; the rest stays."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", torch.float64)
    if isinstance(value, bool | int | float | np.ndarray | np.generic):
        return torch.as_tensor(np.asarray(value, dtype=np.float64))
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        parts = [plain(each) for each in value]
        shapes = {part.shape if torch.is_tensor(part) else None
                  for part in parts}
        if len(shapes) > 1 or None in shapes:
            return parts
        return torch.stack(parts) if parts else torch.zeros(0)
    return value


def same(a, b) -> bool:
    """Whether two plain values are equal, numbers within the tolerance."""
    if torch.is_tensor(a) and torch.is_tensor(b):
        return a.numel() == b.numel() == 0 or a.shape == b.shape and bool(
            close(a, b).all())
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def close(a, b, tolerance=TOLERANCE):
    """Where two tensors are equal; infinities where they are the same, and
    so NaN, of which nothing that is right has any."""
    within = (a - b).abs() <= tolerance * b.abs().clamp(min=1)
    return within | (a == b) | (a.isnan() & b.isnan())


def copied(case: dict) -> dict:
    """The arguments of a case, to be changed without harm."""
    return {name: value if callable(value) else copy.deepcopy(value)
            for name, value in case.items()}


def normal(seed: int, *shape):
    """A tensor of that shape, from the normal distribution, the same for the
    same seed."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))

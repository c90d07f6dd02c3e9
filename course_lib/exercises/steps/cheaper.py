"""Chapter 6, for the brave: rotary positions and Muon."""

import torch

from course_lib.exercises.step import Step
from course_lib.exercises.values import normal
from course_lib.model.gpt import rotary_angles, rotate
from course_lib.training.optimizers import QUINTIC, orthogonal

CHAPTER, SECTION = "06_cheaper", "What has been learned since?"


def rotary(x, start=0):
    """(B, H, T, D) -> the same shape, turned by angles in radians. Source:
    RoFormer (Su et al., 2021), with GPT-NeoX's pairs."""
    places = torch.arange(start, start + x.size(2))[None]
    return rotate(x, rotary_angles(places, x.size(3), torch.float64))


def muon(gradient, iterations=5):
    """(rows, columns) -> the same shape. Source: Muon (Jordan, 2024)."""
    return orthogonal(gradient[None], iterations)[0]


def muon_exactly(gradient, iterations=5):
    """Without the 1e-7 that is added to the norm."""
    a, b, c = QUINTIC
    X = gradient if gradient.size(0) <= gradient.size(1) else gradient.T
    X = X / X.norm()
    for _ in range(iterations):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A) @ X
    return X if gradient.size(0) <= gradient.size(1) else X.T


def rotary_cases():
    """(B, H, T, D) rows, from place 0 and from later ones."""
    x = torch.tensor([1.0, 0.0]).expand(1, 1, 2, 2).clone()
    yield dict(x=x[:, :, :1])
    yield dict(x=x)
    yield dict(x=x, start=1)
    for seed, (shape, start) in enumerate([
            ((1, 1, 2, 4), 0), ((1, 2, 3, 6), 0), ((2, 3, 4, 8), 5)]):
        yield dict(x=normal(seed, *shape), start=start)


def muon_cases():
    """Matrices that are wide, tall and square, the smallest first."""
    yield dict(gradient=torch.tensor([[2.0]]), iterations=1)
    yield dict(gradient=torch.tensor([[3.0, 4.0]]), iterations=1)
    for seed, (rows, columns, iterations) in enumerate([
            (2, 2, 1), (2, 3, 1), (3, 2, 1), (3, 3, 2), (4, 7, 5),
            (7, 4, 5)]):
        yield dict(gradient=normal(seed, rows, columns),
                   iterations=iterations)


STEPS = [
    Step("rotary", CHAPTER, SECTION, rotary_cases, (rotary,), hints=(
        "For each place and each i below D/2 an angle; its cosine and sine "
        "turn the pair (x[i], x[i + D/2]).",
        "a, b = x.chunk(2, -1) gives (a cos - b sin, b cos + a sin), joined "
        "again along the last axis.")),
    Step("muon", CHAPTER, SECTION, muon_cases, (muon, muon_exactly), hints=(
        "The norm is of all entries, X.norm(); add at most 1e-7 to it.",
        "Three products a turn: A = X X^T, A A, and (b A + c A A) X. "
        "Transpose a tall matrix before, and back after.")),
]

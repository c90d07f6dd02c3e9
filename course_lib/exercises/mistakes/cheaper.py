"""Known mistakes of chapter 6."""

import torch

from course_lib.exercises.step import Bank
from course_lib.model.gpt import BASE
from course_lib.training.optimizers import QUINTIC

mistake = Bank()


def turn(x, start=0, *, sign=1, base=BASE, exponent=1.0, neighbours=False,
         first=0):
    """Rotary positions with what people get wrong as arguments."""
    T, D = x.shape[2:]
    speeds = base ** (-exponent * torch.arange(D // 2) / (D // 2))
    angles = (start + first + torch.arange(T))[:, None] * speeds
    cos, sin = angles.cos(), sign * angles.sin()
    if neighbours:
        a, b = x[..., ::2], x[..., 1::2]
        both = torch.stack((a * cos - b * sin, b * cos + a * sin), -1)
        return both.flatten(-2)
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def turned(name, why, **wrong):
    def made(x, start=0):
        return turn(x, start, **wrong)
    mistake("rotary", name, why)(made)


turned("neighbouring channels are paired",
       "The first paper pairs 2i with 2i + 1; this course, like most models "
       "today, i with i + D/2.", neighbours=True)
turned("pairs turn backwards", "From the first channel towards the second: "
       "(a cos - b sin, b cos + a sin).", sign=-1)
turned("angles fall half as fast from pair to pair",
       "10000^(-2i/D), not 10000^(-i/D).", exponent=0.5)
turned("angles fall twice as fast from pair to pair",
       "10000^(-2i/D): i counts pairs, up to D/2.", exponent=2.0)
turned("places are counted from 1", "The first place is 0.", first=1)


@mistake("rotary", "the start is not used",
         "The first token of x stands at `start`: with a cache that is not "
         "0.")
def no_start(x, start=0):
    return turn(x)


@mistake("rotary", "a pair's second channel is not turned with the first",
         "Both come from the old values: (a cos - b sin, b cos + a sin). "
         "Writing over a first makes b wrong.")
def one_after_the_other(x, start=0):
    a, b = x.chunk(2, -1)
    turned = turn(x, start).chunk(2, -1)[0]
    rest = turn(torch.cat((turned, b), -1), start).chunk(2, -1)[1]
    return torch.cat((turned, rest), -1)


@mistake("rotary", "every pair turns at the same speed",
         "Pair i turns by 10000^(-2i/D) radians a place.")
def one_speed(x, start=0):
    return turn(x, start, exponent=0.0)


@mistake("rotary", "heads and places have changed their axes",
         "x is (B, H, T, D): places are the third axis.")
def heads_turn(x, start=0):
    return turn(x.transpose(1, 2), start).transpose(1, 2)


def iterate(gradient, iterations=5, *, constants=QUINTIC, turn="wide",
            norm=torch.norm, back=True, last=True):
    """Muon's iteration with what people get wrong as arguments."""
    a, b, c = constants
    tall = gradient.size(0) > gradient.size(1)
    X = gradient.T if tall and turn == "wide" else gradient
    X = X / (norm(X) + 1e-7)
    for _ in range(iterations):
        A = X @ X.T
        X = a * X + (b * A + c * A @ A if last else b * A) @ X
    return X.T if tall and back and turn == "wide" else X


def muon(name, why, **wrong):
    def made(gradient, iterations=5):
        return iterate(gradient, iterations, **wrong)
    mistake("muon", name, why)(made)


muon("the gradient is not divided by its norm",
     "The iteration only settles for matrices that are not too long.",
     norm=lambda X: torch.ones(()))
muon("divided by the largest singular value, not the norm",
     "The norm of all entries, X.norm().",
     norm=lambda X: torch.linalg.matrix_norm(X, 2))
muon("each row is divided by its own norm",
     "One number for the whole matrix.",
     norm=lambda X: X.norm(dim=1, keepdim=True))
muon("a tall matrix is not turned back",
     "The result has the shape of the gradient.", back=False)
muon("the classic cubic iteration",
     "1.5 X - 0.5 X X^T X settles too, and slowly; Muon's has three "
     "constants.", constants=(1.5, -0.5, 0.0))
muon("the term of fifth order is missing", "c A A X.", last=False)


@mistake("muon", "one turn too few", "`iterations` turns.")
def too_few(gradient, iterations=5):
    return iterate(gradient, iterations - 1)


@mistake("muon", "in bfloat16",
         "The original rounds to 16 bits for speed; here keep the number "
         "format of the gradient.")
def low(gradient, iterations=5):
    return iterate(gradient.bfloat16(), iterations).to(gradient.dtype)


@mistake("muon", "exactly orthogonal, by an SVD",
         "U V^T is where the iteration is headed; five turns of it only "
         "come near.")
def exact(gradient, iterations=5):
    U, _, V = torch.linalg.svd(gradient, full_matrices=False)
    return U @ V

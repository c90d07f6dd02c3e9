"""What is shown of the smallest example that fails."""

import torch

from course_lib.exercises.step import Raised
from course_lib.exercises.values import close, same
from course_lib.model.config import GPTConfig

LARGEST = 8  # rows and columns that are drawn
HIDDEN = ("right", "weights")  # of a case: too much to print


def lines_of(case: dict, seen: dict, right: dict) -> list[str]:
    """The example, what came out and what should have."""
    lines = ["the smallest example that fails:"]
    for name, value in case.items():
        if name not in HIDDEN:
            lines += labelled(name, value)
    if "raised" in seen:
        raised = seen["raised"]
        return [*lines, f"raised {raised.kind}: {raised.message}",
                *([raised.line] if raised.line else [])]
    for name, wanted in right.items():
        if name not in seen:
            other = [f"{name}: {said(value)}" for name, value
                     in seen.items() if name not in right]
            return [*lines, *(other or [f"{name}: nothing of it was seen"])]
        if not same(seen[name], wanted):
            return [*lines, *difference(name, seen[name], wanted)]
    extra = next(name for name in seen if name not in right)
    return [*lines, f"{extra}: {said(seen[extra])}"]


def difference(name: str, seen, wanted) -> list[str]:
    """Two values that are to be equal and are not."""
    if torch.is_tensor(seen) and torch.is_tensor(wanted) \
            and seen.shape != wanted.shape:
        return [f"{name} has the shape {tuple(seen.shape)}, and should have "
                f"{tuple(wanted.shape)}"]
    if torch.is_tensor(seen) and torch.is_tensor(wanted) and drawable(seen):
        wrong = ~close(seen, wanted)
        return [f"{name} came out as", *table(seen, wrong),
                "and should have been", *table(wanted, wrong)]
    if torch.is_tensor(seen) and torch.is_tensor(wanted):
        wrong = ~close(seen, wanted)
        place = tuple(wrong.nonzero()[0].tolist())
        return [f"{name}: {int(wrong.sum())} of {wrong.numel()} numbers are "
                f"wrong; the first, at {list(place)}, is "
                f"{seen[place].item():.6g} and should be "
                f"{wanted[place].item():.6g}"]
    if isinstance(seen, list) and isinstance(wanted, list) \
            and len(seen) == len(wanted) > 0:
        place = next(i for i, (a, b) in enumerate(zip(seen, wanted))
                     if not same(a, b))
        return difference(f"{name}[{place}]", seen[place], wanted[place])
    return [f"{name}: {said(seen)}", f"should be: {said(wanted)}"]


def labelled(name: str, value) -> list[str]:
    """A value behind its name, in lines."""
    if torch.is_tensor(value) and drawable(value):
        rows = table(value)
        if len(rows) == 1:
            return [f"{name} = {rows[0].strip()}"]
        return [f"{name} =", *rows]
    if torch.is_tensor(value):
        return [f"{name}: {tuple(value.shape)}"]
    if isinstance(value, list) and any(map(torch.is_tensor, value)):
        return [line for number, each in enumerate(value)
                for line in labelled(f"{name}[{number}]", each)]
    return [f"{name} = {said(value)}"]


def drawable(value) -> bool:
    """Whether a tensor is small enough to be shown, and no more than a
    table."""
    shape = [size for size in value.shape if size != 1]
    return len(shape) <= 2 and all(size <= LARGEST for size in shape)


def table(value, wrong=None) -> list[str]:
    """The rows of a tensor of one or two real axes, in columns; what is
    wrong is marked."""
    shape = [size for size in value.shape if size != 1]
    rows = value.reshape(shape if len(shape) == 2 else (1, -1)).tolist()
    marks = wrong.reshape(len(rows), -1).tolist() if wrong is not None \
        else [[False] * len(row) for row in rows]
    whole = not value.is_floating_point() or bool(
        (value == value.round()).all())
    texts = [[(f"{x:.0f}" if whole else f"{x:.4g}") + ("*" if mark else "")
              for x, mark in zip(row, line)] for row, line in zip(rows, marks)]
    width = max((len(text) for row in texts for text in row), default=0)
    return ["  " + "  ".join(text.rjust(width) for text in row)
            for row in texts]


def said(value) -> str:
    """Any other value in few words."""
    if isinstance(value, Raised):
        return value.message or value.kind
    if torch.is_tensor(value):
        if value.numel() > LARGEST**2:
            return f"a tensor {tuple(value.shape)}"
        rows = value.tolist()
        text = str(rows) if value.dim() else f"{rows:.10g}"
        return text.replace(".0,", ",").replace(".0]", "]")
    if isinstance(value, list) and any(map(torch.is_tensor, value)):
        return f"[{', '.join(map(said, value))}]"
    if isinstance(value, GPTConfig):
        return (f"{value.n_layer} layers, {value.n_head} heads, "
                f"{value.n_embd} channels, a vocabulary of "
                f"{value.vocab_size}, a context of {value.context_length}")
    if value == "":
        return "none"
    text = str(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 300 else text[:300] + " ..."

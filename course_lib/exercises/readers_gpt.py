"""The reader's GPT, as the course's trainer takes one."""

import itertools

import torch
from torch import nn
from torch.nn import functional as F

from course_lib.exercises.bank import find
from course_lib.exercises.build import build, logits_of
from course_lib.exercises.file import ReadersFile
from course_lib.exercises.judge import in_64_bits
from course_lib.exercises.place import (
    Misfit,
    located,
    numbered,
    own_loader,
    placements,
)
from course_lib.exercises.values import plain, same
from course_lib.model.config import GPTConfig
from course_lib.model.gpt import GPT


class ReadersGPT(nn.Module):
    """A GPT of the reader's with the interface of the package's.

    Its weights are saved and loaded under GPT-2's names, so what comes of a
    run is a run like any other: `course sample`, `evaluate` and `export`
    read it with the package's GPT, which computes the same. Raises
    ValueError where it does not, or where the config is not GPT-2's.
    """

    def __init__(self, made, config: GPTConfig):
        super().__init__()
        c = config
        if c != GPTConfig(c.vocab_size, c.context_length, c.n_layer, c.n_head,
                          c.n_embd):
            raise ValueError("a file's GPT is a GPT-2: prepare the run with "
                             "--recipe gpt2")
        self.config, load = config, own_loader(made)
        which = right_way(made, load)
        self.gpt = build(made, config)
        self.places = {name: at for name, (_, at) in located(
            self.gpt, config, load, which).items()}
        self.shapes = {name: at.shape for name, at
                       in numbered(config).items()}

    @property
    def head(self):
        """A weight, for who asks on which device they are."""
        return next(self.gpt.parameters())

    def forward(self, ids):
        """(B, T) int64 ids -> (B, T, V) logits."""
        return logits_of(self.gpt, ids)

    def loss(self, ids, targets):
        """Mean nats over the targets that count."""
        return F.cross_entropy(self(ids).flatten(0, 1), targets.flatten())

    def state_dict(self, **ignored) -> dict:
        """The weights under GPT-2's names."""
        sizes = [shape.numel() for shape in self.shapes.values()]
        row = torch.empty(sum(sizes), dtype=self.head.dtype)
        for name, p in self.gpt.named_parameters():
            row[self.places[name]] = p.detach().flatten().cpu()
        return {name: part.view(shape).clone() for (name, shape), part
                in zip(self.shapes.items(), row.split(sizes))}

    @torch.no_grad()
    def load_state_dict(self, state, **ignored) -> None:
        """Take weights under GPT-2's names. Raises RuntimeError where they
        are another model's."""
        if {n: t.shape for n, t in state.items()} != self.shapes:
            raise RuntimeError("the weights are of another size")
        row = torch.cat([state[name].flatten() for name in self.shapes])
        for name, p in self.gpt.named_parameters():
            p.copy_(row[self.places[name]].view(p.shape))


def right_way(made, load) -> int:
    """Which of the placements makes a small one compute what the package's
    does. Raises ValueError where none does."""
    config = GPTConfig(11, 6, n_layer=2, n_head=3, n_embd=12)
    with in_64_bits(), torch.no_grad():
        theirs, ids = GPT(config), torch.arange(10).view(2, 5)
        for p in theirs.parameters():
            p.normal_(std=0.5)
        weights = dict(theirs.named_parameters())
        for which in itertools.count():
            mine = build(made, config).eval()
            way = next(itertools.islice(placements(
                mine, weights, config, load), which, None), None)
            if way is None:
                raise ValueError(f"{made.__name__} does not compute what a "
                                 "GPT-2 does: see `course check FILE gpt`")
            try:
                way()
            except Misfit:
                continue
            if same(plain(logits_of(mine, ids)), plain(theirs(ids))):
                return which


def from_file(path, config: GPTConfig) -> ReadersGPT:
    """The GPT of a file. Raises ValueError or OSError."""
    file, step = ReadersFile(path), find("gpt")
    name = file.find(step.objects)
    if name is None:
        raise ValueError(f"{path} has no class {step.objects[0]}")
    return ReadersGPT(file.objects[name], config)

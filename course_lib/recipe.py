"""Whole recipes at small scale: that of 2023, and what may be changed in it.

A `Recipe` says how text becomes rows, what the model is and how it learns;
`follow` trains by one and measures it (chapter 6). What is compared must not
depend on the recipe, so it is counted here and nowhere else:

- The work is counted in positions, padding included: the model works on a
  padded place as on any other.
- The loss is that of the same held-out text for all, in total nats,
  over the tokens or the bytes of their text. A recipe that reads one
  sentence a row is asked for each sentence, and where it ends, which stands
  for the space or line break there. Padding costs nothing and counts nothing.
"""

import math
import re
import time
from dataclasses import asdict, dataclass, field, fields, replace

import numpy as np
import torch
from filelock import FileLock

from course_lib.budget import flops_per_token
from course_lib.data import Tokens, pack
from course_lib.evaluate import documents, evaluate
from course_lib.model import IGNORE, GPTConfig
from course_lib.presets import Preset
from course_lib.runs import Run
from course_lib.train import learning_rate, make_optimizer, train_step
from course_lib.variants import MuonAdamW, Variant, VariantGPT

NEVER = 1e9  # no gradient is as long as this
OPTIMIZERS = ("torch", "adamw", "muon")
MARKS = 14  # points of a validation curve, each sqrt(2) times the last
CURVE_TOKENS, FINAL_TOKENS = 12_000, 60_000  # of held-out text
SLICES = 256  # of the training text, for sentences
EXCERPT, EXCERPTS = 4_000, (0.2, 0.4, 0.6, 0.8)  # characters; places


@dataclass(frozen=True)
class Recipe:
    """The 2023 recipe, unless a field says otherwise.

    `batch_tokens` counts positions a step, `warmup` is a share of the
    steps. `optimizer`: `torch` is AdamW with PyTorch's defaults, which also
    decays norms and biases, as in 2023; `adamw` is the trainer's; `muon`
    has Muon for the matrices inside the blocks. Raises ValueError for an
    optimizer that is none of them.
    """

    packed: bool = False
    context_length: int = 64
    batch_tokens: int = 1024
    schedule: str = "constant"
    warmup: float = 0.0
    clip: float = NEVER
    dropout: float = 0.1
    optimizer: str = "torch"
    variant: Variant = field(
        default_factory=lambda: Variant(torch_init=True))

    def __post_init__(self):
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer {self.optimizer!r} is none of "
                             f"{', '.join(OPTIMIZERS)}")

    def but(self, **changes) -> "Recipe":
        """The recipe with these fields changed, its own or its variant's.
        Raises ValueError for a name that is neither."""
        own = {name: changes.pop(name) for name in [*changes]
               if name in {f.name for f in fields(Recipe)}}
        if unknown := changes.keys() - {f.name for f in fields(Variant)}:
            raise ValueError(f"a recipe has no {', '.join(sorted(unknown))}")
        recipe = replace(self, **own)
        return replace(recipe, variant=replace(recipe.variant, **changes))

    def to_dict(self) -> dict:
        """Plain values, for JSON; `Recipe.from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Recipe":
        return cls(**(values | {"variant": Variant(**values["variant"])}))

    def preset(self, base: Preset, positions: int, rate: float,
               seed: int) -> Preset:
        """The run as the trainer's schedule knows it. `base` gives the
        model's size and the corpus."""
        model = replace(base.model, context_length=self.context_length,
                        dropout=self.dropout)
        steps = max(1, positions // self.batch_tokens)
        return replace(
            base, model=model, tokens=steps * self.batch_tokens,
            batch_tokens=self.batch_tokens, learning_rate=rate,
            warmup_steps=round(self.warmup * steps), clip=self.clip,
            schedule=self.schedule, seed=seed)


class Text:
    """A run's tokens, packed and as one sentence a row, to train on and to
    be measured with. `rows` sentences at least are there to train on, from
    all over the text."""

    def __init__(self, run: Run, rows: int, width: int = 64):
        self.tokenizer, self.train = run.tokenizer, run.train_tokens
        self.validation, self.width = excerpts(run), width
        # a sentence of the stories has about 17 tokens, one of books twice
        # as many: 80 are plenty
        texts = self.sentences(spread(self.train.ids, 80 * rows))[:rows]
        self.rows = self.padded([self.tokenizer.encode(text)[:width - 1]
                                 for text in texts])
        self.parts = {size: _Held(self, size)
                      for size in (CURVE_TOKENS, FINAL_TOKENS)}

    def sentences(self, ids) -> list[str]:
        """The sentences of packed text."""
        text = self.tokenizer.decode(ids.tolist())
        parts = re.split(r"(?<=[.!?]) |\n|<\|endoftext\|>", text)
        return [part for part in parts if part.strip()]

    def padded(self, rows) -> torch.Tensor:
        """(rows, width + 1): end-of-text, the sentence, end-of-text, and
        that again as padding to the end. A sentence of `width` tokens has
        no room for its end, which is then left out."""
        out = torch.full((len(rows), self.width + 1), self.tokenizer.eot)
        for row, ids in zip(out, rows, strict=True):
            row[1:len(ids) + 1] = torch.tensor(ids)
        return out

    @property
    def real(self) -> float:
        """Share of the padded positions whose target is not padding."""
        return sum(len(row) for row in self.parts[FINAL_TOKENS].rows) / (
            self.width * len(self.parts[FINAL_TOKENS].rows))

    def batch(self, step: int, recipe: Recipe, seed: int):
        """(ids, targets) of a step, each (rows, context)."""
        T = recipe.context_length
        rows = recipe.batch_tokens // T
        if recipe.packed:
            return self.train.batch(step, rows, T, seed)
        epoch, place = divmod(step * rows, len(self.rows) // rows * rows)
        order = np.random.default_rng([seed, epoch]).permutation(
            len(self.rows))
        picked = self.rows[order[place:place + rows]]
        return picked[:, :-1], picked[:, 1:]


def spread(ids: np.ndarray, count: int) -> np.ndarray:
    """About `count` of the ids (all, where there are fewer), in slices that
    lie evenly over them and come in random order."""
    size = count // SLICES
    if len(ids) <= count or not size:
        return ids[:count]
    places = np.linspace(0, len(ids) - size, SLICES).astype(int)
    return np.concatenate([ids[place:place + size] for place in
                           np.random.default_rng(0).permutation(places)])


def excerpts(run: Run) -> Tokens:
    """The run's held-out tokens. Where a document is as long as a book, the
    first ones would be of one book only, so there it is pieces of about
    `EXCERPT` characters, cut between paragraphs: one from every document,
    then a second from every document, and so on."""
    texts = list(documents(run.val_tokens, run.tokenizer))
    if max(map(len, texts)) <= EXCERPT:
        return run.val_tokens
    pieces = [(text[start:end].rpartition("\n")[0] or text[start:end]).strip()
              for share in EXCERPTS for text in texts
              for start in [text.find("\n", int(share * len(text))) + 1]
              for end in [start + EXCERPT]]
    path = run.folder / "excerpts.bin"
    with FileLock(f"{path}.lock"):
        return pack(pieces, run.tokenizer, path,
                    source=run.val_tokens.header["sha256"])


class _Held:
    """The held-out text of about `size` tokens: as packed tokens, and as
    rows of targets, one a sentence (a long one takes two)."""

    def __init__(self, text: Text, size: int):
        ids = text.validation.ids[:size + 1]
        ends = np.flatnonzero(ids == text.tokenizer.eot)
        self.tokens = int(ends[-1])  # targets, end-of-text included
        ids = ids[:self.tokens + 1]
        eot = text.tokenizer.eot
        whole = text.tokenizer.decode(ids[ids != eot].tolist())
        self.bytes = len(whole.encode())
        self.rows = []
        for sentence in text.sentences(ids):
            row = [*text.tokenizer.encode(sentence), eot]
            self.rows += [row[i:i + text.width]
                          for i in range(0, len(row), text.width)]
        self.rows.sort(key=len)


@torch.no_grad()
def nats(model, text: Text, recipe: Recipe, size: int) -> float:
    """Total nats of the held-out text of about `size` tokens, read as
    the recipe reads."""
    held = text.parts[size]
    if recipe.packed:
        return held.tokens * evaluate(
            model, text.validation, max_tokens=held.tokens).loss
    training, total = model.training, 0.0
    model.eval()
    for start in range(0, len(held.rows), 256):
        rows = held.rows[start:start + 256]
        ids = torch.full((len(rows), len(rows[-1]) + 1), text.tokenizer.eot)
        targets = torch.full((len(rows), len(rows[-1])), IGNORE)
        for i, row in enumerate(rows):
            ids[i, 1:len(row) + 1] = targets[i, :len(row)] = torch.tensor(row)
        count = (targets != IGNORE).sum().item()
        total += model.loss(ids[:, :-1], targets).item() * count
    model.train(training)
    return total


def make(recipe: Recipe, preset: Preset):
    """A fresh (model, optimizer), the same for the same seed."""
    torch.manual_seed(preset.seed)
    model = VariantGPT(preset.model, recipe.variant).train()
    if recipe.optimizer == "torch":
        return model, torch.optim.AdamW(
            model.parameters(), preset.learning_rate, fused=True)
    if recipe.optimizer == "muon":
        return model, MuonAdamW(model, preset.learning_rate,
                                preset.weight_decay)
    return model, make_optimizer(model, preset)


def follow(recipe: Recipe, text: Text, base: Preset, positions: int,
           rate: float, seed: int = 0, begin=None) -> dict:
    """Train by the recipe on `positions` positions; what came of it.
    `begin(model)`, where given, may alter the first weights.

    `loss` (nats per token) and `bits_per_byte` are of the held-out text,
    None where the run diverged; `curve` has the loss on a part of them
    after some numbers of positions; `flop` is what the training took,
    `cpu_seconds` the processor's time in the training steps.
    """
    preset = recipe.preset(base, positions, rate, seed)
    model, optimizer = make(recipe, preset)
    if begin is not None:
        begin(model)
    marks = {math.ceil(preset.steps * 2**(-k / 2)) for k in range(MARKS)}
    curve, seconds, loss = [], 0.0, torch.zeros(())
    for step in range(preset.steps):
        batch = text.batch(step, recipe, seed)
        torch.manual_seed(seed * 1_000_003 + step)  # of dropout
        begun = time.process_time()
        loss, _ = train_step(model, optimizer, batch,
                             learning_rate(step, preset), preset.clip)
        seconds += time.process_time() - begun
        if step + 1 in marks:
            held = text.parts[CURVE_TOKENS]
            now = nats(model, text, recipe, CURVE_TOKENS) / held.tokens
            if not math.isfinite(now):
                break
            curve.append(dict(tokens=(step + 1) * preset.batch_tokens,
                              loss=now))
    total = nats(model, text, recipe, FINAL_TOKENS)
    held, fine = text.parts[FINAL_TOKENS], math.isfinite(total)
    return dict(
        loss=total / held.tokens if fine else None,
        bits_per_byte=total / math.log(2) / held.bytes if fine else None,
        training_loss=loss.item() if fine else None, curve=curve,
        steps=preset.steps, positions=preset.tokens, cpu_seconds=seconds,
        flop=preset.tokens * flops_per_token(preset.model))


def small(base: Preset, layers: int = 2, heads: int = 2,
          width: int = 64) -> Preset:
    """The preset with a smaller model, its vocabulary kept."""
    V, T = base.model.vocab_size, base.model.context_length
    return replace(base, model=GPTConfig(V, T, layers, heads, width))

"""The scales at which everything runs: smoke, laptop, evening, full."""

import math
import os
from dataclasses import asdict, dataclass, replace

from course_lib.machine.files import real_number
from course_lib.model.config import GPTConfig

SCHEDULES = ("cosine", "wsd", "constant")  # see `training.learning_rate`
OPTIMIZERS = ("adamw", "muon", "adamw-defaults")  # `training.make_optimizer`
ROWS = ("packed", "sentences")  # see `text.pack`


@dataclass(frozen=True)
class Preset:
    """A scale: which text, which model, how long, how fast it learns.

    `tokens` is the length of training and `batch_tokens` the tokens a step,
    which must divide into whole rows of the model's context. With `layout`
    `sentences`, one of them padded to a row, both count the padding.
    `recipe` names the `recipes.Recipe` that the rest follows. Raises
    ValueError for a field out of range.
    """

    name: str
    corpus: str
    model: GPTConfig
    tokens: int
    batch_tokens: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float = 0.1
    clip: float = 1.0
    seed: int = 0
    schedule: str = "wsd"
    optimizer: str = "adamw"
    layout: str = "packed"
    recipe: str = "gpt2"

    def __post_init__(self):
        for name in ("tokens", "batch_tokens", "warmup_steps", "seed"):
            if type(getattr(self, name)) is not int:  # True is an int too
                raise ValueError(f"{name} must be a whole number, not "
                                 f"{getattr(self, name)!r}")
            if name != "seed" and getattr(self, name) > 10**15:
                raise ValueError(f"{name} must be at most 1e15")
        T = self.model.context_length
        if self.batch_tokens % T or self.batch_tokens < T:
            raise ValueError(f"batch_tokens={self.batch_tokens} must be a "
                             f"multiple of the context, {T}")
        if self.tokens < self.batch_tokens:
            raise ValueError(f"tokens={self.tokens} must be at least one "
                             f"step, batch_tokens={self.batch_tokens}")
        for name in ("learning_rate", "clip", "weight_decay"):
            real_number(name, getattr(self, name))
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, not "
                                 f"{getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError("weight_decay must be 0 or more and finite, "
                             f"not {self.weight_decay}")
        if self.warmup_steps < 0:
            raise ValueError("warmup_steps must be 0 or more, not "
                             f"{self.warmup_steps}")
        for name, known in (("schedule", SCHEDULES), ("layout", ROWS),
                            ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} {getattr(self, name)!r} is none of "
                                 f"{', '.join(known)}")
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed must lie between 0 and 2**32 - 1, not "
                             f"{self.seed}")

    @property
    def steps(self) -> int:
        """Optimizer steps in the run."""
        return self.tokens // self.batch_tokens

    @property
    def rows(self) -> int:
        """Rows of context_length tokens in a step."""
        return self.batch_tokens // self.model.context_length

    def to_dict(self) -> dict:
        """Plain values, for JSON; `Preset.from_dict` reads them back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> "Preset":
        return cls(**(values | {"model": GPTConfig(**values["model"])}))


PRESETS = {preset.name: preset for preset in (
    Preset("smoke", "stories:3000",
           GPTConfig(vocab_size=512, context_length=64,
                     n_layer=2, n_head=2, n_embd=64),
           tokens=300_000, batch_tokens=2_048,
           learning_rate=4e-3, warmup_steps=10),
    Preset("laptop", "stories:36000",
           GPTConfig(vocab_size=1024, context_length=128,
                     n_layer=4, n_head=4, n_embd=128),
           tokens=4_000_000, batch_tokens=1_024,
           learning_rate=6e-3, warmup_steps=200),
    Preset("evening", "books",
           GPTConfig(vocab_size=8_192, context_length=256,
                     n_layer=8, n_head=4, n_embd=256),
           tokens=150_000_000, batch_tokens=16_384,
           learning_rate=3e-3, warmup_steps=200),
    Preset("full", "bookcorpus",
           GPTConfig(vocab_size=50_304, context_length=512,
                     n_layer=8, n_head=8, n_embd=512),
           tokens=1_100_000_000, batch_tokens=262_144,
           learning_rate=1.5e-3, warmup_steps=200),
)}


def load_preset(name: str | None = None) -> Preset:
    """The preset of that name; without one, of $COURSE_SCALE, or `laptop`.

    Raises ValueError for an unknown name.
    """
    name = name or os.environ.get("COURSE_SCALE") or "laptop"
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}: choose one of "
                         f"{', '.join(PRESETS)}")
    return PRESETS[name]


PROSE_TOKENS = 20_000_000  # of a laptop run on real prose, at most
TOKENS_A_BYTE = 3  # a token is 3 or 4 bytes, so about a dozen passes


def for_prose(preset: Preset, size: int) -> Preset:
    """The preset for `size` bytes of real prose instead of the stories.

    Books use more words than the stories do, so the laptop model gets a
    larger vocabulary and a longer run, but no longer than the text bears;
    the others stay.
    """
    if preset.name != "laptop":
        return preset
    tokens = min(PROSE_TOKENS, TOKENS_A_BYTE * size)
    return replace(preset, tokens=max(tokens, preset.batch_tokens),
                   model=replace(preset.model, vocab_size=4096))

"""Three recipes: how text becomes rows, what the model is made of, how it
learns (chapter 6).

A scale (`presets.py`) says how much; any recipe can be followed at any scale.
"""

import math
from dataclasses import asdict, dataclass, field, fields, replace

from course_lib.machine.files import real_number
from course_lib.model.config import GPTConfig
from course_lib.presets import Preset

NEVER = 1e9  # no gradient is as long as this
PARTS = {f.name for f in fields(GPTConfig)} - {"vocab_size"}


@dataclass(frozen=True)
class Recipe:
    """What is done, at whatever scale. The defaults are those of `gpt2`.

    `model` holds fields of `GPTConfig`: parts, and its size where it is to
    differ from the scale's. `warmup` is a
    share of the steps, `rate` a multiple of the scale's learning rate; where
    `warmup` or `batch_tokens` is None, the scale's own stays. Raises
    ValueError for a part that a GPT does not have.
    """

    name: str
    layout: str = "packed"
    model: dict = field(default_factory=dict)
    optimizer: str = "adamw"
    schedule: str = "wsd"
    warmup: float | None = None
    clip: float = 1.0
    weight_decay: float = 0.1
    rate: float = 1.0
    batch_tokens: int | None = None

    def __post_init__(self):
        if unknown := self.model.keys() - PARTS:
            raise ValueError(f"a recipe has no {', '.join(sorted(unknown))}")
        for name in ("rate", "clip", "weight_decay"):
            real_number(name, getattr(self, name))
        for name in ("warmup", "batch_tokens"):
            if getattr(self, name) is not None:
                real_number(name, getattr(self, name))
        if not 0 < self.rate < math.inf:
            raise ValueError(f"rate must be above 0, not {self.rate}")
        if self.warmup is not None and not 0 <= self.warmup <= 1:
            raise ValueError("warmup is a share of the steps, from 0 to 1, "
                             f"not {self.warmup}")

    def but(self, **changes) -> "Recipe":
        """The recipe with these fields changed, its own or its model's; None
        leaves one of the model's to the scale again. Raises ValueError for a
        name that is neither."""
        own = {name: changes.pop(name) for name in [*changes]
               if name in {f.name for f in fields(Recipe)}}
        recipe = replace(self, **own)
        return replace(recipe, model={
            name: value for name, value in {**recipe.model, **changes}.items()
            if value is not None})

    def at(self, scale: Preset) -> Preset:
        """The scale's run by this recipe."""
        batch = self.batch_tokens or scale.batch_tokens
        run = replace(
            scale, model=replace(scale.model, **self.model),
            batch_tokens=batch, tokens=max(scale.tokens, batch),
            learning_rate=scale.learning_rate * self.rate,
            recipe=self.name, layout=self.layout, clip=self.clip,
            optimizer=self.optimizer, schedule=self.schedule,
            weight_decay=self.weight_decay)
        if self.warmup is None:
            return run
        return replace(run, warmup_steps=round(self.warmup * run.steps))

    def to_dict(self) -> dict:
        """Plain values, for JSON; `Recipe(**values)` reads them back."""
        return asdict(self)


RECIPES = {recipe.name: recipe for recipe in (
    # as the code of the 2023 post had it, its learning rate excepted
    Recipe("2023", layout="sentences", optimizer="adamw-defaults",
           model=dict(context_length=64, dropout=0.1,
                      first_weights="pytorch"),
           schedule="constant", warmup=0.0, clip=NEVER, weight_decay=0.01),
    Recipe("gpt2"),
    Recipe("modern", optimizer="muon",
           model=dict(positions="rotary", norm="rms", mlp="swiglu",
                      qk_norm=True, bias=False)),
)}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises ValueError for an unknown one."""
    if name not in RECIPES:
        raise ValueError(f"no recipe {name!r}: choose one of "
                         f"{', '.join(RECIPES)}")
    return RECIPES[name]

"""The dial: say what you can spend, get the run that it buys (chapter 2).

A law for the loss and a measured speed are enough to choose a size: for every
width that the ladder's rule knows, the time pays for so many tokens, and the
law says where a model of that size ends. The smallest wins of those that end
nearly lowest. FLOP alone would choose almost the same; but small models use a
machine badly, and the dial knows by how much.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from course_lib.machine.gpus import GPU
from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.presets import Preset
from course_lib.scaling.budget import count
from course_lib.scaling.fits import fit
from course_lib.scaling.forecasting import Forecast, forecast
from course_lib.scaling.laws import ScalingLaw, repeated
from course_lib.scaling.rungs import WIDTHS, Ladder, shape, sized
from course_lib.training.processor import (
    compile_pays,
    compiling,
    number_format,
)
from course_lib.training.start import measure_speed

CHOICES = sorted({*WIDTHS, 320, 448, 640, 768})  # the ladder's are far apart
FLAT = 0.01  # nats of the lowest loss within which the smallest size wins
TRIED = (32, 96, 256)  # widths whose speed is measured, the rest lie between
SECONDS = 2.0  # for each


@dataclass(frozen=True)
class Choice:
    """The run that so many `seconds` of training buy: its `preset`, the
    `speed` in tokens per second that was counted on, and where it should
    end. `bits` are bits per byte for each nat per token of the ladder's
    text; `unique` the different tokens there are, where that is known."""

    preset: Preset
    seconds: float
    speed: float
    forecast: Forecast
    bits: float
    unique: int | None
    source: str

    @property
    def flop(self) -> float:
        """The FLOP of its training."""
        return self.preset.tokens * flops_per_token(self.preset.model)

    def lines(self) -> list[str]:
        """The choice as lines of text."""
        run, says = self.preset, self.forecast
        shape = run.model
        lines = [
            f"model    {count(says.N)} parameters: layers {shape.n_layer}, "
            f"channels {shape.n_embd}, heads {shape.n_head}, by the "
            f"{run.recipe} recipe",
            f"data     {count(run.tokens)} tokens in {run.steps:,} steps of "
            f"{run.batch_tokens:,}, learning rate {run.learning_rate:.2g}",
            f"compute  {self.flop:.3g} FLOP at {self.speed:,.0f} tokens/s",
            f"loss     {says}",
            f"         {says.loss * self.bits:.3f} bits per byte "
            f"({says.low * self.bits:.3f} to {says.high * self.bits:.3f})",
            f"law      {self.source}"]
        if self.unique and self.unique < run.tokens:
            lines.insert(2, f"         {run.tokens / self.unique:.1f} passes "
                         f"over {count(self.unique)} different tokens, "
                         "counted as Muennighoff et al. 2023 do")
        return lines


def choose(scale: Preset, ladder: Ladder, seconds: float,
           speed_of: Callable[[GPTConfig], float], unique: int | None = None,
           tokens: int | None = None, largest: int | None = None,
           floor: float = 0.0) -> Choice:
    """The smallest run of `seconds` that the ladder's law expects to end
    within FLAT of the lowest. The valley is flat, its right side is where a
    law is least to be trusted, and a small model is cheap ever after. Models
    with fewer tokens for each parameter than any of the valleys' runs had are
    not considered.

    `scale` gives vocabulary, context and recipe, `speed_of(model)` tokens
    per second, `unique` the different tokens that there are, `tokens` the
    most that may be trained on, and `largest` the most parameters that the
    model may have. Raises ValueError where the time is too short for any
    size.
    """
    if not 0 < seconds < float("inf"):
        raise ValueError(f"the time must be above 0 and finite, not "
                         f"{seconds} seconds")
    law, found = fit(*ladder.runs, floor=floor).law, []
    budgets, runs = np.unique(ladder.budget, return_counts=True)
    # a budget with one run has no valley
    scarcest = min((ladder.D / ladder.N)[np.isin(
        ladder.budget, budgets[runs > 1])], default=0)
    for model in (shape(scale, width) for width in CHOICES):
        speed = speed_of(model)
        D = min(seconds * speed, tokens or np.inf)
        if D < scale.model.context_length * 100:
            continue
        N = count_parameters(model).total
        if largest and N > largest or found and D < scarcest * N:
            continue
        found.append((float(law.loss(N, D)) + _passes(law, N, D, unique),
                      model, D, speed, N))
    if not found:
        raise ValueError(
            f"{seconds:.0f} seconds are too short to train anything"
            + (f" of at most {largest:,} parameters" if largest else "")
            + ": give more")
    lowest = min(loss for loss, *_ in found)
    _, model, D, speed, N = next(
        one for one in found if one[0] <= lowest + FLAT)
    run = sized(scale, model, D)
    says = forecast(ladder, N, run.tokens, floor)
    worse = _passes(law, N, run.tokens, unique)
    says = replace(says, loss=says.loss + worse, low=says.low + worse,
                   high=says.high + worse)
    kind_of_text, *_ = ladder.corpus["name"].split(":")
    source = (f"{len(ladder.runs.loss)} runs on {kind_of_text}, "
              f"{ladder.made['date'][:10]}: {law}")
    return Choice(run, run.tokens / speed, speed, says,
                  ladder.bits_per_byte(1.0), unique, source)


def _passes(law: ScalingLaw, N, D, unique) -> float:
    """Nats that reading the same text again costs against new text."""
    if not unique or unique >= D:
        return 0.0
    return float(repeated(law, N, D, unique) - repeated(law, N, D, D))


def machine_speed(scale: Preset, device: str, seconds: float = SECONDS):
    """A function of a model that says how many tokens per second this machine
    trains on, uncompiled where it is a CPU: three widths are measured, and
    FLOP/s taken from between."""
    widths = [width for width in TRIED if width <= max(
        scale.model.n_embd, TRIED[0])]
    done = []
    for width in widths:
        model = shape(scale, width)
        speed = measure_speed(
            replace(scale, model=model), device, seconds,
            number_format(device, model), compiles=False)
        done.append(speed * flops_per_token(model))

    def speed_of(model: GPTConfig) -> float:
        flop = np.exp(np.interp(np.log(model.n_embd), np.log(widths),
                                np.log(done)))
        return float(flop / flops_per_token(model))

    return speed_of


def compiled_speed(chosen: Preset, speed_of, device: str):
    """`speed_of` times what compiling gains on a CPU, where the trainer would
    compile the `chosen` run; a trial of its step takes a minute, once."""
    if device != "cpu":
        return speed_of
    kind = number_format(device, chosen.model)
    if not compile_pays(chosen, kind):
        return speed_of
    found = compiling(chosen, kind)
    return lambda model: speed_of(model) * found["compiled"] / found["eager"]


def gpu_speed(gpu: GPU, mfu: float):
    """The same for a GPU that runs at the share `mfu` of its peak."""
    def speed_of(model: GPTConfig) -> float:
        return gpu.peak_at() * mfu / flops_per_token(model)

    return speed_of

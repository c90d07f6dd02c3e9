"""Where the time of a training step goes (chapter 4)."""

from dataclasses import dataclass, replace
from statistics import median

from torch.profiler import ProfilerActivity, profile

from course_lib.presets import Preset
from course_lib.training.start import steps_on_random

PARTS = ("products with weights", "products of attention",
         "products of the head", "between the products",
         "gradients added up and clipped", "optimizer")
WITH_WEIGHTS, OF_ATTENTION, HEAD, BETWEEN, GRADIENTS, OPTIMIZER = PARTS
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
CLIPPING = ("AccumulateGrad", "linalg_vector_norm", "_foreach_norm",
            "_foreach_mul_")


@dataclass
class Spent:
    """What went into a part of a step: seconds, and FLOP where it consists
    of matrix products."""

    seconds: float
    flop: float


def profile_step(preset: Preset, device: str, number_format: str = "float32",
                 compiles: bool | None = None,
                 times: int = 3) -> dict[str, Spent]:
    """What a training step of half a micro-batch of random tokens spends in
    each of `PARTS`, by torch's profiler: the time of every operation, without
    those that it calls, the median of so many `times`. Raises RuntimeError as
    `compiled_loss` does."""
    # else shapes could not tell tokens from the vocabulary
    if preset.batch_tokens == preset.model.vocab_size:
        preset = replace(preset, batch_tokens=preset.batch_tokens
                         + preset.model.context_length)
    step, _ = steps_on_random(preset, device, number_format, compiles, 2)
    for _ in range(3):  # the first ones also make room, and compile
        step()
    kinds, clock = [ProfilerActivity.CPU], "self_cpu_time_total"
    if device == "cuda":
        kinds, clock = [*kinds, ProfilerActivity.CUDA], (
            "self_device_time_total")
    seconds = {part: [0.0] * times for part in PARTS}
    flop = dict.fromkeys(PARTS, 0)
    for turn in range(times):
        with profile(activities=kinds, record_shapes=True,
                     with_flops=True) as profiler:
            step()
        for event in profiler.events():
            part = part_of(event, preset.model.vocab_size)
            seconds[part][turn] += getattr(event, clock) / 1e6
            flop[part] += event.flops or 0
    return {part: Spent(median(seconds[part]), flop[part] / times)
            for part in PARTS}


def part_of(event, vocab_size: int) -> str:
    """The part of a step that an operation belongs to, by its own name and
    its callers', and by the shapes that it was given."""
    names, caller = [event.name], event.cpu_parent
    while caller is not None:
        names.append(caller.name)
        caller = caller.cpu_parent
    if any(name.startswith("Optimizer.step") for name in names):
        return OPTIMIZER
    if event.name in PRODUCTS:
        if any(vocab_size in shape for shape in event.input_shapes):
            return HEAD
        return OF_ATTENTION if "bmm" in event.name else WITH_WEIGHTS
    if any(word in name for word in CLIPPING for name in names):
        return GRADIENTS
    return BETWEEN

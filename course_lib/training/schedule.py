"""The learning rate of every step (chapter 4)."""

import math

from course_lib.presets import Preset

DECAY = 0.2  # share of the steps in which `wsd` goes down


def learning_rate(step: int, preset: Preset) -> float:
    """The rate of a step, counted from 0: linear warm-up to the peak, then
    the preset's schedule. `cosine` falls to a tenth at the last step; `wsd`
    (warm-up, stable, decay) keeps the peak and falls in a line to nearly
    nothing over the last fifth of the steps; `constant` keeps it.

    Sources: Loshchilov and Hutter 2017; Hoffmann et al. 2022, who show that
    the cosine must end where the run does; Hu et al. 2024 (MiniCPM), wsd.
    """
    peak, warmup = preset.learning_rate, preset.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    if preset.schedule == "constant":
        return peak
    if preset.schedule == "wsd":
        last = max(1, round(DECAY * preset.steps))
        return peak * min(1, (preset.steps - step) / last)
    done = (step - warmup) / max(1, preset.steps - 1 - warmup)
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1, done))))

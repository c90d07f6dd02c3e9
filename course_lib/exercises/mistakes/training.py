"""Known mistakes of chapter 4."""

import math

import torch
from torch import nn

from course_lib.exercises.step import Bank
from course_lib.exercises.steps import training as right

mistake = Bank()


def update(weight, gradient, m, v, step, rate, decay=0.1, *, betas=(0.9, 0.95),
           corrected=(True, True), inside=False, decayed=None, late=0,
           root=True, squared=True, epsilon=1e-8):
    """AdamW with what people get wrong as arguments."""
    b1, b2 = betas
    m = b1 * m + (1 - b1) * gradient
    v = b2 * v + (1 - b2) * (gradient.square() if squared else gradient.abs())
    mean = m / (1 - b1 ** (step + late)) if corrected[0] else m
    size = v / (1 - b2 ** (step + late)) if corrected[1] else v
    low = (size + epsilon).sqrt() if inside else (
        size.sqrt() if root else size) + epsilon
    lost = rate * decay if decayed is None else decayed(rate, decay)
    return weight * (1 - lost) - rate * mean / low, m, v


def variant(name, why, **wrong):
    def made(weight, gradient, m, v, step, rate, decay=0.1):
        return update(weight, gradient, m, v, step, rate, decay, **wrong)
    mistake("adamw", name, why)(made)


variant("the bias correction is missing",
        "m and v begin at zero and are too small at first: divide them by 1 "
        "- beta^step.", corrected=(False, False))
variant("the bias correction of m is missing",
        "Divide m by 1 - 0.9^step.", corrected=(False, True))
variant("the bias correction of v is missing",
        "Divide v by 1 - 0.95^step.", corrected=(True, False))
variant("the bias correction counts steps from 0",
        "step counts from 1 already: beta^(step + 1) is one too many.",
        late=1)
variant("beta 2 is 0.999",
        "PyTorch's default; the course, like most who train language "
        "models, has 0.95.", betas=(0.9, 0.999))
variant("epsilon stands under the root",
        "sqrt(v + 1e-8) is 1e-4 where v is 0: add it to the root.",
        inside=True)
variant("epsilon is 1e-6", "1e-8, as in PyTorch.", epsilon=1e-6)
variant("weights do not decay",
        "Each step takes rate * decay of the weight: the W in AdamW.",
        decayed=lambda rate, decay: 0)
variant("the decay is not scaled by the rate",
        "A step takes rate * decay of the weight, not decay.",
        decayed=lambda rate, decay: decay)
variant("weights grow instead of decaying",
        "The sign of the decay: weight * (1 - rate * decay).",
        decayed=lambda rate, decay: -rate * decay)
variant("the root is missing", "Divide by the root of v.", root=False)
variant("v averages sizes, not squares", "v is of the gradient squared.",
        squared=False)


@mistake("adamw", "the decay goes through the gradient",
         "gradient + decay * weight is Adam with L2: there the decay is "
         "divided by sqrt(v) too. In AdamW it is apart.")
def through_gradient(weight, gradient, m, v, step, rate, decay=0.1):
    return update(weight, gradient + decay * weight, m, v, step, rate, 0)


@mistake("adamw", "the corrected averages are handed back",
         "m and v go on uncorrected: each step corrects anew.")
def corrected_back(weight, gradient, m, v, step, rate, decay=0.1):
    weight, m, v = update(weight, gradient, m, v, step, rate, decay)
    return weight, m / (1 - 0.9 ** step), v / (1 - 0.95 ** step)


@mistake("adamw", "the new weight decays, not the old",
         "The decay is of the weight before the step.")
def decays_after(weight, gradient, m, v, step, rate, decay=0.1):
    weight, m, v = update(weight, gradient, m, v, step, rate, 0)
    return weight * (1 - rate * decay), m, v


@mistake("adamw", "m and v come back in the wrong order",
         "(weight, m, v): first the average of the gradient.")
def exchanged(weight, gradient, m, v, step, rate, decay=0.1):
    weight, m, v = update(weight, gradient, m, v, step, rate, decay)
    return weight, v, m


@mistake("adamw", "uphill", "The step goes against the gradient.")
def uphill(weight, gradient, m, v, step, rate, decay=0.1):
    down, m, v = update(weight, gradient, m, v, step, rate, decay)
    return 2 * weight * (1 - rate * decay) - down, m, v


def total_norm(gradients):
    return torch.cat([g.flatten() for g in gradients]).norm()


@mistake("clip", "each gradient is clipped by itself",
         "Each has its own norm then, and the direction of the whole "
         "changes: one norm over all.")
def each_alone(gradients, largest):
    return [right.clip_exactly([g], largest)[0][0]
            for g in gradients], total_norm(gradients)


@mistake("clip", "each number is clipped",
         "clamp changes the direction; clipping the norm keeps it.")
def each_number(gradients, largest):
    return [g.clamp(-largest, largest)
            for g in gradients], total_norm(gradients)


@mistake("clip", "short gradients are lengthened",
         "largest / norm is above 1 for them: never scale up.")
def lengthened(gradients, largest):
    norm = total_norm(gradients)
    return [g * largest / norm.clamp(min=1e-6) for g in gradients], norm


@mistake("clip", "the norm after clipping is given back",
         "The norm before says whether it was needed.")
def norm_after(gradients, largest):
    clipped = right.clip_exactly(gradients, largest)[0]
    return clipped, total_norm(clipped)


@mistake("clip", "the norm is not rooted",
         "The norm is the root of the sum of squares.")
def no_root(gradients, largest):
    norm = total_norm(gradients).square()
    scale = min(1.0, largest / max(norm.item(), 1e-12))
    return [g * scale for g in gradients], norm


@mistake("clip", "the norms of the parts are added",
         "The squares add up, not the norms.")
def added(gradients, largest):
    norm = sum(g.norm() for g in gradients)
    scale = min(1.0, largest / max(norm.item(), 1e-12))
    return [g * scale for g in gradients], norm


@mistake("clip", "nothing is clipped",
         "Gradients longer than `largest` must come out shorter.")
def unclipped(gradients, largest):
    return gradients, total_norm(gradients)


def rate_mistake(name, why):
    return mistake("learning_rate", name, why)


def last(steps):
    return max(1, round(steps / 5))


@rate_mistake("the first step has rate 0",
              "peak * step / warmup wastes step 0: step + 1.")
def from_zero(step, steps, warmup, peak):
    if step < warmup:
        return peak * step / warmup
    return right.learning_rate(step, steps, warmup, peak)


@rate_mistake("there is no warm-up",
              "The first `warmup` steps climb to the peak.")
def no_warmup(step, steps, warmup, peak):
    return right.learning_rate(step, steps, 0, peak)


@rate_mistake("there is no decay",
              "Over the last fifth of the steps the rate falls in a line.")
def no_decay(step, steps, warmup, peak):
    return peak * min(1, (step + 1) / max(1, warmup))


@rate_mistake("a cosine from the end of the warm-up",
              "The older schedule: here the peak is kept until the last "
              "fifth.")
def cosine(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - 1 - warmup)
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1, done))))


@rate_mistake("the last step has rate 0",
              "The line reaches 0 one step after the last: (steps - step), "
              "not (steps - 1 - step).")
def to_zero(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * min(1, (steps - 1 - step) / last(steps))


@rate_mistake("the decay is a tenth of the steps, not a fifth",
              "round(steps / 5) steps go down.")
def tenth(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * min(1, (steps - step) / max(1, round(steps / 10)))


@rate_mistake("the fifth is cut, not rounded",
              "round(steps / 5), not steps // 5.")
def cut(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * min(1, (steps - step) / max(1, steps // 5))


@rate_mistake("the rate never falls below a tenth of the peak",
              "As nanoGPT's min_lr; here the line goes on towards 0.")
def with_floor(step, steps, warmup, peak):
    rate = right.learning_rate(step, steps, warmup, peak)
    return max(rate, peak / 10) if step >= warmup else rate


@rate_mistake("the decay begins right after the warm-up",
              "In between the peak is kept.")
def at_once(step, steps, warmup, peak):
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (steps - step) / (steps - warmup)


def stepping(name, why, *, share=True, clipped="end", cleared=True,
             scaled_loss=True, steps="end", whole=False, cut=False):
    """A training step with what people get wrong as arguments."""
    def made(loss, optimizer, parameters, inputs, targets, micro_rows,
             largest):
        total, N = 0.0, len(inputs)
        micro_rows = N if whole else micro_rows
        for start in range(0, N - (N % micro_rows if cut and N > micro_rows
                                   else 0), micro_rows):
            x, y = (t[start:start + micro_rows] for t in (inputs, targets))
            weight = len(x) / N if share is True else (
                1 / math.ceil(N / micro_rows) if share == "equal" else 1.0)
            piece = loss(x, y)
            (piece * weight).backward()
            total += piece.item() * (weight if scaled_loss else 1)
            if clipped == "each":
                nn.utils.clip_grad_norm_(parameters, largest)
            if steps == "each":
                nn.utils.clip_grad_norm_(parameters, largest)
                optimizer.step()
                optimizer.zero_grad()
        if steps == "each":
            return total
        if clipped == "end":
            nn.utils.clip_grad_norm_(parameters, largest)
        optimizer.step()
        if cleared:
            optimizer.zero_grad()
        return total if scaled_loss != "last" else piece.item()
    mistake("training_step", name, why)(made)


stepping("the parts' losses are added, not averaged",
         "Each part's loss is a mean over its own rows: multiply it by its "
         "share of all rows before going backwards.", share=False)
stepping("every part counts the same, also a smaller last one",
         "The share of a part is its rows over all rows.", share="equal")
stepping("gradients are not clipped, or too late",
         "Clip them once, after all parts and before the step.",
         clipped="never")
stepping("gradients are clipped after each part",
         "What is clipped is the gradient of the whole batch.",
         clipped="each")
stepping("gradients are not cleared",
         "They would be added to those of the next step: zero_grad.",
         cleared=False)
stepping("a step is taken for each part",
         "The parts together are one batch: one step.", steps="each")
stepping("the loss is the last part's",
         "The mean over the whole batch is asked for.", scaled_loss="last")
stepping("the loss that comes back is a sum over the parts",
         "Their gradients are right; add up the shares of the loss too.",
         scaled_loss=False)
stepping("all rows go through at once",
         "At most micro_rows at a time, or memory does not suffice.",
         whole=True)
stepping("the rows of a last, smaller part are left out",
         "range(rows // micro_rows) forgets the rest.", cut=True)

"""Chapter 4: AdamW, clipping, the schedule, a step with accumulation."""

import torch
from torch import nn

from course_lib.exercises.step import Step, output_of
from course_lib.exercises.values import copied, normal, plain, same
from course_lib.model.config import GPTConfig
from course_lib.presets import Preset
from course_lib.training import schedule

CHAPTER = "04_training"


def adamw(weight, gradient, m, v, step, rate, decay=0.1):
    """PyTorch's, put into the state that is given."""
    p = nn.Parameter(weight.clone())
    p.grad = gradient.clone()
    optimizer = torch.optim.AdamW([p], rate, (0.9, 0.95), 1e-8, decay,
                                  foreach=False)
    optimizer.state[p] = dict(step=torch.tensor(float(step - 1)),
                              exp_avg=m.clone(), exp_avg_sq=v.clone())
    optimizer.step()
    state = optimizer.state[p]
    return p.detach(), state["exp_avg"], state["exp_avg_sq"]


def clip(gradients, largest):
    """PyTorch's: (the gradients, the norm before), on copies."""
    copies = [nn.Parameter(torch.zeros_like(g)) for g in gradients]
    for copy, gradient in zip(copies, gradients):
        copy.grad = gradient.clone()
    norm = nn.utils.clip_grad_norm_(copies, largest)
    return [copy.grad for copy in copies], norm


def clip_exactly(gradients, largest):
    """Without the millionth that PyTorch adds to the norm."""
    norm = torch.cat([g.flatten() for g in gradients]).norm()
    scale = min(1.0, largest / norm.item()) if norm > 0 else 1.0
    return [g * scale for g in gradients], norm


def learning_rate(step, steps, warmup, peak):
    """The rate of a step of `steps`, counted from 0."""
    shape = GPTConfig(1, 1, 1, 1, 1)
    return schedule.learning_rate(step, Preset(
        "", "", shape, steps, 1, peak, warmup, schedule="wsd"))


def training_step(loss, optimizer, parameters, inputs, targets, micro_rows,
                  largest, clip=nn.utils.clip_grad_norm_):
    """The mean loss of the batch in nats, a float, after one update."""
    total = 0.0
    for start in range(0, len(inputs), micro_rows):
        part = slice(start, start + micro_rows)
        piece = loss(inputs[part], targets[part]) * (
            len(inputs[part]) / len(inputs))
        piece.backward()
        total += piece.item()
    clip(parameters, largest)
    optimizer.step()
    optimizer.zero_grad()
    return total


def clip_in_place(parameters, largest):
    """`clip_exactly` on the gradients of parameters."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    for old, new in zip(gradients, clip_exactly(gradients, largest)[0]):
        old.copy_(new)


def training_step_exactly(*given, **named):
    """A training step without PyTorch's millionth."""
    return training_step(*given, clip=clip_in_place, **named)


def adamw_cases():
    """Weights of growing shape, at early and late steps; then gradients so
    small that epsilon shows."""
    zero = torch.zeros(1)
    yield dict(weight=torch.ones(1), gradient=torch.ones(1), m=zero, v=zero,
               step=1, rate=0.1, decay=0.0)
    yield dict(weight=torch.ones(1), gradient=torch.ones(1), m=zero, v=zero,
               step=1, rate=0.1, decay=0.1)
    for seed, (shape, step, rate, decay) in enumerate([
            ((2,), 1, 0.1, 0.1), ((2, 2), 2, 0.01, 0.0),
            ((2, 3), 7, 0.02, 0.1), ((3, 4), 1000, 0.3, 0.5)]):
        yield dict(weight=normal(seed, *shape),
                   gradient=normal(seed + 9, *shape),
                   m=normal(seed + 20, *shape) * (step > 1),
                   v=normal(seed + 30, *shape).square() * (step > 1),
                   step=step, rate=rate, decay=decay)
    yield dict(weight=torch.ones(2), gradient=torch.tensor([1e-8, 0.0]),
               m=torch.zeros(2), v=torch.zeros(2), step=1, rate=0.1,
               decay=0.1)  # epsilon shows


def clip_cases():
    """Norms below and above the largest, in one tensor and in several."""
    yield dict(gradients=[torch.tensor([3.0, 4.0])], largest=10.0)
    yield dict(gradients=[torch.tensor([3.0, 4.0])], largest=1.0)
    yield dict(gradients=[torch.tensor([3.0]), torch.tensor([4.0])],
               largest=1.0)
    yield dict(gradients=[torch.tensor([3.0]), torch.tensor([[-4.0]])],
               largest=4.5)
    for seed, largest in enumerate((0.5, 2.0, 100.0)):
        yield dict(gradients=[normal(seed, 2, 3), normal(seed + 5, 4)],
                   largest=largest)
    yield dict(gradients=[torch.zeros(2)], largest=1.0)


def rate_cases():
    """The steps at which the schedule changes, and their neighbours."""
    for steps, warmup, peak in ((10, 2, 1.0), (146, 10, 4e-3), (7, 0, 0.5),
                                (8, 2, 1.0), (100, 30, 3.0)):
        for step in sorted({0, 1, warmup - 1, warmup, steps // 2,
                            steps - steps // 5 - 1, steps - steps // 5,
                            steps - steps // 5 + 1, steps - 2, steps - 1}):
            if 0 <= step < steps:
                yield dict(step=step, steps=steps, warmup=warmup, peak=peak)


def step_cases():
    """Mean squares with rows of their own weight, so that a wrong share
    shows; then uneven parts, and norms on either side of the largest."""
    for rows, micro_rows, largest in ((1, 1, 1e9), (2, 2, 1e9), (2, 1, 1e9),
                                      (4, 2, 1e9), (3, 2, 1e9), (5, 2, 0.1),
                                      (4, 8, 0.1), (6, 1, 3.0)):
        yield dict(rows=rows, micro_rows=micro_rows, largest=largest)


class Recorder:
    """A plain optimizer, p -= lr grad, that notes what it is given."""

    def __init__(self, parameters):
        self.parameters, self.steps, self.gradients = parameters, 0, None
        self.param_groups = [dict(params=parameters, lr=0.5)]

    @torch.no_grad()
    def step(self):
        self.steps += 1
        self.gradients = [torch.zeros_like(p) if p.grad is None
                          else p.grad.clone() for p in self.parameters]
        for p, gradient in zip(self.parameters, self.gradients):
            p -= 0.5 * gradient

    def zero_grad(self, set_to_none=True):
        for p in self.parameters:
            p.grad = None


def see_step(candidate, case) -> dict:
    """Two steps: what loss came out, what was stepped with and how often,
    and how many rows went through at once."""
    rows, largest_part = case["rows"], []
    weights = [nn.Parameter(normal(1, 3)), nn.Parameter(normal(2, 1))]
    optimizer = Recorder(weights)

    def loss(inputs, targets):
        largest_part.append(len(inputs))
        guess = inputs @ weights[0][:, None] + weights[1]
        return (guess - targets).square().mean()

    seen = {}
    for number in (1, 2):
        inputs, targets = normal(rows + number, rows, 3), normal(
            rows + 9 * number, rows, 1)
        given = copied(dict(
            inputs=inputs, targets=targets, micro_rows=case["micro_rows"],
            largest=case["largest"]))
        value = candidate(loss=loss, optimizer=optimizer, parameters=[
            *weights], **given)
        seen |= {f"loss of step {number}": plain(value),
                 f"gradients of step {number}": plain(optimizer.gradients),
                 "steps taken": optimizer.steps,
                 f"weights after step {number}": plain(weights)}
        seen["batch changed"] = not (same(plain(inputs), plain(
            given["inputs"])) and same(plain(targets), plain(
                given["targets"])))
    seen["most rows at once"] = max(largest_part, default=0)
    seen["loss is a plain number"] = not (
        torch.is_tensor(value) and value.requires_grad)
    return seen


STEPS = [
    Step("adamw", CHAPTER, "What does one step look like?", adamw_cases,
         (adamw,), output_of, hints=(
             "m = 0.9 m + 0.1 g and v = 0.95 v + 0.05 g^2, then both are "
             "divided by 1 - beta^step: they began at zero.",
             "weight (1 - rate decay) - rate m' / (sqrt(v') + 1e-8), with m' "
             "and v' corrected; m and v are returned uncorrected.")),
    Step("clip", CHAPTER, "What makes a step safe?", clip_cases,
         (clip, clip_exactly), output_of, hints=(
             "One norm over all gradients as if they were one vector.",
             "Where it is at most `largest` nothing changes; else all are "
             "multiplied by largest / norm.")),
    Step("learning_rate", CHAPTER, "What makes a step safe?", rate_cases,
         (learning_rate,), hints=(
             "Three parts: step < warmup, the level, and the last "
             "round(steps / 5) steps, at least 1.",
             "On the way up peak (step + 1) / warmup; on the way down peak "
             "(steps - step) / last, never above the peak.")),
    Step("training_step", CHAPTER, "What makes a step safe?", step_cases,
         (training_step, training_step_exactly), see_step, hints=(
             "For each part: its loss, times its share of the rows, "
             "backwards. Gradients add up by themselves.",
             "After all parts: clip, step, zero_grad, once each. A last part "
             "with fewer rows has a smaller share.")),
]

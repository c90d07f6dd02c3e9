"""What is asked of the trainer, and what it answers (chapter 4)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from course_lib.measuring.evaluation import Evaluation
from course_lib.model.gpt import GPT
from course_lib.presets import Preset

EVALUATIONS = 20  # points on the validation curve, besides the first
VALIDATION_TOKENS = 32_768  # at most, for a point of the curve


@dataclass(frozen=True)
class Options:
    """What a call may ask of the trainer.

    `number_format` is bfloat16, float16 or float32, `micro_rows` the rows
    in one forward pass, and `compiles` says whether torch.compile is used:
    without, what the run has stored, and else what the device does best.
    `stop_at` ends the call after that step. A checkpoint is written every
    `save_seconds`: 120 without, and longer where saving takes over a
    hundredth of the time. The model is evaluated after the steps of
    `evaluate_at`, 20 evenly without, on about `curve_tokens`, which without
    take a hundredth of the time, and after the last step on `final_tokens`,
    all without; a run that `compares` its end with its beginning is so before
    the first step too. `heard(step, loss)` is told the loss each time, in
    every process.
    """

    device: str | None = None
    number_format: str | None = None
    micro_rows: int | None = None
    compiles: bool | None = None
    stop_at: int | None = None
    save_seconds: float | None = None
    evaluate_at: Iterable[int] | None = None
    curve_tokens: int | None = None
    final_tokens: int | None = None
    compares: bool = False
    tensorboard: bool = False
    progress: bool = True
    heard: Callable[[int, float], None] = lambda step, loss: None

    def __post_init__(self):
        if self.micro_rows is not None and self.micro_rows < 1:
            raise ValueError("micro_rows must be 1 or more, not "
                             f"{self.micro_rows}")
        if self.save_seconds is not None and not self.save_seconds >= 0:
            raise ValueError("save_seconds must be 0 or more, not "
                             f"{self.save_seconds}")

    def evaluations(self, steps: int) -> set[int]:
        """The steps of a run after which the model is evaluated."""
        at = self.evaluate_at
        if at is None:
            at = range(0, steps, max(1, steps // EVALUATIONS))
        return {steps, *at} | ({0} if self.compares else set())

    def tokens_after(self, step: int, preset: Preset) -> int | None:
        """Held-out tokens that it is then evaluated on; None is all."""
        if step == preset.steps or step == 0 and self.compares:
            return self.final_tokens
        return self.curve_tokens or curve_tokens(preset)


def curve_tokens(preset: Preset) -> int:
    """Held-out tokens for a point of the validation curve: a forward pass is
    a third of a step, so all points take a hundredth of the run at most,
    overheads included."""
    share = preset.tokens * 2 // (100 * (EVALUATIONS + 1))
    return max(1, min(VALIDATION_TOKENS, share))


@dataclass(frozen=True)
class Result:
    """What a training call ends with. `step` is short of the preset's
    steps when the run was told to stop early. Without a folder `log` has
    the records that would stand in its log.jsonl. `seconds` were spent in
    training steps."""

    model: GPT
    step: int
    evaluation: Evaluation | None
    seconds: float
    log: list[dict] = field(default_factory=list)

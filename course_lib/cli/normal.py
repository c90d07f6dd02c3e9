"""Is my loss normal? Said while a run trains, and at its end (chapter 4).
"""

import sys

from tqdm import tqdm

from course_lib.machine.progress import Heedless, say
from course_lib.measuring.bands import judge
from course_lib.run_folder import Run


def verdict(run: Run, step: int, loss: float) -> list[str]:
    """What `judge` says. No band was recorded of runs that begin with the
    weights of another."""
    return [] if run.begun_from else judge(run.preset, step, loss)


def before_and_after(run: Run, loss: float) -> str | None:
    """What became of the loss, in a run that began with the weights of
    another."""
    for record in run.log if run.begun_from else ():
        if record["step"] == 0 and record.get("val_loss") is not None:
            return (f"before {record['val_loss']:.4f}, after {loss:.4f} nats "
                    "per token")
    return None


class Listener:
    """Hears each validation loss of a run, and says on stderr, once for each
    kind, when it leaves the band of what others got."""

    def __init__(self, run: Run):
        self.run, self.said = run, set()

    def __call__(self, step: int, loss: float) -> None:
        if step == 0 and self.run.begun_from:
            say(f"before the first step: loss {loss:.4f} nats per token")
        lines = verdict(self.run, step, loss)
        kind = lines[0].split(":")[0] if lines else "normal"
        if step < self.run.preset.steps and kind not in {"normal", *self.said}:
            self.said.add(kind)
            tqdm.write("\n".join(lines), file=Heedless(sys.stderr))


def outcome(forecast: dict, loss: float) -> str:
    """What was predicted of a run, and how it ended."""
    low, high = forecast["low"], forecast["high"]
    where = "within" if low <= loss <= high else \
        "above" if loss > high else "below"
    return (f"predicted {forecast['loss']:.3f} ({forecast['level']:.0%}: "
            f"{low:.3f} to {high:.3f}), measured {loss:.3f}: {where} the "
            "interval")

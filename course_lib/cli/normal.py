"""Is my loss normal? Said while a run trains, and at its end (chapter 4).
"""

import sys
from functools import cache

from tqdm import tqdm

from course_lib.machine.progress import Heedless, say
from course_lib.measuring.bands import Band, find_band, judge
from course_lib.presets import PRESETS, Preset, load_preset
from course_lib.run_folder import Run
from course_lib.stages import ladder, loss_floor


def verdict(run: Run, step: int, loss: float) -> list[str]:
    """What `judge` says. Nobody knows what is normal of runs that begin with
    the weights of another, or read another kind of text."""
    band = None if run.begun_from else band_of(run)
    return judge(run.preset, step, loss, band) if band else []


def band_of(run: Run) -> Band | None:
    """What other seeds got, or else what a ladder's runs did, on the same
    kind of text."""
    preset, text = run.preset, run.record["corpus"]["name"]
    if preset.name not in PRESETS or _kind(text) != _kind(preset.corpus):
        return None
    return find_band(preset) or _ladder_band(preset)


@cache
def _ladder_band(preset: Preset) -> Band | None:
    """The scale's and recipe's, where as many tokens stand in the vocabulary
    and in a row."""
    from course_lib.scaling.bands import ladder_band
    model, of = preset.model, load_preset(preset.name).model
    if (model.vocab_size, model.context_length) != (
            of.vocab_size, of.context_length):
        return None
    try:
        rungs = ladder(preset)
    except FileNotFoundError:
        return None
    return ladder_band(preset, rungs, loss_floor(preset, rungs))


def _kind(corpus: str) -> str:
    return corpus.split(":")[0]


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

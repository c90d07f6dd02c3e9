"""Is my loss normal? What others got at the same place (chapter 4).

A band is what several seeds of one scale and recipe got at the same shares of
their runs, recorded in book/results/bands.json by benchmarks/bands.py, or
what a ladder's runs got (`course_lib.scaling.bands`). A loss outside it has a
reason, and the reasons are few.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from course_lib.machine.origin import ROOT

BANDS = ROOT / "book" / "results" / "bands.json"
LEVEL = 0.98  # of other seeds that a band is to hold
BEGINNING = 0.05  # share of a run before which seeds differ too much
CAUSES = {
    "rate": "the learning rate: try half and twice as much for a tenth of "
            "the run",
    "data": "the data: shuffled between documents, and not the same rows "
            "again and again? the text that the scale was made for?",
    "targets": "the targets: the ids of the row moved by one, not the row "
               "itself",
    "tokenizer": "another tokenizer's ids, in the training text or the "
                 "held-out one",
    "tokens": "too few tokens: more steps, or a smaller model"}


@dataclass(frozen=True)
class Band:
    """Validation losses (runs, points) in nats per token after the `shares`
    (points,) of their steps: of other seeds of a `preset`, as plain values,
    or of `whose` runs. `further` is a standard deviation that these do not
    show, as a share of the loss."""

    preset: dict
    shares: np.ndarray
    losses: np.ndarray
    whose: str = "seeds of the same scale and recipe"
    further: float = 0.0

    def seen(self, share: float) -> tuple[float, float]:
        """The lowest and the highest loss after this share of the run."""
        there = [np.interp(math.log(share), np.log(self.shares), run)
                 for run in np.log(self.losses)]
        return math.exp(min(there)), math.exp(max(there))

    def at(self, share: float) -> tuple[float, float]:
        """(low, high) that should hold LEVEL of such runs after this share
        of the run: Student's prediction interval in the logarithm of the
        loss, between the recorded points straight in log-log."""
        logs = np.log(self.losses)
        n = len(logs)
        wide = stats.t.ppf((1 + LEVEL) / 2, n - 1)
        x, where = np.log(self.shares), math.log(share)
        middle = np.interp(where, x, logs.mean(0))
        off = wide * math.hypot(math.sqrt(1 + 1 / n) * np.interp(
            where, x, logs.std(0, ddof=1)), self.further)
        return math.exp(middle - off), math.exp(middle + off)


def find_band(preset, path: Path = BANDS) -> Band | None:
    """The recorded band of a preset's scale and recipe, or None: also where
    the preset's model is another, as the dial's are."""
    if not path.is_file():
        return None
    mine = preset.to_dict()
    for record in json.loads(path.read_text(encoding="utf-8"))["bands"]:
        of = record["preset"]
        if all(of[part] == mine[part] for part in ("name", "recipe",
                                                   "model")):
            return Band(of, np.array(record["shares"]),
                        np.array(record["losses"]))
    return None


def judge(preset, step: int, loss: float,
          band: Band | None = None) -> list[str]:
    """What to say of a validation loss after so many steps of a run: a line
    that it is within, above or below what one more of the recorded runs
    should get there, and where it is not within, lines with the usual causes,
    the likeliest first. Nothing where no band was recorded or the run has
    hardly begun."""
    band = band or find_band(preset)
    share = step / preset.steps
    if band is None or share < BEGINNING:
        return []
    low, high = band.at(share)
    least, most = band.seen(share)
    got = (f"loss {loss:.3f} after {share:.0%} of the run; there "
           f"{len(band.losses)} {band.whose} got {least:.3f} to {most:.3f}, "
           f"and one more run should get {low:.3f} to {high:.3f}")
    if low <= loss <= high:
        return ["normal: " + got]
    if loss < low:
        return ["below: " + got, *_too_low(preset, band)]
    return ["above: " + got, *_too_high(preset, band, loss)]


def _changed(preset, band: Band) -> list[str]:
    """Settings that differ from the recorded runs', the first to look at."""
    mine, theirs = preset.to_dict(), dict(band.preset)
    mine |= mine.pop("model")
    theirs |= theirs.pop("model")
    return [f"  {name} is {value}, theirs was {theirs.get(name)}"
            for name, value in mine.items()
            if name not in ("name", "seed", "corpus")
            and value != theirs.get(name)]


def _too_high(preset, band: Band, loss: float) -> list[str]:
    V = preset.model.vocab_size
    chance, lines = math.log(V), _changed(preset, band)
    if loss > 1.05 * chance:
        return [*lines,
                f"  that is above ln {V} = {chance:.2f}, worse than a guess "
                "among all tokens: the model is sure of what is wrong",
                *(f"  {CAUSES[name]}" for name in (
                    "targets", "tokenizer", "data", "rate"))]
    if loss > 0.9 * chance:
        lines.append(f"  that is hardly below ln {V} = {chance:.2f}: the "
                     "model has learned nothing")
    return lines + [f"  {CAUSES[name]}" for name in (
        "rate", "data", "targets", "tokens")]


def _too_low(preset, band: Band) -> list[str]:
    return [
        *_changed(preset, band),
        "  easier text than the recorded runs', or validation text that is "
        "also in the training text",
        "  a position that sees its own target: the mask, or targets that "
        "are not moved by one"]

"""What a ladder says is normal, for runs of which no seeds were recorded
(chapter 4).

A rung's training loss, as a multiple of what the law says of its end, shows
how a run comes down and how far a run lies off the law. Multiplied with what
the law says of another run, that is a band for it.
"""

import math

import numpy as np

from course_lib.measuring.bands import BEGINNING, Band
from course_lib.model.cost import count_parameters
from course_lib.presets import Preset
from course_lib.scaling.fits import fit
from course_lib.scaling.forecasting import forecast
from course_lib.scaling.rungs import Ladder

POINTS = 20


def ladder_band(preset: Preset, ladder: Ladder, floor: float = 0.0) -> Band:
    """The band of a preset's run, by a ladder of the same text and recipe;
    `floor` as `forecasting.forecast` takes it."""
    N = count_parameters(preset.model).total
    says = forecast(ladder, N, preset.tokens, floor)
    rungs = ladder[ladder.rate == 1]
    expected = fit(*ladder.runs, floor=floor).law.loss(rungs.N, rungs.D)
    shares = np.linspace(BEGINNING, 1, POINTS)
    losses = [says.loss / end * np.append(
        np.interp(shares[:-1] * D, *curve.T), loss)
        for curve, end, D, loss in zip(
            rungs.curves, expected, rungs.D, rungs.loss, strict=True)]
    return Band(preset.to_dict(), shares, np.array(losses),
                "smaller runs, scaled by the law to this size,",
                math.hypot(says.parts["fit"], says.parts["extrapolation"])
                / says.loss)

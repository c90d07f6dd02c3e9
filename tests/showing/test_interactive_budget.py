"""The figure with dollars must compute what `budget.plan` computes."""

import re

import numpy as np
import pytest
import vl_convert

from course_lib.scaling import budget
from course_lib.scaling.fits import published_fit
from course_lib.showing.interactive_budget import band, dollars_chart, refits

NUMBER = r"([\d.]+)([MB]?)"


def texts(spec: dict) -> list[str]:
    picture = vl_convert.vegalite_to_svg(spec)
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture)


def numbers(line: str) -> list[float]:
    return [float(value) * {"": 1, "M": 1e6, "B": 1e9}[unit]
            for value, unit in re.findall(NUMBER, line)]


@pytest.mark.parametrize("dollars, gpu, mfu", [
    (50, "V100", 40), (1, "T4", 5), (500, "H200", 70), (7, "RTX 4090", 33)])
def test_lines_are_those_of_the_package(dollars, gpu, mfu):
    lines = texts(dollars_chart(dollars, gpu, mfu).to_dict())
    plan = budget.plan(dollars, gpu, mfu / 100)
    assert (f"${dollars}: {plan.hours:,.1f} hours of a {gpu} at "
            f"${plan.gpu.dollars_per_hour:.2f}") in lines
    assert f"{plan.flop:.2e} FLOPs at {mfu}% of its peak" in lines
    for word, name in (("parameters (", "N"), ("tokens (", "D"),
                       ("loss ", "loss")):
        [line] = [line for line in lines if word in line
                  and "predicted" not in line]
        precision = dict(abs=6e-4) if name == "loss" else dict(rel=6e-3)
        assert numbers(line) == pytest.approx(
            [getattr(plan, name), *plan.intervals[name]], **precision), name


def test_band_is_that_of_the_resamples():
    fits = published_fit()
    chart = band().mark_text().encode(text="row:N").transform_calculate(
        row="format(datum.n, '.6e') + ' ' + format(datum.low, '.6f') + ' ' "
            "+ format(datum.high, '.6f')")
    spec = chart.to_dict() | dict(
        params=dollars_chart().to_dict()["params"], datasets=refits(fits))
    drawn = [np.array(text.split(), float) for text in texts(spec)
             if "e+" in text]
    n, low, high = np.transpose(drawn)
    C = budget.plan(50, "V100", 0.4).flop
    assert len(n) == 33
    expected = fits.loss(n, C / (6 * n))
    assert low == pytest.approx(expected[0], abs=1e-4)
    assert high == pytest.approx(expected[1], abs=1e-4)


def test_values_that_no_slider_reaches_are_refused():
    with pytest.raises(ValueError, match="no GPU 'K80'"):
        dollars_chart(gpu="K80")
    with pytest.raises(ValueError, match="dollars must be whole and from 1"):
        dollars_chart(dollars=0)
    with pytest.raises(ValueError, match="mfu.*from 5 to 70, not 0.4"):
        dollars_chart(mfu=0.4)

"""The bill with controls must compute what the package computes."""

import re

import pytest
import vl_convert

from course_lib.machine.gpus import GPUS
from course_lib.scaling.budget import dollars
from course_lib.showing.interactive_bill import bill_chart

V100 = GPUS["V100"]
FLOP, REAL, LONGER, REACHED = 1.4e18, 0.25, 1.1, 0.16
PAID = dollars(FLOP, "V100", REACHED)
RECIPES = {"gpt2": 1.0, "modern": 0.4}


def sums(chart) -> list[float]:
    picture = vl_convert.vegalite_to_svg(chart.to_dict())
    found = re.findall(r"<text[^>]*>\$([\d.]+\.\d\d)</text>", picture)
    return sorted(map(float, found), reverse=True)


@pytest.mark.parametrize("mfu, gpu, price, recipe", [
    (40, "A100", 100, "gpt2"), (5, "T4", 20, "modern"),
    (70, "H100", 200, "gpt2")])
def test_each_sum_is_the_package_s(mfu, gpu, price, recipe):
    shown = sums(bill_chart(PAID, REAL, LONGER, REACHED, RECIPES, mfu, gpu,
                            price, recipe))
    work = FLOP * REAL * LONGER
    last = dollars(work, gpu, mfu / 100) * price / 100 * RECIPES[recipe]
    wanted = [PAID, PAID * REAL, dollars(work, "V100", REACHED),
              dollars(work, "V100", mfu / 100),
              dollars(work, gpu, mfu / 100) * price / 100, last]
    assert shown == pytest.approx(sorted(wanted, reverse=True), abs=0.006)


@pytest.mark.parametrize("change, said", [
    (dict(mfu=4), "mfu must be whole and from 5 to 70, not 4"),
    (dict(price=0), "price must be whole"), (dict(gpu="K80"), "no GPU 'K80'"),
    (dict(recipe="none"), "is none of gpt2, modern")])
def test_what_no_control_reaches_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        bill_chart(PAID, REAL, LONGER, REACHED, RECIPES, **change)

"""The figure with sliders must compute what the package computes."""

import re

import pytest
import vl_convert

from course_lib.model.config import GPTConfig
from course_lib.model.cost import count_parameters, flops_per_token
from course_lib.presets import load_preset
from course_lib.showing.interactive import shape_chart, show_chart

SHAPES = [load_preset("full").model, load_preset("laptop").model,
          GPTConfig(8_192, 2_048, n_layer=48, n_head=25, n_embd=25 * 64)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: f"C={s.n_embd}")
def test_totals_are_those_of_the_package(shape):
    picture = vl_convert.vegalite_to_svg(shape_chart(shape).to_dict())
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture)
    N, flop = count_parameters(shape).total, flops_per_token(shape)
    assert f"{N:,} parameters, {shape.n_embd} channels" in texts
    assert f"{flop / 1e6:,.1f} MFLOP to train on one token" in texts


def test_refuses_a_shape_that_no_slider_reaches():
    with pytest.raises(ValueError, match="vocabulary = 777"):
        shape_chart(GPTConfig(777, 64, 2, 2, 128))


def test_what_is_shown_needs_no_network(monkeypatch):
    shown = []
    monkeypatch.setattr("course_lib.showing.interactive.display",
                        lambda data, raw: shown.append(data))
    show_chart(shape_chart(SHAPES[0]), "A chart of <shapes> & sizes.")
    [data] = shown
    assert "A chart of &lt;shapes&gt; &amp; sizes." in data["text/html"]
    markup = re.sub(r"(<script)>.*</script>", r"\1>", data["text/html"],
                    flags=re.S)
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", markup)
    assert "51,237,888" in data["text/html"]  # the still, without a script
    assert data["image/png"][:4] == b"\x89PNG"

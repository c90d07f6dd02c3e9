"""The page on which the models of this book speak.

`{talk}` becomes what `sharing.talk` makes of the run that the build has
trained and of every model that stands in book/models/. Their weights go beside
the pages, one script each, loaded when a reader asks; the run also gets the
page that `course export RUN --page` writes.
"""

import html
import os
import re
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from course_lib import stages
from course_lib.model.cost import count_parameters
from course_lib.presets import load_preset
from course_lib.runs import Run
from course_lib.sharing.hugging_face import load_hf
from course_lib.sharing.own_page import as_html, note, write_page
from course_lib.sharing.talk import Speaker, engine, model_script, talk
from course_lib.showing.live import ADDRESS

MODELS = Path(__file__).resolve().parents[1] / "models"
OWN, OWN_PAGE = "stories", "own.html"


@cache
def own_run() -> Run:
    """The run that the build made, at a scale that any machine trains."""
    preset = load_preset()
    return stages.trained(load_preset("laptop") if preset.name == "full"
                          else preset)


@cache
def scripts() -> dict[str, str]:
    """The weights of every model, by the name of its script."""
    run = own_run()
    found = {OWN: model_script(OWN, run.model(), run.tokenizer)}
    for folder in shipped():
        model, tokenizer = load_hf(folder)
        found[folder.name] = model_script(folder.name, model, tokenizer)
    return found


def shipped() -> list[Path]:
    """The models that come with the book, in Hugging Face's format."""
    return sorted(path.parent for path in MODELS.glob("*/config.json"))


def speakers() -> list[Speaker]:
    """Everyone who speaks on the page, the build's own run first."""
    run = own_run()
    found = [_speaker(OWN, "Stories: the run of this build", note(run),
                      run.model(), run.tokenizer)]
    for folder in shipped():
        model, tokenizer = load_hf(folder)
        count = count_parameters(model.config).total
        found.append(_speaker(
            folder.name, f"{folder.name.capitalize()}: the model that comes "
            "with the book", f"{count:,} parameters; its card stands below.",
            model.float(), tokenizer))  # 16 bits are few to compute in
    return found


def _speaker(name, title, note, model, tokenizer) -> Speaker:
    size = len(scripts()[name]) / 1e6
    return Speaker(name=name, title=title, note=note, model=model,
                   tokenizer=tokenizer, size=f"{size:.1f} MB",
                   source=f"../models/{name}.js")


def cards() -> str:
    """The cards of the shipped models, folded."""
    found = ""
    for folder in shipped():
        card = folder / "README.md"
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        title = re.search(r"^# (.*)", text, re.M)
        found += (f"<details><summary>{html.escape(folder.name.capitalize())}"
                  f": {html.escape(title[1]) if title else 'its card'}"
                  f'</summary><div class="model-card">{as_html(text)}</div>'
                  "</details>")
    return found


class Talk(SphinxDirective):
    """`{talk}`, which has neither arguments nor content."""

    def run(self):
        self.env.note_reread()  # it shows what stands elsewhere
        link = (f'<p><a href="../models/{OWN_PAGE}">The same run as a page of '
                "its own</a>, one file that can be sent to anyone.</p>")
        return [nodes.raw("", engine() + talk(speakers()) + link + cards(),
                          format="html")]


def place_models(app, error):
    """Put the weights, and the page of the run, beside the pages."""
    if error or app.builder.name != "html":
        return
    folder = Path(app.outdir, "models")
    folder.mkdir(exist_ok=True)
    for name, text in scripts().items():
        (folder / f"{name}.js").write_text(text)
    write_page(own_run(), folder / OWN_PAGE, "The stories of this build")


def name_address(app, config):
    """Tell the chapters, which the build is about to run, where their
    figures will find the weights."""
    os.environ[ADDRESS] = f"../models/{OWN}.js"


def setup(app):
    """Register the directive and the hooks."""
    app.connect("config-inited", name_address)
    app.add_directive("talk", Talk)
    app.connect("build-finished", place_models)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

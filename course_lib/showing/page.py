"""What chapters use to show things: source, the opening card, tokens."""

import html
import inspect
import json
import re
import warnings
from pathlib import Path
from textwrap import dedent, fill

from IPython.display import HTML, Markdown, display

from course_lib.machine.origin import ROOT
from course_lib.model.cost import flops_per_token
from course_lib.presets import load_preset
from course_lib.scaling.budget import GPU_MFU, dollars, hours
from course_lib.sharing.browser_format import script

RESULTS = ROOT / "book" / "results"


def print_text(text: str) -> None:
    """Print prose in lines of at most 72 characters, its own line breaks
    kept."""
    for paragraph in text.split("\n"):
        print(fill(paragraph, 72))


def styled(markup: str) -> HTML:
    """Markup for a cell to display, with the style that it needs: outside
    the book nothing else brings one, and each output may stand alone."""
    style = Path(__file__).with_name("show.css").read_text(encoding="utf-8")
    return HTML(f"<style>{style}{script('surprisal.css')}</style>{markup}")


def show_table(rows: list[dict]) -> None:
    """Show rows, each from headings to texts, as a table. Markdown within a
    text works, HTML does not."""
    head = list(rows[0])
    display(Markdown(markdown_table(head, [
        [re.sub(r"[|<]", r"\\\g<0>", str(row[name])) for name in head]
        for row in rows])))


def markdown_table(head: list[str], rows: list[list[str]]) -> str:
    """Numbers to the right, but the first column and prose to the left."""
    prose = [any(len(re.findall(r"[A-Za-z]{2,}", cell)) > 2 for cell in column)
             for column in zip(*rows)]
    sides = [":--" if words else "--:" for words in [True, *prose[1:]]]
    return "\n".join(f"| {' | '.join(line)} |"
                     for line in [head, sides, *rows])


def show_source(obj) -> None:
    """Show an object's source as it stands in the package, a method moved
    to the left."""
    source = dedent(inspect.getsource(obj)).rstrip()
    display(Markdown(f"```python\n{source}\n```"))


def show_script(name: str) -> None:
    """Show a function or a method of the GPT in JavaScript, with the comment
    before it. Raises ValueError for a name that it has not."""
    lines = script("gpt.js").split("\n")
    begins = re.compile(rf"( *)(?:function )?{name}\(.*\{{$")
    start = next((at for at, line in enumerate(lines)
                  if begins.match(line)), None)
    if start is None:
        raise ValueError(f"the GPT in JavaScript has no {name}")
    end = lines.index(begins.match(lines[start])[1] + "}", start)
    while lines[start - 1].strip() and not lines[start - 1].endswith("}"):
        start -= 1
    source = dedent("\n".join(lines[start:end + 1]))
    display(Markdown(f"```js\n{source}\n```"))


def results(name: str) -> Path:
    """The path of a recorded result. Raises FileNotFoundError, naming what
    there is, when nothing of that name was recorded."""
    path = RESULTS / name
    if not path.is_file():
        known = ", ".join(sorted(p.name for p in RESULTS.glob("*.*")))
        raise FileNotFoundError(f"no recorded result {name}; there are: "
                                f"{known or 'none'}")
    return path


def load_result(name: str) -> dict:
    """A recorded JSON result."""
    return json.loads(results(name).read_text(encoding="utf-8"))


def card(chapter: str, *, needs: str, gives: str,
         trains: bool = False, full_run: bool = False) -> None:
    """The opening card of a chapter: what you need, how long it takes, what
    you will have. Minutes come from the recorded timings. `trains` says that
    the chapter trains the preset's model where no other has; `full_run` adds
    what the full model's training is projected to take on a GPU."""
    # A progress bar, once imported, would ask for a library of widgets.
    warnings.filterwarnings("ignore", message="IProgress not found")
    rows = {"You need": needs, "It takes": _minutes(chapter, trains)}
    if full_run:
        rows["At full size"] = _full_run()
    rows["You will have"] = gives
    display(styled(
        '<div class="opening-card"><dl>'
        + "".join(f"<dt>{name}</dt><dd>{html.escape(text)}</dd>"
                  for name, text in rows.items())
        + "</dl></div>"))


def _minutes(chapter: str, trains: bool) -> str:
    try:
        recorded = load_result("timings.json")
        length = about(recorded["chapters"][chapter])
    except (FileNotFoundError, KeyError):
        return "not yet measured"
    once = (f"; once {about(recorded['training'])} more, to train the model"
            if trains else "")
    threads = recorded["provenance"]["threads"]
    return f"{length} on {threads} CPU cores at laptop scale{once}"


def about(seconds: float) -> str:
    """A length of time as one says it."""
    if seconds < 90:
        return f"about {max(5, round(seconds / 5) * 5)} seconds"
    if seconds < 5400:
        return f"about {round(seconds / 60)} minutes"
    return f"about {round(seconds / 3600)} hours"


def full_flop() -> float:
    """FLOP of the full preset's training."""
    full = load_preset("full")
    return flops_per_token(full.model) * full.tokens


def _full_run(gpu: str = "A100", mfu: float = GPU_MFU) -> str:
    flop = full_flop()
    return (f"{60 * hours(flop, gpu, mfu):.0f} minutes and "
            f"${dollars(flop, gpu, mfu):.2f} on one {gpu}, projected at an "
            f"assumed MFU of {mfu:.0%}")


def colored_tokens(tokenizer, ids) -> HTML:
    """Token ids as text, one coloured box a token (no colour has a meaning;
    a box ends where a token ends)."""
    spans = []
    for place, token in enumerate(ids):
        text = tokenizer.token_bytes(token).decode("utf-8", "replace")
        text = html.escape(text or "<|endoftext|>")
        text = text.replace(" ", "\u00b7").replace("\n", "\u21b5<br>")
        text = text.replace("\t", "\u21e5")
        spans.append(f'<span class="tok tok{place % 8}" title="{token}">'
                     f"{text}</span>")
    return styled(f'<p class="tokens">{"".join(spans)}</p>')

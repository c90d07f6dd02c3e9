"""A page of one's own: a trained run, or a folder in Hugging Face's format, as
one HTML file in which the model speaks (chapter 5).

It opens with a double click, asks no server for anything, and carries the
model's card.
"""

import html
import os
import re
from pathlib import Path

from markdown_it import MarkdownIt

from course_lib.model.cost import count_parameters
from course_lib.runs import Run
from course_lib.sharing.browser_format import browser_model, script
from course_lib.sharing.hugging_face import load_hf
from course_lib.sharing.model_card import corpus_name, facts
from course_lib.sharing.talk import Speaker, engine, inline, talk

NAME = "page.html"
ELEMENT = "gpt-file"  # where the page keeps the model


def write_page(source, path, title: str | None = None,
               licence: str | None = None) -> Path:
    """Write the page of a run, or of a folder in Hugging Face's format, to a
    file, and return its path. Raises ValueError before a run has finished.
    """
    path = Path(path)
    folder = source.folder if isinstance(source, Run) else Path(source)
    text = page(source, title or f"A GPT called {folder.resolve().name}",
                licence)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
    return path


def page(source, title: str, licence: str | None = None) -> str:
    """The page as text."""
    if isinstance(source, Run):
        card, said = facts(source, licence), note(source)  # may refuse
        model, tokenizer = source.model(), source.tokenizer
    else:
        model, tokenizer = load_hf(source)
        model = model.float()  # 16 bits are few to compute in
        stored = Path(source, "README.md")
        card = stored.read_text(encoding="utf-8") if stored.is_file() \
            else "No card stands beside it."
        said = f"{count_parameters(model.config).total:,} parameters."
    card, file = as_html(card), inline(browser_model(model, tokenizer))
    speaker = Speaker(
        name="own", title="The model", note=said, model=model,
        tokenizer=tokenizer, size="which stands in this page",
        element=ELEMENT)
    return f"""<!DOCTYPE html>
<html lang="en" data-theme="light">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title>
<link rel="icon" href="data:,">
<style>{script("page.css")}</style>
<script>{script("page.js")}</script>
{engine()}
</head>
<body>
<main>
<h1>{html.escape(title)}</h1>
<p>It runs in this page, in your browser, and nothing that you type leaves
your machine. It continues text: it does not answer questions, and what sounds
like a fact is a likely sequence of words.</p>
{talk([speaker])}
<section class="card">
<h2>About this model</h2>
{card}
</section>
</main>
<script type="application/json" id="{ELEMENT}">{file}</script>
</body>
</html>
"""


def note(run: Run) -> str:
    """A run in one line: parameters, text, bits per byte."""
    count = count_parameters(run.preset.model).total
    corpus = corpus_name(run.record["corpus"]["name"]).replace("`", "")
    return (f"{count:,} parameters, trained on {corpus}; "
            f"{run.log[-1]['val_bits_per_byte']:.2f} bits per byte of text "
            "that it never saw.")


def as_html(card: str) -> str:
    """A card's Markdown without the Hub's fields, its title and its code, as
    HTML; headings one level lower, as they stand in a section."""
    text = re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.S)
    text = re.sub(r"^# .*\n", "", text, count=1, flags=re.M)
    text = re.sub(r"^```.*?^```\n", "", text, flags=re.M | re.S)
    text = re.sub(r"^#", "##", text, flags=re.M)
    # a table whose head is empty has none: its first column names its rows
    made = MarkdownIt(options_update=dict(html=False)).enable(
        "table").render(text)  # a card may come from anywhere
    made = re.sub(r"<thead>\s*<tr>(\s*<th></th>)*\s*</tr>\s*</thead>", "",
                  made)
    return re.sub(r"<tr>\s*<td>(.*?)</td>",
                  r'<tr><th scope="row">\1</th>', made)

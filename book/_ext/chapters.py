"""What a page says of itself in other places: its number, how long it takes
to read, and a line of what is in it."""

import html
import math
import re

from computed import LINES, WORDS, cards
from docutils import nodes
from sphinx.environment.collectors.toctree import TocTreeCollector
from sphinx.transforms.post_transforms import SphinxPostTransform

FOLDS = {"cell_code_source": {"hide-cell", "hide-input"},
         "cell_code_output": {"hide-cell", "hide-output"}}  # by these tags
CODE = re.compile("python|ipython3|js")


def number_of(page: str) -> int | None:
    """The number in a chapter's file name; None for other pages."""
    found = re.fullmatch(r"notebooks/(\d+)_\w+", page)
    return int(found[1]) if found else None


def number_chapters(app, env) -> list[str]:
    """Chapters have the number of their file, from zero on, which Sphinx's
    own numbering cannot; figures and equations count within a chapter."""
    for page in env.tocs:
        number = number_of(page)
        if number is None:
            continue
        title, *sections = env.tocs[page].findall(nodes.reference)
        title["secnumber"] = env.titles[page]["secnumber"] = [number]
        env.toc_secnumbers[page] = {
            title["anchorname"]: (number,),
            **{section["anchorname"]: () for section in sections}}
    return TocTreeCollector.assign_figure_numbers(None, env)


def note_page(app, document):
    """Note what a page says of itself, while it is read."""
    page = app.env.docname
    noted = app.env.metadata[page]
    noted["summary"] = summary(page, document)
    if page.startswith("notebooks/"):
        noted["reading"] = reading_minutes(document)


def summary(page: str, document) -> str:
    """A line: what a chapter's card promises, or a page's first sentence."""
    card = cards().get(page.split("/")[-1])
    if card:
        return f"You will have {card['gives']}."
    first = next((part for section in document.findall(nodes.section)
                  for part in section
                  if isinstance(part, nodes.paragraph)), None)
    text = " ".join(first.astext().split()) if first else ""
    return re.split(r"(?<=[.?!:]) (?=[A-Z])", text)[0].removesuffix(":")


def reading_minutes(document) -> int:
    """Minutes to read a page: its prose, and the code that stands open, be it
    a cell's or shown by one."""
    words = lines = 0
    for section in document.children:
        for part in section.findall(is_read):
            if isinstance(part, nodes.literal_block):
                lines += len([line for line in part.astext().splitlines()
                              if line.strip()])
            else:
                words += len(part.astext().split())
    return math.ceil(words / WORDS + lines / LINES)


def is_read(node) -> bool:
    """Whether a node is prose or code that a reader comes past."""
    if isinstance(node, nodes.literal_block):
        if not CODE.fullmatch(node.get("language", "")):
            return False
    elif not isinstance(node, nodes.paragraph | nodes.caption):
        return False
    while node := node.parent:
        if node.get("nb_element") in FOLDS:
            tags = node.parent["cell_metadata"].get("tags", [])
            return not FOLDS[node["nb_element"]] & set(tags)
    return True


def reading(minutes: int) -> str:
    """Minutes as one says them: of many, the last are not known."""
    return f"{minutes if minutes < 10 else round(minutes, -1)} minutes"


class ReadingTime(nodes.General, nodes.Inline, nodes.TextElement):
    """Where the reading time of a chapter is to stand; `page` names it."""


def reading_role(name, rawtext, text, lineno, inliner, options=None,
                 content=None):
    """`{reading}` and a page: how long it takes to read it."""
    return [ReadingTime(page=text)], []


class SayReadingTimes(SphinxPostTransform):
    """Fill in reading times, and put a chapter's below its title."""

    default_priority = 5

    def run(self, **kwargs):
        noted = self.env.metadata
        for place in list(self.document.findall(ReadingTime)):
            place.replace_self(nodes.Text(
                reading(noted[place["page"]]["reading"])))
        minutes = noted[self.env.docname].get("reading")
        if minutes and self.app.builder.name == "html":
            line = f"Reading time: about {reading(minutes)}."
            self.document[0].insert(1, nodes.paragraph(
                "", line, classes=["reading-time"]))


def say_what_follows(app, pagename, templatename, context, doctree):
    """Give the links at the end of a page a line on where they lead."""
    related = getattr(app.builder, "relations", {}).get(pagename)
    for way, page in zip(("prev", "next"), related[1:] if related else ()):
        if page and context.get(way):
            line = html.escape(app.env.metadata[page].get("summary", ""))
            context[f"{way}_title"] = (
                f'{context[way]["title"]}'
                f'<span class="prev-next-summary">{line}</span>')


def write_again(app, env) -> list[str]:
    """The front page says how long chapters take, whichever has changed."""
    return [env.config.root_doc]


def setup(app):
    """Register the hooks; numbers come after Sphinx's own."""
    app.add_node(ReadingTime)
    app.add_role("reading", reading_role)
    app.add_post_transform(SayReadingTimes)
    app.connect("doctree-read", note_page)
    app.connect("env-get-updated", number_chapters, priority=900)
    app.connect("env-get-updated", write_again)
    app.connect("html-page-context", say_what_follows)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

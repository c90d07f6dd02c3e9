"""The book as an EPUB: pages that are XML, formulas as MathML, and pictures or
a sentence in place of what needs a script. `make epub`; nothing here touches
another builder's pages."""

import re
from pathlib import Path
from posixpath import normpath

from bs4 import BeautifulSoup
from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.transforms.post_transforms import SphinxPostTransform

SHOW_CSS = Path(__file__).parents[2] / "course_lib" / "showing" / "show.css"
ALIVE = re.compile(r'class="(gpt|tricks)\b')
# Found in what cells display, and useless or forbidden in a book.
DROPPED = ("script", "style", "noscript", "form", "input", "button")
# The site's pages that are not in the book: its index, and plain HTML.
NOT_IN_IT = re.compile(r"^(?!\w+:)[^#]*(genindex\.xhtml|\.html)(#|$)")
SIZES = re.compile(r"\\[bB]igg?[lmr]?(?![a-z])")  # MathML stretches brackets


class Still(SphinxPostTransform):
    """Of a figure that lives by a script, keep the sentence that says what it
    shows."""

    default_priority = 3  # before MyST-NB chooses what to show, at 4
    builders = ("epub",)

    def run(self, **kwargs):
        for bundle in list(self.document.findall(nodes.container)):
            if bundle.get("nb_element") != "mime_bundle":
                continue
            for kind in list(bundle):
                if (kind["mime_type"] == "text/html"
                        and ALIVE.search(kind.astext())):
                    bundle.remove(kind)


class Formulas(SphinxPostTransform):
    """MathML in the page, by docutils' own converter."""

    default_priority = 900
    builders = ("epub",)

    def run(self, **kwargs):
        for node in list(self.document.findall(nodes.math)):
            node.replace_self(mathml(node))
        for node in list(self.document.findall(nodes.math_block)):
            number = self.number_of(node)
            node.replace_self(nodes.container(
                "", mathml(node, as_block=True),
                *([nodes.paragraph("", f"({number})")] if number else []),
                ids=node["ids"], classes=["math"]))

    def number_of(self, node) -> str:
        numbers = self.env.toc_fignumbers.get(node.get("docname"), {})
        found = [numbers["displaymath"].get(name) for name in node["ids"]
                 if "displaymath" in numbers]
        return ".".join(map(str, found[0])) if found and found[0] else ""


def mathml(node, as_block=False) -> nodes.raw:
    tex = SIZES.sub("", node.astext().strip())
    return nodes.raw("", tex2mathml(tex, as_block=as_block), format="html")


def make_xml(app, pagename, templatename, context, doctree):
    """Rewrite a page's text so that it is XML, without what may not be."""
    if app.builder.name != "epub" or "body" not in context:
        return
    page = BeautifulSoup(context["body"], "html.parser")
    for part in page.find_all(DROPPED):
        part.decompose()
    for fold in page.find_all("details"):
        fold.summary.decompose()
        fold.name = "div"
    for link in page.find_all("a", href=NOT_IN_IT):
        link.unwrap()
    context["body"] = str(page)


def prepare(app):
    """Cells bring the style of what they display; here it is one file. And
    the front page lies in a folder, from which links lead up again."""
    if app.builder.name != "epub":
        return
    app.config.html_static_path.append(str(SHOW_CSS))
    app.add_css_file(SHOW_CSS.name)
    add = app.builder.toc_add_files

    def add_files(pages):
        for page in pages:
            page["refuri"] = normpath(page["refuri"])
        add(pages)
    app.builder.toc_add_files = add_files


def pack_again(app, error):
    """Once more, with files that extensions add at the end, and a word in
    the list of contents on which pages hold formulas."""
    if error or app.builder.name != "epub":
        return
    app.builder.build_content()
    app.builder.files.append("nav.xhtml")
    listed = Path(app.outdir, "content.opf")
    listed.write_text(re.sub(
        r'<item id="[^"]+" href="([^"]+)"',
        lambda item: item[0] + (' properties="mathml"' if "<math" in Path(
            app.outdir, item[1]).read_text(errors="ignore") else ""),
        listed.read_text()))
    app.builder.build_epub()


def setup(app):
    """Register the hooks."""
    app.add_post_transform(Still)
    app.add_post_transform(Formulas)
    app.connect("builder-inited", prepare)
    app.connect("html-page-context", make_xml, priority=950)
    app.connect("build-finished", pack_again, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

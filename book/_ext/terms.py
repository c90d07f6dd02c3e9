"""What `_static/terms.js` shows beside a term: the glossary's own entries.

Of the extensions that do this, sphinx-tippy loads its library from another
host, and tells every link of a page what it leads to. Here a term is told, as
plain text, in one file for all pages, which is read from a disk as well.
"""

import json
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

SCRIPT = "entries.js"


def entries(document) -> dict[str, str]:
    """Every term that a page explains: its anchor and what is said of it."""
    found = {}
    for glossary in document.findall(addnodes.glossary):
        for item in glossary.findall(nodes.definition_list_item):
            *terms, definition = item
            text = " ".join(definition.astext().split())
            # Formulas in a glossary are simple enough to be read as they are.
            text = text.replace("\\", "")
            found |= {term["ids"][0]: text for term in terms if term["ids"]}
    return found


def write_entries(app, pagename, templatename, context, doctree):
    """Beside the pages, when the page with the glossary is written."""
    found = entries(doctree) if doctree else {}
    if found and app.builder.name == "html":
        text = f"window.TERMS = {json.dumps(found, ensure_ascii=False)};\n"
        Path(app.outdir, "_static", SCRIPT).write_text(text, encoding="utf-8")


def setup(app):
    """Register the hook; the script is loaded by every page."""
    app.add_js_file(SCRIPT)
    app.connect("html-page-context", write_entries)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""What the book's pages need and neither Jupyter Book nor its theme gives."""

from importlib.metadata import files
from pathlib import Path

from sphinx.util.fileutil import copy_asset

BOOK = Path(__file__).resolve().parent.parent
# Jupyter Book loads a live-code library that this book does not use, and
# that would fetch parts of itself from another host.
UNUSED_SCRIPTS = ("thebe", "sphinx-thebe")
MENDED = {
    # docutils puts a role that ARIA has dropped into a list that wants items.
    'role="doc-biblioentry"': 'role="listitem"',
    ' aria-label="Toggle hidden content"': "",
    '<th class="head"></th>': "<td></td>"}


def launch_from_where(app, config):
    """No launch buttons while the repository has no address."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)


def name_files(app, config):
    """Where the search's ranking and the mended parts of the theme are."""
    config.html_search_scorer = str(BOOK / "search.js")
    config.templates_path.insert(0, str(BOOK / "_templates"))


def copy_mathjax(app, error):
    """Put the one MathJax bundle and its fonts beside the pages."""
    if error or app.builder.name not in ("html", "singlehtml"):
        return
    source = next(
        Path(f.locate()) for f in files("sphinx-mathjax-offline")
        if f.name == "tex-chtml-full.js"
    ).parent
    target = Path(app.outdir, "_static", "mathjax")
    copy_asset(source / "tex-chtml-full.js", target)
    fonts = Path("output", "chtml", "fonts", "woff-v2")
    copy_asset(source / fonts, target / fonts)


def drop_drawn_icons(app, error):
    """Icons come from a font; the theme would have each page load them all a
    second time, as 1.5 MB of drawings in a script."""
    script = Path(app.outdir, "_static", "scripts", "fontawesome.js")
    if script.exists():
        script.write_text("// Icons come from the style sheet's font.\n")


def mend_page(app, pagename, templatename, context, doctree):
    """Leave out scripts of unused features; mend what a screen reader would
    stumble over: a role, names that hide what is shown, headings of nothing.
    """
    context["script_files"] = [
        script for script in context.get("script_files", [])
        if not any(name in str(script) for name in UNUSED_SCRIPTS)
    ]
    for fault, mended in MENDED.items():
        context["body"] = context.get("body", "").replace(fault, mended)


def setup(app):
    """Register the hooks; late, so that the scripts are already listed."""
    app.connect("config-inited", launch_from_where)
    app.connect("config-inited", name_files)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", drop_drawn_icons)
    app.connect("html-page-context", mend_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""What the book's pages need and neither Jupyter Book nor its theme gives."""

from importlib.metadata import files
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.fileutil import copy_asset

# Jupyter Book loads a live-code library that this book does not use, and
# that would fetch parts of itself from another host.
UNUSED_SCRIPTS = ("thebe", "sphinx-thebe")


class FoldAnswers(SphinxPostTransform):
    """After a question to predict, what the next cells put out is folded:
    whoever reads on sees the code, guesses, and opens it. Figures with
    controls stay open, since nothing shows in them before they are moved."""

    default_priority = 198  # MyST-NB folds what is marked, at 199
    formats = ("html",)

    def run(self, **kwargs):
        for box in self.document.findall(nodes.admonition):
            if box[0].astext() != "Predict":
                continue
            for cell in box.parent[box.parent.index(box) + 1:]:
                if cell.get("nb_element") != "cell_code":
                    break
                if not any(f'class="{kind}' in cell.astext()
                           for kind in ("interactive", "gpt ")):
                    cell.attributes.update(
                        hide_mode="output", prompt_show="Show the answer",
                        prompt_hide="Hide the answer")


def launch_from_where(app, config):
    """No launch buttons while the repository has no address."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)


def copy_mathjax(app, error):
    """Put the one MathJax bundle and its fonts beside the pages."""
    if error or app.builder.format != "html":
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
    """Leave out scripts of unused features; give citations a valid role."""
    context["script_files"] = [
        script for script in context.get("script_files", [])
        if not any(name in str(script) for name in UNUSED_SCRIPTS)
    ]
    # docutils puts a role that ARIA has dropped into a list that wants items.
    context["body"] = context.get("body", "").replace(
        'role="doc-biblioentry"', 'role="listitem"')


def setup(app):
    """Register the hooks; late, so that the scripts are already listed."""
    app.add_post_transform(FoldAnswers)
    app.connect("config-inited", launch_from_where)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", drop_drawn_icons)
    app.connect("html-page-context", mend_page, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

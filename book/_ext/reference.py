"""Pages of reference from docstrings: what a module holds, and an index.

In a page's source

    ```{modules} model presets
    ```

becomes the documentation of these rooms' modules, and of modules that stand
alone; `*` stands for what no other page names, so that a new room is never
left out. `{public-objects}` becomes a table of all of them.
"""

import importlib
import inspect
import pkgutil
import re
from functools import cache
from pathlib import Path

import course_lib

FENCE = re.compile(r"^```\{(modules|public-objects)\} ?(.*)\n```$", re.M)
# Seen from outside: modules that hold nothing to import, and what readers
# are to write or may get wrong.
COMMANDS = ("__main__", "worker", "empty")
MISTAKES = "course_lib.exercises.mistakes."


@cache
def modules() -> list[str]:
    """The package's modules, such as `text.corpus`, by the alphabet."""
    return [m.name.removeprefix("course_lib.") for m in pkgutil.walk_packages(
        course_lib.__path__, "course_lib.")
        if not m.ispkg and m.name.split(".")[-1] not in COMMANDS
        and not m.name.startswith(MISTAKES)]


def in_rooms(names: list[str]) -> list[str]:
    """The modules of these rooms, and those that are named themselves."""
    return [module for name in names for module in modules()
            if module == name or module.startswith(f"{name}.")]


def members(module: str) -> dict[str, object]:
    """Public functions and classes that a module defines and describes."""
    name = f"course_lib.{module}"
    found = vars(importlib.import_module(name))
    return {key: found[key] for key in found.get("__all__", found)
            if not key.startswith("_") and inspect.getdoc(found[key])
            and getattr(found[key], "__module__", None) == name}


def expand(app, docname: str, source: list[str]):
    """Write out the two fences in a page's source."""
    def text(match):
        if match[1] == "public-objects":
            return "\n".join(map(_summary, modules()))
        named = match[2].split()
        found = (_left_over(Path(app.srcdir)) if named == ["*"]
                 else in_rooms(named))
        return "\n".join(map(_module, found))
    if FENCE.search(source[0]):
        app.env.note_reread()  # what it shows changes without it
    source[0] = FENCE.sub(text, source[0])


def _left_over(root: Path) -> list[str]:
    pages = "\n".join(p.read_text() for p in root.glob("book/api/*.md"))
    named = " ".join(m[2] for m in FENCE.finditer(pages)).split()
    return [name for name in modules() if name not in in_rooms(named)]


def _rst(*lines: str) -> str:
    return "\n".join(["", "```{eval-rst}", *lines, "```", ""])


def _module(name: str) -> str:
    return f"\n## {name}\n" + _rst(
        f".. automodule:: course_lib.{name}", "   :members:",
        "   :member-order: bysource")


def _summary(name: str) -> str:
    if not members(name):
        return ""
    module = importlib.import_module(f"course_lib.{name}")
    said = " ".join(inspect.getdoc(module).split("\n\n")[0].split())
    return f"\n## {name}\n\n{said}\n" + _rst(
        f".. currentmodule:: course_lib.{name}", "",
        ".. autosummary::", "   :nosignatures:", "",
        *(f"   {key}" for key in members(name)))


def as_rst(app, what, name, obj, options, lines: list[str]):
    """Docstrings are plain paragraphs with names between backquotes, and
    blocks that are indented: make the former code, or links where the name
    is the package's, and show the latter as they stand."""
    module = next((m for m in modules()
                   if f"{name}.".startswith(f"course_lib.{m}.")), "")
    own = _parameters(obj)
    paragraphs = "\n".join(lines).split("\n\n")
    for place, text in enumerate(paragraphs):
        if text.startswith(" "):
            if place and not paragraphs[place - 1].startswith((" ", "::")):
                paragraphs[place] = "::\n\n" + text
        elif not text.startswith(">>>"):
            paragraphs[place] = "".join(
                f"\\ {_code(part, module, own)}\\ " if odd % 2
                else re.sub(r"([*|]|_(?!\w))", r"\\\1", part)
                for odd, part in enumerate(text.split("`")))
    lines[:] = "\n\n".join(paragraphs).split("\n")


def _parameters(obj) -> set[str]:
    try:
        return set(inspect.signature(obj).parameters)
    except (TypeError, ValueError):
        return set()


def _code(written: str, module: str, own: set[str]) -> str:
    *before, name = written.split(".")
    homes = [module] if not before else [
        m for m in modules() if before[-1] in m.split(".")]
    for home in homes:
        if home and written not in own and name in members(home):
            return f":py:obj:`{written} <course_lib.{home}.{name}>`"
    return f"``{' '.join(written.split())}``"


def setup(app):
    """Register the hooks."""
    app.connect("source-read", expand)
    app.connect("autodoc-process-docstring", as_rst)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

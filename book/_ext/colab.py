"""The cell that makes a chapter run in Colab, and the address it needs.

`repository: url:` in _config.yml is the one place where the address of the
published repository stands. With it every chapter gets a launch button and,
as its first cell, what fetches and installs the course on a machine that has
neither. Without it there is no button and no such cell.

    python book/_ext/colab.py      brings all chapters up to date; `make pairs`
"""

import re
from pathlib import Path

import jupytext
import yaml
from jupytext.config import load_jupytext_config
from nbformat.v4 import new_code_cell

REPO = Path(__file__).resolve().parent.parent.parent
TAGS = ["colab", "remove-cell"]
CELL = '''# On a machine without the course, such as Colab's: fetch, install.
import importlib.util
import os
import subprocess
import sys

ADDRESS, BRANCH = "{address}", "{branch}"
if importlib.util.find_spec("course_lib") is None:
    if not os.path.isdir("course"):
        subprocess.run(["git", "clone", "-q", "--depth", "1",
                        "--branch", BRANCH, ADDRESS, "course"],
                       check=True)
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    subprocess.run([*pip, "./course[notebooks]"], check=True)
if os.path.isdir("course/course_lib"):  # after a restart, too
    os.chdir("course")'''


def repository() -> tuple[str, str]:
    """(address, branch) of the repository; the address is empty while there
    is none. Raises ValueError for one that Colab could not open."""
    config = yaml.safe_load((REPO / "_config.yml").read_text())["repository"]
    return checked(config["url"] or ""), config["branch"]


def checked(url: str) -> str:
    """The address, if it is empty or a repository on GitHub."""
    if url and not re.fullmatch(
            r"https://github\.com/[\w.-]+/[\w.-]+(?<!\.git)", url):
        raise ValueError(f"{url} is not of the form "
                         "https://github.com/OWNER/NAME")
    return url


def with_first_cell(notebook, url: str, branch: str = "main"):
    """The notebook with the cell for this address, without one for none."""
    notebook.cells = [cell for cell in notebook.cells
                      if "colab" not in cell.metadata.get("tags", [])]
    if url:
        notebook.cells.insert(0, new_code_cell(
            CELL.format(address=url, branch=branch), metadata={"tags": TAGS}))
    return notebook


def main():
    """Rewrite each script; `make pairs` takes its notebook from it."""
    for script in sorted(REPO.glob("notebooks/[0-9n]*.py")):
        before = script.read_text()
        notebook = with_first_cell(jupytext.read(script), *repository())
        after = jupytext.writes(notebook, fmt="py:percent",
                                config=load_jupytext_config(str(script)))
        if after != before:
            script.write_text(after)
            print(script.name)


if __name__ == "__main__":
    main()

"""The strict build at the smallest scale. In a session in which nbmake runs
the chapters, the build takes what they put out from there, so that each runs
once; without nbmake it runs them itself."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from jupyter_cache import get_cache
from nbmake.nb_run import NotebookRun

from course_lib.machine.files import write_json

REPO = Path(__file__).resolve().parent.parent
EXECUTED = REPO / "_build" / "executed"


def environment() -> dict[str, str]:
    """What the build and its chapters run in."""
    found = os.environ | {"COURSE_SCALE": "smoke", "TQDM_DISABLE": "1"}
    # A backend from outside would keep figures out of the pages.
    found.pop("MPLBACKEND", None)
    return found


def git_status() -> str:
    return subprocess.run(["git", "status", "--porcelain"], cwd=REPO,
                          capture_output=True, text=True).stdout


class Kept(NotebookRun):
    """A chapter that nbmake runs, and that leaves no trace in git; kept if
    it ran as the build would run it."""

    def execute(self):
        before = git_status()
        done = super().execute()
        assert git_status() == before, "the chapter left a trace"
        if not done.error and os.environ == environment():
            for cell in done.nb.cells:
                # nbmake's times; the cache compares a cell with its metadata
                cell.metadata.pop("execution", None)
            EXECUTED.mkdir(parents=True, exist_ok=True)
            write_json(EXECUTED / self.filename.name, done.nb)
        return done


def hand_over(out: Path) -> list[str]:
    """Fill the build's cache with what was kept; the options to read it."""
    # where the build looks for it
    cache = get_cache(out / "_build" / ".jupyter_cache")
    for chapter in EXECUTED.glob("*.ipynb"):
        cache.cache_notebook_file(chapter)
    config = yaml.safe_load((REPO / "_config.yml").read_text())
    config["execute"]["execute_notebooks"] = "cache"
    local = config["sphinx"]["local_extensions"]  # relative to this file
    config["sphinx"]["local_extensions"] = {
        name: str(REPO / place) for name, place in local.items()}
    (out / "_config.yml").write_text(yaml.safe_dump(config))
    return ["--config", str(out / "_config.yml")]


def build_book(out, *options) -> subprocess.CompletedProcess:
    """Run the strict build into a folder to its end."""
    book = Path(sys.executable).parent / "jupyter-book"
    return subprocess.run(
        [str(book), "build", str(REPO), "--path-output", str(out),
         *options, "-W", "-n", "--keep-going"],
        env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

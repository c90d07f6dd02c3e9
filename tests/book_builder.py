"""The strict build at the smallest scale, which two test files need."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent


def build_book(out, *options) -> subprocess.CompletedProcess:
    """Run the strict build into a folder to its end; without options every
    page is made anew."""
    environment = {**os.environ, "COURSE_SCALE": "smoke",
                   "TQDM_DISABLE": "1"}
    # A backend from outside would keep figures out of the pages.
    environment.pop("MPLBACKEND", None)
    book = Path(sys.executable).parent / "jupyter-book"
    return subprocess.run(
        [str(book), "build", str(REPO), "--path-output", str(out),
         *(options or ["--all"]), "-W", "-n", "--keep-going"],
        env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

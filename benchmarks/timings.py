"""Time every chapter from a fresh kernel; the opening cards show the result.

The model that several chapters need is trained first, from nothing, and timed
by itself. Only downloads are taken from the usual home. Writes
book/results/timings.json: seconds, with provenance.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.stages import home, trained

REPO = Path(__file__).resolve().parent.parent
OUT = REPO / "book" / "results" / "timings.json"


def seconds(notebook: Path) -> float:
    """Wall time of one chapter, its kernel's start included."""
    cells = nbformat.read(notebook, as_version=4)
    start = time.perf_counter()
    NotebookClient(cells, timeout=3600, kernel_name="python3", resources={
        "metadata": {"path": notebook.parent}}).execute()
    return round(time.perf_counter() - start, 1)


def main():
    """Time training and all chapters, in one home that starts empty."""
    downloads = home() / "downloads"
    chapters = {}
    with tempfile.TemporaryDirectory() as fresh:
        if downloads.is_dir():
            shutil.copytree(downloads, Path(fresh, "downloads"))
        os.environ["COURSE_HOME"] = fresh
        os.environ.setdefault("COURSE_SCALE", "laptop")
        start = time.perf_counter()
        trained(load_preset())
        training = round(time.perf_counter() - start, 1)
        for notebook in sorted(REPO.glob("notebooks/[0-9]*.ipynb")):
            chapters[notebook.stem] = seconds(notebook)
            print(f"{notebook.stem}: {chapters[notebook.stem]} s", flush=True)
    write_json(OUT, dict(
        what="seconds to train the model, then to run each chapter",
        scale=os.environ["COURSE_SCALE"], training=training,
        chapters=chapters, provenance=provenance("cpu")))


if __name__ == "__main__":
    main()

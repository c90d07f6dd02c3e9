"""What fine-tuning gains: the book's own model, trained on with stories that
it has never seen, beside the same shape from random weights.

    python benchmarks/fine_tuning.py [--tokens 64K]

Types the lines of book/running.md, in a folder that is removed, and writes
book/results/fine_tuning.json: bits per byte of held-out stories, before and
after each run.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from course_lib.cli.arguments import number
from course_lib.machine.files import write_json
from course_lib.machine.origin import ROOT, provenance
from course_lib.runs import open_run
from course_lib.showing.page import RESULTS

MODEL = "book/models/books"
PREPARE = ("course prepare --corpus stories:300 --preset evening --recipe "
           f"modern --tokenizer {MODEL} --batch 256 --tokens {{tokens}} "
           "--learning-rate {rate} --out {out}")
# a tenth of what the weights were trained with, and the scale's own
WAYS = {"fine-tuned": (0.0005, f"--from {MODEL}"),
        "from random weights": (0.003, "")}


def course(line: str, *, folder: str, out: str) -> None:
    """Run a line of `course` as it would be typed in the repository, with
    `out` in `folder`."""
    words = shlex.split(line.replace(out, str(Path(folder, out))))
    subprocess.run([sys.executable, "-m", "course_lib", *words[1:]],
                   cwd=ROOT, check=True)


def measure(name: str, folder: str, tokens: int) -> dict:
    """The lines of one way, and held-out bits per byte before and after."""
    rate, begin = WAYS[name]
    out = "runs/" + name.replace(" ", "-")
    lines = [PREPARE.format(tokens=tokens, rate=rate, out=out),
             f"course train {out} {begin}".strip()]
    for line in lines:
        course(line, folder=folder, out=out)
    run = open_run(Path(folder, out))
    measured = [r["val_bits_per_byte"] for r in run.log if "val_loss" in r]
    return dict(name=name, commands=lines, before=measured[0],
                after=measured[-1], number_format=run.number_format,
                files=run.record["files"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=number, default=64_000,
                        help="to train on, each time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(name, folder, options.tokens) for name in WAYS]
    write_json(RESULTS / "fine_tuning.json", dict(
        provenance=provenance("cpu", rows[0]["number_format"]),
        tokens=options.tokens, rows=rows))
    for row in rows:
        print(f"{row['name']}: {row['before']:.3f} -> {row['after']:.3f}")

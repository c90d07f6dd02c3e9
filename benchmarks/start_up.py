"""How long a command takes to begin.

    python benchmarks/start_up.py RUN [--times 11]

Seconds from the call of `course --help` to its end, and from that of `course
sample RUN` to the first token that it writes: the median and quartiles of
several, after one that warms the system's file cache. Writes
book/results/start_up.json.
"""

import argparse
import statistics
import subprocess
import sys
import time

from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.runs import open_run
from course_lib.showing.page import RESULTS


def until(words: list[str], first: bool) -> float:
    """Seconds until the command has ended, or written its `first` letter."""
    begun = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "course_lib", *words],
                          stdout=subprocess.PIPE) as process:
        if first:
            assert process.stdout.read(1)
            taken = time.perf_counter() - begun
        process.stdout.read()
    assert process.returncode == 0
    return taken if first else time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", help="a trained run")
    parser.add_argument("--times", type=int, default=11)
    options = parser.parse_args()
    # without a prompt the first letter is the model's
    commands = {"course --help": (["--help"], False),
                "course sample": (["sample", options.run, "--stream",
                                   "--prompt", "", "--tokens", "20"], True)}
    rows = []
    for name, (words, first) in commands.items():
        taken = [until(words, first) for _ in range(options.times + 1)][1:]
        quarter, middle, three_quarters = statistics.quantiles(taken, n=4)
        rows.append(dict(command=name, seconds=middle, times=options.times,
                         quartiles=[quarter, three_quarters]))
        print(rows[-1], flush=True)
    write_json(RESULTS / "start_up.json", dict(
        provenance=provenance("cpu"),
        preset=open_run(options.run).preset.name, rows=rows))


if __name__ == "__main__":
    main()

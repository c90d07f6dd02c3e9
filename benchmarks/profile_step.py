"""Where does the time of a training step go, on this machine's processor?

    python benchmarks/profile_step.py [--scales laptop evening full]

A step as `course train` takes it, by torch's profiler; the median of several
profiles of each part. A product's speed stands beside the fastest that the
processor has shown in a large square one. Writes book/results/profile.json.
"""

import argparse
from dataclasses import asdict

from course_lib.machine.device import matmul_peak
from course_lib.machine.files import write_json
from course_lib.machine.origin import provenance
from course_lib.presets import load_preset
from course_lib.recipes import find_recipe
from course_lib.showing.page import RESULTS
from course_lib.training.processor import number_format
from course_lib.training.profiling import profile_step


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scales", nargs="+",
                        default=["laptop", "evening", "full"])
    parser.add_argument("--recipe", default="gpt2")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rows = []
    for scale in options.scales:
        preset = find_recipe(options.recipe).at(load_preset(scale))
        compiles = scale != "laptop"  # whose run is too short to win it back
        kind = number_format("cpu", preset.model)
        parts = {part: asdict(spent) for part, spent in profile_step(
            preset, "cpu", kind, compiles, options.rounds).items()}
        rows.append(dict(scale=scale, recipe=options.recipe, compiled=compiles,
                         number_format=kind, parts=parts,
                         peak=matmul_peak("cpu", kind, 2)))
        print(scale, kind, *(f"{part}: {spent['seconds']:.3f} s"
                             for part, spent in parts.items()), sep="\n  ")
    write_json(RESULTS / "profile.json", dict(
        provenance=provenance("cpu", " and ".join(
            sorted({row["number_format"] for row in rows}))), rows=rows))


if __name__ == "__main__":
    main()

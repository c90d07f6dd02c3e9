"""The child process of `processor`: it may die of what it tries.

    python -m course_lib.training.trial '{}'
"""

import json
import sys
import time

from course_lib.presets import PRESETS, Preset
from course_lib.training.start import measure_speed

TURNS = 2  # of each side, in alternation; the better one counts
BEHIND = 4  # times slower: a format that is imitated, not worth more trials


def try_formats() -> None:
    """Tokens per second in float32 and in bfloat16, at two scales. What is
    safe is said before what may end the process."""
    imitated = False
    for scale in ("laptop", "evening"):
        found = {}
        for name in ("float32", "bfloat16") * TURNS:
            if imitated and name == "bfloat16":
                continue  # a single step may take half a minute
            speed = measure_speed(PRESETS[scale], "cpu", 0.8, name)
            found[name] = max(speed, found.get(name, 0))
            imitated |= found[name] * BEHIND < found["float32"]
            print(json.dumps({scale: found}), flush=True)


def try_compiling(preset: Preset, number_format: str) -> None:
    """A preset's step as it is and compiled, and how long compiling takes."""
    eager = measure_speed(preset, "cpu", 2, number_format)
    print(json.dumps(dict(eager=eager)), flush=True)
    began = time.monotonic()
    compiled = measure_speed(preset, "cpu", 2, number_format, compiles=True)
    seconds = time.monotonic() - began
    eager = max(eager, measure_speed(preset, "cpu", 2, number_format))
    print(json.dumps(dict(eager=eager, compiled=compiled, seconds=seconds)),
          flush=True)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    if asked:
        try_compiling(Preset.from_dict(asked["preset"]),
                      asked["number_format"])
    else:
        try_formats()

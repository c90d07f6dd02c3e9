"""What a run found out once and decides its bits: the number format, how
many rows go through the model at once, whether that is compiled (chapter 4).
"""

import json
from pathlib import Path

from course_lib.machine.device import PRECISIONS
from course_lib.machine.distributed import World
from course_lib.machine.files import write_json
from course_lib.presets import Preset
from course_lib.training import processor

FILE = "settings.json"
NAMES = ("number_format", "micro_rows", "compiles")


def read_settings(folder: Path) -> dict:
    """`number_format`, `micro_rows` and, but in older runs, `compiles`;
    nothing where none are stored, or what is stored makes no sense."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        kept = {name: found[name] for name in NAMES if name in found}
        rows, number_format = kept["micro_rows"], kept["number_format"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    if type(rows) is not int or rows < 1 or number_format not in PRECISIONS \
            or type(kept.get("compiles", False)) is not bool:
        return {}
    return kept


def write_settings(folder: Path, settings: dict) -> None:
    """Keep them for the next time."""
    write_json(folder / FILE, settings)


def choose_format(wanted: str | None, preset: Preset, device: str,
                  world: World) -> str:
    """The number format `wanted`, or without one what the device does best;
    the same in all processes. Raises ValueError where it ends a process."""
    chosen = wanted or processor.number_format(device, preset.model)
    if world.any(chosen == "bfloat16"):
        chosen = "bfloat16"
    if device == "cpu":
        processor.check_format(chosen)
    return chosen


def choose_compiling(wanted: bool | None, preset: Preset, device: str,
                     world: World, number_format: str) -> bool:
    """Whether to compile, as `wanted`, or without a wish on every GPU, and
    on a CPU where it pays."""
    if wanted is not None:
        return wanted
    if device != "cpu":
        return device == "cuda"
    return world.size == 1 and processor.compile_pays(preset, number_format)


def changed(before: dict, now: dict) -> list[str]:
    """What is not as it was in the run so far, in words."""
    words = dict(number_format=now["number_format"], compiles="compiled"
                 if now["compiles"] else "not compiled")
    return [word for name, word in words.items()
            if before.get(name, now[name]) != now[name]]

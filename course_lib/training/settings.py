"""What a run found out once and decides its bits: the number format, how
many rows go through the model at once, whether that is compiled (chapter 4);
and on what, in how many processes.
"""

from dataclasses import replace
from pathlib import Path

from course_lib.machine.device import PRECISIONS
from course_lib.machine.distributed import World
from course_lib.machine.files import read_object, write_json
from course_lib.presets import Preset
from course_lib.text.token_files import Tokens
from course_lib.training import checkpoint, processor
from course_lib.training.schedule import learning_rate

FILE = "settings.json"
OLDEST = ("number_format", "micro_rows")  # what all runs have stored
KNOWN = {
    "number_format": lambda value: value in PRECISIONS,
    "micro_rows": lambda value: type(value) is int and value > 0,
    "compiles": lambda value: type(value) is bool,
    "device": lambda value: value in ("cpu", "mps", "cuda"),
    "processes": lambda value: type(value) is int and value > 0}


def read(folder: Path) -> dict:
    """`number_format`, `micro_rows` and, but in older runs, `compiles`,
    `device` and `processes`; where the file is gone or makes no sense, those
    that the newest checkpoint was made with. Nothing in a new run."""
    found = [_sensible(_object(folder / FILE))]
    for path in reversed(checkpoint.checkpoints(folder / "checkpoints")):
        found.append(_sensible(_object(path / "state.json").get("settings")))
    return next(filter(None, found), {})


def fingerprint(preset: Preset, data: Tokens, validation: Tokens) -> dict:
    """What a checkpoint can only go on with."""
    return dict(
        tokenizer=data.header["tokenizer"], tokens=data.tokens,
        preset=preset.to_dict(),
        **{name: tokens.header["sha256"] for name, tokens in (
            ("data", data), ("validation", validation))
           if "sha256" in tokens.header})


def goes_on(before: dict, now: dict, step: int) -> bool:
    """Whether a run with the fingerprint `now` can take up the checkpoint
    `before`, made after `step` steps: they are the same, but for a length
    that those steps did not depend on."""
    return before == now or (
        {**before, "preset": now["preset"]} == now and same_so_far(
            Preset.from_dict(before["preset"]),
            Preset.from_dict(now["preset"]), step))


def same_so_far(one: Preset, other: Preset, step: int) -> bool:
    """Whether two presets differ in `tokens` at most, and train the first
    `step` steps alike: by `wsd`, until the rate of one of them falls."""
    return replace(one, tokens=other.tokens) == other and all(
        learning_rate(n, one) == learning_rate(n, other)
        for n in range(step))


def _object(path: Path) -> dict:
    try:
        return read_object(path)
    except (FileNotFoundError, ValueError):
        return {}


def _sensible(found) -> dict:
    """Settings, or nothing where one is missing or impossible."""
    if not isinstance(found, dict) or not all(n in found for n in OLDEST):
        return {}
    kept = {name: found[name] for name in KNOWN if name in found}
    return kept if all(KNOWN[name](kept[name]) for name in kept) else {}


def write(folder: Path, settings: dict) -> None:
    """Keep them for the next time."""
    if _object(folder / FILE) != settings:
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
    words = dict(micro_rows=f"{now['micro_rows']} rows at once",
                 number_format=now["number_format"], compiles="compiled"
                 if now["compiles"] else "not compiled",
                 device=f"on {now['device']}",
                 processes=f"in {now['processes']} processes")
    return [word for name, word in words.items()
            if before.get(name, now[name]) != now[name]]

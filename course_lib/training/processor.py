"""What a processor does best, found out by trying it (chapter 4).

Some processors have instructions for bfloat16, others only imitate it, and
some virtual machines name instructions that end the process. So a child
process tries, once per machine, and what came out is kept in a file.
"""

import json
import math
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import torch

from course_lib.machine.device import device_name, instructions, precision
from course_lib.machine.files import write_json
from course_lib.machine.progress import warn
from course_lib.model.config import GPTConfig
from course_lib.model.cost import flops_per_token
from course_lib.presets import PRESETS, Preset

NARROW, WIDE = 128, 256  # channels: float32 untried below; laptop's, evening's
FASTER = 1.05  # times as fast as float32 that another format has to be
LONG = 600  # seconds of training from which a trial of compiling is repaid
TRIAL = "course_lib.training.trial"
SHORT = 3e13  # FLOP that any processor does in less


def number_format(device: str, config: GPTConfig) -> str:
    """What to train in: on a CPU bfloat16 where it works and a training step
    at the nearest scale is faster with it, else float32."""
    if device != "cpu":
        return precision(device)
    if config.n_embd < NARROW:  # too little work to be worth a trial
        return "float32"
    found = speeds().get("laptop" if config.n_embd < WIDE else "evening", {})
    faster = found.get("bfloat16", 0) > FASTER * found.get("float32", 0)
    return "bfloat16" if faster else "float32"


def check_format(wanted: str) -> None:
    """Raises ValueError for a number format that ends a process here."""
    if wanted == "bfloat16" and "died" in speeds():
        raise ValueError(
            f"bfloat16 does not work on this processor: a process that tried "
            f"it ended with {speeds()['died']}; --precision float32 goes on "
            "in float32")


def usable(wanted: str | None, device: str) -> str | None:
    """A run's number format, for measuring it; float32, with a line that
    says so, where that format ends a process."""
    try:
        if device == "cpu":
            check_format(wanted)
        return wanted
    except ValueError:
        warn(f"in float32, as {wanted} does not work here")
        return "float32"


def speeds(refresh: bool = False) -> dict:
    """Tokens per second of a training step at two scales: {"laptop":
    {"float32": ..., "bfloat16": ...}, "evening": ...}; without bfloat16 at
    `evening` where `laptop` showed that it is imitated. Where the trial of
    it ended its process, "died" says how."""
    return _found("number formats", {}, refresh)


def compile_pays(preset: Preset, number_format: str) -> bool:
    """Whether to compile a run on this processor: it takes longer than LONG,
    and a trial of its own step says that the time is won back."""
    work = preset.tokens * flops_per_token(preset.model)
    speed = work > SHORT and speeds().get("evening", {}).get(number_format)
    if not speed:
        return False
    seconds = work / (speed * flops_per_token(PRESETS["evening"].model))
    if seconds < LONG:
        return False
    found = compiling(preset, number_format)
    return "compiled" in found and found["seconds"] < seconds * (
        1 - found["eager"] / found["compiled"])


def compiling(preset: Preset, number_format: str,
              refresh: bool = False) -> dict:
    """Tokens per second of a preset's step `eager` and `compiled`, and the
    `seconds` that compiling takes; "died" says why it cannot be."""
    asked = dict(preset=preset.to_dict(), number_format=number_format)
    name = json.dumps([asked["preset"]["model"], preset.optimizer,
                       number_format], sort_keys=True)
    return _found(f"compiling {zlib.crc32(name.encode()):08x}", asked,
                  refresh)


def cache_file() -> Path:
    """Where what was found is kept: under $XDG_CACHE_HOME, or ~/.cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root, "course_lib", "processor.json")


def _found(name: str, asked: dict, refresh: bool) -> dict:
    """The result of a trial, from the file or by trying. It holds for one
    processor, as it is used, and one version of PyTorch."""
    path = cache_file()
    key = ", ".join([device_name("cpu"), *instructions(), name,
                     f"{torch.get_num_threads()} threads",
                     f"torch {torch.__version__}"])
    known = _all_found(path).get(key)
    if known and _sensible(known) and not refresh:
        return known
    found = _in_a_child(asked)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # read again: another process may have added to it
        write_json(path, {**_all_found(path), key: found})
    except OSError:
        pass  # nowhere to keep it: tried anew next time
    return found


def _all_found(path: Path) -> dict:
    """What the file holds; nothing where it is damaged or not there."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return value if isinstance(value, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _sensible(found) -> bool:
    """Whether it is what a trial prints: numbers by name, or for each scale;
    and maybe how it died."""
    if not isinstance(found, dict) or "compiled" in found \
            and not {"eager", "seconds"} <= found.keys():
        return False
    return all(_sensible(value) if name in PRESETS
               else isinstance(value, str) if name == "died"
               else type(value) in (int, float) and 0 < value < math.inf
               for name, value in found.items())


def _in_a_child(asked: dict) -> dict:
    """What a trial prints, a line of JSON for each result, and "died" where
    it did not live to the end."""
    child = subprocess.run(
        [sys.executable, "-m", TRIAL, json.dumps(asked)],
        capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())})
    found = {}
    for line in child.stdout.splitlines():
        found.update(json.loads(line))
    if child.returncode < 0:
        found["died"] = signal.Signals(-child.returncode).name
    elif child.returncode:
        said = child.stderr.strip().splitlines() or ["no reason given"]
        found["died"] = said[-1][:200]
    return found

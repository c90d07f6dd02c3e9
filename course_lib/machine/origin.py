"""Where a recorded result comes from: machine, versions, commit, command."""

import datetime
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import torch

from course_lib.machine.device import device_name, instructions, precision

ROOT = Path(__file__).resolve().parents[2]  # of the project


def provenance(device: str, number_format: str | None = None) -> dict:
    """Where a result comes from: device, number format (the device's own
    without), versions, commit, command, date.

    The commit is marked -dirty if other files than recorded results differ
    from it: a campaign changes those as it goes.
    """
    try:
        commit = _git("describe", "--always")
        if _git("status", "--porcelain", "--untracked-files=no",
                "--", ":!book/results"):
            commit += "-dirty"
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"  # no git, or no repository
    cpu = dict(instructions=instructions()) if device == "cpu" else {}
    return dict(
        device=device_name(device), **cpu, threads=torch.get_num_threads(),
        precision=number_format or precision(device), torch=torch.__version__,
        python=platform.python_version(), commit=commit,
        command=_command(),
        date=datetime.date.today().isoformat())


def _command() -> str:
    """What was typed, as it can be typed again in the repository's root;
    paths of this machine that lie elsewhere keep their name only."""
    def short(word):
        path = Path(word)
        if not path.is_absolute():
            return word
        near = path.is_relative_to(ROOT.parent)
        return os.path.relpath(path, ROOT) if near else path.name

    script = Path(sys.argv[0]).resolve()
    words = [short(word) for word in sys.argv[1:]]
    if script.parent == ROOT / "course_lib":
        module = f"course_lib.{script.stem}".removesuffix(".__main__")
        return shlex.join(["python", "-m", module, *words])
    if script.is_relative_to(ROOT) and script.suffix == ".py":
        return shlex.join(["python", str(script.relative_to(ROOT)), *words])
    return shlex.join([script.name, *words])


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True,
        check=True).stdout.strip()

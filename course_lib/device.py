"""What this machine is and what it can do: device, precision, peak."""

import contextlib
import datetime
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path

import torch


def choose_device() -> str:
    """cuda where there is one, then Apple's mps, else cpu."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def precision(device: str) -> str:
    """The number format of training: bfloat16 or float32.

    bfloat16 needs compute capability 8.0: torch also says yes where it is
    only emulated, so the capability decides.
    """
    if device == "cuda" and torch.cuda.get_device_capability() >= (8, 0):
        return "bfloat16"
    return "float32"


def autocast(device: str):
    """The context in which the forward pass runs, reusable."""
    if precision(device) == "bfloat16":
        return torch.autocast(device, torch.bfloat16)
    return contextlib.nullcontext()


def device_name(device: str) -> str:
    """The GPU's or the processor's name."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines
                    if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def memory(device: str) -> int:
    """Bytes of memory that the device has."""
    if device == "cuda":
        return torch.cuda.get_device_properties().total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def matmul_peak(device: str, seconds: float = 0.5) -> float:
    """FLOP/s of a large matrix product, the best of several: the measured
    ceiling against which MFU is counted."""
    size = 8192 if device == "cuda" else 1536
    dtype = getattr(torch, precision(device))
    a, b = torch.randn(2, size, size, device=device).to(dtype)
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        a @ b
        synchronize(device)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def synchronize(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device != "cpu":
        getattr(torch, device).synchronize()


def provenance(device: str) -> dict:
    """Where a result comes from: device, versions, commit, command, date."""
    root = Path(__file__).resolve().parent.parent
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=root,
            capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # no git on this machine
        commit = ""
    return dict(
        device=device_name(device), threads=torch.get_num_threads(),
        precision=precision(device), torch=torch.__version__,
        python=platform.python_version(), commit=commit or "unknown",
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        date=datetime.date.today().isoformat())

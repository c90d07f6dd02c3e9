"""What this machine is and what it can do: device, precision, peak."""

import contextlib
import os
import platform
import re
import time
from pathlib import Path

import torch

PRECISIONS = ("bfloat16", "float16", "float32")


def choose_device() -> str:
    """cuda where there is one, then Apple's mps, else cpu. Raises
    ValueError for a GPU that this build of torch has no kernels for."""
    if torch.cuda.is_available():
        capability = torch.cuda.get_device_capability()
        if not has_kernels(capability, torch.cuda.get_arch_list()):
            major, minor = capability
            raise ValueError(
                f"torch {torch.__version__} has no kernels for the "
                f"{torch.cuda.get_device_name()} (sm_{major}{minor}): "
                "install a build for CUDA 12.6, which still has those of "
                "older GPUs, or set CUDA_VISIBLE_DEVICES= to use the CPU")
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def has_kernels(capability: tuple[int, int], built_for: list[str]) -> bool:
    """Whether a GPU can run a build of torch for these architectures: code
    for its own major version (sm_), or for any before it (compute_)."""
    for kind, number in re.findall(r"(sm|compute)_(\d+)", " ".join(built_for)):
        version = divmod(int(number), 10)
        if version <= capability and (kind == "compute"
                                      or version[0] == capability[0]):
            return True
    return False


def precision(device: str) -> str:
    """The number format of training on a GPU: bfloat16 on NVIDIA's from
    compute capability 8.0, float16 on older ones, else float32. On a CPU
    `training.processor` knows better.

    torch also says that it has bfloat16 where it is only emulated, so the
    capability decides.
    """
    if device != "cuda":
        return "float32"
    return ("bfloat16" if torch.cuda.get_device_capability() >= (8, 0)
            else "float16")


def autocast(device: str, number_format: str | None = None):
    """The context in which the forward pass runs, reusable. Raises
    ValueError for a number format that is none of PRECISIONS."""
    number_format = number_format or precision(device)
    if number_format not in PRECISIONS:
        raise ValueError(f"precision {number_format!r} is none of "
                         f"{', '.join(PRECISIONS)}")
    if number_format == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device, getattr(torch, number_format))


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


def instructions() -> list[str]:
    """The processor's instructions that decide how fast it trains, as Linux
    names them: avx2, avx512f, avx512_bf16, amx_bf16; else PyTorch's word."""
    decisive = ["avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16"]
    try:
        text = Path("/proc/cpuinfo").read_text()
        flags = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.M)
        return [each for each in decisive if each in flags[1].split()]
    except (OSError, TypeError):
        return [torch.backends.cpu.get_cpu_capability().lower()]


def memory(device: str) -> int:
    """Bytes of memory that the device has."""
    if device == "cuda":
        return torch.cuda.get_device_properties().total_memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def matmul_peak(device: str, number_format: str | None = None,
                seconds: float = 0.5) -> float:
    """FLOP/s of a large matrix product in a number format, the device's own
    without: the best of several, the ceiling against which MFU is counted."""
    size = 8192 if device == "cuda" else 1536
    dtype = getattr(torch, number_format or precision(device))
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

"""GPUs that can be rented: peak, memory, price (chapters 2 and 4)."""

import re
from dataclasses import dataclass

GIB = 2**30
VENDOR = ("nvidia", "geforce", "tesla")


@dataclass(frozen=True)
class GPU:
    """A GPU: what it can do, by the vendor, and what it costs, typically.

    `memory` is in bytes. `peak` is FLOP/s of dense matrix products by
    number format (tensor cores, sums in float32; float32 itself without
    tensor cores), and has bfloat16 only where the chip does.
    `dollars_per_hour` is one provider's list price on demand, read or last
    known at `price_source`: prices differ by a factor of three between
    providers and change by the month, so override it with
    `dataclasses.replace(gpu, dollars_per_hour=...)`.
    """

    name: str
    memory: int
    peak: dict[str, float]
    capability: tuple[int, int]
    dollars_per_hour: float
    source: str
    price_source: str

    def __post_init__(self):
        if not self.dollars_per_hour > 0:
            raise ValueError(f"dollars_per_hour of {self.name} must be above "
                             f"0, not {self.dollars_per_hour}")

    @property
    def training_precision(self) -> str:
        """bfloat16 where the chip has it, float16 elsewhere."""
        return "bfloat16" if "bfloat16" in self.peak else "float16"

    def peak_at(self, precision: str | None = None) -> float:
        """Peak FLOP/s in a number format, by default the training one.

        Raises ValueError for a format that the chip does not have.
        """
        precision = precision or self.training_precision
        if precision not in self.peak:
            raise ValueError(f"{self.name} has no native {precision}: choose "
                             f"one of {', '.join(self.peak)}")
        return self.peak[precision]


def _gpu(name, gib, float32, tensor, capability, dollars, source, price):
    peak = {"float32": float32 * 1e12, "float16": tensor * 1e12}
    if capability >= (8, 0):
        peak["bfloat16"] = tensor * 1e12
    return GPU(name, gib * GIB, peak, capability, dollars, source, price)


GPUS: dict[str, GPU] = {gpu.name: gpu for gpu in (
    _gpu("T4", 16, 8.1, 65, (7, 5), 0.53, "NVIDIA T4 datasheet",
         "AWS g4dn.xlarge, list price, 2025"),
    _gpu("V100", 16, 15.7, 125, (7, 0), 2.48,
         "NVIDIA V100 datasheet, SXM2",
         "Google Cloud, list price of the GPU alone, 2025"),
    _gpu("L4", 24, 30.3, 121, (8, 9), 0.71,
         "NVIDIA L4 datasheet, halved where it counts sparsity",
         "Google Cloud g2-standard-4, list price, 2025"),
    _gpu("A10", 24, 31.2, 125, (8, 6), 1.29, "NVIDIA A10 datasheet",
         "Lambda, on demand, September 2026"),
    _gpu("RTX 4090", 24, 82.6, 165.2, (8, 9), 0.74,
         "NVIDIA Ada GPU architecture whitepaper, appendix A",
         "RunPod Secure Cloud, September 2026"),
    _gpu("A100", 80, 19.5, 312, (8, 0), 1.79,
         "NVIDIA A100 datasheet, SXM 80 GB",
         "RunPod Secure Cloud, November 2026"),
    _gpu("H100", 80, 67, 989, (9, 0), 3.99,
         "NVIDIA H100 datasheet, SXM, halved where it counts sparsity",
         "RunPod Secure Cloud, November 2026"),
    _gpu("H200", 141, 67, 989, (9, 0), 4.59,
         "NVIDIA H200 datasheet, SXM, halved where it counts sparsity",
         "RunPod, October 2026"),
)}


def find_gpu(name: str) -> GPU:
    """The GPU of that name, as a person or a driver writes it.

    Case, vendor and what follows the model (memory, socket) do not matter,
    so variants of a model share its row. Raises ValueError that lists the
    known names.

    >>> find_gpu("NVIDIA GeForce RTX 4090").name, find_gpu("v100").name
    ('RTX 4090', 'V100')
    """
    words = re.findall("[a-z0-9]+", str(name).lower().replace("rtx", " "))
    words = [word for word in words if word not in VENDOR]
    for known, gpu in GPUS.items():
        if words and words[0] == known.lower().split()[-1]:
            return gpu
    raise ValueError(f"no GPU {name!r} in the table: choose one of "
                     f"{', '.join(GPUS)}")


def hourly_price(name: str) -> float:
    """US$ an hour by the table; 0 for a machine of one's own."""
    try:
        return find_gpu(name).dollars_per_hour
    except ValueError:
        return 0.0

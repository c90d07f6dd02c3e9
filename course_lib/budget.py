"""Parameters, FLOPs, GPUs, hours and dollars (chapters 1, 2 and 4).

Two conventions hold everywhere: a multiplication and the addition that goes
with it are 2 FLOP, and only matrix products count. What is left out
(norms, softmax, GELU, the optimizer) is about one per cent of the work.
"""

import re
from dataclasses import dataclass

GIB = 2**30
VENDOR = ("nvidia", "geforce", "tesla")


@dataclass(frozen=True)
class Parameters:
    """Parameters by part. The head has none: it is the token embedding."""

    token_embedding: int
    position_embedding: int
    attention: int
    mlp: int
    norms: int

    @property
    def total(self) -> int:
        """Everything that is trained, N in the scaling laws."""
        return (self.token_embedding + self.position_embedding
                + self.attention + self.mlp + self.norms)

    @property
    def embedding(self) -> int:
        """Token and position embeddings together."""
        return self.token_embedding + self.position_embedding


def count_parameters(config) -> Parameters:
    """Closed form of the number of parameters, part by part (chapter 1).

    `config` is any object with the fields of `model.GPTConfig`. Per layer
    attention has 4 C^2 weights and the MLP 8 C^2; biases add 9 C, and the
    2L + 1 norms have a scale of C each and, with biases, a shift.

    >>> from course_lib.presets import load_preset
    >>> count_parameters(load_preset("full").model).total
    51237888
    """
    L, C, bias = config.n_layer, config.n_embd, int(config.bias)
    return Parameters(
        token_embedding=config.vocab_size * C,
        position_embedding=config.context_length * C,
        attention=L * (4 * C * C + bias * 4 * C),
        mlp=L * (8 * C * C + bias * 5 * C),
        norms=(2 * L + 1) * C * (1 + bias))


def flops_by_part(config, T: int | None = None) -> dict[str, int]:
    """FLOP per token of training, forward and backward, by part (chapter 1).

    T is the length of the rows in tokens, the model's context by default.
    Each weight of a matrix costs 2 FLOP forward and 4 backward (one product
    for the gradient of the input, one for that of the weight). Attention
    scores are counted as computed by a plain product, all T x T of them:
    2 T C for the scores and 2 T C for the weighted sum, per layer. A kernel
    that skips the masked half does less than is counted here, as in the
    MFU of Chowdhery et al. 2022 (PaLM), appendix B.
    Looking up an embedding is no product and costs nothing.
    """
    T = config.context_length if T is None else T
    if not 1 <= T <= config.context_length:
        raise ValueError(f"T={T} must lie between 1 and the context length, "
                         f"{config.context_length}")
    L, C = config.n_layer, config.n_embd
    forward = {"attention projections": 2 * L * 4 * C * C,
               "attention scores": L * 4 * T * C,
               "mlp": 2 * L * 8 * C * C,
               "head": 2 * config.vocab_size * C}
    return {part: 3 * flop for part, flop in forward.items()}


def flops_per_token(config, T: int | None = None) -> int:
    """FLOP per token of training, forward and backward: the sum of
    `flops_by_part`. About 331e6 for the full preset; MFU uses it.
    """
    return sum(flops_by_part(config, T).values())


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


def _as_gpu(gpu) -> GPU:
    return gpu if isinstance(gpu, GPU) else find_gpu(gpu)


def _check(**values):
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be above 0 and finite, not "
                             f"{value}")
    if values.get("mfu", 0) > 1:
        raise ValueError("mfu is a share of the peak, between 0 and 1, not "
                         f"{values['mfu']}")


def hours(flop: float, gpu, mfu: float, precision: str | None = None):
    """Hours that `flop` FLOP take on a GPU (a name or a `GPU`) that runs at
    the share `mfu` of its peak. Raises ValueError for a bad value."""
    _check(flop=flop, mfu=mfu)
    return flop / (_as_gpu(gpu).peak_at(precision) * mfu) / 3600


def dollars(flop: float, gpu, mfu: float, precision: str | None = None):
    """US$ that `flop` FLOP cost: `hours` times the GPU's price."""
    gpu = _as_gpu(gpu)
    return hours(flop, gpu, mfu, precision) * gpu.dollars_per_hour


def mfu(flop: float, seconds: float, gpu, precision: str | None = None):
    """Model FLOPs utilisation: the share of the GPU's peak that went into
    the model, `flop` FLOP done in `seconds` (Chowdhery et al. 2022)."""
    _check(flop=flop, seconds=seconds)
    return flop / (seconds * _as_gpu(gpu).peak_at(precision))


@dataclass(frozen=True)
class Plan:
    """What a sum of money buys: `flop` FLOP, spent on N parameters and D
    tokens. `loss` is the law's, in nats per token of its own data.

    `intervals` hold 90% of the refits of that law: (low, high) of "N", "D"
    and "loss"; empty for a law without resamples.
    """

    dollars: float
    gpu: GPU
    mfu: float
    hours: float
    flop: float
    N: float
    D: float
    loss: float
    source: str
    intervals: dict[str, tuple[float, float]]

    def lines(self) -> list[str]:
        """The plan as lines of text, assumptions included."""
        gpu = self.gpu

        def between(name, show):
            if name not in self.intervals:
                return ""
            low, high = map(show, self.intervals[name])
            return f" (90% of refits: {low} to {high})"

        return [
            f"budget   ${self.dollars:,.2f} on {gpu.name} at "
            f"${gpu.dollars_per_hour}/h ({gpu.price_source}): "
            f"{self.hours:.1f} hours",
            f"compute  {self.flop:.3g} FLOP: {self.mfu:.0%} (assumed) of "
            f"{gpu.peak_at() / 1e12:g} TFLOP/s in {gpu.training_precision}",
            f"model    {count(self.N)} parameters" + between("N", count),
            f"data     {count(self.D)} tokens" + between("D", count),
            f"loss     {self.loss:.2f} nats per token"
            + between("loss", "{:.2f}".format)
            + ", on the text and tokenizer of the law",
            f"law      {self.source}"]


def count(value: float) -> str:
    """A count with three digits and a unit: 50.3M, 1.1B."""
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "K")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def plan(dollars: float, gpu, mfu: float, law=None,
         precision: str | None = None) -> Plan:
    """The best model that `dollars` US$ buy on a GPU (chapter 2).

    Money buys hours, hours buy FLOP at the share `mfu` of the peak, and
    `law` splits the FLOP between parameters N and tokens D: a
    `scaling.ScalingLaw`, or a `scaling.Bootstrap`, whose resamples give the
    intervals; `scaling.published_fit` without. Raises ValueError for a bad
    value.
    """
    _check(dollars=dollars, mfu=mfu)
    gpu = _as_gpu(gpu)
    time = dollars / gpu.dollars_per_hour
    flop = time * 3600 * gpu.peak_at(precision) * mfu
    if law is None:
        from course_lib.scaling import published_fit  # needs scipy
        law = published_fit()
    fits, law = (law, law.fit.law) if hasattr(law, "fit") else (None, law)
    N, D = map(float, law.optimum(flop))
    intervals = {}
    if fits:
        of_N, of_D = fits.optimum(flop)
        intervals = dict(N=of_N, D=of_D, loss=fits.loss(N, D))
    return Plan(dollars, gpu, mfu, time, flop, N, D, float(law.loss(N, D)),
                law.source, {name: tuple(map(float, pair))
                             for name, pair in intervals.items()})

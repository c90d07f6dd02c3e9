"""What compute costs and what money buys: hours, dollars, a plan (chapters 2
and 4).

FLOP are counted as in `model/cost.py`: a multiplication and the addition
that goes with it are 2, and only matrix products count.
"""

from dataclasses import dataclass

from course_lib.machine.gpus import GPU, find_gpu

GPU_MFU = 0.4  # assumed where nothing was measured, and always shown


def _as_gpu(gpu) -> GPU:
    return gpu if isinstance(gpu, GPU) else find_gpu(gpu)


def check(**values):
    """Raises ValueError naming a value that is not above 0 and finite, or a
    share `mfu` above 1."""
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
    check(flop=flop, mfu=mfu)
    return flop / (_as_gpu(gpu).peak_at(precision) * mfu) / 3600


def dollars(flop: float, gpu, mfu: float, precision: str | None = None):
    """US$ that `flop` FLOP cost: `hours` times the GPU's price."""
    gpu = _as_gpu(gpu)
    return hours(flop, gpu, mfu, precision) * gpu.dollars_per_hour


def mfu(flop: float, seconds: float, gpu, precision: str | None = None):
    """Model FLOPs utilisation: the share of the GPU's peak that went into
    the model, `flop` FLOP done in `seconds` (Chowdhery et al. 2022)."""
    check(flop=flop, seconds=seconds)
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
            f"budget   ${self.dollars:,.2f}, {self.hours:.1f} hours of "
            f"{gpu.name} at ${gpu.dollars_per_hour}/h",
            f"price    {gpu.price_source}",
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
    check(dollars=dollars, mfu=mfu)
    gpu = _as_gpu(gpu)
    time = dollars / gpu.dollars_per_hour
    flop = time * 3600 * gpu.peak_at(precision) * mfu
    if law is None:
        from course_lib.scaling.fits import published_fit  # needs scipy
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

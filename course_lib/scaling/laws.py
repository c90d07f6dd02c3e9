"""Scaling laws: the loss as a function of size and data (chapter 2).

N is parameters, D is training tokens, C = 6 N D is training FLOP, and a loss
is in nats per token of the tokenizer and the text that the law was fitted
on. Everything is vectorised: numbers or arrays that broadcast.

`fits.py` fits the constants to measured runs.
"""

from dataclasses import dataclass

import numpy as np

NAMES = ("E", "A", "B", "alpha", "beta")


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, eq. 2).

    E is the loss that no model gets below, A and alpha say what a finite
    model costs, B and beta what finite data cost. The constants may be
    arrays (one law per bootstrap resample), all of one shape.

    >>> law = ScalingLaw(E=1.69, A=406.4, B=410.7, alpha=0.34, beta=0.28)
    >>> round(float(law.loss(70e9, 1.4e12)), 3)
    1.937
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    source: str = ""

    def __post_init__(self):
        for name in NAMES:
            value = np.asarray(getattr(self, name), dtype=float)
            low = value >= 0 if name == "E" else value > 0
            if not np.all(low & np.isfinite(value)):
                least = "0 or more" if name == "E" else "above 0"
                raise ValueError(f"{name} must be {least} and finite, not "
                                 f"{getattr(self, name)}")

    def __str__(self):
        if np.ndim(self.E):
            return f"{np.size(self.E)} laws"
        return (f"{self.E:.4g} + {self.A:.4g} / N^{self.alpha:.4g} + "
                f"{self.B:.4g} / D^{self.beta:.4g}")

    def loss(self, N, D):
        """Nats per token of N parameters trained on D tokens."""
        N, D = positive(N=N, D=D)
        return self.E + self.A * N**-self.alpha + self.B * D**-self.beta

    def optimum(self, C):
        """(N, D) of the lowest loss for a budget of C FLOP, in closed form.

        N = G (C/6)^a and D = (C/6)^b / G with a = beta / (alpha + beta),
        b = alpha / (alpha + beta), G = (alpha A / (beta B))^(1 / (alpha +
        beta)): Hoffmann et al. 2022, eq. 4.
        """
        C, = positive(C=C)
        both = self.alpha + self.beta
        G = (self.alpha * self.A / (self.beta * self.B)) ** (1 / both)
        N = G * (C / 6) ** (self.beta / both)
        return N, C / (6 * N)

    def isoflop(self, C, N):
        """The loss along a budget: N parameters trained on the D = C / 6N
        tokens that C FLOP then leave."""
        N, C = positive(N=N, C=C)
        return self.loss(N, C / (6 * N))

    def tokens_for(self, loss, N):
        """Tokens D that bring N parameters to a loss (nats per token).

        Raises ValueError where N is too small ever to reach it.
        """
        loss, N = positive(loss=loss, N=N)
        left = loss - self.E - self.A * N**-self.alpha
        if np.any(left <= 0):
            raise ValueError(
                f"no amount of data brings N={N:g} to a loss of {loss:g}: "
                f"its limit is {self.E + self.A * N**-self.alpha:.4f}"
                if np.ndim(left) == 0 else
                "no amount of data brings some of these N to that loss")
        return (self.B / left) ** (1 / self.beta)

    def compute_for(self, loss):
        """The least FLOP that reach a loss: `optimum` turned around."""
        loss, = positive(loss=loss)
        if np.any(loss <= self.E):
            raise ValueError(f"loss must be above E={self.E}, not {loss}")
        both = self.alpha + self.beta
        one = 6.0  # FLOP at which C/6 is 1
        gap = self.loss(*self.optimum(one)) - self.E
        return one * (gap / (loss - self.E)) ** (both / self.alpha / self.beta)

    def overhead(self, factor, C):
        """How many times the FLOP a model of `factor` times the optimal size
        takes to reach the loss of the optimum for C FLOP.

        Below 1 is over-training: more compute once, a smaller model ever
        after. `law.overhead(0.5, 1e20)` of 1.1 means 10% more.
        """
        factor, C = positive(factor=factor, C=C)
        N, D = self.optimum(C)
        return factor * self.tokens_for(self.loss(N, D), factor * N) / D


@dataclass(frozen=True)
class KaplanLaw:
    """L(N, D) = ((Nc/N)^(aN/aD) + Dc/D)^aD (Kaplan et al. 2020, eq. 1.5).

    Its N leaves the embeddings out, and its D is the text that there is, read
    until nothing more is gained. So the best split of a budget is not the
    lowest place of the formula; the paper has a rule of its own for that.
    """

    Nc: float = 6.4e13
    Dc: float = 1.8e13
    alpha_N: float = 0.076
    alpha_D: float = 0.103
    source: str = "Kaplan et al. 2020, arXiv 2001.08361, table 2"

    def loss(self, N, D):
        """Nats per token of N parameters, without embeddings."""
        N, D = positive(N=N, D=D)
        ratio = self.alpha_N / self.alpha_D
        return ((self.Nc / N) ** ratio + self.Dc / D) ** self.alpha_D

    def optimum(self, C):
        """(N, D) by the paper's rule, 1.3e9 parameters for each PF-day to
        the power 0.73 (its appendix A), and C = 6 N D."""
        C, = positive(C=C)
        N = 1.3e9 * (C / 8.64e19) ** 0.73
        return N, C / (6 * N)


def repeated(law: ScalingLaw, N, D, unique, parameters=True, R_D=15.388,
             R_N=5.310):
    """Loss after D tokens of which only `unique` are different.

    A token seen again is worth less each time; and so, but without
    `parameters`, is a parameter beyond those that the unique tokens call
    for. R_D and R_N say how fast (Muennighoff et al. 2023, arXiv 2305.16264,
    eq. 5 and appendix A). Up to one epoch this is `law.loss`, as long as N is
    not above that size.
    """
    N, D, unique = positive(N=N, D=D, unique=unique)
    unique = np.minimum(unique, D)
    both = law.alpha + law.beta
    G = (law.alpha * law.A / (law.beta * law.B)) ** (1 / both)
    base = np.minimum(N, G * (unique * G) ** (law.beta / law.alpha))

    def worth(value, first, R):
        return first * (1 - R * np.expm1(-(value / first - 1) / R))

    return law.loss(worth(N, base, R_N) if parameters else N,
                    worth(D, unique, R_D))


def positive(**values):
    """The values as float arrays or scalars; ValueError names a bad one."""
    out = []
    for name, value in values.items():
        array = np.asarray(value, dtype=float)
        if not np.all((array > 0) & np.isfinite(array)):
            raise ValueError(f"{name} must be above 0 and finite, not {value}")
        out.append(array[()])
    return out


PUBLISHED: dict[str, ScalingLaw | KaplanLaw] = {
    "hoffmann_2022": ScalingLaw(
        1.69, 406.4, 410.7, 0.34, 0.28,
        source="Hoffmann et al. 2022, arXiv 2203.15556, eq. 10, as printed"),
    "hoffmann_2022_source": ScalingLaw(
        1.69337, 406.401, 410.723, 0.33917084, 0.2849083,
        source="Hoffmann et al. 2022, arXiv 2203.15556, the unrounded "
               "constants in the paper's TeX source"),
    "besiroglu_2024": ScalingLaw(
        1.8172, 482.01, 2085.43, 0.3478, 0.3658,
        source="Besiroglu et al. 2024, arXiv 2404.10102, table 1: a new fit "
               "of points read off Hoffmann's figure 4"),
    "muennighoff_2023": ScalingLaw(
        1.8691, 520.8, 1487.7, 0.35266, 0.35266,
        source="Muennighoff et al. 2023, arXiv 2305.16264, appendix A: "
               "fitted with alpha = beta on C4"),
    "kaplan_2020": KaplanLaw(),
}

"""Chapter 2: Chinchilla's optimum."""

from course_lib.exercises.step import Step
from course_lib.scaling.laws import PUBLISHED, ScalingLaw


def chinchilla(C, A, B, alpha, beta):
    """(N, D), parameters and tokens, for C FLOP. Source: Hoffmann et al.
    (2022), equation 4."""
    return ScalingLaw(1.0, A, B, alpha, beta).optimum(C)


def cases():
    """Budgets in FLOP, of made-up laws that can be done by hand, then of the
    published one."""
    yield dict(C=6.0, A=1.0, B=1.0, alpha=0.5, beta=0.5)
    yield dict(C=600.0, A=2.0, B=1.0, alpha=0.5, beta=0.5)
    yield dict(C=600.0, A=2.0, B=3.0, alpha=0.5, beta=0.25)
    law = PUBLISHED["hoffmann_2022"]
    for C in (1e17, 3.2e17, 5.76e23):
        yield dict(C=C, A=law.A, B=law.B, alpha=law.alpha, beta=law.beta)


STEPS = [Step(
    "chinchilla", "02_scaling_laws", "The valley", cases, (chinchilla,),
    hints=(
        "Put D = C / (6 N) into the sum; at the lowest point its slope in N "
        "is zero.",
        "That gives N^(alpha + beta) = (alpha A / (beta B)) (C / 6)^beta, "
        "and D is C / (6 N)."))]

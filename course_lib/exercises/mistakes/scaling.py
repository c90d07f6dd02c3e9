"""Known mistakes of chapter 2."""

from course_lib.exercises.step import Bank

mistake = Bank()


def split(C, A, B, alpha, beta, power=None, work=6, weights=True):
    """The optimum with what people get wrong as arguments."""
    both = alpha + beta
    G = alpha * A / (beta * B) if weights else A / B
    N = G ** (1 / both) * (C / work) ** (
        beta / both if power is None else power)
    return N, C / (work * N)


@mistake("chinchilla", "the exponents have changed places",
         "N grows like C^(beta / (alpha + beta)): the faster the price of "
         "data falls, the more goes into the model.")
def exchanged(C, A, B, alpha, beta):
    return split(C, A, B, alpha, beta, alpha / (alpha + beta))


@mistake("chinchilla", "the 6 is missing",
         "A token costs 6 FLOP for each parameter: D = C / (6 N).")
def no_six(C, A, B, alpha, beta):
    return split(C, A, B, alpha, beta, work=1)


@mistake("chinchilla", "the two prices are made equal",
         "A / N^alpha = B / D^beta is near the optimum, which lies where "
         "their slopes balance: alpha A and beta B.")
def equal_prices(C, A, B, alpha, beta):
    return split(C, A, B, alpha, beta, weights=False)


@mistake("chinchilla", "20 tokens for each parameter",
         "The rule of thumb: right for one law near one budget.")
def thumb(C, A, B, alpha, beta):
    N = (C / 120) ** 0.5
    return N, 20 * N


@mistake("chinchilla", "N and D have changed places",
         "Parameters come first, then tokens.")
def other_order(C, A, B, alpha, beta):
    return split(C, A, B, alpha, beta)[::-1]


@mistake("chinchilla", "alpha A and beta B have changed places",
         "A larger A makes a small model costlier, so N grows with it.")
def other_prices(C, A, B, alpha, beta):
    both = alpha + beta
    N = (beta * B / (alpha * A)) ** (1 / both) * (C / 6) ** (beta / both)
    return N, C / (6 * N)


@mistake("chinchilla", "two FLOP for each parameter and token",
         "That is the forward pass; the backward pass takes four more.")
def forward_only(C, A, B, alpha, beta):
    return split(C, A, B, alpha, beta, work=2)

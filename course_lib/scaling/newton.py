"""The minimum of the fit of a scaling law, found exactly (chapter 2).

For given exponents the law is linear in E, A and B. So a grid over (alpha,
beta), with a least-squares solution at each point, finds the right valley,
and Newton's method with exact derivatives its bottom; nothing is random.
The same Newton step runs on hundreds of weightings of the runs at once,
which is what makes a bootstrap quick.

Letters: n runs, R fits at a time. A fit is theta, (5,): the logarithms of
the three terms (of N, of D, constant) at the centre of the runs, then alpha
and beta. Centred like this, units do not matter and the five directions are
of one scale.
"""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import minimum_filter

GRID = np.geomspace(0.03, 2.0, 30)  # exponents to begin from
STARTS = 8  # points of the grid that Newton's method tries


class Points(NamedTuple):
    """Runs in logarithms, centred so that no unit matters."""

    x: np.ndarray  # (n,) log N - log N0
    y: np.ndarray  # (n,) log D - log D0
    z: np.ndarray  # (n,) log loss - log L0
    centre: np.ndarray  # log N0, log D0, log L0


def starts(data, w):
    """(S, 5): the lowest points of a grid over the exponents. At each, E, A
    and B are the least-squares solution in relative error, a 3 x 3 system.
    """
    u, v = (np.exp(-GRID[:, None] * axis) for axis in (data.x, data.y))
    t, q = np.exp(data.z), w * np.exp(-2 * data.z)
    k = len(GRID)
    G, h = np.empty((k, k, 3, 3)), np.empty((k, k, 3))
    G[..., 0, 0], G[..., 1, 1] = (u * u @ q)[:, None], v * v @ q
    G[..., 0, 1] = G[..., 1, 0] = u * q @ v.T
    G[..., 0, 2] = G[..., 2, 0] = (u @ q)[:, None]
    G[..., 1, 2] = G[..., 2, 1] = v @ q
    G[..., 2, 2] = q.sum()
    q = q * t
    h[..., 0], h[..., 1], h[..., 2] = (u @ q)[:, None], v @ q, q.sum()
    G += 1e-12 * np.trace(G, axis1=2, axis2=3)[..., None, None] * np.eye(3)
    terms = np.maximum(np.linalg.solve(G, h[..., None])[..., 0], 1e-3)
    alpha, beta = np.meshgrid(GRID, GRID, indexing="ij")
    theta = np.concatenate(
        [np.log(terms), alpha[..., None], beta[..., None]], axis=2)
    value = _objective(_predict(theta.reshape(-1, 5), data)[0], w, 1e-2)
    value = value.reshape(k, k)
    low = np.argwhere(value == minimum_filter(value, 3, mode="nearest"))
    low = sorted(low, key=lambda ij: value[tuple(ij)])[:STARTS]
    return np.array([theta[tuple(ij)] for ij in low])


def _predict(theta, data):
    """Residuals (R, n) of log loss, and the shares (R, 3, n) that the three
    terms have in the prediction."""
    a, b, e, alpha, beta = (column[:, None] for column in theta.T)
    terms = np.empty((len(theta), 3, len(data.x)))
    terms[:, 0] = a - alpha * data.x
    terms[:, 1] = b - beta * data.y
    terms[:, 2] = e
    np.exp(np.clip(terms, -600, 200, out=terms), out=terms)
    total = terms.sum(1)
    terms /= total[:, None]
    return np.log(total) - data.z, terms


def _objective(r, w, delta):
    size = np.abs(r)
    inside = np.minimum(size, delta)
    return np.einsum("rn,rn->r", np.broadcast_to(w, r.shape),
                     inside * (size - inside / 2))


def _derivatives(r, share, w, data, delta):
    """Gradient (R, 5) and Hessian (R, 5, 5) of the objective, exact, and the
    diagonal (R, 5) that sets the scale of each direction."""
    x, y = data.x, data.y
    J = np.concatenate([share, -share[:, :1] * x, -share[:, 1:2] * y], axis=1)
    psi = w * np.clip(r, -delta, delta)
    curved = w * (np.abs(r) <= delta)
    gradient = np.matmul(J, psi[:, :, None])[..., 0]
    H = np.matmul(J * (curved - psi)[:, None], J.swapaxes(1, 2))
    # The logarithm of a sum of exponentials curves by diag(share) - share
    # share^T; the second half is in the line above, the first one is here.
    q = psi[:, None] * share
    total = q.sum(2)
    for i, j, axis in ((0, 3, x), (1, 4, y)):
        cross = q[:, i] @ axis
        H[:, i, i] += total[:, i]
        H[:, i, j] -= cross
        H[:, j, i] -= cross
        H[:, j, j] += q[:, i] @ (axis * axis)
    H[:, 2, 2] += total[:, 2]
    slope = w / np.maximum(np.abs(r) / delta, 1)
    return gradient, H, np.einsum("rkn,rkn,rn->rk", J, J, slope)


def polish(theta, data, w, deltas):
    """Minimise from each row of theta (R, 5) with weights w (R or 1, n).

    Newton's method with damping, all rows at once; rows that have converged
    drop out. The Huber delta shrinks along `deltas`, because the objective
    is smooth and wide for a large one and full of kinks for a small one.
    Returns theta (R, 5) and the objective (R,).
    """
    theta = theta.copy()
    w = np.broadcast_to(w, (len(theta), len(data.x)))
    for delta in deltas:
        rows, damping = np.arange(len(theta)), np.full(len(theta), 1e-3)
        r, share = _predict(theta, data)
        value = _objective(r, w, delta)
        for _ in range(200):
            gradient, H, scale = _derivatives(r, share, w[rows], data, delta)
            i = np.arange(5)
            H[:, i, i] += damping[:, None] * scale + 1e-300
            bends, axes = np.linalg.eigh(H)
            bends = np.abs(bends)  # downhill also where the valley bends away
            bends = np.maximum(bends, 1e-13 * bends.max(1, keepdims=True))
            step = np.einsum("rji,rj->ri", axes, gradient) / bends
            step = np.einsum("rij,rj->ri", axes, step)
            new = theta[rows] - step
            r_new, share_new = _predict(new, data)
            now = _objective(r_new, w[rows], delta)
            # as good, up to rounding, will do: the size of the step decides
            better = now <= value[rows] * (1 + 1e-15)
            theta[rows[better]], value[rows[better]] = new[better], now[better]
            r = np.where(better[:, None], r_new, r)
            share = np.where(better[:, None, None], share_new, share)
            damping = np.where(better, damping / 10,
                               np.maximum(damping, 1e-6) * 8)
            small = np.abs(step).max(1) <= 1e-11
            going = ~(better & small | (damping > 1e8))
            if not going.any():
                break
            rows, damping = rows[going], damping[going]
            r, share = r[going], share[going]
    return theta, value

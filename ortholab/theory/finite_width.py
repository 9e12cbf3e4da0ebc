"""Finite width in closed form: how much the length of one vector fluctuates, and how far s_max stays below its edge.

Both are functions of few numbers: N, L, the relative variance of the squared slopes, and the curvature of log lambda
at the edge. The sampled twin of the first is :func:`log_lengths`, which costs O(N) a layer and a network.

Source: this book, where no other work is named.
"""

from __future__ import annotations

import math

import numpy as np

from ortholab._scipy import special
from ortholab.errors import bad, check_choice, check_generator, check_int, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.gaussian import expect
from ortholab.theory.mean_field import point
from ortholab.theory.spectrum import Spectrum

TRACY_WIDOM = (-1.2065336, 1.2680)  # mean and standard deviation of the law with index 1 (real matrices)


def log_length_variance(width: int, depth: int, *, slope_variance: float = 0.0, weights: str = "orthogonal") -> float:
    """Return Var log |Jv|^2 of a fixed unit vector v over networks of ``width`` N and ``depth`` L, to order L/N.

    L 3v / (N + 2) for "orthogonal" weights and L (2 + 3v) / N for "gaussian" ones, v = Var(phi'^2) / E[phi'^2]^2
    (``slope_variance``: 0 linear, 1 ReLU, sigma0^2 / L in the isometric limit). Slopes count as independent of the
    vector, and q as not fluctuating: exact for neither, but for linear and (independence) ReLU networks. Holds for
    N >> 1 and variances << 1 a layer. Raises ArgumentError.
    Source: this book; for v = 0 and 1 Hanin and Nica 2020 (arXiv 1812.05994).

    >>> log_length_variance(100, 10, slope_variance=1.0, weights="gaussian")  # ReLU: 5 L / N
    0.5
    """
    N, L = check_int("width", width, 1), check_int("depth", depth, 1)
    v = check_number("slope_variance", slope_variance, low=0)
    if check_choice("weights", weights, ("orthogonal", "gaussian")) == "gaussian":
        return L * (2 + 3 * v) / N
    return L * 3 * v / (N + 2)


def exact_log_length(width: int, depth: int) -> tuple[float, float]:
    """Return mean and variance of log |Jv|^2 for linear Gaussian networks, sigma_w = 1, at every N and L.

    |Jv|^2 is a product of L independent chi^2_N / N: mean L (psi(N/2) - log(N/2)), variance L psi'(N/2).
    Raises ArgumentError.

    >>> mean, variance = exact_log_length(1000, 10)  # nearly -L/N and 2L/N
    >>> round(mean, 4), round(variance, 4)
    (-0.01, 0.02)
    """
    N, L = check_int("width", width, 1), check_int("depth", depth, 1)
    mean = special.digamma(N / 2) - math.log(N / 2)
    return float(L * mean), float(L * special.polygamma(1, N / 2))


def log_lengths(
    activation: str | Activation,
    q: float,
    *,
    depth: int,
    width: int,
    sigma_w: float,
    sigma_b: float = 0.0,
    kind: str = "gaussian",
    networks: int,
    rng: np.random.Generator | int,
) -> np.ndarray:
    """Sample log |Jv|^2 after each layer of many networks with their own slopes, shape (depth, networks).

    Each network starts at x = phi(h), h ~ N(0, q), scaled to the length sqrt(N E[phi(h)^2]), as data are standardised,
    and at a random unit vector v. Only W x and W v are needed of a matrix
    W: in the plane of x and v they are a Gaussian or a Haar frame of two columns, which is drawn instead of W. Exact in
    law at every width >= 2. Raises ArgumentError; -inf where no unit was active.

    >>> log_lengths("linear", 1.0, depth=2, width=4, sigma_w=1.0, kind="orthogonal", networks=1, rng=0).round(9) + 0.0
    array([[0.],
           [0.]])
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    N, L, count = check_int("width", width, 2), check_int("depth", depth, 1), check_int("networks", networks, 1)
    check_choice("kind", kind, ("gaussian", "orthogonal"))
    q, rng = check_number("q", q, low=0), check_generator(rng)
    x = activation.phi(math.sqrt(q) * rng.standard_normal((count, N)))
    size = np.linalg.norm(x, axis=1, keepdims=True)
    target = math.sqrt(N * expect(lambda h: activation.phi(h) ** 2, q, kinks=activation.kinks))
    x *= np.divide(target, size, out=np.ones_like(size), where=size > 0)
    v = rng.standard_normal((count, N))
    v /= np.linalg.norm(v, axis=1, keepdims=True)
    logs, out = np.zeros(count), np.empty((L, count))
    for layer in range(L):
        frame = rng.standard_normal((count, N, 2))
        if kind == "orthogonal":
            frame = np.linalg.qr(frame)[0] * np.where(rng.random((count, 1, 2)) < 0.5, -1.0, 1.0)
        else:
            frame /= math.sqrt(N)
        inside = np.linalg.qr(np.stack([x, v], -1))[1]  # x and v in an orthonormal basis of their plane
        Wx, Wv = np.moveaxis(sigma_w * frame @ inside, -1, 0)
        h = Wx + sigma_b * rng.standard_normal((count, N))
        x, v = activation.phi(h), activation.dphi(h) * Wv
        size = np.linalg.norm(v, axis=1)
        with np.errstate(divide="ignore"):
            logs = logs + 2 * np.log(size)
        out[layer] = logs
        v = np.divide(v, size[:, None], out=np.zeros_like(v), where=size[:, None] > 0)
    return out


def edge_error(law: Spectrum, width: int) -> float:
    """Return the predicted mean of s_max^(N) / s_max - 1 at ``width`` N, negative; 0 where an atom is at the top.

    -(1.2065 / 2) (k / 2)^(1/3) N^(-2/3), k the curvature of log lambda(m) at the edge, read from the density there.
    Tracy and Widom's law, which for products of real matrices is an assumption. Holds while the result is small, and
    leaves out corrections of order 1/N. Raises ArgumentError, also where the density does not end like a square root.
    Source: this book, page "Where infinite width lies".

    >>> from ortholab.theory import JacobianSpectrum
    >>> round(edge_error(JacobianSpectrum("linear", 8, weights="gaussian"), 100), 4)
    -0.0855
    """
    if not isinstance(law, Spectrum):
        raise bad("law", type(law).__name__, "a JacobianSpectrum or another Spectrum")
    N = check_int("width", width, 1)
    if not law.bands or law.lambda_max > law.bands[-1][1] * (1 + 1e-9):
        return 0.0
    top, eps = law.lambda_max, np.array([1e-5, 1e-4])
    near, far = eps / (math.pi * law.density(top * (1 - eps)) * top) ** 2
    if not 0.8 < near / far < 1.25:  # as for ReLU at L = 2, where an atom is about to leave the top
        raise bad("law", law, "a law whose density ends in a square root")
    half_curvature = float(near)
    return TRACY_WIDOM[0] / 2 * half_curvature ** (1 / 3) * N ** (-2 / 3)


def width_for(law: Spectrum, tolerance: float = 0.05) -> int:
    """Return the least width at which :func:`edge_error` is within ``tolerance``; 1 where an atom is at the top.

    N = ceil((|error at N = 1| / tolerance)^(3/2)). Raises ArgumentError.

    >>> from ortholab.theory import JacobianSpectrum
    >>> width_for(JacobianSpectrum("linear", 10, weights="gaussian"))
    283
    """
    tolerance = check_number("tolerance", tolerance, low=0, open_low=True)
    return max(1, math.ceil((abs(edge_error(law, 1)) / tolerance) ** 1.5))


def slope_variance(activation: str | Activation, q: float) -> float:
    """Return v = Var(phi'^2) / E[phi'^2]^2 at h ~ N(0, q), the number that both pages of finite size need.

    sigma0^2 = L v. Raises ArgumentError.

    >>> round(slope_variance("relu", 1.0), 6)
    1.0
    """
    activation, q = get_activation(activation), check_number("q", q, low=0)
    first, second = activation.slope_moment(q), activation.slope_moment(q, 2)
    return second / first**2 - 1

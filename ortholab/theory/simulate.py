"""Finite-width twins of the theory: sampled networks in numpy, to be held against each infinite-width statement.

Sources: Poole et al. 2016 (arXiv 1606.05340); the deck, equations (1) and (2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ortholab.errors import ArgumentError, check_array, check_generator, check_int, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.ensembles import weights as draw_weights
from ortholab.theory.mean_field import point


@dataclass(frozen=True)
class Signals:
    """What a sampled network does to a batch of B inputs.

    ``q`` (depth, B): mean square of the pre-activations h^l of each input. ``covariance`` (depth, B, B): mean of
    h^l_i(a) h^l_i(b) over the units i; its diagonal is q.

    >>> Signals(np.ones((3, 1)), np.ones((3, 1, 1))).q.shape
    (3, 1)
    """

    q: np.ndarray
    covariance: np.ndarray

    @property
    def correlation(self) -> np.ndarray:
        """covariance / sqrt(q_a q_b), shape (depth, B, B); NaN-free: 0 where a signal has died out completely."""
        root = np.sqrt(self.q)
        size = root[:, :, None] * root[:, None, :]
        return np.divide(self.covariance, size, out=np.zeros_like(self.covariance), where=size > 0)


def propagate(
    activation: str | Activation,
    x: np.ndarray,
    *,
    depth: int,
    width: int,
    sigma_w: float,
    sigma_b: float = 0.0,
    kind: str = "gaussian",
    rng: np.random.Generator | int,
) -> Signals:
    """Send inputs ``x`` (B, n_0) through ``depth`` random layers and record the variances and covariances.

    h^l = W^l x^{l-1} + b^l, x^l = phi(h^l), with Var W_ij = sigma_w^2 / n_{l-1} and b ~ N(0, sigma_b^2); ``kind`` of
    the weights is "gaussian" or "orthogonal". The twin of variance_trajectory and correlation_map: it agrees with
    them up to O(1 / sqrt(width)) a layer. Raises ArgumentError for inputs that are not finite or not (B, n_0), and
    when the signal overflows (deep chaotic ReLU or linear networks), naming the layer.

    >>> propagate("relu", np.ones((2, 8)), depth=3, width=16, sigma_w=2**0.5, rng=0).q.shape
    (3, 2)
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    x = check_array("x", x, ndim=2)
    depth, width, rng = check_int("depth", depth, 1), check_int("width", width, 1), check_generator(rng)
    covariance = np.empty((depth, x.shape[0], x.shape[0]))
    for layer in range(depth):
        W = draw_weights(kind, width, x.shape[1], sigma_w=sigma_w, rng=rng)
        h = x @ W.T + sigma_b * rng.standard_normal(width)
        with np.errstate(over="ignore", invalid="ignore"):
            covariance[layer] = h @ h.T / width
        if not np.isfinite(covariance[layer]).all():
            raise ArgumentError(f"sigma_w = {sigma_w:g}: the signal overflows at layer {layer + 1}; use fewer layers")
        x = activation.phi(h)
    return Signals(np.diagonal(covariance, axis1=1, axis2=2).copy(), covariance)


def inputs_at(activation: str | Activation, q: float, width: int, *, rng: np.random.Generator | int) -> np.ndarray:
    """Draw one x = phi(h), shape (width,), with h ~ N(0, q): what a layer sees when its input has variance q.

    With q = q* the network starts at its fixed point.

    >>> inputs_at("tanh", 1.0, width=5, rng=0).shape
    (5,)
    """
    q = check_number("q", q, low=0.0)
    width = check_int("width", width, 1)
    return get_activation(activation).phi(np.sqrt(q) * check_generator(rng).standard_normal(width))


def jacobian_factors(
    activation: str | Activation,
    x: np.ndarray,
    *,
    depth: int,
    width: int,
    sigma_w: float,
    sigma_b: float = 0.0,
    kind: str = "gaussian",
    rng: np.random.Generator | int,
) -> list[np.ndarray]:
    """Return the factors D_1 W_1, ..., D_L W_L of one sampled network's Jacobian at the input ``x`` (n_0,).

    J = factors[-1] @ ... @ factors[0] is dx^L / dx^0, equation (1) with its order made explicit. Raises as
    :func:`propagate`.

    >>> [J.shape for J in jacobian_factors("tanh", np.ones(3), depth=2, width=4, sigma_w=1.0, rng=0)]
    [(4, 3), (4, 4)]
    """
    activation, sigma_w, sigma_b = point(activation, sigma_w, sigma_b)
    x = check_array("x", x, ndim=1)
    depth, width, rng = check_int("depth", depth, 1), check_int("width", width, 1), check_generator(rng)
    factors = []
    for layer in range(depth):
        W = draw_weights(kind, width, x.size, sigma_w=sigma_w, rng=rng)
        h = W @ x + sigma_b * rng.standard_normal(width)
        if not np.isfinite(h).all():
            raise ArgumentError(f"sigma_w = {sigma_w:g}: the signal overflows at layer {layer + 1}; use fewer layers")
        factors.append(activation.dphi(h)[:, None] * W)
        x = activation.phi(h)
    return factors


def product(factors: list[np.ndarray]) -> np.ndarray:
    """Multiply the factors, the first applied first: factors[-1] @ ... @ factors[0], shape (n_L, n_0).

    Plain floating point: use products.log_singular_values where the product may be numerically singular.

    >>> product([np.diag([1.0, 2.0]), np.diag([3.0, 4.0])]).diagonal().tolist()
    [3.0, 8.0]
    """
    out = factors[0]
    for factor in factors[1:]:
        out = factor @ out
    return out


def mean_squared_singular_value(factors: list[np.ndarray]) -> float:
    """Return ||J||_F^2 / n_0, the mean of the spectrum of J^T J: the quantity that chi^L predicts; equation (4).

    ``factors`` are matrices, the first layer's first.

    >>> mean_squared_singular_value([np.diag([1.0, 2.0])])
    2.5
    """
    J = product(factors)
    return float(np.sum(J * J) / J.shape[1])

"""Activations that practice uses and the deck does not: ELU, SELU, leaky ReLU, sigmoid, softplus.

Source: He, Zhang, Ren, Sun 2015 (arXiv 1502.01852) for the leaky ones.
"""

from __future__ import annotations

import numpy as np

from ortholab._scipy import special
from ortholab.errors import check_number
from ortholab.theory.activations import Activation

# The two numbers of SELU: with them mean 0 and variance 1 are kept at sigma_w = 1 (Klambauer et al. 2017).
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _exponential(x: np.ndarray) -> np.ndarray:
    return np.exp(np.minimum(x, 0.0))


def elu(alpha: float = 1.0) -> Activation:
    """Return phi(x) = x for x > 0 and alpha (e^x - 1) below; phi' jumps at 0 unless alpha = 1.

    Raises ArgumentError. Source: Clevert et al. 2016 (arXiv 1511.07289).

    >>> elu().slope_moment(0.0)
    1.0
    """
    alpha = check_number("alpha", alpha, low=0, open_low=True)
    return Activation(
        "elu" if alpha == 1 else f"elu({alpha:g})",
        lambda x: np.where(np.asarray(x) > 0, x, alpha * np.expm1(np.minimum(x, 0.0))),
        lambda x: np.where(np.asarray(x) > 0, 1.0, alpha * _exponential(x)),
        kinks=(0.0,),
    )


def leaky_relu(slope: float = 0.01) -> Activation:
    """Return phi(x) = x for x > 0 and slope x below, 0 <= slope < 1.

    Raises ArgumentError.

    >>> leaky_relu(0.5).slope_moment(1.0)
    0.625
    """
    slope = check_number("slope", slope, low=0, high=1, open_high=True)
    return Activation(
        f"leaky_relu({slope:g})",
        lambda x: np.where(np.asarray(x) > 0, x, slope * np.asarray(x)),
        lambda x: np.where(np.asarray(x) > 0, 1.0, slope),
        kinks=(0.0,),
        degree_one=True,
        closed={
            "square": lambda q: q * (1 + slope**2) / 2,
            "slope": lambda q, k: np.full_like(q, (1 + slope ** (2 * k)) / 2),
        },
    )


ELU = elu()
SELU = Activation(
    "selu",
    lambda x: SELU_SCALE * np.where(np.asarray(x) > 0, x, SELU_ALPHA * np.expm1(np.minimum(x, 0.0))),
    lambda x: SELU_SCALE * np.where(np.asarray(x) > 0, 1.0, SELU_ALPHA * _exponential(x)),
    kinks=(0.0,),
)
SIGMOID = Activation("sigmoid", lambda x: special.expit(x), lambda x: special.expit(x) * special.expit(-np.asarray(x)))
SOFTPLUS = Activation("softplus", lambda x: np.logaddexp(0.0, x), lambda x: special.expit(x))

"""Lyapunov exponents of D_t W ... D_1 W at infinite width: the rates at which singular values grow or shrink.

The singular values of a product of t free factors behave like s = exp(gamma t) for large t, and the law of gamma is
known: with S the S-transform of one factor's squared singular values, the share u of them has
exp(2 gamma) <= 1 / S(u - 1) (Tucci 2010; Haagerup, Moeller 2013). One matrix W at all steps gives the same law as
fresh ones, as long as t is small against n; see the page on the recurrent Jacobian.

Sources: Tucci 2010 (arXiv 0802.4226); Newman 1986.
"""

from __future__ import annotations

import numpy as np

from ortholab._scipy import optimize
from ortholab.errors import check_array, check_choice, check_number
from ortholab.theory.activations import Activation, get_activation
from ortholab.theory.slopes import SlopeLaw

_LOG_Y = 350.0  # log y is looked for between -this and this


def lyapunov_exponents(
    activation: str | Activation,
    share: np.ndarray | float,
    *,
    gain: float,
    q: float,
    weights: str = "orthogonal",
) -> np.ndarray:
    """Return the rates gamma with s = exp(gamma t), such that this ``share`` u in (0, 1) of them lies at or below.

    With D = phi'(sqrt(q) z)^2, let y > 0 solve E[y D / (1 + y D)] = 1 - u. Then

        exp(2 gamma) = g^2 (1 - u) / (u y)   (orthogonal),      g^2 (1 - u) / y   (Gaussian).

    The largest is (1/2) log chi, u -> 1; the mean over u is log g + E log|phi'| (minus 1/2 for Gaussian weights). The
    share P(phi' = 0) of dead directions has gamma = -inf. When q changes from step to step, average the answers at
    equal u. Holds for n -> infinity, then t -> infinity. Shape and order of ``share``. Raises ArgumentError.
    Source: Tucci 2010 (arXiv 0802.4226); Newman 1986 for the Gaussian linear case, gamma = (1/2) log u.

    >>> lyapunov_exponents("linear", [0.5], gain=1.0, q=1.0, weights="gaussian").round(6).tolist()
    [-0.346574]
    """
    activation = get_activation(activation)
    share = check_array("share", share, low=0.0, high=1.0)
    if share.size and not (share.min() > 0 and share.max() < 1):
        check_number("share", float(share.min() if share.min() <= 0 else share.max()), low=0, high=1, open_low=True,
                     open_high=True)  # fmt: skip
    gain = check_number("gain", gain, low=0.0, open_low=True)
    check_choice("weights", weights, ("orthogonal", "gaussian"))
    law = SlopeLaw(activation, q)
    values = np.concatenate([law.atoms, law.values])
    masses = np.concatenate([law.masses, law.weights])
    alive = float(np.sum(masses[values > 0]))
    masses, log_values = masses[values > 0], np.log(values[values > 0])

    def gap(log_y: float, above: float) -> float:
        return float(np.sum(masses / (1 + np.exp(np.minimum(-log_y - log_values, 700))))) - above

    out = np.full(share.shape, -np.inf)
    for at, u in np.ndenumerate(share):
        if 1 - u < alive - 1e-12 or (alive > 1 - 1e-12 and u > 1e-12):
            log_y = optimize.brentq(gap, -_LOG_Y, _LOG_Y, args=(1 - u,), xtol=1e-13)
            out[at] = np.log(gain) + 0.5 * (np.log1p(-u) - log_y - (np.log(u) if weights == "orthogonal" else 0))
    return out

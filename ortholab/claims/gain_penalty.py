"""Chapter IV, the gain-adjusted penalty: equation (10) of the 2019 deck, its gradient and its norm."""

from __future__ import annotations

import numpy as np

from ortholab.claims import Verdict, claim
from ortholab.theory import gaussian, haar, penalties, penalty_flow

LOST = "4-gain/why_gain_is_lost"
ADJUSTED = "4-gain/gain_adjusted_penalty"


@claim(
    "10",
    deck="slide group IV, equation (10)",
    statement=r"The penalty $\lVert WW^\top/\sigma_w^2 - I\rVert_F^2$ keeps an orthogonal $W$ at the gain $\sigma_w$, "
    "where (8) does not.",
    page=LOST,
    recorded="holds",
    recorded_number=1.25,
    tolerance=1e-3,
)
def gain_adjusted_keeps_the_gain() -> Verdict:
    """Descent on each penalty alone, from 1.25 Q and a random change: 24 x 24, 10 starts, sigma_w = 1.25."""
    gain, ends = 1.25, {1.0: [], 1.25: []}
    for seed in range(10):
        rng = np.random.default_rng([36, seed])
        start = gain * haar(24, rng=rng) + 0.2 * gaussian(24, rng=rng)
        for target, found in ends.items():
            W = start
            for _ in range(150):
                W = W - 0.04 * penalties.so_gradient(W, gain=target)
            found.append(np.linalg.svd(W, compute_uv=False))
    kept, lost = np.array(ends[gain]), np.array(ends[1.0])
    at_rest = np.linalg.norm(penalties.so_gradient(gain * haar(24, rng=0), gain=gain)) < 1e-12
    right = at_rest and np.abs(kept - gain).max() < 1e-3 and np.abs(lost - 1).max() < 1e-3
    half = penalty_flow.time_between(gain, (1 + gain) / 2)
    return Verdict(
        "holds" if right else "fails",
        float(kept.mean()),
        r"mean singular value after descent on (10) alone with $\sigma_w = 1.25$, ten random starts near $1.25\,Q$",
        rf"Under (8) it is {lost.mean():.3f}, and half of the excess is lost after the time ${half:.3f}/\lambda$. "
        r"Beside a loss it holds if $\lambda$ is large enough against the loss's gradient.",
    )


@claim(
    "10-norm",
    deck="slide group IV, at equation (10)",
    statement=r"The penalty (10) makes $W$ orthogonal with a norm of $\sigma_w^2$.",
    page=ADJUSTED,
    recorded="fails",
    recorded_number=1.3,
    tolerance=1e-6,
)
def norm_at_the_minimum() -> Verdict:
    """sigma_w = 1.3, a 20 x 20 matrix: the spectral norm where (10) is 0, and (10) at sigma_w^2 Q."""
    gain, Q = 1.3, haar(20, rng=37)
    least, other = penalties.so(gain * Q, gain=gain), penalties.so(gain**2 * Q, gain=gain)
    norm = float(np.linalg.norm(gain * Q, 2))
    wrong = least < 1e-20 and other > 1 and abs(norm - gain) < 1e-12
    return Verdict(
        "fails" if wrong else "holds",
        norm,
        r"spectral norm of $W$ where (10) is 0, for $\sigma_w = 1.3$; $\sigma_w^2$ would be 1.69",
        rf"At $\sigma_w^2 Q$ the penalty is $N(\sigma_w^2 - 1)^2 = {other:.2f}$ for $N = 20$. The norm is $\sigma_w$; "
        r"$\sigma_w^2$ is what $WW^\top$ has on its diagonal.",
    )


@claim(
    "10-gradient",
    deck="the report behind the deck, at equation (10)",
    statement=r"The gradient of $\lambda \lVert WW^\top/g^2 - I\rVert_F^2$ is $(4\lambda/g^4)\, W (W^\top W - I)$.",
    page=ADJUSTED,
    recorded="fails",
    recorded_number=4 / 1.3**3 * (1.3**2 - 1),
    tolerance=1e-6,
)
def printed_gradient_of_the_gain_adjusted() -> Verdict:
    """g = 1.3: the printed form at W = g Q, and the right one against central differences, square, tall and wide."""
    gain, Q = 1.3, haar(12, rng=38)
    W = gain * Q
    printed = 4 / gain**4 * W @ (W.T @ W - np.eye(12))
    rng, errors = np.random.default_rng(39), []
    for shape in ((6, 6), (7, 4), (4, 7)):
        X, Z, h = rng.standard_normal(shape), rng.standard_normal(shape), 1e-6
        difference = (penalties.so(X + h * Z, gain=gain) - penalties.so(X - h * Z, gain=gain)) / (2 * h)
        errors.append(abs(np.sum(penalties.so_gradient(X, gain=gain) * Z) - difference) / abs(difference))
    at_rest = np.linalg.norm(penalties.so_gradient(W, gain=gain), 2)
    wrong = np.linalg.norm(printed, 2) > 0.1 and at_rest < 1e-12 and max(errors) < 1e-7
    return Verdict(
        "fails" if wrong else "holds",
        float(np.linalg.norm(printed, 2)),
        r"spectral norm of the printed gradient at $W = gQ$, $g = 1.3$, where the penalty has its minimum 0",
        rf"True is $(4\lambda/g^2)\, W (W^\top W/g^2 - I)$: 0 there, and within {max(errors):.0e} of central "
        r"differences. The printed form is the gradient of the plain penalty with the coefficient $\lambda/g^4$.",
    )

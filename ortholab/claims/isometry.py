"""Chapter I: equations (1) to (4) of the 2019 deck, and claim (A)."""

from __future__ import annotations

import numpy as np

from ortholab.claims import Verdict, claim
from ortholab.theory import (
    c_star,
    chi,
    critical_point,
    fixed_points,
    gaussian,
    log_singular_values,
    q_star,
    simulate,
    variance_map,
)

PAGES = "1-isometry/"


@claim(
    "1",
    deck="slide group I, equation (1)",
    statement=r"The Jacobian of a deep network is $J = \prod_l D^l W^l$.",
    page=PAGES + "jacobian",
    recorded="holds if",
)
def jacobian_is_the_ordered_product() -> Verdict:
    """Hold the product in both orders against central finite differences of a tanh network (n = 30, L = 5)."""
    rng = np.random.default_rng(1)
    n, step = 30, 1e-5
    W = [gaussian(n, sigma_w=1.5, rng=rng) for _ in range(5)]
    x = rng.standard_normal(n)

    def run(v: np.ndarray) -> np.ndarray:
        for w in W:
            v = np.tanh(w @ v)
        return v

    measured = np.stack([(run(x + step * e) - run(x - step * e)) / (2 * step) for e in np.eye(n)], axis=1)
    factors = []
    for w in W:
        factors.append((1 - np.tanh(w @ x) ** 2)[:, None] * w)
        x = np.tanh(w @ x)
    right, wrong = (
        float(np.linalg.norm(simulate.product(order) - measured) / np.linalg.norm(measured))
        for order in (factors, factors[::-1])
    )
    kind = "holds if" if right < 1e-6 < 0.1 < wrong else "fails"
    return Verdict(
        kind,
        wrong,
        "relative error of the product in the opposite order",
        f"With the latest layer leftmost the product is the Jacobian (error {right:.0e}).",
        condition="the latest layer stands leftmost; the deck leaves the order open" if kind == "holds if" else "",
    )


@claim(
    "1-isometry",
    deck="slide group I, text at equation (1)",
    statement="Isometry means that the eigenvalues of the Jacobian are one.",
    page=PAGES + "jacobian",
    recorded="fails",
    recorded_number=1000.0,
    tolerance=1e-3,
)
def unit_eigenvalues_are_isometry() -> Verdict:
    """Take a shear: its eigenvalues are both one."""
    shear = np.array([[1.0, 1e3], [0.0, 1.0]])
    stretch = float(np.linalg.norm(shear, 2))
    unit = np.allclose(np.linalg.eigvals(shear), 1.0)
    return Verdict(
        "fails" if unit and stretch > 1.01 else "holds",
        stretch,
        "largest stretch of a matrix whose eigenvalues are both 1",
        "Isometry is a statement about singular values: all of them are one.",
    )


@claim(
    "1-condition",
    deck="slide group I, text at equation (1)",
    statement=r"A condition number $s_{\max}^2 / s_{\min}^2$ of one makes a network isometric.",
    page=PAGES + "jacobian",
    recorded="fails",
    recorded_number=0.5**50,
    tolerance=1e-6,
)
def unit_condition_is_isometry() -> Verdict:
    """Take 50 layers that each halve: perfectly conditioned, and nothing gets through."""
    s = np.exp(log_singular_values([0.5 * np.eye(4)] * 50))
    condition = (s[0] / s[-1]) ** 2
    return Verdict(
        "fails" if abs(condition - 1) < 1e-12 and s[0] < 0.5 else "holds",
        float(s[0]),
        "every singular value of a product with condition number 1",
        "The condition number compares directions with one another; isometry also fixes their size.",
    )


@claim(
    "2",
    deck="slide group I, equation (2)",
    statement=r"The variance of the pre-activations follows "
    r"$q^{l+1} = \sigma_w^2\,\mathbb{E}[\phi(\sqrt{q^l} z)^2] + \sigma_b^2$.",
    page=PAGES + "signal_propagation",
    recorded="holds",
)
def variance_follows_the_map() -> Verdict:
    """One hard-tanh layer from q = 1.7: 200 networks of width 500; theory within 4 standard errors of the mean."""
    rng = np.random.default_rng(3)
    sigma_w, sigma_b, q = 1.4, 0.3, 1.7
    measured = np.array([_next_variance("hard_tanh", q, sigma_w, sigma_b, 500, rng) for _ in range(200)])
    error = measured.std(ddof=1) / np.sqrt(measured.size)
    gap = float(abs(measured.mean() - variance_map("hard_tanh", q, sigma_w, sigma_b)))
    return Verdict(
        "holds" if gap < 4 * error else "fails",
        gap / error,
        "distance from simulation, in standard errors",
        f"It is exact as the width grows; 200 networks of width 500 give {measured.mean():.4f} with error {error:.4f}.",
    )


def _next_variance(activation: str, q: float, sigma_w: float, sigma_b: float, width: int, rng) -> float:
    x = simulate.inputs_at(activation, q, width, rng=rng)
    h = gaussian(width, sigma_w=sigma_w, rng=rng) @ x + sigma_b * rng.standard_normal(width)
    return float(np.mean(h**2))


@claim(
    "2-variance",
    deck="slide group I, text at equation (2)",
    statement=r"In equation (2), $\sigma_w^2$ is the variance of the weights.",
    page=PAGES + "signal_propagation",
    recorded="fails",
    recorded_number=400.0,
    tolerance=0.1,
)
def sigma_w_is_the_variance_of_a_weight() -> Verdict:
    """Draw weights of variance sigma_w^2 = 1 as the text says, at N = 400, and send a unit signal through."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal(400)
    gain = float(np.mean((rng.standard_normal((400, 400)) @ x) ** 2) / np.mean(x**2))
    return Verdict(
        "fails" if abs(gain - 1) > 0.5 else "holds",
        gain,
        r"growth of $q$ in one linear layer at $N = 400$ where (2) says 1",
        r"The variance of one weight is $\sigma_w^2 / N$.",
    )


@claim(
    "3",
    deck="slide group I, equation (3)",
    statement=r"The variance converges to a fixed point "
    r"$q^* = \sigma_w^2\,\mathbb{E}[\phi(\sqrt{q^*} z)^2] + \sigma_b^2$.",
    page=PAGES + "signal_propagation",
    recorded="holds if",
)
def variance_has_a_fixed_point() -> Verdict:
    """Count the attracting fixed points of tanh on a grid of points; then ReLU and GELU."""
    grid = [(w, b) for w in (0.5, 0.9, 1.3, 2.0, 4.0) for b in (0.0, 0.1, 0.5)]
    unique = all(len(fixed_points("tanh", w, b).stable) == 1 for w, b in grid)
    exceptions = fixed_points("relu", 2**0.5).kind, fixed_points("relu", 1.5, 0.1).kind
    high = fixed_points("gelu", 1.5, 0.1).points[-1]
    found = unique and exceptions == ("every q", "none") and high.stability == "unstable"
    return Verdict(
        "holds if" if found else "fails",
        high.q,
        r"start above which $q$ grows without bound for GELU at $\sigma_w = 1.5$, $\sigma_b = 0.1$",
        r"For tanh there is exactly one attracting $q^*$ at each of 15 points. For ReLU every $q$ is fixed, or none.",
        condition=r"the activation saturates, as tanh, hard-tanh and erf do" if found else "",
    )


@claim(
    "4",
    deck="slide group I, equation (4)",
    statement=r"$\chi = \sigma_w^2\,\mathbb{E}[\phi'(\sqrt{q^*} z)^2]$ "
    "is the mean of the spectral distribution of a layer's Jacobian.",
    page=PAGES + "order_to_chaos",
    recorded="holds if",
    recorded_number=8 / (3 * np.pi),
    tolerance=0.01,
)
def chi_is_the_mean_of_the_spectrum() -> Verdict:
    """A Gaussian linear layer at chi = 1, N = 800: the mean singular value and the mean squared one."""
    s = np.linalg.svd(gaussian(800, rng=5), compute_uv=False)
    right = abs(np.mean(s**2) - 1) < 0.01 and abs(np.mean(s) - 1) > 0.1
    return Verdict(
        "holds if" if right else "fails",
        float(np.mean(s)),
        r"mean singular value of a layer with $\chi = 1$, which tends to $8 / (3\pi)$",
        rf"The mean squared singular value is {np.mean(s**2):.4f}.",
        condition=r"the spectrum is that of $J^l (J^l)^\top$, the squared singular values" if right else "",
    )


@claim(
    "4-depth",
    deck="slide group I, text at equation (4)",
    statement=r"The mean of the spectrum of $J J^\top$ after $L$ layers at $q^*$ is $\chi^L$.",
    page=PAGES + "spectrum",
    recorded="holds",
    recorded_number=1.0,
    tolerance=0.1,
)
def mean_spectrum_is_chi_to_the_depth() -> Verdict:
    """tanh at sigma_w = 1.4, sigma_b = 0.2, L = 6, N = 400: the mean over 40 networks, in units of chi^L."""
    sigma_w, sigma_b, depth, width = 1.4, 0.2, 6, 400
    rng = np.random.default_rng(6)
    q = q_star("tanh", sigma_w, sigma_b)
    options = dict(depth=depth, width=width, sigma_w=sigma_w, sigma_b=sigma_b, rng=rng)
    squares = []
    for _ in range(40):
        x = simulate.inputs_at("tanh", q, width, rng=rng)
        squares.append(simulate.mean_squared_singular_value(simulate.jacobian_factors("tanh", x, **options)))
    ratio = np.array(squares) / chi("tanh", sigma_w, sigma_b) ** depth
    error = ratio.std(ddof=1) / np.sqrt(ratio.size)
    return Verdict(
        "holds" if abs(ratio.mean() - 1) < 4 * error + depth / width else "fails",
        float(ratio.mean()),
        r"simulated mean in units of $\chi^L$",
        f"It is a theorem in the limit of infinite width; 40 networks agree within a standard error of {error:.3f}.",
    )


@claim(
    "A",
    deck="claim (A)",
    statement=r"Where $\chi = 1$ the Jacobian is well conditioned, and the network is dynamically isometric.",
    page=PAGES + "spectrum",
    recorded="fails",
    recorded_number=0.004,
    tolerance=0.3,
)
def chi_one_is_isometry() -> Verdict:
    """Gaussian linear networks at chi = 1, N = 400, L = 16: the median singular value over 6 networks."""
    rng = np.random.default_rng(7)
    draws = [simulate.product([gaussian(400, rng=rng) for _ in range(16)]) for _ in range(6)]
    s = np.linalg.svd(np.array(draws), compute_uv=False)
    median, mean_square = float(np.median(s)), float(np.mean(s**2))
    assert critical_point("tanh", 0.0).sigma_w == 1.0  # the same point is critical for tanh at q* = 0
    return Verdict(
        "fails" if abs(mean_square - 1) < 0.2 and median < 0.1 else "holds",
        median,
        r"median singular value at $L = 16$, where isometry needs 1",
        rf"$\chi = 1$ fixes the mean of $s^2$ ({mean_square:.2f} here) and nothing else.",
    )


@claim(
    "figure-2",
    deck="Figure 2",
    statement="A line in the plane of the variances parts order from chaos for tanh: below it inputs become alike, "
    "above it they part.",
    page=PAGES + "order_to_chaos",
    recorded="holds",
    recorded_number=1.7610,
    tolerance=1e-3,
)
def a_line_parts_order_from_chaos() -> Verdict:
    """Tanh: the line at three bias variances, and the correlation of two inputs just off it, after many layers."""
    found, parted = [], True
    for variance in (0.05, 0.15, 0.25):
        point = critical_point("tanh", variance**0.5)
        found.append(point.sigma_w**2)
        inside, outside = (c_star("tanh", point.sigma_w * factor, point.sigma_b) for factor in (0.95, 1.05))
        parted = parted and inside > 1 - 1e-6 and outside < 0.99
    listed = ", ".join(f"{value:.4f}" for value in found)
    return Verdict(
        "holds" if parted else "fails",
        found[0],
        r"$\sigma_w^2$ on the line for tanh at $\sigma_b^2 = 0.05$",
        rf"At $\sigma_b^2 = 0.05, 0.15, 0.25$ it is {listed}. Five per cent below in $\sigma_w$ two inputs end with "
        "correlation 1; five per cent above they do not.",
    )

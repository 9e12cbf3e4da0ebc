"""Chapter II: equations (5) to (7) of the 2019 deck, Figure 3, and the theory half of claim (C)."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erf

from ortholab.claims import Verdict, claim
from ortholab.theory import (
    JacobianSpectrum,
    chi,
    critical_at,
    fixed_points,
    fuss_catalan_cdf,
    fuss_catalan_edge,
    gaussian,
    get_activation,
    log_singular_values,
    simulate,
    variance_map,
)

PAGES = "2-initialization/"


@claim(
    "5",
    deck="slide group II, equation (5)",
    statement=r"The only critical point of a linear network, with its fixed point $q^*$, is "
    r"$(\sigma_w, \sigma_b) = (1, 0)$.",
    page=PAGES + "linear_isometry",
    recorded="holds if",
    recorded_number=0.2,
    tolerance=1e-9,
)
def only_one_critical_point() -> Verdict:
    """Hold chi on a grid, the variance map at (1, 0), and the fixed point at sigma_w^2 = .5, sigma_b^2 = .1."""
    grid = np.linspace(0.5, 1.5, 21)
    only = all(
        (abs(chi("linear", w, 0.0) - 1) < 1e-12) == (abs(w - 1) < 1e-12)
        for w in grid
        if w < 1 or abs(w - 1) < 1e-12  # beyond 1 the variance has no fixed point but 0
    )
    every = all(abs(variance_map("linear", q, 1.0, 0.0) - q) < 1e-12 for q in (0.1, 1.0, 7.0))
    away = fixed_points("linear", 0.5**0.5, 0.1**0.5).points[-1].q
    return Verdict(
        "holds if" if only and every and away > 0 else "fails",
        float(away),
        r"$q^*$ of a linear network at $\sigma_w^2 = 0.5$, $\sigma_b^2 = 0.1$, which is not critical",
        r"At $(1, 0)$ every $q$ is fixed. For each $\sigma_w < 1$ there is a fixed point too, "
        r"$\sigma_b^2 / (1 - \sigma_w^2)$, with $\chi = \sigma_w^2 < 1$.",
        condition=r"it is read as a statement about criticality, not about fixed points",
    )


@claim(
    "5-edge",
    deck="slide group II, text after equation (5)",
    statement=r"A product of $L$ Gaussian matrices has $\lambda_{\max} = (L+1)^{L+1}/L^L \sim L$ and variance $L$.",
    page=PAGES + "linear_isometry",
    recorded="holds",
    recorded_number=273.186,
    tolerance=1e-6,
)
def gaussian_products_spread() -> Verdict:
    """Six products of 4 matrices, N = 500: largest and mean squared lambda against theory; the edge at L = 100."""
    depth, rng = 4, np.random.default_rng(11)
    s = _product_singular_values(depth, 500, 6, rng)
    top = float(np.mean(s[:, 0] ** 2)) / fuss_catalan_edge(depth) ** 2
    variance = float(np.mean(s**4) - np.mean(s**2) ** 2)
    law = JacobianSpectrum("linear", depth, weights="gaussian")
    agree = abs(top - 1) < 0.1 and abs(variance - depth) < 0.4 and abs(law.variance - depth) < 1e-9
    edge = fuss_catalan_edge(100) ** 2
    return Verdict(
        "holds" if agree and abs(edge / (math.e * 100.5) - 1) < 1e-3 else "fails",
        edge,
        r"$\lambda_{\max}$ at $L = 100$; it grows like $eL + e/2$",
        f"Six products of 4 matrices of width 500 reach {top:.3f} of the edge and have variance {variance:.2f}.",
    )


def _product_singular_values(depth: int, width: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    products = [simulate.product([gaussian(width, rng=rng) for _ in range(depth)]) for _ in range(draws)]
    return np.linalg.svd(np.array(products), compute_uv=False)


@claim(
    "3BC",
    deck="Figure 3, panels B and C",
    statement="The singular values and the complex eigenvalues of products of Gaussian matrices spread over many "
    "orders of magnitude as factors are added.",
    page=PAGES + "linear_isometry",
    recorded="holds",
    recorded_number=0.0214,
    tolerance=0.3,
)
def products_spread() -> Verdict:
    """Eight products of 1 and 5 factors, N = 300: distance of both lists from their laws; the median at L = 100."""
    rng, gaps = np.random.default_rng(12), []
    for depth in (1, 5):
        products = [simulate.product([gaussian(300, rng=rng) for _ in range(depth)]) for _ in range(8)]
        s = np.linalg.svd(np.array(products), compute_uv=False)
        gaps.append(_kolmogorov(s, lambda s, L=depth: fuss_catalan_cdf(s, L)))
        radius = np.abs(np.linalg.eigvals(np.array(products)))
        gaps.append(_kolmogorov(radius, lambda r, L=depth: np.minimum(r, 1.0) ** (2 / L)))
    deep = log_singular_values([gaussian(100, rng=rng) for _ in range(100)])
    return Verdict(
        "holds" if max(gaps) < 0.03 and np.median(deep) < -15 else "fails",
        max(gaps),
        "largest Kolmogorov distance from the Fuss-Catalan law and from the radial law $r^{2/L}$, for 1 and 5 factors",
        f"After 100 factors of width 100 the median singular value is $e^{{{np.median(deep):.0f}}}$, "
        f"the largest {np.exp(deep[0]):.1f}.",
    )


def _kolmogorov(sample: np.ndarray, cdf) -> float:
    """The largest distance between the pooled sample's distribution function and a continuous ``cdf``."""
    ordered = np.sort(sample, axis=None)
    steps = np.arange(ordered.size + 1) / ordered.size
    at = cdf(ordered)
    return float(max(np.max(at - steps[:-1]), np.max(steps[1:] - at)))


@claim(
    "B",
    deck="claim (B), Figure 3, panel A",
    statement="With orthogonal starts the learning time of a deep linear network does not depend on depth; with "
    "Gaussian (Glorot) starts it grows.",
    page=PAGES + "learning_dynamics",
    recorded="holds if",
    recorded_number=1.9,
    tolerance=0.15,
)
def learning_time_is_flat() -> Verdict:
    """MNIST, best step size at each depth, five seeds: the ratios that Figure 3 A turns on, with 95 % intervals."""
    from ortholab.experiments import linear_depth

    flat, grows = linear_depth.claim_ratios()
    holds = flat.high < 2.5 and grows.low > 6
    least = "at least " if grows.lower_bound else ""
    return Verdict(
        "holds if" if holds else "fails",
        flat.value,
        "longest over shortest learning time of orthogonal starts, 2 to 100 matrices, at the best step size of each",
        f"95 % interval {flat.low:.2f} to {flat.high:.2f}. A Gaussian start needs {least}{grows.value:.1f} times as "
        "many steps with 32 matrices as with 4.",
        interval=(flat.low, flat.high),
        condition="the strengths at the start are of the order of the data's: then depth costs at most a bounded "
        "factor, $1/u_0 - 1/u_f$ steps, and not nothing"
        if holds
        else "",
    )


@claim(
    "hardtanh-p",
    deck="slide group II, text before equation (6)",
    statement=r"A hard-tanh unit has slope one with probability $p = \operatorname{erf}\bigl(1/(\sqrt2\, q^*)\bigr)$.",
    page=PAGES + "relu_vs_hardtanh",
    recorded="fails",
    recorded_number=0.9545,
    tolerance=2e-3,
)
def share_of_slope_one() -> Verdict:
    """q = .25: a million Gaussian pre-activations."""
    q, rng = 0.25, np.random.default_rng(13)
    inside = get_activation("hard_tanh").dphi(q**0.5 * rng.standard_normal(1_000_000)) ** 2
    printed, right = float(erf(1 / (2**0.5 * q))), float(erf(1 / (2 * q) ** 0.5))
    error = float(inside.std() / inside.size**0.5)
    measured = float(inside.mean())
    wrong = abs(measured - right) < 4 * error < abs(measured - printed)
    return Verdict(
        "fails" if wrong else "holds",
        measured,
        rf"share of slope one at $q^* = 0.25$, measured; the printed form gives {printed:.4f}",
        r"$q^*$ is a variance, so its root belongs in the formula: "
        rf"$\operatorname{{erf}}\bigl(1/\sqrt{{2 q^*}}\bigr) = {right:.4f}$.",
    )


@claim(
    "6",
    deck="slide group II, equation (6)",
    statement=r"With Gaussian weights $\lambda_{\max}$ is proportional to $\sigma_w^{2L} p^{L-1} L$, and the variance "
    r"at criticality is $L/p$.",
    page=PAGES + "relu_vs_hardtanh",
    recorded="holds if",
    recorded_number=math.e,
    tolerance=1e-3,
)
def gaussian_edge_is_proportional() -> Verdict:
    """ReLU, exact edges for L = 2 to 200; variance by simulation at L = 4, N = 500."""
    laws = {depth: JacobianSpectrum("relu", depth, weights="gaussian") for depth in (2, 8, 200)}
    factor = {depth: law.lambda_max / (2 * depth) for depth, law in laws.items()}  # sigma_w^2 p = 1, so it is L/p
    spread = _variance_of_lambda("relu", 1.0, 2**0.5, "gaussian", depth=4)
    right = abs(factor[200] - math.e) < 1e-3 < 0.02 < abs(factor[2] - math.e) and abs(spread / 8 - 1) < 0.15
    return Verdict(
        "holds if" if right else "fails",
        factor[200],
        r"$\lambda_{\max}$ in units of $\sigma_w^{2L} p^{L-1} L$, ReLU, $L = 200$",
        f"The factor is {factor[2]:.3f} at $L = 2$ and {factor[8]:.3f} at $L = 8$: it tends to $e$. "
        f"Simulated variance at $L = 4$: {spread:.2f}, where $L/p$ is 8.",
        condition="the network is deep; the exact edge is a root of a quadratic" if right else "",
    )


def _variance_of_lambda(name: str, q: float, sigma_w: float, kind: str, depth: int, width: int = 500) -> float:
    """The simulated variance of the eigenvalues of J J^T, pooled over 8 networks."""
    rng, lam = np.random.default_rng(14), []
    for _ in range(8):
        x = simulate.inputs_at(name, q, width, rng=rng)
        options = dict(depth=depth, width=width, sigma_w=sigma_w, kind=kind, rng=rng)
        J = simulate.product(simulate.jacobian_factors(name, x, **options))
        lam.append(np.linalg.eigvalsh(J @ J.T))
    return float(np.var(lam))


@claim(
    "7",
    deck="slide group II, equation (7)",
    statement=r"With orthogonal weights $\lambda_{\max}$ is proportional to "
    r"$\sigma_w^{2L} p^{L-1} (1-p) L^L / (L-1)^{L-1}$, and the variance at criticality is $L (1-p)/p$.",
    page=PAGES + "relu_vs_hardtanh",
    recorded="holds if",
    recorded_number=1.225,
    tolerance=0.01,
)
def orthogonal_edge() -> Verdict:
    """Hard-tanh of p = .951 and ReLU, L = 8, N = 400: the largest singular value of 4 networks each."""
    depth = 8
    measured, printed, law = {}, {}, {}
    for name, q in (("hard_tanh", _variance_where_p_is(0.951)), ("relu", 1.0)):
        law[name] = JacobianSpectrum(name, depth, q=q)
        p = law[name].law.mean()
        printed[name] = math.sqrt((1 - p) / p * depth**depth / (depth - 1) ** (depth - 1))
        measured[name] = _largest(name, q, law[name].sigma_w, depth)
    low, high = (measured[name] / law[name].s_max for name in ("hard_tanh", "relu"))
    equal = abs(printed["relu"] / law["relu"].s_max - 1) < 1e-9
    wrong = abs(low - 1) < 0.02 < 0.1 < abs(measured["hard_tanh"] / printed["hard_tanh"] - 1)
    right = equal and wrong and abs(high - 1) < 0.12
    return Verdict(
        "holds if" if right else "fails",
        measured["hard_tanh"],
        rf"largest singular value of simulated hard-tanh networks at $L(1-p) = 0.39$, where the printed form gives "
        rf"{printed['hard_tanh']:.3f}",
        r"Where $L(1-p) > 1$ the proportionality is an equality. Elsewhere the largest eigenvalue is "
        r"$\sigma_w^{2L}$, and a fraction $1 - L(1-p)$ of all eigenvalues sits exactly there.",
        condition=r"$L(1-p) > 1$: it fails exactly in the isometric regime" if right else "",
    )


def _variance_where_p_is(p: float) -> float:
    """The q at which hard-tanh has slope one with probability p."""
    from scipy.special import erfinv

    return float(1 / (2 * erfinv(p) ** 2))


def _largest(name: str, q: float, sigma_w: float, depth: int, width: int = 400) -> float:
    """The largest singular value of J at the critical point of variance q, averaged over 4 orthogonal networks."""
    rng, sigma_b = np.random.default_rng(15), critical_at(name, q).sigma_b if name != "relu" else 0.0
    tops = []
    for _ in range(4):
        x = simulate.inputs_at(name, q, width, rng=rng)
        options = dict(depth=depth, width=width, sigma_w=sigma_w, sigma_b=sigma_b, kind="orthogonal", rng=rng)
        tops.append(np.linalg.norm(simulate.product(simulate.jacobian_factors(name, x, **options)), 2))
    return float(np.mean(tops))


@claim(
    "7-isometry",
    deck="slide group II, text after equation (7)",
    statement="Orthogonal hard-tanh networks achieve dynamical isometry.",
    page=PAGES + "relu_vs_hardtanh",
    recorded="holds if",
    recorded_number=0.1305,
    tolerance=0.01,
)
def hard_tanh_is_isometric() -> Verdict:
    """p = .951, L = 8: the share of singular values below .1, beside tanh at sigma_w^2 = 1.05, same depth."""
    hard = JacobianSpectrum("hard_tanh", 8, q=_variance_where_p_is(0.951))
    smooth = JacobianSpectrum("tanh", 8, sigma_w=1.05**0.5, sigma_b=2.01e-5**0.5)
    lost, kept = float(hard.cdf_of_s(0.1)), float(smooth.cdf_of_s(0.1))
    dead = dict(hard.atoms).get(0.0, 0.0)
    # at fixed q* the variance L (1-p)/p grows without bound
    deep = JacobianSpectrum("hard_tanh", 1000, q=_variance_where_p_is(0.951)).variance
    right = hard.s_max < 1.3 and dead > 0 and lost > 0.1 and kept < 1e-9 and deep > 10
    return Verdict(
        "holds if" if right else "fails",
        lost,
        r"share of singular values below 0.1 at $p = 0.951$, $L = 8$ (tanh with $\sigma_w^2 = 1.05$ has none)",
        rf"A fraction $1 - p = {dead:.3f}$ of all directions is exactly dead, at every depth; "
        r"at fixed $q^*$ the variance $L(1-p)/p$ grows with depth.",
        condition=r"$1 - p$ is of order $1/L$, and the dead directions are left out" if right else "",
    )


@claim(
    "C-theory",
    deck="slide group II, theory behind claim (C)",
    statement="Sigmoidal networks can be made dynamically isometric at any depth; ReLU networks cannot.",
    page=PAGES + "relu_vs_hardtanh",
    recorded="holds",
    recorded_number=0.125,
    tolerance=0.05,
)
def sigmoids_can_relu_cannot() -> Verdict:
    """Variance of the spectrum of J J^T, orthogonal and critical, L = 8 to 2000; tanh at q* = 1/sqrt(64 L)."""
    depths = (8, 32, 128, 512, 2000)
    relu = [JacobianSpectrum("relu", depth).variance for depth in depths]
    tanh = [JacobianSpectrum("tanh", depth, q=1 / math.sqrt(64 * depth)).variance for depth in depths]
    bounded = max(tanh) < 0.13 and abs(tanh[-1] - 0.125) < 0.01
    return Verdict(
        "holds" if bounded and np.allclose(relu, depths) else "fails",
        tanh[-1],
        r"variance of $\lambda$ for orthogonal tanh at $L = 2000$, $q^* = 1/\sqrt{64 L}$; it tends to 1/8",
        r"The variance is $L(\mu_2/\mu_1^2 - 1)$. For tanh it is about $8 L q^{*2}$, which a small $q^*$ keeps small; "
        "for ReLU it is $L$, whatever the weights' variance.",
    )


@claim(
    "C",
    deck="claim (C), Figure 4",
    statement="Isometric non-linear networks learn faster.",
    page=PAGES + "training_deep_nets",
    recorded="holds if",
    recorded_number=33.0,
    tolerance=0.3,
)
def isometric_networks_learn_sooner() -> Verdict:
    """Six 50-layer networks on MNIST: how much later ReLU reaches 30 % than isometric tanh, at least; three seeds."""
    from ortholab.experiments.deep_result import claim_speedups

    ratios = claim_speedups(seeds=(0, 1, 2), max_steps=120)
    least = min(ratios.values(), key=lambda ratio: ratio.value)
    holds = all(ratio.low > 5 for ratio in ratios.values())
    return Verdict(
        "holds if" if holds else "fails",
        least.value,
        "steps of a ReLU network to a test accuracy of 30 %, over those of the isometric one, "
        + ("at least" if least.lower_bound else "geometric mean"),
        f"{least.seeds} paired seeds, 95 % interval {least.low:.0f} to {least.high:.0f}; MNIST, depth 50, width 100. "
        + ("The ReLU networks were cut short at 120 steps." if least.lower_bound else ""),
        interval=None if least.lower_bound else (least.low, least.high),
        condition="learning is counted in steps of plain gradient descent, each network at its own best step size"
        if holds
        else "",
    )

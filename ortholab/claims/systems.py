"""The systems that the deck cites: what each paper's own method or law promises, tried on what this book built."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from ortholab.claims import Verdict, claim
from ortholab.theory import (
    JacobianSpectrum,
    UniversalSpectrum,
    critical_at,
    deep_linear,
    get_activation,
    haar,
    penalties,
    simulate,
    stiefel,
)
from ortholab.theory.srip import power_iteration


@claim(
    "saxe",
    deck="a cited system: exact dynamics of deep linear networks",
    statement="From an aligned, balanced start, gradient descent on a deep linear network learns each mode on its own, "
    r"by $\tau\dot u = n\,u^{2-2/n}(s-u)$.",
    page="2-initialization/learning_dynamics",
    recorded="holds",
    recorded_number=0.00082,
    tolerance=0.2,
)
def modes_learn_alone() -> Verdict:
    """Three modes, 4 matrices of width 8, trained by plain gradient descent: largest distance from the solution."""
    strengths, starts, step, steps = np.array([1.0, 0.6, 0.3]), np.array([0.2, 0.15, 0.1]), 0.005, 2000
    weights = deep_linear.aligned_start(starts, 8, 4, rng=61)
    target = np.zeros((8, 8))
    target[:3, :3] = np.diag(strengths)
    found = deep_linear.train(weights, target, step=step, steps=steps, every=20)
    times = np.arange(0, steps + 1, 20) * step
    exact = [deep_linear.trajectory(times, u, 4, s=s) for u, s in zip(starts, strengths, strict=True)]
    gap = float(np.abs(found[:, range(3), range(3)] - np.array(exact).T).max())
    mixed = float(np.abs(found - np.einsum("tii->ti", found)[:, :, None] * np.eye(8)).max())
    return Verdict(
        "holds" if gap < 0.01 and mixed < 1e-9 else "fails",
        gap,
        "largest distance of a trained mode's strength from the exact curve, step size 0.005",
        f"The modes do not mix: entries off the diagonal stay below {max(mixed, 1e-15):.0e}. The distance is that of "
        "gradient descent from gradient flow, and falls with the step size.",
    )


@claim(
    "pennington-2017",
    deck="a cited system: the spectrum of the Jacobian by free probability",
    statement=r"At infinite width the spectrum of $JJ^\top$ follows from the law of $\phi'^2$ and of $W$ alone.",
    page="2-initialization/relu_vs_hardtanh",
    recorded="holds",
    recorded_number=0.0048,
    tolerance=0.2,
)
def free_spectrum() -> Verdict:
    """Three orthogonal tanh networks, 8 layers of width 300, q* = 1/4: the distribution of s against the theory's."""
    q, depth, width, draws = 0.25, 8, 300, 3
    point, law, rng = critical_at("tanh", q), JacobianSpectrum("tanh", depth, q=q), np.random.default_rng(62)
    s = []
    for _ in range(draws):
        x = simulate.inputs_at("tanh", point.q, width, rng=rng)
        factors = simulate.jacobian_factors(
            "tanh",
            x,
            depth=depth,
            width=width,
            kind="orthogonal",
            sigma_w=point.sigma_w,
            sigma_b=point.sigma_b,
            rng=rng,
        )
        s.append(np.linalg.svd(simulate.product(factors), compute_uv=False))
    ordered = np.sort(s, axis=None)
    at = law.cdf_of_s(ordered)
    steps = np.arange(ordered.size + 1) / ordered.size
    gap = float(max(np.max(at - steps[:-1]), np.max(steps[1:] - at)))
    return Verdict(
        "holds" if gap < 1.63 / np.sqrt(ordered.size) else "fails",  # 1.63: one in a hundred for independent values
        gap,
        f"Kolmogorov distance of {ordered.size} simulated singular values from the theory's distribution",
        f"The largest of them is {ordered[-1]:.2f}; at infinite width the edge is {law.s_max:.2f}.",
    )


@claim(
    "pennington-2018",
    deck="a cited system: universal spectra of isometric networks",
    statement=r"As $L \to \infty$ at fixed $L(\mu_2/\mu_1^2 - 1)$, smooth activations share one spectrum.",
    page="2-initialization/infinite_width",
    recorded="holds",
    recorded_number=0.0905,
    tolerance=0.05,
)
def smooth_activations_share_a_spectrum() -> Verdict:
    """Tanh and erf at depths 50 and 500, variance 1: the largest s and three quantiles against the limit's."""
    limit, places, gaps = UniversalSpectrum(1.0, "smooth"), np.array([0.1, 0.5, 0.9]), {}
    for depth in (50, 500):
        each = []
        for name in ("tanh", "erf"):
            phi = get_activation(name)
            q = brentq(lambda q, f=phi, L=depth: L * (f.slope_moment(q, 2) / f.slope_moment(q) ** 2 - 1) - 1, 1e-4, 1.0)
            law = JacobianSpectrum(name, depth, q=q)
            quantiles = np.sqrt(law.quantile(places) / limit.quantile(places))
            each += [abs(law.s_max / limit.s_max - 1), *np.abs(quantiles - 1)]
        gaps[depth] = float(max(each))
    # The first correction falls like L^(-1/2), see the page on universality: a distance that stops short of it fails.
    power = np.log(gaps[50] / gaps[500]) / np.log(10)
    return Verdict(
        "holds" if abs(power - 0.5) < 0.1 else "fails",
        gaps[500],
        "largest relative distance of $s$ from the limit: its edge and three quantiles, tanh and erf, $L = 500$",
        f"At $L = 50$ it is {gaps[50]:.3f}: it falls like $L^{{-{power:.2f}}}$, slowly. The limit's edges are "
        f"{limit.s_min:.4f} and {limit.s_max:.4f}. Hard-tanh is not smooth: its limit is another one.",
    )


@claim(
    "vorontsov",
    deck="a cited system: Cayley updates and the spectral margin",
    statement=r"Cayley steps keep the factors of $W = USV^\top$ orthogonal, and the singular values in $(1-m, 1+m)$.",
    page="3-constraints/spectral_margin",
    recorded="holds",
    recorded_number=0.1,
    tolerance=1e-3,
)
def factors_stay() -> Verdict:
    """300 updates of a 16 x 16 matrix along random gradients, margin 0.1: how far singular values go from 1."""
    import torch

    from ortholab.nn import SpectralMargin
    from ortholab.nn.init import haar as torch_haar

    W = torch_haar(16, generator=63, dtype=torch.float64)
    update = SpectralMargin(W, 0.1, rate=0.1, basis_rate=0.1, generator=64)
    drawn = torch.Generator().manual_seed(65)
    for _ in range(300):
        update.update(W, W - 2 * torch.eye(16, dtype=torch.float64) + torch.randn(16, 16, generator=drawn).double() / 9)
    s = torch.linalg.svdvals(W)
    eye = torch.eye(16, dtype=torch.float64)
    drift = max(float((F.T @ F - eye).abs().max()) for F in (update.U, update.V))
    reach = float((s - 1).abs().max())
    return Verdict(
        "holds" if reach < 0.1 and drift < 1e-10 else "fails",
        reach,
        r"largest $|s_i - 1|$ after 300 updates that pull all singular values to 2, for $m = 0.1$",
        f"$U$ and $V$ have left the orthogonal matrices by {drift:.0e}, in float64 and without a correction.",
    )


@claim(
    "helfrich",
    deck="a cited system: the scaled Cayley transform",
    statement=r"With a diagonal $D$ of signs, $W = (I+A)^{-1}(I-A)D$ reaches every orthogonal matrix.",
    page="3-constraints/hard_constraints",
    recorded="holds",
    recorded_number=1.56,
    tolerance=0.05,
)
def signs_reach_everything() -> Verdict:
    """200 random orthogonal matrices of both determinants and of eigenvalue -1: D found, A solved for, W made again."""
    import torch

    from ortholab.nn.parametrize import reaching_signs

    rng, largest, gap = np.random.default_rng(66), 0.0, 0.0
    for draw in range(200):
        n = int(rng.integers(2, 9))
        Q = haar(n, rng=rng)
        if draw % 2:  # turn a plane round: eigenvalue -1, which the plain transform never reaches
            Q = Q @ np.diag([-1.0, -1.0] + [1.0] * (n - 2)) @ Q.T
        signs = np.asarray(reaching_signs(torch.as_tensor(Q)), dtype=float)
        M = Q * signs
        A = np.linalg.solve((np.eye(n) + M).T, (np.eye(n) - M).T).T
        again = np.linalg.solve(np.eye(n) + A, np.eye(n) - A) * signs
        gap, largest = max(gap, float(np.abs(again - Q).max())), max(largest, float(np.abs(A).max()))
    return Verdict(
        "holds" if gap < 1e-9 else "fails",
        largest,
        "largest entry of $A$ that was needed, 200 orthogonal matrices up to 8 x 8",
        f"Each was made again within {gap:.0e}. Without $D$ half of them, with an eigenvalue $-1$, are out of reach.",
    )


@claim(
    "huang",
    deck="a cited system: the orthogonal linear module",
    statement=r"$W = \Sigma^{-1/2}V_c$ with centred rows has orthonormal rows, for any free matrix $V$.",
    page="3-constraints/hard_constraints",
    recorded="holds if",
    recorded_number=0.0,
    tolerance=1e-9,
)
def centring_costs_a_dimension() -> Verdict:
    """Six by nine and nine by nine: the rows are orthonormal, each sums to zero, and a square W cannot be had."""
    rng = np.random.default_rng(67)
    V = rng.standard_normal((6, 9))
    centred = V - V.mean(1, keepdims=True)
    W = stiefel.project(centred)
    error, sums = float(np.abs(W @ W.T - np.eye(6)).max()), float(np.abs(W.sum(1)).max())
    square = rng.standard_normal((9, 9))
    last = float(np.linalg.svd(square - square.mean(1, keepdims=True), compute_uv=False)[-1])
    return Verdict(
        "holds if" if max(error, sums, last) < 1e-12 else "fails",
        0.0 if last < 1e-12 else last,
        "smallest singular value of a centred 9 x 9 matrix: no inverse root of its $\\Sigma$ exists",
        rf"At 6 x 9 the rows are orthonormal within {error:.0e}, and $W\mathbf{{1}} = 0$: the constant input is lost.",
        condition="there are fewer rows than columns, or groups of rows are taken" if last < 1e-12 else "",
    )


@claim(
    "bansal",
    deck="a cited system: soft penalties by power iteration",
    statement="Two products of power iteration give the spectral norm in SRIP.",
    page="3-constraints/soft_constraints",
    recorded="holds if",
    recorded_number=0.79,
    tolerance=0.05,
)
def two_products_of_power_iteration() -> Verdict:
    """Gaussian 64 x 64 matrices of variance 1/64: the norm after two products from a random start over the exact."""
    rng, cold, warm = np.random.default_rng(68), [], []
    for _ in range(40):
        W = rng.standard_normal((64, 64)) / 8
        E = W.T @ W - np.eye(64)
        exact = float(penalties.srip(W))
        for steps, kept in ((2, cold), (60, warm)):
            v = power_iteration(W, rng.standard_normal(64), steps=steps)
            kept.append(float(np.linalg.norm(E @ v)) / exact)
    share, handed_on = float(np.median(cold)), float(np.median(warm))
    return Verdict(
        "holds if" if share < 0.95 < 0.99 < handed_on else "holds" if share >= 0.95 else "fails",
        share,
        "median share of the norm that two products from a random vector find, 64 x 64 Gaussian matrices",
        f"After 60 products it is {handed_on:.3f}.",
        condition="the vector is handed on from step to step of the training" if share < 0.95 else "",
    )

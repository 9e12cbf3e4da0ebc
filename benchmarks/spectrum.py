"""Spectrum densities beside freealg's (Fuss-Catalan) and beside Monte Carlo (any activation).

python benchmarks/spectrum.py        # `pip install freealg` for the first table; without it, only our time is shown
"""

from __future__ import annotations

import _compare  # first: it sets the number of threads
import numpy as np

from ortholab.theory.activations import get_activation
from ortholab.theory.ensembles import weights as draw_weights
from ortholab.theory.fuss_catalan import fuss_catalan_density, fuss_catalan_edge
from ortholab.theory.spectrum import JacobianSpectrum

POINTS = 1000


def exact_points(depth: int) -> tuple[np.ndarray, np.ndarray]:
    """lambda and its density from the parametrisation itself: no equation is solved, so nothing can be wrong."""
    import mpmath as mp

    mp.mp.dps = 40
    lam, density = [], []
    for i in range(1, POINTS + 1):
        f = mp.pi / (depth + 1) * mp.mpf(i) / (POINTS + 1)
        top, low = mp.sin((depth + 1) * f), mp.sin(depth * f)
        s2 = top ** (depth + 1) / (mp.sin(f) * low**depth)
        if s2 > mp.mpf(10) ** -200:
            lam.append(float(s2))
            # at the double that is nearest to s2, to first order: the parametrisation's own slope carries it there
            rho = mp.sqrt(mp.sin(f) ** 3 * low ** (depth - 2) / top ** (depth - 1)) / mp.pi / mp.sqrt(s2)
            density.append(float(rho))
    return np.array(lam), np.array(density)


def fuss_catalan() -> None:
    try:
        from freealg.distributions import FussCatalan
    except ImportError as error:
        FussCatalan = None
        print(f"freealg cannot be imported here ({error}): no ratio")
    for depth in (2, 5, 10):
        grid = np.linspace(0, fuss_catalan_edge(depth) ** 2, POINTS + 2)[1:-1]
        functions = {"ortholab": lambda g=grid, L=depth: fuss_catalan_density(np.sqrt(g), L) / (2 * np.sqrt(g))}
        lam, exact = exact_points(depth)
        inside = lam < 0.999 * lam.max()  # next to the edge, rounding lambda to a double alone costs digits
        lam, exact = lam[inside], exact[inside]
        error = np.max(np.abs(fuss_catalan_density(np.sqrt(lam), depth) / (2 * np.sqrt(lam)) / exact - 1))
        line = f"relative error: ortholab {error:.1e}"
        if FussCatalan is not None:
            peer = FussCatalan(depth)
            functions["freealg"] = lambda g=grid, p=peer: p.density(g)
            off = np.abs(peer.density(lam) / exact - 1)
            line += f", freealg median {np.median(off):.1e}, over 10% at {np.sum(off > 0.1)} of {lam.size} points"
        print(_compare.row(f"Fuss-Catalan L = {depth}", _compare.medians(functions), "ortholab"))
        print(f"    {line}")


def general() -> None:
    """Time to a distribution function on 400 points; Monte Carlo has the accuracy that it has."""
    for name, depth, q, kind in (("relu", 10, 1.0, "orthogonal"), ("tanh", 10, 0.25, "orthogonal"),
                                 ("tanh", 10, 0.25, "gaussian"), ("gelu", 10, 1.0, "orthogonal")):  # fmt: skip
        exact = JacobianSpectrum(name, depth, q=q, weights=kind)
        points = np.linspace(
            exact.log_quantile(float(exact.cdf(0)) + 0.05 * exact.continuous_mass), exact.log_edges[1], 400
        )
        wanted = exact.cdf_of_log(points)
        errors = {}

        def monte_carlo(width: int, name=name, depth=depth, q=q, kind=kind, exact=exact, points=points, wanted=wanted,
                        errors=errors) -> None:  # fmt: skip
            rng = np.random.default_rng(0)
            act, J = get_activation(name), np.eye(width)
            for _ in range(depth):
                W = draw_weights(kind, width, sigma_w=exact.sigma_w, rng=rng)
                J = act.dphi(np.sqrt(q) * rng.standard_normal(width))[:, None] * (W @ J)
            s = np.maximum(np.linalg.svd(J, compute_uv=False), 1e-300)
            found = np.searchsorted(np.sort(2 * np.log(s)), points, side="right") / width
            errors[width] = np.max(np.abs(found - wanted))

        seconds = _compare.medians(
            {
                "theory": lambda n=name, L=depth, q=q, k=kind, p=points: (
                    JacobianSpectrum(n, L, q=q, weights=k).cdf_of_log(p)
                ),
                "sampled N = 250": lambda run=monte_carlo: run(250),
                "sampled N = 1000": lambda run=monte_carlo: run(1000),
            },
            repeats=3,
        )  # fmt: skip
        mass = abs(exact.expect(np.ones_like) - 1)
        print(_compare.row(f"{name} {kind} L = {depth}", seconds, "theory"))
        print(f"    error: theory {mass:.1e} (mass), sampled "
              + ", ".join(f"{e:.1e} (N = {n}, Kolmogorov)" for n, e in errors.items()))  # fmt: skip


if __name__ == "__main__":
    print(_compare.machine())
    fuss_catalan()
    print()
    general()

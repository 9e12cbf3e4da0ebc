"""The full sweep behind the spectrum's tests, as a printed report; about ten minutes on one thread.

Every case of mass, mean and variance; 10,000 requests against an independent solver; Kolmogorov distances to sampled
products at N = 1000.

    python benchmarks/spectrum_sweep.py > benchmarks/spectrum_sweep.txt
"""

from __future__ import annotations

import os
import sys
import time
from itertools import product
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "theory"))
from rotation import dense_law, rotate
from test_spectrum import free_product, kolmogorov

from ortholab.theory.activations import get_activation
from ortholab.theory.spectrum import JacobianSpectrum

NAMES = ("linear", "relu", "hard_tanh", "tanh", "erf", "gelu")
DEPTHS = (1, 2, 3, 10, 32, 100, 1000)


def integrals() -> None:
    print("Mass with atoms, mean and variance by quadrature of the density, against 1 and the closed forms")
    worst = [0.0, 0.0, 0.0]
    count, start = 0, time.perf_counter()
    for name, weights, depth in product(NAMES, ("orthogonal", "gaussian"), DEPTHS):
        for q in (1 / 64, 0.25, 1.0):
            s = JacobianSpectrum(name, depth, q=q, weights=weights)
            errors = [
                abs(s.expect(np.ones_like) - 1),
                abs(s.expect(np.exp) / s.mean - 1),
                abs(s.expect(lambda x, s=s: (np.exp(x) - s.mean) ** 2) - s.variance) / (s.variance or 1.0),
            ]
            worst = [max(a, b) for a, b in zip(worst, errors, strict=True)]
            count += 1
            if max(errors) > 1e-8:
                print(f"  {s}: mass {errors[0]:.1e}, mean {errors[1]:.1e}, variance {errors[2]:.1e}")
    mass, mean, variance = worst
    print(f"  {count} cases in {time.perf_counter() - start:.0f} s; largest error: mass {mass:.1e}, mean {mean:.1e} "
          f"(relative), variance {variance:.1e} (relative)\n")  # fmt: skip


def requests(total: int = 10_000, each: int = 50, seed: int = 20190613) -> None:
    print(f"{total} random requests against the rotation from the negative axis (seed {seed})")
    rng = np.random.default_rng(seed)
    worst, wrong, count = 0.0, 0, 0
    while count < total:
        smooth = rng.random() < 0.2
        name = str(rng.choice(["tanh", "erf", "gelu", "silu"] if smooth else ["linear", "relu", "hard_tanh"]))
        depth = int(np.exp(rng.uniform(np.log(2), np.log(1000))))
        q, sigma_w = float(np.exp(rng.uniform(-3, 1.5))), float(rng.uniform(0.7, 1.6))
        weights = "gaussian" if name == "linear" else str(rng.choice(["gaussian", "orthogonal"]))
        s = JacobianSpectrum(name, depth, q=q, sigma_w=sigma_w, weights=weights)
        if s.continuous_mass < 1e-4:
            continue
        where = s.log_quantile(float(s.cdf(0.0)) + rng.uniform(0.002, 0.998, each) * s.continuous_mass)
        act = get_activation(name)
        law = dense_law(act.dphi, q, 2000) if smooth else (s.law.atoms, s.law.masses)
        m = rotate(where, *law, depth, weights == "gaussian", 2 * np.log(sigma_w), 80)
        gap = np.abs(s.density_of_log(where) + m.imag / np.pi) / np.maximum(-m.imag / np.pi, 1e-3)
        # The rotation stops at an angle of 1e-7 and its quadrature is plain: a wrong branch is off by far more.
        again = np.flatnonzero(gap > 1e-3)
        if smooth and again.size:  # slopes near 0 (GELU, SiLU) need more nodes than 2000: look closer before judging
            m = rotate(where[again], *dense_law(act.dphi, q, 40_000), depth, weights == "gaussian", 2 * np.log(sigma_w))
            before = gap[again]
            gap[again] = np.abs(s.density_of_log(where[again]) + m.imag / np.pi) / np.maximum(-m.imag / np.pi, 1e-3)
            print(f"  {s}: {again.size} of {each} differed by up to {before.max():.1e} from 2000 nodes, "
                  f"by {gap[again].max():.1e} from 40,000")  # fmt: skip
        wrong += int(np.sum(gap > 1e-3))
        worst, count = max(worst, float(np.median(gap))), count + each
    print(
        f"  {count} requests: {wrong} differ by more than 1e-3; largest median difference of a spectrum {worst:.1e}\n"
    )


def distances(width: int = 1000, draws: int = 3) -> None:
    print(f"Kolmogorov distance to sampled products, N = {width}, {draws} draws pooled, atoms counted")
    print("  (slopes at the quantiles of their law; slopes drawn, which adds their own O(1/sqrt N))")
    worst = [0.0, 0.0]
    cases = [(n, w, L, 0.25) for n, w, L in product(NAMES, ("orthogonal", "gaussian"), (1, 3, 10))]
    cases += [("hard_tanh", "orthogonal", 8, 0.2), ("tanh", "orthogonal", 10, 1 / 64), ("gelu", "gaussian", 2, 1.0)]
    for name, weights, depth, q in cases:
        s = JacobianSpectrum(name, depth, q=q, weights=weights)
        found = [
            kolmogorov(
                s,
                free_product(
                    get_activation(name),
                    depth,
                    weights,
                    s.sigma_w,
                    q,
                    width,
                    draws,
                    np.random.default_rng(1),
                    quantiles,
                ),
            )
            for quantiles in (True, False)
        ]
        worst = [max(a, b) for a, b in zip(worst, found, strict=True)]
        print(f"  {name:10s} {weights:10s} L = {depth:2d}  q = {q:<8.6g} {found[0]:.4f}  {found[1]:.4f}")
    print(f"  largest {worst[0]:.4f}  {worst[1]:.4f}")


if __name__ == "__main__":
    print(f"numpy {np.__version__}, one thread\n")
    parts = {"integrals": integrals, "requests": requests, "distances": distances}
    for name in sys.argv[1:] or parts:  # python benchmarks/spectrum_sweep.py [integrals] [requests] [distances]
        parts[name]()
        sys.stdout.flush()

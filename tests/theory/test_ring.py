"""The ring, the recurrence and its scan, against scipy's filter, scipy's statistics, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.signal import lfilter

from ortholab.errors import ArgumentError
from ortholab.theory import ring

RINGS = [(0.0, 1.0), (0.5, 0.99), (0.9, 0.999), (0.99, 1.0), (0.0, 0.3)]


@pytest.mark.parametrize("radii", RINGS)
def test_moduli_follow_their_law_and_angles_are_uniform(radii):
    lam = ring.sample_ring(4000, *radii, rng=1)
    assert stats.kstest(np.abs(lam), lambda r: ring.modulus_cdf(r, *radii)).pvalue > 0.01
    assert stats.kstest(np.angle(lam) % (2 * np.pi) / (2 * np.pi), "uniform").pvalue > 0.01
    narrow = ring.sample_ring(500, *radii, phase=0.5, rng=1)
    assert np.angle(narrow).min() >= 0
    assert 0.4 < np.angle(narrow).max() < 0.5


def test_uniform_in_area_is_not_uniform_in_radius():
    """The test above would pass no other law: a uniform radius fails it by far, and so does a neighbouring ring."""
    r = np.random.default_rng(0).uniform(0.5, 0.99, 4000)
    assert stats.kstest(r, lambda x: ring.modulus_cdf(x, 0.5, 0.99)).pvalue < 1e-6
    lam = ring.sample_ring(4000, 0.5, 0.97, rng=1)
    assert stats.kstest(np.abs(lam), lambda x: ring.modulus_cdf(x, 0.5, 0.99)).pvalue < 1e-4


@pytest.mark.parametrize("T", [1, 2, 3, 7, 16, 33])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_loop_and_scan_are_scipys_filter(T, batch):
    rng = np.random.default_rng(T)
    lam = ring.sample_ring(4, 0.5, 1.0, rng=rng)
    u = rng.standard_normal((T, *batch, 4)) + 1j * rng.standard_normal((T, *batch, 4))
    expected = np.stack([lfilter([1.0], [1.0, -value], u[..., j], axis=0) for j, value in enumerate(lam)], axis=-1)
    assert ring.loop(lam, u) == pytest.approx(expected, abs=1e-12)
    assert ring.scan(lam, u) == pytest.approx(expected, abs=1e-12)


def test_composition_is_associative_and_is_the_composition():
    rng = np.random.default_rng(0)
    f, g, h = (tuple(rng.standard_normal((2, 5))) for _ in range(3))
    left, right = ring.combine(ring.combine(f, g), h), ring.combine(f, ring.combine(g, h))
    assert np.allclose(left, right)
    x = rng.standard_normal(5)
    assert np.allclose(ring.combine(f, g)[0] * x + ring.combine(f, g)[1], g[0] * (f[0] * x + f[1]) + g[1])
    assert not np.allclose(ring.combine(f, g), ring.combine(g, f))


def test_variance_of_the_state_is_that_of_simulated_ones_and_gamma_makes_it_one():
    lam = np.array([0.0, 0.5, 0.8j, -0.95, 0.9 + 0.3j])
    rng, steps, runs = np.random.default_rng(0), 60, 4000
    u = (rng.standard_normal((steps, runs, 5)) + 1j * rng.standard_normal((steps, runs, 5))) / 2**0.5
    power = (np.abs(ring.scan(lam, u)) ** 2).mean(1)
    for t in (1, 5, 60):
        assert power[t - 1] == pytest.approx(ring.state_variance(lam, t), rel=0.08)
    last = (np.abs(ring.scan(lam, ring.normaliser(lam) * u)[-1]) ** 2).mean(0)
    assert last[:4] == pytest.approx(1, rel=0.08)
    assert last[4] == pytest.approx(1 - abs(lam[4]) ** 120, rel=0.08)


@pytest.mark.parametrize("radii", RINGS)
@pytest.mark.parametrize("steps", [0, 1, 40])
def test_gradient_energy_is_the_mean_over_the_ring(radii, steps):
    low, high = radii
    area = (high**2 - low**2) / 2
    expected = quad(lambda r: r ** (2 * steps) * r / area, low, high, epsabs=1e-14)[0]
    assert ring.gradient_energy(steps, *radii) == pytest.approx(expected, rel=1e-8)
    lam = ring.sample_ring(40_000, *radii, rng=3)
    powers = np.abs(lam) ** (2 * steps)
    assert ring.gradient_energy(steps, *radii) == pytest.approx(powers.mean(), abs=5 * powers.std() / 200 + 1e-12)


def test_reach_is_the_number_of_steps():
    for r in (0.5, 0.9, 0.99, 0.999):
        assert r ** ring.reach(r) == pytest.approx(np.exp(-1), rel=1e-12)
        assert ring.reach(r, share=0.01) == pytest.approx(ring.reach(r) * np.log(100), rel=1e-12)
    assert ring.reach(0.999) == pytest.approx(1 / (1 - 0.999) - 0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ring.sample_ring(3, 0.9, 0.9, rng=0), "r_min"),
        (lambda: ring.sample_ring(3, 0.9, 1.1, rng=0), "r_max"),
        (lambda: ring.sample_ring(3, -0.1, 1.0, rng=0), "r_min"),
        (lambda: ring.sample_ring(3, phase=7, rng=0), "phase"),
        (lambda: ring.decay_rate(np.array([0.0]), 0, 1), "open interval"),
        (lambda: ring.normaliser(np.array([1.0])), "moduli below 1"),
        (lambda: ring.loop(np.ones(2), np.ones((4, 3))), "u must be"),
        (lambda: ring.scan(np.array([np.nan]), np.ones((4, 1))), "lam must be finite"),
        (lambda: ring.scan(np.array(["a"]), np.ones((4, 1))), "array of numbers"),
        (lambda: ring.reach(1.0), "r must be"),
        (lambda: ring.gradient_energy(-1, 0, 1), "steps"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()

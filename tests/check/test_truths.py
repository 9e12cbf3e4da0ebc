"""What the checks of chapters I and II take for true agrees with the library and with sampled networks."""

from __future__ import annotations

import numpy as np
import pytest

from ortholab import check
from ortholab.check import critical, learning, lengths, skip, spectra
from ortholab.theory import JacobianSpectrum, critical_at, deep_linear, get_activation, simulate
from ortholab.theory.unequal_factors import unequal_learning_times


def test_the_critical_line_is_the_library_s():
    tanh = get_activation("tanh")
    for q in (0.3, 1.7):
        point = critical_at("tanh", q)
        assert np.allclose(critical._critical(tanh.phi, tanh.dphi, q), (point.sigma_w, point.sigma_b), rtol=1e-9)


def test_odd_activations_have_a_critical_point_at_every_q():
    """Poincare's inequality: q E[phi'^2] >= E[phi^2] where phi(h) has mean 0, so sigma_b^2 is never negative."""
    for _, phi, dphi in critical.CURVES[:4]:
        for q in (0.01, 0.5, 2.0, 20.0):
            assert critical._critical(phi, dphi, q)[1] >= 0


def test_a_network_without_skip_is_the_chapter_s():
    """alpha = 0, beta = 1 at a fixed point without bias: a_l = chi^l."""
    point = critical_at("tanh", 0.0)
    got = skip._means(np.tanh, lambda h: 1 - np.tanh(h) ** 2, 0.0, 1.0, point.sigma_w, 1e-12, 5)
    assert np.allclose(got, 1.0, atol=1e-9)


def test_bottleneck_moments_are_those_of_random_matrices():
    rng, widths = np.random.default_rng(0), (120, 240, 60, 120)
    found = []
    for _ in range(30):
        layers = [rng.standard_normal((n, k)) / n**0.5 for n, k in zip(widths[1:], widths[:-1], strict=True)]
        s2 = np.linalg.svd(simulate.product(layers), compute_uv=False) ** 2
        found.append([np.sum(s2**k) / widths[0] for k in (1, 2)])
    want = spectra._lagrange([1.0, *(widths[0] / np.array(widths[1:]))], 2)
    error = np.std(found, axis=0, ddof=1) / len(found) ** 0.5
    assert np.all(np.abs(np.mean(found, axis=0) - want) < 4 * error + 0.01 * want)


def test_q_gives_the_variance_that_the_whole_spectrum_has():
    tanh = get_activation("tanh")
    q = spectra._solve(lambda q: spectra._relative(tanh.dphi, q), 0.25 / 16)
    point = critical_at("tanh", q)
    made = JacobianSpectrum("tanh", 16, weights="orthogonal", sigma_w=point.sigma_w, q=q)
    assert np.isclose(made.variance, 0.25, rtol=1e-6)


def test_learning_times_agree_with_the_library_and_with_descent():
    for a, b, u_f, s in ((0.5, 0.5, 0.9, 1.0), (1.5, 0.2, 1.9, 2.0)):
        assert np.isclose(learning._time(a, b, u_f, s), unequal_learning_times(u_f, [a, b], s=s), rtol=1e-8)
    W = [np.array([[1.0]]), np.array([[-0.4]])]
    u = deep_linear.train(W, np.eye(1), step=1e-3, steps=4000)[:, 0, 0]
    assert np.argmax(u > 0.9) * 1e-3 == pytest.approx(learning._time(1.0, -0.4, 0.9, 1.0), rel=5e-3)


def test_the_walk_of_relu_networks_is_the_chapter_s_to_first_order():
    """v = 5/N with Gaussian weights, 3/N with orthogonal ones: a step has mean -v/2, variance v, up to 20 %."""
    for kind, v in (("gaussian", 5 / 40), ("orthogonal", 3 / 40)):
        mean, variance = lengths._step(kind)
        assert mean == pytest.approx(-v / 2, rel=0.2)
        assert variance == pytest.approx(v, rel=0.2)


def test_a_check_leaves_no_trace():
    """The same check twice gives the same message, and the global generator is not touched."""
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    words = []
    for _ in range(2):
        with pytest.raises(check.CheckFailed) as caught:
            check.haar(lambda n, rng: np.linalg.qr(rng.standard_normal((n, n)))[0])
        words.append(str(caught.value))
    assert words[0] == words[1]
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002

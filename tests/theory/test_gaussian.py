"""E f(h) and E f(u) g(v) against closed forms and against mpmath's quadrature, which we did not write."""

import mpmath as mp
import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.theory import ERF, HARD_TANH, RELU, TANH, expect, expect2


@pytest.mark.parametrize("q", [1e-6, 0.01, 0.3, 1.0, 7.0, 300.0, 1e6])
def test_moments_of_the_normal(q):
    assert expect(lambda h: h**2, q) == pytest.approx(q, rel=1e-13)
    assert expect(lambda h: h**8, q) == pytest.approx(105 * q**4, rel=1e-13)
    assert expect(np.cos, q) == pytest.approx(np.exp(-q / 2), abs=1e-12) or q > 1e4  # faster than any panel there


@pytest.mark.parametrize("q", [0.02, 1.0, 40.0])
def test_against_mpmath(q):
    def reference(f, points):
        z = [-mp.inf, *[p / mp.sqrt(q) for p in points], mp.inf]
        return float(mp.quad(lambda t: f(mp.sqrt(q) * t) * mp.npdf(t), z))

    with mp.workdps(25):
        want = reference(lambda h: mp.tanh(h) ** 2, [0])
        kinked = reference(lambda h: abs(h - 0.7), [0.7])
    assert expect(lambda h: np.tanh(h) ** 2, q) == pytest.approx(want, rel=1e-12)
    assert expect(lambda h: abs(h - 0.7), q, kinks=(0.7,)) == pytest.approx(kinked, rel=1e-13)


def test_naming_the_kink_is_what_makes_it_exact():
    want = np.sqrt(2 / np.pi) * np.exp(-0.245) - 0.7 * (1 - 2 * 0.7580363477769270)  # E|z - .7|, closed form
    assert abs(expect(lambda h: abs(h - 0.7), 1.0, kinks=(0.7,)) - want) < 1e-14
    assert abs(expect(lambda h: abs(h - 0.7), 1.0) - want) > 1e-7


def test_an_array_of_q_is_one_call_and_keeps_its_shape():
    q = np.logspace(-4, 4, 12).reshape(3, 4)
    out = expect(lambda h: np.tanh(h) ** 2, q)
    assert out.shape == (3, 4)
    assert out[1, 2] == expect(lambda h: np.tanh(h) ** 2, q[1, 2])


CORRELATIONS = [-1.0, -0.999, -0.4, 0.0, 0.3, 0.9, 1 - 1e-7, 1.0]


@pytest.mark.parametrize("c", CORRELATIONS)
@pytest.mark.parametrize("q", [1e-3, 1.0, 100.0])
def test_two_dimensions_against_the_arc_sine_and_arc_cosine_laws(c, q):
    angle = np.arccos(c)
    relu = q / (2 * np.pi) * (np.sin(angle) + (np.pi - angle) * c)
    erf = 2 / np.pi * np.arcsin(np.pi * q * c / (2 + np.pi * q))
    assert expect2(RELU.phi, RELU.phi, q, c, kinks=(0.0,)) == pytest.approx(relu, abs=1e-14 * q, rel=1e-13)
    assert expect2(ERF.phi, ERF.phi, q, c) == pytest.approx(erf, abs=1e-14)


def test_two_dimensions_with_different_variances_against_mpmath():
    q, q2, c = 0.5, 3.0, 0.6
    with mp.workdps(12):
        rest = mp.sqrt(1 - c**2)
        want = mp.quad(
            lambda a, b: mp.tanh(mp.sqrt(q) * a) * mp.tanh(mp.sqrt(q2) * (c * a + rest * b)) * mp.npdf(a) * mp.npdf(b),
            [-8, 0, 8], [-8, 0, 8], method="gauss-legendre", maxdegree=5,
        )  # fmt: skip
    assert expect2(TANH.phi, TANH.phi, q, c, q2=q2) == pytest.approx(float(want), abs=1e-8)


def test_jumps_in_two_dimensions():
    # P(both |u|, |v| < 1) for independent u, v factorises.
    p = HARD_TANH.slope_moment(0.8)
    assert expect2(HARD_TANH.dphi, HARD_TANH.dphi, 0.8, 0.0, kinks=HARD_TANH.kinks) == pytest.approx(p**2, abs=1e-14)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: expect(np.tanh, -1.0), "q must"),
        (lambda: expect(np.tanh, np.nan), "q must be finite"),
        (lambda: expect(np.tanh, [0.1, -0.1]), "q must"),
        (lambda: expect(np.tanh, "1"), "q must"),
        (lambda: expect(lambda h: np.exp(h**2), 9.0), "not finite"),
        (lambda: expect(lambda h: h.sum(), 1.0), "shape"),
        (lambda: expect2(np.tanh, np.tanh, 1.0, 1.2), "c must"),
        (lambda: expect2(np.tanh, np.tanh, -1.0, 0.2), "q must"),
        (lambda: expect2(np.tanh, np.tanh, 1.0, 0.2, q2=np.inf), "q2 must"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ArgumentError, match=name):
        call()

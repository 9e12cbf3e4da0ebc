"""Derivatives, closed-form moments, and the reader's own activation."""

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.theory import ACTIVATIONS, GELU, HARD_TANH, SILU, TANH, expect, get_activation, own_activation

ALL = list(ACTIVATIONS.values())


@pytest.mark.parametrize("activation", ALL, ids=lambda a: a.name)
def test_phi_and_its_derivative_are_torchs(activation):
    torch = pytest.importorskip("torch")
    peers = {
        "linear": lambda x: x * 1.0,
        "relu": torch.relu,
        "hard_tanh": torch.nn.functional.hardtanh,
        "tanh": torch.tanh,
        "erf": lambda x: torch.erf(np.sqrt(np.pi) / 2 * x),
        "gelu": torch.nn.functional.gelu,
        "silu": torch.nn.functional.silu,
    }
    x = torch.linspace(-4.03, 4.07, 301, dtype=torch.float64, requires_grad=True)
    y = peers[activation.name](x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(activation.phi(x.detach().numpy()), y.detach().numpy(), atol=1e-15)
    np.testing.assert_allclose(activation.dphi(x.detach().numpy()), slope.numpy(), atol=1e-14)


@pytest.mark.parametrize("activation", [a for a in ALL if a.closed], ids=lambda a: a.name)
@pytest.mark.parametrize("q", [0.0, 1e-8, 9.9e-4, 1.1e-3, 0.05, 1.0, 30.0, 1e4])
def test_closed_forms_equal_quadrature(activation, q):
    assert activation.mean_square(q) == pytest.approx(
        expect(lambda h: activation.phi(h) ** 2, q, activation.kinks), rel=1e-12, abs=1e-16
    )
    for k in (1, 2, 3):
        if activation.name == "relu" and q == 0:
            continue  # phi' jumps there: the closed form is the limit q -> 0
        want = expect(lambda h, k=k: activation.dphi(h) ** (2 * k), q, activation.kinks)
        assert activation.slope_moment(q, k) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("activation", ALL, ids=lambda a: a.name)
@pytest.mark.parametrize("q", [0.02, 0.7, 5.0])
def test_slope_of_the_mean_square_by_finite_differences(activation, q):
    step = 1e-5 * q
    slope = (activation.mean_square(q + step) - activation.mean_square(q - step)) / (2 * step)
    assert activation.mean_square_slope(q) == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize("model", [TANH, GELU, SILU, HARD_TANH], ids=lambda a: a.name)
def test_own_activation_without_a_derivative_matches_the_built_in(model):
    mine = own_activation("mine", model.phi, kinks=model.kinks)
    for q in (0.01, 1.0, 25.0):
        assert mine.mean_square(q) == pytest.approx(model.mean_square(q), rel=1e-12)
        assert mine.slope_moment(q) == pytest.approx(model.slope_moment(q), rel=1e-11)


def leaky(x):
    return np.where(x > 0, x, 0.1 * x)


def test_a_named_kink_is_accepted_and_exact():
    assert own_activation("leaky", leaky, kinks=(0.0,)).slope_moment(2.0) == pytest.approx((1 + 0.01) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: own_activation("leaky", leaky), "x = -?0.08.*kink"),
        (lambda: own_activation("clip", HARD_TANH.phi, kinks=(1.0,)), "x = -1.09.*kink"),
        (lambda: own_activation("bad", np.tanh, lambda x: 1 - np.tanh(x)), "does not integrate to phi"),
        (lambda: own_activation("log", np.log), "not finite"),
        (lambda: own_activation("sum", np.sum), "shape"),
        (lambda: own_activation("f", "x**2"), "phi must be a function"),
        (lambda: own_activation("f", np.tanh, kinks=("a",)), "kinks must"),
        (lambda: own_activation("f", np.tanh, kinks=(np.inf,)), "kinks must"),
        (lambda: own_activation("f", lambda x: x.not_there), "fails on an array"),
        (lambda: get_activation("sofplus"), "'tanh'"),
        (lambda: get_activation(None), "activation must be one of"),
        (lambda: TANH.slope_moment(1.0, k=0), "k must"),
        (lambda: TANH.mean_square(-0.1), "q must"),
        (lambda: HARD_TANH.mean_square(np.nan), "q must be finite"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()

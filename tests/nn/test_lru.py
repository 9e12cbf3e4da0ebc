"""The linear recurrent unit: scipy's filter, finite differences, the ring, and a modulus below 1."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from ortholab.errors import ArgumentError
from ortholab.nn.lru import LRU, LRUNetwork
from ortholab.theory import ring

SHAPES = [(1, 1, 1, 1, 1), (4, 3, 2, 5, 3), (6, 1, 7, 2, 4), (3, 2, 4, 4, 4)]  # T, batch, n_in, n, n_out


def layer(n_in, n, n_out, dtype=torch.float64, **settings):
    return LRU(n_in, n, n_out, generator=0, dtype=dtype, **({"r_min": 0.3, "r_max": 0.99} | settings))


def inputs(T, batch, n_in, dtype=torch.float64):
    return torch.randn(T, batch, n_in, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("shape", SHAPES)
def test_outputs_are_scipys_filter_between_two_maps(shape):
    T, batch, n_in, n, n_out = shape
    made, x = layer(n_in, n, n_out), inputs(T, batch, n_in)
    lam = made.eigenvalues().detach().numpy()
    B, C = (
        torch.view_as_complex(M.detach().movedim(-2 if M is made.B else -1, -1).contiguous()) for M in (made.B, made.C)
    )
    drive = x.numpy() @ (made.log_gamma.exp().detach().numpy()[:, None] * B.numpy()).T
    states = np.stack([lfilter([1], [1, -value], drive[..., j], axis=0) for j, value in enumerate(lam)], axis=-1)
    expected = (states @ C.numpy().T).real + x.numpy() @ made.D.detach().numpy().T
    assert made(x).detach().numpy() == pytest.approx(expected, abs=1e-12)
    assert made.plain(x).detach().numpy() == pytest.approx(expected, abs=1e-12)
    scanned = (ring.scan(lam, drive) @ C.numpy().T).real + x.numpy() @ made.D.detach().numpy().T
    assert made(x).detach().numpy() == pytest.approx(scanned, abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_finite_differences(shape):
    T, batch, n_in, n, n_out = shape
    made, x = layer(n_in, n, n_out), inputs(T, batch, n_in).requires_grad_()
    names = [name for name, _ in made.named_parameters()]

    def call(x, *values):
        return torch.func.functional_call(made, dict(zip(names, values, strict=True)), (x,))

    values = [p.detach().clone().requires_grad_() for p in made.parameters()]
    assert torch.autograd.gradcheck(call, (x, *values))


def test_the_start_is_the_ring_with_its_gamma_and_rings_of_a_seed_differ_in_the_moduli_only():
    made, other = layer(3, 2000, 2, r_min=0.9, r_max=0.999), layer(3, 2000, 2, r_min=0.0, r_max=1.0)
    from scipy.stats import kstest

    moduli = made.modulus().detach().numpy()
    assert kstest(moduli, lambda r: ring.modulus_cdf(r, 0.9, 0.999)).pvalue > 0.01
    assert made.log_gamma.exp().detach().numpy() == pytest.approx(ring.normaliser(moduli), rel=1e-9)
    for name in ("log_angle", "B", "C", "D"):
        assert torch.equal(getattr(made, name), getattr(other, name))
    assert (np.argsort(moduli) == np.argsort(other.modulus().detach().numpy())).all()


def test_states_of_white_inputs_have_variance_one():
    made = layer(4, 50, 1, r_min=0.5, r_max=0.9)
    u = made._drive(inputs(200, 500, 4))
    states = ring.loop(made.eigenvalues().detach().numpy(), u.detach().numpy())
    mean_B = (made.B.detach() ** 2).sum((1, 2)).numpy()  # |B_j|^2, 1 in the mean
    assert (np.abs(states[-1]) ** 2).mean(0) == pytest.approx(mean_B, rel=0.35)
    assert ((np.abs(states[-1]) ** 2).mean(0) / mean_B).mean() == pytest.approx(1, rel=0.03)


def test_the_modulus_stays_below_one_whatever_the_steps():
    made = layer(2, 6, 2, r_min=0.99, r_max=1.0)
    for _ in range(30):  # up the modulus, with steps that are far too long
        (slope,) = torch.autograd.grad(made.modulus().sum(), made.log_decay)
        made.log_decay.data += slope
    with torch.no_grad():
        made.log_decay += 3 * torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (made.modulus() < 1).all()
    assert torch.isfinite(made(inputs(50, 2, 2))).all()


def test_the_jacobian_through_time_is_the_power_of_lambda():
    made, T = layer(2, 3, 1), 12
    lam, u = made.eigenvalues().detach(), torch.zeros(T + 1, 1, 3, dtype=torch.complex128)
    from ortholab.nn.lru import run

    for j in range(3):
        first = u.clone()
        first[0, 0, j] = 1
        assert run(lam, first)[-1, 0].numpy() == pytest.approx(np.eye(3)[j] * lam.numpy() ** T, abs=1e-14)


def test_the_network_reads_out_the_last_steps_through_a_gelu():
    net, x = LRUNetwork(3, 4, 2, width=5, generator=0, dtype=torch.float64), inputs(6, 2, 3)
    y = net.lru(x)
    every = torch.nn.functional.gelu(y) @ net.W_out.mT + net.b_out
    assert torch.allclose(net(x, 6), every)
    assert torch.allclose(net(x), every[-1:])
    assert net(x.float().double(), 2).shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: layer(2, 0, 2), "n must be"),
        (lambda: layer(2, 3, 2, r_max=1.2), "r_max"),
        (lambda: layer(2, 3, 2, phase=0), "phase"),
        (lambda: layer(2, 3, 2, dtype=torch.float16), "dtype"),
        (lambda: layer(2, 3, 2)(torch.zeros(4, 2)), "x must be"),
        (lambda: layer(2, 3, 2)(torch.zeros(4, 1, 2)), "x must be"),
        (lambda: layer(1, 3, 2)(torch.full((4, 1, 1), float("nan")).double()), "x must be finite"),
        (lambda: LRUNetwork(1, 2, 1, width=2, generator=0)(torch.zeros(3, 1, 1), 4), "steps must be at most"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()

"""W = U S V^T within a margin: gradients by finite differences, bounds and orthogonality through training."""

import numpy as np
import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import haar
from ortholab.nn.spectral_margin import SpectralMargin


def quadratic(n, seed=3):
    """A loss with a minimum far from every orthogonal matrix: L = sum c_ij (W_ij - T_ij)^2 / 2."""
    generator = torch.Generator().manual_seed(seed)
    T = 2 * torch.randn(n, n, generator=generator, dtype=torch.float64)
    c = torch.rand(n, n, generator=generator, dtype=torch.float64) + 0.5
    return (lambda W: (c * (W - T) ** 2).sum() / 2), (lambda W: c * (W - T))


def make(n=5, margin=0.3, bases="sgd", rate=0.01, basis_rate=0.01, dtype=torch.float64):
    W = haar(n, generator=0, dtype=dtype)
    return W, SpectralMargin(W, margin, rate=rate, basis_rate=basis_rate, bases=bases, generator=1)


@pytest.mark.parametrize("margin", [0.001, 0.3, 1.0])
def test_gradients_of_the_factors_are_those_of_finite_differences(margin):
    n, h = 5, 1e-6
    _W, update = make(n, margin)
    update.p.copy_(torch.linspace(-2, 3, n, dtype=torch.float64))
    loss, gradient = quadratic(n)

    def value():
        return loss((update.U * update.s) @ update.V.T).item()

    found = update.gradients(gradient((update.U * update.s) @ update.V.T))
    for tensor, g in zip((update.U, update.p, update.V), found, strict=True):
        differences = torch.zeros_like(tensor)
        for index in np.ndindex(*tensor.shape):
            old = tensor[index].item()
            tensor[index] = old + h
            up = value()
            tensor[index] = old - h
            differences[index] = (up - value()) / (2 * h)
            tensor[index] = old
        assert torch.allclose(g, differences, rtol=1e-6, atol=1e-7)


def test_gradients_of_the_factors_are_those_of_autograd():
    _W, update = make(7, 0.4)
    update.p.copy_(torch.linspace(-1, 1, 7, dtype=torch.float64))
    loss, gradient = quadratic(7)
    U, p, V = (t.clone().requires_grad_() for t in (update.U, update.p, update.V))
    loss((U * (2 * 0.4 * (torch.sigmoid(p) - 0.5) + 1)) @ V.T).backward()  # the paper's form of s
    found = update.gradients(gradient((update.U * update.s) @ update.V.T))
    for mine, theirs in zip(found, (U.grad, p.grad, V.grad), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-12, atol=1e-12)


def test_a_small_step_goes_down_the_gradient_of_the_bases():
    """U moves by -rate * A U, A = dL/dU U^T - U dL/dU^T: the loss falls by rate (|A_U|^2 + |A_V|^2) / 2 then."""
    rate = 1e-6
    W, update = make(6, 0.0, basis_rate=rate)
    loss, gradient = quadratic(6)
    before, G = loss(W).item(), gradient(W)
    dU, _, dV = update.gradients(G)
    skews = [(g @ Q.T) - (g @ Q.T).T for g, Q in ((dU, update.U), (dV, update.V))]
    predicted = rate * sum((A**2).sum().item() for A in skews) / 2
    update.update(W, G)
    assert before - loss(W).item() == pytest.approx(predicted, rel=1e-3)


def test_the_cayley_step_is_the_papers_formula():
    W, update = make(6, 0.2, basis_rate=0.05)
    _, gradient = quadratic(6)
    G, eye = gradient(W), torch.eye(6, dtype=torch.float64)
    dU = update.gradients(G)[0]
    A = dU @ update.U.T - update.U @ dU.T
    expected = torch.linalg.solve(eye + 0.025 * A, (eye - 0.025 * A) @ update.U)
    update.update(W, G)
    assert torch.allclose(update.U, expected, atol=1e-12)


@pytest.mark.parametrize("bases", ["sgd", "rmsprop"])
@pytest.mark.parametrize("margin", [0.0, 0.01, 0.5, 1.0])
def test_singular_values_stay_in_the_band_and_the_bases_orthonormal(bases, margin):
    n = 16
    W, update = make(n, margin, bases, rate=0.1, basis_rate=0.02, dtype=torch.float32)
    _, gradient = quadratic(n)
    for _ in range(500):
        update.update(W, gradient(W.double()).float())
        s = update.s
        assert bool((s >= 1 - margin).all())
        assert bool((s <= 1 + margin).all())
    for Q in (update.U, update.V):
        assert torch.linalg.matrix_norm(Q.T @ Q - torch.eye(n, dtype=torch.float64)) < 1e-11
    s = torch.linalg.svdvals(W.double())
    assert s.min() > 1 - margin - 1e-6
    assert s.max() < 1 + margin + 1e-6
    assert torch.allclose(s, update.s.sort(descending=True).values, atol=1e-6)
    if 0 < margin < 1:
        assert s.max() > 1 + 0.99 * margin  # the loss wants large weights: the band is used up to its edge


@pytest.mark.parametrize("bases", ["sgd", "rmsprop"])
def test_training_goes_on_bit_for_bit_from_a_saved_state(bases):
    W, update = make(6, 0.2, bases)
    _, gradient = quadratic(6)
    for _ in range(5):
        update.update(W, gradient(W))
    state = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in update.state_dict().items()}
    state["v"] = [v.clone() for v in state["v"]]
    state["rule"] = {"count": state["rule"]["count"], "v": [v.clone() for v in state["rule"]["v"]]}
    kept = W.clone()
    for _ in range(5):
        update.update(W, gradient(W))
    other, again = make(6, 0.2, bases)
    again.load_state_dict(state)
    other.copy_(kept)
    for _ in range(5):
        again.update(other, gradient(other))
    assert torch.equal(other, W)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"margin": -0.1}, "margin must be a number in"),
        ({"margin": 1.5}, "margin must be a number in"),
        ({"W": torch.eye(3) * 2}, "W must be orthogonal at the start"),
        ({"W": torch.zeros(3, 2)}, "W must be a square matrix"),
        ({"basis_rate": 0.0}, "basis_rate must be"),
        ({"bases": "adam"}, "bases must be one of"),
    ],
)
def test_bad_arguments_are_named(change, words):
    fields = {"W": torch.eye(3), "margin": 0.1, "rate": 0.1, "basis_rate": 0.1, "bases": "sgd", "generator": 0} | change
    with pytest.raises(ArgumentError, match=words):
        SpectralMargin(fields.pop("W"), fields.pop("margin"), **fields)

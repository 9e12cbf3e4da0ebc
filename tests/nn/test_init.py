"""Initialisation: the law of the entries, exact orthogonality, and the Haar measure's moments."""

import math

import pytest
import torch

from ortholab.nn import gaussian_, haar, orthogonal_

SHAPES = [(1, 1), (7, 1), (1, 7), (5, 3), (3, 5), (64, 64)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_orthogonal_up_to_its_gain(shape, batch):
    n_out, n_in = shape
    W = orthogonal_(torch.empty(*batch, n_out, n_in, dtype=torch.float64), 1.3, seeded())
    gram = W.mT @ W if n_out >= n_in else W @ W.mT
    square = 1.3**2 * max(n_out, n_in) / n_in
    assert torch.allclose(gram, square * torch.eye(min(shape), dtype=torch.float64).expand_as(gram), atol=1e-12)


@pytest.mark.parametrize("draw", [orthogonal_, gaussian_])
@pytest.mark.parametrize("shape", [(6, 6), (12, 4), (4, 12)])
def test_every_entry_has_variance_sigma_w_squared_over_n_in(draw, shape):
    samples = 20_000
    W = draw(torch.empty(samples, *shape, dtype=torch.float64), 1.7, seeded(1))
    variance = W.square().mean(0) * shape[1] / 1.7**2
    # W^2 has relative standard deviation at most sqrt(2) (Gaussian); 5 standard errors over all entries.
    assert (variance - 1).abs().max() < 5 * math.sqrt(2 / samples)
    assert W.mean(0).abs().max() < 5 * 1.7 / math.sqrt(shape[1] * samples)


@pytest.mark.parametrize("n", [2, 50, 400, 1000])
def test_float32_draws_are_orthogonal(n):
    Q = haar(n, generator=seeded(), dtype=torch.float32)
    error = torch.linalg.matrix_norm(Q.double().mT @ Q.double() - torch.eye(n, dtype=torch.float64))
    assert error <= 1e-6 * math.sqrt(n)


def test_haar_moments():
    """On O(n): E tr Q = 0, E (tr Q)^2 = 1, E (tr Q)^4 = 3, both signs of det alike, entry law symmetric."""
    samples, n = 40_000, 5
    Q = haar(n, generator=seeded(2), batch=(samples,), dtype=torch.float64)
    trace = Q.diagonal(dim1=-2, dim2=-1).sum(-1)
    root = math.sqrt(samples)
    assert abs(trace.mean()) < 5 / root
    assert abs(trace.square().mean() - 1) < 5 * math.sqrt(2) / root
    assert abs(trace.pow(4).mean() - 3) < 5 * math.sqrt(96) / root
    assert abs(torch.linalg.det(Q).sign().mean()) < 5 / root
    for i, j in [(0, 0), (0, 4), (4, 0), (4, 4)]:  # a QR without the sign fix fails here
        assert abs(Q[:, i, j].mean()) < 5 / (root * math.sqrt(n))
        assert abs(Q[:, i, j].pow(4).mean() - 3 / (n * (n + 2))) < 5 * 0.3 / root


def test_haar_is_invariant_under_a_fixed_rotation():
    """E f(Q) = E f(RQ) for f = (Q_11 + Q_22)^3, with a rotation R that mixes the first and last rows."""
    samples = 40_000
    Q = haar(3, 2, generator=seeded(3), batch=(samples,), dtype=torch.float64)
    c, s = math.cos(0.7), math.sin(0.7)
    R = torch.tensor([[c, 0, -s], [0, 1, 0], [s, 0, c]], dtype=torch.float64)

    def f(q):
        return (q[:, 0, 0] + q[:, 1, 1] - 0.5 * q[:, 2, 0]) ** 4

    a, b = f(Q), f(R @ Q)
    assert abs(a.mean() - b.mean()) < 5 * math.sqrt((a.var() + b.var()) / samples)


@pytest.mark.parametrize("draw", [orthogonal_, gaussian_])
def test_a_seed_is_a_generator_and_the_global_one_is_left_alone(draw):
    before = torch.random.get_rng_state()
    first, second = draw(torch.empty(4, 4), 1.0, 7), draw(torch.empty(4, 4), 1.0, seeded(7))
    assert torch.equal(first, second)
    assert torch.equal(before, torch.random.get_rng_state())


def test_fills_a_parameter_in_place():
    layer = torch.nn.Linear(4, 4)
    weight = layer.weight
    assert orthogonal_(weight, 2.0, 0) is weight
    assert weight.requires_grad
    assert torch.allclose(weight.detach() @ weight.detach().mT, 4 * torch.eye(4), atol=1e-5)

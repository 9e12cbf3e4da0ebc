"""What each constraint reaches and what it cannot: eigenvalue -1, the sign of the determinant, W 1 = 0, the margin."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ortholab.errors import ArgumentError
from ortholab.nn import haar
from ortholab.nn.parametrize import angle_blocks, constrain, reaching_signs

sys.path.insert(0, str(Path(__file__).parent))
from constrained import Own, constrained, move, stiefel


def descend(module, target, steps=600, rate=0.05):
    """Train on ||W - T||_F^2 by Adam; return the last distance."""
    optimiser = torch.optim.Adam(module.parameters(), rate)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = (module.weight - target).square().sum()
        loss.backward()
        optimiser.step()
    return torch.linalg.matrix_norm(module.weight.detach() - target).item()


def angles(Q):
    """The angles of a rotation's eigenvalues, in [0, pi], sorted: by numpy."""
    return np.sort(np.abs(np.angle(np.linalg.eigvals(Q.detach().numpy()))))


def test_cayley_turns_the_skew_matrix_s_angles_by_twice_their_arctangent():
    """i mu goes to (1 + i mu) / (1 - i mu): its angle 2 arctan mu is below pi, and pi needs mu infinite."""
    module, _ = constrained("cayley", {"base": "identity"}, (6, 6))
    for size in (0.1, 1.0, 100.0):
        move(module, size)
        L = module.parametrizations.weight.original.detach().tril(-1)
        mu = np.sort(np.abs(np.linalg.eigvals((L - L.mT).numpy()).imag))
        np.testing.assert_allclose(angles(module.weight), 2 * np.arctan(mu), atol=1e-9)
        assert angles(module.weight)[-1] < math.pi


@pytest.mark.parametrize("method", ["cayley", "exponential"])
def test_half_a_turn_from_the_identity(method):
    """A rotation by pi in one plane: the exponential gets there, Cayley comes near only as its parameters grow."""
    target = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
    module = constrain(Own(torch.eye(3, dtype=torch.float64)), "weight", method)
    move(module, 0.5)
    distance = descend(module, target)
    size = module.parametrizations.weight.original.detach().tril(-1).norm().item()
    if method == "exponential":
        assert distance < 0.01
        assert size == pytest.approx(math.pi, abs=0.01)
    else:
        # The angle 2 arctan(size) is short of pi by e, sin(e / 2) = 1 / sqrt(1 + size^2): 2 sqrt(2) times that away.
        assert distance >= 2 * math.sqrt(2) / math.sqrt(1 + size**2) - 1e-9
        assert distance > 0.1
        assert size > 5


def test_cayley_at_the_identity_names_an_eigenvalue_minus_one():
    module, _ = constrained("cayley", {"base": "identity"}, (3, 3))
    with pytest.raises(ArgumentError, match="weight must have no eigenvalue -1"):
        module.weight = torch.diag(torch.tensor([-1.0, -1.0, 1.0], dtype=torch.float64))
    with pytest.raises(ArgumentError, match="weight must have no eigenvalue -1"):
        module.weight = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))  # a determinant of -1


@pytest.mark.parametrize("method", ["cayley", "scaled_cayley", "exponential"])
def test_the_determinant_keeps_its_sign(method):
    """The other component stays at least 2 away: V^T W has an eigenvalue -1, so ||V - W||_F = ||V^T W - I||_F >= 2."""
    for sign in (1, -1):
        W, target = stiefel((5, 5), seed=1), stiefel((5, 5), seed=2)
        W[:, 0] *= sign
        target[:, 0] *= -sign
        module = constrain(Own(W), "weight", method)
        move(module, 0.1)
        assert descend(module, target, 300) >= 2 - 1e-9
        assert torch.linalg.det(module.weight).item() == pytest.approx(sign)


@pytest.mark.parametrize("method", ["cayley", "exponential", "polar"])
@pytest.mark.parametrize("shape", [(7, 3), (3, 7)])
def test_a_rectangular_target_is_reached(method, shape):
    """St(n, k) with n > k is in one piece, and a random target is in the reach of each of the three."""
    module, _ = constrained(method, {}, shape, seed=3)
    assert descend(module, stiefel(shape, seed=4), 300, 0.1) < 0.02


@pytest.mark.parametrize("shape", [(6, 6), (3, 7)])
def test_gradient_descent_never_lowers_the_smallest_singular_value_of_a_polar_layer(shape):
    """With G_V the free gradient, G_V W^T is skew, so that no step of any size leads towards a singular matrix."""
    module, _ = constrained("polar", {}, shape)
    move(module, 0.3)
    V = module.parametrizations.weight.original
    generator = torch.Generator().manual_seed(0)
    for rate in torch.logspace(-2, 3, 60):
        least, sign = torch.linalg.svdvals(V.detach())[-1], torch.linalg.det(V[:, : shape[0]]).sign()
        G = torch.randn(shape, generator=generator, dtype=torch.float64)
        W = module.weight
        (G_V,) = torch.autograd.grad((W * G).sum(), V)
        K = G_V @ W.detach().mT
        assert (K + K.mT).abs().max() < 1e-12
        with torch.no_grad():
            V -= rate * G_V
        assert torch.linalg.svdvals(V.detach())[-1] >= least - 1e-9
        assert shape[0] < shape[1] or torch.linalg.det(V).sign() == sign


def test_centring_loses_one_direction():
    """W 1 = 0 whatever happens: the nearest that W comes to a row along 1 is orthogonal to it, at distance sqrt(2)."""
    module, _ = constrained("polar", {"centring": True}, (1, 4))
    ones = torch.full((1, 4), 0.5, dtype=torch.float64)
    assert descend(module, ones) == pytest.approx(math.sqrt(2), abs=1e-12)
    free, _ = constrained("polar", {}, (1, 4))
    assert descend(free, ones) < 1e-6


def test_groups_are_orthonormal_each_and_not_together():
    module, _ = constrained("polar", {"groups": 3}, (12, 4))
    W = module.weight.detach()
    for block in W.split(4):
        torch.testing.assert_close(block @ block.mT, torch.eye(4, dtype=torch.float64), atol=1e-13, rtol=0)
    assert (W[:4] @ W[4:8].mT).abs().max() > 0.1


def test_margin_bounds_the_singular_values_and_reaches_its_bounds():
    module, _ = constrained("margin", {"margin": 0.2}, (6, 4), gain=1.5)
    target = torch.zeros(6, 4, dtype=torch.float64)
    for bound, goal in ((0.8, target), (1.2, 10 * module.weight.detach())):
        descend(module, goal, 300, 0.3)
        s = torch.linalg.svdvals(module.weight.detach()) / 1.5
        assert (s - bound).abs().max() < 0.01
        assert (s - 1).abs().max() < 0.2


def test_margin_starts_from_any_singular_values_in_it():
    s = torch.tensor([1.15, 1.0, 0.85], dtype=torch.float64)
    W = (stiefel((5, 3)) * s) @ stiefel((3, 3), seed=2).mT
    module = constrain(Own(1.5 * W), "weight", "margin", gain=1.5, margin=0.2)
    torch.testing.assert_close(module.weight.detach(), 1.5 * W, atol=1e-12, rtol=0)


# The signs of the scaled Cayley transform.


def test_signs_reach_every_orthogonal_matrix():
    """I + Q D is invertible for random Q of both components, permutations, -I; without D it is often singular."""
    Q = haar(7, generator=0, batch=(200,), dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    eye = torch.eye(7, dtype=torch.float64)
    permutations = torch.stack([eye[torch.randperm(7, generator=generator)] for _ in range(50)])
    every = torch.cat([Q, permutations, -eye[None], -permutations])
    least = torch.linalg.svdvals(eye + every * reaching_signs(every).unsqueeze(-2)).amin(-1)
    assert least.min() > 0.05
    assert (torch.linalg.svdvals(eye + every).amin(-1) < 1e-12).sum() > 100
    # det(I + Q D) = product of the pivots, each at least 1 in size.
    assert torch.linalg.det(eye + every * reaching_signs(every).unsqueeze(-2)).abs().min() >= 1 - 1e-9


def test_scaled_cayley_starts_anywhere():
    for W in (-torch.eye(4), torch.eye(5)[[1, 0, 2, 4, 3]], stiefel((6, 6)) @ torch.diag(torch.ones(6).double())):
        W = W.double()
        module = constrain(Own(W), "weight", "scaled_cayley")
        torch.testing.assert_close(module.weight.detach(), W, atol=1e-13, rtol=0)


@pytest.mark.parametrize("n", [1, 2, 7, 40])
def test_the_start_of_scornn(n):
    """Its angles are uniform in [0, pi / 2), in pairs; the last `negative` signs are -1; the seed decides alone."""
    A = angle_blocks(n, generator=5)
    Q = torch.linalg.solve(torch.eye(n) + A, torch.eye(n) - A)
    theta = angles(Q)
    assert len(theta) == n
    np.testing.assert_allclose(theta[n % 2 :: 2], theta[n % 2 + 1 :: 2], atol=1e-9)
    assert theta.max() < math.pi / 2
    if n == 40:
        assert 0.5 < theta.mean() < 1.1  # pi / 4 = .785, standard error of 20 draws .1
    module = constrain(Own(torch.zeros(n, n).double()), "weight", "scaled_cayley", negative=n // 2, generator=5)
    expected = Q.clone()
    if n // 2:
        expected[:, -(n // 2) :] *= -1
    torch.testing.assert_close(module.weight.detach(), expected, atol=1e-13, rtol=0)

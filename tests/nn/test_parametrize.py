"""Hard constraints: exact for thousands of steps, gradients by finite differences, equal to torch's and geotorch's."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.nn.utils import parametrizations as torch_parametrizations

from ortholab.errors import ArgumentError
from ortholab.nn.parametrize import cayley_frame, constrain, constraint_of, exponential_frame, whiten
from ortholab.nn.parametrize.taylor import matrix_exp
from ortholab.theory import stiefel as manifold

sys.path.insert(0, str(Path(__file__).parent))
from constrained import CASES, IDS, METHODS, Own, constrained, error, move, start, stiefel

every_case = pytest.mark.parametrize(("name", "method", "settings", "shape"), CASES, ids=IDS)


@every_case
@pytest.mark.parametrize("gain", [1.0, 1.3])
def test_the_start_is_kept_and_the_constraint_holds_wherever_the_parameters_go(name, method, settings, shape, gain):
    module, W = constrained(method, settings, shape, gain)
    torch.testing.assert_close(module.weight.detach(), W, atol=1e-13, rtol=0)
    for size in (0.1, 1.0, 10.0):
        move(module, size)
        if method == "margin":
            s = torch.linalg.svdvals(module.weight.detach()) / gain
            assert (s - 1).abs().max() < settings["margin"] + 1e-12
        else:
            assert error(module.weight, gain, settings.get("groups", 1)) < 1e-13
        if settings.get("centring"):
            assert module.weight.sum(-1).abs().max() < 1e-13


@every_case
def test_a_matrix_that_was_assigned_is_what_the_weight_is(name, method, settings, shape):
    module, _ = constrained(method, settings, shape, gain=1.3)
    move(module)
    other = start(settings, shape, 1.3, seed=5)
    module.weight = other
    torch.testing.assert_close(module.weight.detach(), other, atol=1e-12, rtol=0)


@every_case
def test_gradients_by_finite_differences(name, method, settings, shape):
    if math.prod(shape) > 40:
        shape = (2, *shape[-2:])  # a batch of two is enough
    module, _ = constrained(method, settings, shape, gain=0.7)
    move(module)
    free = [p.detach().clone().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(constraint_of(module), free, eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("frame", [cayley_frame, exponential_frame])
@pytest.mark.parametrize(("n", "k"), [(5, 5), (5, 4), (6, 3), (9, 2), (7, 1)])
def test_gradients_at_the_base_point(frame, n, k):
    """At A = 0, K = 0, where a QR of K has no derivative; and second derivatives there."""
    A, K = torch.zeros(k, k, dtype=torch.float64), torch.zeros(n - k, k, dtype=torch.float64)

    def of_skew(L, K):
        return frame(L - L.mT, K)

    free = (A.requires_grad_(), K.requires_grad_())
    assert torch.autograd.gradcheck(of_skew, free, eps=1e-6, atol=1e-8)
    assert torch.autograd.gradgradcheck(of_skew, free, eps=1e-6, atol=1e-7)


# Against libraries that we did not write.


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 2e-15)])
@pytest.mark.parametrize("size", [0.0, 1e-3, 0.85, 3.0, 40.0])
def test_the_matrix_exponential_and_its_gradient(dtype, tolerance, size):
    """scipy's value and Frechet derivative in double precision; rounding grows with the norm, as it must."""
    rng = np.random.default_rng(0)
    M, G = rng.standard_normal((2, 3, 6, 6))
    M = (M - M.transpose(0, 2, 1)) + 0.1 * M
    M *= size / np.linalg.norm(M[0], 2)
    free = torch.tensor(M, dtype=dtype, requires_grad=True)
    value = matrix_exp(free)
    (gradient,) = torch.autograd.grad((value * torch.tensor(G, dtype=dtype)).sum(), free)
    for i in range(3):
        expected = scipy.linalg.expm(M[i])
        # The adjoint of the derivative at M is the derivative at M^T.
        slope = scipy.linalg.expm_frechet(M[i].T, G[i], compute_expm=False)
        bound = tolerance * max(1.0, size) * 10
        assert np.abs(value[i].detach().numpy() - expected).max() < bound * np.abs(expected).max()
        assert np.abs(gradient[i].numpy() - slope).max() < bound * np.abs(slope).max()


def libraries():
    """Pairs (id, our method, its parametrisation of the same shape at our base, factor of its free parameters)."""
    out = []
    for method, theirs in (("cayley", "cayley"), ("exponential", "matrix_exp")):
        factor = 2.0 if method == "cayley" else 1.0  # theirs is (I - A/2)^(-1) (I + A/2)
        out.append((f"torch {theirs}", method, "torch", theirs, factor))
        out.append((f"geotorch {theirs}", method, "geotorch", theirs.replace("matrix_exp", "expm"), factor))
    return out


@pytest.mark.parametrize("shape", [(6, 6), (6, 5), (9, 2), (2, 9), (2, 7, 3)])
@pytest.mark.parametrize(("name", "method", "library", "triv", "factor"), libraries(), ids=[x[0] for x in libraries()])
def test_value_and_gradient_equal_the_library_s(name, method, library, triv, factor, shape):
    module, W = constrained(method, {}, shape)
    held = constraint_of(module)
    n = max(shape[-2:])
    B = held.base(torch.eye(n, dtype=torch.float64).expand(*shape[:-2], n, n))  # the whole base point
    X = torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    target = torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    if library == "torch":
        their = torch_parametrizations.orthogonal(Own(W), orthogonal_map=triv).parametrizations.weight[0]
        their.base = B
    else:
        geotorch = pytest.importorskip("geotorch", reason="geotorch is not installed (pip install 'ortholab[test]')")
        their = geotorch.Stiefel(torch.Size(shape), triv=triv).double()
        their.base.copy_(B)
    found = []
    for f, scale in ((held, 1.0), (their, factor)):
        free = X.clone().requires_grad_()
        value = f(scale * free)
        (gradient,) = torch.autograd.grad((value * target).sum(), free)
        lower = gradient if shape[-2] >= shape[-1] else gradient.mT
        found.append((value.detach(), lower.tril(-1)))
        assert lower.triu().abs().max() < 1e-15  # what is never used has no gradient
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("shape", [(5, 5), (3, 8), (8, 3)])
def test_polar_is_the_nearest_orthogonal_matrix(shape):
    V = np.random.default_rng(2).standard_normal(shape)
    module, _ = constrained("polar", {}, shape, gain=1.5)
    module.parametrizations.weight.original.data.copy_(torch.from_numpy(V))
    side = "left" if shape[0] < shape[1] else "right"
    np.testing.assert_allclose(module.weight.detach(), 1.5 * scipy.linalg.polar(V, side=side)[0], atol=1e-12)
    np.testing.assert_allclose(module.weight.detach(), 1.5 * manifold.project(V), atol=1e-12)


@pytest.mark.parametrize("n", [2, 5])
def test_scaled_cayley_is_helfrich_s_formula(n):
    W = stiefel((n, n))
    W[:, -1] *= -1  # the sign of its determinant is that of D
    module = constrain(Own(W), "weight", "scaled_cayley", negative=1)
    move(module)
    L = module.parametrizations.weight.original.detach().tril(-1).numpy()
    A, D = L - L.T, np.diag([1.0] * (n - 1) + [-1.0])
    expected = scipy.linalg.solve(np.eye(n) + A, np.eye(n) - A) @ D
    np.testing.assert_allclose(module.weight.detach(), expected, atol=1e-13)


# Huang's backward.


def by_eigh(V):
    values, D = torch.linalg.eigh(V @ V.mT)
    return (D / values.sqrt().unsqueeze(-2)) @ D.mT @ V


@pytest.mark.parametrize("shape", [(1, 4), (4, 4), (3, 7), (2, 3, 5)])
def test_the_closed_form_equals_autograd_through_eigh(shape):
    generator = torch.Generator().manual_seed(0)
    V = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    G = torch.randn(shape, generator=generator, dtype=torch.float64)
    ours, theirs = whiten(V), by_eigh(V)
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=1e-12)
    gradients = [torch.autograd.grad(W, V, G)[0] for W in (ours, theirs)]
    torch.testing.assert_close(*gradients, atol=1e-11, rtol=1e-11)


def test_the_closed_form_is_finite_where_autograd_through_eigh_is_not():
    V = torch.eye(4, 6, dtype=torch.float64).requires_grad_()  # four equal eigenvalues
    G = torch.randn(4, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert not torch.autograd.grad(by_eigh(V), V, G)[0].isfinite().all()
    gradient = torch.autograd.grad(whiten(V), V, G)[0]
    # At an orthonormal V the derivative of the projection is the projection onto the tangent space.
    expected = manifold.tangent_projection(V.detach().numpy(), G.numpy())
    np.testing.assert_allclose(gradient, expected, atol=1e-14)
    assert torch.autograd.gradcheck(whiten, (V,), eps=1e-6, atol=1e-8)


# Thousands of steps.

METHOD_OF = {method: name for name, method, _ in reversed(METHODS)}  # the first case of each method


@pytest.mark.parametrize(("name", "method", "settings"), METHODS, ids=[m[0] for m in METHODS])
def test_two_thousand_float32_steps_stay_orthogonal(name, method, settings):
    """||W W^T - I||_F <= 1e-6 sqrt(n), seen at every tenth step; noisy gradients, two optimisers in turn.

    2000 steps for each method; 400 for a setting of a method, whose matrix is computed by the same code.
    """
    shape, count = (8, 8) if not settings.get("centring") else (8, 12), 2000 if name == METHOD_OF[method] else 400
    module, _ = constrained(method, settings, shape, dtype=torch.float32)
    free = list(module.parameters())
    optimisers = [torch.optim.SGD(free, 0.05, momentum=0.9), torch.optim.Adam(free, 0.02)]
    generator = torch.Generator().manual_seed(0)
    target = stiefel(shape, seed=9, dtype=torch.float32)
    groups, worst = settings.get("groups", 1), 0.0
    inputs = torch.randn(count, 4, shape[1], generator=generator)
    noises = inputs.mT @ inputs * (2 / (4 * shape[0]))  # of the mean of ||(W - target) x||^2, the gradient in W
    for t, noise in enumerate(noises):
        optimiser = optimisers[2 * t // count]
        optimiser.zero_grad()
        W = module.weight
        W.backward((W.detach() - target) @ noise)
        optimiser.step()
        if t % 10:
            continue
        if method == "margin":
            s = torch.linalg.svdvals(W.detach())
            worst = max(worst, (s - 1).abs().max().item() - settings["margin"])
        else:
            worst = max(worst, error(W, groups=groups) - 1e-6 * math.sqrt(shape[0] / groups))
    assert worst <= (1e-6 if method == "margin" else 0.0)
    assert (module.weight - start(settings, shape, dtype=torch.float32)).norm() > 0.5  # it did move


def test_large_parameters_are_polished_or_refused():
    """Near an eigenvalue -1 the skew matrix is huge, and a solve in float32 loses digits: the polish restores them."""
    module, _ = constrained("cayley", {"base": "identity"}, (15, 15), dtype=torch.float32)
    move(module, 300.0)
    L = module.parametrizations.weight.original.detach().tril(-1)
    assert error(cayley_frame(L - L.mT, L[:0])) > 1e-4
    assert error(module.weight) < 1e-6 * math.sqrt(15)
    for method in ("cayley", "exponential"):
        module, _ = constrained(method, {}, (6, 3), dtype=torch.float32)
        move(module, 1e25)  # its square overflows
        with pytest.raises(ArgumentError, match="weight must have smaller free parameters"):
            _ = module.weight


# No NaN in silence.


@pytest.mark.parametrize(("name", "method", "settings"), METHODS, ids=[m[0] for m in METHODS])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_free_parameter_that_is_not_finite_is_named(name, method, settings, value):
    module, _ = constrained(method, settings, (4, 6) if method == "polar" else (4, 4))
    with torch.no_grad():
        next(module.parameters())[..., -1, 0] = value
    with pytest.raises(ArgumentError, match="weight must have finite free parameters"):
        _ = module.weight


def test_a_free_matrix_that_lost_rank_is_named():
    module, _ = constrained("polar", {}, (4, 6), dtype=torch.float32)
    with torch.no_grad():
        module.parametrizations.weight.original[0] = module.parametrizations.weight.original[1]
    with pytest.raises(ArgumentError, match="weight must have a free matrix of full rank"):
        _ = module.weight

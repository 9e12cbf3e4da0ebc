"""Soft orthogonality: values from their definitions, gradients against finite differences and torch's autograd.

Seeds are fixed; shapes are square, tall, wide and degenerate; 1e-12 in float64 unless stated.
"""

import numpy as np
import pytest

from ortholab.errors import ArgumentError
from ortholab.theory import haar, penalties
from ortholab.theory.penalties import PENALTIES

SHAPES = [(1, 1), (7, 1), (1, 7), (5, 5), (5, 4), (8, 3), (3, 8)]
GAINS = [1.0, 1.3]
each = pytest.mark.parametrize("shape", SHAPES)
gained = pytest.mark.parametrize("gain", GAINS)
named = pytest.mark.parametrize("name", PENALTIES)


def matrix(*shape, seed=1):
    """Gaussian entries, scaled so that the singular values lie around 1."""
    return np.random.default_rng(seed).standard_normal(shape) / max(shape[-2:]) ** 0.5


def on_manifold(shape, gain):
    Q = haar(max(shape), min(shape), rng=0)
    return gain * (Q if shape[0] >= shape[1] else Q.T)


def errors_of_both_sides(xp, W, gain):
    """(short side, long side) of the Gram error, for numpy or torch, as the papers write them."""
    columns = W.T @ W / gain**2 - xp.eye(W.shape[1], dtype=W.dtype)
    rows = W @ W.T / gain**2 - xp.eye(W.shape[0], dtype=W.dtype)
    return (columns, rows) if W.shape[0] >= W.shape[1] else (rows, columns)


DEFINITIONS = {
    "SO": lambda xp, short, long: (short**2).sum(),
    "DSO": lambda xp, short, long: (short**2).sum() + (long**2).sum(),
    "MC": lambda xp, short, long: abs(short).max(),
    "SRIP": lambda xp, short, long: xp.linalg.matrix_norm(short, ord=2),
}


@named
@gained
@each
def test_value_is_its_definition(name, shape, gain):
    W = matrix(*shape)
    expected = DEFINITIONS[name](np, *errors_of_both_sides(np, W, gain))
    assert PENALTIES[name].value(W, gain=gain) == pytest.approx(expected, rel=1e-12)


@named
@gained
@each
def test_gradient_against_autograd_of_the_definition(name, shape, gain):
    torch = pytest.importorskip("torch")
    for seed in range(5):
        W = torch.tensor(matrix(*shape, seed=seed), requires_grad=True)
        DEFINITIONS[name](torch, *errors_of_both_sides(torch, W, gain)).backward()
        ours = PENALTIES[name].gradient(W.detach(), gain=gain)
        np.testing.assert_allclose(ours.numpy(), W.grad.numpy(), atol=1e-12)


@named
@each
def test_value_is_differentiable_by_torch(name, shape):
    """A value may be added to a loss as it is: autograd through the library's own operations gives its gradient."""
    torch = pytest.importorskip("torch")
    W = torch.tensor(matrix(2, *shape), requires_grad=True)
    PENALTIES[name].value(W, gain=1.3).sum().backward()
    np.testing.assert_allclose(W.grad, PENALTIES[name].gradient(W.detach(), gain=1.3), atol=1e-12)


@named
@gained
@each
def test_gradient_against_finite_differences(name, shape, gain):
    """Central differences, h = 1e-6, every entry: 1e-8. MC and SRIP have kinks at ties; no such matrix is near one."""
    W, value = matrix(*shape), PENALTIES[name].value
    steps = 1e-6 * np.eye(W.size).reshape(-1, *shape)
    slopes = (value(W + steps, gain=gain) - value(W - steps, gain=gain)) / 2e-6
    np.testing.assert_allclose(PENALTIES[name].gradient(W, gain=gain), slopes.reshape(shape), atol=1e-8)


@gained
@each
def test_all_vanish_on_the_manifold_but_dso_of_a_matrix_that_is_not_square(shape, gain):
    W = on_manifold(shape, gain)
    for name in PENALTIES:
        least = abs(shape[0] - shape[1]) if name == "DSO" else 0
        assert PENALTIES[name].value(W, gain=gain) == pytest.approx(least, abs=1e-14)
    assert np.linalg.norm(penalties.so_gradient(W, gain=gain)) < 1e-13


def test_gain_adjusted_is_zero_at_its_gain_where_so_and_the_reports_gradient_are_not():
    W, gain = on_manifold((5, 5), 1.3), 1.3
    assert penalties.gain_adjusted(W, gain) < 1e-28
    assert np.linalg.norm(penalties.gain_adjusted_gradient(W, gain)) < 1e-13
    assert np.linalg.norm(W, 2) == pytest.approx(gain)  # not gain^2
    assert penalties.so(W) == pytest.approx(5 * (gain**2 - 1) ** 2)
    report = 4 / gain**4 * W @ (W.T @ W - np.eye(5))
    assert np.linalg.norm(report) == pytest.approx(4 * (gain**2 - 1) / gain**3 * 5**0.5)
    W = matrix(5, 5)
    assert penalties.gain_adjusted(W, gain) == penalties.so(W, gain=gain) != penalties.so(W)
    assert np.array_equal(penalties.gain_adjusted_gradient(W, gain), penalties.so_gradient(W, gain=gain))


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 5)])
def test_the_published_penalty_is_what_its_one_line_of_code_computes(shape):
    torch = pytest.importorskip("torch")
    W = torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64, requires_grad=True)
    value = torch.mean(torch.square(W.T @ W / 1.3**2 - 1))
    (gradient,) = torch.autograd.grad(value, W)
    assert float(penalties.published(W.detach(), gain=1.3)) == pytest.approx(value.item(), rel=1e-12)
    torch.testing.assert_close(penalties.published_gradient(W.detach(), gain=1.3), gradient, rtol=1e-12, atol=1e-14)


def test_the_published_penalty_is_not_zero_at_an_orthogonal_matrix_but_at_one_of_rank_one():
    Q = haar(64, rng=0)
    assert float(penalties.published(1.025 * Q, gain=1.025)) == pytest.approx(63 / 64, abs=1e-12)
    rank_one = 1.025 * np.outer(Q[:, 0], np.ones(64))  # equal columns as long as the gain
    assert float(penalties.published(rank_one, gain=1.025)) == pytest.approx(0, abs=1e-24)
    assert np.abs(penalties.published_gradient(rank_one, gain=1.025)).max() < 1e-15
    assert np.linalg.norm(rank_one, 2) == pytest.approx(1.025 * 8)


def test_the_decks_gradient_is_wrong_even_where_it_exists():
    """Equation (8) has W (W W^T - I) for W (W^T W - I), and is undefined unless W is square. 4 x 4 Gaussian, seed 0."""
    W = np.random.default_rng(0).standard_normal((4, 4))
    deck = 4 * W @ (W @ W.T - np.eye(4))
    assert np.linalg.norm(deck - penalties.so_gradient(W)) > 10
    np.testing.assert_allclose(penalties.so_gradient(W), 4 * (W @ W.T - np.eye(4)) @ W, atol=1e-11)


@each
def test_descent_on_so_ends_on_the_manifold_at_the_gain(shape):
    """From singular values around 1, 400 steps of .03: every singular value is 1.3 within 1e-6."""
    W = matrix(*shape) + on_manifold(shape, 1.0)
    for _ in range(400):
        W = W - 0.03 * penalties.so_gradient(W, gain=1.3)
    np.testing.assert_allclose(np.linalg.svd(W, compute_uv=False), 1.3, atol=1e-6)


# The wrong side


@pytest.mark.parametrize("shape", [(8, 3), (3, 8)])
def test_srip_of_the_long_side_is_stuck_at_one_without_a_gradient(shape):
    """While every s_i^2 < 2. The short side is not: the trap of a kernel with fewer filters than inputs."""
    torch = pytest.importorskip("torch")
    W = torch.tensor(0.9 * on_manifold(shape, 1.0) + 0.1 * matrix(*shape), requires_grad=True)
    long = errors_of_both_sides(torch, W, 1.0)[1]
    value = torch.linalg.matrix_norm(long, ord=2)
    value.backward()
    assert value.item() == pytest.approx(1, abs=1e-12)
    assert W.grad.abs().max() < 1e-12
    assert penalties.srip(W.detach()) < 0.5
    assert penalties.srip_gradient(W.detach()).abs().max() > 0.1


@gained
@each
def test_so_of_the_long_side_differs_by_a_constant(shape, gain):
    for seed in range(3):
        short, long = errors_of_both_sides(np, matrix(*shape, seed=seed), gain)
        assert np.sum(long**2) - np.sum(short**2) == pytest.approx(abs(shape[0] - shape[1]), abs=1e-12)


@pytest.mark.parametrize("shape", [(8, 3), (3, 8)])
def test_mc_of_the_long_side_cannot_vanish(shape):
    """At orthonormal columns the trace of the long error is k - n, so an entry is at least (n - k) / n."""
    W = on_manifold(shape, 1.0)
    assert np.abs(errors_of_both_sides(np, W, 1.0)[1]).max() >= 5 / 8
    assert penalties.mc(W) < 1e-14


# Ties and kinks


def test_mc_takes_the_mean_over_ties_as_autograd_does():
    """Diagonal entries 3, 3 and -0.75: the two largest share the gradient; at E = 0 it is 0."""
    W = np.diag([2.0, 2.0, 0.5])
    np.testing.assert_allclose(penalties.mc_gradient(W), np.diag([2.0, 2.0, 0.0]))
    torch = pytest.importorskip("torch")
    leaf = torch.tensor(W, requires_grad=True)
    (leaf.T @ leaf - torch.eye(3)).abs().amax().backward()
    np.testing.assert_allclose(penalties.mc_gradient(W), leaf.grad.numpy())
    assert not penalties.mc_gradient(np.eye(3)).any()


def test_srip_where_eigenvalues_of_both_signs_tie():
    """E = diag(.3, -.3): power iteration turns between two vectors, v^T E v = 0, yet value and gradient hold."""
    W = np.diag([1.3, 0.7]) ** 0.5
    E = W.T @ W - np.eye(2)
    for steps in (0, 1, 2, 7):
        v = penalties.power_iteration(W, np.ones(2), steps=steps)
        assert abs(v @ E @ v) < 1e-14
        assert penalties.srip(W, v=v) == pytest.approx(0.3, rel=1e-14)
        # Each side's own gradient is 2 s_i e_i e_i^T, with the sign of its eigenvalue: this is half of both.
        np.testing.assert_allclose(penalties.srip_gradient(W, v=v), np.diag([1.3**0.5, -(0.7**0.5)]), atol=1e-14)


def test_srip_at_the_manifold_has_no_direction():
    v = penalties.power_iteration(np.eye(3), np.array([3.0, 0.0, 4.0]), steps=5)
    np.testing.assert_allclose(v, [0.6, 0.0, 0.8])
    assert penalties.srip(np.eye(3), v=v) == 0
    assert not penalties.srip_gradient(np.eye(3), v=v).any()
    assert not penalties.srip_gradient(np.eye(3)).any()


# Power iteration


@gained
@each
def test_power_iteration_reaches_the_exact_value_and_gradient(shape, gain):
    """500 steps, where |e_2 / e_1| is at most .93 over the 14 matrices and gains: 1e-12 and, the gradient, 1e-10."""
    W, m = matrix(*shape, seed=3), min(shape)
    v = penalties.power_iteration(W, np.ones(m), steps=500, gain=gain)
    assert np.linalg.norm(v) == pytest.approx(1, rel=1e-14)
    assert penalties.srip(W, gain=gain, v=v) == pytest.approx(penalties.srip(W, gain=gain), rel=1e-12)
    exact = penalties.srip_gradient(W, gain=gain)
    np.testing.assert_allclose(penalties.srip_gradient(W, gain=gain, v=v), exact, atol=1e-10)


def test_power_iteration_climbs_and_stays_a_lower_bound():
    W = matrix(30, 20)
    v, values = np.random.default_rng(0).standard_normal(20), []
    for _ in range(40):
        v = penalties.power_iteration(W, v, steps=1)
        values.append(penalties.srip(W, v=v))
    assert np.diff(values).min() > -1e-14
    assert 0.8 * penalties.srip(W) < values[-1] <= penalties.srip(W) + 1e-14


@each
def test_gradient_at_a_fixed_vector_against_autograd(shape):
    torch = pytest.importorskip("torch")
    gain, m = 1.3, min(shape)
    W = torch.tensor(matrix(*shape), requires_grad=True)
    v = torch.tensor(np.random.default_rng(2).standard_normal(m))
    (errors_of_both_sides(torch, W, gain)[0] @ v).norm().div(v.norm()).backward()
    ours = penalties.srip_gradient(W.detach(), gain=gain, v=v)
    np.testing.assert_allclose(ours.numpy(), W.grad.numpy(), atol=1e-12)


# Kernels


def test_kernel_matrix_has_one_filter_a_row():
    kernel = np.random.default_rng(0).standard_normal((4, 3, 2, 2))
    W = penalties.kernel_matrix(kernel)
    gram = np.array([[np.sum(a * b) for a in kernel] for b in kernel])
    assert penalties.so(W) == pytest.approx(np.sum((gram - np.eye(4)) ** 2), rel=1e-13)
    assert np.array_equal(W.reshape(kernel.shape), kernel)
    assert penalties.kernel_matrix(kernel[..., 0]).shape == (4, 6)


def test_gradient_of_a_torch_layers_kernel():
    """Few filters, as many as inputs, and more: 2, 12 and 20 of 12 inputs."""
    torch = pytest.importorskip("torch")
    for filters in (2, 12, 20):
        kernel = torch.nn.Conv2d(3, filters, 2).weight.detach().double().requires_grad_()
        W = kernel.flatten(1)
        (errors_of_both_sides(torch, W, 1.0)[0] ** 2).sum().backward()
        ours = penalties.so_gradient(penalties.kernel_matrix(kernel.detach())).reshape(kernel.shape)
        np.testing.assert_allclose(ours.numpy(), kernel.grad.numpy(), atol=1e-12)


# Batches, libraries, precision


CALLS = {
    **{name: penalty.value for name, penalty in PENALTIES.items()},
    **{f"{name} gradient": penalty.gradient for name, penalty in PENALTIES.items()},
}
called = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@called
@each
def test_a_batch_is_a_loop(call, shape):
    W = matrix(2, 3, *shape)
    together = call(W, gain=1.3)
    assert together.shape in ((2, 3), (2, 3, *shape))
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(together[i], call(W[i], gain=1.3), atol=1e-13)


@each
def test_power_iteration_of_a_batch_is_a_loop(shape):
    W, start = matrix(2, 3, *shape), np.random.default_rng(1).standard_normal((2, 3, min(shape)))
    v = penalties.power_iteration(W, start, steps=4, gain=1.3)
    value, gradient = penalties.srip(W, gain=1.3, v=v), penalties.srip_gradient(W, gain=1.3, v=v)
    for i in np.ndindex(2, 3):
        np.testing.assert_allclose(v[i], penalties.power_iteration(W[i], start[i], steps=4, gain=1.3), atol=1e-13)
        np.testing.assert_allclose(value[i], penalties.srip(W[i], gain=1.3, v=v[i]), atol=1e-13)
        np.testing.assert_allclose(gradient[i], penalties.srip_gradient(W[i], gain=1.3, v=v[i]), atol=1e-13)


@called
@each
def test_torch_and_numpy_agree_in_both_precisions(call, shape):
    torch = pytest.importorskip("torch")
    W = matrix(2, *shape)
    exact = call(W, gain=1.3)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-5)):
        ours = call(torch.tensor(W, dtype=dtype), gain=1.3)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours.numpy(), exact, atol=tolerance * max(1, np.abs(exact).max()))
    single = call(W.astype(np.float32), gain=1.3)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, exact, atol=1e-5 * max(1, np.abs(exact).max()))


def test_power_iteration_in_torch():
    torch = pytest.importorskip("torch")
    W, start = matrix(2, 8, 3), np.ones((2, 3))
    exact = penalties.power_iteration(W, start, steps=3)
    for dtype, tolerance in ((torch.float64, 1e-13), (torch.float32, 1e-5)):
        v = penalties.power_iteration(torch.tensor(W, dtype=dtype), torch.tensor(start, dtype=dtype), steps=3)
        assert v.dtype == dtype
        np.testing.assert_allclose(v.numpy(), exact, atol=tolerance)


# Bad input


@called
@pytest.mark.parametrize(
    ("W", "gain", "message"),
    [
        ([[1.0]], 1.0, "W must be an array of numpy, torch"),
        (np.ones((2, 2), dtype=int), 1.0, "W must have dtype float32 or float64; got int64"),
        (np.ones(3), 1.0, r"W must be a matrix or a batch of them.* got shape \(3,\)"),
        (np.ones((0, 3)), 1.0, r"W must be a matrix or a batch of them.* got shape \(0, 3\)"),
        (np.array([[1.0, np.nan]]), 1.0, "W must be finite; 1 entries"),
        (np.eye(2), 0, r"gain must be a number in \[1e-06, 1e\+06\]; got 0"),
        (np.eye(2), -1.3, r"gain must be a number in \[1e-06, 1e\+06\]; got -1.3"),
        (np.eye(2), np.inf, r"gain must be a number in \[1e-06, 1e\+06\]; got inf"),
        (np.eye(2), np.ones(2), "gain must be a number in"),
        (np.full((2, 2), 1e90), 1.0, r"W / gain must have entries of at most .* got 1e\+90"),
        (np.full((2, 2), 1e6, dtype=np.float32), 1e-6, r"W / gain must have entries of at most .* got 1e\+12"),
        (np.eye(2), True, r"gain must be a number in \[1e-06, 1e\+06\]; got True"),
    ],
)
def test_bad_input_is_named(call, W, gain, message):
    with pytest.raises(ArgumentError, match=message):
        call(W, gain=gain)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: penalties.srip(np.eye(3), v=np.ones(2)), r"v must have shape \(3,\), to go with W; got \(2,\)"),
        (lambda: penalties.srip(np.eye(3, 5), v=np.ones(5)), r"v must have shape \(3,\)"),  # the short side
        (lambda: penalties.srip(np.eye(3), v=np.zeros(3)), "v must be nonzero"),
        (lambda: penalties.srip(np.eye(3), v=[1.0, 0.0, 0.0]), "v must be an array of the same library as W"),
        (lambda: penalties.srip_gradient(np.eye(3), v=np.ones(3, dtype=np.float32)), "v must have W's dtype"),
        (lambda: penalties.srip_gradient(np.eye(3), v=np.array([1.0, np.nan, 0.0])), "v must be finite"),
        (lambda: penalties.power_iteration(np.eye(3), np.zeros(3), steps=2), "start must be nonzero"),
        (lambda: penalties.power_iteration(np.eye(3), np.ones((1, 3)), steps=2), r"start must have shape \(3,\)"),
        (lambda: penalties.power_iteration(np.eye(3), np.ones(3), steps=-1), "steps must be an integer >= 0"),
        (lambda: penalties.power_iteration(np.eye(3), np.ones(3), steps=2.0), "steps must be an integer >= 0"),
        (lambda: penalties.kernel_matrix(np.ones((4, 3))), r"kernel must have shape \(out, in, h, w\); got \(4, 3\)"),
        (lambda: penalties.kernel_matrix("conv1"), "kernel must be an array of numpy, torch"),
        (lambda: penalties.kernel_matrix(np.full((2, 2, 2, 2), np.nan)), "kernel must be finite; 16 entries"),
        (lambda: penalties.kernel_matrix(np.ones((4, 0, 2, 2))), "kernel must have shape"),
        (lambda: penalties.gain_adjusted(np.eye(2), None), r"gain must be a number in \[1e-06, 1e\+06\]; got None"),
    ],
)
def test_bad_vectors_and_kernels_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()

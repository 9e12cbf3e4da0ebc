"""Ring convolutions: the symbol against torch's convolution as a matrix, the laws against scipy's and sampled ones."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import unitary_group

from ortholab.errors import ArgumentError
from ortholab.theory import chi, critical_at, fuss_catalan_edge, get_activation, simulate
from ortholab.theory.convolution import (
    KERNELS,
    mode_decay,
    reshaped_density,
    reshaped_edge,
    sample_kernel,
    singular_values,
    symbol,
)


def as_matrix(kernel, size):
    """The ring convolution as one matrix, column by column from torch's conv with circular padding."""
    torch = pytest.importorskip("torch")
    dims, c_in = len(size), kernel.shape[1]
    conv = {1: torch.nn.Conv1d, 2: torch.nn.Conv2d}[dims](
        c_in, kernel.shape[0], kernel.shape[2:], padding=tuple(k // 2 for k in kernel.shape[2:]),
        padding_mode="circular", bias=False, dtype=torch.float64,
    )  # fmt: skip
    conv.weight.data = torch.as_tensor(kernel)
    basis = torch.eye(c_in * int(np.prod(size)), dtype=torch.float64).view(-1, c_in, *size)
    return conv(basis).flatten(1).detach().numpy().T


@pytest.mark.parametrize(("shape", "size"), [((3, 3, 3), (5,)), ((2, 4, 3, 3), (4, 3)), ((4, 2, 1, 3), (3, 6))])
def test_the_symbol_has_the_singular_values_of_torchs_convolution(shape, size):
    kernel = np.random.default_rng(0).standard_normal(shape)
    s = np.linalg.svd(as_matrix(kernel, size), compute_uv=False)
    assert np.allclose(singular_values(kernel, size), s[: np.prod(size) * min(shape[:2])], atol=1e-12)
    axes = range(2, kernel.ndim)  # the paper's two lines of numpy, for any number of axes
    sedghi = np.linalg.svd(np.fft.fftn(kernel, size, axes=axes).transpose(*axes, 0, 1), compute_uv=False)
    assert np.allclose(singular_values(kernel, size), np.sort(sedghi.ravel())[::-1])


def test_a_wave_goes_to_the_same_wave():
    kernel, n = np.random.default_rng(1).standard_normal((2, 3, 5)), 7
    u, k = np.array([1.0, 2j, -1.0]), 3
    wave = np.exp(2j * np.pi * k * np.arange(n) / n)
    out = as_matrix(kernel, (n,)) @ np.outer(u, wave).ravel()
    assert np.allclose(out, np.outer(symbol(kernel, (n,))[k] @ u, wave).ravel())


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("taps", [(3,), (3, 3)])
def test_every_kernel_has_the_same_sum_of_variances(kind, taps):
    kernel = sample_kernel(kind, 6, taps, sigma_w=1.3, rng=0, batch=(400,))
    assert kernel.shape == (400, 6, 6, *taps)
    fan = (kernel**2).reshape(400, 6, 6, -1).sum((2, 3))
    assert abs(fan.mean() - 1.69) < 5 * 1.69 * np.sqrt(2 / (6 * 3) / 2400) + 1e-9
    if kind != "gaussian":
        flat = kernel.reshape(400, 6, -1)
        assert np.allclose(flat @ flat.transpose(0, 2, 1), 1.69 * np.eye(6))
    if kind == "delta-orthogonal":
        assert np.allclose(singular_values(kernel[0], (4,) * len(taps)), 1.3)


@pytest.mark.parametrize("K", [2, 3, 9, 25])
def test_the_reshaped_density_is_that_of_truncated_unitary_matrices(K):
    edge = reshaped_edge(1, K)
    mass, mean = (
        quad(lambda a, p=p: reshaped_density(edge * np.sin([a]), K)[0] * (edge * np.sin(a)) ** p * edge * np.cos(a),
             0, np.pi / 2)[0] for p in (0, 2)
    )  # fmt: skip
    assert abs(mass - 1) < 1e-8
    assert abs(mean - 1) < 1e-8
    c = 60
    s = np.linalg.svd(
        np.sqrt(K) * unitary_group.rvs(K * c if K < 9 else 540, random_state=0)[:60, :60], compute_uv=False
    )
    if K <= 9:
        grid = np.linspace(0.1, 0.95, 12) * edge
        below = [quad(lambda x: reshaped_density(np.array([x]), K)[0], 0, g)[0] for g in grid]
        assert np.abs([(s < g).mean() for g in grid] - np.array(below)).max() < 2 / c
        assert abs(s.max() / edge - 1) < 0.05


def test_reshaped_edges_lie_between_orthogonal_and_gaussian_and_products_have_them():
    for L in (1, 4, 32):
        edges = [reshaped_edge(L, K) for K in (1, 2, 3, 9, 25, 10**7)]
        assert np.all(np.diff(edges) > 0)
        assert np.isclose(edges[-1], fuss_catalan_edge(L), rtol=1e-5)
    lam = lambda m: (1 + m) / m * ((1 + m) / (1 + m / 9)) ** 4  # noqa: E731
    assert np.isclose(reshaped_edge(4, 9) ** 2, lam(np.linspace(0.1, 3, 100_001)).min())
    J, c = np.eye(150), 150
    rng = np.random.default_rng(2)
    for _ in range(3):
        J = sample_kernel("reshaped orthogonal", c, (3,), rng=rng).sum(-1) @ J  # frequency 0
    assert abs(np.linalg.norm(J, 2) / reshaped_edge(3, 3) - 1) < 0.06
    assert abs(np.mean(np.linalg.svd(J, compute_uv=False) ** 4) - 1 - 3 * (1 - 1 / 3)) < 0.25


@pytest.mark.parametrize("kind", ["gaussian", "delta-orthogonal"])
def test_modes_of_a_change_decay_as_mean_field_says_in_a_sampled_network(kind):
    n, c, L, runs, rng = 8, 150, 5, 8, np.random.default_rng(3)
    point, tanh = critical_at("tanh", 0.25), get_activation("tanh")
    waves, measured = np.cos(2 * np.pi * np.outer([0, 1, 2], np.arange(n)) / n), []
    for _ in range(runs):
        x = np.array([simulate.inputs_at("tanh", point.q, c, rng=rng) for _ in range(n)]).T
        v = rng.standard_normal((c, n)) * np.sqrt(1 + waves[1] / 2 + waves[2] / 2) / np.sqrt(c)
        for _ in range(L):
            kernel = sample_kernel(kind, c, (3,), sigma_w=point.sigma_w, rng=rng)
            ring = lambda y, W=kernel: sum(W[..., b] @ np.roll(y, 1 - b, 1) for b in range(3))  # noqa: E731
            h = ring(x) + point.sigma_b * rng.standard_normal((c, 1))
            x, v = tanh.phi(h), tanh.dphi(h) * ring(v)
        measured.append(waves @ (v**2).sum(0) / (waves**2).sum(1))
    shares = np.full(3, 1 / 3) if kind == "gaussian" else np.array([0.0, 1.0, 0.0])
    factor = chi("tanh", point.sigma_w, point.sigma_b) * mode_decay(shares, (n,)).real[:3]
    expected = np.array([1, 0.5, 0.5]) * factor**L
    error = np.std(measured, axis=0, ddof=1) / runs**0.5
    assert np.all(np.abs(np.mean(measured, 0) - expected) < 4 * error + 0.03)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: sample_kernel("delta", 2, (3,), rng=0), "kind"),
        (lambda: sample_kernel("gaussian", 2, (2,), rng=0), "taps"),
        (lambda: sample_kernel("gaussian", 2, 3, rng=0), "taps"),
        (lambda: symbol(np.ones((2, 2, 5)), (4,)), "kernel"),
        (lambda: symbol(np.ones((2, 2)), (4,)), "kernel"),
        (lambda: reshaped_edge(0, 9), "depth"),
        (lambda: reshaped_density(np.ones(2), 1), "taps"),
        (lambda: mode_decay(np.full(3, 0.5), (4,)), "variances"),
        (lambda: mode_decay(np.full(2, 0.5), (4,)), "variances"),
    ],
)
def test_bad_input_is_named(call, name):
    with pytest.raises(ArgumentError, match=f"{name} must"):
        call()

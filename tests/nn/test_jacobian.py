"""The Jacobian against autograd, jacrev and finite differences; its log singular values far below precision."""

import numpy as np
import pytest
import torch

from ortholab.nn import (
    MLP,
    gradient_norms,
    haar,
    jacobian,
    layer_factors,
    log_singular_values,
    singular_values,
)

WIDTHS = {"square": (6, [6, 6, 6]), "tall": (3, [5, 8, 11]), "wide": (11, [8, 5, 3]), "waist": (7, [9, 2, 8]),
          "one layer": (4, [6]), "single units": (1, [1, 1])}  # fmt: skip
ACTIVATIONS = ["linear", "relu", "hard_tanh", "tanh", "erf", "gelu", "silu", torch.sin]


def make(widths, activation="tanh", weights="gaussian", seed=0, dtype=torch.float64, n_out=None):
    n_in, width = WIDTHS[widths]
    generator = torch.Generator().manual_seed(seed)
    model = MLP(
        n_in, width, None, n_out, activation=activation, sigma_w=1.4, sigma_b=0.3, weights=weights,
        generator=generator, dtype=dtype,
    )  # fmt: skip
    return model, torch.randn(4, n_in, generator=generator, dtype=dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("widths", WIDTHS)
def test_against_jacrev_and_autograd(widths, activation):
    model, x = make(widths, activation)
    J = jacobian(model, x)
    assert torch.allclose(J, torch.func.vmap(torch.func.jacrev(model))(x), rtol=1e-10, atol=1e-12)
    assert torch.allclose(J[2], torch.autograd.functional.jacobian(model, x[2]), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("widths", WIDTHS)
def test_against_finite_differences(widths):
    model, x = make(widths, "tanh")
    step = 1e-6
    J = jacobian(model, x[0])
    for i, e in enumerate(torch.eye(model.n_in, dtype=torch.float64)):
        with torch.no_grad():
            column = (model(x[0] + step * e) - model(x[0] - step * e)) / (2 * step)
        assert torch.allclose(J[:, i], column, atol=1e-8)


@pytest.mark.parametrize("widths", WIDTHS)
@pytest.mark.parametrize("batch", [(), (4,), (2, 2), (0,)])
def test_is_the_product_of_its_factors_latest_leftmost(widths, batch):
    model, x = make(widths, "gelu")
    x = x[0] if batch == () else x[: int(np.prod(batch))].reshape(*batch, model.n_in)
    for start in range(model.depth):
        for stop in range(start + 1, model.depth + 1):
            product = torch.eye(model.widths[start], dtype=torch.float64)
            for factor in layer_factors(model, x, start, stop):
                product = factor @ product
            J = jacobian(model, x, start, stop)
            assert J.shape == (*batch, model.widths[stop], model.widths[start])
            assert torch.allclose(J, product.expand_as(J), rtol=1e-11, atol=1e-13)


def test_order_matters():
    model, x = make("square", "linear")
    W = [layer.weight.detach() for layer in model.layers]
    assert torch.allclose(jacobian(model, x[0]), W[2] @ W[1] @ W[0])
    assert not torch.allclose(jacobian(model, x[0]), W[0] @ W[1] @ W[2], rtol=0.1)


def test_float32_is_right_to_its_precision():
    model, x = make("square", "tanh", dtype=torch.float32)
    double, _ = make("square", "tanh")
    double.load_state_dict({k: v.double() for k, v in model.state_dict().items()})
    J = jacobian(model, x)
    assert J.dtype == torch.float32
    assert torch.allclose(J.double(), jacobian(double, x.double()), rtol=1e-4, atol=1e-5)
    assert torch.allclose(singular_values(model, x).double(), singular_values(double, x.double()), rtol=1e-3, atol=1e-5)


def test_readout_is_not_part_of_it_and_no_gradient_flows():
    with_readout, x = make("tall", n_out=2)
    J = jacobian(with_readout, x)
    assert J.shape == (4, 11, 3)
    assert not J.requires_grad


def test_orthogonal_linear_network_is_an_isometry_at_depth_200():
    model = MLP(50, 50, 200, activation="linear", sigma_w=1.0, generator=0, dtype=torch.float64)
    s = singular_values(model, torch.ones(2, 50, dtype=torch.float64))
    assert torch.allclose(s, torch.ones_like(s), atol=1e-11)


@pytest.mark.parametrize("widths", WIDTHS)
def test_log_singular_values_where_plain_ones_are_right(widths):
    model, x = make(widths, "tanh")
    s, log_s = singular_values(model, x).numpy(), log_singular_values(model, x)
    assert log_s.shape == s.shape
    assert log_s.dtype == np.float64
    seen = s > 1e-10 * s[:, :1]
    assert np.allclose(np.exp(log_s)[seen], s[seen], rtol=1e-5)
    if widths == "waist":  # rank 2: the other five are exact zeros
        assert np.isneginf(log_s[:, 2:]).all()


def test_gaussian_linear_product_keeps_its_determinant():
    """n = L = 100, seed 0: the sum of log s is log|det J| to 1e-6, where the SVD of the product loses half of it."""
    n = depth = 100
    results = {}
    for dtype in (torch.float32, torch.float64):
        model = MLP(
            n, n, depth, activation="linear", sigma_w=1.0, weights="gaussian", generator=0, dtype=torch.float64
        ).to(dtype)
        x = torch.ones(n, dtype=dtype)
        true = sum(torch.linalg.slogdet(layer.weight.double())[1].item() for layer in model.layers)
        plain = singular_values(model, x).double().log().sum().item()
        results[dtype] = (true, log_singular_values(model, x).sum(), plain)
    for true, ours, _ in results.values():
        assert abs(true - (-5148)) < 60  # the law's mean; the standard deviation over draws is about 16
        assert abs(ours - true) < 1e-6
    assert -2800 < results[torch.float64][2] < -2300
    assert -1600 < results[torch.float32][2] < -1000


def test_dead_units_give_exact_zeros():
    model = MLP(30, 30, 6, activation="relu", sigma_w=1.4, weights="orthogonal", generator=0, dtype=torch.float64)
    x = torch.randn(30, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    rank = torch.linalg.matrix_rank(jacobian(model, x)).item()
    log_s = log_singular_values(model, x)
    assert 0 < rank < 30
    assert np.isneginf(log_s).sum() >= (model.preactivations(x)[-1] <= 0).sum().item() > 0
    assert np.isfinite(log_s[:rank]).all()


def test_saturated_float32_units_count_as_small_not_dead():
    model = MLP(20, 20, 2, activation="tanh", sigma_w=40.0, generator=0)
    log_s = log_singular_values(model, torch.ones(20))
    assert np.isfinite(log_s).all()


@pytest.mark.parametrize("widths", WIDTHS)
def test_gradient_norms_are_backpropagation(widths):
    model, x = make(widths, "silu")
    v = haar(model.widths[-1], 1, generator=9, dtype=torch.float64)[:, 0]
    norms = gradient_norms(model, x, v)
    assert norms.shape == (model.depth + 1, len(x))
    leaf = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad((model(leaf) @ v).sum(), leaf)
    assert torch.allclose(norms[0], gradient.norm(dim=-1))
    for start in range(model.depth):
        expected = torch.linalg.vector_norm(jacobian(model, x, start).mT @ v, dim=-1)
        assert torch.allclose(norms[start], expected)
    assert torch.allclose(norms[-1], torch.ones_like(norms[-1]))


def test_gradient_norms_take_one_v_for_each_input():
    model, x = make("tall")
    v = torch.arange(44, dtype=torch.float64).reshape(4, 11)
    together = gradient_norms(model, x, v)
    for i in range(4):
        assert torch.allclose(together[:, i], gradient_norms(model, x[i], v[i]))

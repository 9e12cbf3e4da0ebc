"""The input-output Jacobian J = D_L W_L ... D_1 W_1 of an MLP at real inputs, and its singular values.

Sources: Saxe, McClelland, Ganguli 2014 (arXiv 1312.6120); the deck, equation (1).
"""

from __future__ import annotations

import numpy as np
import torch

from ortholab.errors import ArgumentError, bad, check_int
from ortholab.nn.mlp import MLP


def layer_factors(
    model: MLP, x: torch.Tensor, start: int = 0, stop: int | None = None, *, dtype: torch.dtype | None = None
) -> list[torch.Tensor]:
    """Return [D_l W_l for l = start+1 .. stop] at x, first applied first; each of shape (..., n_l, n_{l-1}).

    D_l = diag(phi'(h_l)). x has shape (..., n_in); the layers that x passes are counted from 1 to ``model.depth``.
    ``dtype=torch.float64`` takes the slopes and the product D W of a float32 network in float64.
    Raises ArgumentError. Source: the 2019 deck, equation (1).

    >>> model = MLP(3, 4, 2, sigma_w=1.0, generator=0)
    >>> [tuple(F.shape) for F in layer_factors(model, torch.ones(5, 3))]
    [(5, 4, 3), (5, 4, 4)]
    """
    weights, slopes = _weights_and_slopes(model, x, start, stop, dtype)
    return [d.unsqueeze(-1) * W for W, d in zip(weights, slopes, strict=True)]


def jacobian(model: MLP, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
    """Return J = dx_stop / dx_start = D_stop W_stop ... D_{start+1} W_{start+1}, shape (..., n_stop, n_start).

    The latest layer stands leftmost (equation (1) leaves the order open, and the factors do not commute).
    The readout is not part of J. The product is taken from its narrower end, the whole batch in one matrix product a
    layer, between two buffers. No gradient flows through the answer. Raises ArgumentError.
    Source: the 2019 deck, equation (1).

    >>> model = MLP(3, 4, 2, activation="linear", sigma_w=1.0, generator=0)
    >>> W1, W2 = (layer.weight for layer in model.layers)
    >>> torch.allclose(jacobian(model, torch.ones(3)), W2 @ W1)
    True
    """
    weights, slopes = _weights_and_slopes(model, x, start, stop, None)
    batch, n_start, n_stop = x.shape[:-1], weights[0].shape[1], weights[-1].shape[0]
    slopes = [d.reshape(-1, d.shape[-1]) for d in slopes]
    product = _from_the_right if n_start <= n_stop else _from_the_left
    return _finite("J", product(weights, slopes).reshape(*batch, n_stop, n_start))


def singular_values(model: MLP, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
    """Return the singular values of J at x, descending, shape (..., min(n_stop, n_start)).

    Right to about eps * s_max: once s_min / s_max falls below that, use ``log_singular_values``. Raises ArgumentError.
    Source: the 2019 deck, equation (1), with singular values where the deck says eigenvalues.

    >>> model = MLP(4, 4, 3, activation="linear", sigma_w=1.0, generator=0, dtype=torch.float64)
    >>> torch.allclose(singular_values(model, torch.ones(4).double()), torch.ones(4).double())
    True
    """
    return torch.linalg.svdvals(jacobian(model, x, start, stop))


def log_singular_values(model: MLP, x: torch.Tensor, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Return log of the singular values of J at x, descending, as float64 numpy of shape (..., min(n_stop, n_start)).

    Right also when J is numerically singular: the factors are multiplied as a chain of QR steps in float64
    (``ortholab.theory.products``). The slopes, too, are taken in float64 from the network's own pre-activations, so
    that a saturated float32 unit counts as small and not as dead. An exact zero gives -inf. Raises ArgumentError.

    >>> model = MLP(9, 9, 200, activation="linear", sigma_w=0.01, generator=0, dtype=torch.float64)
    >>> bool(np.allclose(log_singular_values(model, torch.ones(9).double()), 200 * np.log(0.01)))
    True
    """
    from ortholab.theory import products

    factors = [F.cpu().numpy() for F in layer_factors(model, x, start, stop, dtype=torch.float64)]
    batch = tuple(x.shape[:-1])
    out = np.full((*batch, min(factors[0].shape[-1], factors[-1].shape[-2])), -np.inf)
    for index in np.ndindex(batch):
        found = products.log_singular_values([F[index] for F in factors])
        out[(*index, slice(len(found)))] = found  # a narrower layer in between leaves exact zeros at the end
    return out


def gradient_norms(model: MLP, x: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return |J_l^T v| for l = 0 .. depth, shape (depth + 1, ...), where J_l = dx_L / dx_l.

    v is the gradient at x_L. Back-propagation is the product J^T v, taken layer by layer:
    g_{l-1} = W_l^T D_l g_l with g_L = v. v has shape (n_L,) or (..., n_L). Raises ArgumentError.

    >>> model = MLP(4, 4, 3, activation="linear", sigma_w=2.0, generator=0)
    >>> gradient_norms(model, torch.ones(4), torch.tensor([1.0, 0, 0, 0]))
    tensor([8.0000, 4.0000, 2.0000, 1.0000])
    """
    weights, slopes = _weights_and_slopes(model, x, 0, None, None)
    n_last, batch = weights[-1].shape[0], tuple(x.shape[:-1])
    if not isinstance(v, torch.Tensor) or v.dtype != x.dtype:
        raise bad("v", v, f"a tensor of the network's dtype {x.dtype}")
    if tuple(v.shape) not in ((n_last,), (*batch, n_last)):
        raise ArgumentError(f"v must have shape ({n_last},) or {(*batch, n_last)}; got {tuple(v.shape)}")
    if not torch.isfinite(v).all():
        raise ArgumentError("v must be finite")
    g = v.detach().expand(*batch, n_last)
    norms = [torch.linalg.vector_norm(g, dim=-1)]
    for W, d in zip(reversed(weights), reversed(slopes), strict=True):
        g = (g * d) @ W
        norms.append(torch.linalg.vector_norm(g, dim=-1))
    return _finite("J^T v", torch.stack(norms[::-1]))


@torch.no_grad()
def _weights_and_slopes(model, x, start, stop, dtype):
    if not isinstance(model, MLP):
        raise bad("model", type(model).__name__, "an ortholab.nn.MLP")
    start = check_int("start", start)
    stop = model.depth if stop is None else check_int("stop", stop, 1)
    if not start < stop <= model.depth:
        raise ArgumentError(
            f"start and stop must satisfy 0 <= start < stop <= depth = {model.depth}; got {start}, {stop}"
        )
    hidden = model.preactivations(x)[start:stop]
    weights = [linear.weight.detach() for linear in model.layers[start:stop]]
    if dtype is not None:
        hidden, weights = [h.cpu().to(dtype) for h in hidden], [W.cpu().to(dtype) for W in weights]
    slopes = [_finite("phi'(h)", model.activation.dphi(h).detach()) for h in hidden]
    return weights, slopes


def _finite(name: str, value: torch.Tensor) -> torch.Tensor:
    if not bool(torch.isfinite(value).all()):
        raise ArgumentError(f"x leads to {name} that overflows {value.dtype}; log_singular_values takes logarithms")
    return value


def _buffers(weights, rows):
    size = rows * max(max(W.shape) for W in weights)
    return [torch.empty(size, dtype=weights[0].dtype, device=weights[0].device) for _ in range(2)]


def _from_the_right(weights, slopes):
    """J as W_l acting on a matrix (n_l, batch * n_start): one product a layer for the whole batch."""
    (count, _), n_start = slopes[0].shape, weights[0].shape[1]
    P = slopes[0].T.unsqueeze(-1) * weights[0].unsqueeze(1)
    if len(weights) == 1:
        return P.movedim(1, 0)
    buffers = _buffers(weights, count * n_start)
    for i, (W, d) in enumerate(zip(weights[1:], slopes[1:], strict=True)):
        n_to, n_from = W.shape
        out = buffers[i % 2][: n_to * count * n_start].view(n_to, count * n_start)
        P = torch.mm(W, P.reshape(n_from, count * n_start), out=out).view(n_to, count, n_start)
        P.mul_(d.T.unsqueeze(-1))
    return P.movedim(1, 0)


def _from_the_left(weights, slopes):
    """J as a matrix (batch * n_stop, n_l) acted on from the right: for n_stop < n_start this is the cheaper order."""
    count, n_stop = slopes[-1].shape
    P = slopes[-1].unsqueeze(-1) * weights[-1]
    buffers = _buffers(weights, count * n_stop)
    for i, (W, d) in enumerate(zip(reversed(weights[:-1]), reversed(slopes[:-1]), strict=True)):
        n_to, n_from = W.shape
        P.mul_(d.unsqueeze(1))
        out = buffers[i % 2][: count * n_stop * n_from].view(count * n_stop, n_from)
        P = torch.mm(P.reshape(count * n_stop, n_to), W, out=out).view(count, n_stop, n_from)
    return P

"""Gaussian and orthogonal initialisation with entries of variance sigma_w^2 / n_in."""

from __future__ import annotations

import math
import numbers

import torch

from ortholab.errors import ArgumentError, bad, check_int, check_number


def check_torch_generator(generator: object) -> torch.Generator | None:
    """Return a torch Generator as it is, make one from an int seed, or pass ``None`` (torch's global generator)."""
    if generator is None or isinstance(generator, torch.Generator):
        return generator
    if isinstance(generator, numbers.Integral) and not isinstance(generator, bool) and 0 <= generator < 2**63:
        return torch.Generator().manual_seed(int(generator))
    raise bad("generator", generator, "a torch.Generator, a seed (an integer >= 0) or None")


def haar(
    n: int,
    k: int | None = None,
    *,
    generator: torch.Generator | int | None,
    batch: tuple[int, ...] = (),
    dtype: torch.dtype = torch.float32,
) -> torch.Tensor:
    """Draw Q with orthonormal columns from the invariant (Haar) measure; shape (*batch, n, k), k <= n.

    Q = H_1 ... H_k diag(s), with Householder reflectors H_j of Gaussian vectors in dimension n - j + 1 and the signs
    s_j of the diagonal of R that make the law invariant. No Gaussian matrix is factorised: only reflectors are drawn.
    Exact at every n. Raises ArgumentError. Source: Stewart 1980 (SIAM J. Numer. Anal. 17, 403).

    >>> Q = haar(5, 3, generator=0, dtype=torch.float64)
    >>> torch.allclose(Q.mT @ Q, torch.eye(3, dtype=torch.float64))
    True
    """
    n = check_int("n", n, 1)
    k = n if k is None else check_int("k", k, 1)
    if k > n:
        raise bad("k", k, f"an integer <= n = {n}")
    if dtype not in (torch.float32, torch.float64):
        raise bad("dtype", dtype, "torch.float32 or torch.float64")
    if not isinstance(batch, tuple | list):
        raise bad("batch", batch, "a tuple of integers")
    batch = tuple(check_int(f"batch[{i}]", m) for i, m in enumerate(batch))
    generator = check_torch_generator(generator)
    device = generator.device if generator is not None else "cpu"
    x = torch.randn(*batch, n, k, generator=generator, dtype=dtype, device=device).tril_()
    alpha = torch.diagonal(x, dim1=-2, dim2=-1).clone()
    norm = torch.linalg.vector_norm(x, dim=-2)
    sign = torch.where(alpha < 0, -1.0, 1.0).to(dtype)
    # H x = -sign |x| e_1, with v = x + sign |x| e_1 normed to v_1 = 1: no cancellation, since both terms have one sign.
    pivot = alpha + sign * norm
    x = x / pivot.unsqueeze(-2)
    torch.diagonal(x, dim1=-2, dim2=-1).fill_(1)
    Q = torch.linalg.householder_product(x, pivot * sign / norm)
    return Q * -sign.unsqueeze(-2)


def gaussian_(tensor: torch.Tensor, sigma_w: float = 1.0, generator: torch.Generator | int | None = None):
    """Fill (..., n_out, n_in) in place with independent W_ij ~ N(0, sigma_w^2 / n_in), and return it.

    Raises ArgumentError. Source: the 2019 deck, equation (2); Glorot and Bengio 2010.

    >>> gaussian_(torch.empty(3, 2), 1.0, generator=0).shape
    torch.Size([3, 2])
    """
    sigma_w = check_number("sigma_w", sigma_w, low=0, open_low=True)
    n_in = _check_weight(tensor)[1]
    generator = check_torch_generator(generator)
    device = generator.device if generator is not None else "cpu"
    draw = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype, device=device)
    with torch.no_grad():
        return tensor.copy_(draw.mul_(sigma_w / math.sqrt(n_in)))


def orthogonal_(tensor: torch.Tensor, sigma_w: float = 1.0, generator: torch.Generator | int | None = None):
    """Fill (..., n_out, n_in) in place with a Haar matrix whose entries have variance sigma_w^2 / n_in; return it.

    Square: W = sigma_w Q, so W^T W = sigma_w^2 I. Rectangular: with m = max(n_out, n_in), an entry of the
    semi-orthogonal Haar matrix Q has variance 1/m (its m-vectors have unit length), so W = sigma_w sqrt(m / n_in) Q.
    Wide W (n_out < n_in): W W^T = sigma_w^2 I. Tall W: W^T W = sigma_w^2 (n_out / n_in) I.
    Raises ArgumentError. Source: Saxe et al. (arXiv 1312.6120); Pennington et al. (arXiv 1711.04735).

    >>> W = orthogonal_(torch.empty(4, 4, dtype=torch.float64), 1.5, generator=0)
    >>> torch.allclose(W @ W.mT, 2.25 * torch.eye(4, dtype=torch.float64))
    True
    """
    sigma_w = check_number("sigma_w", sigma_w, low=0, open_low=True)
    n_out, n_in = _check_weight(tensor)
    long, short = max(n_out, n_in), min(n_out, n_in)
    Q = haar(long, short, generator=generator, batch=tuple(tensor.shape[:-2]), dtype=tensor.dtype)
    with torch.no_grad():
        return tensor.copy_((Q if n_out >= n_in else Q.mT) * (sigma_w * math.sqrt(long / n_in)))


def _check_weight(tensor: object) -> tuple[int, int]:
    if not isinstance(tensor, torch.Tensor):
        raise bad("tensor", tensor, "a torch tensor")
    if tensor.ndim < 2 or 0 in tensor.shape:
        raise ArgumentError(f"tensor must have shape (..., n_out, n_in), none empty; got {tuple(tensor.shape)}")
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ArgumentError(f"tensor must be float32 or float64; got {tensor.dtype}")
    return tensor.shape[-2], tensor.shape[-1]

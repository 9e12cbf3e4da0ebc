"""The penalties' closed-form gradients, added in place to a gradient that is there: nothing is checked or read back.

The formulas are those of :mod:`ortholab.theory.penalties`, for one matrix (n, k) or a batch of equal ones (b, n, k),
always through the Gram matrix of the short side:

    E = W W^T / gain^2 - I  if n < k,    E = W^T W / gain^2 - I  otherwise.

No step waits for the device: nothing here turns a tensor into a number.
"""

from __future__ import annotations

import torch

STRIP = 128  # rows of a Gram matrix that are made in one product
MIX = 0.1  # length of what is mixed into SRIP's vector, against its own


def gram_error(W: torch.Tensor, gain: float) -> torch.Tensor:
    """Return E of the short side, (..., m, m) with m = min(n, k).

    >>> gram_error(torch.diag(torch.tensor([2.0, 1.0])), 1.0).tolist()
    [[3.0, 0.0], [0.0, 0.0]]
    """
    E = _gram(W if W.shape[-2] < W.shape[-1] else W.mT)
    if gain != 1:
        E.div_(gain * gain)
    E.diagonal(dim1=-2, dim2=-1).sub_(1)
    return E


def add_so(grad: torch.Tensor, W: torch.Tensor, weight: float, gain: float) -> None:
    """grad += weight (4 / gain^2) E W, or W E for a tall W: the gradient of ||E||_F^2.

    >>> grad = torch.zeros(2, 2)
    >>> add_so(grad, torch.diag(torch.tensor([2.0, 1.0])), 1.0, 1.0)
    >>> grad.tolist()
    [[24.0, 0.0], [0.0, 0.0]]
    """
    _add_product(grad, W, gram_error(W, gain), 4 * weight / gain**2)


def add_dso(grad: torch.Tensor, W: torch.Tensor, weight: float, gain: float) -> None:
    """grad += the gradient of DSO = 2 SO + |n - k|: that of SO at twice the weight."""
    add_so(grad, W, 2 * weight, gain)


def add_published(grad: torch.Tensor, W: torch.Tensor, weight: float, gain: float) -> None:
    """grad += weight 4 / (gain^2 k^2) W (W^T W / gain^2 - 1 1^T): what the code published with the deck descends.

    :func:`ortholab.theory.penalties.published` says what it is; k is the number of columns.

    >>> grad = torch.zeros(2, 2)
    >>> add_published(grad, torch.eye(2), 1.0, 1.0)
    >>> grad.tolist()
    [[0.0, -1.0], [-1.0, 0.0]]
    """
    E = (W.mT @ W).div_(gain * gain).sub_(1)
    torch.add(grad, W @ E, alpha=4 * weight / (gain * W.shape[-1]) ** 2, out=grad)


def add_mc(grad: torch.Tensor, W: torch.Tensor, weight: float, gain: float) -> None:
    """grad_i += c W_j and grad_j += c W_i, c = (weight / gain^2) sign(E_ij), for the largest |E_ij|.

    W_i are the rows of a wide W, the columns of another; only two of them move. Where several
    entries tie it is one of them: a subgradient.

    >>> grad = torch.zeros(2, 2)
    >>> add_mc(grad, torch.tensor([[1.0, 0.6], [0.0, 0.8]]), 1.0, 1.0)
    >>> grad  # columns of length 1 and of product 0.6
    tensor([[0.6000, 1.0000],
            [0.8000, 0.0000]])
    """
    E = gram_error(W, gain)
    m = E.shape[-1]
    flat = E.flatten(-2)
    at = flat.abs().argmax(-1, keepdim=True)
    sign = flat.gather(-1, at).sign_().mul_(weight / gain**2)
    pair = torch.cat((at // m, at % m), -1)
    X, G = (W, grad) if W.shape[-2] < W.shape[-1] else (W.mT, grad.mT)
    rows = pair[..., None].expand(*pair.shape, X.shape[-1])
    G.scatter_add_(-2, rows, X.gather(-2, rows.flip(-2)) * sign[..., None])


def add_srip(grad: torch.Tensor, W: torch.Tensor, weight: float, gain: float, v: torch.Tensor) -> None:
    """grad += (weight / gain^2) (v u^T + u v^T) W with u = E v / |E v|: the gradient of |E v| at fixed unit v.

    Two vectors and two products with W: a change of rank two.

    >>> grad = torch.zeros(2, 2)
    >>> add_srip(grad, torch.diag(torch.tensor([2.0, 1.0])), 1.0, 1.0, torch.tensor([1.0, 0.0]))
    >>> grad.tolist()
    [[4.0, 0.0], [0.0, 0.0]]
    """
    X = W if W.shape[-2] < W.shape[-1] else W.mT
    pair = torch.stack((v, _unit(times_error(W, v, gain))), -1)  # (..., m, 2)
    seen = X.mT @ pair  # (..., long, 2)
    if X is W:
        _add(grad, pair.flip(-1), seen.mT, weight / gain**2)
    else:
        _add(grad, seen, pair.flip(-1).mT, weight / gain**2)


def times_error(W: torch.Tensor, v: torch.Tensor, gain: float) -> torch.Tensor:
    """Return E v for v (..., m), by two products with W; E is never formed."""
    X = W if W.shape[-2] < W.shape[-1] else W.mT
    return (X @ (X.mT @ v[..., None]))[..., 0] / gain**2 - v


def leading(E: torch.Tensor, squarings: int = 8) -> torch.Tensor:
    """Return a unit vector v (..., m) with |E v| the spectral norm of E (..., m, m), by squaring E ``squarings`` times.

    That is the power iteration with 2^squarings steps, at the cost of a few small products: v is the column of the
    power at its largest diagonal entry. Without a gap |E v| is low by a factor of at most about m^(-2^-squarings).
    Where eigenvalues a and -a tie, v lies in the span of both, and |E v| = a all the same. E = 0 gives a unit vector.

    >>> leading(torch.diag(torch.tensor([1.0, -3.0, 2.0]))).tolist()
    [0.0, 1.0, 0.0]
    """
    M = E
    for _ in range(squarings):
        M = M @ M
        top = M.diagonal(dim1=-2, dim2=-1).amax(-1)[..., None, None]  # of a square, so >= 0
        M = M / torch.where(top > 0, top, 1.0)
    diagonal = M.diagonal(dim1=-2, dim2=-1)
    at = diagonal.argmax(-1, keepdim=True)
    column = M.gather(-1, at[..., None].expand(*M.shape[:-1], 1))[..., 0]
    return _unit(column, torch.zeros_like(column).scatter_(-1, at, 1.0))


def follow(W: torch.Tensor, v: torch.Tensor, gain: float, mix: torch.Tensor, steps: int) -> torch.Tensor:
    """Return a unit vector with |E v| close to the spectral norm of E, from ``steps`` products E v; E is not formed.

    It is the best vector of the space that the products span (Lanczos), begun from the last training step's ``v`` with
    a little of the unit vector ``mix``. The power iteration keeps only the last product, and that is not enough here:
    training presses the leading eigenvalues together until no gap is left for it to work with. And a vector that has
    converged has lost all other directions to rounding, so without ``mix`` it would stay behind when the next
    eigenvalue takes the lead.

    >>> W = torch.diag(torch.linspace(0.0, 2.0, 200))
    >>> v = follow(W, torch.ones(200), 1.0, direction(200, 1, W), steps=20)
    >>> round(torch.linalg.vector_norm(times_error(W, v, 1.0)).item(), 2)  # of 2^2 - 1
    3.0
    """
    basis = [_unit(v + MIX * mix)]
    products = []
    for _ in range(steps):
        products.append(times_error(W, basis[-1], gain))
        Q, new = torch.stack(basis, -1), products[-1]
        for _ in range(2):  # once leaves what rounding adds, twice is enough
            new = new - (Q @ (Q.mT @ new[..., None]))[..., 0]
        basis.append(_unit(new))
    Q = torch.stack(basis[:-1], -1)
    T = Q.mT @ torch.stack(products, -1)
    return _unit((Q @ leading((T + T.mT) / 2)[..., None])[..., 0])


def direction(m: int, t: int, like: torch.Tensor) -> torch.Tensor:
    """Return the unit vector along (cos(t a_i))_i, a_i = i golden ratios of a half turn: m of them in a row span R^m.

    cos(t a) is a polynomial of degree t in cos(a), so the vectors t = 0 .. m - 1 form a Vandermonde matrix in distinct
    nodes times a triangular one. It needs no random generator, whose state would have to be kept.
    """
    angles = torch.arange(1, m + 1, device=like.device, dtype=like.dtype).mul_(0.6180339887498949).frac_()
    return _unit(torch.cos(angles.mul_(torch.pi * (t % 4096))))


def _unit(x: torch.Tensor, instead: torch.Tensor | None = None) -> torch.Tensor:
    """x over its length; where that is 0, ``instead`` (None: x itself, which is 0)."""
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    nonzero = length > 0
    return torch.where(nonzero, x / torch.where(nonzero, length, 1.0), x if instead is None else instead)


def _gram(X: torch.Tensor) -> torch.Tensor:
    """X X^T. A large one by strips of rows from the diagonal on, then mirrored: little more than half the products."""
    m = X.shape[-2]
    if X.ndim > 2 or m < 4 * STRIP or X.device.type != "cpu":
        return X @ X.mT
    E = X.new_empty(m, m)
    for a in range(0, m, STRIP):
        b = min(a + STRIP, m)
        torch.mm(X[a:b], X[a:].mT, out=E[a:b, a:])
        E[b:, a:b].copy_(E[a:b, b:].mT)
    return E


def _add_product(grad: torch.Tensor, W: torch.Tensor, S: torch.Tensor, weight: float) -> None:
    """grad += weight S W, or W S for a tall W."""
    if W.shape[-2] < W.shape[-1]:
        _add(grad, S, W, weight)
    else:
        _add(grad, W, S, weight)


def _add(grad: torch.Tensor, A: torch.Tensor, B: torch.Tensor, weight: float) -> None:
    (grad.addmm_ if grad.ndim == 2 else grad.baddbmm_)(A, B, alpha=weight)

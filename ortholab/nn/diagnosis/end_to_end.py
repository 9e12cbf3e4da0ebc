"""The Jacobian of a whole network at a sample: its singular values, from the matrix or from products alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ortholab.nn.diagnosis.bidiagonal import golub_kahan

CHUNK = 16  # rows of J that are pulled back at once
STEPS = 150  # of the bidiagonalisation, at most
ENTRIES = 40_000_000  # of all samples' Jacobians together, at most


@dataclass(frozen=True)
class EndToEnd:
    """Singular values of J = dy/dx of one sample, for ``samples`` samples. n_out x n_in is ``shape``.

    ``s`` and ``weights`` (samples, k): singular values, ascending, and their share of the law (all equal when
    ``method`` is "exact"). ``s_max`` and ``s_min`` are the extremes over the samples, each with an error bound;
    ``resolved``: s_min stands above its error; otherwise it is at most that. ``mean_square`` is the mean of s^2 over
    the short side, ``share`` in [0, 1] how evenly the directions carry the signal: with
    r = (sum s^2)^2 / sum s^4 it is (r - 1)/(m - 1), 1 for an isometry and 0 where one direction carries all.
    ``coupled``: the output of a sample depends on the other samples (batch statistics).

    >>> from ortholab.nn.diagnosis import diagnose
    >>> found = diagnose(torch.nn.Linear(3, 2), torch.zeros(4, 3)).spectrum
    >>> found.shape, found.method, found.samples, found.s.shape
    ((2, 3), 'exact', 4, (4, 2))
    """

    shape: tuple[int, int]
    method: str
    samples: int
    coupled: bool
    s: np.ndarray
    weights: np.ndarray
    s_max: float
    s_min: float
    error_max: float
    error_min: float
    resolved: bool
    mean_square: float
    share: float
    variable: str = "the batch"

    @property
    def condition(self) -> float:
        """s_max / s_min of the samples together; a lower bound where s_min is not resolved."""
        return self.s_max / max(self.s_min, self.error_min) if self.s_max > 0 else np.inf


class Differential:
    """J v and J^T u of one sample of a batch, from one recorded call y(x): products, never a matrix.

    J^T u is one pass backward. J v is a pass backward through the pass backward: g(u) = J^T u is linear in u, so
    d(g . v)/du = J v. Both are of the same call, with the same random masks.

    >>> x = torch.eye(2, dtype=torch.float64).requires_grad_()
    >>> d = Differential(x, x @ torch.tensor([[1.0], [2.0]], dtype=torch.float64))
    >>> d.shape, d.pull(np.ones(1), 0), d.push(np.ones(2), 1), d.coupled
    ((1, 2), array([1., 2.]), array([3.]), False)
    """

    def __init__(self, x: torch.Tensor, y: torch.Tensor, batch_dim: int = 0) -> None:
        self.x, rows = x, x.shape[batch_dim] if x.ndim > batch_dim else -1
        out_dim = next((d for d in (0, batch_dim) if y.ndim > d and y.shape[d] == rows), None)
        self.in_dim = batch_dim if out_dim is not None else None
        self.rows = rows if out_dim is not None else 1
        self.y = (y if out_dim is None else y.movedim(out_dim, 0)).reshape(self.rows, -1)
        self.shape = (self.y.shape[1], x.numel() // self.rows)
        self._linear: tuple[torch.Tensor, torch.Tensor] | None = None
        self.coupled = self.rows > 1 and self._is_coupled()

    def pull_rows(self, u: torch.Tensor) -> torch.Tensor:
        """J^T u for all samples at once: u (..., rows, n_out) gives (..., rows, n_in)."""
        batched = u.ndim == 3
        (g,) = torch.autograd.grad(
            self.y, self.x, u, retain_graph=True, allow_unused=True, materialize_grads=True, is_grads_batched=batched
        )
        return self._flat(g, batched)

    def pull(self, u: np.ndarray, sample: int) -> np.ndarray:
        """J^T u, shape (n_in,), of one sample."""
        full = torch.zeros_like(self.y)
        full[sample] = torch.as_tensor(u, dtype=full.dtype, device=full.device)
        return self.pull_rows(full)[sample].detach().double().cpu().numpy()

    def push(self, v: np.ndarray, sample: int) -> np.ndarray:
        """J v, shape (n_out,), of one sample."""
        if self._linear is None:
            u = torch.zeros_like(self.y).requires_grad_()
            (g,) = torch.autograd.grad(self.y, self.x, u, create_graph=True, allow_unused=True, materialize_grads=True)
            self._linear = u, self._flat(g, False)
        u, g = self._linear
        full = torch.zeros_like(g)
        full[sample] = torch.as_tensor(v, dtype=g.dtype, device=g.device)
        if not g.requires_grad:
            return np.zeros(self.shape[0])
        (out,) = torch.autograd.grad(g, u, full, retain_graph=True, allow_unused=True, materialize_grads=True)
        return out[sample].detach().double().cpu().numpy()

    def _flat(self, g: torch.Tensor, batched: bool) -> torch.Tensor:
        if self.in_dim is not None:
            g = g.movedim(self.in_dim + batched, int(batched))
        return g.reshape(*g.shape[:batched], self.rows, -1)

    def _is_coupled(self) -> bool:
        u = torch.zeros_like(self.y)
        u[0] = torch.linspace(1, 2, u.shape[1], dtype=u.dtype, device=u.device)
        g = self.pull_rows(u)
        return bool((g[1:] != 0).any())


def end_to_end(d: Differential, *, samples: int, exact_up_to: int, rng: np.random.Generator, variable: str) -> EndToEnd:
    """Measure J of the first ``samples`` samples: in full if its short side is at most ``exact_up_to``.

    The route through the short side: J is n_out x n_in, and its rows are n_out passes backward, whatever n_in is; ten
    classes need ten. Where the input is the short side its columns are taken. Where both sides are long, a
    bidiagonalisation of one sample's J finds both ends with error bounds.
    """
    short, long = sorted(d.shape)
    if short > exact_up_to:
        return _matrix_free(d, rng, variable)
    samples = max(1, min(samples, d.rows, ENTRIES // max(1, short * long)))
    if d.coupled or d.shape[1] < d.shape[0]:  # then each sample needs its own passes
        samples = max(1, min(samples, 256 // short))
        matrices = np.array([_dense(d, i) for i in range(samples)])
    else:
        matrices = _dense_rows(d, samples)
    s = np.sort(np.linalg.svd(matrices, compute_uv=False))
    eps = np.finfo(np.float64).eps if d.y.dtype == torch.float64 else np.finfo(np.float32).eps
    error = float(eps * np.sqrt(long) * s.max())
    weights = np.full(s.shape, 1 / short)
    return _summary(d, "exact", s, weights, (error, error), variable)


def _dense(d: Differential, sample: int) -> np.ndarray:
    """J (n_out, n_in) of one sample, by its rows or by its columns, whichever are fewer."""
    n_out, n_in = d.shape
    if n_in < n_out:
        return np.array([d.push(e, sample) for e in np.eye(n_in)]).T
    return np.array([d.pull(e, sample) for e in np.eye(n_out)])


def _dense_rows(d: Differential, samples: int) -> np.ndarray:
    """J (samples, n_out, n_in): a pass backward pulls one row of every sample."""
    n_out, found = d.shape[0], []
    for begin in range(0, n_out, CHUNK):
        size = min(CHUNK, n_out - begin)
        u = torch.zeros(size, *d.y.shape, dtype=d.y.dtype, device=d.y.device)
        for k in range(size):
            u[k, :, begin + k] = 1
        try:
            g = d.pull_rows(u)
        except RuntimeError:  # an operation that torch can't batch over cotangents
            g = torch.stack([d.pull_rows(row) for row in u])
        found.append(g[:, :samples].detach().double().cpu().numpy())
    return np.concatenate(found).swapaxes(0, 1)


def _matrix_free(d: Differential, rng: np.random.Generator, variable: str) -> EndToEnd:
    push, pull = (lambda v: d.push(v, 0)), (lambda u: d.pull(u, 0))
    n_out, n_in = d.shape
    forward, backward = (push, pull) if n_out >= n_in else (pull, push)
    ritz = golub_kahan(forward, backward, min(d.shape), steps=STEPS, rng=rng)
    floor = (1e-7 if d.y.dtype == torch.float32 else 1e-15) * np.sqrt(max(d.shape)) * ritz.s[-1]
    errors = float(ritz.errors[0] + floor), float(ritz.errors[-1] + floor)
    return _summary(d, "matrix-free", ritz.s[None], ritz.weights[None], errors, variable)


def _summary(d, method, s, weights, errors, variable) -> EndToEnd:
    s_min, s_max = float(s.min()), float(s.max())
    unit = s / (s.max(axis=1, keepdims=True) if s_max > 0 else 1.0)
    unit = np.nan_to_num(unit)
    second, fourth = np.sum(weights * unit**2, axis=1), np.sum(weights * unit**4, axis=1)
    m = min(d.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = m * second**2 / fourth
        share = float(np.nanmean((r - 1) / (m - 1))) if m > 1 and s_max > 0 else np.nan
    resolved = s_min > 50 * errors[0]  # known to 2 %
    mean_square = float(np.mean(np.sum(weights * s**2, axis=1)))
    return EndToEnd(d.shape, method, len(s), d.coupled, s, weights, s_max, s_min, errors[1], errors[0], resolved,
                    mean_square, share, variable)  # fmt: skip

"""Training steps of a deep MLP at the speed of its matrix products: gradients written out, every buffer reused.

The step is exact: the gradient of the mean softmax cross-entropy, then one of torch.optim's updates. What it saves over
autograd is the memory that is allocated, written and read again: at depth 200 and width 400 the weights alone are
128 MB, so each layer is updated in the moment when its gradient is in the cache, and the gradient is never kept.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from ortholab.errors import ArgumentError, bad, check_int
from ortholab.nn.in_place import PHI, SLOPE
from ortholab.nn.mlp import MLP
from ortholab.nn.step_rules import rule


class DeepStep:
    """Trains an :class:`~ortholab.nn.MLP` with a readout, in place: ``step(x, y)`` is one update on one batch.

        h_l = W_l x_{l-1} + b_l,  x_l = phi(h_l),  D_l = dLoss/dh_l,
        dLoss/dW_l = D_l^T X_{l-1},  D_{l-1} = (D_l W_l) * phi'(h_{l-1}),

    with images as rows: X_l and D_l are (batch, n_l). phi is tanh, ReLU, hard-tanh or linear (0 at a kink, as autograd
    has it). ``optimiser`` is "sgd", "momentum", "adam" or "rmsprop", ``settings`` its constants by torch.optim's
    defaults. ``batch`` is the largest number of images of a step. The model's own tensors are trained, on the model's
    device: whatever else looks at the model sees the trained network. Raises ArgumentError.

    >>> model = MLP(4, 16, 10, 3, sigma_w=1.0, generator=0)
    >>> trainer = DeepStep(model, 16, "sgd", rate=0.2)
    >>> x, y = torch.eye(4), torch.tensor([0, 1, 2, 0])
    >>> losses = [trainer.step(x, y) for _ in range(60)]
    >>> losses[0] > 1.0 > 0.1 > losses[-1]
    True
    """

    def __init__(self, model: MLP, batch: int, optimiser: str = "sgd", *, rate: float, **settings: float) -> None:
        if not isinstance(model, MLP) or model.readout is None:
            raise bad("model", type(model).__name__, "an ortholab.nn.MLP with a readout (n_out)")
        if model.activation.name not in PHI:
            raise bad("model.activation", model.activation.name, "one of " + ", ".join(map(repr, PHI)))
        self.model, self.batch = model, check_int("batch", batch, 1)
        linears = [*model.layers, model.readout]
        self.W, self.b = [m.weight.data for m in linears], [m.bias.data for m in linears]
        self.rule = rule(optimiser, [*self.W, *self.b], rate, **settings)
        self.gradient_norms: list[float] = []
        self._phi, self._slope = PHI[model.activation.name], SLOPE[model.activation.name]
        like = self.W[0]
        # numpy's tanh beats torch's on CPUs (by 1.2 to 7 times, as the processor and the build go).
        self._by_numpy = model.activation.name == "tanh" and like.device.type == "cpu"

        def empty(*shape):
            return torch.empty(shape, dtype=like.dtype, device=like.device)

        self._X = [empty(self.batch, W.shape[0]) for W in self.W]
        self._D = [empty(self.batch * max(max(W.shape) for W in self.W[1:])) for _ in range(2)]
        self._g = empty(max(W.numel() for W in self.W))
        self._views = {W.shape: self._g[: W.numel()].view(W.shape) for W in [*self.W, *self.b]}

    @torch.no_grad()
    def step(self, x: torch.Tensor, y: torch.Tensor, norms: bool = False) -> float:
        """Update on images ``x`` (rows, n_in) with classes ``y`` (rows,); return the mean loss before the update.

        ``norms`` keeps |dLoss/dW_l|_F of every layer, then the readout, in ``gradient_norms``. When the loss is not
        finite it is returned and nothing is updated: the caller records the divergence. Raises ArgumentError.
        """
        self._check(x, y)
        rows = len(x)
        X = [x, *(X[:rows] for X in self._X)]
        last = len(self.W) - 1
        for k, (W, b) in enumerate(zip(self.W, self.b, strict=True)):
            torch.addmm(b, X[k], W.t(), out=X[k + 1])
            if k < last:
                self._activate(X[k + 1])
        D, loss = _softmax_loss(X[-1], y)
        self.gradient_norms = []
        if not math.isfinite(loss):
            return loss
        self.rule.begin()
        for k in range(last, -1, -1):
            W, b = self.W[k], self.b[k]
            if k:
                below = self._D[k % 2][: rows * W.shape[1]].view(rows, W.shape[1])
                torch.mm(D, W, out=below)
                self._slope(below, X[k])
            g = self._views[W.shape]
            if norms:
                self.gradient_norms.append(torch.linalg.vector_norm(torch.mm(D.t(), X[k], out=g)).item())
            self.rule.apply_product(k, W, D, X[k], g)
            self.rule.apply(last + 1 + k, b, torch.sum(D, 0, out=self._views[b.shape]))
            if k:
                D = below
        self.gradient_norms.reverse()
        return loss

    @torch.no_grad()
    def predict(self, x: torch.Tensor, chunk: int = 500) -> torch.Tensor:
        """Return the outputs (rows, n_out) for images (rows, n_in), ``chunk`` of them at a time; may be not finite."""
        chunk = check_int("chunk", chunk, 1)
        out = x.new_empty(len(x), self.W[-1].shape[0])
        size = min(chunk, len(x)) * max(W.shape[0] for W in self.W)
        buffers = [x.new_empty(size) for _ in range(2)]
        for start in range(0, len(x), chunk):
            state = x[start : start + chunk]
            for k, (W, b) in enumerate(zip(self.W[:-1], self.b[:-1], strict=True)):
                to = buffers[k % 2][: len(state) * W.shape[0]].view(len(state), W.shape[0])
                state = torch.addmm(b, state, W.t(), out=to)
                self._activate(state)
            torch.addmm(self.b[-1], state, self.W[-1].t(), out=out[start : start + chunk])
        return out

    def state_dict(self) -> dict:
        """Return weights, biases and the optimiser's state: tensors in use, to be saved before the next step."""
        return {"W": self.W, "b": self.b, "rule": self.rule.state_dict()}

    @torch.no_grad()
    def load_state_dict(self, state: dict) -> None:
        """Copy in what ``state_dict`` gave: training goes on bit for bit. Raises ArgumentError for another network."""
        for mine, theirs in ((self.W, state["W"]), (self.b, state["b"])):
            if [t.shape for t in mine] != [t.shape for t in theirs]:
                raise ArgumentError("state must come from a network of the same depth and widths")
            for p, q in zip(mine, theirs, strict=True):
                p.copy_(q)
        self.rule.load_state_dict(state["rule"])

    def _activate(self, x: torch.Tensor) -> None:
        if self._by_numpy:
            view = x.numpy()
            np.tanh(view, out=view)
        else:
            self._phi(x)

    def _check(self, x: object, y: object) -> None:
        W = self.W[0]
        if not isinstance(x, torch.Tensor) or x.ndim != 2 or not 1 <= len(x) <= self.batch or x.shape[1] != W.shape[1]:
            got = tuple(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
            raise bad("x", got, f"a tensor of shape (1 to {self.batch}, {W.shape[1]})")
        if x.dtype != W.dtype or x.device != W.device:
            raise bad("x", f"{x.dtype} on {x.device}", f"{W.dtype} on {W.device}, as the network is")
        if not isinstance(y, torch.Tensor) or y.dtype != torch.int64 or y.shape != x.shape[:1]:
            got = f"{y.dtype} of shape {tuple(y.shape)}" if isinstance(y, torch.Tensor) else type(y).__name__
            raise bad("y", got, f"int64 classes of shape ({len(x)},)")
        if y.device.type == "cpu" and (int(y.min()) < 0 or int(y.max()) >= self.W[-1].shape[0]):
            raise bad("y", f"{int(y.min())} to {int(y.max())}", f"in 0 to {self.W[-1].shape[0] - 1}")


def _softmax_loss(logits: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Return dLoss/dlogits = (softmax - one-hot) / rows and the mean cross-entropy; both tensors are small."""
    rows = torch.arange(len(y), device=y.device)
    log_p = torch.log_softmax(logits, 1)
    loss = -log_p[rows, y].mean().item()
    D = log_p.exp_()
    D[rows, y] -= 1
    return D.div_(len(y)), loss

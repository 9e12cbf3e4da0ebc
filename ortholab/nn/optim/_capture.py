"""Linear layers that hand their optimiser X, Y, D and dX in the place of a weight gradient."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.autograd.function import once_differentiable

from ortholab.errors import ArgumentError

# Tells a backward pass from torch.autograd.grad; torch has no public name for it. Without it gradients are formed.
AVAILABLE = hasattr(torch._C, "_will_engine_execute_node")


@dataclass
class Entry:
    """What one use of the layer left in one backward pass: rows are images; ``U`` and ``V`` only for a low rank."""

    X: torch.Tensor
    D: torch.Tensor
    Y: torch.Tensor
    version: int  # of the weight: Y belongs to that W and to no later one
    U: torch.Tensor | None = None  # [D; Y]
    V: torch.Tensor | None = None  # [X; dX]


class Capture:
    """The link from a layer to its optimiser. A copy of the layer is ordinary again: its link leads nowhere."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.token: torch.Tensor | None = None
        self._version = 0
        self._owner: Callable[[], object] = lambda: None
        self.name = "weight"
        self._plans: dict[int, str] = {}

    def __reduce__(self):
        return Capture, ()

    def attach(self, owner: object, name: str) -> None:
        """Let ``owner`` collect: its ``plan(W, rows)`` says what is to be kept."""
        self._owner, self.name, self._plans = weakref.ref(owner), name, {}

    def planned(self, W: nn.Parameter, rows: int) -> str:
        """How the weight's gradient is to be kept for so many rows; "torch": as if there were no optimiser of ours."""
        owner = self._owner()
        if owner is None:
            return "torch"
        if rows not in self._plans:  # a plan that has become a poor one is still right: the step looks anew
            self._plans[rows] = owner.plan(W, rows)
        return self._plans[rows]

    def add(self, W: nn.Parameter, entry: Entry) -> None:
        """Keep an entry, as if its D^T X were added to W.grad."""
        if W.grad is not None and W.grad is not self.token:
            W.grad.addmm_(entry.D.t(), entry.X)
            return
        if W.grad is None:  # zeroed since the last pass, or never set
            self.entries = []
            if self.token is None or self.token.shape != W.shape or self.token.device != W.device:
                self.token = torch.full_like(W, torch.nan, requires_grad=False)
                self._version = self.token._version
            W.grad = self.token
        self.check()
        self.entries.append(entry)

    def holds(self, W: nn.Parameter) -> bool:
        """Whether W's gradient is, so far, a product."""
        return self.token is not None and W.grad is self.token

    def check(self) -> None:
        """Raise ArgumentError if someone wrote into the stand-in for the gradient: the product would not follow."""
        if self.token is not None and self.token._version != self._version:
            self.token = None
            raise ArgumentError(
                f"{self.name}.grad is kept as a product and must not be changed in place (clipping, scaling, a second "
                "use of the weight outside its layer); got a change. Make the optimiser with low_rank=False"
            )

    def clear(self) -> None:
        """Forget what was collected."""
        self.entries = []


class _Collect(torch.autograd.Function):
    """F.linear whose backward keeps X, Y and D; it forms D^T X for torch.autograd.grad, or where that is planned."""

    @staticmethod
    def forward(ctx, x, W, b, capture, plan):
        y = nn.functional.linear(x, W, b)
        ctx.save_for_backward(x, W, b)
        ctx.capture, ctx.plan, ctx.parameter = capture, plan, W
        ctx.y, ctx.y_version = y.detach(), y._version
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx, d):
        x, W, b = ctx.saved_tensors
        X, D, y = x, d, ctx.y
        if x.ndim != 2:
            X, D, y = (t.reshape(-1, t.shape[-1]) for t in (x, d, y))
        dX = D @ W if ctx.needs_input_grad[0] or ctx.plan == "low-rank" else None
        try:
            keep, form = torch._C._will_engine_execute_node(ctx.next_functions[1][0]), False
        except RuntimeError:  # what the engine says to torch.autograd.grad(loss, W)
            keep, form = False, True
        if ctx.plan == "gradient" and not ctx.capture.holds(ctx.parameter):
            keep, form = False, keep or form
        if keep:
            if ctx.y._version != ctx.y_version:  # an activation worked in place
                y = X @ W.t()
            elif b is not None:
                y = y - b
            entry = Entry(X, D, y, W._version)
            if ctx.plan == "low-rank":
                entry.U, entry.V = torch.cat([D, y]), torch.cat([X, dX])
            ctx.capture.add(ctx.parameter, entry)
        db = D.sum(0) if b is not None and ctx.needs_input_grad[2] else None
        dX = (dX if x.ndim == 2 else dX.view(x.shape)) if ctx.needs_input_grad[0] else None
        return dX, D.t() @ X if form else None, db, None, None


class CollectingLinear(nn.Linear):
    """An nn.Linear under an optimiser of this package. It computes, saves and loads what an nn.Linear does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        W = self.weight
        if (
            torch.compiler.is_compiling()
            or not (torch.is_grad_enabled() and W.requires_grad)
            or torch.is_autocast_enabled(x.device.type)
            or torch._C._are_functorch_transforms_active()
            or x.dtype != W.dtype
        ):
            return super().forward(x)
        capture = self._capture
        plan = capture.planned(W, x.numel() // x.shape[-1]) if x.numel() else "torch"
        if plan == "torch":
            if not capture.holds(W):
                return super().forward(x)
            plan = "gradient"  # of a few rows it is a product already: this pass is added to that
        return _Collect.apply(x, W, self.bias, capture, plan)

    def _get_name(self) -> str:
        return "Linear"


LINEAR = (nn.Linear, CollectingLinear)


def collect(module: nn.Linear) -> Capture:
    """Make an nn.Linear a collecting one, in place."""
    if not isinstance(module, CollectingLinear):
        module.__class__ = CollectingLinear
    if "_capture" not in module.__dict__:
        module.__dict__["_capture"] = Capture()
    return module.__dict__["_capture"]

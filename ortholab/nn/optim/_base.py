"""What StiefelSGD and StiefelAdam share: who is constrained, which path each matrix takes, and the step itself."""

from __future__ import annotations

import itertools
import math

import torch
from torch import nn

from ortholab.errors import ArgumentError, bad, check_choice, check_number
from ortholab.nn.optim import _capture, _dense, _drift, _low_rank
from ortholab.nn.optim._arguments import check_lr, sort_parameters, start_on_manifold
from ortholab.nn.optim._low_rank import LowRankStep
from ortholab.nn.optim._moves import frobenius, gram_minus_one

RETRACTIONS = ("auto", "cayley", "qr", "polar")
COLLECTED = 256  # below this size a square layer's gradient is torch's: one more product costs less than Python


class StiefelOptimiser(torch.optim.Optimizer):
    """The base; a subclass says how a gradient becomes a direction (``_direction``) and treats free parameters."""

    def __init__(self, params, defaults: dict, constrained, low_rank: bool, project: bool) -> None:
        self._project, self._low_rank = bool(project), bool(low_rank)
        self._names: dict[nn.Parameter, str] = {}
        self._modules: list[nn.Linear] = []
        groups, self._names, owners = sort_parameters(params, constrained, defaults)
        super().__init__(groups, defaults)
        if self._low_rank and _capture.AVAILABLE:
            mine = {p for group in self.param_groups if group["stiefel"] for p in group["params"]}
            self._modules = [m for p, m in owners.items() if p in mine and type(m) in _capture.LINEAR]
        self._link()

    def add_param_group(self, param_group: dict) -> None:
        """Add a group with its options: those of the constructor, and ``stiefel``: is it constrained? Checked alike."""
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        try:
            self._check_group(group)
            if group["stiefel"]:
                for p in group["params"]:
                    start_on_manifold(self._name(p), p, group["gain"], self._project)
        except ArgumentError:
            self.param_groups.pop()
            raise
        if hasattr(self, "_captures"):  # a later group
            self._link()

    def _check_group(self, group: dict) -> None:
        check_lr(group["lr"])
        check_number("weight_decay", group["weight_decay"], low=0)
        check_choice("retraction", group["retraction"], RETRACTIONS)
        check_choice("metric", group["metric"], ("canonical", "euclidean"))
        check_number("gain", group["gain"], low=1e-6, high=1e6)
        check_number("max_step", group["max_step"], low=0, high=1, open_low=True)

    def _name(self, p: nn.Parameter) -> str:
        return self._names.get(p, f"a parameter of shape {tuple(p.shape)}")

    # -- which path ----------------------------------------------------------------------------------------------------

    def _momentum(self, group: dict) -> bool:
        """Whether the direction remembers earlier gradients, so that its rank is not the batch's."""
        raise NotImplementedError

    def _path(self, W: torch.Tensor, group: dict, rows: int | None = None) -> str:
        """The path of a matrix: ``rows`` is the number of images that its gradient is a product over, if it is one."""
        n_out, n_in = W.shape[-2:]
        square, way = n_out == n_in, group["retraction"]
        cayley = way == "cayley" or (way == "auto" and square)
        low_rank = rows is not None and way in ("auto", "cayley") and not self._momentum(group)
        if low_rank and (square or group["metric"] == "canonical") and _low_rank_wins(n_out, n_in, rows):
            return "low-rank cayley"
        if square:
            return "skew cayley" if cayley else f"skew {way}"
        return f"tangent {'polar' if way == 'auto' else way}"

    def describe(self) -> str:
        """Say in one line each which path every constrained matrix takes, and from which batch size on another.

        "low-rank": Woodbury on 2 x batch equations, without a weight gradient; "skew": a square W = gQ turned by an
        n x n skew matrix; "tangent": a step in the tangent space, then the retraction.
        """
        lines = []
        linked = {m.weight for m in self._modules}
        for group in self.param_groups:
            for p in group["params"] if group["stiefel"] else ():
                path = self._path(p, group)
                top = _largest_low_rank(p, lambda r, p=p, g=group: self._path(p, g, r)) if p in linked else 0
                path += f"; low-rank cayley up to {top} rows" if top else ""
                lines.append(f"{self._name(p)} {tuple(p.shape)}: {path}")
        return "\n".join(lines) or "no constrained matrix"

    def _link(self) -> None:
        """Tie the layers to this optimiser."""
        self._group_of = {p: group for group in self.param_groups for p in group["params"]}
        self._captures = {module.weight: _capture.collect(module) for module in self._modules}
        self._versions = {p: p._version for group in self.param_groups if group["stiefel"] for p in group["params"]}
        for W, capture in self._captures.items():
            capture.attach(self, self._name(W))

    def plan(self, W: nn.Parameter, rows: int) -> str:
        """What a layer keeps for its weight W in a pass of so many rows: "low-rank", "skew", "gradient" or "torch"."""
        kind = self._path(W, self._group_of[W], rows).split()[0]
        if kind == "skew":
            return "skew" if W.shape[0] >= COLLECTED else "torch"
        return kind if kind != "tangent" else "gradient"

    # -- the step ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def step(self, closure=None):
        """Take one step; ``closure`` computes the loss anew and is returned.

        Nothing is changed if a gradient of a constrained matrix is not finite: ArgumentError.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        jobs, free = [], []
        for group in self.param_groups:
            check_lr(group["lr"])
            with_gradient = [p for p in group["params"] if p.grad is not None]
            if group["stiefel"]:
                jobs += self._prepare(with_gradient, group)
            elif with_gradient:
                free.append((with_gradient, group))
        probes = _to_host([job.probe for job in jobs])
        for job, probe in zip(jobs, probes, strict=True):
            if not all(map(math.isfinite, probe)):
                raise ArgumentError(
                    f"{', '.join(map(self._name, job.parameters))}: the gradient must be finite; it is not (or "
                    "overflows in products with the weights), and no parameter was changed"
                )
        for number, (job, probe) in enumerate(zip(jobs, probes, strict=True)):
            self._move(job, probe, (number / len(jobs), 1 / len(jobs)))
        for parameters, group in free:
            self._free_step(parameters, group)
        return loss

    def _prepare(self, parameters: list[nn.Parameter], group: dict) -> list:
        """The steps of a group, none taken: small matrices of one shape together, the others one by one."""
        jobs, dense, low_rank = [], {}, {}
        for W in parameters:
            if W.grad.is_sparse:
                raise bad(f"{self._name(W)}.grad", "a sparse tensor", "dense")
            if self._versions[W] != W._version:
                start_on_manifold(self._name(W), W, group["gain"], False)
            capture = self._captures.get(W)
            if capture is not None and capture.holds(W):
                job = self._prepare_collected(W, group, capture)
                if isinstance(job, tuple):
                    rows = len(job[0]) // 2
                    alone = None if rows <= _low_rank.STACKED else W
                    low_rank.setdefault((W.shape, rows, W.dtype, W.device, alone), []).append((W, job))
                else:
                    jobs.append(job)
            elif W.ndim == 2 and max(W.shape) <= _dense.STACKED:
                # A parameter whose history differs from the others' goes alone.
                key = (W.shape, W.dtype, W.device, float(self.state[W].get("step", 0)), len(self.state[W]))
                dense.setdefault(key, []).append(W)
            else:
                jobs.append(_dense.prepare([W], group, self._path(W, group)))
        rate = (-1 if group["maximize"] else 1) * group["lr"] / (2 if group["metric"] == "euclidean" else 1)
        for stack in low_rank.values():
            Ws, sides = (list(part) for part in zip(*stack, strict=True))
            balances = [self.state[W].get("balance") for W in Ws]
            jobs.append(LowRankStep(Ws, sides, rate, group["gain"], balances))
        return jobs + [_dense.prepare(stack, group, self._path(stack[0], group)) for stack in dense.values()]

    def _prepare_collected(self, W: nn.Parameter, group: dict, capture: _capture.Capture):
        """The step of a layer that kept its gradient as a product; for a low-rank step (U, V)."""
        capture.check()
        entries = capture.entries
        path = self._path(W, group, sum(len(e.D) for e in entries))
        if all(e.version == W._version for e in entries):
            if path.startswith("low-rank"):
                return _stacked(W, entries)
            if path.startswith("skew"):
                return _dense.prepare([W], group, path, _sum(e.D.t() @ e.Y for e in entries))
        # W has moved since, so Y is not X W^T any more.
        W.grad = _sum(e.D.t() @ e.X for e in entries)
        capture.clear()
        return _dense.prepare([W], group, self._path(W, group))

    def _move(self, job, probe: list[float], share: tuple[float, float]) -> None:
        """Take a prepared step, and polish where it is due."""
        first = job.parameters[0]
        group, limit = self._group_of[first], _drift.tolerance(first)
        states = [self.state[W] for W in job.parameters]
        for k, state in enumerate(states):
            if "patience" not in state:
                _drift.open_account(state, share[0] + k / len(states) * share[1])
        if isinstance(job, LowRankStep):
            # A longer series costs a small part of the step; for the dense one it is another n x n product.
            entered = job.move_(probe, group["max_step"], limit / 400)
            for state, b in zip(states, job.balances, strict=True):
                state["balance"] = b
        else:

            def direction(state, gradient, size):
                return self._direction(state, gradient, size, group, first)

            entered = job.move_(states, direction, self._transport, limit / 20)
        multiplies = isinstance(job, LowRankStep) or job.path == "skew cayley"
        for W, state, entry in zip(job.parameters, states, entered, strict=True):
            if not multiplies:  # the others end with W^T W as it is, and leave no error of before
                state["capped"] += entry[2]
            elif _drift.due(state, limit, *entry):
                _drift.polished(state, limit, self._polish(W, group, limit))
                state.pop("balance", None)  # to be found anew: the gradients' size may have changed
            self._versions[W] = W._version

    def _polish(self, W: nn.Parameter, group: dict, limit: float) -> float:
        """W <- W (3 I - W^T W / g^2) / 2, on the short side: one step of Newton and Schulz. Return the error found."""
        gain, wide, found = group["gain"], W.shape[-2] < W.shape[-1], None
        for _ in range(4):
            Q = (W.mT if wide else W) / gain if gain != 1 or wide else W
            E = gram_minus_one(Q)
            e = frobenius(E)
            found = e if found is None else found
            if not e < 0.1:
                raise ArgumentError(
                    f"{self._name(W)} must stay on the manifold; ||W^T W / gain^2 - I||_F is {e:.3g}: "
                    "something else than this optimiser has changed it"
                )
            W.sub_(E @ W if wide else W @ E, alpha=0.5)
            if 0.75 * e * e <= 0.05 * limit:
                break
        return found

    def _transport(self, state: dict, Q: torch.Tensor) -> None:
        """Carry what the state remembers of the tangent space to the new point."""

    def _direction(self, state: dict, gradient: torch.Tensor, size: torch.Tensor, group: dict, W: torch.Tensor):
        """Return (direction, factor): the step is rate * factor * direction."""
        raise NotImplementedError

    def _free_step(self, parameters: list[nn.Parameter], group: dict) -> None:
        raise NotImplementedError

    # -- the rest of a torch optimiser ---------------------------------------------------------------------------------

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients. Those that are kept as a product become None either way."""
        for W, capture in self._captures.items():
            if W.grad is not None and W.grad is capture.token:
                W.grad = None
            capture.clear()
        super().zero_grad(set_to_none)

    def __getstate__(self) -> dict:
        mine = {name: getattr(self, name) for name in ("_project", "_low_rank", "_names", "_modules")}
        return {**super().__getstate__(), **mine}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        self._link()  # the groups are new objects


def _low_rank_wins(n_out: int, n_in: int, rows: int) -> bool:
    """Whether the low-rank step takes fewer operations than the gradient and the dense step."""
    long, short = max(n_out, n_in), min(n_out, n_in)
    low = 4 * rows * n_out * n_in + 8 * rows**2 * (long + n_in) + 32 * rows**3
    dense = 2 * rows * n_out * n_in + (4 * long**3 if long == short else 8 * long * short**2)
    return low < 0.8 * dense


def _largest_low_rank(W: torch.Tensor, path) -> int:
    low, high = 0, 2 * max(W.shape)
    while low < high:  # the low-rank step's cost grows faster than the dense one's
        middle = (low + high + 1) // 2
        low, high = (middle, high) if path(middle).startswith("low-rank") else (low, middle - 1)
    return low


def _stacked(W: torch.Tensor, entries: list) -> tuple[torch.Tensor, torch.Tensor]:
    """[D; Y] and [X; dX] over all entries."""
    if len(entries) == 1 and entries[0].U is not None:
        return entries[0].U, entries[0].V
    D, X, Y = (torch.cat([getattr(e, name) for e in entries]) for name in ("D", "X", "Y"))
    return torch.cat([D, Y]), torch.cat([X, D @ W])


def _sum(terms) -> torch.Tensor:
    total = None
    for term in terms:
        total = term if total is None else total.add_(term)
    return total


def _to_host(probes: list[torch.Tensor]) -> list[list[float]]:
    """All numbers in one transfer, one list a probe."""
    if not probes:
        return []
    flat = torch.cat([p.reshape(-1) for p in probes]).tolist()
    ends = list(itertools.accumulate(p.numel() for p in probes))
    return [flat[end - p.numel() : end] for p, end in zip(probes, ends, strict=True)]

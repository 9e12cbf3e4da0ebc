"""Soft orthogonality while a network trains: a penalty's closed-form gradient, added just before each update."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ortholab.errors import ArgumentError, bad, check_choice, check_int, check_number
from ortholab.nn import soft_gradients
from ortholab.theory.penalties import PENALTIES as EXACT

PENALTIES = ("so", "dso", "mc", "srip", "gain_adjusted")
SMALL = 256  # short sides up to this have their Gram matrix squared; larger ones are followed by products with W
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_ADD = {"so": soft_gradients.add_so, "dso": soft_gradients.add_dso, "mc": soft_gradients.add_mc}
_ADD["gain_adjusted"] = _ADD["so"]


@dataclass(frozen=True)
class _Place:
    """A parameter and how a tensor of its shape is seen as a matrix (n, k) or a batch (b, n, k)."""

    name: str
    parameter: nn.Parameter
    matrix: Callable[[torch.Tensor], torch.Tensor]


class SoftOrthogonality:
    """Adds coefficient x gradient of a penalty to ``.grad`` of each weight, before every step of an optimiser.

        loss + lambda sum_l penalty(W_l),    E = W W^T / gain^2 - I on the short side,

    ``penalty`` is "so" |E|_F^2, "dso" 2 |E|_F^2 + |n - k|, "mc" the largest |E_ij|, "srip" the spectral norm of E, or
    "gain_adjusted", which is "so" with a gain that must be given. The gradients are closed forms, so the loss's own
    backward pass stays as it is, and a step reads nothing back from the device. ``coefficient`` is lambda >= 0 or a
    function of the number of steps done (:mod:`ortholab.nn.schedules`).

    ``weights`` is a module: the weights of all its linear and convolution layers that require a gradient (groups of a
    grouped convolution one by one); or parameters, or (name, parameter) pairs: with 2 axes a matrix, with 3 a batch of
    matrices, with 4 or 5 a kernel. A kernel (out, in, h, w) counts as the matrix (out, in h w), a filter a row.
    SRIP's norm comes within 1 % of the exact one: up to a short side of 256 by squaring E eight times, beyond by
    ``srip_steps`` products E v a training step, from the vector that the last one ended with (they are part of
    :meth:`state_dict`); no E is formed then. Raises ArgumentError.
    Source: Bansal, Chen, Wang 2018; the deck, equations (8) to (10).

    >>> layer = nn.Linear(3, 2)
    >>> optimiser = torch.optim.SGD(layer.parameters(), lr=0.05)
    >>> soft = SoftOrthogonality(layer, "so", 1.0).attach(optimiser)
    >>> for _ in range(200):
    ...     optimiser.zero_grad()
    ...     optimiser.step()
    >>> round(soft.value(), 6), soft.detach().steps
    (0.0, 200)
    """

    def __init__(
        self,
        weights: nn.Module | Iterable,
        penalty: str = "so",
        coefficient: float | Callable[[int], float] = 1e-2,
        *,
        gain: float | None = None,
        srip_steps: int = 32,
    ) -> None:
        self.penalty = check_choice("penalty", penalty, PENALTIES)
        if penalty == "gain_adjusted" and gain is None:
            raise bad("gain", gain, "given for the penalty 'gain_adjusted'")
        self.gain = check_number("gain", 1.0 if gain is None else gain, low=1e-6, high=1e6)
        if not callable(coefficient):
            coefficient = check_number("coefficient", coefficient, low=0)
        self.coefficient = coefficient
        self.srip_steps = check_int("srip_steps", srip_steps, 1)
        self.places = _places(weights)
        self.steps = 0
        self._handle = None
        large = [p for p in self.places if min(p.matrix(p.parameter).shape[-2:]) > SMALL]
        self.vectors = {p.name: _start(p) for p in large} if penalty == "srip" else {}

    def attach(self, optimiser: torch.optim.Optimizer) -> SoftOrthogonality:
        """Add the gradient before every ``optimiser.step()`` from now on; return self. Raises ArgumentError.

        The optimiser must train every one of the weights, and be one that takes no closure.
        """
        if not isinstance(optimiser, torch.optim.Optimizer):
            raise bad("optimiser", type(optimiser).__name__, "a torch.optim.Optimizer")
        if self._handle is not None:
            raise ArgumentError("optimiser must be one alone: this penalty is attached already (detach it first)")
        held = {id(p) for group in optimiser.param_groups for p in group["params"]}
        if missing := [place.name for place in self.places if id(place.parameter) not in held]:
            raise ArgumentError(f"optimiser must train every weight of the penalty; it lacks {', '.join(missing)}")
        self._handle = optimiser.register_step_pre_hook(self._before_step)
        return self

    def detach(self) -> SoftOrthogonality:
        """Leave the optimiser as it was before :meth:`attach`; return self. Does nothing if it is not attached."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        return self

    @property
    def weight(self) -> float:
        """The coefficient lambda that the next step uses."""
        return self.coefficient(self.steps) if callable(self.coefficient) else self.coefficient

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Add lambda x gradient to ``.grad`` now and count a step: what the hook does. A missing .grad counts as 0."""
        weight, step = self.weight, self.steps
        self.steps += 1
        if weight == 0:
            return
        for place in self.places:
            W = place.parameter
            if W.grad is None:
                W.grad = torch.zeros_like(W)
            elif W.grad.stride() != W.stride():  # backward may choose another layout, whose columns come otherwise
                W.grad = torch.empty_like(W).copy_(W.grad)
            grad = place.matrix(W.grad)
            self._add(place, grad, place.matrix(W), weight, step)
            if grad.data_ptr() != W.grad.data_ptr():  # a layout that allows no view: the matrix is a copy
                W.grad.copy_(grad.view(W.grad.shape))

    @torch.no_grad()
    def value(self) -> float:
        """Return the penalty, summed over the weights and without the coefficient; exact (SRIP by eigenvalues).

        For logging: it reads back from the device. Raises ArgumentError for weights that are not finite.
        """
        exact = EXACT["SO" if self.penalty == "gain_adjusted" else self.penalty.upper()].value
        return sum(float(exact(p.matrix(p.parameter).double(), gain=self.gain).sum()) for p in self.places)

    def state_dict(self) -> dict:
        """Return the number of steps done and SRIP's vectors."""
        return {"steps": self.steps, "vectors": {name: v.clone() for name, v in self.vectors.items()}}

    def load_state_dict(self, state: dict) -> None:
        """Go back to a state of :meth:`state_dict`; training goes on bit for bit. Raises ArgumentError."""
        shapes = {name: tuple(v.shape) for name, v in state["vectors"].items()}
        if shapes != {name: tuple(v.shape) for name, v in self.vectors.items()}:
            raise ArgumentError(f"state must be of this penalty and these weights; its vectors have shapes {shapes}")
        self.steps = int(state["steps"])
        for name, v in self.vectors.items():
            v.copy_(state["vectors"][name])

    def _add(self, place: _Place, grad: torch.Tensor, W: torch.Tensor, weight: float, step: int) -> None:
        if self.penalty != "srip":
            _ADD[self.penalty](grad, W, weight, self.gain)
            return
        v = self.vectors.get(place.name)
        if v is None:
            v = soft_gradients.leading(soft_gradients.gram_error(W, self.gain))
            soft_gradients.add_srip(grad, W, weight, self.gain, v)
            return
        mix = soft_gradients.direction(v.shape[-1], step, v)
        v.copy_(soft_gradients.follow(W, v, self.gain, mix, self.srip_steps))
        soft_gradients.add_srip(grad, W, weight, self.gain, v)

    def _before_step(self, optimiser: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
        if [a for a in (*args[1:], *kwargs.values()) if a is not None]:  # args[0] is the optimiser itself
            raise ArgumentError("closure must be None: it would make the gradients after the penalty's was added")
        self.add_gradients()


def _start(place: _Place) -> torch.Tensor:
    W = place.matrix(place.parameter.detach())
    m = min(W.shape[-2:])
    return soft_gradients.direction(m, m, W).repeat(*W.shape[:-2], 1)


def _places(weights: nn.Module | Iterable) -> list[_Place]:
    if isinstance(weights, nn.Module):
        found = list(_of_module(weights))
    else:
        if isinstance(weights, torch.Tensor):
            weights = [weights]
        try:
            pairs = [w if isinstance(w, tuple) else (f"weights[{i}]", w) for i, w in enumerate(weights)]
        except TypeError:
            raise bad("weights", type(weights).__name__, "a module or parameters") from None
        found = [_of_parameter(name, p) for name, p in pairs]
    if not found:
        raise bad("weights", weights, "a module or parameters with at least one weight to be penalised")
    if len({id(p.parameter) for p in found}) < len(found) or len({p.name for p in found}) < len(found):
        raise ArgumentError(f"weights must not hold one twice; got {', '.join(p.name for p in found)}")
    return found


def _of_module(module: nn.Module) -> Iterable[_Place]:
    seen = set()
    for name, part in module.named_modules():
        if not isinstance(part, (nn.Linear, *_CONVOLUTIONS)):
            continue
        W = part._parameters.get("weight")  # a parametrised weight is no parameter, and is left alone
        if W is None or not W.requires_grad or id(W) in seen:
            continue
        seen.add(id(W))
        yield _of_parameter(f"{name}.weight" if name else "weight", W, isinstance(part, nn.Linear), _groups(part))


def _groups(part: nn.Module) -> int:
    return getattr(part, "groups", 1)


def _of_parameter(name: str, W: nn.Parameter, plain: bool | None = None, groups: int = 1) -> _Place:
    if not isinstance(W, torch.Tensor) or not W.is_leaf or not W.requires_grad:
        got = "a frozen one" if isinstance(W, torch.Tensor) else type(W).__name__
        raise bad(name, got, "a parameter that requires a gradient")
    if W.dtype not in (torch.float32, torch.float64):
        raise bad(name, W.dtype, "of dtype float32 or float64")
    if not 2 <= W.ndim <= 5 or 0 in W.shape:
        raise bad(name, tuple(W.shape), "of shape (n, k), (batch, n, k) or a kernel's, none empty")
    plain = W.ndim <= 3 if plain is None else plain
    if plain:
        return _Place(name, W, lambda t: t)
    return _Place(name, W, partial(_as_matrix, groups=groups))


def _as_matrix(t: torch.Tensor, groups: int) -> torch.Tensor:
    """A kernel as (out, in h w), or (groups, out / groups, in h w); a view wherever the layout allows one.

    The order of the columns is free: it changes neither W W^T nor, put back, any gradient.
    """
    if t.ndim == 4 and not t.is_contiguous() and t.is_contiguous(memory_format=torch.channels_last):
        t = t.permute(0, 2, 3, 1)
    shape = (t.shape[0], -1) if groups == 1 else (groups, t.shape[0] // groups, t[0].numel())
    return t.reshape(shape)

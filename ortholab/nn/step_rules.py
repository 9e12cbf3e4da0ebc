"""The optimisers of deep_step: SGD, momentum, Adam, RMSProp, one tensor at a time, in place.

Each is torch.optim's definition with the same defaults. A rule is handed one parameter and its gradient as soon as the
gradient is known, while both are in the processor's cache, and may use the gradient's memory as scratch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ortholab.errors import ArgumentError, bad, check_choice, check_number


class Sgd:
    """W <- W - rate g."""

    slots: tuple[str, ...] = ()
    defaults: dict[str, float] = {}  # noqa: RUF012

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float, **settings: float) -> None:
        self.rate = check_number("rate", rate, low=0, open_low=True)
        self.count = 0
        for name, value in {**self.defaults, **settings}.items():
            if name not in self.defaults:
                allowed = ", ".join(self.defaults) or "no settings"
                raise ArgumentError(f"{type(self).__name__} takes {allowed}; got {name}={value!r}")
            positive = name == "eps"
            setattr(self, name, check_number(name, value, low=0, high=1, open_low=positive, open_high=not positive))
        self.state = {slot: [torch.zeros_like(p) for p in parameters] for slot in self.slots}

    def begin(self) -> None:
        """Start the next step: the count of steps goes up by one."""
        self.count += 1

    def apply(self, k: int, p: torch.Tensor, g: torch.Tensor) -> None:
        """Update parameter number ``k``, ``p``, by its gradient ``g`` (which is lost)."""
        p.add_(g, alpha=-self.rate)

    def apply_product(self, k: int, p: torch.Tensor, D: torch.Tensor, X: torch.Tensor, g: torch.Tensor) -> None:
        """Update ``p`` by the gradient D^T X, a product of (batch, n_out) and (batch, n_in); ``g`` is scratch."""
        p.addmm_(D.t(), X, alpha=-self.rate)  # added to W by the product itself: no gradient is ever written

    def state_dict(self) -> dict:
        """Return the count of steps and the averages (the tensors themselves, not copies)."""
        return {"count": self.count, **self.state}

    def load_state_dict(self, state: dict) -> None:
        """Take over what ``state_dict`` gave."""
        if set(state) != {"count", *self.slots}:
            raise bad("state", sorted(state), "of the same optimiser: " + ", ".join(sorted({"count", *self.slots})))
        self.count = state["count"]
        for slot in self.slots:
            for mine, theirs in zip(self.state[slot], state[slot], strict=True):
                mine.copy_(theirs)


class Momentum(Sgd):
    """v <- momentum v + g,  W <- W - rate v  (torch.optim.SGD with momentum)."""

    slots = ("v",)
    defaults = {"momentum": 0.9}  # noqa: RUF012

    def apply(self, k: int, p: torch.Tensor, g: torch.Tensor) -> None:
        v = self.state["v"][k]
        v.mul_(self.momentum).add_(g)
        p.add_(v, alpha=-self.rate)

    def apply_product(self, k: int, p: torch.Tensor, D: torch.Tensor, X: torch.Tensor, g: torch.Tensor) -> None:
        v = self.state["v"][k]
        v.addmm_(D.t(), X, beta=self.momentum)
        p.add_(v, alpha=-self.rate)


class _Adaptive(Sgd):
    """A rule that needs the gradient entry by entry."""

    def apply_product(self, k: int, p: torch.Tensor, D: torch.Tensor, X: torch.Tensor, g: torch.Tensor) -> None:
        self.apply(k, p, torch.mm(D.t(), X, out=g))


class Adam(_Adaptive):
    """m <- m + (1 - beta1)(g - m),  v <- beta2 v + (1 - beta2) g^2,  W <- W - rate m_hat / (sqrt(v_hat) + eps).

    m_hat = m / (1 - beta1^t) and v_hat = v / (1 - beta2^t) at step t. Source: Kingma and Ba 2015 (arXiv 1412.6980).
    """

    slots = ("m", "v")
    defaults = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}  # noqa: RUF012

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float, **settings: float) -> None:
        super().__init__(parameters, rate, **settings)
        self._fused = parameters[0].device.type in ("cpu", "cuda")
        self._step = torch.zeros((), device=parameters[0].device)

    def begin(self) -> None:
        super().begin()
        self._step.fill_(self.count)

    def apply(self, k: int, p: torch.Tensor, g: torch.Tensor) -> None:
        m, v = self.state["m"][k], self.state["v"][k]
        if self._fused:  # one pass over the four tensors, at half the time of the lines below
            # What torch.optim.adam.adam(fused=True) ends in; its own checks cost a third as much as the pass.
            torch._fused_adam_(
                [p], [g], [m], [v], [], [self._step], amsgrad=False, maximize=False, weight_decay=0.0,
                beta1=self.beta1, beta2=self.beta2, lr=self.rate, eps=self.eps,
            )  # fmt: skip
            return
        m.lerp_(g, 1 - self.beta1)
        v.mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
        # sqrt(v_hat) + eps = (sqrt(v) + c eps) / c: the correction costs no pass of its own.
        c = math.sqrt(1 - self.beta2**self.count)
        torch.sqrt(v, out=g).add_(c * self.eps)
        p.addcdiv_(m, g, value=-self.rate * c / (1 - self.beta1**self.count))


class RMSProp(_Adaptive):
    """v <- alpha v + (1 - alpha) g^2,  W <- W - rate g / (sqrt(v) + eps).  Source: Tieleman, Hinton 2012."""

    slots = ("v",)
    defaults = {"alpha": 0.99, "eps": 1e-8}  # noqa: RUF012

    def __init__(self, parameters: Sequence[torch.Tensor], rate: float, **settings: float) -> None:
        super().__init__(parameters, rate, **settings)
        like = parameters[0]
        self._scratch = torch.empty(max(p.numel() for p in parameters), dtype=like.dtype, device=like.device)

    def apply(self, k: int, p: torch.Tensor, g: torch.Tensor) -> None:
        v, root = self.state["v"][k], self._scratch[: g.numel()].view(g.shape)
        v.mul_(self.alpha).addcmul_(g, g, value=1 - self.alpha)
        torch.sqrt(v, out=root).add_(self.eps)
        p.addcdiv_(g, root, value=-self.rate)


RULES: dict[str, type[Sgd]] = {"sgd": Sgd, "momentum": Momentum, "adam": Adam, "rmsprop": RMSProp}


def rule(name: str, parameters: Sequence[torch.Tensor], rate: float, **settings: float) -> Sgd:
    """Return the optimiser ``name`` for these parameters; ``settings`` default to torch.optim's. Raises ArgumentError.

    >>> p = torch.ones(1)
    >>> opt = rule("momentum", [p], 0.1, momentum=0.5)
    >>> for _ in range(2):
    ...     opt.begin()
    ...     opt.apply(0, p, torch.ones(1))
    >>> p
    tensor([0.7500])
    """
    return RULES[check_choice("optimiser", name, tuple(RULES))](parameters, rate, **settings)

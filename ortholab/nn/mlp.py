"""A deep multilayer perceptron at a point (sigma_w, sigma_b), with Gaussian or orthogonal weights.

Sources: Poole et al. 2016 (arXiv 1606.05340); the deck, equations (1) and (2).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ortholab.errors import ArgumentError, bad, check_choice, check_int, check_number
from ortholab.nn.activations import torch_activation
from ortholab.nn.init import check_torch_generator, gaussian_, orthogonal_

_WEIGHTS = {"orthogonal": orthogonal_, "gaussian": gaussian_}


def pick_device(device: object) -> torch.device:
    """Return a torch device; ``"auto"`` means cuda, else mps, else cpu.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.device(device)
    except (RuntimeError, TypeError):
        raise bad("device", device, "'auto' or a torch device such as 'cpu' or 'cuda'") from None


class MLP(nn.Module):
    """A deep MLP, h_l = W_l x_{l-1} + b_l and x_l = phi(h_l) for l = 1 .. depth, drawn at (sigma_w, sigma_b).

    Var W_ij = sigma_w^2 / n_in for both laws (see ``orthogonal_`` for rectangular W), b_i ~ N(0, sigma_b^2).
    ``width`` is an int, or a sequence with one entry a layer (then ``depth`` may be left out). ``activation`` is a
    name, a builtin of ``ortholab.theory.activations``, or a torch function. With ``n_out`` a linear readout
    W x_L + b of the same law follows. ``generator`` is a torch.Generator, a seed, or None for torch's global one; the
    draws are made on the generator's device, so a seed gives one network on every device.
    Inputs x have shape (..., n_in). Raises ArgumentError. Source: the 2019 deck, equations (1) and (2).

    >>> model = MLP(784, 100, 50, sigma_w=1.0, generator=0)
    >>> model(torch.ones(2, 784)).shape
    torch.Size([2, 100])
    """

    def __init__(
        self,
        n_in: int,
        width: int | Sequence[int],
        depth: int | None = None,
        n_out: int | None = None,
        *,
        activation: object = "tanh",
        sigma_w: float,
        sigma_b: float = 0.0,
        weights: str = "orthogonal",
        generator: torch.Generator | int | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.widths = _check_widths(n_in, width, depth)
        self.n_in, self.depth = self.widths[0], len(self.widths) - 1
        self.n_out = None if n_out is None else check_int("n_out", n_out, 1)
        self.activation = torch_activation(activation)
        self.sigma_w = check_number("sigma_w", sigma_w, low=0, open_low=True)
        self.sigma_b = check_number("sigma_b", sigma_b, low=0)
        self.weights = check_choice("weights", weights, tuple(_WEIGHTS))
        if dtype not in (torch.float32, torch.float64):
            raise bad("dtype", dtype, "torch.float32 or torch.float64")
        generator, device = check_torch_generator(generator), pick_device(device)

        def layer(n_from: int, n_to: int) -> nn.Linear:
            # skip_init: nn.Linear's own start would draw from torch's global generator.
            linear = nn.utils.skip_init(nn.Linear, n_from, n_to, dtype=dtype, device=device)
            _WEIGHTS[self.weights](linear.weight, self.sigma_w, generator)
            _bias_(linear.bias, self.sigma_b, generator)
            return linear

        self.layers = nn.ModuleList(layer(a, b) for a, b in zip(self.widths[:-1], self.widths[1:], strict=True))
        self.readout = None if self.n_out is None else layer(self.widths[-1], self.n_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x_L, or the readout of it: shape (..., width) or (..., n_out).

        Raises ArgumentError for a wrong x, and when the output is not finite (overflow, or weights that diverged).
        """
        self._check_input(x)
        for linear in self.layers:
            x = self.activation.phi(linear(x))
        x = x if self.readout is None else self.readout(x)
        self._check_finite(x, "the output")
        return x

    def preactivations(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return [h_1, ..., h_L], each of shape (..., n_l); raises ArgumentError where ``forward`` does."""
        self._check_input(x)
        hidden = []
        for linear in self.layers:
            hidden.append(linear(x))
            self._check_finite(hidden[-1], f"h_{len(hidden)}")
            x = self.activation.phi(hidden[-1])
        return hidden

    def extra_repr(self) -> str:
        return (
            f"depth={self.depth}, activation={self.activation.name}, sigma_w={self.sigma_w:g}, "
            f"sigma_b={self.sigma_b:g}, weights={self.weights}"
        )

    def _check_input(self, x: object) -> None:
        dtype = self.layers[0].weight.dtype
        if not isinstance(x, torch.Tensor):
            raise bad("x", type(x).__name__, "a torch tensor (torch.as_tensor makes one from an array)")
        if x.ndim == 0 or x.shape[-1] != self.n_in:
            raise ArgumentError(f"x must have shape (..., {self.n_in}), the network's n_in; got {tuple(x.shape)}")
        if x.dtype != dtype:
            raise ArgumentError(f"x must have the network's dtype {dtype}; got {x.dtype} (use x.to({dtype}))")
        if not _all_finite(x):
            raise ArgumentError(f"x must be finite; {int((~torch.isfinite(x)).sum())} of {x.numel()} entries are not")

    def _check_finite(self, value: torch.Tensor, name: str) -> None:
        if not _all_finite(value):
            raise ArgumentError(
                f"x leads to overflow: {name} is not finite in {value.dtype} "
                f"(drawn at sigma_w = {self.sigma_w:g}, depth {self.depth}; the weights may have diverged since)"
            )


def _all_finite(x: torch.Tensor) -> bool:
    try:
        return bool(torch.isfinite(x).all())
    except RuntimeError:  # inside torch.func.vmap a value cannot steer Python: there the check is left out
        return True


def _check_widths(n_in: object, width: object, depth: object) -> tuple[int, ...]:
    n_in = check_int("n_in", n_in, 1)
    if isinstance(width, Sequence) and not isinstance(width, str):
        widths = tuple(check_int(f"width[{i}]", w, 1) for i, w in enumerate(width))
        if not widths:
            raise bad("width", width, "an integer >= 1, or a sequence of at least one")
        if depth is not None and check_int("depth", depth, 1) != len(widths):
            raise bad("depth", depth, f"the length of width, {len(widths)}")
        return (n_in, *widths)
    width = check_int("width", width, 1)
    return (n_in, *[width] * check_int("depth", depth, 1))


def _bias_(bias: torch.Tensor, sigma_b: float, generator: torch.Generator | None) -> None:
    with torch.no_grad():
        if sigma_b == 0:
            bias.zero_()
            return
        device = generator.device if generator is not None else "cpu"
        bias.copy_(torch.randn(bias.shape, generator=generator, dtype=bias.dtype, device=device) * sigma_b)
